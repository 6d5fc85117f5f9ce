//! Stacks in containers of a real Docker Engine, from the images that `make images` made.
//!
//! `make docker-test` starts a daemon of its own and tells where it is with `DOCKER_HOST`. The tests
//! take turns, since each of them uses the whole machine.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use bollard::Docker;
use bollard::models::{ContainerCreateBody, ContainerInspectResponse};
use bollard::query_parameters::{
    CreateContainerOptions, InspectContainerOptions, KillContainerOptions,
    ListContainersOptionsBuilder, ListNetworksOptions, RemoveContainerOptionsBuilder,
    StartContainerOptions,
};
use perf_api::model::{Outcome, TrialRecord};
use perf_api::store::JournalContent;
use rustix::process::{Pid, Signal, kill_process};

#[path = "../real/system.rs"]
#[expect(dead_code, reason = "shared with the tests of processes")]
mod system;

use system::{perf_api, wait_until};

/// The daemon, and the right to use it alone.
struct Engine {
    docker: Docker,
    runtime: tokio::runtime::Runtime,
    _turn: std::sync::MutexGuard<'static, ()>,
}

impl Engine {
    fn new() -> Self {
        let turn = system::take_turn();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let host = std::env::var("DOCKER_HOST").expect("`make docker-test` sets DOCKER_HOST");
        let docker = runtime.block_on(perf_api::launch::connect(&[host])).unwrap();
        Self { docker, runtime, _turn: turn }
    }

    /// The containers that carry our label, by component.
    fn containers(&self) -> HashMap<String, ContainerInspectResponse> {
        let filters = HashMap::from([("label", vec!["perf-api.component"])]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        self.runtime.block_on(async {
            let mut found = HashMap::new();
            for one in self.docker.list_containers(Some(options)).await.unwrap() {
                let id = one.id.unwrap();
                let seen =
                    self.docker.inspect_container(&id, None::<InspectContainerOptions>).await;
                // One that is being removed may be gone by now.
                let Ok(seen) = seen else { continue };
                found.insert(one.labels.unwrap()["perf-api.component"].clone(), seen);
            }
            found
        })
    }

    fn networks(&self) -> usize {
        let listed = self.runtime.block_on(self.docker.list_networks(None::<ListNetworksOptions>));
        let names = listed.unwrap().into_iter().filter_map(|network| network.name);
        names.filter(|name| name.starts_with("perf-api-")).count()
    }

    fn nothing_is_left(&self) -> bool {
        self.containers().is_empty() && self.networks() == 0
    }
}

/// A run in containers, in the middle of its first trial.
struct LongRun {
    runner: Child,
    /// The word of the loader's command line that tells a trial from a warm-up.
    window: String,
    results: tempfile::TempDir,
}

impl LongRun {
    fn start(engine: &Engine, seconds: u32, args: &[&str]) -> Self {
        let results = tempfile::tempdir().unwrap();
        let runner = perf_api(results.path(), &["quick"])
            .args(args)
            .args(["--duration", &format!("{seconds}s")])
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(results.path().join("told")).unwrap())
            .spawn()
            .unwrap();
        let run = Self { runner, window: format!("{seconds}000ms"), results };
        wait_until("the load", || run.loads(engine));
        run
    }

    /// Whether both containers run and the loader with them.
    fn loads(&self, engine: &Engine) -> bool {
        let family = system::descendants(self.runner.id());
        engine.containers().len() == 2
            && family.iter().any(|(pid, _)| {
                let command = std::fs::read_to_string(format!("/proc/{pid}/cmdline"));
                command.is_ok_and(|command| command.contains(&self.window))
            })
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.runner.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    fn told(&self) -> String {
        std::fs::read_to_string(self.results.path().join("told")).unwrap()
    }

    fn journal(&self) -> Vec<TrialRecord> {
        let runs = std::fs::read_dir(self.results.path().join("journal")).unwrap();
        let run: PathBuf = runs.flatten().next().unwrap().path();
        JournalContent::read(&run.join("journal.jsonl")).unwrap().trials
    }
}

fn dataset(results: &Path) -> serde_json::Value {
    let found = results
        .read_dir()
        .unwrap()
        .flatten()
        .find_map(|entry| std::fs::read(entry.path().join("manifest.json")).ok());
    serde_json::from_slice(&found.unwrap()).unwrap()
}

/// Trials whose parts were all seen to use CPU and memory.
const SAMPLED: &str = "select count(*) as trials from trials where least(app_cpu_s, store_cpu_s,
    loader_cpu_s, app_peak_memory_bytes, store_peak_memory_bytes) > 0";

#[expect(clippy::disallowed_methods, reason = "the program under test")]
fn answer(results: &Path, sql: &str) -> String {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_perf-api"));
    let output = command.args(["sql", sql, "--format", "csv", "--results"]).arg(results).output();
    String::from_utf8(output.unwrap().stdout).unwrap()
}

