// Fills the figures that src/report/charts.rs made with the points that the reader chose.

const HOLLOW = "rgba(0,0,0,0)";
// The colour of open symbols that are not ranked.
const UNRANKED = "#888888";
const MS = 1e6;

const ofSeries = (series, row) =>
  (series.app === undefined || cases.app(row) === series.app) &&
  (series.store === undefined || cases.store(row) === series.store) &&
  (series.workers === undefined || cases.workers(row) === series.workers);
const shown = (keep = () => true) => rowsOf(cases).filter((row) => isShown(cases, row) && keep(row));
const isAt = (target) => (row) => cases.target(row) === target;
const atTarget = (row) => isAt(state.target)(row);

// The quantities of axes: the value, interval and text of a row.
const rate = {
  value: (row) => cases.rate(row),
  low: (row) => cases.rate_low(row),
  high: (row) => cases.rate_high(row),
  isBound: () => false,
  text: (row) => `achieved ${number(cases.rate(row))}/s${spread(cases.rate_low(row), cases.rate_high(row), cases.rate_sd(row), number)}`,
};
const latency = () => {
  const name = state.percentile;
  const of = (end) => (row) => {
    const ns = cases[name + end](row);
    return ns === null ? null : ns / MS;
  };
  const isBound = (row) => cases[`${name}_bound`](row) === 1;
  return {
    value: of(""),
    low: of("_low"),
    high: of("_high"),
    upper: of("_upper"),
    isBound,
    text: (row) => {
      const value = cases[name](row);
      if (value === null) return `${name} unknown`;
      const upper = cases[`${name}_upper`](row);
      const support = cases[`${name}_supported`](row) ? "" : `<br>${name} needs ${grouped(data.min_requests[data.percentiles.indexOf(name)])} requests, and there are fewer`;
      if (isBound(row)) return `${name} ${openTime(value, upper)}: ${upper === null ? "a lower bound" : "unfinished requests can move it"}${support}`;
      const end = cases[`${name}_high`](row);
      const open = end === null && cases[`${name}_low`](row) !== null;
      return `${name} ${time(value)}${spread(cases[`${name}_low`](row), open ? Infinity : end, cases[`${name}_sd`](row), time)}${support}`;
    },
  };
};
const LEVEL = `${Math.round(constants.level * 100)} %`;
const number = (value) => (value >= 1000 ? grouped(value) : value.toPrecision(4));
const spread = (low, high, deviation, format) => {
  const interval = low === null ? "" : ` (${LEVEL}: ${format(low)} to ${high === Infinity ? "unknown" : format(high)})`;
  return interval + (deviation === null ? "" : `, σ ${format(deviation)}`);
};
const caseLabel = (row) => `${plain(stackName(row))}<br>target ${exact(cases.target(row))}/s, ${grouped(cases.connections(row))} connections`;
const validity = (row) => {
  const ranked = cases.valid(row) ? "" : "<br>not ranked: see the flags";
  return `${cases.valid(row)} of ${cases.trials(row)} trials valid${ranked}`;
};

