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
    let output: Vec<String> = pages
        .iter()
        .map(|args| format!("$ perf-api {}\n{}", args.join(" "), env.good(args)))
        .collect();
    insta::assert_snapshot!(output.join("\n"));
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
fn a_plan_is_shown_with_its_duration() {
    let env = TestEnv::new();
    let plan = env.good(&["plan", "full", "--repetitions", "1"]);
    assert!(plan.contains("192 trials, about 1h 12m"), "{plan}");
    assert!(plan.contains("express on dragonfly, 4 workers"), "{plan}");
}

#[test]
fn rates_are_read_in_every_form_and_whole_ones_are_written_as_integers() {
    let env = TestEnv::new();
    let rates = |text: &str| {
        let plan =
            env.good(&["plan", "quick", "--qps", text, "--duration", "10s", "--format", "json"]);
        let plan: serde_json::Value = serde_json::from_str(&plan).unwrap();
        let trials = plan["trials"].as_array().unwrap();
        assert!(trials.iter().any(|trial| trial["target_rps"] == plan["experiment"]["qps"][0]));
        plan["experiment"]["qps"].to_string()
    };
    assert_eq!(rates("0.1,0.5,1_500,2k,2.5k,3e3"), "[0.1,0.5,1500,2000,2500,3000]");
    let spec = "name = \"own\"\nrepetitions = 1\nduration = \"4s\"\nwarm_up = \"1s\"\nseed = 1\n
[factors]\napps = [\"express\"]\nstores = [\"redis\"]\nworkers = [1]\nconcurrency = [10]
qps = [0.5, 1_000, 1.5e3, \"2k\", 3.0]\n";
    env.write("own.toml", spec);
    let shown = env.good(&["plan", "own.toml"]);
    assert!(shown.contains("0.5, 1000, 1500, 2000, 3\n"), "{shown}");
}

#[test]
fn a_plan_counts_what_its_command_executes() {
    let env = TestEnv::new();
    let ab = env.good(&["plan", "ab"]);
    assert!(ab.contains("40 trials (20 on each of 2 sides), about "), "{ab}");
    let output = env.transcript(&["ab", "bundle.json", "bundle.json", "--fake"]);
    assert!(output.contains("[40 of 40] "), "{output}");
    let json: serde_json::Value =
        serde_json::from_str(&env.good(&["plan", "ab", "--format", "json"])).unwrap();
    assert_eq!((&json["sides"], json["trials"].as_array().unwrap().len()), (&2.into(), 20));
    // The fixture has no Dragonfly here: `quick` measures the rest, other commands refuse.
    let quick = env.transcript(&["plan", "quick"]);
    assert!(quick.contains("\n2 trials, about "), "{quick}");
    assert!(quick.contains("dragonfly is missing: "), "{quick}");
    let full = env.transcript(&["plan", "full"]);
    assert!(full.contains("\n960 trials, about "), "{full}");
    assert!(full.contains("the plan includes the missing components"), "{full}");
}

#[test]
fn an_option_that_would_be_ignored_is_not_accepted() {
    let env = TestEnv::new();
    env.good(&["quick", "--fake", "--no-progress"]);
    let search = ["capacity", "--slo", "p99<50ms", "--fake", "--loader", "built-in"];
    let refused: [(&[&str], &str); 6] = [
        (&[&search[..], &["--profile", "spike"]].concat(), "leave out `--profile spike`"),
        (&["plan", "quick", "--results", "elsewhere"], "unexpected argument '--results'"),
        (&["capacity", "--slo", "p99<50ms", "--fake", "--order", "randomised"], "`--order`"),
        (&["quick", "--launcher", "process", "--publish"], "`--publish` needs containers"),
        (&["report", "--format", "json", "--open"], "this format is not a page"),
        (&["report", "--fail-on", "regressed"], "need two datasets"),
    ];
    for (args, message) in refused {
        let output = env.transcript(args);
        assert!(output.contains(message), "{args:?}: {output}");
        assert!(!output.starts_with("exit 0"), "{args:?}: {output}");
    }
}
