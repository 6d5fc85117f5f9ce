"""The reference: oha files to a CSV and a Plotly page.

reference.py OHA_FOLDER OUTPUT_FOLDER

Reads a folder of `oha --output-format json` files, one for each trial, named as
`fastapi_redis_w2_c100_q5000_r3.json`, and writes `summary.csv` (mean and standard deviation over
repetitions) and `report.html` (four charts, with Plotly inside).
"""

import json
import re
import sys
from pathlib import Path

import pandas as pd
import plotly.graph_objects as go

NAME = re.compile(
    r"(?P<app>[^_]+)_(?P<store>[^_]+)"
    r"_w(?P<workers>\d+)_c(?P<concurrency>\d+)_q(?P<qps>\d+)_r(?P<repetition>\d+)"
)
PAGE = """<!doctype html>
<html>
<head><meta charset="utf-8"><title>Benchmark</title></head>
<body>
<h1>Benchmark</h1>
{body}
</body>
</html>
"""
FACTORS = ["app", "store", "workers", "concurrency", "qps"]
PERCENTILES = ["p50", "p90", "p95", "p99", "p99.9"]


def read(folder: Path) -> pd.DataFrame:
    rows = []
    for path in sorted(folder.glob("*.json")):
        case = NAME.fullmatch(path.stem).groupdict()
        result = json.loads(path.read_bytes())
        row = {key: value if key in ("app", "store") else int(value) for key, value in case.items()}
        row["rps"] = result["summary"]["requestsPerSec"]
        row["success_rate"] = result["summary"]["successRate"]
        for name in PERCENTILES:
            row[f"{name}_ms"] = result["latencyPercentiles"][name] * 1000
        rows.append(row)
    return pd.DataFrame(rows)


def summarise(trials: pd.DataFrame) -> pd.DataFrame:
    summary = trials.drop(columns="repetition").groupby(FACTORS).agg(["mean", "std"])
    summary.columns = [f"{metric}_{statistic}" for metric, statistic in summary.columns]
    return summary.reset_index()


def lines(cases: pd.DataFrame, by: list[str], x: str, metric: str, **layout) -> go.Figure:
    figure = go.Figure(layout=layout)
    for names, group in cases.groupby(by):
        figure.add_trace(go.Scatter(
            x=group[x],
            y=group[f"{metric}_mean"],
            error_y={"type": "data", "array": group[f"{metric}_std"]},
            mode="lines+markers",
            name=", ".join(map(str, names)),
        ))
    return figure


def charts(summary: pd.DataFrame) -> list[go.Figure]:
    cases = summary[summary.concurrency == summary.concurrency.min()]
    highest = cases[cases.qps == cases.qps.max()]
    best = highest[highest.workers == highest.workers.max()]
    stack = ["app", "store", "workers"]

    achieved = lines(
        cases, stack, "qps", "rps",
        title="Achieved RPS against target QPS", xaxis_title="target QPS", yaxis_title="achieved RPS",
    )
    p95 = lines(
        cases, stack, "qps", "p95_ms",
        title="p95 against target QPS", xaxis_title="target QPS", yaxis_title="p95 in ms",
        yaxis_type="log",
    )
    workers = lines(
        highest, ["app", "store"], "workers", "rps",
        title=f"RPS against workers at {cases.qps.max()} QPS", xaxis_title="workers", yaxis_title="achieved RPS",
    )

    stores = go.Figure()
    for store, group in best.groupby("store"):
        stores.add_trace(go.Bar(
            x=group.app,
            y=group.rps_mean,
            error_y={"type": "data", "array": group.rps_std},
            name=store,
        ))
    title = " against ".join(best.store.unique())
    title += f", {best.workers.max()} workers at {cases.qps.max()} QPS"
    stores.update_layout(title=title, barmode="group", yaxis_title="achieved RPS")
    return [achieved, p95, workers, stores]


def main() -> None:
    source, target = map(Path, sys.argv[1:])
    summary = summarise(read(source))
    summary.to_csv(target / "summary.csv", index=False)
    # The first figure brings Plotly, the others find it there.
    divs = [
        figure.to_html(full_html=False, include_plotlyjs=index == 0)
        for index, figure in enumerate(charts(summary))
    ]
    body = "\n".join(divs)
    (target / "report.html").write_text(PAGE.format(body=body))


if __name__ == "__main__":
    main()
