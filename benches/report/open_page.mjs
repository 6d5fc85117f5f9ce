// Opens pages in the system's Chromium and tells how long each takes until somebody can work with it.
//
//   node open_page.mjs [--times N] ours=PAGE reference=PAGE ...
//
// Prints one line of JSON for each page: the median of N (5) openings, in milliseconds.
//
// `interactive_ms`: from the start of the navigation until the end of the first frame in which
//   - ours: the page has set `performance.mark("interactive")`, which it does when its first chart
//     is drawn and its filters act;
//   - reference: its first chart has drawn points and the document is parsed. It draws in scripts
//     inside the document, so then every `Plotly.newPlot` is over, and nothing keeps the page from
//     answering.
// Both are seen by the same probe: it looks once in each frame, and takes the time after that frame is
// over. A page whose script runs on has no frame, so what blocks a page counts, wherever it comes from.
//
// `in_view_ms`: the same for the moment at which every chart that is in view is drawn.
// `mark_ms`: the bare mark of our page, which is a little earlier than the frame that shows it.
//
// Every opening is by a browser of its own with a new profile, from file://, at 1440 by 900. Pages
// take turns, so that what disturbs the machine for a while disturbs all of them.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const CHROMIUM = "/usr/bin/chromium";
const FLAGS = [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync",
];
const VIEWPORT = { width: 1440, height: 900 };
const PATIENCE_MS = 20_000;
// What a chart is in a page: the element that is there before anything is drawn in it.
const CHARTS = { ours: "figure", reference: ".plotly-graph-div" };

// Runs in the page, before its own scripts.
function probe({ kind, charts }) {
  const seen = (window.benchSeen = { interactive: null, inView: null });
  // Plotly's charts have points or traces; anything else drawn is a picture, which an icon is too small for.
  const isDrawn = (chart) =>
    chart.querySelector("svg.main-svg :is(.point, .trace)") !== null ||
    [...chart.querySelectorAll("svg:not(.main-svg), canvas")].some(({ clientWidth }) => clientWidth > 200);
  const isInView = (chart) => {
    const { top, bottom, height } = chart.getBoundingClientRect();
    return height > 0 && top < innerHeight && bottom > 0;
  };
  const isInteractive = () =>
    kind === "ours"
      ? performance.getEntriesByName("interactive", "mark").length > 0
      : document.readyState !== "loading" && [...document.querySelectorAll(charts)].some(isDrawn);
  // A message arrives when the frame is painted.
  const afterFrame = (then) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = then;
    port2.postMessage(null);
  };
  const look = () => {
    if (seen.interactive === null && isInteractive()) {
      seen.interactive = 0; // once
      afterFrame(() => (seen.interactive = performance.now()));
    }
    // What is in view is known only when all elements are there.
    if (seen.inView === null && document.readyState !== "loading") {
      const inView = [...document.querySelectorAll(charts)].filter(isInView);
      if (inView.length > 0 && inView.every(isDrawn)) {
        seen.inView = 0;
        afterFrame(() => (seen.inView = performance.now()));
      }
    }
    if (seen.interactive === null || seen.inView === null) requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}

async function open({ kind, path }) {
  const charts = CHARTS[kind];
  const profile = await mkdtemp(join(tmpdir(), "open-page-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: CHROMIUM, args: FLAGS, headless: true, viewport: VIEWPORT,
  });
  try {
    const page = await context.newPage();
    const complaints = [];
    page.on("pageerror", (error) => complaints.push(error.message));
    page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
    await page.addInitScript(probe, { kind, charts });
    await page.goto(pathToFileURL(resolve(path)).href, { waitUntil: "load" });
    const isSeen = () => page.evaluate(() => window.benchSeen.interactive > 0);
    const end = Date.now() + PATIENCE_MS;
    while (!(await isSeen())) {
      if (Date.now() > end) {
        throw new Error(`${path} (${kind}) is never interactive: ${complaints.join("; ") || "no error told"}`);
      }
      await page.waitForTimeout(50);
    }
    // Time for charts that are drawn later, of which some may be in view; not measured.
    await page.waitForTimeout(500);
    if (complaints.length > 0) throw new Error(`${path} has errors: ${complaints.join("; ")}`);
    return await page.evaluate(({ charts }) => ({
      interactive_ms: window.benchSeen.interactive,
      in_view_ms: window.benchSeen.inView || null,
      mark_ms: performance.getEntriesByName("interactive", "mark")[0]?.startTime ?? null,
      charts: document.querySelectorAll(charts).length,
    }), { charts });
  } finally {
    await context.close();
    await rm(profile, { recursive: true, force: true });
  }
}

function median(values) {
  if (values.some((value) => value === null)) return null;
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

function usage(problem) {
  console.error(`open_page: ${problem}\nusage: node open_page.mjs [--times N] ours=PAGE reference=PAGE ...`);
  process.exit(2);
}

const words = process.argv.slice(2);
const times = words[0] === "--times" ? Number(words.splice(0, 2)[1]) : 5;
if (!(times >= 1)) usage("how many times?");
if (words.length === 0) usage("no page");
const pages = words.map((word) => {
  const [kind, ...path] = word.split("=");
  if (!(kind in CHARTS) || path.length === 0) usage(`unknown: ${word}`);
  return { kind, path: path.join("="), openings: [] };
});

async function main() {
  for (let time = 0; time < times; time += 1) {
    for (const page of pages) page.openings.push(await open(page));
  }
  for (const { kind, path, openings } of pages) {
    const of = (name) => median(openings.map((opening) => opening[name]));
    const all = openings.map((opening) => Math.round(opening.interactive_ms));
    const round = (value) => (value === null ? null : Math.round(value * 10) / 10);
    console.log(JSON.stringify({
      kind, page: path, interactive_ms: round(of("interactive_ms")), in_view_ms: round(of("in_view_ms")),
      mark_ms: round(of("mark_ms")), charts: openings[0].charts, all_interactive_ms: all,
    }));
  }
}

main().catch((error) => {
  console.error(`open_page: ${error.message}`);
  process.exit(1);
});
