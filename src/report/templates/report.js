(() => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const axis = () => {
    const line = colour("--line");
    return { gridcolor: line, zerolinecolor: line, linecolor: line };
  };
  const draw = () => {
    const modebar = { bgcolor: "transparent", color: colour("--quiet"), activecolor: colour("--ink") };
    for (const source of document.querySelectorAll("script[data-chart]")) {
      const { data, layout } = JSON.parse(source.textContent);
      layout.font = { color: colour("--ink"), family: "system-ui, sans-serif" };
      layout.modebar = modebar;
      layout.xaxis = { ...layout.xaxis, ...axis() };
      layout.yaxis = { ...layout.yaxis, ...axis() };
      Plotly.react(source.dataset.chart, data, layout, { responsive: true, displaylogo: false });
    }
  };
  draw();
  dark.addEventListener("change", draw);
})();
