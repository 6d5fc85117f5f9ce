// The address of a report: what the reader chose is in it, and nothing that it says does harm.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { drawAll, openChromium, settle } from "./chromium.mjs";
import { examplePage, fullPage } from "./pages.mjs";
import { chartsOf, choose, formOf, hashOf, pointsIn, trialsOf, uncheck, withDrawn, withPage } from "./report_page.mjs";

const close = [];
let context;
before(async () => {
  context = await openChromium({}, close);
});
after(async () => {
  for (const one of close.reverse()) await one();
});

const partsOf = async (page) => Object.fromEntries(new URLSearchParams((await hashOf(page)).slice(1)));
// Everything that a link is to bring back.
const seenOf = async (page) => ({
  form: await formOf(page),
  charts: await chartsOf(page),
  answer: await page.locator("#answer").textContent(),
  trials: await trialsOf(page),
  sorted: await page.locator("#trials-table th[aria-sort]").evaluateAll((all) => all.map((one) => [one.textContent, one.getAttribute("aria-sort")])),
  trial: await page.locator("#trial").inputValue(),
  words: await page.locator("#trial-summary").textContent(),
});
const seenAt = (path, fragment) => withDrawn(context, path, seenOf, { fragment });
const sortBy = (page, name) => page.locator("#trials-table th button").filter({ hasText: new RegExp(`^${name}$`) }).click();

for (const { what, path, change, wanted } of [
  {
    what: "every kind of choice",
    path: examplePage,
    change: async (page) => {
      await uncheck(page, "app", "express");
      await uncheck(page, "store", "valkey");
      await uncheck(page, "workers", "1");
      await choose(page, "target", "2000");
      await choose(page, "percentile", "p99.9");
      await choose(page, "limit", "100 ms");
      await choose(page, "axes", "linear");
      await sortBy(page, "p99");
      await sortBy(page, "p99");
      await page.locator("#trials-table tbody tr").nth(4).locator("button").click();
    },
    wanted: ["app", "axes", "limit", "percentile", "sort", "store", "target", "trial", "workers"],
  },
  {
    what: "a trial of another target",
    path: examplePage,
    change: (page) => page.getByRole("button", { name: "Show trial 7", exact: true }).click(),
    wanted: ["trial"],
  },
  {
    what: "the connections of the full dataset",
    path: fullPage,
    change: async (page) => {
      await choose(page, "connections", "1000");
      await uncheck(page, "workers", "4");
      await sortBy(page, "achieved/s");
    },
    wanted: ["connections", "sort", "workers"],
  },
]) {
  test(`a link shows what its sender saw: ${what}`, async () => {
    const { fragment, seen } = await withDrawn(context, path(), async (page) => {
      const initial = await seenOf(page);
      assert.equal(await hashOf(page), "");
      await change(page);
      await settle(page);
      assert.deepEqual(Object.keys(await partsOf(page)).sort(), wanted, "the address has what differs, and nothing else");
      const seen = await seenOf(page);
      assert.notDeepEqual(seen, initial);
      const fragment = await hashOf(page);
      await page.locator("#filters button[type=reset]").click();
      await settle(page);
      assert.equal(await hashOf(page), "");
      assert.deepEqual(await seenOf(page), initial, "Reset leaves something");
      return { fragment, seen };
    });
    assert.deepEqual(await seenAt(path(), fragment), seen);
    assert.doesNotMatch(fragment, /%2C/);
  });
}

test("what is chosen again as it was is not in the address", () =>
  withPage(context, examplePage(), async (page) => {
    await choose(page, "percentile", "p99");
    assert.equal(await hashOf(page), "#percentile=p99");
    await choose(page, "percentile", "p95");
    assert.equal(await hashOf(page), "");
    await uncheck(page, "app", "express");
    assert.equal(await hashOf(page), "#app=fastapi");
    await page.locator('input[name="app"][value="express"]').check();
    assert.equal(await hashOf(page), "");
  }));

test("another address in the same window is followed, back and forth", () =>
  withDrawn(context, examplePage(), async (page) => {
    const initial = await seenOf(page);
    await page.evaluate(() => (location.hash = "#app=express&percentile=p50&sort=-rate"));
    await settle(page);
    const other = await seenOf(page);
    assert.equal(other.charts.latency.axes.yaxis.title, "p50, ms");
    assert.deepEqual(other.sorted, [["achieved/s", "descending"]]);
    await page.goBack();
    await page.waitForFunction(() => document.querySelector("#filters select[name=percentile]").value === "p95");
    await settle(page);
    assert.deepEqual(await seenOf(page), initial);
    await page.goForward();
    await page.waitForFunction(() => document.querySelector("#filters select[name=percentile]").value === "p50");
    await settle(page);
    assert.deepEqual(await seenOf(page), other);
  }));

