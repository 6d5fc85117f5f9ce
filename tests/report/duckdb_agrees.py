"""DuckDB reads the latest dataset as it lies there, and finds the figures that the report tells."""

import json
import pathlib
import sys

import duckdb

results = pathlib.Path(sys.argv[1])
manifests = {path.parent: json.loads(path.read_text()) for path in results.glob("*/manifest.json")}
latest = max(manifests, key=lambda folder: manifests[folder]["started"])
told = (results / "report.html").read_text()

rates = duckdb.sql(f"""
    SELECT app, store, coalesce(avg(achieved_rps) FILTER (WHERE is_valid), avg(achieved_rps)), bool_or(is_valid)
    FROM '{latest}/trials.parquet' WHERE failure_stage IS NULL GROUP BY ALL ORDER BY ALL
""").fetchall()
assert rates, "no measured trial"
for app, store, rate, is_ranked in rates:
    print(f"{app} on {store}: mean achieved rate {rate:.1f}/s")
    # A busy host leaves no trial to rank: the figures are then in brackets.
    text = f"{rate:.1f}/s" if is_ranked else f"({rate:.1f}/s)"
    assert f"{text}</td>" in told, f"the report does not show {text}"

# The distribution holds every request, and its p95 is the one in the summary.
for trial, completed, censored, p95, is_bound in duckdb.sql(f"""
    SELECT trial, completed, censored, latency_p95_ns, latency_p95_is_bound
    FROM '{latest}/trials.parquet' WHERE failure_stage IS NULL
""").fetchall():
    buckets = duckdb.sql(f"""
        SELECT high_ns, count, censored FROM '{latest}/latency.parquet'
        WHERE trial = {trial} ORDER BY low_ns
    """).fetchall()
    assert sum(count for _, count, _ in buckets) == completed
    assert sum(cut for _, _, cut in buckets) == censored
    seen, rank = 0, -(-95 * (completed + censored) // 100)
    for high, count, cut in buckets:
        seen += count + cut
        if seen >= rank:
            assert is_bound or high == p95, f"trial {trial}: {high} is not {p95}"
            break
print("DuckDB and the report agree")
