(() => {
  const MAX_SHOWN = 1000;
  const byId = (id) => document.getElementById(id);
  const form = byId("ask"), query = byId("query"), dataset = byId("dataset"), run = byId("run");
  const state = byId("state"), error = byId("error"), answer = byId("answer");
  let last = null;

  const cell = (kind, text, className) => {
    const made = document.createElement(kind);
    made.textContent = text;
    if (className) made.className = className;
    return made;
  };

  const isNumber = (type) => /^(U?Int|Float|Decimal)/.test(type);

  const showRows = ({ columns, rows }) => {
    const header = document.createElement("tr");
    for (const { name, type } of columns) {
      const made = cell("th", name, isNumber(type) ? "n" : "");
      made.scope = "col";
      made.title = type;
      header.append(made);
    }
    byId("columns").replaceChildren(header);
    const made = rows.slice(0, MAX_SHOWN).map((row) => {
      const line = document.createElement("tr");
      row.forEach((value, index) => {
        const numeric = isNumber(columns[index].type) ? "n" : "value";
        line.append(value === null ? cell("td", "NULL", "none") : cell("td", value, numeric));
      });
      return line;
    });
    byId("rows").replaceChildren(...made);
  };

  const summary = ({ rows, is_cut, took_ms }) => {
    const many = rows.length === 1 ? "1 row" : `${rows.length} rows`;
    const parts = [is_cut ? `The first ${many}, there are more` : many, `${took_ms} ms`];
    if (rows.length > MAX_SHOWN) parts.push(`the first ${MAX_SHOWN} are shown, the CSV has all ${rows.length}`);
    return `${parts.join("; ")}.`;
  };

  const showError = (failure) => {
    const lines = [failure.error, ...(failure.hints || [])].map((line) => cell("p", line, "lines"));
    error.replaceChildren(...lines);
    error.hidden = false;
    state.textContent = "";
  };

  const ask = async () => {
    if (run.disabled) return;
    run.disabled = true;
    error.hidden = true;
    answer.hidden = true;
    state.textContent = "Running …";
    try {
      const response = await fetch("/sql", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ query: query.value, dataset: dataset.value || null }),
      });
      const text = await response.text();
      if (!response.headers.get("content-type")?.startsWith("application/json")) {
        showError({ error: text });
      } else if (response.ok) {
        last = JSON.parse(text);
        showRows(last);
        answer.hidden = false;
        state.textContent = summary(last);
      } else {
        showError(JSON.parse(text));
      }
    } catch {
      showError({ error: "No answer from the server. Is perf-api serve still running?" });
    } finally {
      run.disabled = false;
    }
  };

  const field = (value) => (value === null ? "" : /[",\r\n]/.test(value) || value === "" ? `"${value.replaceAll('"', '""')}"` : value);

  // A text that a spreadsheet would read as a formula starts with a quote, as in `perf-api sql`.
  const inert = (value) => (value !== null && /^[=+\-@\t\r\n]/.test(value) ? `'${value}` : value);

  byId("csv").addEventListener("click", () => {
    const inertCell = (value, column) => (/Utf8/.test(last.columns[column].type) ? inert(value) : value);
    const lines = [last.columns.map(({ name }) => inert(name)), ...last.rows.map((row) => row.map(inertCell))];
    const text = lines.map((line) => line.map(field).join(",")).join("\r\n") + "\r\n";
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
    link.download = "answer.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  });

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    ask();
  });
  query.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      ask();
    }
  });
})();
