"""Results in an object store: what perf-api does there, shown against moto's S3 server.

    python tests/store/s3.py PATH_TO_PERF_API
"""

import http.client
import http.server
import importlib.metadata
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import typing

import boto3

BUCKET = "measurements"
SECRET = "a-secret-that-nobody-may-see"
FILES = [
    "latency.parquet", "manifest.json", "resources.parquet", "timeline.parquet", "trials.parquet",
]
QUERIES = [
    "SELECT * FROM datasets ORDER BY dataset",
    "SELECT * FROM trials ORDER BY dataset, trial",
    "SELECT dataset, app, store, target_rps, hist_count(histogram) AS answered,"
    " hist_quantile(0.5, histogram) AS p50_ns, hist_quantile(0.99, histogram) AS p99_ns FROM ("
    " SELECT dataset, app, store, target_rps,"
    " hist_merge(l.low_ns, l.high_ns, l.count, l.censored) AS histogram"
    " FROM latency l JOIN trials t USING (dataset, trial) WHERE is_valid GROUP BY ALL"
    ") ORDER BY dataset, app, store, target_rps",
]

checks = 0


def check(what: str, is_so: bool, seen: object = "") -> None:
    global checks
    if not is_so:
        raise AssertionError(f"not so: {what}\n{seen}")
    checks += 1


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Request(typing.NamedTuple):
    """What the program asked the object store, and what it got."""

    method: str
    path: str
    if_none_match: str | None
    status: int


class Proxy(http.server.ThreadingHTTPServer):
    """Passes requests on to the S3 server, and remembers them."""

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), Passing)
        self.behind = port
        self.requests: list[Request] = []

    def during(self, act: typing.Callable[[], object]) -> list[Request]:
        """The requests that came while something was done."""
        before = len(self.requests)
        act()
        return self.requests[before:]


class Passing(http.server.BaseHTTPRequestHandler):
    """One connection of the program."""

    protocol_version = "HTTP/1.1"
    # Each answer in one piece: in two, the second would wait for the other side's acknowledgement.
    wbufsize = 1 << 16
    disable_nagle_algorithm = True
    server: Proxy

    def pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        behind = http.client.HTTPConnection("127.0.0.1", self.server.behind, timeout=30)
        behind.request(self.command, self.path, body, dict(self.headers))
        answer = behind.getresponse()
        content = answer.read()
        behind.close()
        condition = self.headers.get("If-None-Match")
        self.server.requests.append(Request(self.command, self.path, condition, answer.status))
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "content-length", "transfer-encoding"):
                self.send_header(name, value)
        length = answer.getheader("Content-Length") if self.command == "HEAD" else len(content)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(content)

    do_DELETE = do_GET = do_HEAD = do_POST = do_PUT = pass_on

    def log_message(self, *_: object) -> None:
        pass


