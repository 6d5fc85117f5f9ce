"""A server of known behaviour: do our figures match theory, and what do other tools report?

python3 tests/truth/truth.py PERF_API     measures every case and exits with 1 when we are wrong
python3 tests/truth/truth.py --self-test  checks the theory against closed forms, and the parsing

Request i is planned at i / rate. An exact simulation of the target's queue says when each request is
answered. Requests in flight at the end of the window are waited for; one that no connection had taken
up by then is unfinished, and infinitely late. Where unfinished requests could move a percentile it is
an interval: from every one of them at what it had waited to every one of them at infinity. A bound of
ours has to be the interval's lower end, and the truth has to lie below its upper end.

What a request costs beside its service (the client, the kernel's loopback, waking up) is not the
target's: in each block, a target that serves in no time is measured beside the case at the same rate. Its
latencies, drawn at random, are added to the simulated ones. oha's pacer wakes once a millisecond, so
requests come up to that much after their moment; they do in the simulation as well, and it counts from
then.

A host that takes CPU time from a trial makes it slower. A case whose trials carry one of perf-api's own
flags for that is measured again, at most twice; the output says so.

A stall's phase cannot be seen from outside. Each trial is compared with the phase that fits it best.

Times are in seconds and rates per second, unless a name says otherwise.
"""

import argparse
import dataclasses
import heapq
import itertools
import json
import math
import os
import pathlib
import random
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import typing
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
CONNECTIONS = 100
PERCENTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999}
JUDGED_PERCENTILES = ("p50", "p90", "p99")
# Where the few unfinished requests of an unsaturated load move nothing, however noisy the tail is.
FIRM_PERCENTILES = ("p50", "p90")
COUNTED = ("achieved", "censored", "failed")

RATE_SHARE = 0.02
# In an overload: how far a bound may lie on the wrong side of the truth.
BOUND_SHARE = 0.02
CENSORED_SHARE = 0.01
# A failed request is a seeded draw: so many standard deviations may lie between draw and share.
FAILED_DEVIATIONS = 4
# Where the ends of an interval differ by less, the percentile is a number: what perf-api does, too.
NUMBER_SHARE = 0.01
FAR_OFF = 10

# The flags of a trial that the host disturbed, and how often a case is measured at most.
DISTURBED = {"host_busy", "host_slowed", "host_swapped"}
ATTEMPTS = 3

PHASES = 200
DRAWS = 40
# From so many requests on, ten of them are beyond the 99.9th percentile.
REQUESTS_FOR_TAIL = 10_000


@dataclasses.dataclass(frozen=True)
class Loader:
    """A loader of perf-api, and how far its figures may be from theory."""

    name: str
    # How late its pacer's timer wakes at most.
    timer: float
    share: float
    floor: float
    # The same for the 99.9th percentile; `None` where that is not judged.
    tail: tuple[float, float] | None = None
    # Whether it compares bodies and can send as a Poisson process.
    is_complete: bool = True

    def can(self, case: "Case") -> bool:
        """Whether it can measure a case."""
        return self.is_complete or (not case.wrong and case.arrivals == "even")


OHA = Loader("oha", 1e-3, 0.02, 0.5e-3, is_complete=False)
BUILT_IN = Loader("built-in", 0.0, 0.01, 0.3e-3, (0.02, 1e-3))
LOADERS = {loader.name: loader for loader in (OHA, BUILT_IN)}


@dataclasses.dataclass(frozen=True)
class Case:
    """A target's behaviour and the rate that it is offered."""

    name: str
    title: str
    qps: int
    service: float
    distribution: str = "fixed"
    servers: int = 0
    stall: float = 0.0
    stall_every: float = 0.0
    errors: float = 0.0
    lost: float = 0.0
    wrong: float = 0.0
    # "poisson": needs a loader that sends so.
    arrivals: str = "even"

    @property
    def failing(self) -> float:
        """The share of requests that fail, whatever the reason."""
        return self.errors + self.lost + self.wrong

    @property
    def is_overload(self) -> bool:
        """Whether more is offered than the servers can serve."""
        return 0 < self.servers < self.qps * self.service

    def arguments(self) -> list[str]:
        """The arguments of `perf-api target`, without the address."""
        arguments = ["--service", micros(self.service), "--distribution", self.distribution]
        arguments += ["--servers", str(self.servers)]
        if self.stall:
            arguments += ["--stall", micros(self.stall), "--stall-every", micros(self.stall_every)]
        for name in ("errors", "lost", "wrong"):
            if share := getattr(self, name):
                arguments += [f"--{name}", str(share)]
        return arguments

    def begin(self, ready: float, phase: float) -> float:
        """When a service begins that could begin at `ready`, the target being `phase` older."""
        if not self.stall:
            return ready
        position = (ready + phase) % self.stall_every
        is_stalled = position >= self.stall_every - self.stall
        return ready + self.stall_every - position if is_stalled else ready

    def draw_service(self, rng: random.Random) -> float:
        """How long a service takes."""
        if self.distribution == "exponential":
            return rng.expovariate(1 / self.service)
        return self.service


