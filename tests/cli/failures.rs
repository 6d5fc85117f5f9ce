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
    let told = env.told(&quick("2", &["--fake-broken", "redis"]));
    assert!(told.starts_with("exit 3"), "{told}");
    let failed = dataset(&told);
    assert!(!told.contains("\nreport  "), "{told}");
    let kept = "no trial was measured: the dataset is kept, and neither `latest` nor results/report.html changed";
    assert!(told.contains(kept), "{told}");
    assert_eq!(env.read("results/report.html"), page);
    assert!(env.good(&["results", "show"]).contains(&good));
    assert!(env.told(&["results", "show", "latest~1"]).starts_with("exit 1"));
    assert!(env.good(&["sql", "select dataset('latest')"]).contains(&good));
    // What it says to type works.
    let command = told.split("`perf-api ").nth(1).and_then(|rest| rest.split('`').next()).unwrap();
    assert!(command.contains(&failed[..12]), "{command}");
    env.good(&command.split(' ').collect::<Vec<_>>());
    assert!(String::from_utf8(env.read("failed.html")).unwrap().contains("expected status 200"));
    env.good(&["results", "verify", "--all"]);
    // A run with one good stack is a result. Both have the same time, so either may be the latest.
    let partly = env.told(&quick("3", &["--fake-broken", "express"]));
    assert!(partly.starts_with("exit 3") && partly.contains("\nreport  "), "{partly}");
    let counted = ["latest", "latest~1"].map(|name| env.good(&["results", "show", name])).concat();
    assert!(counted.contains(&dataset(&partly)), "{counted}");
}

#[test]
fn where_no_dataset_has_a_measured_trial_latest_says_so() {
    let env = TestEnv::new();
    let failed = dataset(&env.told(&quick("1", &["--fake-broken", "redis"])));
    let told = env.told(&["report"]);
    assert!(told.contains("no dataset has a measured trial; there are:"), "{told}");
    assert!(told.contains(&failed[..12]), "{told}");
    env.good(&["report", &failed]);
}

#[test]
fn a_failure_names_its_stage_and_reason_and_its_log_stands_below() {
    let env = TestEnv::new();
    let args =
        ["quick", "--fake", "--fixed-clock", "--stores", "redis", "--fake-broken", "express"];
    let told = env.told(&args);
    let reason = "failed at seed: app `express`: GET /cached-value was answered with status 404; expected status 200";
    let (progress, end) = told.split_once("express on redis, 1 worker: 1 trial").unwrap();
    let line = progress.lines().find(|line| line.contains("failed at")).unwrap();
    assert!(line.contains(reason), "{told}");
    assert!(!progress.contains("CTRL+C"), "{told}");
    assert!(end.contains(reason), "{told}");
    assert!(end.contains("\n    log: listening\n    log: Press CTRL+C to quit\n"), "{told}");
}

#[test]
fn failed_trials_of_a_comparison_end_with_their_own_code() {
    let env = TestEnv::new();
    let ab = ["ab", "bundle.json", "bundle.json", "--fake", "--fixed-clock", "--no-progress"];
    let small = ["--repetitions", "2", "--apps", "express,fastapi", "--fake-broken", "express"];
    let told = env.told(&[&ab[..], &small].concat());
    assert!(told.starts_with("exit 3"), "{told}");
    assert!(told.contains("4 of 8 trials before failed\n4 of 8 trials after failed"), "{told}");
}

#[test]
fn trials_that_cannot_be_ranked_fail_a_strict_run() {
    let env = TestEnv::new();
    let busy = ["--fake", "--fixed-clock", "--no-progress", "--fake-busy"];
    let commands: [&[&str]; 2] =
        [&["ab", "bundle.json", "bundle.json", "--repetitions", "2"], &["quick"]];
    for command in commands {
        let told = env.told(&[command, &busy].concat());
        assert!(told.starts_with("exit 0"), "{told}");
        let told = env.told(&[command, &busy, &["--strict"]].concat());
        assert!(told.starts_with("exit 3") && told.contains("`--strict`: trials"), "{told}");
        assert!(told.contains("host_busy"), "{told}");
    }
}

#[test]
fn a_run_that_goes_on_is_as_strict_as_it_is_told() {
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
        let told = env.told(&[args, &fake].concat());
        assert!(told.starts_with(code), "{args:?}: {told}");
        assert!(told.contains("1 of 4 trials: host_busy"), "{told}");
    }
}

#[test]
fn a_comparison_measures_the_rest_of_what_is_missing() {
    let env = TestEnv::new();
    let ab = ["ab", "bundle.json", "bundle.json", "--launcher", "process", "--stores"];
    // The fixture's Dragonfly cannot be had; nothing is started.
    let refused = env.told(&[&ab[..], &["dragonfly"]].concat());
    assert!(refused.contains("hint: `--allow-missing` measures the rest"), "{refused}");
    let nothing = env.told(&[&ab[..], &["dragonfly", "--allow-missing"]].concat());
    assert!(nothing.contains("nothing is left to measure"), "{nothing}");
}

#[test]
fn what_broke_has_its_reason_in_every_format() {
    let env = TestEnv::new();
    let before = dataset(&env.good(&quick("1", &[])));
    let broken = dataset(&env.told(&quick("2", &["--fake-broken", "express"])));
    let pair =
        ["report", "--compare", &before, &broken, "--metrics", "p50", "--fail-on", "regressed"];
    let reason = "GET /cached-value was answered with status 404; expected status 200";
    for format in ["text", "md", "json", "junit"] {
        let told = env.told(&[&pair[..], &["--format", format]].concat());
        assert!(told.starts_with("exit 4"), "{format}: {told}");
        assert!(told.contains(reason), "{format}: {told}");
        assert!(told.contains("`--fail-on`: 1 case broke\n"), "{format}: {told}");
    }
    env.told(&pair);
    let page = String::from_utf8(env.read("results/comparison.html")).unwrap();
    assert!(page.contains(reason));
    let told = env.told(&[&pair[..], &["--format", "text"]].concat());
    assert!(
        told.contains(
            "0 regressed, 0 improved, 0 equivalent, 1 inconclusive, 1 not judged; 1 case broke"
        ),
        "{told}"
    );
}
