//! Faults in the middle of a run: each becomes a failed trial, the stack is restarted, the trial is repeated,
//! and the run ends with a complete dataset and leaves nothing behind.

use std::path::{Path, PathBuf};

use bollard::query_parameters::KillContainerOptions;
use perf_api::model::Failure;

use crate::engine::{Engine, LongRun, answer};
use crate::system::command;

/// Causes a fault in a run under load.
type Harm = fn(&Engine);

/// The fault, the stores of the affected stacks, and the expected reason of the failed trial.
const FAULTS: [(&str, &str, Harm, &str, &str); 6] = [
    (
        "app killed",
        "redis",
        |engine| kill(engine, "express"),
        "load",
        "app `express` ended (exit code 137)",
    ),
    (
        "store killed",
        "redis",
        |engine| kill(engine, "redis"),
        "load",
        "store `redis` ended (exit code 137)",
    ),
    ("store out of memory", "redis", fill_the_store, "load", "store `redis` ended (out of memory)"),
    (
        "app answers wrongly",
        "redis",
        spoil_the_key,
        "load",
        "does not answer as it did before the load",
    ),
    ("daemon restarted", "redis", restart_the_daemon, "load", "` ended ("),
    (
        "image removed",
        "redis,valkey",
        remove_the_other_image,
        "launch",
        "it was removed during the run, and has been fetched again",
    ),
];

fn kill(engine: &Engine, component: &str) {
    let id = engine.containers()[component].id.clone().unwrap();
    let killed = engine.docker.kill_container(&id, None::<KillContainerOptions>);
    engine.runtime.block_on(killed).unwrap();
}

/// A connection to the store's own address.
fn store(engine: &Engine) -> redis::Connection {
    let settings = engine.containers()["redis"].network_settings.clone().unwrap();
    let end = settings.networks.unwrap().into_values().next().unwrap();
    let url = format!("redis://{}:6379", end.ip_address.unwrap());
    redis::Client::open(url).unwrap().get_connection().unwrap()
}

fn fill_the_store(engine: &Engine) {
    let mut store = store(engine);
    let set = redis::cmd("CONFIG").arg("SET").arg("maxmemory").arg(0).exec(&mut store);
    set.unwrap();
    for key in 0..8 {
        // The last of them gets no answer.
        let grown = redis::cmd("SETRANGE").arg(key).arg(500 << 20).arg("x").exec(&mut store);
        if grown.is_err() {
            return;
        }
    }
    panic!("the store took 4 GiB");
}

/// Makes the key a list: to read it as text is an error.
fn spoil_the_key(engine: &Engine) {
    let mut store = store(engine);
    redis::cmd("DEL").arg(perf_api::model::KEY).exec(&mut store).unwrap();
    redis::cmd("LPUSH").arg(perf_api::model::KEY).arg("x").exec(&mut store).unwrap();
}

fn restart_the_daemon(_: &Engine) {
    let socket = std::env::var("DOCKER_HOST").unwrap();
    let dir = PathBuf::from(socket.strip_prefix("unix://").unwrap()).parent().unwrap().to_owned();
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/dockerd");
    for order in ["stop", "start"] {
        let done = command(&tool).arg(order).arg(&dir).status().unwrap();
        assert!(done.success(), "dockerd did not {order}");
    }
}

/// Removes the image of the store that is not running.
fn remove_the_other_image(engine: &Engine) {
    let running = engine.containers();
    let other = if running.contains_key("redis") { "valkey" } else { "redis" };
    let bundle = crate::system::bundle();
    let component = crate::system::component(&bundle, other);
    engine.remove_image(&component.container.unwrap().image);
}

const FAILED: &str = "select earlier_failures from trials where executions = 2";
const WHOLE: &str = "select count(*) as trials, count(failure_stage) as failed from trials";

#[test]
fn faults_become_failed_trials_and_the_run_ends_whole() {
    let mut table = vec![];
    for (fault, stores, harm, stage, reason) in FAULTS {
        let engine = Engine::new();
        let args = ["--apps", "express", "--stores", stores, "--retries", "1"];
        let mut run = LongRun::start(&engine, 5, &args);
        harm(&engine);
        let status = run.runner.wait().unwrap();
        let results = run.results.path();
        assert_eq!(status.code(), Some(0), "{fault}: {}", run.stderr());
        assert!(engine.nothing_is_left(), "{fault} left something");
        let trials = stores.split(',').count();
        assert_eq!(answer(results, WHOLE), format!("trials,failed\n{trials},0\n"), "{fault}");
        let failed = answer(results, FAILED);
        let json = failed.lines().nth(1).unwrap_or_default();
        // Quoted as in CSV.
        let json = json.trim_matches('"').replace("\"\"", "\"");
        let failures: Vec<Failure> = serde_json::from_str(&json)
            .unwrap_or_else(|error| panic!("{fault}: {error}: {failed} {}", run.stderr()));
        let [failure] = &failures[..] else { panic!("{fault}: {failures:?}") };
        assert_eq!(failure.stage.as_str(), stage, "{fault}: {failure:?}");
        assert!(failure.reason.contains(reason), "{fault}: {failure:?}");
        let reason: String = failure.reason.chars().take(100).collect();
        table.push(format!(
            "{fault:20} | {stage:6} | {reason:100} | {} | nothing | yes",
            failure.log_tail.len()
        ));
    }
    println!(
        "fault | stage | reason of the failed execution | log lines | left running | finished, with the trial repeated"
    );
    println!("{}", table.join("\n"));
}