// Puts points with their intervals on a trace: filled, hollow where they are not ranked, and an open
// triangle for a lower bound.
const put = (trace, rows, x, y, text, axis = "y") => {
  const known = rows.filter((row) => x.value(row) !== null && y.value(row) !== null);
  const xs = known.map(x.value);
  const ys = known.map(y.value);
  const measure = axis === "y" ? y : x;
  const end = (of, sign) => known.map((row) => {
    const value = of(row);
    if (measure.isBound(row)) return sign > 0 ? Math.max(0, (measure.upper(row) ?? measure.value(row)) - measure.value(row)) : 0;
    return value === null ? 0 : Math.max(0, sign * (value - measure.value(row)));
  });
  [trace.x, trace.y] = [xs, ys];
  trace.hovertext = known.map(text);
  trace.marker = { ...trace.marker };
  const [colour, symbol] = [trace.marker.color, trace.marker.symbol];
  const isBound = (row) => x.isBound(row) || y.isBound(row);
  // A number whose interval has no upper end is a filled triangle.
  const isOpen = (row) => !isBound(row) && measure.low?.(row) !== null && measure.high?.(row) === null;
  const fill = (row) => (isBound(row) ? (cases.valid(row) ? colour : UNRANKED) : cases.valid(row) ? colour : HOLLOW);
  trace.marker.color = known.map(fill);
  if (symbol) trace.marker.symbol = known.map((row) => (isBound(row) ? "triangle-up-open" : isOpen(row) ? "triangle-up" : symbol));
  if (symbol) trace.marker.size = known.map((row) => (isBound(row) || isOpen(row) ? 12 : trace.marker.size));
  const errors = trace[`error_${axis}`];
  if (errors) trace[`error_${axis}`] = { ...errors, color: symbol ? colour : ink(), array: end(measure.high, 1), arrayminus: end(measure.low, -1) };
  return known.length > 0;
};
const plainAxis = (of) => ({ value: of, isBound: () => false });
const target = plainAxis((row) => cases.target(row));

// An entry of the legend, which has no points.
const entry = (trace, series) => {
  trace.x = trace.y = [null];
  return (series.app === undefined || (state.apps.has(series.app) && state.stores.has(series.store))) && (series.workers === undefined || state.workers.has(series.workers));
};
// Each returns whether its trace has points.
const stackLine = (x, y, text, keep) => (trace, series) => {
  const rows = shown(keep).filter((row) => ofSeries(series, row));
  return put(trace, rows, x, y, (row) => `${caseLabel(row)}<br>${text(row)}<br>${validity(row)}`);
};
const isLatencyLog = () => state.axes !== "linear";
const isRateLog = () => state.axes === "log";
const logAxis = (layout, axis, isLog) => {
  layout[axis] = { ...layout[axis], type: isLog ? "log" : "linear" };
  if (isLog) layout[axis].dtick = undefined;
};
const ends = () => [Math.min(...data.targets), Math.max(...data.targets)];
const scope = (...parts) => parts.filter(Boolean).join(" · ");
const connectionsText = () => `${grouped(state.connections)} connections`;
const exactTarget = (target) => `target ${exact(target)}/s`;
const targetText = () => exactTarget(state.target);
const ink = () => colour("--ink");
const hasIntervals = rowsOf(cases).some((row) => cases.rate_low(row) !== null);
const BARS = hasIntervals ? `bars: ${LEVEL} interval` : "one repetition: no interval";

