// What a reader of a report sees and does, for tests: charts, form, tables, address.

import assert from "node:assert/strict";
import { addressOf, drawAll, settle } from "./chromium.mjs";

// Opens a page, and fails when it says anything to the console, throws, or asks for anything but
// itself. `use` gets the page. `complaints` of a test that provokes some says which are expected.
export async function withPage(context, path, use, { fragment = "", media = {}, width = 1440, height = 900, isExpected = () => false } = {}) {
  const page = await context.newPage();
  const address = addressOf(path);
  const complaints = [];
  const complain = (text) => isExpected(text) || complaints.push(text);
  page.on("console", (message) => complain(`console ${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => complain(`error: ${error.stack}`));
  page.on("request", (request) => {
    const url = request.url();
    if (url.split("#")[0] !== address && !/^(data|blob):/.test(url)) complain(`request: ${url}`);
  });
  try {
    await page.setViewportSize({ width, height });
    await page.emulateMedia(media);
    await page.addInitScript(() => {
      window.violations = [];
      addEventListener("securitypolicyviolation", (event) => window.violations.push(event.effectiveDirective));
    });
    await page.goto(address + fragment);
    const given = await use(page);
    assert.deepEqual(complaints, [], "the page complained");
    return given;
  } finally {
    await page.close();
  }
}

// The same with all charts drawn.
export const withDrawn = (context, path, use, options) =>
  withPage(context, path, async (page) => {
    await drawAll(page);
    return use(page);
  }, options);

// What each chart shows, as Plotly has it: its traces with their points, and its axes.
export const chartsOf = (page) => page.evaluate(() => {
  const list = (values) => (values === undefined ? undefined : [...values].map((value) => (ArrayBuffer.isView(value) ? [...value] : value)));
  const trace = (one) => ({
    name: one.name, type: one.type, visible: one.visible, x: list(one.x), y: list(one.y), z: list(one.z),
    text: list(one.hovertext), colour: one.line?.color ?? one.marker?.line?.color ?? one.marker?.color,
    symbols: list(Array.isArray(one.marker?.symbol) ? one.marker.symbol : undefined),
    fills: list(Array.isArray(one.marker?.color) ? one.marker.color : undefined),
    errors: ["error_x", "error_y"].flatMap((name) => (one[name]?.array ? [list(one[name].array), list(one[name].arrayminus)] : [])),
  });
  const card = (element) => {
    const { data, layout } = element.querySelector(".chart");
    const axes = Object.keys(layout ?? {}).filter((name) => /^[xy]axis\d*$/.test(name));
    return [element.dataset.chart, {
      scope: element.querySelector(".scope").textContent,
      traces: (data ?? []).map(trace),
      axes: Object.fromEntries(axes.map((name) => [name, { type: layout[name].type, title: layout[name].title?.text }])),
      notes: (layout?.annotations ?? []).map((note) => note.text),
    }];
  };
  return Object.fromEntries([...document.querySelectorAll(".card")].map(card));
});

// How many points a chart shows. A trace that is only a key of the legend has none.
export const pointsIn = (chart) => chart.traces.reduce((sum, { x, y, z }) => {
  const isThere = (value) => value !== null && value !== undefined && !Number.isNaN(value);
  return sum + (z ? z.flat().filter(isThere).length : x.filter((one, at) => isThere(one) && isThere(y[at])).length);
}, 0);

export const formOf = (page) => page.evaluate(() =>
  [...document.querySelectorAll("#filters input, #filters select")].map((one) => [one.name, one.value, one.type === "checkbox" ? one.checked : null]));
export const choose = async (page, name, value) => {
  await page.locator(`#filters select[name="${name}"]`).selectOption(value);
  await settle(page);
};
export const uncheck = async (page, name, value) => {
  await page.locator(`#filters input[name="${name}"][value="${value}"]`).uncheck();
  await settle(page);
};
export const valuesOf = (page, name) => page.locator(`#filters [name="${name}"]`).evaluateAll((all) => all.flatMap((one) => (one.options ? [...one.options].map((option) => option.value) : [one.value])));

export const hashOf = (page) => page.evaluate(() => location.hash);
// What is embedded, as it was written.
export const dataOf = (page) => page.evaluate(() => JSON.parse(document.getElementById("data").textContent));

// A table as objects by the text of its headings; hidden rows are left out.
export const tableOf = (page, selector) => page.locator(selector).evaluate((table) => {
  const heads = [...table.tHead.rows[0].cells].map((cell) => cell.textContent);
  const rows = [...table.tBodies[0].rows].filter((row) => !row.hidden);
  return rows.map((row) => Object.fromEntries([...row.cells].map((cell, place) => [heads[place], cell.textContent])));
});
export const casesOf = (page) => tableOf(page, "section[aria-labelledby=cases] table");
export const trialsOf = (page) => tableOf(page, "#trials-table");

// Whether unfinished requests can move a figure: `> 1.34 ms` and `1.34–1.56 ms`.
export const isOpen = (text) => /[>–]/.test(text);

// `1.34 ms`, `> 1.34 ms` and the lower end of `1.34–1.56 ms` in nanoseconds, `2,000.5/s` in requests; NaN for none.
const UNITS = { ns: 1, "µs": 1e3, ms: 1e6, s: 1e9 };
export const numberIn = (text) => {
  const [, digits, unit] = /([\d,.]+)(?:–[\d,.]+)?\s*(ns|µs|ms|s(?!\w))?/.exec(text) ?? [];
  return digits === undefined ? NaN : Number(digits.replaceAll(",", "")) * (text.includes("/s") ? 1 : UNITS[unit] ?? 1);
};
// Whether a number is the same as one of three digits or more that was told.
export const isNear = (value, wanted, share = 0.006) => Math.abs(value - wanted) <= share * Math.abs(wanted);

export function csvOf(text) {
  const rows = [[""]];
  let isQuoted = false;
  for (let at = 0; at < text.length; at += 1) {
    const row = rows.at(-1);
    if (text[at] === '"' && isQuoted && text[at + 1] === '"') row[row.length - 1] += text[++at];
    else if (text[at] === '"') isQuoted = !isQuoted;
    else if (text[at] === "," && !isQuoted) row.push("");
    else if (text[at] === "\n" && !isQuoted) rows.push([""]);
    else row[row.length - 1] += text[at];
  }
  const [heads, ...lines] = rows.filter((row) => row.length > 1);
  return lines.map((line) => Object.fromEntries(line.map((cell, place) => [heads[place], cell])));
}
