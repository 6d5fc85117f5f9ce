//! A dataset measured again from what it recorded.

use serde_json::Value;

use super::env::TestEnv;
use super::run::{dataset, hash};

const RUN: [&str; 9] = [
    "quick",
    "--fake",
    "--fixed-clock",
    "--no-progress",
    "--stores",
    "redis",
    "--qps",
    "500,1000",
    "--repetitions=3",
];
const AGAIN: [&str; 5] = ["reproduce", "latest", "--fake", "--fixed-clock", "--no-progress"];

#[test]
fn what_is_measured_again_is_the_same_experiment_and_is_compared() {
    let env = TestEnv::new();
    let before = dataset(&env.good(&RUN));
    let output = env.transcript(&AGAIN);
    // The computed load follows from the seed: the same inputs are the same dataset, and nothing is
    // left to compare.
    assert!(output.contains(&format!("dataset {before}\n")), "{output}");
    assert!(output.contains("the same bytes"), "{output}");
    let slower: Vec<&str> =
        AGAIN.into_iter().chain(["--fake-slowdown", "1.5", "--metrics", "p50,p95"]).collect();
    insta::assert_snapshot!(env.transcript(&slower));
    // The latest is the slower one by now.
    let failing: Vec<&str> =
        ["reproduce", &before].into_iter().chain(slower.into_iter().skip(2)).collect();
    let output = env.transcript(&[&failing[..], &["--fail-on", "regressed"]].concat());
    assert!(output.starts_with("exit 4\n"), "{output}");
}

#[test]
fn other_components_are_named_and_refused() {
    let env = TestEnv::new();
    env.good(&RUN);
    let mut other: Value = serde_json::from_slice(&env.read("bundle.json")).unwrap();
    let mut identities = serde_json::Map::new();
    for component in other["components"].as_array_mut().unwrap() {
        if component["name"] == "express" {
            component["facts"]["lock"] = "another".into();
        }
        // Keys are in order, and all values are text: so this is canonical JSON.
        component["identity"] = hash(component["facts"].to_string().as_bytes()).into();
        let name = component["name"].as_str().unwrap().to_owned();
        identities.insert(name, component["identity"].clone());
    }
    other["id"] = hash(Value::from(identities).to_string().as_bytes()).into();
    env.write("other.json", &other.to_string());
    let with_other: Vec<&str> = AGAIN.into_iter().chain(["--bundle", "other.json"]).collect();
    insta::assert_snapshot!(env.transcript(&with_other));
}

#[test]
fn a_search_is_not_measured_again() {
    let env = TestEnv::new();
    env.good(&["capacity", "--fake", "--no-progress", "--apps", "express", "--slo", "p99<50ms"]);
    insta::assert_snapshot!(env.transcript(&AGAIN));
}