const charts = {
  latency: {
    scope: () => scope(state.percentile, connectionsText(), BARS),
    fill: (trace, series) => {
      if (series.kind === "limit") {
        if (state.limit === null) return false;
        const [least, most] = ends();
        [trace.x, trace.y] = [[isRateLog() ? least : 0, most], [state.limit / MS, state.limit / MS]];
        trace.name = `limit ${state.limitText}`;
        return true;
      }
      return stackLine(target, latency(), latency().text)(trace, series);
    },
    lay: (layout) => {
      layout.yaxis.title = { text: `${state.percentile}, ms` };
      logAxis(layout, "yaxis", isLatencyLog());
      logAxis(layout, "xaxis", isRateLog());
    },
  },
  rate: {
    scope: () => scope(connectionsText(), BARS),
    fill: (trace, series) => {
      if (series.kind === "diagonal") {
        const [least, most] = ends();
        trace.x = trace.y = [isRateLog() ? least : 0, most];
        return true;
      }
      if (series.kind === "knees") {
        const own = data.knees.filter((knee) => isKneeShown(knee) && data.apps[series.app].name === knee.app && data.stores[series.store].name === knee.store);
        [trace.x, trace.y] = [own.map((knee) => knee.rate_rps), own.map((knee) => knee.rate_rps)];
        trace.hovertext = own.map((knee) => {
          const kept = knee.kept_rps === null ? "misses every target" : `keeps up to ${exact(knee.kept_rps)}/s, misses ${exact(knee.missed_rps)}/s`;
          return `${plain(data.apps[series.app].title)} · ${plain(data.stores[series.store].title)} · ${knee.workers}w<br>knee: levels off at ${grouped(knee.rate_rps)}/s<br>${kept}`;
        });
        return own.length > 0;
      }
      return stackLine(target, rate, rate.text)(trace, series);
    },
    lay: (layout) => {
      logAxis(layout, "xaxis", isRateLog());
      logAxis(layout, "yaxis", isRateLog());
    },
  },
  workers: {
    scope: () => scope(targetText(), connectionsText(), BARS),
    fill: (trace, series) => {
      const rows = shown(atTarget).filter((row) => ofSeries(series, row) && cases.rate(row) !== null);
      const one = rows.find((row) => cases.workers(row) === 1);
      // A target that is met does not show what more workers contribute.
      const isFull = one !== undefined && cases.valid(one) > 0 && cases.is_missed(one) === 1;
      const atLeast = (row) => (cases.is_missed(row) === 1 ? "" : "at least ");
      const efficiency = (row) => (!isFull || !cases.valid(row) ? "" : `, efficiency ${atLeast(row)}${Math.round((cases.rate(row) / cases.rate(one) / cases.workers(row)) * 100)} %`);
      const text = (row) => `${caseLabel(row)}<br>${rate.text(row)}${efficiency(row)}<br>${validity(row)}`;
      if (series.kind === "cases") return put(trace, rows, plainAxis((row) => cases.workers(row)), rate, text);
      const most = Math.max(...rows.map((row) => cases.workers(row)));
      if (series.kind === "ideal") {
        if (!isFull || rows.length < 2) return false;
        [trace.x, trace.y] = [[1, most], [cases.rate(one), cases.rate(one) * most]];
        trace.hoverinfo = "skip";
        return true;
      }
      const law = data.scalings.find((law) => isLawShown(law) && data.apps[series.app].name === law.app && data.stores[series.store].name === law.store);
      if (!law || rows.length < 2) return false;
      const tested = law.points === 3 && law.worst_error < 0.001 ? "three points: the fit is not tested" : `off by at most ${(law.worst_error * 100).toFixed(1)} %`;
      trace.x = Array.from({ length: 41 }, (_, i) => 1 + ((most - 1) * i) / 40);
      trace.hovertext = trace.x.map(() => `${plain(appTitle(rows[0]))} · ${plain(storeTitle(rows[0]))}<br>λ ${number(law.one)}/s, σ ${law.contention.toFixed(3)}, κ ${law.coherency.toFixed(4)}<br>${tested}`);
      trace.y = trace.x.map((n) => (law.one * n) / (1 + law.contention * (n - 1) + law.coherency * n * (n - 1)));
      return true;
    },
    lay: (layout) => logAxis(layout, "yaxis", isRateLog()),
  },
  stores: {
    scope: () => scope(`${mostWorkers()} worker${mostWorkers() === 1 ? "" : "s"}`, targetText(), connectionsText(), BARS),
    fill: (trace, series) => {
      const rows = shown(atTarget).filter((row) => ofSeries(series, row) && cases.workers(row) === mostWorkers());
      const text = (row) => `${caseLabel(row)}<br>${rate.text(row)}<br>${validity(row)}`;
      return put(trace, rows, plainAxis((row) => plain(appTitle(row))), rate, text);
    },
    lay: () => {},
  },
  tradeoff: {
    scope: () => scope(state.percentile, connectionsText()),
    fill: stackLineLater(() => [rate, latency(), (row) => `${rate.text(row)}<br>${latency().text(row)}`]),
    lay: (layout) => {
      layout.yaxis.title = { text: `${state.percentile}, ms` };
      logAxis(layout, "yaxis", isLatencyLog());
      logAxis(layout, "xaxis", isRateLog());
    },
  },
  percentiles: {
    scope: () => scope(exactTarget(percentileTarget()), connectionsText(), notDrawn()),
    fill: (trace, series) => {
      const row = shown(isAt(percentileTarget())).find((row) => ofSeries(series, row));
      if (row === undefined || !cases.valid(row)) return false;
      const points = distribution(row);
      trace.x = points.map((_, i) => 10 ** (i / constants.points_per_decade));
      trace.y = points.map((ns) => ns / MS);
      trace.hovertext = points.map((ns, i) => `${plain(stackName(row))}<br>${percent(i)} ≤ ${time(ns)}`);
      return points.length > 0;
    },
    lay: (layout) => logAxis(layout, "yaxis", isLatencyLog()),
  },
  cpu: {
    scope: () => scope(targetText(), connectionsText(), BARS),
    fill: (trace, series) => {
      const of = (end) => (row) => cases[series.kind + end](row);
      const x = { value: of(""), low: of("_low"), high: of("_high"), isBound: () => false };
      const text = (row) => `${caseLabel(row)}<br>${trace.name}: ${x.value(row).toPrecision(3)} s for 1,000 requests${spread(x.low(row), x.high(row), of("_sd")(row), (value) => `${value.toPrecision(3)} s`)}<br>${validity(row)}`;
      return put(trace, shown(atTarget).reverse(), x, plainAxis((row) => plain(stackName(row))), text, "x");
    },
    lay: () => {},
  },
  drift: {
    scope: () => scope(connectionsText(), "every target"),
    fill: (trace, series) => {
      const own = rowsOf(residuals).filter((i) => {
        const row = residuals.row(i);
        return isShown(trials, row) && trials.app(row) === series.app && trials.store(row) === series.store;
      });
      const row = (i) => residuals.row(i);
      [trace.x, trace.y] = [own.map((i) => trials.position(row(i))), own.map((i) => residuals.ratio(i))];
      trace.hovertext = own.map((i) => `trial ${trials.trial(row(i))}: ${plain(stackName(row(i), trials))}<br>target ${exact(trials.target(row(i)))}/s<br>p50 ${residuals.ratio(i).toFixed(3)} times that of its case`);
      trace.customdata = own.map((i) => trials.trial(row(i)));
      return own.length > 0;
    },
    lay: (layout) => logAxis(layout, "yaxis", isLatencyLog()),
  },
  timeline: {
    scope: () => "",
    fill: (trace, series) => (series.kind in timeline ? secondsOf : usageOf)(trace, series.kind),
    lay: (layout) => logAxis(layout, "yaxis2", isLatencyLog()),
  },
  heat: {
    scope: () => scope(`${heatPercentile()} of the answers that arrived in each second`, "logarithmic colours"),
    fill: (trace) => heatOf(trace),
    lay: () => {},
  },
};

