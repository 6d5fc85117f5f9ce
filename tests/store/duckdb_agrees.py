"""The SQL functions of perf-api and DuckDB's own arithmetic find the same in the same tables.

python tests/store/duckdb_agrees.py PERF_API DATASET
"""

import json
import pathlib
import subprocess
import sys

import duckdb

program, name = sys.argv[1:]
shown = subprocess.run([program, "results", "show", name, "--format", "json"], check=True, capture_output=True)
dataset = json.loads(shown.stdout)["dataset"]
folder = pathlib.Path("results") / dataset
SHARES = [0.5, 0.95, 0.99, 0.999]
FACTORS = "app, store, workers, target_rps"

told = subprocess.run(
    [program, "sql", "--format", "json", f"""
        WITH merged AS (
          SELECT {FACTORS}, hist_merge(low_ns, high_ns, count, latency.censored) AS h
          FROM latency JOIN trials ON trials.dataset = latency.dataset AND trials.trial = latency.trial
          WHERE trials.dataset = dataset('{name}') AND latency.dataset = dataset('{name}')
          GROUP BY ALL
        )
        SELECT {FACTORS}, hist_count(h) AS answered, hist_censored(h) AS cut_off, {", ".join(
            f'hist_quantile({q}, h) AS "q{q}", hist_quantile_low({q}, h) AS "low{q}", hist_quantile_high({q}, h) AS "high{q}"'
            for q in SHARES
        )}
        FROM merged ORDER BY 1, 2, 3, 4
    """],
    check=True, capture_output=True, text=True,
).stdout
told = [json.loads(line) for line in told.splitlines()]
assert told, "perf-api found no group"

duckdb.sql(f"""
    CREATE VIEW merged AS
    SELECT {FACTORS}, low_ns, high_ns,
           sum(latency.count) AS count, sum(latency.count + latency.censored) AS seen
    FROM '{folder}/latency.parquet' latency JOIN '{folder}/trials.parquet' trials USING (trial)
    GROUP BY ALL
""")
numbers, bounds = 0, 0
for group in told:
    here = " AND ".join(f"{factor} = {group[factor]!r}" for factor in FACTORS.split(", "))
    (answered, seen), = duckdb.sql(f"SELECT sum(count), sum(seen) FROM merged WHERE {here}").fetchall()
    assert (group["answered"], group["cut_off"]) == (answered, seen - answered), group
    for q in SHARES:
        (lowest, lowest_high, highest), = duckdb.sql(f"""
            WITH cumulative AS (
              SELECT low_ns, high_ns, sum(seen) OVER up AS seen, sum(count) OVER up AS count
              FROM merged WHERE {here} WINDOW up AS (ORDER BY low_ns)
            )
            SELECT min(low_ns) FILTER (seen >= ceil({q}::DOUBLE * {seen})),
                   min(high_ns) FILTER (seen >= ceil({q}::DOUBLE * {seen})),
                   min(high_ns) FILTER (count >= ceil({q}::DOUBLE * {seen}))
            FROM cumulative
        """).fetchall()
        assert (group[f"low{q}"], group[f"high{q}"]) == (lowest, highest), (group, q, lowest, highest)
        is_number = highest is not None and highest <= 1.01 * lowest_high
        assert group[f"q{q}"] == (lowest_high if is_number else None), (group, q, lowest_high, highest)
        numbers, bounds = numbers + is_number, bounds + (not is_number)
assert numbers, "every quantile was a bound"
print(f"SQL functions and DuckDB agree: {len(told)} groups, {numbers} quantiles and {bounds} bounds, exactly")
