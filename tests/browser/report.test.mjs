// The report of the example: charts, filters, values, buttons, the table of trials.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { openChromium, settle } from "./chromium.mjs";
import { examplePage, fullPage, perfApi, ROOT } from "./pages.mjs";
import {
  casesOf, chartsOf, choose, csvOf, dataOf, formOf, hashOf, isNear, isOpen, numberIn, pointsIn, tableOf, trialsOf,
  uncheck, valuesOf, withDrawn, withPage,
} from "./report_page.mjs";

const close = [];
let context;
before(async () => {
  context = await openChromium({ permissions: ["clipboard-read", "clipboard-write"] }, close);
});
after(async () => {
  for (const one of close.reverse()) await one();
});

const sql = (...query) => csvOf(execFileSync(perfApi(), ["sql", "--dataset", "example", ...query, "--format", "csv"], { cwd: ROOT, encoding: "utf8" }));
const textOf = (chart) => JSON.stringify(chart.traces.map(({ name, text, x, y }) => [name, text, x, y].flat().filter((one) => typeof one === "string")));
const saved = async (page, selector) => {
  const [download] = await Promise.all([page.waitForEvent("download"), page.locator(selector).click()]);
  return { name: download.suggestedFilename(), bytes: readFileSync(await download.path()) };
};
// The names of apps and stores for people, by those for programs.
const titlesIn = (data) => Object.fromEntries([...data.apps, ...data.stores].map(({ name, title }) => [name, title]));
const rowOf = (rows, wanted) => rows.find((row) => Object.entries(wanted).every(([key, value]) => row[key] === String(value)));

test("every chart is drawn with points, without a word to the console or a request", () =>
  withDrawn(context, examplePage(), async (page) => {
    const charts = await chartsOf(page);
    assert.deepEqual(Object.keys(charts), ["latency", "rate", "workers", "stores", "tradeoff", "percentiles", "cpu", "drift", "timeline", "heat"]);
    for (const [id, chart] of Object.entries(charts)) {
      assert.ok(pointsIn(chart) > 0, `${id} has no points`);
      const marks = await page.locator(`.card[data-chart="${id}"] .main-svg :is(.point, .lines path, .hm image)`).count();
      assert.ok(marks > 0, `${id} has points, and nothing is drawn`);
    }
  }));

test("charts out of view are not drawn before they are scrolled to", () =>
  withPage(context, examplePage(), async (page) => {
    await page.waitForFunction(() => performance.getEntriesByName("interactive").length > 0);
    await settle(page);
    assert.equal(await page.locator('.card[data-chart="heat"] .main-svg').count(), 0);
    assert.ok(await page.locator('.card[data-chart="latency"] .main-svg').count() > 0);
  }));

test("the full dataset's charts are drawn too", () =>
  withDrawn(context, fullPage(), async (page) => {
    for (const [id, chart] of Object.entries(await chartsOf(page))) {
      assert.ok(pointsIn(chart) > 0, `${id} has no points`);
      assert.deepEqual(chart.notes, [], `${id} has a note`);
    }
    // No percentile is known at the highest target, so the chart opens on the nearest one with data.
    const { scope } = (await chartsOf(page)).percentiles;
    assert.match(scope, /^target 10,000\/s .*nothing is known at 20,000\/s/);
    await choose(page, "target", "1000");
    const chosen = (await chartsOf(page)).percentiles;
    assert.ok(pointsIn(chosen) > 0);
    assert.match(chosen.scope, /^target 1,000\/s/);
    assert.doesNotMatch(chosen.scope, /nothing is known/);
  }));

