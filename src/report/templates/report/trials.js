// The chosen trial, and the table of all.

const chooser = document.getElementById("trial");
const trialsTable = document.getElementById("trials-table");
const containing = document.getElementById("containing");
const trialsStatus = document.getElementById("trials-status");

const caseText = (row) => `${stackName(row, trials)}, ${grouped(trials.connections(row))} connections, ${exact(trials.target(row))}/s`;
const bySort = (rows, name, isDescending) => {
  const key = COLUMNS.find((one) => one.name === name)?.key ?? trials.position;
  const sign = isDescending ? -1 : 1;
  // Rows without a value come last in either order.
  const compare = (a, b) => {
    const [x, y] = [key(a), key(b)];
    if ((x === null) !== (y === null)) return x === null ? 1 : -1;
    return x < y ? -sign : x > y ? sign : sign * (trials.position(a) - trials.position(b));
  };
  return rows.sort(compare);
};

// The trials at the chosen target, and the chosen trial.
const offered = () => bySort(rowsOf(trials).filter((row) => isShown(trials, row) && trials.target(row) === state.target), "position", false);
const fillChooser = () => {
  const rows = offered();
  const has = rows.some((row) => trials.trial(row) === state.trial);
  if (!has && !state.isTrialChosen) state.trial = rows.length ? trials.trial(rows[0]) : null;
  if (!has && state.isTrialChosen) rows.unshift(trialRow(state.trial));
  chooser.replaceChildren(...rows.map((row) => element("option", `${trials.trial(row)}: ${caseText(row)}, repetition ${trials.block(row) + 1}`, { value: trials.trial(row) })));
  chooser.value = state.trial;
  showTrial();
};
const figure = (row, name) => {
  const value = trials[name](row);
  if (value === null) return "–";
  const text = trials[`${name}_bound`](row) ? openTime(value, trials[`${name}_upper`](row)) : time(value);
  return isSupported(name, trials.completed(row) + trials.censored(row)) ? text : `${text}†`;
};
const verdict = (row) => {
  const failure = failures.get(trials.trial(row));
  if (failure) return `failed at ${failure}`;
  return data.flag_sets[trials.flags(row)].split(",").filter(Boolean).join(", ");
};
const showTrial = () => {
  const row = state.trial === null ? undefined : trialRow(state.trial);
  const summary = document.getElementById("trial-summary");
  if (row === undefined) {
    summary.textContent = "No trial matches these filters.";
    return;
  }
  const flags = verdict(row);
  const cut = data.is_cut ? " This dataset has too many seconds for one page: perf-api sql has all of them." : "";
  summary.textContent = `Number ${trials.position(row) + 1} of ${trials.trial.rows} in the order of execution: ${trials.rate(row) === null ? "no rate" : `${number(trials.rate(row))}/s`}, p50 ${figure(row, "p50")}, p99 ${figure(row, "p99")}. ${trials.is_valid(row) ? "Valid" : "Not ranked"}${flags ? `: ${flags}` : ""}.${cut}`;
};
const chooseTrial = (trial) => {
  state.trial = trial;
  state.isTrialChosen = true;
  fillChooser();
  stale((card) => card.id === "timeline" || card.id === "heat");
  drawSeen();
  writeFragment();
};
const step = (by) => {
  const options = [...chooser.options].map((option) => Number(option.value));
  const next = options[options.indexOf(state.trial) + by];
  if (next !== undefined) chooseTrial(next);
};
chooser.addEventListener("change", () => chooseTrial(Number(chooser.value)));
document.getElementById("earlier").addEventListener("click", () => step(-1));
document.getElementById("later").addEventListener("click", () => step(1));

const COLUMNS = [
  { name: "trial", key: trials.trial },
  { name: "position", title: "order", key: trials.position, text: (row) => trials.position(row) + 1 },
  { name: "app", key: (row) => data.apps[trials.app(row)].name, isText: true },
  { name: "store", key: (row) => data.stores[trials.store(row)].name, isText: true },
  { name: "workers", key: trials.workers },
  { name: "connections", key: trials.connections },
  { name: "target", title: "target/s", key: trials.target },
  { name: "block", title: "repetition", key: trials.block, text: (row) => trials.block(row) + 1 },
  { name: "rate", title: "achieved/s", key: trials.rate, text: (row) => (trials.rate(row) === null ? "–" : number(trials.rate(row))) },
  ...data.percentiles.map((name) => ({ name, key: trials[name], text: (row) => figure(row, name), isLatency: true })),
  { name: "planned", key: (row) => (trials.has_failed(row) ? null : trials.planned(row)) },
  { name: "completed", key: (row) => (trials.has_failed(row) ? null : trials.completed(row)) },
  { name: "failed", key: (row) => (trials.has_failed(row) ? null : trials.failed(row)) },
  { name: "censored", title: "unfinished", key: (row) => (trials.has_failed(row) ? null : trials.censored(row)) },
  { name: "app_cpu", title: "app CPU s/1,000", key: trials.app_cpu, text: (row) => trials.app_cpu(row)?.toPrecision(3) ?? "–" },
  { name: "store_cpu", title: "store CPU s/1,000", key: trials.store_cpu, text: (row) => trials.store_cpu(row)?.toPrecision(3) ?? "–" },
  ...data.listed.map((name) => ({ name, key: trials[name] })),
  { name: "is_valid", title: "valid", key: trials.is_valid, text: (row) => (trials.is_valid(row) ? "yes" : "no") },
  { name: "flags", key: verdict, isText: true },
];
const textOf = (one, row) => {
  if (one.text) return String(one.text(row));
  const value = one.key(row);
  return one.isText ? value : value === null ? "–" : COUNTS.format(value);
};

