// The reader's choices, in the form and in the address, so that a link restores them.

const form = document.getElementById("filters");
const field = (name) => form.elements.namedItem(name);
const boxes = (name) => [...form.querySelectorAll(`input[name="${name}"]`)];
const selects = () => [...form.querySelectorAll("select")];

const state = { trial: null, sort: "position", descending: false };

// The chosen values. A factor with one level has no boxes.
const chosen = (name, all) => {
  const own = boxes(name);
  return new Set(own.length ? own.filter((box) => box.checked).map((box) => box.value) : all);
};
const readForm = () => {
  const apps = chosen("app", data.apps.map((app) => app.name));
  const stores = chosen("store", data.stores.map((store) => store.name));
  const workers = chosen("workers", data.workers.map(String));
  state.apps = new Set(data.apps.flatMap((app, place) => (apps.has(app.name) ? [place] : [])));
  state.stores = new Set(data.stores.flatMap((store, place) => (stores.has(store.name) ? [place] : [])));
  state.workers = new Set([...workers].map(Number));
  state.connections = Number(field("connections").value);
  state.target = Number(field("target").value);
  state.percentile = field("percentile").value;
  state.axes = field("axes").value;
  const limit = field("limit");
  state.limit = limit ? Number(limit.selectedOptions[0].dataset.ns) : null;
  state.limitText = limit ? limit.value : "";
};

const isOfStack = (of, row) => state.apps.has(of.app(row)) && state.stores.has(of.store(row)) && state.workers.has(of.workers(row));
const isShown = (of, row) => isOfStack(of, row) && of.connections(row) === state.connections;

const defaultOf = (select) => [...select.options].find((option) => option.defaultSelected) ?? select.options[0];

// Only what differs from the defaults.
const toFragment = () => {
  const parts = new URLSearchParams();
  for (const name of ["app", "store", "workers"]) {
    const own = boxes(name);
    if (own.some((box) => !box.checked)) parts.set(name, own.filter((box) => box.checked).map((box) => box.value).join(","));
  }
  for (const select of selects()) {
    if (select.value !== defaultOf(select).value) parts.set(select.name, select.value);
  }
  if (state.isTrialChosen) parts.set("trial", state.trial);
  if (state.sort !== "position" || state.descending) parts.set("sort", (state.descending ? "-" : "") + state.sort);
  return parts.toString().replaceAll("%2C", ",");
};
// Invalid values are replaced by the defaults: an address is untrusted input.
const fromFragment = (text) => {
  const parts = new URLSearchParams(text);
  for (const name of ["app", "store", "workers"]) {
    const own = boxes(name);
    const wanted = new Set((parts.get(name) ?? "").split(","));
    const isChoice = parts.get(name) === "" || own.some((box) => wanted.has(box.value));
    for (const box of own) box.checked = isChoice ? wanted.has(box.value) : box.defaultChecked;
  }
  for (const select of selects()) {
    const wanted = [...select.options].find((option) => option.value === parts.get(select.name));
    select.value = (wanted ?? defaultOf(select)).value;
  }
  const sort = parts.get("sort") ?? "";
  const isColumn = COLUMNS.some((one) => one.name === sort.replace(/^-/, ""));
  state.descending = isColumn && sort.startsWith("-");
  state.sort = isColumn ? sort.replace(/^-/, "") : "position";
  const trial = rowsOf(trials).find((row) => String(trials.trial(row)) === parts.get("trial"));
  state.isTrialChosen = trial !== undefined;
  state.trial = trial === undefined ? null : trials.trial(trial);
};
const writeFragment = () => {
  const fragment = toFragment();
  const address = fragment ? `#${fragment}` : location.pathname + location.search;
  if (location.hash.slice(1) !== fragment) history.replaceState(null, "", address);
};
// A fragment without a choice is an anchor.
const isPlace = () => location.hash.length > 1 && !location.hash.includes("=");
