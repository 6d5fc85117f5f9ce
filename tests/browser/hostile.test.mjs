// A report of a dataset whose every free text is hostile: see hostile.py. All of it is shown as text.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { openChromium, settle } from "./chromium.mjs";
import { hostileComparisonPage, hostilePage } from "./pages.mjs";
import { chartsOf, csvOf, dataOf, formOf, hashOf, pointsIn, trialsOf, uncheck, withDrawn, withPage } from "./report_page.mjs";

const SCRIPT = "<script>window.hacked=1</script>";
const END = "</script></style></textarea></title><script>window.hacked=2</script>";
const IMAGE = '<img src=x onerror="window.hacked=3">';
const QUOTES = "\"'`><svg/onload=window.hacked=4>";
const TEMPLATE = "{{7*7}} {% raw %} ${7*7} %{meta} %{customdata} <%= 7*7 %>";
const ENTITIES = "&lt;script&gt;window.hacked=6&lt;/script&gt; &amp; <b>bold</b><br>next";
const TURNED = "\u202eround\u202c";

const close = [];
let context;
before(async () => {
  context = await openChromium({}, close);
});
after(async () => {
  for (const one of close.reverse()) await one();
});

async function assertUnharmed(page) {
  await page.mouse.move(5, 5);
  assert.equal(await page.evaluate(() => window.hacked), undefined);
  assert.deepEqual(await page.evaluate(() => window.violations), [], "something was tried that the policy blocks");
  const foreign = await page.evaluate(() => [...document.querySelectorAll("img, iframe, object, embed, base, link:not([rel=icon]), main b, main svg:not(.js-plotly-plot svg), [onerror], [onload], [onclick], a[href^='javascript' i]")].map((one) => one.outerHTML.slice(0, 100)));
  assert.deepEqual(foreign, []);
}

for (const [name, path] of [["report", hostilePage], ["comparison", hostileComparisonPage]]) {
  test(`nothing of a hostile ${name} is executed`, () =>
    withDrawn(context, path(), async (page) => {
      await page.evaluate(() => {
        for (const details of document.querySelectorAll("details")) details.open = true;
      });
      await assertUnharmed(page);
    }));
}

test("hostile texts are shown letter by letter", () =>
  withDrawn(context, hostilePage(), async (page) => {
    const text = await page.evaluate(() => {
      for (const details of document.querySelectorAll("details")) details.open = true;
      for (const script of document.querySelectorAll("script, style")) script.remove();
      return document.body.textContent;
    });
    const every = [SCRIPT, END, IMAGE, QUOTES, TEMPLATE, ENTITIES, TURNED, "<!--<script> ]]> --!>", "$(touch /tmp/hacked)"];
    for (const where of ["name", "cpu", "fact", "said", "it says", "check", "found", "why", "what", "after", "reason", "log"]) {
      // Each begins with the word for its place.
      const at = text.split(`${where} ${SCRIPT}`);
      const later = at.slice(1).some((rest) => every.every((one) => (SCRIPT + rest.slice(0, 2_000)).includes(one)));
      assert.ok(later, `${where} is not shown as it is`);
    }
    assert.ok((await page.title()).includes(SCRIPT), "the window's title");
    assert.ok(text.includes("\x1b[31mred\x07") || text.includes("[31mred"), "the log's control characters end it");
    assert.ok(!text.includes("49 {% raw %}") && !text.includes("${49}"), "{{7*7}} was computed");
  }));

test("hostile names are shown letter by letter in charts, tables and filters", () =>
  withDrawn(context, hostilePage(), async (page) => {
    const data = await dataOf(page);
    const titles = [...data.apps, ...data.stores].map(({ title }) => title);
    assert.ok(titles.some((title) => title.includes(SCRIPT)) && titles.some((title) => title.includes(TEMPLATE)));
    const shown = (title) => title.replaceAll(/\s+/g, " ").slice(0, 60);
    const legend = (await page.locator('.card[data-chart="latency"] .legendtext').evaluateAll((all) => all.map((one) => one.textContent))).join("\n").replaceAll(/\s+/g, " ");
    const labels = (await page.locator("#filters label").allTextContents()).join("\n").replaceAll(/\s+/g, " ");
    const held = (await page.locator("#sustained").textContent()).replaceAll(/\s+/g, " ");
    for (const title of titles) {
      assert.ok(labels.includes(shown(title)), `a filter does not tell ${shown(title)}: ${labels.slice(0, 2_000)}`);
      assert.ok(held.includes(shown(title)), `#sustained does not tell ${shown(title)}`);
    }
    // An app and a store make a name; the store's may be cut off where it is long.
    for (const { title } of data.apps) assert.ok(legend.includes(shown(title).slice(0, 30)), `the legend does not tell ${shown(title)}: ${legend.slice(0, 500)}`);
    await page.locator('.card[data-chart="latency"] button[data-action=table]').click();
    const numbers = (await page.locator('.card[data-chart="latency"] .numbers').textContent()).replaceAll(/\s+/g, " ");
    for (const { title } of data.apps) assert.ok(numbers.includes(shown(title)), `the table of numbers does not tell ${shown(title)}`);
    await assertUnharmed(page);
  }));

