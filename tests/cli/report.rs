//! The report of one dataset: the same on any day, and what its questions answer.

use serde_json::Value;

use super::env::TestEnv;
use super::run::hash;

/// Two repetitions of loads below and beyond what the computed stacks hold.
const RUN: [&str; 7] =
    ["quick", "--fake", "--no-progress", "--qps", "1000,20000", "--workers=1,2", "--repetitions=2"];

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// The answers to the query in a file, row by row.
fn ask(env: &TestEnv, file: &str) -> Vec<Value> {
    let file = format!("{}/{file}", env!("CARGO_MANIFEST_DIR"));
    let output = env.good(&["sql", "--dataset", "latest", "--file", &file, "--format", "json"]);
    output.lines().map(json).collect()
}

fn is_near(ours: &Value, theirs: &Value) -> bool {
    match (ours.as_f64(), theirs.as_f64()) {
        (Some(ours), Some(theirs)) => (ours - theirs).abs() <= theirs.abs() * 1e-12,
        _ => ours == theirs,
    }
}

#[test]
fn what_a_page_shows_is_what_its_questions_answer() {
    let env = TestEnv::new();
    env.good(&RUN);
    let output = json(&env.good(&["report", "--format", "json"]));
    let cases = output["cases"].as_array().unwrap();
    let answers = ask(&env, "docs/cases.sql");
    assert_eq!((cases.len(), answers.len()), (16, 16));
    let mut bounds = 0;
    for (case, answer) in cases.iter().zip(&answers) {
        for name in ["app", "store", "workers", "concurrency", "trials", "valid"] {
            assert_eq!(case[name], answer[name], "{name} of {answer}");
        }
        assert!(is_near(&case["target_rps"], &answer["target_rps"]), "{case} of {answer}");
        for name in ["planned", "completed", "failed", "censored"] {
            assert_eq!(case[name], answer[name], "{name} of {answer}");
        }
        let rate = &case["rate"];
        assert!(is_near(&rate["value"], &answer["achieved_rps_mean"]), "{rate} of {answer}");
        assert!(is_near(&rate["stddev"], &answer["achieved_rps_stddev"]), "{rate} of {answer}");
        for part in ["app_cpu", "store_cpu"] {
            let per_thousand = &answer[format!("{part}_s_per_thousand")];
            assert!(is_near(&case[part]["value"], per_thousand), "{part} of {answer}");
        }
        for name in ["p50", "p90", "p95", "p99", "p99_9", "p99_99"] {
            let figure = &case["latency"][name];
            let is_bound = figure["is_bound"].as_bool().unwrap();
            bounds += usize::from(is_bound);
            let column = if is_bound { "_at_least_ns" } else { "_ns" };
            assert_eq!(figure["value_ns"], answer[format!("{name}{column}")], "{name} of {answer}");
            assert_eq!(answer[format!("{name}_ns")].is_null(), is_bound, "{name} of {answer}");
        }
    }
    assert!((10..80).contains(&bounds), "{bounds} of 96 percentiles are bounds");
    let trials = ask(&env, "src/query/trials.sql");
    assert_eq!(trials.len(), output["trials"].as_array().unwrap().len());
    for (ours, answer) in output["trials"].as_array().unwrap().iter().zip(&trials) {
        assert!(is_near(&ours["achieved_rps"], &answer["achieved_rps"]), "{answer}");
        assert_eq!(ours["latency"]["p99"]["value"], answer["latency_p99_ns"], "{answer}");
    }
}

#[test]
fn a_page_is_the_same_in_any_zone_with_any_number_of_threads() {
    let env = TestEnv::new();
    env.good(&RUN);
    let program = env!("CARGO_BIN_EXE_perf-api");
    let mut hashes = Vec::new();
    for settings in [
        "TZ=UTC TOKIO_WORKER_THREADS=1 LANG=C",
        "TZ=Asia/Kathmandu TOKIO_WORKER_THREADS=2 LANG=de_DE.UTF-8",
        "TZ=America/Anchorage taskset -c 0",
    ] {
        let output = env.shell(&format!("env {settings} {program} report --output page.html"));
        assert!(output.starts_with("exit 0"), "{settings}: {output}");
        hashes.push(hash(&env.read("page.html")));
        std::fs::remove_file(env.path("page.html")).unwrap();
    }
    assert!(hashes.iter().all(|one| *one == hashes[0]), "{hashes:?}");
}

#[test]
fn a_dataset_is_shown_in_every_format() {
    let env = TestEnv::new();
    env.good(&["quick", "--fake", "--no-progress", "--qps", "500,20000"]);
    insta::assert_snapshot!(env.steps(&[
        &["report", "--format", "md"],
        &["report", "--format", "text"],
        &["report", "--format", "junit"],
        &["report", "--format", "json", "--output", "report.json"],
    ]));
    let output = json(std::str::from_utf8(&env.read("report.json")).unwrap());
    let schema = json(include_str!("../../docs/report.schema.json"));
    super::compare::assert_fits(&output, &schema, &schema, "$");
}

#[test]
fn a_page_that_cannot_be_written_is_named_and_not_its_temporary_file() {
    let env = TestEnv::new();
    env.good(&RUN);
    let output = env.transcript(&["report", "--output", "nowhere/page.html"]);
    assert_eq!(
        output,
        "exit 1\n--- stdout\n--- stderr\n\
         error: cannot write nowhere/page.html: No such file or directory (os error 2)\n\
         hint: `--output FILE` of `perf-api report` writes it elsewhere\n"
    );
}

#[test]
fn marks_and_what_is_left_out_of_rankings_are_counted_apart() {
    let env = TestEnv::new();
    // More workers than the computed host has CPUs.
    env.good(&["quick", "--fake", "--no-progress", "--workers", "16", "--repetitions", "3"]);
    let output = env.good(&["report", "--format", "md"]);
    let health = "12 of 12 trials valid, 0 not ranked, 0 failed; 12 flagged cpus_shared.";
    assert!(output.contains(health), "{output}");
    assert!(output.contains("| `cpus_shared` | 12 | yes |"), "{output}");
    let page = String::from_utf8(env.read("results/report.html")).unwrap();
    assert!(page.contains(health.trim_end_matches('.')));
}
