// The system's Chromium, with a fresh profile and nothing of its own on the network.

import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const EXECUTABLE = process.env.CHROMIUM ?? "/usr/bin/chromium";
const FLAGS = [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync",
];
// Nothing that a page does takes longer, on a busy machine too.
const PATIENCE_MS = 10_000;

// Gives what `use` gives; the browser and its profile are gone afterwards.
export async function withChromium(use, options = {}) {
  const close = [];
  try {
    return await use(await openChromium(options, close));
  } finally {
    for (const one of close.reverse()) await one();
  }
}

// A browser of its own. `close` collects what ends it.
export async function openChromium(options, close) {
  if (!existsSync(EXECUTABLE)) throw new Error(`no Chromium at ${EXECUTABLE}; set CHROMIUM to its path`);
  const profile = await mkdtemp(join(tmpdir(), "perf-api-browser-"));
  close.push(() => rm(profile, { recursive: true, force: true }));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: EXECUTABLE, args: FLAGS, headless: true, viewport: { width: 1440, height: 900 },
    acceptDownloads: true, ...options,
  });
  close.push(() => context.close());
  context.setDefaultTimeout(PATIENCE_MS);
  return context;
}

export const addressOf = (path) => pathToFileURL(resolve(path)).href;

// A chart draws when it comes near the window, so everything is scrolled past it. The comparison page
// draws at once.
export async function drawAll(page) {
  await page.waitForLoadState("load");
  for (const chart of await page.locator(".chart").all()) {
    if (!(await chart.isVisible())) continue;
    await chart.scrollIntoViewIfNeeded();
    await chart.locator(".main-svg").first().waitFor({ state: "attached" });
  }
  await settle(page);
}

// Until nothing is drawn any more: Plotly draws in several frames.
export async function settle(page) {
  await page.evaluate(async () => {
    const frame = () => new Promise((then) => requestAnimationFrame(() => then()));
    for (let quiet = 0, before = ""; quiet < 3; ) {
      await frame();
      const now = [...document.querySelectorAll(".chart")].map((chart) => chart.innerHTML.length).join(" ");
      quiet = now === before ? quiet + 1 : 0;
      before = now;
    }
  });
}
