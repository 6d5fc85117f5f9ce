// Each chart with its buttons: drawn when it comes into view, shown as a table, enlarged, saved.

const cards = [...document.querySelectorAll(".card")].map((element) => ({
  element,
  id: element.dataset.chart,
  target: element.querySelector(".chart"),
  numbers: element.querySelector(".numbers"),
  title: element.querySelector("h2, h3").textContent,
  source: JSON.parse(element.querySelector("script").textContent),
  isSeen: false,
  isStale: true,
}));

const paper = matchMedia("print");
// The width of a chart on A4, in pixels.
const PAPER_WIDTH = 660;
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const isNarrow = matchMedia("(max-width: 600px)");

// A logarithmic axis over few decades has ticks at 1, 2 and 5.
const coarsen = (axis, values) => {
  if (axis.type !== "log" || axis.tickvals) return;
  const known = values.filter((value) => value > 0);
  if (Math.max(...known) / Math.min(...known) < 1000) axis.dtick = "D2";
};
const figureOf = (card) => {
  const { figure, series } = card.source;
  const data = figure.data.flatMap((source, place) => {
    const trace = { ...source };
    const fill = series[place].kind === "entry" ? entry : charts[card.id].fill;
    return fill(trace, series[place]) ? [trace] : [];
  });
  const layout = structuredClone(figure.layout);
  const line = colour("--line");
  for (const name of Object.keys(layout).filter((name) => /^[xy]axis/.test(name))) {
    Object.assign(layout[name], { gridcolor: line, zerolinecolor: line, linecolor: line });
  }
  layout.font = { color: colour("--ink"), family: "system-ui, sans-serif", size: 12 };
  layout.hoverlabel = { bgcolor: colour("--paper"), bordercolor: colour("--edge"), font: { color: colour("--ink") }, align: "left" };
  if (isNarrow.matches) Object.assign(layout.margin, { l: 48, r: 8 });
  charts[card.id].lay(layout);
  for (const name of Object.keys(layout).filter((name) => /^[xy]axis/.test(name))) {
    const [letter, place] = [name[0], name.slice(5)];
    const own = data.filter((trace) => (trace[`${letter}axis`] ?? letter).slice(1) === place);
    coarsen(layout[name], own.flatMap((trace) => trace[letter]));
  }
  if (paper.matches) layout.width = PAPER_WIDTH;
  if (!data.some((trace) => trace.x.some((x) => x !== null))) {
    layout.annotations = [{ text: card.id === "percentiles" ? emptyText() : "Nothing matches these filters", showarrow: false, xref: "paper", yref: "paper", x: 0.5, y: 0.5 }];
  }
  return { data, layout };
};

const draw = async (card) => {
  card.isStale = false;
  const { data, layout } = figureOf(card);
  card.element.querySelector(".scope").textContent = charts[card.id].scope();
  if (!card.numbers.hidden) showNumbers(card, data, layout);
  await Plotly.react(card.target, data, layout, { responsive: true, displayModeBar: false });
  if (card.id === "drift" && !card.isHeard) {
    card.isHeard = true;
    card.target.on("plotly_click", ({ points }) => chooseTrial(points[0].customdata));
  }
};
const drawSeen = () => Promise.all(cards.filter((card) => card.isSeen && card.isStale).map(draw));
const drawAll = () => {
  for (const card of cards) card.isSeen = true;
  return drawSeen();
};
const stale = (only = () => true) => {
  for (const card of cards) if (only(card)) card.isStale = true;
};

const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (entry.isIntersecting) cards.find((card) => card.element === entry.target).isSeen = true;
  }
  drawSeen();
}, { rootMargin: "200px" });

// The numbers of a chart as a table, for screen readers among others.
const element = (name, text, attributes = {}) => {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
};
const unescaped = (text) => String(text).replace(/<br>/g, "; ").replace(/&lt;/g, "<").replace(/&gt;/g, ">").replace(/&amp;/g, "&");
const showNumbers = (card, data, layout) => {
  // With several axes each series has its own unit.
  const unitOf = (trace) => axisTitle(layout[`yaxis${(trace.yaxis ?? "y").slice(1)}`]);
  const hasUnits = Object.keys(layout).filter((name) => name.startsWith("yaxis")).length > 1;
  const isHeat = data.some((trace) => trace.type === "heatmap");
  const value = isHeat ? "latency, ms" : hasUnits ? "value" : axisTitle(layout.yaxis) || "stack";
  const head = ["series", axisTitle(layout.xaxis) || "stack", value, "details"];
  const made = element("table");
  made.append(element("caption", `${card.title}. ${charts[card.id].scope()}`));
  const row = element("tr");
  for (const text of head) row.append(element("th", text, { scope: "col" }));
  made.createTHead().append(row);
  const body = made.createTBody();
  const textOf = (value) => (typeof value === "number" ? COUNTS.format(Number(value.toPrecision(4))) : unescaped(value ?? "–"));
  const add = (name, x, y, details) => {
    const line = body.insertRow();
    for (const [text, kind] of [[name, ""], [textOf(x), "n"], [textOf(y), "n"], [details ? unescaped(details) : "", "prose"]]) line.append(element("td", text, kind ? { class: kind } : {}));
  };
  for (const trace of data) {
    const name = unescaped(trace.name ?? "") + (hasUnits ? `: ${unitOf(trace)}` : "");
    const isBound = (i) => trace.marker?.symbol?.[i] === "triangle-up-open";
    if (trace.type === "heatmap") trace.y.forEach((name, at) => trace.x.forEach((x, i) => trace.z[at][i] !== null && add(unescaped(name), x, 10 ** trace.z[at][i], trace.hovertext[at][i])));
    else trace.x.forEach((x, i) => x !== null && add(name, x, isBound(i) ? `> ${textOf(trace.y[i])}` : trace.y[i], trace.hovertext?.[i]));
  }
  card.numbers.replaceChildren(made);
};
const axisTitle = (axis) => axis?.title?.text ?? "";

const stage = document.getElementById("stage");
let staged = null;
const enlarge = (card) => {
  staged = { card, button: document.activeElement };
  stage.querySelector("h2").textContent = card.title;
  stage.querySelector(".place").append(card.target);
  stage.showModal();
  Plotly.Plots.resize(card.target);
};
stage.addEventListener("close", () => {
  staged.card.element.insertBefore(staged.card.target, staged.card.numbers);
  Plotly.Plots.resize(staged.card.target);
  staged.button.focus();
});
stage.querySelector("button").addEventListener("click", () => stage.close());

const actions = {
  table: (card, button) => {
    card.numbers.hidden = !card.numbers.hidden;
    button.setAttribute("aria-expanded", String(!card.numbers.hidden));
    if (!card.numbers.hidden) {
      const { data, layout } = figureOf(card);
      showNumbers(card, data, layout);
    }
  },
  enlarge,
  png: (card) => save(card, "png"),
  svg: (card) => save(card, "svg"),
};
// With the page's own background: a picture is shown elsewhere.
const save = async (card, format) => {
  const picture = figureOf(card);
  Object.assign(picture.layout, { paper_bgcolor: colour("--paper"), plot_bgcolor: colour("--paper"), title: { text: plain(card.title) } });
  picture.layout.margin.t = 56;
  await Plotly.downloadImage(picture, { format, width: 1200, height: 750, scale: 2, filename: `${data.dataset}-${card.id}` });
};
for (const card of cards) {
  for (const button of card.element.querySelectorAll("button[data-action]")) {
    button.addEventListener("click", () => actions[button.dataset.action](card, button));
  }
}
