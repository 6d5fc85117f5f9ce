//! Bad input: one clear error, with what to do, before anything starts.

use super::env::TestEnv;

#[test]
fn each_mistake_has_its_own_message() {
    let env = TestEnv::new();
    env.write("bad.toml", "name = \"bad\"\nrepetitions = 1\n\n[factors]\nqsp = [1]\n");
    env.write("broken.json", "{");
    env.write("old.json", r#"{"format":0,"provider":"x","id":"0000000000000000000000000000000000000000000000000000000000000000","components":[]}"#);
    let mistakes: [&[&str]; 16] = [
        &["run", "bad.toml"],
        &["run", "no-such-spec"],
        &["run", "quick", "--qps", "0"],
        &["run", "quick", "--qps", "99999999999"],
        &["run", "quick", "--duration", "20"],
        &["run", "quick", "--seed", "-1"],
        &["run", "quick", "--stores", "redis,memcached"],
        &["plan", "quick", "--workers", ""],
        &["plan", "quick", "--bundle", "nowhere.json"],
        &["plan", "quick", "--bundle", "broken.json"],
        &["plan", "quick", "--bundle", "old.json"],
        &["report"],
        &["report", "abcdef"],
        &["full"],
        &["quick", "--stores", "dragonfly"],
        &["bundle", "nowhere"],
    ];
    let output: Vec<String> = mistakes
        .iter()
        .map(|args| format!("$ perf-api {}\n{}", args.join(" "), env.transcript(args)))
        .collect();
    insta::assert_snapshot!(output.join("\n"));
    assert!(!env.path("results/journal").exists(), "a mistake began a run");
}

#[test]
fn a_value_is_refused_with_its_form_and_its_range() {
    let env = TestEnv::new();
    let values: [&[&str]; 14] = [
        &["--qps", "fast"],
        &["--qps", "0.05"],
        &["--qps", "0.3333"],
        &["--qps", "1k,1000"],
        &["--qps", "0.1", "--duration", "2s"],
        &["--qps", "10M"],
        &["--workers", "1k"],
        &["--workers", "0"],
        &["--concurrency", "1.5"],
        &["--repetitions", "x"],
        &["--seed", "1.5"],
        &["--retries", "11"],
        &["--duration", "5"],
        &["--duration", "500ms"],
    ];
    let refused = values.map(|value| (["plan", "quick"], value));
    let slos: [&[&str]; 4] = [
        &["--slo", "p99<=50ms"],
        &["--slo", "p98<50ms"],
        &["--slo", "p99<50"],
        &["--slo", "errors<1"],
    ];
    let slos = slos.map(|value| (["capacity", "--apps=express"], value));
    let output: Vec<String> = refused
        .iter()
        .chain(&slos)
        .map(|(command, value)| {
            let args = [&command[..], *value].concat();
            format!("$ perf-api {}\n{}", args.join(" "), env.transcript(&args))
        })
        .collect();
    insta::assert_snapshot!(output.join("\n"));
}

#[test]
fn a_percentile_that_no_trial_supports_is_refused_with_what_would_do() {
    let env = TestEnv::new();
    let search = ["capacity", "--fake", "--no-progress", "--apps", "express"];
    let output = |more: &str| {
        let more: Vec<&str> = more.split(' ').collect();
        let output = env.transcript(&[&search[..], &more].concat());
        (output.starts_with("exit 0"), output)
    };
    let refused = [
        "--slo p99.99<20ms --qps 5,10 --duration 2s",
        "--slo p99<20ms --qps 100,2000 --duration 2s",
        "--slo p50<20ms,p99.9<1s",
    ]
    .map(|more| {
        let (is_good, output) = output(more);
        assert!(!is_good, "{output}");
        format!("$ perf-api capacity {more}\n{output}")
    });
    insta::assert_snapshot!(refused.join("\n"));
    assert!(!env.path("results/journal").exists(), "a mistake began a run");
    // What the hints say.
    for more in [
        "--slo p99<20ms --qps 100,2000 --duration 10s",
        "--slo p99<20ms --qps 500,2000 --duration 2s",
        "--slo p50<20ms,p99.9<1s --duration 25s",
    ] {
        let (is_good, output) = output(more);
        assert!(is_good, "{more}: {output}");
    }
}