#[test]
fn every_stack_is_measured_in_containers_that_may_do_nothing_else() {
    let engine = Engine::new();
    let mut run = LongRun::start(&engine, 3, &["--stores", "redis,valkey", "--qps", "200"]);
    let containers = engine.containers();
    for (component, seen) in &containers {
        let host = seen.host_config.as_ref().unwrap();
        assert_eq!(host.readonly_rootfs, Some(true), "{component}");
        assert_eq!(host.cap_drop.as_deref(), Some(&["ALL".to_owned()][..]), "{component}");
        assert!(host.security_opt.as_ref().unwrap().contains(&"no-new-privileges".to_owned()));
        assert!(!host.cpuset_cpus.as_ref().unwrap().is_empty(), "{component}");
        assert!(host.nano_cpus.unwrap() >= 1_000_000_000, "{component}");
        assert!(host.memory.unwrap() > 0 && host.pids_limit.unwrap() > 0, "{component}");
        assert!(host.port_bindings.as_ref().is_none_or(HashMap::is_empty), "{component}");
        assert!(host.binds.as_ref().is_none_or(Vec::is_empty), "{component}");
        let config = seen.config.as_ref().unwrap();
        assert_eq!(config.user.as_deref(), Some("10001:10001"), "{component}");
    }
    let status = run.runner.wait().unwrap();
    assert_eq!(status.code(), Some(0), "{}", run.told());
    assert!(engine.nothing_is_left());
    let manifest = dataset(run.results.path());
    assert_eq!(manifest["launcher"], "docker");
    assert!(run.told().contains("stacks run in containers"), "{}", run.told());
    assert_eq!(
        answer(run.results.path(), SAMPLED),
        "trials\n4\n",
        "use of containers was not sampled"
    );
    assert_eq!((&manifest["trials"], &manifest["failed_trials"]), (&4.into(), &0.into()));
    let sampled = perf_api(run.results.path(), &["--help"]);
    drop(sampled);
}

#[test]
fn an_interrupted_run_leaves_no_container_and_goes_on_in_containers() {
    let engine = Engine::new();
    for signal in [Signal::INT, Signal::TERM] {
        let mut run = LongRun::start(&engine, 5, &["--stores", "redis", "--apps", "express"]);
        run.signal(signal);
        assert_eq!(run.runner.wait().unwrap().code(), Some(130), "{}", run.told());
        assert!(engine.nothing_is_left(), "{signal:?} left something");
        let status = perf_api(run.results.path(), &["resume"]).status().unwrap();
        assert!(status.success());
        assert_eq!(dataset(run.results.path())["launcher"], "docker");
    }
}

#[test]
fn what_a_killed_runner_leaves_is_removed_by_the_next_and_nothing_else() {
    let engine = Engine::new();
    let mut run = LongRun::start(&engine, 30, &["--stores", "redis"]);
    // Somebody else's, from the same image.
    let image = engine.containers()["redis"].image.clone();
    let body = ContainerCreateBody {
        image,
        cmd: Some(vec!["sleep".to_owned(), "600".to_owned()]),
        ..ContainerCreateBody::default()
    };
    let other = engine.runtime.block_on(async {
        let made = engine.docker.create_container(None::<CreateContainerOptions>, body).await;
        let id = made.unwrap().id;
        engine.docker.start_container(&id, None::<StartContainerOptions>).await.unwrap();
        id
    });
    run.signal(Signal::KILL);
    run.runner.wait().unwrap();
    assert_eq!(engine.containers().len(), 2, "a killed runner cannot clean up");
    let mut next = LongRun::start(&engine, 3, &["--stores", "redis", "--qps", "100"]);
    assert!(
        next.told().contains("removed 3 containers and networks of a run that is gone"),
        "{}",
        next.told()
    );
    assert_eq!(next.runner.wait().unwrap().code(), Some(0), "{}", next.told());
    assert!(engine.nothing_is_left());
    let seen = engine
        .runtime
        .block_on(engine.docker.inspect_container(&other, None::<InspectContainerOptions>));
    assert_eq!(seen.unwrap().state.unwrap().running, Some(true), "a stranger was stopped");
    let options = RemoveContainerOptionsBuilder::new().force(true).build();
    engine.runtime.block_on(engine.docker.remove_container(&other, Some(options))).unwrap();
}

#[test]
fn a_container_that_dies_makes_a_failed_trial_and_the_run_goes_on() {
    let engine = Engine::new();
    for part in ["redis", "express"] {
        let args = ["--apps", "express", "--stores", "redis", "--repetitions", "2"];
        let mut run = LongRun::start(&engine, 20, &args);
        let id = engine.containers()[part].id.clone().unwrap();
        engine
            .runtime
            .block_on(engine.docker.kill_container(&id, None::<KillContainerOptions>))
            .unwrap();
        wait_until("the second trial", || run.loads(&engine) && !run.journal().is_empty());
        let trials = run.journal();
        let [record] = &trials[..] else { panic!("{} trials", trials.len()) };
        let Outcome::Failed(failure) = &record.outcome else { panic!("{record:?}") };
        assert_eq!(failure.stage.as_str(), "load");
        assert!(
            failure.reason.contains(&format!("`{part}` ended (exit code 137)")),
            "{}",
            failure.reason
        );
        run.signal(Signal::INT);
        run.runner.wait().unwrap();
        assert!(engine.nothing_is_left());
    }
}