test("links inside the page lead to their place and keep what was chosen", () =>
  withDrawn(context, examplePage(), async (page) => {
    await uncheck(page, "app", "fastapi");
    await choose(page, "percentile", "p99");
    const [before, parts] = [await seenOf(page), await partsOf(page)];
    for (const [click, place] of [
      [() => page.locator('.card[data-chart="rate"] a[href^="#sql-"]').click(), "sql-trials"],
      [() => page.evaluate(() => (location.hash = "#method")), "method"],
    ]) {
      await click();
      const target = page.locator(`#${place}`);
      await page.waitForFunction((id) => Math.abs(document.getElementById(id).getBoundingClientRect().top) < innerHeight, place);
      const { top, covered } = await target.evaluate((one) => ({
        top: one.getBoundingClientRect().top,
        covered: document.getElementById("filters").getBoundingClientRect().bottom,
      }));
      assert.ok(top >= covered - 1, `${place} begins at ${Math.round(top)} px, behind the filters, which end at ${Math.round(covered)} px`);
      if (place.startsWith("sql-")) {
        assert.ok(await target.locator("pre").isVisible(), "the question is not open");
        assert.match(await target.locator("pre").textContent(), /SELECT/);
      }
      await settle(page);
      assert.deepEqual(await seenOf(page), before, `after ${place}`);
    }
    await choose(page, "axes", "log");
    assert.deepEqual(await partsOf(page), { ...parts, axes: "log" });
  }));

test("a link to a place shows it, with the page as it was written", async () => {
  const initial = await seenAt(examplePage(), "");
  await withPage(context, examplePage(), async (page) => {
    await page.waitForFunction(() => performance.getEntriesByName("interactive").length > 0);
    assert.ok(await page.locator("#sql-drift pre").isVisible());
    await drawAll(page);
    assert.deepEqual(await seenOf(page), initial);
  }, { fragment: "#sql-drift" });
});

// Nothing of these is a choice that the page offers.
const NONSENSE = {
  "values that are none": "#app=<script>window.hacked=1</script>&store=%22%3E&workers=-1&target=abc&trial=-1&sort=__proto__&percentile=p101&limit=NaN&axes=&connections=1e99",
  "encoded markup": "#app=%3Cimg%20src%3Dx%20onerror%3Dwindow.hacked%3D1%3E&trial=%3Cscript%3E",
  "names of objects": "#__proto__=1&constructor=2&toString=3&sort=constructor&trial=__proto__",
  "malformed percent signs": "#app=%E0%A4%A&sort=%&trial=%zz&percentile=%00",
  "a selector": "#trial='],*{x:&sort=%22]",
  "nothing but signs": "#=&&==&=&",
  "places that are none": "#%E0%A4%A",
  "a place with quotes": `#"'><script>window.hacked=1</script>`,
  "100 kB": `#app=${"x".repeat(100_000)}&sort=${"-".repeat(1_000)}&trial=${"9".repeat(1_000)}`,
  "many of one": `#${"trial=1x&".repeat(10_000)}`,
};
for (const [what, fragment] of Object.entries(NONSENSE)) {
  test(`an address of nonsense does no harm: ${what}`, () =>
    withDrawn(context, examplePage(), async (page) => {
      assert.equal(await page.evaluate(() => window.hacked), undefined);
      assert.deepEqual(await page.evaluate(() => window.violations), []);
      assert.deepEqual(await page.evaluate(() => [Object.keys(Object.prototype), ({}).polluted]), [[], undefined]);
      const form = await formOf(page);
      for (const [name, value, isChecked] of form) assert.notEqual(isChecked, false, `${name} ${value} is unchecked`);
      for (const [id, chart] of Object.entries(await chartsOf(page))) assert.ok(pointsIn(chart) > 0, `${id} has no points`);
      assert.equal((await trialsOf(page)).length, 120);
      assert.equal(await page.locator("#trials-table th[aria-sort=ascending]").count(), 1, "the table does not tell how it is sorted");
      assert.notEqual(await page.locator("#trial").inputValue(), "");
      await choose(page, "percentile", "p99");
      assert.equal(await hashOf(page), "#percentile=p99", "nonsense stays in the address");
      assert.deepEqual((await seenAt(examplePage(), "#percentile=p99")).charts, await chartsOf(page));
    }, { fragment }));
}

test("what is partly nonsense counts as far as it is none", () =>
  withDrawn(context, examplePage(), async (page) => {
    const form = await formOf(page);
    const checked = form.filter(([name, , isChecked]) => name === "app" && isChecked).map(([, value]) => value);
    assert.deepEqual(checked, ["express"]);
    assert.equal((await chartsOf(page)).latency.axes.yaxis.title, "p99, ms");
    assert.equal((await trialsOf(page)).length, 60);
  }, { fragment: "#app=express,<script>,redis&percentile=p99&percentile=p50&target=x" }));