# What every request costs, whatever it asks for.
PATH_CASE = Case("path", "no service", 0, 0.0)
CASES = [
    Case("fixed-1ms-500", "fixed 1 ms", 500, 1e-3),
    Case("fixed-1ms-2000", "fixed 1 ms", 2000, 1e-3),
    Case("fixed-5ms", "fixed 5 ms", 1000, 5e-3),
    Case("exponential", "exponential 0.5 ms, 1 server", 1000, 0.5e-3, "exponential", servers=1),
    Case("fixed-one-server", "fixed 0.25 ms, 1 server", 1000, 0.25e-3, servers=1),
    Case("stall-150ms", "1 ms, stalls 150 ms every 1 s", 500, 1e-3, stall=0.15, stall_every=1.0),
    Case("stall-400ms", "1 ms, stalls 400 ms every 2 s", 500, 1e-3, stall=0.4, stall_every=2.0),
    Case("overload", "fixed 0.5 ms, 1 server", 3000, 0.5e-3, servers=1),
    Case("errors", "fixed 1 ms, 5 % errors", 1000, 1e-3, errors=0.05),
    Case("lost-1", "fixed 1 ms, 1 % lost", 1000, 1e-3, lost=0.01),
    Case("lost-10", "fixed 1 ms, 10 % lost", 1000, 1e-3, lost=0.1),
    Case("lost-30", "fixed 1 ms, 30 % lost", 1000, 1e-3, lost=0.3),
    Case("wrong-10", "fixed 1 ms, 10 % wrong bodies", 1000, 1e-3, wrong=0.1),
    Case("m-m-1", "M/M/1: Poisson arrivals, exponential 0.2 ms", 2500, 0.2e-3, "exponential", servers=1, arrivals="poisson"),
    Case("m-d-1", "M/D/1: Poisson arrivals, fixed 0.2 ms", 2500, 0.2e-3, servers=1, arrivals="poisson"),
]


def micros(seconds: float) -> str:
    """A time as `perf-api` reads it."""
    return f"{round(seconds * 1e6)}us"


# Theory


@dataclasses.dataclass
class Outcome:
    """What became of a load's requests, from the moment at which each was planned."""

    seconds: float
    answered: list[float] = dataclasses.field(default_factory=list)
    answered_in_window: int = 0
    # What unfinished requests had waited at the window's end, and what they would have waited.
    waited: list[float] = dataclasses.field(default_factory=list)
    would_wait: list[float] = dataclasses.field(default_factory=list)
    failed: int = 0

    def add(self, other: "Outcome") -> None:
        """Merges another load's requests into this one's."""
        self.seconds += other.seconds
        self.answered += other.answered
        self.answered_in_window += other.answered_in_window
        self.waited += other.waited
        self.would_wait += other.would_wait
        self.failed += other.failed


@dataclasses.dataclass(frozen=True)
class Figure:
    """A figure as an interval, and as it would be without a deadline."""

    low: float
    high: float
    truth: float

    @property
    def is_number(self) -> bool:
        """Whether unfinished requests hardly matter."""
        return self.high <= self.low * (1 + NUMBER_SHARE)


Theory = dict[str, Figure]


@dataclasses.dataclass(frozen=True)
class Path:
    """What lies between the schedule and the target."""

    # Latencies of requests that ask for nothing, to be drawn from.
    costs: tuple[float, ...] = (0.0,)
    # How late requests are released at most.
    timer: float = 0.0


def arrivals(case: Case, seconds: float, rng: random.Random) -> typing.Iterator[float]:
    """The planned moments of a load."""
    if case.arrivals == "even":
        yield from (index / case.qps for index in range(round(case.qps * seconds)))
        return
    moment = rng.expovariate(case.qps)
    while moment < seconds:
        yield moment
        moment += rng.expovariate(case.qps)


def simulate(
    case: Case, seconds: float, phase: float, rng: random.Random, connections: int = CONNECTIONS, path: Path = Path()
) -> Outcome:
    """Serves every request, first in first out, over so many connections."""
    outcome = Outcome(seconds)
    free_connections = [0.0] * connections
    free_servers = [0.0] * case.servers
    for moment in arrivals(case, seconds, rng):
        planned = moment + rng.uniform(0, path.timer)
        taken = max(planned, free_connections[0])
        ready = max(taken, free_servers[0]) if free_servers else taken
        end = case.begin(ready, phase) + case.draw_service(rng)
        heapq.heapreplace(free_connections, end)
        if free_servers:
            heapq.heapreplace(free_servers, end)
        end += rng.choice(path.costs)
        if taken >= seconds:
            outcome.waited.append(seconds - planned)
            outcome.would_wait.append(end - planned)
        elif rng.random() < case.failing:
            outcome.failed += 1
        else:
            outcome.answered.append(end - planned)
            outcome.answered_in_window += end <= seconds + 1e-9
    return outcome


def quantile(ordered: list[float], q: float) -> float:
    """The nearest rank: the smallest value that a share `q` of all does not exceed."""
    return ordered[max(0, math.ceil(q * len(ordered) - 1e-9) - 1)]


def figures(outcome: Outcome, loads: int = 1) -> Theory:
    """The figures of one load, from the merged requests of as many."""
    low = sorted(outcome.answered + outcome.waited)
    high = sorted(outcome.answered) + [math.inf] * len(outcome.waited)
    truth = sorted(outcome.answered + outcome.would_wait)
    theory = {
        name: Figure(quantile(low, q), quantile(high, q), quantile(truth, q))
        for name, q in PERCENTILES.items()
    }
    counts = {
        "achieved": outcome.answered_in_window / outcome.seconds,
        "censored": len(outcome.waited) / loads,
        "failed": outcome.failed / loads,
    }
    return theory | {name: Figure(value, value, value) for name, value in counts.items()}


def merged(outcomes: list[Outcome]) -> Theory:
    """The figures of a load of which nothing is known but its case."""
    total = Outcome(0.0)
    for outcome in outcomes:
        total.add(outcome)
    return figures(total, len(outcomes))


