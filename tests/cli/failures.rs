//! Trials that fail: what is said of them, what is kept, and what the exit code is.

use perf_api::plan::Overrides;

use super::env::TestEnv;
use super::journal::unsealed;
use super::run::dataset;

const FAKE: [&str; 6] = ["--fake", "--fixed-clock", "--no-progress", "--stores", "redis", "--seed"];

fn quick<'a>(seed: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["quick"], &FAKE[..], &[seed], more].concat()
}

#[test]
fn a_run_without_a_measured_trial_is_kept_and_stays_out_of_the_way() {
    let env = TestEnv::new();
    let good = dataset(&env.good(&quick("1", &[])));
    let page = env.read("results/report.html");
    let output = env.transcript(&quick("2", &["--fake-broken", "redis"]));
    assert!(output.starts_with("exit 3"), "{output}");
    let failed = dataset(&output);
    assert!(!output.contains("\nreport  "), "{output}");
    let kept = "no trial was measured: the dataset is kept, and neither `latest` nor results/report.html changed";
    assert!(output.contains(kept), "{output}");
    assert_eq!(env.read("results/report.html"), page);
    assert!(env.good(&["results", "show"]).contains(&good));
    assert!(env.transcript(&["results", "show", "latest~1"]).starts_with("exit 1"));
    assert!(env.good(&["sql", "select dataset('latest')"]).contains(&good));
    // What it says to type works.
    let command =
        output.split("`perf-api ").nth(1).and_then(|rest| rest.split('`').next()).unwrap();
    assert!(command.contains(&failed[..12]), "{command}");
    env.good(&command.split(' ').collect::<Vec<_>>());
    assert!(String::from_utf8(env.read("failed.html")).unwrap().contains("expected status 200"));
    env.good(&["results", "verify", "--all"]);
    // A run with one good stack is a result. Both have the same time, so either may be the latest.
    let partly = env.transcript(&quick("3", &["--fake-broken", "express"]));
    assert!(partly.starts_with("exit 3") && partly.contains("\nreport  "), "{partly}");
    let counted = ["latest", "latest~1"].map(|name| env.good(&["results", "show", name])).concat();
    assert!(counted.contains(&dataset(&partly)), "{counted}");
}

#[test]
fn where_no_dataset_has_a_measured_trial_latest_says_so() {
    let env = TestEnv::new();
    let failed = dataset(&env.transcript(&quick("1", &["--fake-broken", "redis"])));
    let output = env.transcript(&["report"]);
    assert!(output.contains("no dataset has a measured trial; there are:"), "{output}");
    assert!(output.contains(&failed[..12]), "{output}");
    env.good(&["report", &failed]);
}

#[test]
fn a_failure_names_its_stage_and_reason_and_its_log_stands_below() {
    let env = TestEnv::new();
    let args =
        ["quick", "--fake", "--fixed-clock", "--stores", "redis", "--fake-broken", "express"];
    let output = env.transcript(&args);
    let reason = "failed at seed: app `express`: GET /cached-value was answered with status 404; expected status 200";
    let (progress, end) = output.split_once("express on redis, 1 worker: 1 trial").unwrap();
    let line = progress.lines().find(|line| line.contains("failed at")).unwrap();
    assert!(line.contains(reason), "{output}");
    assert!(!progress.contains("CTRL+C"), "{output}");
    assert!(end.contains(reason), "{output}");
    assert!(end.contains("\n    log: listening\n    log: Press CTRL+C to quit\n"), "{output}");
}

#[test]
fn failed_trials_of_a_comparison_end_with_their_own_code() {
    let env = TestEnv::new();
    let ab = ["ab", "bundle.json", "bundle.json", "--fake", "--fixed-clock", "--no-progress"];
    let small = ["--repetitions", "2", "--apps", "express,fastapi", "--fake-broken", "express"];
    let output = env.transcript(&[&ab[..], &small].concat());
    assert!(output.starts_with("exit 3"), "{output}");
    assert!(output.contains("4 of 8 trials before failed\n4 of 8 trials after failed"), "{output}");
}

#[test]
fn trials_that_cannot_be_ranked_fail_a_strict_run() {
    let env = TestEnv::new();
    let busy = ["--fake", "--fixed-clock", "--no-progress", "--fake-busy"];
    let commands: [&[&str]; 2] =
        [&["ab", "bundle.json", "bundle.json", "--repetitions", "2"], &["quick"]];
    for command in commands {
        let output = env.transcript(&[command, &busy].concat());
        assert!(output.starts_with("exit 0"), "{output}");
        let output = env.transcript(&[command, &busy, &["--strict"]].concat());
        assert!(output.starts_with("exit 3") && output.contains("`--strict`: trials"), "{output}");
        assert!(output.contains("host_busy"), "{output}");
    }
}

#[test]
fn a_resumed_run_obeys_strict() {
    for (args, code) in [(&["resume"][..], "exit 0"), (&["resume", "--strict"], "exit 3")] {
        let env = TestEnv::new();
        unsealed(&env, "quick", &Overrides::default());
        let fake = ["--fake", "--fixed-clock", "--no-progress", "--fake-busy"];
        // Its last trial is lost, and measured again beside other processes.
        let journal = "results/journal/20260101-000000-0/journal.jsonl";
        let text = String::from_utf8(env.read(journal)).unwrap();
        let last = text.trim_end().rfind("{\"trial\":").unwrap();
        let line = text[..last].rfind('\n').unwrap() + 1;
        env.write(journal, &text[..line]);
        let output = env.transcript(&[args, &fake].concat());
        assert!(output.starts_with(code), "{args:?}: {output}");
        assert!(output.contains("1 of 4 trials: host_busy"), "{output}");
    }
}

#[test]
fn a_comparison_measures_the_rest_of_what_is_missing() {
    let env = TestEnv::new();
    let ab = ["ab", "bundle.json", "bundle.json", "--launcher", "process", "--stores"];
    // The fixture's Dragonfly cannot be had; nothing is started.
    let refused = env.transcript(&[&ab[..], &["dragonfly"]].concat());
    assert!(refused.contains("hint: `--allow-missing` measures the rest"), "{refused}");
    let nothing = env.transcript(&[&ab[..], &["dragonfly", "--allow-missing"]].concat());
    assert!(nothing.contains("nothing is left to measure"), "{nothing}");
}

#[test]
fn what_broke_has_its_reason_in_every_format() {
    let env = TestEnv::new();
    let before = dataset(&env.good(&quick("1", &[])));
    let broken = dataset(&env.transcript(&quick("2", &["--fake-broken", "express"])));
    let pair =
        ["report", "--compare", &before, &broken, "--metrics", "p50", "--fail-on", "regressed"];
    let reason = "GET /cached-value was answered with status 404; expected status 200";
    for format in ["text", "md", "json", "junit"] {
        let output = env.transcript(&[&pair[..], &["--format", format]].concat());
        assert!(output.starts_with("exit 4"), "{format}: {output}");
        assert!(output.contains(reason), "{format}: {output}");
        assert!(output.contains("`--fail-on`: 1 case broke\n"), "{format}: {output}");
    }
    env.transcript(&pair);
    let page = String::from_utf8(env.read("results/comparison.html")).unwrap();
    assert!(page.contains(reason));
    let output = env.transcript(&[&pair[..], &["--format", "text"]].concat());
    assert!(
        output.contains(
            "0 regressed, 0 improved, 0 equivalent, 1 inconclusive, 1 not judged; 1 case broke"
        ),
        "{output}"
    );
}