test("the policy of the page blocks scripts, pictures and requests that are not its own", () =>
  withDrawn(context, examplePage(), async (page) => {
    await page.evaluate(async () => {
      const add = (name, attributes, text = "") => {
        const made = Object.assign(document.createElement(name), attributes);
        made.textContent = text;
        document.body.append(made);
      };
      add("script", {}, "window.hacked = 1");
      add("script", { src: "https://example.invalid/x.js" });
      add("img", { src: "https://example.invalid/x.png" });
      add("iframe", { src: "https://example.invalid/" });
      add("object", { data: "https://example.invalid/x" });
      add("base", { href: "https://example.invalid/" });
      const made = document.createElement("div");
      made.innerHTML = '<p onclick="window.hacked = 2">x</p>';
      document.body.append(made);
      made.firstChild.click();
      await fetch("https://example.invalid/x").catch(() => {});
    });
    await page.waitForFunction(() => window.violations.length >= 8);
    assert.equal(await page.evaluate(() => window.hacked), undefined);
    assert.deepEqual([...new Set(await page.evaluate(() => window.violations))].sort(),
      ["base-uri", "connect-src", "frame-src", "img-src", "object-src", "script-src-attr", "script-src-elem"]);
  }, { isExpected: (text) => /violates the following Content Security Policy|^request: https:\/\/example\.invalid|Failed to load resource|Fetch API cannot load/.test(text) }));

for (const { name, value, words, of, column } of [
  { name: "app", value: "fastapi", words: "FastAPI", of: ["latency", "rate", "workers", "stores", "tradeoff", "percentiles", "cpu", "drift"], column: "app" },
  { name: "store", value: "valkey", words: "Valkey", of: ["latency", "rate", "workers", "stores", "tradeoff", "percentiles", "cpu", "drift"], column: "store" },
  { name: "workers", value: "2", words: /\b2w\b/, of: ["latency", "rate", "tradeoff", "percentiles", "cpu", "drift"], column: "workers" },
]) {
  test(`the filter of ${name} acts on all charts and tables`, () =>
    withDrawn(context, examplePage(), async (page) => {
      const isIn = (text) => (words instanceof RegExp ? words.test(text) : text.includes(words));
      // At the highest target some stacks have no percentile that is known.
      await choose(page, "target", "500");
      const before = await chartsOf(page);
      const trialsBefore = await trialsOf(page);
      await uncheck(page, name, value);
      const charts = await chartsOf(page);
      for (const id of of) {
        assert.ok(isIn(textOf(before[id])), `${id} showed ${value}`);
        assert.ok(!isIn(textOf(charts[id])), `${id} still shows ${value}`);
        assert.ok(pointsIn(charts[id]) > 0, `${id} shows nothing`);
        assert.ok(pointsIn(charts[id]) < pointsIn(before[id]), `${id} has as many points as before`);
      }
      if (name === "workers") assert.deepEqual([...new Set(charts.workers.traces.flatMap(({ x }) => x))], [1]);
      // Guides, which have no text of their own, go with the lines they guide.
      const guides = charts.workers.traces.filter(({ name: one }) => ["ideal", "law"].includes(one));
      const points = new Set(charts.workers.traces.filter((one) => one.text).map(({ colour }) => colour));
      for (const guide of guides) assert.ok(points.has(guide.colour), `a guide of ${value} is left`);

      assert.ok(!isIn(await page.locator("#trial option").allTextContents().then(String)), "the chosen trial is still of it");
      assert.ok(!isIn(JSON.stringify(charts.heat.notes)));
      const rows = await trialsOf(page);
      assert.equal(rows.length, trialsBefore.filter((row) => row[column] !== value).length);
      assert.ok(rows.length > 0 && rows.every((row) => row[column] !== value));
      const held = await page.locator("#sustained").evaluate((table) => table.innerText);
      if (name !== "workers") assert.ok(!isIn(held), `#sustained still tells ${value}`);
    }));
}

test("without any app charts say that nothing is left, and Reset brings all back", () =>
  withDrawn(context, examplePage(), async (page) => {
    const [charts, form] = [await chartsOf(page), await formOf(page)];
    for (const value of await valuesOf(page, "app")) await uncheck(page, "app", value);
    for (const [id, chart] of Object.entries(await chartsOf(page))) {
      assert.equal(pointsIn({ traces: chart.traces.filter(({ name, text }) => text || !/limit|achieved = target/.test(name)) }), 0, `${id} shows points`);
    }
    assert.equal((await trialsOf(page)).length, 0);
    assert.match(await page.locator("#trial-summary").textContent(), /no trial/i);
    await page.locator("#filters button[type=reset]").click();
    await settle(page);
    assert.deepEqual(await formOf(page), form);
    assert.deepEqual(await chartsOf(page), charts);
    assert.equal(await hashOf(page), "");
  }));