def theories(case: Case, seconds: float, path: Path = Path()) -> tuple[Theory, list[Theory]]:
    """The figures of a case over all phases and draws, and those that one trial may have."""
    rng = random.Random(1)
    if case.stall:
        phases = [case.stall_every * index / PHASES for index in range(PHASES)]
        outcomes = [simulate(case, seconds, phase, rng, path=path) for phase in phases]
        return merged(outcomes), [figures(outcome) for outcome in outcomes]
    is_random = case.distribution == "exponential" or case.arrivals != "even" or case.failing > 0 or path.timer > 0 or len(path.costs) > 1
    outcomes = [simulate(case, seconds, 0.0, rng, path=path) for _ in range(DRAWS if is_random else 1)]
    overall = merged(outcomes)
    return overall, [overall]


# Judgement


@dataclasses.dataclass(frozen=True)
class Reported:
    """A figure of a trial."""

    value: float
    is_bound: bool = False
    # The upper end of a bound, where it has one.
    high: float | None = None


Trial = dict[str, Reported]


@dataclasses.dataclass(frozen=True)
class Row:
    """A figure of a case: the theory, and the report of the median trial."""

    case: Case
    name: str
    theory: Figure
    reported: Reported
    loader: Loader = OHA
    # Of one trial.
    requests: int = 0

    @property
    def expected(self) -> float:
        """The theoretical value for the comparison."""
        return self.theory.low

    @property
    def difference(self) -> float:
        """How far the reported figure is outside what theory allows, 0 within."""
        if self.reported.is_bound:
            return self.reported.value - self.expected
        if self.reported.value <= self.theory.high:
            return min(0.0, self.reported.value - self.theory.low)
        return self.reported.value - self.theory.high

    @property
    def tolerance(self) -> float | None:
        """How much of a difference is allowed; `None` where the figure is shown only."""
        if self.name == "achieved":
            return RATE_SHARE * self.expected
        if self.name == "failed":
            failing = self.case.failing
            offered = self.expected / failing if failing else 0
            return FAILED_DEVIATIONS * math.sqrt(offered * failing * (1 - failing))
        if self.name == "censored":
            return CENSORED_SHARE * self.expected if self.case.is_overload else None
        if self.name in JUDGED_PERCENTILES:
            return max(self.loader.share * self.expected, self.loader.floor)
        if self.name == "p99.9" and self.loader.tail and self.requests >= REQUESTS_FOR_TAIL:
            share, floor = self.loader.tail
            return max(share * self.expected, floor)
        return None

    @property
    def misfit(self) -> float:
        """The difference in tolerances; 0 where there is none."""
        if not self.tolerance:
            return 0.0 if self.difference == 0 or self.tolerance is None else math.inf
        return abs(self.difference) / self.tolerance

    def complaint(self) -> str | None:
        """The error of the reported figure, if there is one."""
        if self.tolerance is None:
            return None
        place = f"{self.case.name} at {self.case.qps}/s: {self.name}"
        if self.name in PERCENTILES and self.case.is_overload:
            return self.complaint_of_bound(place)
        if self.misfit > 1:
            reported, theory = show_reported(self.name, self.reported), show_theory(self.name, self.theory)
            return f"{place} is {reported}, theory says {theory} within {show(self.name, self.tolerance)}"
        if self.reported.is_bound and self.name in FIRM_PERCENTILES and self.theory.high == self.theory.low:
            return f"{place} is reported as a bound, although no unfinished request can change it"
        return None

    @property
    def impossibility(self) -> float:
        """The difference in tolerances where no host can make it: a busy one answers later, never sooner."""
        is_possible = self.difference >= 0 if self.name in PERCENTILES else self.difference <= 0
        is_bound = self.name in PERCENTILES and (self.reported.is_bound or self.case.is_overload)
        return 0.0 if is_possible or is_bound else self.misfit

    def impossible(self) -> str | None:
        """What no host makes of a right figure."""
        if self.impossibility <= 1:
            return None
        reported, theory = show_reported(self.name, self.reported), show_theory(self.name, self.theory)
        return f"{self.case.name} at {self.case.qps}/s: {self.name} is {reported}, theory says {theory} on any host"

    def complaint_of_bound(self, place: str) -> str | None:
        """In an overload a percentile has to be a lower bound that holds."""
        if self.reported.is_bound == self.theory.is_number:
            return f"{place} is {show_reported(self.name, self.reported)}, theory says {show_theory(self.name, self.theory)}"
        if self.reported.value > self.theory.truth * (1 + BOUND_SHARE):
            return f"{place} is {show_reported(self.name, self.reported)}, more than the truth {show(self.name, self.theory.truth)}"
        if self.reported.high is not None and self.reported.high * (1 + BOUND_SHARE) < self.theory.truth:
            return f"{place} is at most {show(self.name, self.reported.high)}, less than the truth {show(self.name, self.theory.truth)}"
        return None


Misfit = typing.Callable[[Row], float]


def rows_of_trial(
    case: Case,
    trial: Trial,
    possible: list[Theory],
    misfit: Misfit = lambda row: row.misfit,
    loader: Loader = OHA,
    requests: int = 0,
) -> dict[str, Row]:
    """A trial's figures beside the theory that fits them best."""
    fits = [
        {name: Row(case, name, theory[name], reported, loader, requests) for name, reported in trial.items()}
        for theory in possible
    ]
    return min(fits, key=lambda rows: max(misfit(row) for row in rows.values()))


