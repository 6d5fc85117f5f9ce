// Pictures of a whole page: node shoot.mjs PAGE OUT_PREFIX
//
// Writes OUT_PREFIX-1440.png, -1440-dark.png, -768.png and -390.png, after all charts are drawn.

import { addressOf, drawAll, withChromium } from "./chromium.mjs";

const VIEWS = [
  { width: 1440, colorScheme: "light", end: "1440" },
  { width: 1440, colorScheme: "dark", end: "1440-dark" },
  { width: 768, colorScheme: "light", end: "768" },
  { width: 390, colorScheme: "light", end: "390" },
];

const [path, prefix] = process.argv.slice(2);
if (!prefix) {
  console.error("usage: node shoot.mjs PAGE OUT_PREFIX");
  process.exit(2);
}

await withChromium(async (context) => {
  for (const { width, colorScheme, end } of VIEWS) {
    const page = await context.newPage();
    await page.setViewportSize({ width, height: 900 });
    await page.emulateMedia({ colorScheme });
    await page.goto(addressOf(path));
    await drawAll(page);
    await page.evaluate(() => scrollTo(0, 0));
    await page.screenshot({ path: `${prefix}-${end}.png`, fullPage: true });
    console.log(`${prefix}-${end}.png`);
    await page.close();
  }
});