// The points of one stack's line by target, from a chart whose traces have names such as `Express · Redis · 1w`.
const lineOf = (chart, titles, row) => chart.traces.find(({ name }) => name === `${titles[row.app]} · ${titles[row.store]} · ${row.workers}w`);

async function assertLatencies(page, percentile, connections) {
  const [charts, titles] = [await chartsOf(page), titlesIn(await dataOf(page))];
  const rows = (await casesOf(page)).filter((row) => row.connections === String(connections));
  assert.ok(rows.length > 0);
  assert.equal(charts.latency.axes.yaxis.title, `${percentile}, ms`);
  assert.equal(charts.tradeoff.axes.yaxis.title, `${percentile}, ms`);
  for (const row of rows) {
    const [told, achieved] = [row[percentile], numberIn(row.achieved)];
    const [line, against] = [lineOf(charts.latency, titles, row), lineOf(charts.tradeoff, titles, row)];
    const at = line.x.indexOf(Number(row["target/s"]));
    const where = `${line.name} at ${row["target/s"]}/s: ${percentile} ${told}`;
    if (Number.isNaN(numberIn(told))) {
      assert.equal(at, -1, `${where} is drawn`);
      continue;
    }
    assert.ok(at >= 0, `${where} is not drawn`);
    assert.ok(isNear(line.y[at] * 1e6, numberIn(told)), `${where} is drawn at ${line.y[at]} ms`);
    assert.equal(line.symbols[at] === "triangle-up-open", isOpen(told), `${where} is drawn as ${line.symbols[at]}`);
    const place = against.y.findIndex((y, one) => isNear(y * 1e6, numberIn(told)) && isNear(against.x[one], achieved));
    assert.ok(place >= 0, `${where} is not in the tradeoff`);
  }
}

test("points of the latency charts are the table's, at every percentile", () =>
  withDrawn(context, examplePage(), async (page) => {
    const seen = new Set();
    for (const percentile of await valuesOf(page, "percentile")) {
      await choose(page, "percentile", percentile);
      await assertLatencies(page, percentile, 100);
      seen.add(JSON.stringify((await chartsOf(page)).latency.traces));
    }
    assert.equal(seen.size, 6, "percentiles have the same points");
  }));

test("the number of connections chooses cases, trials and the answer", () =>
  withDrawn(context, fullPage(), async (page) => {
    const { answers } = await dataOf(page);
    for (const connections of await valuesOf(page, "connections")) {
      await choose(page, "connections", connections);
      await assertLatencies(page, "p95", connections);
      const rows = await trialsOf(page);
      assert.ok(rows.length > 0 && rows.every((row) => Number(row.connections.replaceAll(",", "")) === Number(connections)));
      const limit = await page.locator("#filters select[name=limit] option:checked").getAttribute("data-ns");
      const own = answers.filter((one) => one.connections === Number(connections));
      const answer = own.find((one) => one.percentile === 2 && one.longest === Number(limit));
      assert.equal(await page.locator("#assumption").textContent(), answer.text);
      const pace = own.find((one) => one.longest === undefined);
      assert.equal(await page.locator("#answer").textContent(), pace.text);
      assert.doesNotMatch(pace.text, /limit|p95/, "a limit that nobody set is in the headline");
    }
  }));

test("the assumption and the limit's line follow percentile and limit, and the headline does not", () =>
  withDrawn(context, examplePage(), async (page) => {
    const { answers, percentiles } = await dataOf(page);
    const seen = new Set();
    const headline = await page.locator("#answer").textContent();
    for (const [percentile, limit] of [["p95", "20 ms"], ["p50", "2 ms"], ["p99", "5 ms"], ["p99", "100 ms"], ["p99.99", "2 s"]]) {
      await choose(page, "percentile", percentile);
      await choose(page, "limit", limit);
      const answer = answers.find((one) => percentiles[one.percentile] === percentile && one.longest === numberIn(limit) && one.connections === 100);
      assert.equal(await page.locator("#assumption").textContent(), answer.text);
      assert.equal(await page.locator("#answer").textContent(), headline);
      assert.ok(answer.text.replaceAll("\u00a0", " ").includes(limit) && answer.text.includes(percentile), answer.text);
      assert.deepEqual(await page.locator("#sustained [data-cell]").allTextContents(), answer.cells);
      const line = (await chartsOf(page)).latency.traces.find(({ name }) => name === `limit ${limit}`);
      assert.deepEqual(line.y, [numberIn(limit) / 1e6, numberIn(limit) / 1e6]);
      seen.add(answer.text);
    }
    assert.ok(seen.size >= 4, "answers do not differ");
  }));