def median_rows(
    case: Case, trials: list[Trial], possible: list[Theory], loader: Loader = OHA, requests: int = 0
) -> list[Row]:
    """For each figure the row of the trial with its median value (the lower of two)."""
    fitted = [rows_of_trial(case, trial, possible, loader=loader, requests=requests) for trial in trials]
    names = [name for name in (*PERCENTILES, *COUNTED) if name != "failed" or case.failing]
    rows = []
    for name in names:
        ordered = sorted((rows[name] for rows in fitted), key=lambda row: row.reported.value)
        rows.append(ordered[(len(ordered) - 1) // 2])
    return rows


# Measuring: perf-api


COMPONENT = """\
name = "{name}"
kind = "app"
title = "{title}"
summary = "A server of known behaviour: {title}."

[process]
program = {program}
args = {args}
version = ["--version"]
missing = "build perf-api"

[http]
ready = "/healthz"
endpoint = "/cached-value"
"""


def component_name(case: Case) -> str:
    """The name of a case's component, which is its folder's."""
    return f"target-{case.name}"


def write_component(folder: pathlib.Path, case: Case, program: pathlib.Path) -> pathlib.Path:
    """Makes a case's component folder."""
    component = folder / component_name(case)
    component.mkdir()
    # A JSON string or list of strings is one in TOML, too.
    arguments = json.dumps(["target", "--listen", "{host}:{port}", *case.arguments()])
    text = COMPONENT.format(
        name=component_name(case), title=case.title, program=json.dumps(str(program)), args=arguments
    )
    (component / "component.toml").write_text(text)
    return component


def call(command: list[str | pathlib.Path]) -> str:
    """The output of a command. Exits with the command's output when it fails."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    if done.returncode:
        line = " ".join(map(str, command))
        sys.exit(f"truth: `{line}` ended with {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def make_bundle(folder: pathlib.Path, cases: list[Case], program: pathlib.Path) -> pathlib.Path:
    """Pins a component for each case, and Redis, which every stack needs."""
    components = [write_component(folder, case, program) for case in cases]
    bundle = folder / "bundle.json"
    call([program, "bundle", *components, ROOT / "apps/redis", "--output", bundle])
    return bundle


LATENCY_COLUMNS = {name: f"latency_{name.replace('.', '_')}" for name in PERCENTILES}


def trials_query(app: str) -> str:
    """The figures of an app's trials."""
    columns = ["planned", "completed", "failed", "censored", "achieved_rps", "failure_reason", "flags"]
    for column in LATENCY_COLUMNS.values():
        columns += [f"{column}_ns", f"{column}_is_bound", f"{column}_high_ns"]
    return f"SELECT {', '.join(columns)} FROM trials WHERE app = '{app}' ORDER BY block"


def seconds_of(nanos: int | None) -> float | None:
    """Nanoseconds that may be missing, in seconds."""
    return None if nanos is None else nanos / 1e9


def read_trial(app: str, row: dict) -> Trial:
    """The figures of a row of the table `trials`."""
    if row.get("planned") is None:
        sys.exit(f"truth: a trial of {app} failed: {row.get('failure_reason')}")
    if row["planned"] != row["completed"] + row["failed"] + row["censored"]:
        sys.exit(f"truth: planned is not completed + failed + censored: {row}")
    trial = {
        name: Reported(row[f"{column}_ns"] / 1e9, row[f"{column}_is_bound"], seconds_of(row.get(f"{column}_high_ns")))
        for name, column in LATENCY_COLUMNS.items()
    }
    trial["achieved"] = Reported(row["achieved_rps"])
    return trial | {name: Reported(row[name]) for name in ("censored", "failed")}


@dataclasses.dataclass(frozen=True)
class Measured:
    """The trials of a case."""

    trials: list[Trial]
    # Of all apps that were measured in the same run.
    flags: set[str]


def measure_ours(
    case: Case,
    loader: Loader,
    program: pathlib.Path,
    bundle: pathlib.Path,
    results: pathlib.Path,
    seconds: int,
    repetitions: int,
    with_path: bool = False,
) -> Measured:
    """Measures a case as any app is measured: one trial for each repetition, beside one of the path."""
    apps = [component_name(one) for one in ((case, PATH_CASE) if with_path else (case,))]
    factors = {
        "apps": ",".join(apps), "stores": "redis", "workers": 1, "concurrency": CONNECTIONS, "qps": case.qps,
        "repetitions": repetitions, "duration": f"{seconds}s", "bundle": bundle, "results": results, "loader": loader.name,
        "arrivals": case.arrivals,
    }  # fmt: skip
    options = [word for name, value in factors.items() for word in (f"--{name}", str(value))]
    call([program, "quick", "--launcher", "process", "--no-progress", *options])
    rows = {app: [json.loads(line) for line in ask(program, results, trials_query(app))] for app in apps}
    trials = [read_trial(apps[0], row) for row in rows[apps[0]]]
    if len(trials) != repetitions:
        sys.exit(f"truth: {apps[0]} has {len(trials)} trials, not {repetitions}")
    flags = {flag for own in rows.values() for row in own for flag in row["flags"].split(",")}
    return Measured(trials, flags)


def ask(program: pathlib.Path, results: pathlib.Path, query: str) -> list[str]:
    """The rows that a query gives, as JSON."""
    return call([program, "sql", "--results", results, "--format", "json", query]).splitlines()


def read_path(loader: Loader, program: pathlib.Path, results: pathlib.Path) -> Path:
    """The latencies of a target that serves in no time."""
    query = (
        "SELECT low_ns, sum(count) AS requests FROM latency "
        "JOIN trials ON trials.dataset = latency.dataset AND trials.trial = latency.trial "
        f"WHERE app = '{component_name(PATH_CASE)}' AND count > 0 GROUP BY low_ns ORDER BY low_ns"
    )
    costs: list[float] = []
    for bucket in map(json.loads, ask(program, results, query)):
        costs += [bucket["low_ns"] / 1e9] * bucket["requests"]
    return Path(tuple(costs), loader.timer)


def measure_beside_path(
    case: Case, loader: Loader, program: pathlib.Path, bundle: pathlib.Path, folder: pathlib.Path, seconds: int, repetitions: int
) -> tuple[list[Trial], Path]:
    """The trials of a case and the path's latencies, of the first attempt that the host did not disturb."""
    for attempt in range(1, ATTEMPTS + 1):
        results = folder / f"results-{loader.name}-{case.name}-{attempt}"
        measured = measure_ours(case, loader, program, bundle, results, seconds, repetitions, with_path=True)
        flags = ", ".join(sorted(measured.flags & DISTURBED))
        if not flags:
            break
        print(f"truth: {loader.name}: {case.title}: attempt {attempt} of {ATTEMPTS} was disturbed: {flags}", file=sys.stderr, flush=True)
    return measured.trials, read_path(loader, program, results)


# Measuring: other tools


Tool = dict[str, float | None]


class Target:
    """A target that runs on its own for as long as the block does."""

    def __init__(self, case: Case, program: pathlib.Path, cpu: int) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{probe.getsockname()[1]}"
        command = ["taskset", "-c", str(cpu), program, "target", "--listen", self.address]
        # `taskset` becomes the target, so the process that is ended is the target itself.
        self.command = [*map(str, command), *case.arguments()]

    def __enter__(self) -> str:
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL)
        try:
            self.wait_until_ready()
        except BaseException:
            self.stop()
            raise
        return f"http://{self.address}/cached-value"

    def __exit__(self, *_: object) -> None:
        self.stop()

    def wait_until_ready(self) -> None:
        """Asks until the target answers, for at most 10 s."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                sys.exit(f"truth: {' '.join(self.command)} ended with {self.process.returncode}")
            try:
                with urllib.request.urlopen(f"http://{self.address}/healthz", timeout=2):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        sys.exit(f"truth: {' '.join(self.command)} did not answer in 10 s")

    def stop(self) -> None:
        """Ends the process that was started, and no other."""
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def read_oha(text: str) -> Tool:
    """The figures of oha's JSON."""
    summary = json.loads(text)
    percentiles = summary["latencyPercentiles"]
    tool = {name: percentiles[name] for name in PERCENTILES}
    return tool | {"achieved": summary["summary"]["requestsPerSec"]}


def run_oha(program: pathlib.Path, cpu: int, url: str, qps: int, seconds: int, is_corrected: bool) -> Tool:
    """The figures of oha itself for an open loop, with or without its latency correction."""
    command = ["taskset", "-c", cpu, program, "loader", "--drained-after", "1h", "--unfinished", os.devnull, "--", "-z", f"{seconds}s", "-q", qps, "-c", CONNECTIONS]
    command += ["--latency-correction"] if is_corrected else []
    command += ["--no-tui", "--disable-compression", "--output-format", "json", url]
    return read_oha(call(command))


WRK_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}


