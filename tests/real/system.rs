//! The bundle at hand, turns, and a look at the machine's processes.

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

#[expect(clippy::disallowed_methods, reason = "tests start the program and servers themselves")]
pub fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    Command::new(program)
}

/// The program, told to use this repository's bundle and a results folder.
pub fn perf_api(results: &Path, args: &[&str]) -> Command {
    let mut command = command(env!("CARGO_BIN_EXE_perf-api"));
    command.args(args).arg("--bundle").arg(bundle_path()).arg("--results").arg(results);
    command
}

/// The pids of processes that a runner with this pid started.
pub fn started_by(runner: u32) -> Vec<i32> {
    let mark = format!("{runner}:");
    let is_marked = |process: &procfs::process::Process| {
        let environment = process.environ().ok()?;
        let own = environment.get(std::ffi::OsStr::new("PERF_API_RUNNER"))?;
        own.to_str()?.starts_with(&mark).then_some(())
    };
    let processes = procfs::process::all_processes().unwrap().flatten();
    processes.filter(|process| is_marked(process).is_some()).map(|process| process.pid).collect()
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