test("the target chooses what the charts of one target show", () =>
  withDrawn(context, examplePage(), async (page) => {
    const titles = titlesIn(await dataOf(page));
    const rows = await casesOf(page);
    for (const target of await valuesOf(page, "target")) {
      await choose(page, "target", target);
      const charts = await chartsOf(page);
      const told = `target ${Number(target).toLocaleString("en-US")}/s`;
      for (const id of ["workers", "stores", "cpu"]) assert.ok(charts[id].scope.includes(told), `${id} does not name its target`);
      const isOfTarget = charts.percentiles.scope.includes(told);
      assert.ok(isOfTarget || charts.percentiles.scope.includes(`nothing is known at ${told.slice("target ".length)}`), charts.percentiles.scope);
      for (const row of rows.filter((one) => one["target/s"] === target)) {
        const line = charts.workers.traces.find(({ name, text }) => text && name === `${titles[row.app]} · ${titles[row.store]}`);
        assert.ok(isNear(line.y[line.x.indexOf(Number(row.workers))], numberIn(row.achieved), 0.0006), `${line.name} with ${row.workers} workers at ${told}`);
        if (row.workers === "2") {
          const bar = charts.stores.traces.find(({ name }) => name === titles[row.store]);
          assert.ok(isNear(bar.y[bar.x.indexOf(titles[row.app])], numberIn(row.achieved), 0.0006), `bar of ${line.name}`);
        }
        const curve = isOfTarget ? lineOf(charts.percentiles, titles, row) : undefined;
        if (curve === undefined) {
          assert.ok(isOpen(row.p50), `${line.name} at ${told} has no curve, and p50 ${row.p50}`);
          continue;
        }
        // The points at which 90 and 99 % are below; a line may end before.
        for (const [percentile, place] of [["p50", 5], ["p90", 16], ["p99", 32]]) {
          const isInside = place < curve.y.length && percentile !== "p50" && !isOpen(row[percentile]);
          if (isInside) assert.ok(isNear(curve.y[place] * 1e6, numberIn(row[percentile]), 0.01), `${curve.name}: ${percentile} ${row[percentile]}, drawn ${curve.y[place]} ms`);
        }
      }
      for (const option of await page.locator("#trial option").allTextContents()) assert.ok(option.includes(`${Number(target).toLocaleString("en-US")}/s`), option);
    }
  }));

test("axes are linear or logarithmic as chosen", () =>
  withDrawn(context, examplePage(), async (page) => {
    const types = async () => {
      const { latency, rate, tradeoff, percentiles } = await chartsOf(page);
      return [latency.axes.xaxis, latency.axes.yaxis, rate.axes.xaxis, rate.axes.yaxis, tradeoff.axes.yaxis, percentiles.axes.yaxis].map(({ type }) => type);
    };
    assert.deepEqual(await types(), ["linear", "log", "linear", "linear", "log", "log"]);
    await choose(page, "axes", "linear");
    assert.deepEqual(await types(), Array(6).fill("linear"));
    await choose(page, "axes", "log");
    assert.deepEqual(await types(), Array(6).fill("log"));
  }));