def read_wrk(text: str) -> Tool:
    """The figures of wrk's report."""
    tool: Tool = {}
    for name, q in PERCENTILES.items():
        found = re.search(rf"^\s+{q * 100:g}(?:\.0+)?%\s+([\d.]+)(us|ms|s|m)$", text, re.MULTILINE)
        tool[name] = float(found[1]) * WRK_UNITS[found[2]] if found else None
    found = re.search(r"^Requests/sec:\s+([\d.]+)$", text, re.MULTILINE)
    return tool | {"achieved": float(found[1]) if found else None}


def run_wrk(cpu: int, url: str, seconds: int) -> Tool:
    """The figures of wrk for its own load: a closed loop, as fast as answers come."""
    command = ["taskset", "-c", cpu, "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", url]
    return read_wrk(call(command))


TOOLS = ("oha corrected", "oha plain", "wrk (closed loop)")


def measure_tools(case: Case, program: pathlib.Path, seconds: int) -> dict[str, Tool]:
    """The figures of other tools for the same target, restarted for each of them."""
    cpus = sorted(os.sched_getaffinity(0))
    loader, target = cpus[0], cpus[-1]
    reported = {}
    for tool in TOOLS:
        with Target(case, program, target) as url:
            if tool.startswith("wrk"):
                reported[tool] = run_wrk(loader, url, seconds)
            else:
                reported[tool] = run_oha(program, loader, url, case.qps, seconds, tool == "oha corrected")
    return reported


# Telling


def show(name: str, value: float | None) -> str:
    """A figure for people: latencies in ms, rates per second, counts."""
    if value is None:
        return "-"
    if value == math.inf:
        return "inf"
    if name in PERCENTILES:
        return f"{value * 1e3:.2f} ms"
    return f"{value:.1f}/s" if name == "achieved" else f"{round(value, 1):.10g}"


def show_theory(name: str, figure: Figure) -> str:
    """A number, or the ends of an interval."""
    low, high = show(name, figure.low), show(name, figure.high)
    return low if figure.is_number else f"{low} to {high}"


def show_reported(name: str, reported: Reported) -> str:
    """A figure of ours, `>` before a bound."""
    return f"{'> ' if reported.is_bound else ''}{show(name, reported.value)}"


def show_error(row: Row) -> str:
    """The reported figure's relative difference from the theory, or from its lower end."""
    error = row.reported.value - row.expected if row.reported.is_bound or row.theory.is_number else row.difference
    if row.expected == 0:
        return "0.0 %" if error == 0 else "-"
    return f"{error / row.expected * 100:+.1f} %"


def headings(loaders: list[Loader]) -> list[str]:
    """The heads of the table's columns: three for each loader."""
    own = [head for loader in loaders for head in ("with the path", f"perf-api, {loader.name}", "error")]
    return ["case", "Q", "figure", "target alone", *own, *TOOLS]


