//! Rates, latencies and verdicts on a quiet host.
//!
//! Only `make quiet-test` runs these tests. They fail on a busy host.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../real/measured.rs"]
#[expect(dead_code, reason = "shared with the tests that any host passes")]
mod measured;
#[path = "../real/system.rs"]
#[expect(dead_code, reason = "shared with the tests that any host passes")]
mod system;

use measured::{bundle_of_target, capacity_of_3000, cases, p95, run, slower_version};
use system::{command, take_turn};

#[test]
fn a_load_within_capacity_is_served_whole_and_not_flagged() {
    let _turn = take_turn();
    let results = tempfile::tempdir().unwrap();
    let quick = ["quick", "--launcher", "process", "--stores", "redis,valkey"];
    let (code, stderr) =
        run(results.path(), &[&quick[..], &["--qps", "200", "--duration", "2s"]].concat());
    assert_eq!(code, 0, "{stderr}");
    let cases = cases(results.path());
    assert_eq!(cases.len(), 4);
    for case in cases {
        assert_eq!((case.valid, case.failed, case.planned), (1, 0, 400), "{case:?}");
        // Requests in flight at the end of the load: about a hundredth of a second.
        assert!(case.censored <= 20, "{case:?}");
        assert!(p95(&case).value_ns.as_secs_f64() < 1.0, "{case:?}");
    }
}

#[test]
fn a_rate_above_the_loaders_ceiling_is_flagged() {
    let _turn = take_turn();
    let dir = tempfile::tempdir().unwrap();
    let bundle = bundle_of_target(dir.path(), "");
    let results = dir.path().join("results");
    let mut fast = command(env!("CARGO_BIN_EXE_perf-api"));
    fast.args(["quick", "--launcher", "process", "--apps", "target", "--stores", "redis"]);
    fast.args(["--qps", "500000", "--duration", "2s", "--bundle"]).arg(&bundle);
    let output = fast.arg("--results").arg(&results).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("1 of 1 trials: loader_limited"), "{stderr}");
    assert!(!stderr.contains("unknown"), "{stderr}");
}

#[test]
fn the_capacity_of_a_target_is_found() {
    let _turn = take_turn();
    let dir = tempfile::tempdir().unwrap();
    let line = capacity_of_3000(dir.path(), &dir.path().join("results"));
    let numbers: Vec<u32> = line
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|number| number.parse().ok())
        .filter(|&number| number > 500)
        .collect();
    let [low, high] = numbers[..] else { panic!("{line}") };
    assert!(low <= 3000 && (3000..=3500).contains(&high), "{line}");
}

#[test]
fn a_slower_version_is_reported_by_an_interleaved_run() {
    let _turn = take_turn();
    let dir = tempfile::tempdir().unwrap();
    let (code, stderr) = slower_version(dir.path(), &dir.path().join("results"));
    assert_eq!(code, 4, "{stderr}");
    assert!(stderr.contains("regressed     p50 of target (1 case) rose by"), "{stderr}");
}