test("rates and CPU time are those that SQL computes", () =>
  withDrawn(context, examplePage(), async (page) => {
    const titles = titlesIn(await dataOf(page));
    const answers = sql("--file", "docs/cases.sql");
    assert.equal(answers.length, 24);
    const { rate, cpu } = await chartsOf(page);
    for (const row of answers) {
      const line = lineOf(rate, titles, row);
      const drawn = line.y[line.x.indexOf(Number(row.target_rps))];
      assert.ok(isNear(drawn, Number(row.achieved_rps_mean), 1e-6), `${line.name} at ${row.target_rps}: ${drawn} and ${row.achieved_rps_mean}`);
      if (row.target_rps !== "4000") continue;
      for (const part of ["app", "store"]) {
        const bars = cpu.traces.find(({ name }) => name === part);
        const bar = bars.x[bars.y.indexOf(line.name)];
        assert.ok(isNear(bar, Number(row[`${part}_cpu_s_per_thousand`]), 1e-6), `${part} of ${line.name}: ${bar}`);
      }
    }
    const hovered = lineOf(rate, titles, answers[2]);
    assert.match(hovered.text.at(-1), /95 %: .* to .*, σ /, "interval and standard deviation are told");
  }));

test("the numbers of a point are told when the mouse is over it", () =>
  withDrawn(context, examplePage(), async (page) => {
    const point = page.locator('.card[data-chart="latency"] .scatterlayer .point').first();
    await point.scrollIntoViewIfNeeded();
    const { x, y, width, height } = await point.boundingBox();
    await page.mouse.move(x + width / 2 + 60, y - 40);
    await page.mouse.move(x + width / 2, y + height / 2, { steps: 4 });
    const told = page.locator('.card[data-chart="latency"] .hoverlayer .hovertext');
    await told.first().waitFor();
    assert.match(await told.first().textContent(), /target [\d,]+\/s.*p95 .*trials valid/);
  }));

test("CSV has the numbers of the dataset", () =>
  withPage(context, examplePage(), async (page) => {
    const { name, bytes } = await saved(page, "#save-csv");
    const { dataset } = await dataOf(page);
    assert.equal(name, `${dataset}-trials.csv`);
    const rows = csvOf(bytes.toString());
    const wanted = sql("SELECT * FROM trials ORDER BY position");
    assert.equal(rows.length, wanted.length);
    rows.forEach((row, at) => {
      const one = wanted[at];
      for (const [mine, its] of [["trial", "trial"], ["position", "position"], ["app", "app"], ["store", "store"], ["workers", "workers"], ["connections", "concurrency"], ["block", "block"], ["failed", "failed"], ["censored", "censored"], ["flags", "flags"]]) {
        assert.equal(row[mine], one[its], `${mine} of trial ${one.trial}`);
      }
      assert.equal(Number(row.target), Number(one.target_rps), `target of trial ${one.trial}`);
      assert.ok(isNear(Number(row.rate), Number(one.achieved_rps), 1e-6), `rate of trial ${one.trial}`);
      for (const percentile of ["p50", "p90", "p95", "p99", "p99.9", "p99.99"]) {
        const its = `latency_${percentile.replace(".", "_")}`;
        assert.ok(isNear(Number(row[`${percentile}_ns`]), Number(one[`${its}_ns`]), 0.00026), `${percentile} of trial ${one.trial}`);
        assert.equal(row[`${percentile}_is_bound`], one[`${its}_is_bound`], `${percentile} of trial ${one.trial}`);
      }
    });
    await page.locator("#copy-csv").click();
    await page.waitForFunction(() => /clipboard|does not let/.test(document.getElementById("trials-status").textContent));
    assert.match(await page.locator("#trials-status").textContent(), /120 trials are on the clipboard/);
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), bytes.toString());
  }));

test("Parquet is the dataset's own file", () =>
  withPage(context, examplePage(), async (page) => {
    const { bytes, name } = await saved(page, "#save-parquet");
    const id = await page.locator("header code[title]").first().getAttribute("title");
    assert.equal(name, `${id.slice(0, 12)}-trials.parquet`);
    const hash = (of) => createHash("sha256").update(of).digest("hex");
    assert.equal(hash(bytes), hash(readFileSync(join(ROOT, "results", id, "trials.parquet"))));
  }));

