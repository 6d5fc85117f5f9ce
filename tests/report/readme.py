"""Everything that the README tells users to type does what it says, but for `make` itself."""

import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import tempfile

import duckdb

# Never the user's cache.
cache = tempfile.TemporaryDirectory()
os.environ["XDG_CACHE_HOME"] = cache.name

readme = pathlib.Path("README.md").read_text()
blocks = re.findall(r"```(\w+)\n(.*?)```", readme, flags=re.S)
ran = []


def run(command: str) -> None:
    print(f"$ {command}", flush=True)
    subprocess.run(command, shell=True, check=True, stdout=subprocess.DEVNULL)
    ran.append(command)


def latest() -> str:
    manifests = pathlib.Path("results").glob("*/manifest.json")
    return max(manifests, key=lambda path: json.loads(path.read_text())["started"]).parent.name


for language, text in blocks:
    if language == "sh":
        for line in text.splitlines():
            command = line.split("#")[0].strip()
            # Docker is tested with a daemon of its own.
            # A server goes on until somebody ends it, and is tested with a browser. There is no window here.
            command = command.replace(" --open", "")
            if command == "./perf-api serve":
                continue
            if command.startswith("./perf-api") and "--launcher docker" not in command:
                run(command)
    elif language == "toml":
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as spec:
            spec.write(text)
            spec.flush()
            run(f"./perf-api run {spec.name} --allow-shared-cpus --repetitions 1 --duration 1s --qps 500")
    elif language == "perf-api-sql":
        run(f"./perf-api sql {shlex.quote(text)}")
    elif language == "sql":
        rows = duckdb.sql(text.rstrip().rstrip(";")).fetchall()
        assert rows, "the README's SQL finds nothing"
        ran.append("sql")
    elif language == "python":
        exec(text.replace("<dataset>", latest()), {})
        ran.append("python")

bundle = json.loads(pathlib.Path("bundle.json").read_text())
# Where Dragonfly can be had, this would begin a run of six hours.
if any(one["name"] == "dragonfly" and one["unavailable"] for one in bundle["components"]):
    refused = subprocess.run(["./perf-api", "full"], capture_output=True, text=True)
    assert refused.returncode == 1 and "--allow-missing" in refused.stderr, refused.stderr

assert len(ran) >= 20, f"the README has only {ran}"
run("./perf-api results untag before-upgrade")
for left in ["old.html", "example.html", "example.csv", "example.tar.zst"]:
    pathlib.Path(left).unlink()
shutil.rmtree("elsewhere")
print(f"README: {len(ran)} commands and snippets do what they say")
