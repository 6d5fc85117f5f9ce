(() => {
  const byId = (id) => document.getElementById(id);
  let started = null;

  const setText = (id, text) => {
    // Screen readers announce a text again when it is set, even if it is the same.
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
    if (started !== null) setText("elapsed", span(Date.now() - started));
  };

  const row = (trial) => {
    const made = document.createElement("tr");
    const name = cell("th", trial.case, "");
    name.scope = "row";
    made.append(name, cell("td", trial.rate, "n"), cell("td", trial.p95, "n"), cell("td", trial.notes, trial.is_failed ? "prose regressed" : "prose"));
    return made;
  };

  const show = (view) => {
    setText("summary", view.summary);
    setText("what", view.what || "Live");
    byId("note").hidden = !view.note;
    setText("note", view.note || "");
    byId("sealed").hidden = !view.dataset;
    if (view.dataset) byId("dataset").href = `/dataset/${encodeURIComponent(view.dataset)}`;
    const isKnown = view.started_ms !== null;
    byId("run").hidden = !isKnown;
    started = view.state === "running" && isKnown ? view.started_ms : null;
    if (!isKnown) return;
    const progress = byId("progress");
    progress.max = Math.max(1, view.total);
    progress.value = view.done;
    setText("spec", view.spec);
    setText("name", view.run);
    setText("done", `${view.done} of ${view.total}`);
    setText("left", view.state !== "running" ? "–" : view.left || "not known yet");
    if (started === null) setText("elapsed", "–");
    byId("trials").replaceChildren(...view.trials.map(row));
    tick();
  };

  // A browser has six connections to a host: a hidden page keeps none.
  let source = null;
  const follow = () => {
    source?.close();
    source = null;
    if (document.hidden) return;
    source = new EventSource("/live/events");
    source.addEventListener("view", (event) => show(JSON.parse(event.data)));
    source.addEventListener("error", () => setText("summary", "No connection to the server. Is perf-api serve still running?"));
  };
  document.addEventListener("visibilitychange", follow);
  follow();
  setInterval(tick, 1000);
})();