test("the table of each chart has a row for each point", () =>
  withDrawn(context, examplePage(), async (page) => {
    const charts = await chartsOf(page);
    for (const [id, chart] of Object.entries(charts)) {
      const card = page.locator(`.card[data-chart="${id}"]`);
      const button = card.locator("button[data-action=table]");
      assert.equal(await button.getAttribute("aria-expanded"), "false");
      await button.click();
      assert.equal(await button.getAttribute("aria-expanded"), "true");
      assert.equal(await card.locator(".numbers tbody tr").count(), pointsIn(chart), `rows of ${id}`);
      const caption = await card.locator(".numbers caption").textContent();
      assert.ok(caption.includes(await card.locator("h2, h3").textContent()));
    }
    const latency = page.locator('.card[data-chart="latency"]');
    await choose(page, "percentile", "p99");
    const { latency: chart } = await chartsOf(page);
    assert.equal(await latency.locator(".numbers tbody tr").count(), pointsIn(chart));
    assert.match(await latency.locator(".numbers thead").textContent(), /p99, ms/, "an open table follows the filters");
    await latency.locator("button[data-action=table]").click();
    assert.ok(!(await latency.locator(".numbers").isVisible()));
  }));

test("the table of a chart with several axes tells the unit of each number", () =>
  withDrawn(context, examplePage(), async (page) => {
    const card = page.locator('.card[data-chart="timeline"]');
    await card.locator("button[data-action=table]").click();
    const told = await card.locator(".numbers table").evaluate((table) => {
      const heads = [...table.tHead.rows[0].cells].map((cell) => cell.textContent);
      const rows = [...table.tBodies[0].rows];
      const of = (name) => rows.find((row) => row.cells[0].textContent.startsWith(name)).innerText;
      return { heads: heads.join("; "), p95: of("p95"), cpus: of("app CPUs") };
    });
    assert.match(`${told.heads} ${told.p95}`, /\bms\b/, `a latency is told as ${told.p95} under ${told.heads}`);
  }));

test("a chart can be enlarged, and Escape gives the focus back", () =>
  withDrawn(context, examplePage(), async (page) => {
    for (const id of ["latency", "workers", "heat"]) {
      const card = page.locator(`.card[data-chart="${id}"]`);
      const title = await card.locator("h2, h3").textContent();
      const width = (await card.locator(".main-svg").first().boundingBox()).width;
      await card.locator("button[data-action=enlarge]").focus();
      await page.keyboard.press("Enter");
      const stage = page.locator("dialog[open]");
      await stage.locator(".chart .main-svg").first().waitFor();
      assert.equal(await stage.locator("h2").textContent(), title);
      await page.waitForFunction((least) => document.querySelector("dialog .main-svg").getBoundingClientRect().width > least, width * 1.2).catch(() => {});
      const large = await stage.locator(".main-svg").first().boundingBox();
      assert.ok(large.width > width * 1.2, `${id} is ${large.width} px wide instead of ${width}`);
      const { width: most, height: high } = page.viewportSize();
      assert.ok(large.x >= 0 && large.y >= 0 && large.x + large.width <= most && large.y + large.height <= high, `${id} is larger than the window`);
      assert.ok(await page.evaluate(() => document.querySelector("dialog").contains(document.activeElement)), "focus is behind the dialog");
      await page.keyboard.press("Escape");
      await stage.waitFor({ state: "detached" }).catch(() => {});
      assert.equal(await page.locator("dialog[open]").count(), 0);
      assert.ok(await card.locator("button[data-action=enlarge]").evaluate((button) => button === document.activeElement), "focus is not on the button");
      await page.waitForFunction(([one, wanted]) => document.querySelector(`.card[data-chart="${one}"] .main-svg`).getBoundingClientRect().width === wanted, [id, width]);
    }
    await page.locator('.card[data-chart="latency"] button[data-action=enlarge]').click();
    await page.locator("dialog button").click();
    assert.equal(await page.locator("dialog[open]").count(), 0);
  }));

