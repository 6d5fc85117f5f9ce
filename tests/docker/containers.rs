//! The permissions of containers, and that a run leaves nothing behind.

use std::collections::HashMap;

use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{
    CreateContainerOptions, InspectContainerOptions, RemoveContainerOptionsBuilder,
    StartContainerOptions,
};
use rustix::process::Signal;

use crate::engine::{Engine, LongRun, answer, dataset};
use crate::system::{bundle_path, command, perf_api};

/// Trials whose parts were all seen to use CPU and memory.
const SAMPLED: &str = "select count(*) as trials from trials where least(app_cpu_s, store_cpu_s,
    loader_cpu_s, app_peak_memory_bytes, store_peak_memory_bytes, store_ready_s, app_ready_s, stop_s) > 0
    and app_throttled_s is not null and store_throttled_s is not null";

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
        let log = host.log_config.as_ref().unwrap();
        assert_eq!(log.config.as_ref().unwrap()["max-size"], "4m", "{component}");
        assert!(host.port_bindings.as_ref().is_none_or(HashMap::is_empty), "{component}");
        assert!(host.binds.as_ref().is_none_or(Vec::is_empty), "{component}");
        let config = seen.config.as_ref().unwrap();
        assert_eq!(config.user.as_deref(), Some("10001:10001"), "{component}");
    }
    let status = run.runner.wait().unwrap();
    assert_eq!(status.code(), Some(0), "{}", run.stderr());
    assert!(engine.nothing_is_left());
    let manifest = dataset(run.results.path());
    assert_eq!(manifest["launcher"], "docker");
    assert!(run.stderr().contains("stacks run in containers"), "{}", run.stderr());
    assert_eq!(
        answer(run.results.path(), SAMPLED),
        "trials\n4\n",
        "use of containers was not sampled"
    );
    assert_eq!((&manifest["trials"], &manifest["failed_trials"]), (&4.into(), &0.into()));
}

#[test]
fn an_interrupted_run_leaves_no_container_and_is_resumed_in_containers() {
    let engine = Engine::new();
    for signal in [Signal::INT, Signal::TERM] {
        let mut run = LongRun::start(&engine, 5, &["--stores", "redis", "--apps", "express"]);
        run.signal(signal);
        assert_eq!(run.runner.wait().unwrap().code(), Some(130), "{}", run.stderr());
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
    // A foreign container of the same image.
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
        next.stderr().contains("removed 3 containers and networks of a run that is gone"),
        "{}",
        next.stderr()
    );
    assert_eq!(next.runner.wait().unwrap().code(), Some(0), "{}", next.stderr());
    assert!(engine.nothing_is_left());
    let seen = engine
        .runtime
        .block_on(engine.docker.inspect_container(&other, None::<InspectContainerOptions>));
    assert_eq!(seen.unwrap().state.unwrap().running, Some(true), "a stranger was stopped");
    let options = RemoveContainerOptionsBuilder::new().force(true).build();
    engine.runtime.block_on(engine.docker.remove_container(&other, Some(options))).unwrap();
}

#[test]
fn both_versions_of_an_interleaved_comparison_are_measured_in_containers() {
    let engine = Engine::new();
    let results = tempfile::tempdir().unwrap();
    let bundle = bundle_path();
    let mut ab = command(env!("CARGO_BIN_EXE_perf-api"));
    ab.arg("ab").args([&bundle, &bundle]).arg("--results").arg(results.path());
    ab.args([
        "--launcher",
        "docker",
        "--apps",
        "express",
        "--stores",
        "redis",
        "--allow-shared-cpus",
    ]);
    ab.args(["--qps", "100", "--repetitions", "2", "--duration", "1s"]);
    let output = ab.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(engine.nothing_is_left());
    let measured = "select launcher, count(*) as datasets, sum(trials) as trials,
        sum(failed_trials) as failed from datasets group by launcher";
    assert_eq!(answer(results.path(), measured), "launcher,datasets,trials,failed\ndocker,2,4,0\n");
}
