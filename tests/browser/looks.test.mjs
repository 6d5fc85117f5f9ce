// How pages look and read: at each width, light and dark, in print, to assistive technology; how soon.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import { drawAll, openChromium, settle, withChromium } from "./chromium.mjs";
import { comparisonPage, examplePage, fullPage, hostileComparisonPage, hostilePage } from "./pages.mjs";
import { pointsIn, chartsOf, withDrawn, withPage } from "./report_page.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];
const SCHEMES = ["light", "dark"];
const MAX_INTERACTIVE_RATIO = 2;

const close = [];
let context;
before(async () => {
  context = await openChromium({}, close);
});
after(async () => {
  for (const one of close.reverse()) await one();
});

// Elements that overflow or are clipped, as text. Runs in the page.
function misfits() {
  const found = [];
  const wide = new Set();
  const isShown = (one) => one.checkVisibility({ checkVisibilityCSS: true }) && one.getClientRects().length > 0;
  const named = (one) => `${one.tagName.toLowerCase()}${one.id ? `#${one.id}` : ""} "${(one.innerText ?? one.textContent).trim().slice(0, 60)}"`;
  const scrolls = (one) => ["auto", "scroll"].includes(getComputedStyle(one).overflowX);
  const isInScroller = (one) => {
    for (let parent = one.parentElement; parent; parent = parent.parentElement) if (scrolls(parent)) return true;
    return false;
  };
  if (document.documentElement.scrollWidth > innerWidth) found.push(`the page is ${document.documentElement.scrollWidth} px wide`);
  for (const one of document.querySelectorAll("body *:not(svg *)")) {
    if (!isShown(one) || one.closest(".skip, .js-plotly-plot, #js-plotly-tester") || isInScroller(one)) continue;
    const { left, right, width } = one.getBoundingClientRect();
    if (width === 0 || (right <= innerWidth + 1 && left >= -1)) continue;
    wide.add(one);
    // What is in it sticks out with it.
    if (!wide.has(one.parentElement)) found.push(`${named(one)} from ${Math.round(left)} to ${Math.round(right)} px`);
  }
  for (const one of document.querySelectorAll("button, .tools a, summary, legend, label, th, td, select, figcaption, .scope, h1, h2, h3, p")) {
    const style = getComputedStyle(one);
    if (!isShown(one) || style.display === "inline" || scrolls(one)) continue;
    if (one.scrollWidth > one.clientWidth + 1 && one.clientWidth > 0) found.push(`${named(one)} is cut off: ${one.scrollWidth} in ${one.clientWidth} px`);
  }
  return found.slice(0, 20);
}