test("charts can be saved as PNG and SVG", () =>
  withDrawn(context, examplePage(), async (page) => {
    const { dataset } = await dataOf(page);
    for (const id of ["latency", "heat"]) {
      const png = await saved(page, `.card[data-chart="${id}"] button[data-action=png]`);
      assert.equal(png.name, `${dataset}-${id}.png`);
      assert.equal(png.bytes.subarray(0, 8).toString("latin1"), "\x89PNG\r\n\x1a\n");
      assert.deepEqual([png.bytes.readUInt32BE(16), png.bytes.readUInt32BE(20)], [2400, 1500]);
      const svg = await saved(page, `.card[data-chart="${id}"] button[data-action=svg]`);
      assert.equal(svg.name, `${dataset}-${id}.svg`);
      const text = svg.bytes.toString();
      assert.match(text, /^<svg [^>]*xmlns="http:\/\/www\.w3\.org\/2000\/svg"/);
      const title = await page.locator(`.card[data-chart="${id}"] :is(h2, h3)`).textContent();
      assert.ok(text.includes(title), "the picture has no title");
      const isWhole = await page.evaluate((source) => new DOMParser().parseFromString(source, "image/svg+xml").querySelector("parsererror") === null, text);
      assert.ok(isWhole, "the SVG is no XML");
    }
  }));

test("a header sorts the table, numbers as numbers", () =>
  withPage(context, examplePage(), async (page) => {
    const head = (name) => page.locator("#trials-table th").filter({ hasText: new RegExp(`^${name}$`) });
    const ascending = (values) => values.every((value, at) => at === 0 || values[at - 1] <= value);
    for (const name of ["p99", "achieved/s", "target/s", "app CPU s/1,000", "order", "app"]) {
      await head(name).locator("button").click();
      const isText = name === "app";
      const told = async () => (await trialsOf(page)).map((row) => (isText ? row[name] : numberIn(row[name])));
      assert.equal(await head(name).getAttribute("aria-sort"), "ascending", name);
      const up = await told();
      assert.ok(ascending(up), `${name}: ${up}`);
      assert.equal(await page.locator("#trials-table th[aria-sort]").count(), 1);
      assert.ok(await head(name).locator("button").evaluate((button) => button === document.activeElement));
      await page.keyboard.press("Enter");
      assert.equal(await head(name).getAttribute("aria-sort"), "descending");
      const down = await told();
      assert.ok(ascending([...down].reverse()), `${name}: ${down}`);
      assert.equal(down.length, 120);
    }
  }));

test("the table can be filtered by text", () =>
  withPage(context, examplePage(), async (page) => {
    await page.locator("#containing").fill("VALKEY");
    const rows = await trialsOf(page);
    assert.equal(rows.length, 60);
    assert.ok(rows.every((row) => row.store === "valkey"));
    assert.equal(await page.locator("#trials-status").textContent(), "60 of 120 trials");
    const { bytes } = await saved(page, "#save-csv");
    assert.equal(csvOf(bytes.toString()).length, 60, "what is saved is what is listed");
    await page.locator("#containing").fill("no such words");
    assert.equal((await trialsOf(page)).length, 0);
    await page.locator("#containing").fill("");
    assert.equal((await trialsOf(page)).length, 120);
  }));