def cells(rows: list[Row], loaders: list[Loader], alone: Theory, tools: dict[str, Tool]) -> list[str]:
    """A line of the table: a figure by every loader that measured it."""
    case, name = rows[0].case, rows[0].name
    own: list[str] = []
    for loader in loaders:
        row = next((row for row in rows if row.loader is loader), None)
        own += [show_theory(name, row.theory), show_reported(name, row.reported), show_error(row)] if row else ["-"] * 3
    others = [show(name, tools[tool].get(name)) if tools else "-" for tool in TOOLS]
    return [case.title, str(case.qps), name, show_theory(name, alone[name]), *own, *others]


def print_table(lines: list[list[str]]) -> None:
    """Columns as wide as their widest cell."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for line in lines:
        print(" | ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())


def far_off(case: Case, overall: Theory, tools: dict[str, Tool]) -> list[str]:
    """Which latencies of other tools are wrong by a factor, against what is true without a deadline."""
    found = []
    for tool, reported in tools.items():
        for name in PERCENTILES:
            value, truth = reported.get(name), overall[name].truth
            if value and not truth / FAR_OFF <= value <= truth * FAR_OFF:
                factor = max(value / truth, truth / value)
                way = "over" if value > truth else "under"
                found.append(
                    f"{case.title} at {case.qps}/s: {tool} reports {name} {show(name, value)}, "
                    f"{factor:.0f} times {way} {show(name, truth)}"
                )
    return found


def measure(
    program: pathlib.Path, loaders: list[Loader], cases: list[Case], seconds: int, repetitions: int, with_tools: bool
) -> int:
    """Measures and judges every case; the exit code."""
    lines, far, complaints = [], [], []
    with tempfile.TemporaryDirectory(prefix="perf-api-truth-") as name:
        folder = pathlib.Path(name)
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")  # never the user's
        # A copy, so that a build which goes on beside does not change what is measured.
        program = pathlib.Path(shutil.copy2(program, folder / "perf-api"))
        bundle = make_bundle(folder, [PATH_CASE, *cases], program)
        for case in cases:
            print(f"truth: {case.title} at {case.qps}/s", file=sys.stderr, flush=True)
            by_loader = []
            for loader in loaders:
                if not loader.can(case):
                    continue
                trials, path = measure_beside_path(case, loader, program, bundle, folder, seconds, repetitions)
                overall, possible = theories(case, seconds, path)
                by_loader.append(median_rows(case, trials, possible, loader, round(case.qps * seconds)))
            tools = measure_tools(case, program, seconds) if with_tools and case.arrivals == "even" else {}
            alone, _ = theories(case, seconds)
            lines += [cells(list(rows), loaders, alone, tools) for rows in zip(*by_loader, strict=True)]
            far += far_off(case, overall, tools)
            complaints += [
                f"{row.loader.name}: {complaint}" for rows in by_loader for row in rows if (complaint := row.complaint())
            ]
    print_table([headings(loaders), *lines])
    if with_tools:
        print(f"\noff by more than {FAR_OFF} times:")
        print("\n".join(far) or "none")
    for complaint in complaints:
        print(f"truth: WRONG: {complaint}", file=sys.stderr)
    return 1 if complaints else 0


def measure_on_any_host(
    program: pathlib.Path, loaders: list[Loader], cases: list[Case], seconds: int, repetitions: int
) -> int:
    """Measures every case and judges what a busy host cannot break; the exit code."""
    complaints = []
    with tempfile.TemporaryDirectory(prefix="perf-api-truth-") as name:
        folder = pathlib.Path(name)
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")  # never the user's
        program = program.resolve()
        bundle = make_bundle(folder, cases, program)
        for case, loader in itertools.product(cases, loaders):
            if not loader.can(case):
                continue
            _, possible = theories(case, seconds)
            results = folder / f"results-{loader.name}"
            for trial in measure_ours(case, loader, program, bundle, results, seconds, repetitions).trials:
                rows = rows_of_trial(case, trial, possible, lambda row: row.impossibility, loader).values()
                print_table([headings([loader]), *(cells([row], [loader], {row.name: row.theory}, {}) for row in rows)])
                complaints += [complaint for row in rows if (complaint := row.impossible())]
    for complaint in complaints:
        print(f"truth: WRONG: {complaint}", file=sys.stderr)
    return 1 if complaints else 0


# Self-test


def assert_close(what: str, value: float, expected: float, share: float) -> None:
    """Fails when two numbers differ by more than a share."""
    assert abs(value - expected) <= share * abs(expected), f"{what}: {value}, closed form {expected}"


def d_m_1_quantile(service: float, qps: float, q: float) -> float:
    """The latency in a queue with even arrivals and one exponential server.

    Its waiting root is sigma = exp(-(1 - sigma) / rho); latencies are exponential with the rate
    (1 - sigma) / service (source: Kleinrock 1975, *Queueing Systems* 1, ch. 6, G/M/1).
    """
    rho, sigma = qps * service, 0.5
    for _ in range(200):
        sigma = math.exp(-(1 - sigma) / rho)
    return -math.log(1 - q) * service / (1 - sigma)


def stalled_quantile(case: Case, q: float) -> float:
    """The latency with unlimited servers and connections: who comes in a stall waits for its end."""
    stalled = case.stall / case.stall_every
    return case.service + max(0.0, case.stall * (1 - (1 - q) / stalled))


def lindley(case: Case, seconds: float) -> list[float]:
    """Latencies of a single server with a fixed service, by Lindley's recursion."""
    latencies, wait = [], 0.0
    for _ in range(round(case.qps * seconds)):
        latencies.append(wait + case.service)
        wait = max(0.0, wait + case.service - 1 / case.qps)
    return latencies


