"""A thousand datasets: how long a list and a group-by over all trials take, beside DuckDB.

python tests/store/scale.py PERF_API FOLDER

The folder is made by `make scale-test`. Times are told as ratios too: they were taken in one run, on
the same files, each the best of three after one that warmed the page cache.
"""

import json
import os
import subprocess
import sys

program, folder = sys.argv[1:]
QUERY = """SELECT app, store, workers, target_rps, count(*) AS trials, avg(achieved_rps) AS rate,
                  max(latency_p99_ns) AS worst
           FROM {} GROUP BY app, store, workers, target_rps ORDER BY app, store, workers, target_rps"""
DUCKDB = f"""
import duckdb
rows = duckdb.sql({QUERY.format(f"'{folder}/*/trials.parquet'")!r}).fetchall()
print(len(rows), sum(row[4] for row in rows))
"""


def timed(command: list[str]) -> tuple[float, int, str]:
    """The best wall time in seconds, the peak memory in bytes, and what was printed."""
    best, memory, printed = None, 0, ""
    for _ in range(4):
        began = os.times().elapsed
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        printed = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        wall = os.times().elapsed - began
        assert status == 0, f"{command} ended with {status}"
        best = wall if best is None else min(best, wall)
        memory = max(memory, usage.ru_maxrss * 1024)
    return best, memory, printed


def show(name: str, wall: float, memory: int) -> None:
    print(f"scale: {name:<44} {wall:6.2f} s  {memory >> 20:5d} MiB", flush=True)


ask = [program, "sql", "--results", folder, "--format", "json"]
wall, memory, printed = timed([program, "results", "list", "--results", folder])
datasets = len(printed.splitlines()) - 1
assert datasets == 1000, f"{datasets} datasets are listed"
show("results list", wall, memory)

own, memory, printed = timed([*ask, QUERY.format("trials")])
rows = [json.loads(line) for line in printed.splitlines()]
assert sum(row["trials"] for row in rows) == 960 * datasets, "trials are missing"
show("sql group-by over trials, hashed first", own, memory)

blind, memory, _ = timed([*ask, "--unverified", QUERY.format("trials")])
show("the same with --unverified", blind, memory)

duck, memory, printed = timed([sys.executable, "-c", DUCKDB])
groups, trials = map(int, printed.split())
assert (groups, trials) == (len(rows), 960 * datasets), "DuckDB counts otherwise"
show("DuckDB, the same query", duck, memory)

one, memory, printed = timed([*ask, f"{QUERY.format('trials').split('GROUP')[0]} WHERE dataset = dataset('latest') GROUP BY ALL"])
assert sum(json.loads(line)["trials"] for line in printed.splitlines()) == 960
show("sql group-by over one of them", one, memory)

merged, memory, _ = timed([*ask, """
    SELECT target_rps, hist_quantile(0.99, hist_merge(low_ns, high_ns, count, latency.censored)) AS p99
    FROM latency JOIN trials ON latency.dataset = trials.dataset AND latency.trial = trials.trial
    GROUP BY target_rps"""])
show("sql p99 of merged latencies over all", merged, memory)
print(f"scale: perf-api / DuckDB = {own / duck:.2f} hashed, {blind / duck:.2f} not; one of a thousand / all = {one / own:.2f}")
