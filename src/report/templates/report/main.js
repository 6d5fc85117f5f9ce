// Connects the parts, and draws the page for the first time.

const sustained = document.getElementById("sustained");
// The answers to the questions: without a limit, and with the chosen one.
const answer = () => {
  if (!sustained) return;
  const ofConnections = data.answers.filter((one) => one.connections === state.connections);
  const pace = ofConnections.find((one) => one.longest === undefined);
  const found = ofConnections.find((one) => one.longest === state.limit && data.percentiles[one.percentile] === state.percentile);
  document.getElementById("answer").textContent = pace.text;
  document.getElementById("assumption").textContent = found.text;
  for (const row of sustained.tBodies[0].rows) {
    row.hidden = !state.apps.has(Number(row.dataset.app)) || !state.stores.has(Number(row.dataset.store));
    for (const cell of row.querySelectorAll("[data-cell]")) cell.textContent = found.cells[cell.dataset.cell];
  }
  for (const cell of sustained.querySelectorAll("[data-workers]")) cell.hidden = !state.workers.has(Number(cell.dataset.workers));
};
const showFilters = () => {
  const few = (name, all) => (boxes(name).length && boxes(name).some((box) => !box.checked) ? [...chosen(name, all)].join(", ") || `no ${name}` : "");
  const parts = [few("app"), few("store"), few("workers") && `${few("workers")} workers`, connectionsText(), targetText(), state.percentile, state.limitText && `< ${state.limitText}`];
  document.getElementById("filtered").textContent = scope(...parts);
};
let isReady = false;
const update = () => {
  readForm();
  answer();
  showFilters();
  fillChooser();
  if (isReady) fillTable();
  stale();
  return drawSeen();
};

form.addEventListener("input", () => {
  update();
  writeFragment();
});
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("reset", () => {
  Object.assign(state, { isTrialChosen: false, trial: null, sort: "position", descending: false });
  // The form has its default values after this event.
  setTimeout(() => {
    update();
    writeFragment();
  });
});
// A link to a query opens it.
const open = () => {
  const place = document.getElementById(location.hash.slice(1));
  if (place?.tagName === "DETAILS") place.open = true;
};
addEventListener("hashchange", () => {
  if (isPlace()) {
    open();
    // The choices stay in the address.
    if (toFragment()) writeFragment();
    return;
  }
  fromFragment(location.hash.slice(1));
  update();
});
const repaint = () => {
  stale();
  drawSeen();
};
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
isNarrow.addEventListener("change", repaint);
// A printed page has another background and width, and its details cannot be opened.
paper.addEventListener("change", () => {
  stale();
  drawAll();
});
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("#cases ~ details")) details.open = true;
  drawAll();
});

if (matchMedia("(max-width: 768px)").matches) form.querySelector("details").open = false;
if (!isPlace()) fromFragment(location.hash.slice(1));
else open();
cards[0].isSeen = true;
update().then(() => {
  performance.mark("interactive");
  // The table is long and far down the page, so it is filled last.
  isReady = true;
  fillTable();
  for (const card of cards) watcher.observe(card.element);
});
