//! Bad input: one clear error, with what to do, before anything starts.

use super::env::TestEnv;

#[test]
fn each_mistake_has_its_own_words() {
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
    let told: Vec<String> = mistakes
        .iter()
        .map(|args| format!("$ perf-api {}\n{}", args.join(" "), env.told(args)))
        .collect();
    insta::assert_snapshot!(told.join("\n"));
    assert!(!env.path("results/journal").exists(), "a mistake began a run");
}