test("a hostile name is told by its point as text", () =>
  withDrawn(context, hostilePage(), async (page) => {
    for (const id of ["latency", "drift", "stores"]) {
      const layer = id === "stores" ? ".barlayer .point path" : ".scatterlayer .point";
      const point = page.locator(`.card[data-chart="${id}"] ${layer}`).first();
      await point.scrollIntoViewIfNeeded();
      const { x, y, width, height } = await point.boundingBox();
      await page.mouse.move(x + width / 2 + 40, y - 30);
      await page.mouse.move(x + width / 2, y + height / 2, { steps: 4 });
      const told = page.locator(`.card[data-chart="${id}"] .hoverlayer .hovertext`).first();
      await told.waitFor();
      assert.match(await told.textContent(), /title\d <\/?script/);
    }
    await assertUnharmed(page);
  }));

test("a hostile page works: filters, address, table, pictures", () =>
  withDrawn(context, hostilePage(), async (page) => {
    const data = await dataOf(page);
    await uncheck(page, "app", data.apps[0].name);
    assert.equal(await hashOf(page), `#app=${data.apps[1].name}`);
    const charts = await chartsOf(page);
    assert.ok(pointsIn(charts.latency) > 0);
    assert.ok(!JSON.stringify(charts.stores).includes("title0"));
    await page.locator("#filters button[type=reset]").click();
    await settle(page);
    assert.ok((await formOf(page)).every(([, , isChecked]) => isChecked !== false));
    await page.locator("#containing").fill("<script>window.hacked=1</script>");
    assert.equal((await trialsOf(page)).length, 1, "the reason of the failed trial is found");
    for (const format of ["png", "svg"]) {
      const [download] = await Promise.all([page.waitForEvent("download"), page.locator(`.card[data-chart="latency"] button[data-action=${format}]`).click()]);
      assert.equal(download.suggestedFilename(), `${data.dataset}-latency.${format}`, "a file's name comes from the dataset's");
      if (format !== "svg") continue;
      const foreign = await page.evaluate((source) => {
        const { documentElement } = new DOMParser().parseFromString(source, "image/svg+xml");
        const isForeign = (one) => ["script", "img", "foreignObject", "a"].includes(one.localName) || one.getAttributeNames().some((name) => name.startsWith("on"));
        return [...documentElement.querySelectorAll("*")].filter(isForeign).map((one) => one.outerHTML.slice(0, 100));
      }, readFileSync(await download.path(), "utf8"));
      assert.deepEqual(foreign, []);
    }
    await assertUnharmed(page);
  }));

test("a failed trial has no latency, in the table and as CSV", () =>
  withPage(context, hostilePage(), async (page) => {
    const row = (await trialsOf(page)).find((one) => one.flags.startsWith("failed at launch"));
    assert.ok(row, "the failed trial is not listed");
    assert.deepEqual([row.p50, row.p99, row["achieved/s"], row.valid], ["–", "–", "–", "no"]);
    const [download] = await Promise.all([page.waitForEvent("download"), page.locator("#save-csv").click()]);
    const saved = csvOf(readFileSync(await download.path(), "utf8")).find((one) => one.trial === row.trial);
    assert.deepEqual([saved.rate, saved.p50_ns, saved["p99.9_ns"]], ["", "", ""], "no latency is not 0 ns");
    assert.equal(saved.flags, row.flags, "quotes and commas of the reason");
    await page.getByRole("button", { name: `Show trial ${row.trial}`, exact: true }).click();
    await settle(page);
    assert.match(await page.locator("#trial-summary").textContent(), /failed at launch: reason <script>/);
    await assertUnharmed(page);
  }));

test("the order of words is not turned round outside of a hostile text", () =>
  withDrawn(context, hostilePage(), async (page) => {
    // An override that is not closed must end with its element.
    const row = page.locator("#sustained tbody tr").first();
    const [name, cell] = [await row.locator("th").boundingBox(), await row.locator("td").first().boundingBox()];
    assert.ok(name.x < cell.x);
  }));
