(() => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const select = document.getElementById("metric");
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const draw = (target, source) => {
    const { data, layout } = JSON.parse(source.textContent);
    const line = colour("--line");
    const axis = { gridcolor: line, zerolinecolor: line, linecolor: line };
    layout.font = { color: colour("--ink"), family: "system-ui, sans-serif" };
    layout.modebar = { bgcolor: "transparent", color: colour("--quiet"), activecolor: colour("--ink") };
    layout.xaxis = { ...layout.xaxis, ...axis };
    layout.yaxis = { ...layout.yaxis, ...axis };
    Plotly.react(target, data, layout, { responsive: true, displaylogo: false });
  };
  const drawIntervals = () => {
    if (!select) return;
    const sources = [...document.querySelectorAll("script[data-metric]")];
    const source = sources.find((one) => one.dataset.metric === select.value);
    const target = document.getElementById("intervals");
    document.getElementById("intervals-caption").textContent = source.dataset.caption;
    target.setAttribute("aria-label", `Intervals of ${source.dataset.title} of all cases. The numbers are in the table of every figure below.`);
    draw(target, source);
  };
  const drawAll = () => {
    drawIntervals();
    for (const source of document.querySelectorAll("script[data-chart]")) draw(source.dataset.chart, source);
  };
  drawAll();
  if (select) select.addEventListener("change", drawIntervals);
  dark.addEventListener("change", drawAll);
  matchMedia("print").addEventListener("change", drawAll);
})();
