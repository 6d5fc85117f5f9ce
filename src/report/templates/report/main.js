// Puts everything together.

const held = document.getElementById("held");
const answer = () => {
  if (!held) return;
  const isIt = (one) => one.longest === state.limit && one.connections === state.connections && data.percentiles[one.percentile] === state.percentile;
  const found = data.answers.find(isIt);
  document.getElementById("answer").textContent = found.words;
  for (const row of held.tBodies[0].rows) {
    row.hidden = !state.apps.has(Number(row.dataset.app)) || !state.stores.has(Number(row.dataset.store));
    for (const cell of row.querySelectorAll("[data-cell]")) cell.textContent = found.cells[cell.dataset.cell];
  }
  for (const cell of held.querySelectorAll("[data-workers]")) cell.hidden = !state.workers.has(Number(cell.dataset.workers));
};
const tellFilters = () => {
  const few = (name, all) => (boxes(name).length && boxes(name).some((box) => !box.checked) ? [...chosen(name, all)].join(", ") || `no ${name}` : "");
  const parts = [few("app"), few("store"), few("workers") && `${few("workers")} workers`, connectionsText(), targetText(), state.percentile, state.limitText && `≤ ${state.limitText}`];
  document.getElementById("filtered").textContent = scope(...parts);
};
let isReady = false;
const update = () => {
  readForm();
  answer();
  tellFilters();
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
  // The form has its first values once this event is over.
  setTimeout(() => {
    update();
    writeFragment();
  });
});
// A link to a question opens it.
const open = () => {
  const place = document.getElementById(location.hash.slice(1));
  if (place?.tagName === "DETAILS") place.open = true;
};
addEventListener("hashchange", () => {
  if (isPlace()) {
    open();
    // What was chosen stays in the address.
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
// Paper has another ground and another width, and nothing can be unfolded on it.
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
  // Long, and far down: nobody waits for it.
  isReady = true;
  fillTable();
  for (const card of cards) watcher.observe(card.element);
});