def by_name(name: str) -> Case:
    """A case of the table."""
    return next(case for case in CASES if case.name == name)


def test_fixed() -> None:
    """Unsaturated: every latency is the service, and every request is answered."""
    for name in ("fixed-1ms-500", "fixed-1ms-2000", "fixed-5ms", "fixed-one-server"):
        case = by_name(name)
        overall, _ = theories(case, 4)
        for percentile in JUDGED_PERCENTILES:
            assert overall[percentile].is_number, name
            assert_close(f"{name} {percentile}", overall[percentile].truth, case.service, 1e-6)
        assert overall["censored"].low == 0, name


def test_exponential() -> None:
    """D/M/1, at the load of the table and at a heavier one."""
    for service in (0.5e-3, 0.8e-3):
        case = dataclasses.replace(by_name("exponential"), service=service)
        outcome = simulate(case, 400, 0.0, random.Random(2), connections=10_000)
        theory = figures(outcome)
        for name in JUDGED_PERCENTILES:
            expected = d_m_1_quantile(service, case.qps, PERCENTILES[name])
            assert_close(f"D/M/1 {name}", theory[name].truth, expected, 0.03)


def test_poisson() -> None:
    """M/M/1 by its closed form, M/D/1 by its mean (source: Kleinrock 1975, *Queueing Systems* 1, ch. 3 and 5)."""
    case = by_name("m-m-1")
    theory = figures(simulate(case, 400, 0.0, random.Random(2), connections=10_000))
    rate = 1 / case.service - case.qps
    for name in JUDGED_PERCENTILES:
        assert_close(f"M/M/1 {name}", theory[name].truth, -math.log(1 - PERCENTILES[name]) / rate, 0.03)
    case = by_name("m-d-1")
    outcome = simulate(case, 400, 0.0, random.Random(2), connections=10_000)
    rho = case.qps * case.service
    expected = case.service + case.service * rho / (2 * (1 - rho))
    assert_close("M/D/1", statistics.mean(outcome.answered), expected, 0.02)


def test_overload() -> None:
    """Lindley's recursion, and the count of unfinished requests: those in flight are waited for."""
    case, seconds = by_name("overload"), 4
    outcome = simulate(case, seconds, 0.0, random.Random(0))
    latencies = outcome.answered + outcome.would_wait
    for index, (latency, expected) in enumerate(zip(latencies, lindley(case, seconds), strict=True)):
        assert_close(f"Lindley {index}", latency, expected, 1e-6)
        assert_close(f"closed {index}", expected, case.service + index * (case.service - 1 / case.qps), 1e-6)
    theory = figures(outcome)
    assert theory["censored"].low == (case.qps - 1 / case.service) * seconds - (CONNECTIONS - 1)
    assert_close("achieved", theory["achieved"].low, 1 / case.service, 1e-9)
    # Answered and unfinished ones had waited evenly up to a third of the load each.
    assert_close("p50, low", theory["p50"].low, seconds / 6, 0.02)
    assert_close("p50, high", theory["p50"].high, seconds / 4, 0.02)
    assert theory["p90"].high == math.inf


def test_stalls() -> None:
    """Over all phases; a load this long hardly feels its deadline."""
    for name in ("stall-150ms", "stall-400ms"):
        case = by_name(name)
        outcomes = [
            simulate(case, 100, case.stall_every * index / 20, random.Random(0), connections=10_000)
            for index in range(20)
        ]
        theory = merged(outcomes)
        for percentile in JUDGED_PERCENTILES:
            expected = stalled_quantile(case, PERCENTILES[percentile])
            difference = abs(theory[percentile].truth - expected)
            assert difference <= max(0.01 * expected, 1 / case.qps), f"{name} {percentile}: {theory[percentile]}"


def test_connections() -> None:
    """Who finds no connection at a stall's end waits for one more service."""
    case = by_name("stall-400ms")
    longest = [
        max(simulate(case, 2, 0.0, random.Random(0), connections).answered[:700]) for connections in (50, 10_000)
    ]
    assert longest[0] >= longest[1], longest
    outcome = simulate(case, 4, 0.0, random.Random(0), 50)
    ends = [index / case.qps + latency for index, latency in enumerate(outcome.answered)]
    waves = {round((end - 2.0) / case.service) for end in ends[800:1000]}
    assert waves == {1, 2, 3, 4}, waves


def test_errors() -> None:
    """Failed requests are counted, and have no latency."""
    theory, _ = theories(by_name("errors"), 4)
    assert_close("failed", theory["failed"].low, 200, 0.03)
    assert_close("achieved", theory["achieved"].low, 950, 0.003)
    assert_close("p99", theory["p99"].low, 1e-3, 1e-6)


def reported_as(theory: Theory) -> Trial:
    """The trial that a correct perf-api would report."""
    def reported(name: str, figure: Figure) -> Reported:
        if name not in PERCENTILES:
            return Reported(round(figure.low))
        is_interval = not figure.is_number and math.isfinite(figure.high)
        return Reported(figure.low, not figure.is_number, figure.high if is_interval else None)

    return {name: reported(name, figure) for name, figure in theory.items()}


