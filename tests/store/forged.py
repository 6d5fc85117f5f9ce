"""Datasets that lie: their hashes fit, and what they say does not. `verify` finds each.

python tests/store/forged.py PERF_API DATASET_FOLDER
"""

import hashlib
import json
import pathlib
import resource
import shutil
import subprocess
import sys
import tempfile

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

program, folder = sys.argv[1], pathlib.Path(sys.argv[2])
manifest = json.loads((folder / "manifest.json").read_text())
tables = {name: pq.read_table(folder / f"{name}.parquet") for name in ["trials", "latency", "timeline", "resources"]}
work = tempfile.TemporaryDirectory()


def canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def put(name: str, column: str, value: object):
    """Sets a column of a table to one value, or to what a function makes of it."""
    table = tables[name]
    index = table.schema.get_field_index(column)
    field = table.schema.field(index)
    made = value(table[column]) if callable(value) else pa.array([value] * len(table), field.type)
    return name, table.set_column(index, field, made)


def verify(what: str, changed: dict[str, pa.Table], forged: dict, raw: bytes | None = None) -> str:
    """Makes the dataset, under hashes that fit, and lets the program look at it."""
    results = pathlib.Path(work.name, "results")
    shutil.rmtree(results, ignore_errors=True)
    target = results / "made"
    target.mkdir(parents=True)
    forged = json.loads(json.dumps(forged))
    for name in tables:
        path = target / f"{name}.parquet"
        if name in changed:
            pq.write_table(changed[name], path, compression="zstd")
            listed = forged["files"][path.name]
            listed["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
            listed["bytes"], listed["rows"] = path.stat().st_size, len(changed[name])
        else:
            shutil.copy(folder / path.name, path)
    text = raw or canonical(forged)
    (target / "manifest.json").write_bytes(text)
    target.rename(results / hashlib.sha256(text).hexdigest())
    told = subprocess.run(
        [program, "results", "verify", "--all", "--results", results],
        capture_output=True, text=True, timeout=60,
        # Who wants more than this was tricked.
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30)),
    )
    assert told.returncode == (0 if what == "nothing" else 5), f"{what}: exit {told.returncode}\n{told.stdout}{told.stderr}"
    return told.stdout.strip()


trials = tables["trials"]
forgeries = {
    "a rate": put("trials", "achieved_rps", 1e9),
    "a rate that is no number": put("trials", "achieved_rps", float("nan")),
    "a duration": put("trials", "duration_s", -1.0),
    "validity": put("trials", "is_valid", lambda column: pc.invert(column)),
    "an app": put("trials", "app", "express"),
    "an app that is no name": put("trials", "app", "<script>../"),
    "counts": put("trials", "completed", 7),
    "a flag nobody knows": put("trials", "flags", "fastest"),
    "a percentile": put("trials", "latency_p99_ns", 1),
    "CPU time": put("trials", "app_cpu_s", 0.0),
    "memory": put("trials", "store_peak_memory_bytes", 1),
    "the order": put("trials", "position", 0),
    "a failure without a trace": put("trials", "failure_stage", "launch"),
    "latencies in reverse": ("latency", tables["latency"].take(pa.array(range(len(tables["latency"])))[::-1])),
    "empty buckets": put("latency", "count", 0),
    "no timeline": ("timeline", tables["timeline"].slice(0, 0)),
    "seconds": put("timeline", "completed", 1),
    "resources of another trial": put("resources", "trial", 9_999),
    "a trial less": ("trials", trials.slice(1)),
    "trials twice": ("trials", pa.concat_tables([trials.slice(1), trials.slice(1, 1)])),
    "thirty million trials": ("trials", pa.concat_tables([trials.slice(0, 1)] * 30_000).combine_chunks()),
    "a column that may be missing": ("trials", trials.cast(pa.schema(
        [field.with_nullable(True) if field.name == "app" else field for field in trials.schema]))),
    "another type": ("latency", tables["latency"].cast(pa.schema(
        [pa.field("count", pa.int32(), False) if field.name == "count" else field for field in tables["latency"].schema]))),
    "a column too many": ("timeline", tables["timeline"].append_column("extra", pa.array([1] * len(tables["timeline"])))),
}
print("forged:", verify("nothing", {}, manifest))
for what, (name, table) in forgeries.items():
    verify(what, {name: table}, manifest)


def edited(edit) -> dict:
    copy = json.loads(json.dumps(manifest))
    edit(copy)
    return copy


manifests = {
    "a size that overflows": edited(lambda m: m["files"]["trials.parquet"].update(bytes=2**64 - 1)),
    "rows that overflow": edited(lambda m: m["files"]["latency.parquet"].update(rows=2**53 - 1)),
    "version 0": edited(lambda m: m.update(schema_version=0)),
    "a path": edited(lambda m: m["files"].update({"../../etc/passwd": m["files"].pop("latency.parquet")})),
    "more repetitions": edited(lambda m: m["experiment"].update(repetitions=4_000_000_000)),
    "no failed trials": edited(lambda m: m.update(failed_trials=3)),
}
for what, forged in manifests.items():
    verify(what, {}, forged)
verify("a manifest that is not canonical", {}, manifest, json.dumps(manifest, indent=1).encode())
verify("a key twice", {}, manifest, canonical(manifest)[:-1] + b',"writer":"somebody"}')
print(f"forged: {len(forgeries) + len(manifests) + 2} datasets with fitting hashes were found out")