function stackLineLater(of) {
  return (trace, series) => stackLine(...of())(trace, series);
}
function mostWorkers() {
  return Math.max(0, ...state.workers);
}
function isKneeShown(knee) {
  return knee.concurrency === state.connections && state.workers.has(knee.workers) && isNamed(knee);
}
function isNamed({ app, store }) {
  const place = (all, name) => all.findIndex((one) => one.name === name);
  return state.apps.has(place(data.apps, app)) && state.stores.has(place(data.stores, store));
}
function isLawShown(law) {
  return law.concurrency === state.connections && law.target_rps === state.target && isNamed(law);
}
// The chosen target, or the nearest one with a distribution if the chosen one has none: the highest below
// it, or else the lowest above.
function percentileTarget() {
  const known = shown((row) => cases.valid(row) && distribution(row).length).map((row) => cases.target(row));
  const [below, above] = [known.filter((target) => target <= state.target), known.filter((target) => target > state.target)];
  return below.length ? Math.max(...below) : above.length ? Math.min(...above) : state.target;
}
// Why the chart of percentiles has nothing to show.
function emptyText() {
  return notDrawn() ? "No percentile is known" : "Nothing matches these filters";
}
// What the chart of percentiles leaves out.
function notDrawn() {
  const target = percentileTarget();
  const other = target !== state.target && `nothing is known at ${exact(state.target)}/s`;
  const hidden = shown(isAt(target)).filter((row) => cases.valid(row) && !distribution(row).length).length;
  const unranked = shown(isAt(target)).filter((row) => !cases.valid(row)).length;
  return scope(other, hidden && `${hidden} not drawn because unfinished requests hide the percentiles`, unranked && `${unranked} not ranked and not drawn`);
}
function percent(place) {
  const beyond = 100 * 10 ** (-place / constants.points_per_decade);
  return `${(100 - beyond).toFixed(Math.max(0, Math.ceil(-Math.log10(beyond)) + 2))} %`;
}

