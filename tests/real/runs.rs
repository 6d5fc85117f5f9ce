//! Real runs: what they measure, and that nothing of them stays behind.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use perf_api::query::{Dataset, Trust};
use perf_api::store::{Location, Store};
use perf_api::study::{CaseStudy, LatencyEstimate, study};
use rustix::process::{Pid, Signal, kill_process};

use super::system::{Identity, command, descendants, is_alive, perf_api, take_turn, wait_until};

/// The cases of the only dataset in a results folder.
fn cases(results: &Path) -> Vec<CaseStudy> {
    let store = Store::open(&Location::Folder(results.to_owned())).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let id = store.names().await.unwrap().find("latest").unwrap();
        let dataset = Dataset::open(&store, id, Trust::Verify).await.unwrap();
        let (trials, histograms) = (dataset.trials().await, dataset.histograms().await);
        study(&trials.unwrap(), &histograms.unwrap()).cases
    })
}

fn p95(case: &CaseStudy) -> LatencyEstimate {
    case.latency[2].unwrap()
}

/// Runs to the end; gives what it told on standard error.
fn run(results: &Path, args: &[&str]) -> (i32, String) {
    let output = perf_api(results, args).output().unwrap();
    (output.status.code().unwrap_or(-1), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_load_within_capacity_is_served_whole() {
    let _turn = take_turn();
    let results = tempfile::tempdir().unwrap();
    let (code, told) = run(
        results.path(),
        &[
            "quick",
            "--launcher",
            "process",
            "--stores",
            "redis,valkey",
            "--qps",
            "200",
            "--duration",
            "2s",
        ],
    );
    assert_eq!(code, 0, "{told}");
    let cases = cases(results.path());
    assert_eq!(cases.len(), 4);
    for case in cases {
        assert_eq!((case.valid, case.failed, case.planned), (1, 0, 400), "{case:?}");
        // What was under way when the load ended: a hundredth of a second's worth or so.
        assert!(case.censored <= 20, "{case:?}");
        assert!(p95(&case).value_ns.as_secs_f64() < 1.0, "{case:?}");
    }
}

#[test]
fn an_overload_is_told_honestly() {
    let _turn = take_turn();
    let results = tempfile::tempdir().unwrap();
    let args = [
        "quick",
        "--launcher",
        "process",
        "--apps",
        "express",
        "--stores",
        "redis",
        "--qps",
        "20000",
        "--duration",
        "3s",
    ];
    let (code, told) = run(results.path(), &args);
    assert_eq!(code, 0, "{told}");
    let cases = cases(results.path());
    let [case] = &cases[..] else { panic!("{cases:?}") };
    assert_eq!(case.planned, 60_000);
    assert_eq!(case.planned, case.completed + case.failed + case.censored);
    assert!(case.censored > 1_000, "this machine holds 20,000 requests per second: {case:?}");
    assert!(p95(case).is_bound, "{case:?}");
}

/// A run that has a trial of half a minute under way.
struct LongRun {
    results: tempfile::TempDir,
    runner: Child,
}

impl LongRun {
    fn start() -> Self {
        let results = tempfile::tempdir().unwrap();
        let args = [
            "quick",
            "--launcher",
            "process",
            "--apps",
            "fastapi",
            "--stores",
            "redis",
            "--duration",
            "30s",
            "--repetitions",
            "2",
        ];
        let runner = perf_api(results.path(), &args)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let run = Self { results, runner };
        wait_until("the first trial", || run.loader().is_some());
        run
    }

    fn pid(&self) -> u32 {
        self.runner.id()
    }

    /// The pid of the loader, while it measures (and does not warm up).
    fn loader(&self) -> Option<i32> {
        self.process_with("30000ms")
    }

    /// The pid of a process of this run whose command line holds `words`.
    fn process_with(&self, words: &str) -> Option<i32> {
        descendants(self.pid()).into_iter().map(|(pid, _)| pid).find(|&pid| {
            let command =
                std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            command.split('\0').any(|word| word.contains(words))
        })
    }

    /// Everything that runs: the store, the app with its worker, and the loader.
    fn family(&self) -> Vec<Identity> {
        let family = descendants(self.pid());
        assert!(family.len() >= 4, "only {family:?} run");
        family
    }

    fn kill(&self, signal: Signal) {
        kill(i32::try_from(self.pid()).unwrap(), signal);
    }

    fn journal(&self) -> Option<PathBuf> {
        let runs = std::fs::read_dir(self.results.path().join("journal")).ok()?;
        Some(runs.flatten().next()?.path().join("journal.jsonl"))
    }
}

fn kill(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

#[test]
fn an_interrupted_run_leaves_no_process_and_keeps_its_journal() {
    let _turn = take_turn();
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let mut run = LongRun::start();
        let family = run.family();
        run.kill(signal);
        let status = run.runner.wait().unwrap();
        assert_eq!(status.code(), Some(130), "{signal:?}");
        assert!(!family.iter().any(|&one| is_alive(one)), "{signal:?} left processes");
        let journal = run.journal().expect("the journal is kept");
        perf_api::store::JournalContent::read(&journal).expect("the journal is whole");
    }
}

#[test]
fn a_killed_runner_takes_its_children_along() {
    let _turn = take_turn();
    let mut run = LongRun::start();
    let family = run.family();
    run.kill(Signal::KILL);
    run.runner.wait().unwrap();
    wait_until("the children to follow", || !family.iter().any(|&one| is_alive(one)));
}

#[test]
fn a_store_that_dies_makes_a_failed_trial_and_the_run_goes_on() {
    let _turn = take_turn();
    let mut run = LongRun::start();
    kill(run.process_with("redis-server").expect("the store runs"), Signal::KILL);
    // The next trial begins with a new store; it is cut short to keep the test short.
    let first = run.loader();
    wait_until("the second trial", || run.loader().is_some_and(|pid| Some(pid) != first));
    let content = perf_api::store::JournalContent::read(&run.journal().unwrap()).unwrap();
    let [record] = &content.trials[..] else { panic!("{} trials", content.trials.len()) };
    let perf_api::model::Outcome::Failed(failure) = &record.outcome else { panic!("{record:?}") };
    assert_eq!(failure.stage.as_str(), "load");
    assert!(failure.reason.contains("store `redis` ended"), "{}", failure.reason);
    run.kill(Signal::INT);
    run.runner.wait().unwrap();
}

/// An app that ends as soon as it is started.
const BROKEN: &str = r#"
name = "broken"
kind = "app"
title = "Broken"
summary = "It ends at once."
[process]
program = "sh"
args = ["-c", "echo no licence; exit 3"]
version = ["-c", "echo 1"]
missing = "get a shell"
[http]
ready = "/"
endpoint = "/"
"#;

#[test]
fn a_stack_that_fails_three_times_in_a_row_is_given_up_and_the_others_go_on() {
    let _turn = take_turn();
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("broken");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("component.toml"), BROKEN).unwrap();
    let apps = Path::new(env!("CARGO_MANIFEST_DIR")).join("apps");
    let bundle = dir.path().join("bundle.json");
    let mut make = command(env!("CARGO_BIN_EXE_perf-api"));
    make.arg("bundle").arg(&folder).arg(apps.join("express")).arg(apps.join("redis"));
    assert!(make.arg("--output").arg(&bundle).output().unwrap().status.success());
    for (retries, executions) in [("0", "1,1,1,0"), ("1", "2,1,0,0")] {
        let results = dir.path().join(retries);
        let mut run = command(env!("CARGO_BIN_EXE_perf-api"));
        run.args(["quick", "--launcher", "process", "--apps", "broken,express"]);
        run.args(["--stores", "redis", "--repetitions", "4", "--qps", "100", "--duration", "1s"]);
        run.args(["--retries", retries, "--bundle"]).arg(&bundle).arg("--results").arg(&results);
        let output = run.output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{told}");
        let why = "broken on redis, 1 worker was given up after 3 failures in a row: \
                   app `broken` ended before it was ready (exit status: 3)";
        assert!(told.contains(why), "{told}");
        assert!(told.contains("4 of 8 trials failed"), "{told}");
        let mut ask = command(env!("CARGO_BIN_EXE_perf-api"));
        ask.args(["sql", "--format", "csv", "--results"]).arg(&results);
        let answer = ask.arg(
            "select app, string_agg(coalesce(failure_stage, 'fine'), ',' order by position) as stages,
                string_agg(cast(executions as text), ',' order by position) as executions
            from trials group by app order by app",
        );
        let answer = String::from_utf8(answer.output().unwrap().stdout).unwrap();
        let stages = if retries == "0" {
            "launch,launch,launch,given-up"
        } else {
            "launch,launch,given-up,given-up"
        };
        assert_eq!(
            answer,
            format!(
                "app,stages,executions\nbroken,\"{stages}\",\"{executions}\"\n\
                 express,\"fine,fine,fine,fine\",\"1,1,1,1\"\n"
            )
        );
    }
}

#[test]
fn what_the_loader_cannot_drive_is_flagged_shown_hollow_and_not_ranked() {
    let _turn = take_turn();
    let results = tempfile::tempdir().unwrap();
    let args =
        ["quick", "--launcher", "process", "--apps", "express", "--stores", "redis", "--fit"];
    let more = ["--qps", "500,150000", "--duration", "2s"];
    let (code, told) = run(results.path(), &[&args[..], &more].concat());
    assert_eq!(code, 0, "{told}");
    assert!(told.contains("1 of 2 trials: loader_limited"), "{told}");
    let cases = cases(results.path());
    // The low one may carry a flag of the host's: that is the moment's, and not the loader's.
    let [_, high] = &cases[..] else { panic!("{cases:?}") };
    assert!(!high.is_ranked(), "{cases:?}");
    assert!(high.rate.is_some(), "what was measured is shown");
    let page = std::fs::read_to_string(results.path().join("report.html")).unwrap();
    let shown = page.lines().find(|line| line.contains(">150000<")).unwrap();
    assert!(shown.contains(">(") && shown.contains("0 of 1"), "{shown}");
}

/// A bundle of redis and a target of our own that serves `arguments`; gives its path.
fn bundle_of_target(dir: &Path, arguments: &str) -> PathBuf {
    let folder = dir.join("target");
    std::fs::create_dir(&folder).unwrap();
    let text = BROKEN
        .replace("\"broken\"", "\"target\"")
        .replace("\"sh\"", &format!("{:?}", env!("CARGO_BIN_EXE_perf-api")))
        .replace("[\"-c\", \"echo 1\"]", "[\"--version\"]")
        .replace(
            "[\"-c\", \"echo no licence; exit 3\"]",
            &format!("[\"target\", \"--listen\", \"{{host}}:{{port}}\", {arguments}]"),
        )
        .replace("endpoint = \"/\"", "endpoint = \"/cached-value\"");
    std::fs::write(folder.join("component.toml"), text).unwrap();
    let redis = Path::new(env!("CARGO_MANIFEST_DIR")).join("apps/redis");
    let bundle = dir.join("bundle.json");
    let mut make = command(env!("CARGO_BIN_EXE_perf-api"));
    make.arg("bundle").arg(&folder).arg(redis).arg("--output").arg(&bundle);
    assert!(make.output().unwrap().status.success());
    bundle
}

#[test]
fn the_capacity_of_a_target_is_found_in_few_trials() {
    let _turn = take_turn();
    let dir = tempfile::tempdir().unwrap();
    // A thousandth of a second for three requests: 3,000 in a second.
    let service = "\"--servers\", \"1\", \"--service\", \"333333ns\"";
    let bundle = bundle_of_target(dir.path(), service);
    let mut search = command(env!("CARGO_BIN_EXE_perf-api"));
    search.args(["capacity", "--slo", "p99<50ms,errors<0.1%", "--slo", "p50<1s"]);
    search.args([
        "--apps",
        "target",
        "--stores",
        "redis",
        "--qps",
        "1000,9000",
        "--duration",
        "2s",
    ]);
    search.args(["--launcher", "process", "--fit", "--bundle"]).arg(&bundle);
    let output = search.arg("--results").arg(dir.path().join("results")).output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{told}{}", String::from_utf8_lossy(&output.stderr));
    let line = told.lines().find(|line| line.contains("p99<50ms,errors<0.1%")).unwrap();
    let numbers: Vec<u32> = line
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|number| number.parse().ok())
        .filter(|&number| number > 500)
        .collect();
    let [low, high] = numbers[..] else { panic!("{line}") };
    assert!(low <= 3000 && (3000..=3500).contains(&high), "{line}");
    let mut verify = command(env!("CARGO_BIN_EXE_perf-api"));
    verify.args(["results", "verify", "--all", "--results"]).arg(dir.path().join("results"));
    assert!(verify.output().unwrap().status.success());
}