test("a trial that is chosen in the table is shown by timeline and heat map", () =>
  withDrawn(context, examplePage(), async (page) => {
    for (const trial of ["7", "93"]) {
      await page.getByRole("button", { name: `Show trial ${trial}`, exact: true }).click();
      await settle(page);
      assert.equal(await page.locator("#trial").inputValue(), trial);
      assert.ok(await page.locator("#trial").evaluate((one) => one === document.activeElement), "focus stays in the table");
      const row = rowOf(await trialsOf(page), { trial });
      const words = await page.locator("#trial-summary").textContent();
      assert.ok(words.includes(`p99 ${row.p99}`) && words.includes(`Number ${row.order} of`), words);
      const { timeline, heat } = await chartsOf(page);
      const seconds = sql(`SELECT * FROM timeline WHERE trial = ${trial} ORDER BY second`);
      for (const [name, column, of] of [["planned", "planned", 1], ["completed", "completed", 1], ["p50", "latency_p50_ns", 1e6], ["p99", "latency_p99_ns", 1e6], ["max", "latency_max_ns", 1e6]]) {
        const trace = timeline.traces.find((one) => one.name === name);
        assert.deepEqual(trace.x, seconds.map((second) => Number(second.second)));
        trace.y.forEach((y, at) => assert.ok(isNear(y * of, Number(seconds[at][column]), 0.00026), `${name} in second ${at}`));
      }
      const [map] = heat.traces;
      const own = map.y.findIndex((name) => name === `trial ${trial} ●`);
      assert.ok(own >= 0, `${map.y}`);
      assert.equal(map.y.length, 5, "all repetitions of its case");
      map.z[own].forEach((z, at) => assert.ok(isNear(10 ** z * 1e6, Number(seconds[at].latency_p95_ns), 0.00026), `second ${at}`));
      assert.match(await hashOf(page), new RegExp(`\\btrial=${trial}\\b`));
    }
    const at = async () => page.locator("#trial").evaluate((one) => one.selectedIndex);
    // The chosen trial, of another target, leaves the list when another is chosen.
    await page.locator("#trial").selectOption({ index: 1 });
    await page.locator("#trial").selectOption({ index: 3 });
    await page.locator("#later").click();
    assert.equal(await at(), 4);
    await page.locator("#earlier").click();
    await page.locator("#earlier").click();
    assert.equal(await at(), 2);
  }));

test("everything can be done by keyboard alone", () =>
  withDrawn(context, examplePage(), async (page) => {
    await page.evaluate(() => scrollTo(0, 0));
    const focused = () => page.evaluate(() => {
      const one = document.activeElement;
      return `${one.closest("[data-chart]")?.dataset.chart ?? ""} ${one.name || one.dataset.action || one.id || one.className} ${one.type === "checkbox" ? one.value : ""}`.trim();
    });
    const tabTo = async (wanted) => {
      for (let count = 0; count < 150; count += 1) {
        await page.keyboard.press("Tab");
        if ((await focused()) === wanted) {
          const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
          assert.notEqual(outline, "none", `${wanted} does not show its focus`);
          return;
        }
      }
      assert.fail(`Tab does not come to ${wanted}`);
    };
    await page.keyboard.press("Tab");
    assert.equal(await focused(), "skip", "the first stop leads to the charts");
    assert.ok(await page.locator(".skip").evaluate((link) => link.getBoundingClientRect().left >= 0), "the link is not seen");
    await tabTo("latency table");
    await page.keyboard.press("Enter");
    assert.ok(await page.locator('.card[data-chart="latency"] .numbers table').isVisible());
    await tabTo("app express");
    await page.keyboard.press("Space");
    await settle(page);
    assert.ok(!textOf((await chartsOf(page)).rate).includes("Express"), "Space does not act on a box");
    await tabTo("percentile");
    await page.keyboard.press("ArrowDown");
    await settle(page);
    assert.equal((await chartsOf(page)).latency.axes.yaxis.title, "p99, ms");
    await tabTo("stores enlarge");
    await page.keyboard.press("Enter");
    assert.equal(await page.locator("dialog[open]").count(), 1);
    await page.keyboard.press("Escape");
    assert.equal(await focused(), "stores enlarge");
    await tabTo("later");
    const trial = await page.locator("#trial").inputValue();
    await page.keyboard.press("Enter");
    assert.notEqual(await page.locator("#trial").inputValue(), trial);
    assert.equal(await focused(), "later");
    await tabTo("containing");
    await page.keyboard.type("redis");
    assert.equal((await trialsOf(page)).length, 30);
    const fragment = new URLSearchParams((await hashOf(page)).slice(1));
    assert.deepEqual([...fragment.keys()].sort(), ["app", "percentile", "trial"]);
  }));

test("without scripts the page tells so, and its tables are there", async () => {
  const own = [];
  const plain = await openChromium({ javaScriptEnabled: false }, own);
  try {
    const page = await plain.newPage();
    await page.goto(`file://${examplePage()}`);
    assert.ok(await page.locator("noscript").first().isVisible());
    assert.equal(await page.locator("section[aria-labelledby=cases] tbody tr").count(), 24);
    assert.equal(await page.locator("#sustained tbody tr").count(), 4);
  } finally {
    for (const one of own.reverse()) await one();
  }
});