// One trial.
function secondsOf(trace, kind) {
  const rows = rowsOfTrial(timeline, state.trial);
  const isLatency = !["planned", "completed", "failed"].includes(kind);
  trace.x = rows.map((row) => timeline.second(row));
  trace.y = rows.map((row) => {
    const value = timeline[kind](row);
    return isLatency && value !== null ? value / MS : value;
  });
  return kind !== "failed" || trace.y.some((value) => value > 0);
}
function usageOf(trace, kind) {
  const [part, throttled] = kind.split("_");
  const place = constants.parts.indexOf(part);
  const rows = rowsOfTrial(resources, state.trial).filter((row) => resources.part(row) === place);
  trace.x = rows.map((row) => resources.start_ms(row) / 1000);
  trace.y = rows.map((row) => (throttled ? resources.throttled_milli(row) : resources.cpus_milli(row)) / 1000);
  return throttled ? trace.y.some((value) => value > 0) : rows.length > 0;
}
function heatPercentile() {
  return { p50: "p50", p90: "p95", p95: "p95" }[state.percentile] ?? "p99";
}
function heatOf(trace) {
  const own = trialRow(state.trial);
  if (own === undefined) return false;
  const isSame = (row) => ["app", "store", "workers", "connections", "target"].every((name) => trials[name](row) === trials[name](own));
  const rows = rowsOf(trials).filter(isSame).reverse();
  const seconds = rows.map((row) => rowsOfTrial(timeline, trials.trial(row)));
  const most = Math.max(0, ...seconds.map((of) => of.length));
  const value = (of, i) => (of[i] === undefined ? null : timeline[heatPercentile()](of[i]));
  trace.x = [...Array(most).keys()];
  trace.y = rows.map((row) => `trial ${trials.trial(row)}${row === own ? " ●" : ""}`);
  trace.z = seconds.map((of) => trace.x.map((i) => (value(of, i) === null ? null : Math.log10(value(of, i) / MS))));
  trace.hovertext = seconds.map((of, at) => trace.x.map((i) => (value(of, i) === null ? "" : `${trace.y[at]}, second ${i}<br>${heatPercentile()} ${time(value(of, i))}`)));
  const all = trace.z.flat().filter((z) => z !== null);
  if (!all.length) return false;
  const [least, largest] = [Math.min(...all), Math.max(...all)];
  const ticks = [];
  for (let power = Math.floor(least) - 1; power <= Math.ceil(largest); power++) for (const step of [1, 2, 5]) ticks.push(power + Math.log10(step));
  const inside = ticks.filter((tick) => tick >= least && tick <= largest);
  const shownTicks = inside.length ? inside : [least];
  trace.colorbar = { title: { text: "ms" }, thickness: 14, tickvals: shownTicks, ticktext: shownTicks.map((tick) => String(Number((10 ** tick).toPrecision(2)))) };
  return true;
}
