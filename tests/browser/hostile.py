"""Makes a dataset whose every free text is hostile: hostile.py PERF_API RESULTS

RESULTS has one dataset, such as `perf-api quick --fake --fixed-clock --allow-missing --allow-shared-cpus
--no-progress --results RESULTS` makes. Beside it comes another, in which

- a trial failed, with a hostile reason and log: a journal with that trial is written, and `perf-api
  resume` measures the others;
- the manifest's texts are hostile. It is canonical JSON (RFC 8785) under its own hash, so the program
  takes it as verified.

Prints the id of the hostile dataset. Runs where `bundle.json` is the one that made the dataset.
"""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

SCRIPT = "<script>window.hacked=1</script>"
END = "</script></style></textarea></title><script>window.hacked=2</script>"
IMAGE = '<img src=x onerror="window.hacked=3">'
QUOTES = "\"'`><svg/onload=window.hacked=4>"
LINK = '<a href="javascript:window.hacked=5">click</a>'
TURNED = "turned \u202eround\u202c \u2066inner\u2069 \u200fmark\u2028line"
TEMPLATE = "{{7*7}} {% raw %} ${7*7} %{meta} %{customdata} <%= 7*7 %>"
ENTITIES = "&lt;script&gt;window.hacked=6&lt;/script&gt; &amp; <b>bold</b><br>next"
SHELL = "$(touch /tmp/hacked) `id` ; rm -rf ~"
COMMENT = "<!--<script> ]]> --!>"
LONG = "long" * 2_560  # 10 kB without a place to break a line
EVERY = " ".join([SCRIPT, END, IMAGE, QUOTES, LINK, TURNED, TEMPLATE, ENTITIES, SHELL, COMMENT])


def canonical(value):
    """RFC 8785: keys by UTF-16, no white space."""
    return dumped(value).encode()


def dumped(value):
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: key.encode("utf-16-be"))
        return "{" + ",".join(f"{dumped(key)}:{dumped(value[key])}" for key in keys) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(dumped, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def only_dataset(results):
    found = [path.parent for path in results.glob("*/manifest.json")]
    if len(found) != 1:
        sys.exit(f"hostile.py: {results} has {len(found)} datasets and not one")
    return found[0]


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 3):  # 3: a trial failed, as it should
        sys.exit(f"hostile.py: {command} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def journal_with_a_failure(program, results, dataset, manifest):
    """As if the run had been interrupted after its first trial, which failed."""
    begin = {
        key: manifest.get(key, [])
        for key in (
            "writer", "started", "experiment", "order", "bundle", "unavailable", "host", "checks",
            "launcher", "load_driver",
        )
    }
    columns = "trial, position, block, app, store, workers, concurrency, target_rps"
    query = f"SELECT {columns} FROM trials ORDER BY position LIMIT 1"
    asked = ["--dataset", dataset.name, "--results", str(results), "--format", "json"]
    trial = json.loads(run(program, "sql", query, *asked))
    trial["id"] = trial.pop("trial")
    failed = {
        "trial": trial,
        "started": manifest["started"],
        "placement": {"loader": "1", "app": "2", "store": "3-4", "shared": False},
        "flags": [],
        "figures": {},
        "outcome": {
            "failed": {
                "stage": "launch",
                "reason": f"reason {EVERY}",
                "log_tail": [f"log {EVERY}", "\x1b[31mred\x07", LONG],
            }
        },
    }
    lines = []
    for entry in ({"begin": begin}, {"trial": failed}):
        text = json.dumps(entry, ensure_ascii=False, separators=(",", ":"))
        lines.append(f"{hashlib.sha256(text.encode()).hexdigest()[:16]} {text}\n")
    folder = results / "journal" / "20260101-000000-0"
    folder.mkdir(parents=True)
    (folder / "journal.jsonl").write_text("".join(lines))


def with_a_failure(program, results):
    """The folder of a dataset with one failed trial."""
    dataset = only_dataset(results)
    manifest = json.loads((dataset / "manifest.json").read_bytes())
    journal_with_a_failure(program, results, dataset, manifest)
    run(program, "resume", "--fake", "--fixed-clock", "--no-progress", "--results", str(results))
    (made,) = {path.parent for path in results.glob("*/manifest.json")} - {dataset}
    return made


def make_hostile(manifest):
    manifest["experiment"]["name"] = f"name {EVERY}"
    manifest["writer"] = f"writer {EVERY}"
    manifest["launcher"] = f"launcher {SCRIPT}"
    manifest["load_driver"] = f"driver {SCRIPT}"
    manifest["bundle"]["provider"] = f"provider {SCRIPT}"
    host = manifest["host"]
    host["cpu_model"] = f"cpu {EVERY}"
    host["os"] = f"os {END}"
    host["kernel"] = f"kernel {IMAGE}"
    # The first four are those of two apps and two stores.
    titles = [
        f"{SCRIPT} {ENTITIES}", END, f"{TEMPLATE} {IMAGE} {QUOTES}", f"{TURNED} {LONG}", "\u202eunclosed"
    ]
    used = manifest["experiment"]["apps"] + manifest["experiment"]["stores"]
    components = sorted(
        manifest["bundle"]["components"],
        key=lambda one: used.index(one["name"]) if one["name"] in used else len(used),
    )
    for place, component in enumerate(components):
        component["title"] = f"title{place} {titles[place % len(titles)]}"
        component["version"] = f"v=1.{place}{'<img/src=x/onerror=window.hacked=7>'} {EVERY}"
        component["facts"][f"fact {EVERY}"] = f"fact's value {EVERY} {LONG}"
        component["unavailable"] = {"reason": f"reason {EVERY}", "remedy": f"remedy {EVERY}"}
    for reports in manifest["reports"].values():
        reports.append({f"said {EVERY}": f"it says {EVERY} {LONG}"})
    # A name is checked when it is read, so only texts are.
    manifest["unavailable"] = ["valkey"]
    manifest["checks"] = [
        {"name": f"check {EVERY}", "state": state, "found": f"found {EVERY} {LONG}",
         "why": f"why {EVERY}", "fix": f"fix {EVERY}"}
        for state in ("warn", "bad", "unknown", "ok")
    ]
    manifest["accepted_differences"] = [
        {"what": f"what {EVERY}", "before": f"before {LONG}", "after": f"after {EVERY}"}
    ]


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: hostile.py PERF_API RESULTS")
    program, results = sys.argv[1], Path(sys.argv[2])
    failing = with_a_failure(program, results)
    original = (failing / "manifest.json").read_bytes()
    manifest = json.loads(original)
    if canonical(manifest) != original:
        sys.exit("hostile.py: what this script writes is not canonical")
    make_hostile(manifest)
    text = canonical(manifest)
    dataset = results / hashlib.sha256(text).hexdigest()
    shutil.copytree(failing, dataset)
    (dataset / "manifest.json").write_bytes(text)
    print(dataset.name)


if __name__ == "__main__":
    main()