#[test]
fn a_slower_version_is_told_in_a_run_by_turns() {
    let _turn = take_turn();
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let bundles = ["1ms", "4ms"].map(|service| {
        let dir = if service == "1ms" { dirs[0].path() } else { dirs[1].path() };
        bundle_of_target(dir, &format!("\"--service\", \"{service}\""))
    });
    let results = dirs[0].path().join("results");
    let mut ab = command(env!("CARGO_BIN_EXE_perf-api"));
    ab.arg("ab").args(&bundles).args(["--apps", "target", "--qps", "500", "--duration", "2s"]);
    ab.args(["--repetitions", "5", "--launcher", "process", "--fit", "--fail-on", "regressed"]);
    ab.args(["--only", "metric=p50", "--results"]).arg(&results);
    let output = ab.output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(4), "{told}{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.contains("regressed     p50 of target (1 case) rose by"), "{told}");
    let mut verify = command(env!("CARGO_BIN_EXE_perf-api"));
    verify.args(["results", "verify", "--all", "--results"]).arg(&results);
    assert!(verify.output().unwrap().status.success());
}

#[test]
fn an_app_that_takes_longer_than_a_second_is_warmed_up_and_measured() {
    let _turn = take_turn();
    let dir = tempfile::tempdir().unwrap();
    let bundle = bundle_of_target(dir.path(), "\"--service\", \"1200ms\"");
    let mut slow = command(env!("CARGO_BIN_EXE_perf-api"));
    slow.args(["quick", "--launcher", "process", "--apps", "target", "--stores", "redis"]);
    slow.args(["--qps", "20", "--duration", "3s", "--bundle"]).arg(&bundle);
    let results = dir.path().join("results");
    let output = slow.arg("--results").arg(&results).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let cases = cases(&results);
    let [case] = &cases[..] else { panic!("{cases:?}") };
    assert!(case.completed > 0, "{case:?}");
}
