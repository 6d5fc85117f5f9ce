(() => {
  const byId = (id) => document.getElementById(id);
  let started = null;

  const tell = (id, text) => {
    // What has not changed is not told again.
    if (byId(id).textContent !== text) byId(id).textContent = text;
  };

  const cell = (kind, text, className) => {
    const made = document.createElement(kind);
    made.textContent = text;
    made.className = className;
    return made;
  };

  const span = (ms) => {
    const seconds = Math.max(0, Math.floor(ms / 1000));
    const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
    return `${hours ? `${hours}h ` : ""}${hours || minutes ? `${minutes}m ` : ""}${seconds % 60}s`;
  };

  const tick = () => {
    if (started !== null) tell("elapsed", span(Date.now() - started));
  };

  const row = (trial) => {
    const made = document.createElement("tr");
    const name = cell("th", trial.case, "");
    name.scope = "row";
    made.append(name, cell("td", trial.rate, "n"), cell("td", trial.p95, "n"), cell("td", trial.notes, trial.is_failed ? "prose regressed" : "prose"));
    return made;
  };

  const show = (view) => {
    tell("summary", view.summary);
    tell("what", view.what || "Live");
    byId("note").hidden = !view.note;
    tell("note", view.note || "");
    byId("sealed").hidden = !view.dataset;
    if (view.dataset) byId("dataset").href = `/dataset/${encodeURIComponent(view.dataset)}`;
    const isKnown = view.started_ms !== null;
    byId("run").hidden = !isKnown;
    started = view.state === "running" && isKnown ? view.started_ms : null;
    if (!isKnown) return;
    const progress = byId("progress");
    progress.max = Math.max(1, view.total);
    progress.value = view.done;
    tell("spec", view.spec);
    tell("name", view.run);
    tell("done", `${view.done} of ${view.total}`);
    tell("left", view.state !== "running" ? "–" : view.left || "not known yet");
    if (started === null) tell("elapsed", "–");
    byId("trials").replaceChildren(...view.trials.map(row));
    tick();
  };

  // A browser has six connections to a host: a page that nobody looks at keeps none.
  let source = null;
  const follow = () => {
    source?.close();
    source = null;
    if (document.hidden) return;
    source = new EventSource("/live/events");
    source.addEventListener("view", (event) => show(JSON.parse(event.data)));
    source.addEventListener("error", () => tell("summary", "No connection to the server: is perf-api serve still running?"));
  };
  document.addEventListener("visibilitychange", follow);
  follow();
  setInterval(tick, 1000);
})();
