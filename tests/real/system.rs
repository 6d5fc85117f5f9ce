//! The bundle of this repository, a lock for one test at a time, and the processes of this machine.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use perf_api::model::{Bundle, Component};

static TURN: Mutex<()> = Mutex::new(());

/// Waits until no other test uses the machine.
pub fn take_turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

pub fn bundle_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("bundle.json")
}

pub fn bundle() -> Bundle {
    perf_api::bundle::read(&bundle_path())
        .expect("`make setup` makes the bundle that this test needs")
}

pub fn component(bundle: &Bundle, name: &str) -> Component {
    let found = bundle.components.iter().find(|component| component.name.as_str() == name);
    let component = found.unwrap_or_else(|| panic!("the bundle has no {name}")).clone();
    assert!(component.process.is_some(), "{name} cannot be had here: {:?}", component.unavailable);
    component
}

/// The cache of measured loader ceilings: one folder for all tests, so that each is measured once, and never
/// the user's.
pub fn cache_dir() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache")
}

#[expect(clippy::disallowed_methods, reason = "tests start the program and servers themselves")]
pub fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    // Another run on this machine must not fail the test.
    if std::env::var_os("PERF_API_RESERVATIONS").is_none() {
        command.env("PERF_API_RESERVATIONS", env!("CARGO_TARGET_TMPDIR"));
    }
    command.env("XDG_CACHE_HOME", cache_dir());
    command.env("PERF_API_SKIP_CEILINGS", "1");
    command
}

/// The program, set to use this repository's bundle and a results folder.
pub fn perf_api(results: &Path, args: &[&str]) -> Command {
    let mut command = command(env!("CARGO_BIN_EXE_perf-api"));
    command.args(args).arg("--bundle").arg(bundle_path()).arg("--results").arg(results);
    command
}

/// The answer to a query, as CSV.
pub fn answer(results: &Path, sql: &str) -> String {
    let mut ask = command(env!("CARGO_BIN_EXE_perf-api"));
    ask.args(["sql", sql, "--format", "csv", "--results"]).arg(results);
    String::from_utf8(ask.output().unwrap().stdout).unwrap()
}

/// A process: its pid and its start time, which together are unique.
pub type Identity = (i32, u64);

/// The descendants of a runner.
pub fn descendants(runner: u32) -> Vec<Identity> {
    let all: Vec<_> =
        procfs::process::all_processes().unwrap().flatten().flat_map(|one| one.stat()).collect();
    let mut family = vec![i32::try_from(runner).unwrap()];
    let mut found = Vec::new();
    while let Some(parent) = family.pop() {
        for stat in all.iter().filter(|stat| stat.ppid == parent) {
            family.push(stat.pid);
            found.push((stat.pid, stat.starttime));
        }
    }
    found
}

/// Whether a process still runs.
pub fn is_alive((pid, start): Identity) -> bool {
    let stat = procfs::process::Process::new(pid).and_then(|process| process.stat());
    stat.is_ok_and(|stat| stat.starttime == start && stat.state != 'Z')
}

/// Waits until a condition holds; fails with `what` after a minute.
#[expect(clippy::disallowed_methods, reason = "a limit for the test, not a measurement")]
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(60), "waited a minute for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
