//! All descendants of a component belong to it, in any session or process group: their resource use is
//! measured, and they end with the stack.

use rustix::process::Signal;

use super::system::{command, take_turn, wait_until};
use super::wrapped::{Background, Wrapped};

/// Commands that leave the process group of their parent.
const ESCAPES: [(&str, &str); 3] = [
    ("a session of its own", "setsid \"$0\" \"$@\" & wait"),
    ("a daemon", "setsid \"$0\" \"$@\" </dev/null >/dev/null 2>&1 & exit 0"),
    ("two forks, no environment", "(env -i setsid \"$0\" \"$@\" & ) ; exec sleep 600"),
];

const USED: &str = "select count(*) as trials from trials where failure_stage is null
    and app_cpu_s > 0.005 and app_peak_memory_bytes > 1000000";

#[test]
fn a_process_that_leaves_its_group_is_measured_and_ends_with_its_stack() {
    let _turn = take_turn();
    for (escape, script) in ESCAPES {
        let app = Wrapped::new(script);
        let run = app.quick(&["--qps", "1000", "--duration", "2s", "--repetitions", "2"]).output();
        let run = run.unwrap();
        let stderr = String::from_utf8_lossy(&run.stderr);
        assert_eq!(run.status.code(), Some(0), "{escape}: {stderr}");
        assert!(app.processes().is_empty(), "{escape}: {:?}", app.processes());
        assert!(!stderr.contains("left behind"), "{escape}: {stderr}");
        let mut ask = command(env!("CARGO_BIN_EXE_perf-api"));
        ask.args(["sql", USED, "--format", "csv", "--results"]).arg(app.results());
        let answer = String::from_utf8(ask.output().unwrap().stdout).unwrap();
        assert_eq!(answer, "trials\n2\n", "{escape}: its use was not measured");
    }
}

#[test]
fn a_process_that_leaves_its_group_ends_with_the_runner() {
    let _turn = take_turn();
    for (escape, script) in ESCAPES {
        for signal in [Signal::INT, Signal::KILL] {
            let app = Wrapped::new(script);
            let run = app.quick(&["--qps", "100", "--duration", "60s"]);
            let mut run = Background::start(run, &app.results());
            run.wait_until("the load", |_| {
                procfs::process::all_processes().unwrap().flatten().any(|process| {
                    let args = process.cmdline().unwrap_or_default();
                    args.iter().any(|word| word == "60005ms")
                })
            });
            assert!(app.processes().len() >= 2, "{escape}");
            run.signal(signal);
            run.runner.wait().unwrap();
            if signal == Signal::INT {
                assert!(app.processes().is_empty(), "{escape}: {:?}", app.processes());
            }
            wait_until("everything to follow the runner", || app.processes().is_empty());
        }
    }
}

#[test]
fn an_app_that_fails_ends_at_once_with_what_it_started() {
    let _turn = take_turn();
    let app = Wrapped::new("setsid \"$0\" \"$@\" & echo no licence; exit 3");
    let run = app.quick(&["--qps", "100", "--duration", "1s"]).output().unwrap();
    let stderr = String::from_utf8_lossy(&run.stderr);
    assert_eq!(run.status.code(), Some(3), "{stderr}");
    assert!(
        stderr.contains("app `wrapped` ended before it was ready (exit status: 3)"),
        "{stderr}"
    );
    assert!(app.processes().is_empty(), "{:?}", app.processes());
    let app = Wrapped::new("kill -SEGV $$");
    let run = app.quick(&["--qps", "100", "--duration", "1s"]).output().unwrap();
    let stderr = String::from_utf8_lossy(&run.stderr);
    assert!(stderr.contains("ended before it was ready (signal: 11 (SIGSEGV))"), "{stderr}");
}