// What is cut off or lies on other text inside charts. Runs in the page.
function misfitsInCharts() {
  const found = [];
  for (const chart of document.querySelectorAll(".chart")) {
    if (!chart.querySelector(".main-svg")) continue;
    const name = chart.closest("[data-chart]")?.dataset.chart ?? chart.id;
    const frame = chart.getBoundingClientRect();
    const texts = [...chart.querySelectorAll(".main-svg text")].filter((one) => {
      const { width, height } = one.getBoundingClientRect();
      // A legend that is too long scrolls.
      return width > 0 && height > 0 && one.textContent.trim() !== "" && !one.closest(".legend, .hoverlayer") && getComputedStyle(one).opacity !== "0";
    });
    const rects = texts.map((one) => one.getBoundingClientRect());
    texts.forEach((one, at) => {
      const { left, right, top, bottom } = rects[at];
      if (left < frame.left - 1 || right > frame.right + 1 || top < frame.top - 1 || bottom > frame.bottom + 1) {
        found.push(`${name}: "${one.textContent.slice(0, 60)}" is cut off: ${Math.round(left - frame.left)} to ${Math.round(right - frame.left)} of ${Math.round(frame.width)} px, ${Math.round(top - frame.top)} to ${Math.round(bottom - frame.top)} of ${Math.round(frame.height)} px`);
      }
    });
    const legend = chart.querySelector(".legend .bg")?.getBoundingClientRect();
    const plots = [...chart.querySelectorAll(".main-svg .bglayer rect, .main-svg .plot")].map((one) => one.getBoundingClientRect());
    for (const plot of legend && legend.height > 0 ? plots : []) {
      const height = Math.min(legend.bottom, plot.bottom) - Math.max(legend.top, plot.top);
      const width = Math.min(legend.right, plot.right) - Math.max(legend.left, plot.left);
      if (height > 4 && width > 4) found.push(`${name}: the legend covers ${Math.round(height)} px of the plot`);
    }
    for (let a = 0; a < rects.length; a += 1) {
      for (let b = a + 1; b < rects.length; b += 1) {
        const height = Math.min(rects[a].bottom, rects[b].bottom) - Math.max(rects[a].top, rects[b].top);
        const width = Math.min(rects[a].right, rects[b].right) - Math.max(rects[a].left, rects[b].left);
        const isTilted = [texts[a], texts[b]].some((one) => /rotate\((?!0|-90)/.test(one.getAttribute("transform") ?? ""));
        // Boxes of lines are higher than their letters.
        const isOver = height > 0.4 * Math.min(rects[a].height, rects[b].height) && width > 3;
        if (isOver && !isTilted) found.push(`${name}: "${texts[a].textContent.slice(0, 40)}" lies on "${texts[b].textContent.slice(0, 40)}"`);
      }
    }
    const plot = chart.querySelector(".main-svg .nsewdrag")?.getBoundingClientRect();
    if (plot && (plot.height < 90 || plot.width < 140)) found.push(`${name}: ${Math.round(plot.width)} by ${Math.round(plot.height)} px are left for its points`);
  }
  return found;
}

const openDetails = (page) => page.evaluate(() => {
  for (const details of document.querySelectorAll("details")) details.open = true;
});

const PAGES = { example: examplePage, full: fullPage, comparison: comparisonPage, hostile: hostilePage, "hostile comparison": hostileComparisonPage };
for (const [name, path] of Object.entries(PAGES)) {
  for (const width of [1440, 768, 390]) {
    test(`${name} fits ${width} px, light and dark`, () =>
      withDrawn(context, path(), async (page) => {
        for (const colorScheme of SCHEMES) {
          await page.emulateMedia({ colorScheme });
          await settle(page);
          assert.deepEqual(await page.evaluate(misfits), []);
        }
        // What is folded is looked at too.
        await openDetails(page);
        assert.deepEqual(await page.evaluate(misfits), []);
      }, { width }));
  }
}

for (const [name, path] of [["example", examplePage], ["full", fullPage], ["comparison", comparisonPage]]) {
  for (const width of [1440, 768, 390]) {
    test(`no text in the charts of ${name} is cut off or covered at ${width} px`, () =>
      withDrawn(context, path(), async (page) => {
        assert.deepEqual(await page.evaluate(misfitsInCharts), []);
      }, { width }));
  }
}

test("no table of a comparison scrolls sideways at 1440 px", () =>
  withDrawn(context, comparisonPage(), async (page) => {
    await openDetails(page);
    const wide = await page.locator(".scroll").evaluateAll((all) => all.filter((one) => one.scrollWidth > one.clientWidth).map((one) => `${one.getAttribute("aria-label")}: ${one.scrollWidth} in ${one.clientWidth} px`));
    assert.deepEqual(wide, []);
    const styles = await page.locator("td.regressed, td.improved, td.equivalent, td.inconclusive").evaluateAll((all) => all.filter((one) => !one.textContent.includes(one.className)).map((one) => one.textContent));
    assert.deepEqual(styles, [], "a verdict has another name than on the terminal");
  }, { width: 1440 }));

test("charts follow the colour scheme at once", () =>
  withDrawn(context, examplePage(), async (page) => {
    const inks = () => page.evaluate(() => [...document.querySelectorAll(".card .chart")].map((chart) => chart.layout.font.color));
    const [light] = new Set(await inks());
    await page.emulateMedia({ colorScheme: "dark" });
    await drawAll(page);
    const dark = new Set(await inks());
    assert.equal(dark.size, 1, `${[...dark]}`);
    assert.ok(!dark.has(light), "the ink of the charts does not change");
  }));

// With tables of charts open, a trial chosen and texts unfolded, for there is more to look at then.
const withEverythingOpen = async (page) => {
  for (const button of await page.locator("button[data-action=table]").all()) await button.click();
  await openDetails(page);
  await settle(page);
};
for (const [name, path] of [["example", examplePage], ["comparison", comparisonPage], ["hostile", hostilePage]]) {
  for (const width of [1440, 390]) {
    for (const colorScheme of SCHEMES) {
      test(`axe finds no serious barrier in ${name}, ${width} px, ${colorScheme}`, () =>
        withDrawn(context, path(), async (page) => {
          // Scripts of the page's own are all that its policy lets in; this one comes from the debugger.
          await page.evaluate(AXE);
          const look = () => page.evaluate(async (tags) => {
            const { violations } = await window.axe.run({ exclude: [".js-plotly-plot svg"] }, { runOnly: tags, rules: { "target-size": { enabled: true } }, resultTypes: ["violations"] });
            return violations
              .filter(({ impact }) => ["serious", "critical"].includes(impact))
              .map(({ id, impact, nodes }) => `${impact} ${id}: ${nodes.length} × ${nodes[0].html.slice(0, 200)} — ${nodes[0].failureSummary.slice(0, 300)}`);
          }, TAGS);
          assert.deepEqual(await look(), []);
          await withEverythingOpen(page);
          assert.deepEqual(await look(), [], "with everything open");
        }, { width, media: { colorScheme } }));
    }
  }
}

test("axe finds no serious barrier in an enlarged chart", () =>
  withDrawn(context, examplePage(), async (page) => {
    await page.evaluate(AXE);
    await page.locator('.card[data-chart="latency"] button[data-action=enlarge]').click();
    await settle(page);
    const found = await page.evaluate(async (tags) => {
      const { violations } = await window.axe.run("dialog", { runOnly: tags });
      return violations.filter(({ impact }) => ["serious", "critical"].includes(impact)).map(({ id }) => id);
    }, TAGS);
    assert.deepEqual(found, []);
  }));

test("a button of a table's head is named by its column, whatever the order", () =>
  withPage(context, examplePage(), async (page) => {
    const button = page.getByRole("button", { name: "p99", exact: true });
    await button.click();
    assert.equal(await button.count(), 1, "the arrow is read as a part of the name");
  }));

for (const [name, path] of [["example", examplePage], ["full", fullPage]]) {
  test(`${name} prints with all charts and without what only a screen can do`, () =>
    withPage(context, path(), async (page) => {
      await page.waitForFunction(() => performance.getEntriesByName("interactive").length > 0);
      await page.evaluate(() => {
        addEventListener("afterprint", () => {
          const isDrawn = (card) => card.querySelector(".main-svg :is(.point, .lines path, .hm image, .annotation)") !== null;
          window.printed = [...document.querySelectorAll(".card")].map((card) => [card.dataset.chart, isDrawn(card)]);
        });
      });
      const bytes = await page.pdf({ format: "A4" });
      assert.equal(bytes.subarray(0, 5).toString(), "%PDF-");
      assert.deepEqual((await page.evaluate(() => window.printed)).filter(([, isDrawn]) => !isDrawn), [], "charts are missing in print");
      for (const [id, chart] of Object.entries(await chartsOf(page))) assert.ok(pointsIn(chart) > 0 || chart.notes.length > 0, id);
      await page.emulateMedia({ media: "print" });
      for (const hidden of ["#filters", ".tools", ".skip", ".fields", "dialog"]) {
        for (const one of await page.locator(hidden).all()) assert.ok(!(await one.isVisible()), `${hidden} is printed`);
      }
      assert.ok(await page.locator("section[aria-labelledby=cases] table").isVisible(), "the table of cases is not printed");
    }));
}

// What the page is like at the moment at which it is laid out for paper.
async function printed(page) {
  await page.waitForFunction(() => performance.getEntriesByName("interactive").length > 0);
  await page.evaluate(() => {
    matchMedia("print").addEventListener("change", ({ matches }) => {
      if (!matches) return;
      const charts = [...document.querySelectorAll(".card .chart")];
      window.printed = {
        widths: charts.map((chart) => [chart.closest(".card").dataset.chart, chart.querySelector(".main-svg")?.getBoundingClientRect().width]),
        inks: [getComputedStyle(document.body).color, ...charts.map((chart) => chart.layout?.font.color)],
      };
    });
  });
  await page.pdf({ format: "A4", margin: { left: "10mm", right: "10mm" } });
  return page.evaluate(() => window.printed);
}

test("charts fit the sheet that they are printed on", () =>
  withPage(context, examplePage(), async (page) => {
    const sheet = ((210 - 20) / 25.4) * 96;
    const { widths } = await printed(page);
    assert.deepEqual(widths.filter(([, width]) => !(width <= sheet)), [], `the sheet is ${Math.round(sheet)} px wide`);
  }));

test("a page that is read in the dark is printed in dark ink", () =>
  withPage(context, examplePage(), async (page) => {
    const { inks } = await printed(page);
    const lightness = (colour) => {
      const parts = colour.startsWith("#") ? colour.match(/[0-9a-f]{2}/gi).map((one) => parseInt(one, 16)) : colour.match(/\d+/g).map(Number);
      return parts.slice(0, 3).reduce((sum, one) => sum + one, 0) / 3;
    };
    assert.deepEqual([...new Set(inks.filter((ink) => lightness(ink) > 100))], []);
  }, { media: { colorScheme: "dark" } }));

// When the page is interactive, in milliseconds from the start of the navigation, and how many charts are
// drawn by then, in a Chromium of its own.
const interactive = (path) =>
  withChromium(async (own) => {
    await own.addInitScript(() => {
      const mark = performance.mark.bind(performance);
      performance.mark = (name, ...rest) => {
        if (name === "interactive") window.drawn = document.querySelectorAll(".chart:has(.main-svg)").length;
        return mark(name, ...rest);
      };
    });
    return withPage(own, path, async (page) => {
      await page.waitForFunction(() => performance.getEntriesByName("interactive").length > 0);
      return page.evaluate(() => ({ ms: performance.getEntriesByName("interactive")[0].startTime, drawn: window.drawn }));
    });
  });

// A ratio of two pages that are opened one after the other, since the host's speed is not the page's.
// `make report-bench` measures the time in seconds.
test("ten times as many trials do not delay the page, which waits for one chart", async () => {
  const pairs = [];
  for (let time = 0; time < 3; time += 1) pairs.push([await interactive(examplePage()), await interactive(fullPage())]);
  assert.deepEqual(new Set(pairs.flat().map(({ drawn }) => drawn)), new Set([1]));
  const fastest = (at) => Math.min(...pairs.map((pair) => pair[at].ms));
  const ratio = fastest(1) / fastest(0);
  console.log(`interactive after ${pairs.map((pair) => pair.map(({ ms }) => Math.round(ms)).join(" and ")).join(", ")} ms: ratio ${ratio.toFixed(2)}`);
  assert.ok(ratio < MAX_INTERACTIVE_RATIO, `ratio ${ratio.toFixed(2)}`);
});
