//! The cache of measured loader rates: kept from run to run, never as a limit, and never in the folder of the
//! user who runs the tests.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use perf_api::clock::Clock;
use perf_api::host::{Topology, fingerprint};
use perf_api::load::{LoadDriver, OhaLoad};
use serde_json::{Value, json};

use super::measured::bundle_of_target;
use super::system::{command, perf_api, take_turn};

const FLOORS: &str = "perf-api/loader-floors.json";

/// A file of floors with one rate of this host.
fn write_floor(cache: &Path, rps: u32, connections: u64, loader: &str, app: &str) {
    let class = fingerprint(&Topology::detect().unwrap()).unwrap().class();
    let floor = json!({
        "host": class, "driver": OhaLoad.name(), "connections": connections, "loader": loader,
        "app": app, "rps": rps, "at": Clock::System.now(),
    });
    let text = json!({ "version": 2, "floors": [floor] }).to_string();
    fs::create_dir_all(cache.join("perf-api")).unwrap();
    fs::write(cache.join(FLOORS), text).unwrap();
}

/// The row that a query gives of the only trial in a results folder.
fn trial(results: &Path, columns: &str) -> Value {
    let mut ask = command(env!("CARGO_BIN_EXE_perf-api"));
    ask.args(["sql", "--format", "json", "--results"]).arg(results);
    let answer = ask.arg(format!("select {columns} from trials")).output().unwrap();
    serde_json::from_slice(&answer.stdout).unwrap()
}

/// Runs a trial of one second with a fast server. Returns standard error.
fn measure(bundle: &Path, cache: &Path, results: &Path, qps: &str) -> String {
    let mut quick = command(env!("CARGO_BIN_EXE_perf-api"));
    quick.args(["quick", "--launcher", "process", "--apps", "target", "--stores", "redis"]);
    quick.args(["--qps", qps, "--duration", "1s", "--bundle"]).arg(bundle);
    quick
        .env("XDG_CACHE_HOME", cache)
        .env_remove("PERF_API_SKIP_CEILINGS")
        .arg("--results")
        .arg(results);
    let output = quick.output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    stderr
}

#[test]
fn a_rate_that_was_driven_is_kept_shown_and_forgotten_and_an_older_limit_is_ignored() {
    let _turn = take_turn();
    let dir = tempfile::tempdir().unwrap();
    let (cache, bundle) = (dir.path().join("cache"), bundle_of_target(dir.path(), ""));
    let results = |name: &str| dir.path().join(name);
    // Entries of older versions, for any number of connections and CPUs.
    fs::create_dir_all(cache.join("perf-api")).unwrap();
    let class = fingerprint(&Topology::detect().unwrap()).unwrap().class();
    let old: serde_json::Map<String, Value> = ["0", "1", "0-1"]
        .into_iter()
        .flat_map(|loader| ["0", "1", "0-1"].map(|app| (loader, app)))
        .map(|(loader, app)| {
            let key =
                format!("{class}, {}, 100 connections, loader {loader}, app {app}", OhaLoad.name());
            let ceiling = json!({ "rps": 487, "is_bound": false });
            (key, json!({ "at": Clock::System.now(), "ceiling": ceiling }))
        })
        .collect();
    fs::write(cache.join("perf-api/ceilings.json"), Value::Object(old).to_string()).unwrap();
    let stderr = measure(&bundle, &cache, &results("first"), "500");
    assert!(stderr.contains("measuring what the loader can drive here"), "{stderr}");
    let first = trial(
        &results("first"),
        "loader_ceiling_rps as rps, loader_cpus, app_cpus, concurrency as connections",
    );
    assert_ne!(first["rps"], json!(487.0));

    let [loader, app] = ["loader_cpus", "app_cpus"].map(|name| first[name].as_str().unwrap());
    let connections = first["connections"].as_u64().unwrap();
    write_floor(&cache, 64_452, connections, loader, app);
    let stderr = measure(&bundle, &cache, &results("second"), "500");
    assert!(!stderr.contains("measuring what the loader"), "{stderr}");
    let second = "loader_ceiling_rps as rps, loader_ceiling_is_bound as is_bound";
    assert_eq!(
        trial(&results("second"), second),
        json!({ "rps": 64_452.0, "is_bound": true }),
        "a trial of 500 requests a second lowered what had been driven"
    );

    let doctor = |args: &[&str]| {
        let mut doctor = command(env!("CARGO_BIN_EXE_perf-api"));
        doctor.arg("doctor").args(args).env("XDG_CACHE_HOME", &cache);
        String::from_utf8(doctor.output().unwrap().stdout).unwrap()
    };
    let line = format!(
        "at least 64452 requests/s with {connections} connections, loader on CPUs {loader}, app on CPUs {app}"
    );
    assert!(doctor(&[]).contains(&line), "{}", doctor(&[]));
    let stderr = doctor(&["--remeasure"]);
    assert!(stderr.contains("not known: the next run measures it"), "{stderr}");
    assert!(!cache.join(FLOORS).exists());
}

