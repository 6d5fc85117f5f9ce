//! `plan` and `--help`.

use super::env::TestEnv;

#[test]
fn help_says_what_there_is() {
    let env = TestEnv::new();
    let pages = [
        vec!["--help"],
        vec!["run", "--help"],
        vec!["plan", "--help"],
        vec!["report", "--help"],
        vec!["serve", "--help"],
        vec!["bundle", "--help"],
    ];
    let told: Vec<String> = pages
        .iter()
        .map(|args| format!("$ perf-api {}\n{}", args.join(" "), env.good(args)))
        .collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn the_full_plan_has_960_trials_in_a_fixed_order() {
    let env = TestEnv::new();
    let plan = env.good(&["plan", "full", "--format", "json"]);
    let plan: serde_json::Value = serde_json::from_str(&plan).unwrap();
    let trials = plan["trials"].as_array().unwrap();
    assert_eq!(trials.len(), 960);
    let first = serde_json::to_string_pretty(&trials[0]).unwrap();
    insta::assert_snapshot!(first);
    let again: serde_json::Value =
        serde_json::from_str(&env.good(&["plan", "full", "--format", "json"])).unwrap();
    assert_eq!(plan, again);
}

#[test]
fn a_plan_is_told_with_its_time() {
    let env = TestEnv::new();
    let plan = env.good(&["plan", "full", "--repetitions", "1"]);
    assert!(plan.contains("192 trials, about 1h 12m"), "{plan}");
    assert!(plan.contains("express on dragonfly, 4 workers"), "{plan}");
}
