//! The output of components is kept and shown with limits.

use super::system::{command, take_turn};
use super::wrapped::{Background, Wrapped};

/// A head, and a tail of at most two such parts.
const MAX_LOG_BYTES: u64 = 3 << 20;

#[test]
fn a_line_of_megabytes_is_truncated_in_the_terminal_the_dataset_and_the_page() {
    let _turn = take_turn();
    let app = Wrapped::new("head -c 3000000 /dev/zero | tr \"\\\\0\" x; echo; echo last; exit 3");
    let run = app.quick(&["--qps", "100", "--duration", "1s"]).output().unwrap();
    let stderr = String::from_utf8_lossy(&run.stderr);
    assert_eq!(run.status.code(), Some(3), "{stderr}");
    assert!(stderr.len() < 5_000, "{} bytes: {stderr:.5000}", stderr.len());
    let mut ask = command(env!("CARGO_BIN_EXE_perf-api"));
    ask.args(["sql", "select failure_log from trials", "--format", "json", "--results"]);
    let answer = String::from_utf8(ask.arg(app.results()).output().unwrap().stdout).unwrap();
    assert!(answer.contains("bytes or more truncated]") && answer.contains("last"), "{answer}");
    assert!(answer.len() < 5_000, "{} bytes", answer.len());
    let page = app.results().join("page.html");
    let dataset = String::from_utf8(run.stdout).unwrap();
    let dataset = dataset.split("dataset ").nth(1).unwrap().split_whitespace().next().unwrap();
    let mut report = command(env!("CARGO_BIN_EXE_perf-api"));
    report.args(["report", dataset, "--output"]).arg(&page).arg("--results").arg(app.results());
    assert!(report.output().unwrap().status.success());
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("bytes or more truncated]"), "the page shows the log");
    assert!(!page.contains(&"x".repeat(5_000)));
}

#[test]
fn the_log_of_an_app_that_never_stops_writing_is_bounded() {
    let _turn = take_turn();
    let app = Wrapped::new("yes & exec \"$0\" \"$@\"");
    let run = app.quick(&["--qps", "100", "--duration", "60s"]);
    let mut run = Background::start(run, &app.results());
    let logs = |run: &Background| {
        let files = run.journal_dir().into_iter().flat_map(|dir| dir.read_dir().unwrap().flatten());
        let logs = files.filter(|file| file.file_name().to_str().unwrap().starts_with("app-"));
        logs.map(|file| file.metadata().map_or(0, |metadata| metadata.len())).collect::<Vec<_>>()
    };
    // Its head, its tail, and the part of the tail before that.
    run.wait_until("a log that was filled", |run| logs(run).len() == 3);
    for _ in 0..100 {
        let bytes = logs(&run).iter().sum::<u64>();
        assert!(bytes <= MAX_LOG_BYTES, "{bytes}");
    }
    drop(run);
}