/// Processes that take every CPU, until they are dropped.
struct BusyHost(Vec<Child>);

impl BusyHost {
    fn new() -> Self {
        let cpus = Topology::detect().unwrap().cpus.len();
        let busy = |_| {
            let mut shell = command("sh");
            shell.args(["-c", "while :; do :; done"]).stdin(Stdio::null()).spawn().unwrap()
        };
        Self((0..2 * cpus).map(busy).collect())
    }
}

impl Drop for BusyHost {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn on_a_busy_host_trials_are_flagged_and_what_the_loader_can_drive_is_unknown() {
    let _turn = take_turn();
    let dir = tempfile::tempdir().unwrap();
    let (cache, bundle) = (dir.path().join("cache"), bundle_of_target(dir.path(), ""));
    let results = dir.path().join("results");
    let busy = BusyHost::new();
    // More than a loader drives on any busy host.
    let stderr = measure(&bundle, &cache, &results, "200000");
    drop(busy);
    let why = "what the loader can drive here is unknown: the host was busy in 2 measurements in a row; \
               no trial is flagged because of it";
    assert!(stderr.contains(why), "{stderr}");
    assert!(stderr.contains("1 of 1 trials: host_busy"), "{stderr}");
    let row = trial(&results, "loader_ceiling_rps as rps, loader_ceiling_is_bound as is_bound");
    assert_eq!(row, json!({ "rps": null, "is_bound": null }));
    assert!(!cache.join(FLOORS).exists(), "nothing was driven");
}

#[test]
fn no_test_reads_or_writes_the_users_cache() {
    let _turn = take_turn();
    let home = tempfile::tempdir().unwrap();
    let cache = home.path().join(".cache");
    write_floor(&cache, 3_999_999, 10, "0", "0");
    let file = cache.join(FLOORS);
    let before = fs::read(&file).unwrap();
    let in_home = |command: &mut Command| {
        let output = command.env("HOME", home.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let doctor = || {
        let mut doctor = command(env!("CARGO_BIN_EXE_perf-api"));
        doctor.arg("doctor");
        doctor
    };
    // The program itself takes the user's.
    assert!(in_home(doctor().env_remove("XDG_CACHE_HOME")).contains("3999999"));
    assert!(!in_home(&mut doctor()).contains("3999999"));
    let results = tempfile::tempdir().unwrap();
    let quick = ["quick", "--launcher", "process", "--apps", "express", "--stores", "redis"];
    let mut quick = perf_api(results.path(), &quick);
    in_home(quick.args(["--qps", "100", "--duration", "1s"]));
    assert_eq!(fs::read(&file).unwrap(), before);
    let names: Vec<_> = fs::read_dir(cache.join("perf-api")).unwrap().flatten().collect();
    assert_eq!(names.len(), 1, "{names:?}");
}
