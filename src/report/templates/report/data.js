"use strict";
// The data of the page: columns of numbers, as src/report/data.rs writes them.

const data = JSON.parse(document.getElementById("data").textContent);

const { constants } = data;
const TYPES = { u8: Uint8Array, u16: Uint16Array, u32: Uint32Array, f32: Float32Array, f64: Float64Array, log: Uint16Array };

// A function from row to value; null for none.
const column = (text) => {
  const at = text.indexOf(":");
  const kind = text.slice(0, at);
  let values = null;
  const decoded = () => {
    if (values) return values;
    const binary = atob(text.slice(at + 1));
    const bytes = new Uint8Array(binary.length);
    for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
    values = new TYPES[kind](bytes.buffer);
    return values;
  };
  const of = kind === "log" ? (code) => (code ? Math.exp(constants.log_step * (code - 1)) : null) : (value) => (Number.isNaN(value) ? null : value);
  const read = (row) => of(decoded()[row]);
  Object.defineProperty(read, "rows", { get: () => decoded().length });
  return read;
};
const table = (columns) => Object.fromEntries(columns.map(([name, text]) => [name, column(text)]));

const cases = table(data.cases);
const trials = table(data.trials);
const timeline = table(data.timeline);
const resources = table(data.resources);
const residuals = table(data.residuals);
const failures = new Map(data.failures);
const rowOfTrial = new Map();
for (let row = 0; row < trials.trial.rows; row++) rowOfTrial.set(trials.trial(row), row);
const trialRow = (trial) => rowOfTrial.get(trial);
const rowsOf = (columns) => [...Array(columns[Object.keys(columns)[0]].rows).keys()];

// Where each case's distribution begins, and its points.
const distribution = (() => {
  const [lengths, points] = data.distributions.map(column);
  const starts = [0];
  for (let i = 0; i < lengths.rows; i++) starts.push(starts[i] + lengths(i));
  return (row) => Array.from({ length: lengths(row) }, (_, i) => points(starts[row] + i));
})();

// The rows of a trial in a table that is in the order of trials.
const rowsOfTrial = (columns, trial) => {
  let [low, high] = [0, columns.trial.rows];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (columns.trial(middle) < trial) low = middle + 1;
    else high = middle;
  }
  const rows = [];
  for (let row = low; row < columns.trial.rows && columns.trial(row) === trial; row++) rows.push(row);
  return rows;
};

// Created once: a formatter is slow to create.
const COUNTS = new Intl.NumberFormat("en-US", { maximumFractionDigits: 6 });
const grouped = (value) => COUNTS.format(Math.round(value));
// A target rate may be a fraction.
const exact = (value) => COUNTS.format(value);
// Three digits, as the program writes them.
const decimals = (value) => (value >= 100 ? 0 : value >= 10 ? 1 : 2);
const digits = (value) => value.toFixed(decimals(value));
const UNITS = [[1e9, "s"], [1e6, "ms"], [1e3, "µs"], [1, "ns"]];
const unitOf = (ns) => UNITS.find(([size]) => ns >= size) ?? [1, "ns"];
const time = (ns) => {
  const [size, unit] = unitOf(ns);
  return `${unit === "ns" ? Math.round(ns) : digits(ns / size)} ${unit}`;
};
// Whether a percentile is supported by this number of requests.
const isSupported = (name, requests) => requests >= data.min_requests[data.percentiles.indexOf(name)];
// A latency that unfinished requests may raise, up to `upper` if that is known.
const openTime = (ns, upper) => {
  if (upper === null) return `> ${time(ns)}`;
  const [size, unit] = unitOf(upper);
  const places = unit === "ns" ? 0 : decimals(upper / size);
  return `${(ns / size).toFixed(places)}–${(upper / size).toFixed(places)} ${unit}`;
};
// Plotly reads some HTML in texts.
const plain = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
// Long names are shortened in charts and tables.
const short = (text) => (text.length > 64 ? `${text.slice(0, 63)}…` : text);
const appTitle = (row, of = cases) => short(data.apps[of.app(row)].title);
const storeTitle = (row, of = cases) => short(data.stores[of.store(row)].title);
const stackName = (row, of = cases) => `${appTitle(row, of)} · ${storeTitle(row, of)} · ${of.workers(row)}w`;
