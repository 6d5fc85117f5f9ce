//! Questions in SQL, over every dataset at hand.

use super::env::TestEnv;
use super::run::{SMALL, dataset};

/// The fixture of version 1: small, and never to change.
const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/version-1");

#[test]
fn the_schema_is_told() {
    insta::assert_snapshot!(TestEnv::new().good(&["schema"]));
}

#[test]
fn an_answer_comes_in_every_form() {
    let env = TestEnv::new();
    let query = "select trial, app, latency_p95_ns, failure_stage from trials order by trial limit 2; select 1 as one";
    let mut told = String::new();
    for format in ["table", "csv", "json"] {
        told += &env.told(&["sql", query, "--format", format, "--results", FIXTURES]);
    }
    insta::assert_snapshot!(told);
    let query = "select * from trials";
    let parquet = env.output(&["sql", query, "--format", "parquet", "--results", FIXTURES]);
    assert!(parquet.stdout.starts_with(b"PAR1") && parquet.stdout.ends_with(b"PAR1"));
}

#[test]
fn the_questions_of_the_report_have_known_answers() {
    let env = TestEnv::new();
    let mut told = String::new();
    for question in ["cases", "distribution", "trials", "timeline", "resources", "drift"] {
        let file = format!("{}/src/query/{question}.sql", env!("CARGO_MANIFEST_DIR"));
        told += &format!("{question}\n{}", env.told(&["sql", "-f", &file, "--results", FIXTURES]));
    }
    insta::assert_snapshot!(told);
}

#[test]
fn histograms_are_merged_and_asked() {
    let env = TestEnv::new();
    let sql = "with h as (select target_rps, hist_merge(low_ns, high_ns, count, latency.censored) as h
        from latency join trials on latency.dataset = trials.dataset and latency.trial = trials.trial
        group by all)
      select target_rps, hist_quantile(0.5, h) as p50, hist_quantile(0.99, h) as p99,
        hist_quantile_low(0.99, h) as low, hist_quantile_high(0.99, h) as high,
        hist_count(h) as answered, hist_censored(h) as cut_off
      from h order by target_rps;
      with h as (select trial, hist_merge(low_ns, high_ns, count, censored) as h from latency group by trial)
      select hist_count(hist_merge(h)) as answered, hist_quantile(0.1, hist_merge(h)) as p10 from h;
      select hist_count(hist_merge(low_ns, high_ns, count, censored)) as of_nothing from latency where trial > 1000";
    insta::assert_snapshot!(env.told(&["sql", sql, "--results", FIXTURES]));
}

#[test]
fn a_question_that_cannot_be_answered_is_told_why() {
    let env = TestEnv::new();
    let questions = [
        "",
        "selec 1",
        "select nothing from trials",
        "select hist_quantile(99, hist_merge(low_ns, high_ns, count, censored)) from latency",
        "select hist_quantile(0.5, count) from latency",
        "select * from trials where dataset = dataset('nobody')",
        "create table x as select 1",
        "copy trials to 'x.csv'",
        "set datafusion.execution.batch_size = 1",
        "select * from '/etc/passwd'",
        "-- a comment comes first\nselect hist_count(hist_merge(distinct low_ns, high_ns, count, censored)) from latency",
    ];
    let told: Vec<String> = questions
        .iter()
        .map(|sql| format!("> {sql}\n{}", env.told(&["sql", sql, "--results", FIXTURES])))
        .collect();
    insta::assert_snapshot!(told.join("\n"));
    assert!(!env.path("x.csv").exists());
    let histogram = "select hist_merge(low_ns, high_ns, count, censored) as h from latency";
    let told = env.told(&["sql", histogram, "--format", "csv", "--results", FIXTURES]);
    assert!(told.contains("hint: a histogram fits no CSV"), "{told}");
}

#[test]
fn a_closed_pipe_is_quiet() {
    let env = TestEnv::new();
    for format in ["table", "csv", "json", "parquet"] {
        let line = format!(
            "set -o pipefail; {} sql 'select * from generate_series(1, 2000000)' --format {format} --results {FIXTURES} | head -c 10 > /dev/null",
            env!("CARGO_BIN_EXE_perf-api")
        );
        let told = env.shell(&line);
        assert!(!told.contains("error"), "{format}: {told}");
    }
}

#[test]
fn only_the_datasets_that_are_asked_for_are_opened() {
    let env = TestEnv::new();
    let first = dataset(&env.good(&SMALL));
    let second = dataset(&env.good(&["quick", "--fake", "--no-progress", "--seed", "5"]));
    let damaged = env.path(&format!("results/{second}/trials.parquet"));
    let mut bytes = std::fs::read(&damaged).unwrap();
    bytes[100] ^= 1;
    std::fs::write(damaged, bytes).unwrap();
    let ask = |sql: &str| env.told(&["sql", sql, "--format", "csv"]);
    // What is not asked for is not read, whatever stands there.
    let one = format!("select count(*) as n from trials where dataset = '{first}'");
    assert_eq!(ask(&one), "exit 0\n--- stdout\nn\n48\n--- stderr\n");
    let one = format!(
        "select count(*) as n from trials where dataset in (dataset('{}')) and is_valid",
        &first[..8]
    );
    assert_eq!(ask(&one), "exit 0\n--- stdout\nn\n48\n--- stderr\n");
    let all = ask("select count(*) as n from trials");
    assert!(all.starts_with("exit 5\n") && all.contains("trials.parquet is corrupt"), "{all}");
    assert!(env.told(&["report", &second]).starts_with("exit 5\n"));
    let told = env.told(&["report", &second, "--unverified", "--output", "seen.html"]);
    assert!(told.starts_with("exit 0\n"), "{told}");
    let page = String::from_utf8(env.read("seen.html")).unwrap();
    assert!(page.contains("This dataset was not compared with its hashes"));
}
