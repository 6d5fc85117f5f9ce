"""How much load one CPU of a loader drives, and how late it is: wrk, oha and the built-in loader in one run.

python3 benches/loader/bench.py PERF_API [--rounds N] [--seconds N]

The target of `perf-api target` answers at once, on the last CPU; each loader has the first CPU. First, as
fast as answers come: wrk and oha without a rate. Then at each rate, as a trial of `perf-api quick`: oha
(with -q and --latency-correction) and the built-in loader. A rate is held when 99 % of its requests are
answered within the window and the 99th percentile of the pacer's lag is below a millisecond.

Absolute figures are those of this host. Compare within one round.
"""

import argparse
import json
import os
import pathlib
import shutil
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/truth"))

import truth  # noqa: E402

MIN_ANSWERED_SHARE = 0.99
MAX_LAG_NS = 1_000_000
RATES = (1_000, 10_000, 15_000, 20_000, 25_000, 30_000, 35_000, 40_000, 50_000, 60_000)
COLUMNS = (
    "target_rps, achieved_rps, pacer_lag_p50_ns AS lag_p50, pacer_lag_p99_ns AS lag_p99, "
    "pacer_lag_max_ns AS lag_max, latency_p99_ns AS p99, latency_p99_is_bound AS is_bound, "
    "loader_cpu_s AS cpu, loader_peak_memory_bytes AS memory"
)
HEADINGS = (
    "round", "loader", "offered/s", "answered/s", "lag p50 us", "lag p99 us", "lag max us", "latency p99 ms", "loader CPU s", "memory MB",
)  # fmt: skip


def unlimited(program: pathlib.Path, case: truth.Case, seconds: int) -> dict[str, float]:
    """The rates of the tools that send as fast as answers come."""
    cpus = sorted(os.sched_getaffinity(0))
    rates = {}
    for tool in ("wrk", "oha, no rate"):
        with truth.Target(case, program, cpus[-1]) as url:
            if tool == "wrk":
                measured = truth.run_wrk(cpus[0], url, seconds)
            else:
                measured = truth.run_oha(program, cpus[0], url, 0, seconds, False)
        rates[tool] = measured["achieved"] or 0.0
    return rates


def trials(
    program: pathlib.Path, bundle: pathlib.Path, results: pathlib.Path, loader: str, seconds: int
) -> list[dict]:
    """The trials of a loader, one for each rate."""
    factors = {
        "apps": truth.component_name(truth.PATH_CASE), "stores": "redis", "workers": 1, "concurrency": truth.CONNECTIONS,
        "qps": ",".join(map(str, RATES)), "repetitions": 1, "duration": f"{seconds}s", "bundle": bundle, "results": results,
        "loader": loader,
    }  # fmt: skip
    options = [word for name, value in factors.items() for word in (f"--{name}", str(value))]
    truth.call([program, "quick", "--launcher", "process", "--no-progress", *options])
    rows = truth.ask(program, results, f"SELECT {COLUMNS} FROM trials ORDER BY target_rps")
    return [json.loads(row) for row in rows]


def holds(trial: dict) -> bool:
    """Whether the loader held the trial's rate."""
    return trial["achieved_rps"] >= trial["target_rps"] * MIN_ANSWERED_SHARE and trial["lag_p99"] < MAX_LAG_NS


def cells(place: int, loader: str, trial: dict) -> list[str]:
    """A trial as a row of the table."""
    p99 = f"{'> ' if trial['is_bound'] else ''}{trial['p99'] / 1e6:.2f}"
    lags = [f"{trial[name] / 1e3:.1f}" for name in ("lag_p50", "lag_p99", "lag_max")]
    return [
        str(place), loader, f"{trial['target_rps']:.0f}", f"{trial['achieved_rps']:.0f}", *lags, p99, f"{trial['cpu']:.2f}", f"{trial['memory'] / 1e6:.0f}",
    ]  # fmt: skip


def main() -> int:
    """The command line; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", type=pathlib.Path, help="the perf-api to measure")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=int, default=4, help="of each load")
    options = parser.parse_args()
    lines, summary = [], []
    with tempfile.TemporaryDirectory(prefix="perf-api-bench-") as name:
        folder = pathlib.Path(name)
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")  # never the user's
        program = pathlib.Path(shutil.copy2(options.program, folder / "perf-api"))
        bundle = truth.make_bundle(folder, [truth.PATH_CASE], program)
        for place in range(1, options.rounds + 1):
            rates = unlimited(program, truth.PATH_CASE, options.seconds)
            for loader in truth.LOADERS:
                own = trials(program, bundle, folder / f"results-{loader}-{place}", loader, options.seconds)
                lines += [cells(place, loader, trial) for trial in own]
                rates[f"{loader}, most answered"] = max(trial["achieved_rps"] for trial in own)
                rates[f"{loader}, highest held"] = max((trial["target_rps"] for trial in own if holds(trial)), default=0.0)
            told = "; ".join(f"{what} {rate:.0f}/s ({rate / rates['wrk']:.2f} of wrk)" for what, rate in rates.items())
            summary.append(f"round {place}: {told}")
    truth.print_table([list(HEADINGS), *lines])
    print("\n".join(summary))
    return 0


if __name__ == "__main__":
    sys.exit(main())
