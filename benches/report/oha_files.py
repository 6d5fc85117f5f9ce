"""Makes the oha files that the reference would have got for the trials of a dataset of perf-api.

oha_files.py DATASET_FOLDER OUTPUT_FOLDER

One file for each trial, in the format of `oha --output-format json` of oha 1.16 (`print_json` in
its `src/printer.rs`). What the dataset knows is taken from it: rate, latencies, counts. What it does
not know (the time to the first byte, the rate over 10 ms, the dial-up) has a plausible value, so that
the files have the size and the shape of true ones; the reference reads none of it.
"""

import json
import pathlib
import sys

import numpy as np
import pandas as pd

# oha writes these, and they are not all in the dataset: the rest lies between what is.
PERCENTILES = ["10", "25", "50", "75", "90", "95", "99", "99.9", "99.99"]
BINS = 11
BODY_BYTES = 64


def by_name(entries: dict) -> dict:
    """As a BTreeMap of Rust writes it: in the order of the names."""
    return {name: entries[name] for name in sorted(entries)}


def percentiles(quantile) -> dict:
    return by_name({f"p{p}": float(quantile(float(p) / 100)) for p in PERCENTILES})


def histogram(quantile, count: int) -> dict:
    """The count of requests in each of oha's 11 bins, which are equally wide."""
    shares = np.linspace(0, 1, 2001)
    latencies = quantile(shares)
    edges = np.linspace(latencies[0], latencies[-1], BINS)
    below = np.round(np.interp(edges, latencies, shares) * count).astype(int)
    counts = np.diff(below, prepend=0)
    return by_name({str(edge): int(n) for edge, n in zip(edges, counts)})


def triple(average: float) -> dict:
    return {"average": average, "fastest": average * 0.6, "slowest": average * 3.1}


def oha(trial) -> dict:
    known = {0.5: trial.latency_p50_ns, 0.9: trial.latency_p90_ns, 0.95: trial.latency_p95_ns,
             0.99: trial.latency_p99_ns, 0.999: trial.latency_p99_9_ns, 0.9999: trial.latency_p99_99_ns}
    seconds = np.array([trial.latency_p50_ns * 0.4, *known.values(), trial.latency_p99_99_ns * 1.2]) / 1e9
    places = [0, *known, 1]

    def quantile(share):
        return np.interp(share, places, seconds)

    def first_byte(share):
        return quantile(share) * 0.98

    completed = int(trial.completed)
    duration = float(trial.duration_s)
    mean = trial.latency_mean_ns / 1e9
    fastest, slowest = float(seconds[0]), float(seconds[-1])
    errors = {"aborted due to deadline": int(trial.censored), "failed": int(trial.failed)}
    success_rate = completed / max(1, completed + int(trial.failed))
    rate = float(trial.achieved_rps)
    latencies = percentiles(quantile)
    return {
        "summary": {
            "successRate": success_rate,
            "total": duration,
            "slowest": slowest,
            "fastest": fastest,
            "average": mean,
            "requestsPerSec": rate,
            "totalData": completed * BODY_BYTES,
            "sizePerRequest": BODY_BYTES,
            "sizePerSec": completed * BODY_BYTES / duration,
        },
        "metrics": {
            "success_rate": success_rate,
            "requests_per_sec": rate,
            "latency_ms": {
                "min": round(fastest * 1e3, 3),
                "mean": round(mean * 1e3, 3),
                "p50": round(latencies["p50"] * 1e3, 3),
                "p95": round(latencies["p95"] * 1e3, 3),
                "p99": round(latencies["p99"] * 1e3, 3),
                "max": round(slowest * 1e3, 3),
            },
        },
        "responseTimeHistogram": histogram(quantile, completed),
        "latencyPercentiles": latencies,
        "firstByteHistogram": histogram(first_byte, completed),
        "firstBytePercentiles": percentiles(first_byte),
        "rps": {
            "mean": rate * 1.02,
            "stddev": rate * 0.11,
            "max": rate * 1.9,
            "min": rate * 0.2,
            "percentiles": percentiles(lambda share: rate * (0.7 + 0.6 * share)),
        },
        "details": {
            "DNSDialup": triple(0.00041),
            "DNSLookup": triple(0.000018),
            "firstByte": triple(mean * 0.98),
        },
        "statusCodeDistribution": {"200": completed},
        "errorDistribution": {name: count for name, count in errors.items() if count},
    }


def main() -> None:
    dataset, folder = map(pathlib.Path, sys.argv[1:])
    trials = pd.read_parquet(dataset / "trials.parquet")
    folder.mkdir(parents=True)
    # A trial that failed has no figures, and oha would have left no file.
    for trial in trials[trials.achieved_rps.notna()].itertuples():
        case = f"{trial.app}_{trial.store}_w{trial.workers}_c{trial.concurrency}_q{trial.target_rps:.0f}"
        path = folder / f"{case}_r{trial.block}.json"
        path.write_text(json.dumps(oha(trial), indent=2))


if __name__ == "__main__":
    main()