const listed = () => {
  const wanted = containing.value.trim().toLowerCase();
  const rows = rowsOf(trials).filter((row) => isShown(trials, row) && (!wanted || COLUMNS.some((one) => textOf(one, row).toLowerCase().includes(wanted))));
  return bySort(rows, state.sort, state.descending);
};
const fillTable = () => {
  const row = element("tr");
  for (const one of COLUMNS) {
    const cell = element("th", undefined, { scope: "col", ...(one.isText ? {} : { class: "n" }) });
    const button = element("button", one.title ?? one.name, { type: "button" });
    button.addEventListener("click", () => {
      state.descending = state.sort === one.name && !state.descending;
      state.sort = one.name;
      fillTable();
      writeFragment();
      [...trialsTable.tHead.querySelectorAll("button")][COLUMNS.indexOf(one)].focus();
    });
    if (state.sort === one.name) cell.setAttribute("aria-sort", state.descending ? "descending" : "ascending");
    cell.append(button);
    row.append(cell);
  }
  trialsTable.tHead.replaceChildren(row);
  const rows = listed();
  trialsTable.tBodies[0].replaceChildren(...rows.map(trialLine));
  trialsStatus.textContent = `${grouped(rows.length)} of ${grouped(trials.trial.rows)} trials`;
};
const trialLine = (row) => {
  const line = element("tr");
  for (const one of COLUMNS) {
    const cell = element("td", one.name === "trial" ? undefined : textOf(one, row), one.isText ? {} : { class: "n" });
    if (one.name === "trial") {
      const button = element("button", textOf(one, row), { type: "button", "aria-label": `Show trial ${textOf(one, row)}` });
      button.addEventListener("click", () => {
        chooseTrial(trials.trial(row));
        document.getElementById("one-trial").scrollIntoView({ block: "start" });
        chooser.focus({ preventScroll: true });
      });
      cell.append(button);
    }
    line.append(cell);
  }
  return line;
};

// Full numbers for programs: latencies in nanoseconds, whether they are a bound, and the upper end.
// A text that a spreadsheet would read as a formula starts with a quote, as in `perf-api sql --format csv`.
const csv = () => {
  const inert = (text) => (/^[=+\-@\t\r\n]/.test(text) ? `'${text}` : text);
  const quoted = (value) => (/[",\n\r]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
  const cells = COLUMNS.flatMap((one) => (one.isLatency ? [[`${one.name}_ns`, one.key], [`${one.name}_is_bound`, (row) => (one.key(row) === null ? null : trials[`${one.name}_bound`](row) === 1)], [`${one.name}_high_ns`, trials[`${one.name}_upper`]]] : [[one.name, one.isText ? (row) => inert(one.key(row) ?? "") : one.key]]));
  const lines = [cells.map(([name]) => name), ...listed().map((row) => cells.map(([, of]) => quoted(String(of(row) ?? ""))))];
  return lines.map((line) => line.join(",")).join("\n") + "\n";
};
const saveFile = (name, parts, type) => {
  const address = URL.createObjectURL(new Blob(parts, { type }));
  element("a", undefined, { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
};
document.getElementById("save-csv").addEventListener("click", () => saveFile(`${data.dataset}-trials.csv`, [csv()], "text/csv"));
document.getElementById("copy-csv").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(csv());
    trialsStatus.textContent = `${grouped(listed().length)} trials are on the clipboard`;
  } catch {
    trialsStatus.textContent = "This browser does not let pages copy. Save as CSV instead";
  }
});
document.getElementById("save-parquet")?.addEventListener("click", () => {
  const bytes = Uint8Array.from(atob(document.getElementById("parquet").textContent), (byte) => byte.charCodeAt(0));
  saveFile(`${data.dataset}-trials.parquet`, [bytes], "application/vnd.apache.parquet");
});
containing.addEventListener("input", () => fillTable());
