//! Two runs at once: refused, waited for, or marked.

use perf_api::model::{Flag, Outcome};
use rustix::process::Signal;

use super::system::{perf_api, take_turn};
use super::wrapped::Background;

/// Runs that share a folder of reservations, each with results of its own.
struct Machine {
    dir: tempfile::TempDir,
}

impl Machine {
    fn quick(&self, results: &str, args: &[&str]) -> std::process::Command {
        let own = ["quick", "--launcher", "process", "--apps", "express", "--stores", "redis"];
        let mut run = perf_api(&self.dir.path().join(results), &own);
        run.args(["--qps", "100"]).args(args);
        run.env("PERF_API_RESERVATIONS", self.dir.path());
        run
    }

    /// A run of many short trials, after the first one.
    fn begun(&self, results: &str, args: &[&str]) -> Background {
        let args = [&["--duration", "1s", "--repetitions", "300"], args].concat();
        let run = self.quick(results, &args);
        let mut run = Background::start(run, &self.dir.path().join(results));
        run.wait_until("a trial", |run| run.journal().is_some_and(|it| !it.trials.is_empty()));
        run
    }
}

#[test]
fn a_second_run_on_the_same_cpus_is_refused_or_waits() {
    let _turn = take_turn();
    let machine = Machine { dir: tempfile::tempdir().unwrap() };
    let mut first = machine.begun("first", &[]);
    let name = first.journal_dir().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
    let refused = machine.quick("second", &["--duration", "1s"]).output().unwrap();
    let stderr = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{stderr}");
    let who = format!("are in use by run {name} (pid {}, results in ", first.runner.id());
    assert!(stderr.contains(&who) && stderr.contains("`--wait`"), "{stderr}");
    assert!(stderr.contains("`--allow-busy`"), "{stderr}");
    // In the same results folder it waits for both.
    for results in ["second", "first"] {
        let waits = machine.quick(results, &["--duration", "1s", "--wait"]);
        let mut waits = Background::start(waits, &machine.dir.path().join(format!("{results}-2")));
        waits.wait_until("it to wait", |waits| waits.stderr().contains("waiting: "));
        first.signal(Signal::INT);
        first.runner.wait().unwrap();
        let status = waits.runner.wait().unwrap();
        assert_eq!(status.code(), Some(0), "{}", waits.stderr());
        if results == "second" {
            // Of the journal that it left, the next run has trials at once.
            std::fs::remove_dir_all(machine.dir.path().join("first/journal")).unwrap();
            first = machine.begun("first", &[]);
        }
    }
}

#[test]
fn two_runs_that_share_cpus_are_both_marked_from_then_on() {
    let _turn = take_turn();
    let machine = Machine { dir: tempfile::tempdir().unwrap() };
    let is_marked = |run: &Background| {
        let trials = run.journal().map_or(vec![], |content| content.trials);
        trials.iter().any(|record| {
            let Outcome::Measured(measured) = &record.outcome else { return false };
            let beside = measured.disturbance.is_some_and(|it| it.is_beside_another_run);
            assert!(!beside || record.flags.contains(&Flag::HostBusy), "{record:?}");
            beside
        })
    };
    let mut first = machine.begun("first", &[]);
    assert!(!is_marked(&first));
    let mut second = machine.begun("second", &["--allow-busy"]);
    second.wait_until("the second to be marked", is_marked);
    first.wait_until("the first to be marked", is_marked);
    // A killed run does not count.
    second.signal(Signal::KILL);
    second.runner.wait().unwrap();
    let last = |run: &Background| {
        let trials = run.journal().unwrap().trials;
        let last = trials.into_iter().max_by_key(|record| record.trial.position).unwrap();
        let Outcome::Measured(measured) = last.outcome else { return false };
        measured.disturbance.is_some_and(|it| !it.is_beside_another_run)
    };
    first.wait_until("the first to be alone", last);
}