def wait_until_ready(server: subprocess.Popen, port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert server.poll() is None, "moto's server ended before it was ready"
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/moto-api/data.json")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.05)
    raise AssertionError("moto's server was not ready within 60 seconds")


class Program:
    """perf-api in a folder of its own, with a cleared environment."""

    def __init__(self, program: str, here: pathlib.Path, proxy: Proxy) -> None:
        self.program = program
        self.here = here
        self.environment = {
            "XDG_STATE_HOME": str(here / "state"),
            "AWS_ENDPOINT": f"http://127.0.0.1:{proxy.server_port}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "somebody",
            "AWS_SECRET_ACCESS_KEY": SECRET,
        }

    def run(
        self, *args: str, code: int | None = 0, **environment: str
    ) -> subprocess.CompletedProcess:
        """Runs a command that must end with an exit code within a minute: any but 0 for `None`."""
        done = subprocess.run(
            [self.program, *args], cwd=self.here, env=self.environment | environment,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
        )
        told = f"$ perf-api {' '.join(args)}\nexit {done.returncode}\n{done.stdout}{done.stderr}"
        is_right = done.returncode > 0 if code is None else done.returncode == code
        wanted = "one that is not 0" if code is None else code
        assert is_right, f"exit code {done.returncode} in place of {wanted}:\n{told}"
        assert SECRET not in told, f"the secret is told:\n{told}"
        return done

    def refused(self, *args: str, code: int | None = None, **environment: str) -> str:
        """Runs a command that must end with one error, told first; gives what it told."""
        told = self.run(*args, code=code, **environment).stderr
        assert told.startswith("error: "), f"perf-api {' '.join(args)} told no error:\n{told}"
        errors = [line for line in told.splitlines() if line.startswith("error:")]
        assert len(errors) == 1, f"perf-api {' '.join(args)} told {len(errors)} errors:\n{told}"
        for sign in ("panicked", "RUST_BACKTRACE", "stack backtrace"):
            assert sign not in told, f"perf-api {' '.join(args)} gave way:\n{told}"
        return told

    def measure(self, place: str, *args: str) -> str:
        """Makes up a dataset; gives its id."""
        told = self.run("quick", "--fake", "--no-progress", "--results", place, *args).stdout
        lines = [line.split() for line in told.splitlines()]
        return next(line[1] for line in lines if line[:1] == ["dataset"] and len(line) == 2)

    def listed(self, place: str) -> dict[str, dict]:
        """The datasets of a place, the latest first."""
        told = self.run("results", "list", "--format", "json", "--results", place).stdout
        return {one["dataset"]: one for one in json.loads(told)}

    def sql(self, query: str, place: str, *args: str) -> list[dict]:
        told = self.run("sql", query, "--format", "json", "--results", place, *args).stdout
        return [json.loads(line) for line in told.splitlines()]


def main(program: str) -> None:
    program = str(pathlib.Path(program).resolve())
    # What this machine goes through to reach others has no part in it.
    os.environ["NO_PROXY"] = "127.0.0.1"
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        here = pathlib.Path(folder)
        shutil.copy("tests/fixtures/bundle.json", here)
        log = here / "moto.log"
        serve = "from moto.server import main; main()"
        with log.open("w") as to_log:
            server = subprocess.Popen(
                [sys.executable, "-c", serve, "-H", "127.0.0.1", "-p", str(port)],
                stdin=subprocess.DEVNULL, stdout=to_log, stderr=to_log,
            )
        proxy = Proxy(port)
        passing = threading.Thread(target=proxy.serve_forever, daemon=True)
        passing.start()
        try:
            wait_until_ready(server, port)
            # Not through the proxy: what the test itself does is not counted.
            s3 = boto3.client(
                "s3", endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1",
                aws_access_key_id="somebody", aws_secret_access_key=SECRET,
            )
            s3.create_bucket(Bucket=BUCKET)
            show(Program(program, here, proxy), s3, proxy)
        except BaseException:
            sys.stderr.write("the last that moto's server wrote:\n")
            sys.stderr.writelines(log.read_text().splitlines(keepends=True)[-20:])
            raise
        finally:
            proxy.shutdown()
            proxy.server_close()
            server.kill()
            server.wait()
    print(f"s3: {checks} checks, moto {importlib.metadata.version('moto')}")


def show(perf: Program, s3: typing.Any, proxy: Proxy) -> None:
    place = f"s3://{BUCKET}/team/bench"
    first = perf.measure("folder")
    push_and_pull(perf, s3, proxy, place, first)
    second = perf.measure("folder", "--seed", "7", "--repetitions", "2")
    third = perf.measure("folder", "--seed", "9", "--apps", "express")
    assert len({first, second, third}) == 3
    for one in (second, third):
        perf.run("results", "push", one, place, "--results", "folder")
    same_answers(perf, place, {first, second, third})
    reads_no_more_than_asked(perf, proxy, place)
    straight_into_s3(perf, s3, proxy, first)
    tags(perf, place, first, second)
    damage(perf, s3, place, second)
    removal(perf, s3, place, first, {second, third})
    unreachable(perf, place)


def objects(s3: typing.Any, place: str, dataset: str = "") -> dict[str, bytes]:
    """The objects of a dataset, by name."""
    prefix = f"{place.removeprefix(f's3://{BUCKET}/')}/{dataset}"
    listed = s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
    keys = [one["Key"] for one in listed]
    contents = [s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys]
    names = [key.removeprefix(prefix).removeprefix("/") for key in keys]
    return dict(zip(names, contents, strict=True))


def files(folder: pathlib.Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def push_and_pull(perf: Program, s3: typing.Any, proxy: Proxy, place: str, first: str) -> None:
    own = files(perf.here / "folder" / first)
    assert sorted(own) == FILES, sorted(own)
    told = []

    def push() -> None:
        told.append(perf.run("results", "push", "latest", place, "--results", "folder").stdout)

    requests = proxy.during(push)
    check("push tells the id that the dataset has in the folder", first in told[0], told)
    check("the objects are the files of the folder", objects(s3, place, first) == own)

    puts = [request for request in requests if request.method == "PUT"]
    names = [request.path.rsplit("/", 1)[1] for request in puts]
    check("push puts each file once", sorted(names) == FILES, names)
    last = puts[-1]
    check("the manifest is put last: whoever sees it sees all", names[-1] == "manifest.json", names)
    check("and only if it is not there (If-None-Match: *)", last.if_none_match == "*", last)

    puts = [request for request in proxy.during(push) if request.method == "PUT"]
    again = [request for request in puts if request.path.endswith("manifest.json")]
    check("push again ends well with the same id", first in told[1], told)
    check(
        "push again does not put the manifest over the one that is there",
        all((one.if_none_match, one.status) == ("*", 412) for one in again), again,
    )
    check("push again leaves the objects as they were", objects(s3, place, first) == own)

    listed = perf.listed(place)
    check("list has the dataset, and it alone", list(listed) == [first], listed)
    check("list tells of S3 what it tells of the folder", listed == perf.listed("folder"), listed)
    told = perf.run("results", "verify", "--all", "--results", place).stdout
    check("verify finds it intact", told.startswith(f"intact     {first[:12]}"), told)

    told = perf.run("results", "pull", place, "--results", "pulled").stdout
    check("pull tells the same id", first in told, told)
    check("pull gives identical files", files(perf.here / "pulled" / first) == own)
    told = perf.run("results", "verify", "--all", "--results", "pulled").stdout
    check("what was pulled is intact", told.startswith(f"intact     {first[:12]}"), told)


def same_answers(perf: Program, place: str, pushed: set[str]) -> None:
    for query in QUERIES:
        answer = perf.sql(query, "folder")
        datasets = {row["dataset"] for row in answer}
        check("SQL over the folder has rows of every dataset", datasets == pushed, answer)
        there = perf.sql(query, place)
        same = f"{query}\n{there}\n{answer}"
        check("SQL over S3 answers like SQL over the folder", there == answer, same)
    quantiles = [(row["p50_ns"], row["p99_ns"]) for row in answer]
    are_numbers = all(p50 and p99 and p50 <= p99 for p50, p99 in quantiles)
    check("quantiles are numbers, in order", are_numbers, answer)

    for name in ("latest", "latest~1"):
        perf.run("report", name, "--results", "folder", "-o", "folder.html")
        perf.run("report", name, "--results", place, "-o", "s3.html")
        pages = [(perf.here / page).read_bytes() for page in ("folder.html", "s3.html")]
        check(f"the report of {name} is the same, byte for byte", pages[0] == pages[1])


def reads_no_more_than_asked(perf: Program, proxy: Proxy, place: str) -> None:
    latest, *others = perf.listed(place)
    assert len(others) == 2
    answers = []

    def ask(query: str) -> list[Request]:
        return proxy.during(lambda: answers.append(perf.sql(query, place)))

    def tables(requests: list[Request], dataset: str) -> list[str]:
        paths = [request.path.split("?")[0] for request in requests]
        return [path for path in paths if f"/{dataset}/" in path and path.endswith(".parquet")]

    joined = "SELECT DISTINCT l.dataset FROM latency l JOIN trials USING (dataset, trial)"
    requests = ask(joined)
    touched = [one for one in (latest, *others) if tables(requests, one)]
    check("without a condition, tables of each dataset are read", len(touched) == 3, requests)
    for query in (
        "SELECT DISTINCT dataset FROM latency WHERE dataset = dataset('latest')",
        f"{joined} WHERE l.dataset = dataset('latest')",
    ):
        requests = ask(query)
        answer = answers[-1]
        check("a condition on the dataset chooses it", answer == [{"dataset": latest}], answer)
        check("its tables are read", bool(tables(requests, latest)), requests)
        more = [path for one in others for path in tables(requests, one)]
        check("no table of another dataset is asked for", not more, f"{query}\n{more}")


def straight_into_s3(perf: Program, s3: typing.Any, proxy: Proxy, first: str) -> None:
    place = f"s3://{BUCKET}/straight"
    ids = []
    requests = proxy.during(lambda: ids.append(perf.measure(place)))
    check("a run into S3 gives the dataset id of a run into a folder", ids == [first], ids)
    check("and the same files", objects(s3, place, first) == files(perf.here / "folder" / first))
    puts = [one for one in requests if one.method == "PUT"]
    check(
        "its manifest is put last, and only if it is not there",
        puts[-1].path.endswith("manifest.json") and puts[-1].if_none_match == "*", puts,
    )
    state = perf.here / "state/perf-api"
    check("its journal was in a folder of this machine", len(list(state.glob("*/journal"))) == 1)
    left = list(state.glob("*/journal/*"))
    check("no journal of it is left", not left, left)
    there = set(objects(s3, place))
    check("nothing but the dataset is in S3", there == {f"{first}/{name}" for name in FILES}, there)


def tags(perf: Program, place: str, first: str, second: str) -> None:
    def tagged() -> dict[str, list[str]]:
        return {one: told["tags"] for one, told in perf.listed(place).items() if told["tags"]}

    at = ("--results", place)
    perf.run("results", "tag", first, "baseline", *at)
    check("a tag names its dataset", tagged() == {first: ["baseline"]}, tagged())
    told = perf.run("results", "show", "baseline", "--format", "json", *at).stdout
    check("a dataset is found by its tag", json.loads(told)["dataset"] == first, told)
    check(
        "SQL finds it by its tag",
        perf.sql("SELECT dataset('baseline') AS id", place) == [{"id": first}],
    )
    told = perf.refused("results", "tag", second, "baseline", *at, code=1)
    check("a tag of another dataset is refused, with what moves it", "--force" in told, told)
    check("and stays where it was", tagged() == {first: ["baseline"]}, tagged())
    perf.run("results", "tag", second, "baseline", "--force", *at)
    check("--force moves it", tagged() == {second: ["baseline"]}, tagged())
    perf.run("results", "untag", "baseline", *at)
    check("untag takes it away", tagged() == {}, tagged())


def damage(perf: Program, s3: typing.Any, place: str, dataset: str) -> None:
    key = f"{place.removeprefix(f's3://{BUCKET}/')}/{dataset}/latency.parquet"
    whole = s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    at = ("--results", place)
    # After the 4 letters of the format comes the column `trial`, which the query does not read.
    flipped = whole[:4] + bytes([whole[4] ^ 1]) + whole[5:]
    query = f"SELECT sum(count) AS answered FROM latency WHERE dataset = '{dataset}'"
    intact = perf.sql(query, "folder")

    s3.put_object(Bucket=BUCKET, Key=key, Body=flipped)
    told = perf.run("results", "verify", "--all", *at, code=5).stdout
    lines = {line.split()[1]: line.split()[0] for line in told.splitlines()}
    others = [condition for name, condition in lines.items() if name != dataset[:12]]
    check("verify tells a flipped byte", lines[dataset[:12]] == "corrupt", told)
    check("and that the others are intact", others == ["intact", "intact"], told)
    told = perf.refused("sql", query, *at, code=5)
    table = f"{dataset}/latency.parquet"
    check("SQL refuses a flipped byte, and names the object", table in told, told)
    told = perf.refused("report", dataset, "-o", "corrupt.html", *at, code=5)
    check("a report refuses it, and names the object", table in told, told)
    check("and writes nothing", not (perf.here / "corrupt.html").exists())
    told = perf.refused("results", "pull", place, dataset, "--results", "elsewhere", code=5)
    check("pull does not take it", not perf.listed("elsewhere"), told)
    check("`sql --unverified` looks anyway", perf.sql(query, place, "--unverified") == intact)

    s3.delete_object(Bucket=BUCKET, Key=key)
    told = perf.run("results", "verify", dataset, *at, code=6).stdout
    check("verify tells a missing table", told.startswith(f"missing    {dataset[:12]}"), told)
    told = perf.refused("sql", query, *at, code=6)
    check("so does SQL, which names the object", table in told, told)

    s3.put_object(Bucket=BUCKET, Key=key, Body=whole)
    told = perf.run("results", "verify", "--all", *at).stdout
    check("with the object as it was, all is intact again", told.count("intact ") == 3, told)
    check("and SQL answers", perf.sql(query, place) == intact)


def removal(perf: Program, s3: typing.Any, place: str, dataset: str, others: set[str]) -> None:
    at = ("--results", place)
    perf.run("results", "tag", dataset, "keep", *at)
    told = perf.refused("results", "remove", dataset, "--yes", *at, code=1)
    check("a dataset with a tag is not removed; what does it is told", "--force" in told, told)
    check("all of it is there", sorted(objects(s3, place, dataset)) == FILES)
    perf.run("results", "remove", dataset, "--yes", "--force", *at)
    check("--force removes it from the list", set(perf.listed(place)) == others, perf.listed(place))
    check("no object of it is left", not objects(s3, place, dataset))
    left = set(objects(s3, place))
    whole = {f"{one}/{name}" for one in others for name in FILES}
    check("its tag is gone, and the others are whole", left == whole, left)
    perf.run("results", "verify", "--all", *at)


def unreachable(perf: Program, place: str) -> None:
    wrong = "s3://no-such-bucket/team"
    told = perf.refused("results", "list", "--results", wrong)
    check("a wrong bucket is told by list, with its name", wrong in told, told)
    told = perf.refused("sql", "SELECT 1", "--results", wrong)
    check("and by SQL", wrong in told, told)
    told = perf.refused("results", "push", "latest", wrong, "--results", "folder")
    check("and by push", wrong in told, told)

    nobody = f"http://127.0.0.1:{free_port()}"
    told = perf.refused("results", "list", "--results", place, AWS_ENDPOINT=nobody)
    check("an unreachable endpoint is told by list, with its address", nobody in told, told)
    told = perf.refused(
        "results", "push", "latest", place, "--results", "folder", AWS_ENDPOINT=nobody
    )
    check("and by push", nobody in told, told)
    told = perf.refused("results", "pull", place, "--results", "elsewhere", AWS_ENDPOINT=nobody)
    check("and by pull", nobody in told, told)


if __name__ == "__main__":
    main(sys.argv[1])