def test_judgement() -> None:
    """What is right passes, in any phase; each figure that is wrong is named."""
    for case in CASES:
        _, possible = theories(case, 4)
        for theory in possible[:: max(1, len(possible) // 5)]:
            rows = median_rows(case, [reported_as(theory)] * 3, possible)
            complaints = [complaint for row in rows if (complaint := row.complaint())]
            assert not complaints, complaints
    _, possible = theories(by_name("fixed-5ms"), 4)
    for name, reported in {"p50": Reported(6e-3), "p90": Reported(5e-3, True), "p99": Reported(4e-3), "achieved": Reported(970)}.items():
        trial = reported_as(possible[0]) | {name: reported}
        rows = median_rows(by_name("fixed-5ms"), [trial], possible)
        assert [row.name for row in rows if row.complaint()] == [name], name
    _, possible = theories(by_name("overload"), 4)
    survivors = {"p50": Reported(0.667), "p99": Reported(1.32), "censored": Reported(100)}
    rows = median_rows(by_name("overload"), [reported_as(possible[0]) | survivors], possible)
    assert [row.name for row in rows if row.complaint()] == list(survivors), rows
    too_low = {"p50": dataclasses.replace(reported_as(possible[0])["p50"], high=0.9 * possible[0]["p50"].truth)}
    rows = median_rows(by_name("overload"), [reported_as(possible[0]) | too_low], possible)
    assert [row.name for row in rows if row.complaint()] == ["p50"], rows


def test_any_host() -> None:
    """What is answered late passes, in any phase; what is answered too soon is named."""
    case = by_name("stall-400ms")
    _, possible = theories(case, 4)
    for theory in possible:
        reported = reported_as(theory)
        late = {name: Reported(reported[name].value * 3 + 0.1) for name in PERCENTILES} | {"achieved": Reported(100)}
        for trial in (reported, reported | late):
            rows = rows_of_trial(case, trial, possible, lambda row: row.impossibility).values()
            assert not [complaint for row in rows if (complaint := row.impossible())], trial
        # The report of a loader that waits for the end of a stall before it sends.
        trial = reported | {name: Reported(1.2e-3) for name in PERCENTILES}
        rows = rows_of_trial(case, trial, possible, lambda row: row.impossibility).values()
        assert {"p90", "p99"} <= {row.name for row in rows if row.impossible()}, rows


def test_medians() -> None:
    """The trial in the middle speaks for each figure."""
    case = by_name("fixed-5ms")
    _, possible = theories(case, 4)
    trials = [reported_as(possible[0]) | {"p50": Reported(value)} for value in (9e-3, 5.1e-3, 5e-3)]
    assert median_rows(case, trials, possible)[0].reported == Reported(5.1e-3)


OHA_EXAMPLE = """{"summary": {"successRate": 1.0, "requestsPerSec": 999.5},
    "latencyPercentiles": {"p10": 0.001, "p50": 0.002, "p90": 0.003, "p99": 0.004, "p99.9": null}}"""
WRK_EXAMPLE = """Running 10s test @ http://127.0.0.1:8080/cached-value
  Latency Distribution
     50%  850.00us
     75%    1.20ms
     90%    1.35ms
     99%    1.02s
  123456 requests in 10.00s, 140.11MB read
Requests/sec:  12345.67
Transfer/sec:     14.01MB
"""


def test_parsing() -> None:
    """The reports of other tools, and what is far off."""
    oha = read_oha(OHA_EXAMPLE)
    assert oha == {"p50": 0.002, "p90": 0.003, "p99": 0.004, "p99.9": None, "achieved": 999.5}, oha
    wrk = read_wrk(WRK_EXAMPLE)
    assert wrk == {"p50": 850e-6, "p90": 1.35e-3, "p99": 1.02, "p99.9": None, "achieved": 12345.67}, wrk
    case = by_name("fixed-1ms-500")
    found = far_off(case, theories(case, 4)[0], {"wrk (closed loop)": wrk})
    assert len(found) == 1 and "p99 1020.00 ms, 1020 times over 1.00 ms" in found[0], found


def self_test() -> None:
    """Every check that needs no target."""
    for test in (
        test_fixed, test_exponential, test_poisson, test_overload, test_stalls, test_connections,
        test_errors, test_judgement, test_any_host, test_medians, test_parsing,
    ):  # fmt: skip
        test()
        print(f"ok {test.__name__}", flush=True)


def main() -> int:
    """The command line; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", nargs="?", type=pathlib.Path, help="the perf-api to measure with")
    parser.add_argument("--self-test", action="store_true", help="check the theory, measure nothing")
    parser.add_argument("--seconds", type=int, default=4, help="of each load; even, for stalls to be whole")
    parser.add_argument("--repetitions", type=int, default=3, help="of each case")
    parser.add_argument("--cases", default="", help="names of cases, separated by commas; else all")
    parser.add_argument("--loaders", default=",".join(LOADERS), help="loaders of ours, separated by commas")
    parser.add_argument("--ours-only", action="store_true", help="leave out oha's and wrk's own figures")
    parser.add_argument("--any-host", action="store_true", help="judge only what a busy host cannot break")
    options = parser.parse_args()
    if options.self_test:
        self_test()
        return 0
    if options.program is None:
        parser.error("the program is missing")
    wanted = options.cases.split(",") if options.cases else [case.name for case in CASES]
    if unknown := set(wanted) - {case.name for case in CASES}:
        parser.error(f"no such case: {', '.join(sorted(unknown))}")
    cases = [case for case in CASES if case.name in wanted]
    if unknown := set(options.loaders.split(",")) - set(LOADERS):
        parser.error(f"no such loader: {', '.join(sorted(unknown))}")
    loaders = [LOADERS[name] for name in options.loaders.split(",")]
    if options.any_host:
        return measure_on_any_host(options.program, loaders, cases, options.seconds, options.repetitions)
    return measure(options.program, loaders, cases, options.seconds, options.repetitions, not options.ours_only)


if __name__ == "__main__":
    sys.exit(main())
