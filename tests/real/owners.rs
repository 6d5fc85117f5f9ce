//! A run ends the orphans of dead runs, and nothing that a live run started.

use super::system::{bundle_path, command, descendants, is_alive, perf_api, take_turn};
use super::wrapped::Background;

/// Arguments for a new PID namespace, whose pids are not those outside.
const UNSHARE: [&str; 5] = ["--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc"];

#[test]
fn the_processes_of_a_run_in_another_pid_namespace_are_left_alone() {
    let _turn = take_turn();
    let made = command("unshare").args(UNSHARE).arg("true").output().unwrap();
    let why = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "this test needs permission for a PID namespace: {why}");
    let dir = tempfile::tempdir().unwrap();
    let mut inside = command("unshare");
    inside.args(UNSHARE).arg(env!("CARGO_BIN_EXE_perf-api"));
    inside.args(["quick", "--launcher", "process", "--apps", "express", "--stores", "redis"]);
    inside.args(["--qps", "100", "--duration", "60s", "--bundle"]).arg(bundle_path());
    inside.arg("--results").arg(dir.path().join("inside"));
    let mut inside = Background::start(inside, &dir.path().join("inside"));
    let family = |inside: &Background| descendants(inside.runner.id());
    inside.wait_until("the load", |inside| {
        family(inside).iter().any(|&(pid, _)| {
            let args = std::fs::read_to_string(format!("/proc/{pid}/cmdline"));
            args.is_ok_and(|args| args.contains("60005ms"))
        })
    });
    let before = family(&inside);
    // Runner, loader, app and store, each of the three below a supervisor.
    assert!(before.len() >= 7, "{before:?}");
    let outside = dir.path().join("outside");
    let args = ["quick", "--launcher", "process", "--apps", "express", "--stores", "redis"];
    let mut run = perf_api(&outside, &args);
    run.args(["--qps", "100", "--duration", "1s", "--allow-busy"]);
    let run = run.output().unwrap();
    let stderr = String::from_utf8_lossy(&run.stderr);
    assert_eq!(run.status.code(), Some(0), "{stderr}");
    assert!(!stderr.contains("left behind"), "{stderr}");
    assert!(stderr.contains("measuring beside run"), "{stderr}");
    assert!(before.iter().all(|&one| is_alive(one)), "{}", inside.stderr());
}

#[test]
fn a_proc_of_another_pid_namespace_is_refused() {
    let results = tempfile::tempdir().unwrap();
    let mut run = command("unshare");
    run.args(["--map-root-user", "--pid", "--fork", env!("CARGO_BIN_EXE_perf-api"), "quick"]);
    run.args(["--launcher", "process", "--apps", "express", "--stores", "redis", "--bundle"]);
    let run = run.arg(bundle_path()).arg("--results").arg(results.path()).output().unwrap();
    let stderr = String::from_utf8_lossy(&run.stderr);
    assert_eq!(run.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("/proc shows another PID namespace; mount it again"), "{stderr}");
}
