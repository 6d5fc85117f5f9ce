//! Questions in SQL, over every dataset at hand.

use super::env::TestEnv;
use super::run::{SMALL, dataset};

/// The fixture of version 1: small, and never to change.
const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/version-1");

#[test]
fn the_schema_is_printed() {
    insta::assert_snapshot!(TestEnv::new().good(&["schema"]));
}

#[test]
fn an_answer_comes_in_every_form() {
    let env = TestEnv::new();
    let query = "select trial, app, latency_p95_ns, failure_stage from trials order by trial limit 2; select 1 as one";
    let mut output = String::new();
    for format in ["table", "csv", "json"] {
        output += &env.transcript(&["sql", query, "--format", format, "--results", FIXTURES]);
    }
    insta::assert_snapshot!(output);
    let query = "select * from trials";
    let parquet = env.output(&["sql", query, "--format", "parquet", "--results", FIXTURES]);
    assert!(parquet.stdout.starts_with(b"PAR1") && parquet.stdout.ends_with(b"PAR1"));
}

#[test]
fn the_questions_of_the_report_have_known_answers() {
    let env = TestEnv::new();
    let mut output = String::new();
    for question in ["cases", "distribution", "trials", "timeline", "resources", "drift"] {
        let folder = if question == "cases" { "docs" } else { "src/query" };
        let file = format!("{}/{folder}/{question}.sql", env!("CARGO_MANIFEST_DIR"));
        output += &format!(
            "{question}\n{}",
            env.transcript(&["sql", "-f", &file, "--results", FIXTURES])
        );
    }
    insta::assert_snapshot!(output);
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
    insta::assert_snapshot!(env.transcript(&["sql", sql, "--results", FIXTURES]));
}

#[test]
fn a_failing_query_says_why() {
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
    let output: Vec<String> = questions
        .iter()
        .map(|sql| format!("> {sql}\n{}", env.transcript(&["sql", sql, "--results", FIXTURES])))
        .collect();
    insta::assert_snapshot!(output.join("\n"));
    assert!(!env.path("x.csv").exists());
    let histogram = "select hist_merge(low_ns, high_ns, count, censored) as h from latency";
    let output = env.transcript(&["sql", histogram, "--format", "csv", "--results", FIXTURES]);
    assert!(output.contains("hint: CSV cannot hold a histogram"), "{output}");
}

/// The answer to a query on the fixture, as CSV; the query must succeed.
fn csv(sql: &str) -> String {
    TestEnv::new().good(&["sql", sql, "--format", "csv", "--results", FIXTURES])
}

#[test]
fn no_arithmetic_wraps_around() {
    for (sql, expected) in [
        // In a dataset of version 1 these columns are unsigned.
        ("select max(latency_p50_ns - latency_p99_ns) < 0 as x from trials", "true"),
        (
            "select avg(b.position - a.position) as x from trials a \
             join trials b on a.trial = b.trial + 1 and b.position < a.position and a.trial = 1",
            "-5.0",
        ),
        ("select min(-position) as x from trials", "-7"),
        ("select sum(censored) - sum(planned) < 0 as x from trials", "true"),
        ("select count(*) - 1000 < 0 as x from trials", "true"),
        ("select trials - 1000 < 0 and cpus - 1000 < 0 as x from datasets", "true"),
        (
            "select hist_count(h) - 9000000000 < 0 and hist_quantile_low(0.5, h) - hist_quantile_low(0.99, h) < 0 as x \
             from (select hist_merge(low_ns, high_ns, count, censored) as h from latency)",
            "true",
        ),
        (
            "select sum(x) as x from (values (9223372036854775807), (5), (-7)) as t(x)",
            "9223372036854775805",
        ),
        (
            "select row_number() over (order by trial) - 5 as x from trials order by trial limit 1",
            "-4",
        ),
        ("select sum(distinct block) as x from trials", "1"),
        (
            "select sum(trial) over (order by trial rows 1 preceding) as x from trials order by trial desc limit 1",
            "13",
        ),
    ] {
        assert_eq!(csv(sql), format!("x\n{expected}\n"), "{sql}");
    }
    for sql in [
        "select 9223372036854775807 + 1",
        "select -9223372036854775807 - 2",
        "select max(position) * 9223372036854775807 from trials",
        "select cast(1 as bigint unsigned) - cast(2 as bigint unsigned)",
        "select rank() over (order by trial) - row_number() over (order by trial desc) from trials",
        "select approx_distinct(app) - approx_distinct(trial) from trials",
        "select sum(x) from (values (9223372036854775807), (1)) as t(x)",
        "select sum(9223372036854775807) over (order by trial) from trials",
        "select sum(9223372036854775807) from trials group by app",
        "select sum(18446744073709551615) from trials",
    ] {
        let output =
            TestEnv::new().transcript(&["sql", sql, "--format", "csv", "--results", FIXTURES]);
        assert!(output.starts_with("exit 1\n--- stdout\n--- stderr\nerror: "), "{sql}: {output}");
        assert!(
            output.contains("error: cannot compute the answer: Arithmetic overflow: "),
            "{sql}: {output}"
        );
    }
}

#[test]
fn what_a_query_computes_wrongly_is_its_own_error() {
    let env = TestEnv::new();
    let queries = [
        "select 1/0",
        "select position / 0 from trials",
        "select position % (block - block) from trials",
        "select cast('a' as int)",
        "select cast(app as int) from trials",
        "select date '2026-13-01'",
        "select timestamp 'yesterday'",
        "select interval 'much'",
        "select cast(latency_p99_ns as tinyint) from trials",
        "select arrow_cast(1, 'Nothing')",
    ];
    let output: Vec<String> = queries
        .iter()
        .map(|sql| format!("> {sql}\n{}", env.transcript(&["sql", sql, "--results", FIXTURES])))
        .collect();
    insta::assert_snapshot!(output.join("\n"));
    // Where a condition is taken, too.
    let output =
        env.transcript(&["trend", "p50", "--where", "block / 0 = 1", "--results", FIXTURES]);
    assert!(output.starts_with("exit 1\n") && output.contains("ivide by zero"), "{output}");
}

#[test]
fn each_kind_of_statement_works_or_is_refused() {
    let env = TestEnv::new();
    let statements = [
        "from trials limit 2",
        "from (from trials) limit 1",
        "with t as (from trials) select count(app) as n from t",
        "explain from trials limit 2",
        "from trials select trial limit 1",
        "select from trials",
        "table trials limit 1",
        "values (1, 'a'), (2, 'b')",
        "select 1 as a; select 2 as b",
        "select 1 as a; drop table trials",
        "show tables",
        "show columns from latency",
        "describe latency",
        "summarize latency",
        "explain analyze select count(*) from trials",
        "set x = 1",
        "reset x",
        "begin",
        "create view v as select 1",
        "create external table e stored as csv location '/etc/passwd'",
        "insert into trials values (1)",
        "update trials set trial = 1",
        "delete from trials",
        "explain delete from trials",
        "drop table trials",
        "truncate table trials",
        "copy (select 1) to 'x.csv'",
        "explain copy (select 1) to 'x.csv'",
        "prepare p as select 1",
        "execute p",
        "pragma table_info('trials')",
    ];
    let output: Vec<String> = statements
        .iter()
        .map(|sql| {
            let args = ["sql", sql, "--format", "csv", "--results", FIXTURES];
            let output = env.transcript(&args);
            // Plans, times and the order of tables differ.
            let varies = sql.starts_with("explain") || sql == &"show tables";
            let is_cut = varies && output.starts_with("exit 0\n");
            let output = if is_cut { format!("{}\n", &output[..30]) } else { output };
            format!("> {sql}\n{output}")
        })
        .collect();
    insta::assert_snapshot!(output.join("\n"));
    assert!(!env.path("x.csv").exists());
}

#[test]
fn no_text_in_csv_is_a_formula_of_a_spreadsheet() {
    let texts =
        ["=HYPERLINK(1)", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "1-1", "a=b", " =1"];
    let union = texts.map(|text| format!("select '{text}' as \"=x\", -1 as n, -0.5 as d"));
    let query = union.join(" union all ") + " order by 1";
    let output = csv(&query);
    let mut cells: Vec<&str> =
        output.strip_prefix("'=x,n,d\n").unwrap().split(",-1,-0.5\n").collect();
    assert_eq!(cells.pop(), Some(""));
    let mut expected = [
        "'=HYPERLINK(1)",
        "'+1",
        "'-1",
        "'@SUM(A1)",
        "'\t=1",
        "\"'\r=1\"",
        "\"'\n=1\"",
        "1-1",
        "a=b",
        " =1",
    ];
    expected.sort_unstable();
    cells.sort_unstable();
    assert_eq!(cells, expected);
    // Programs get the text as it is.
    let json = TestEnv::new().good(&[
        "sql",
        "select '=1' as x",
        "--format",
        "json",
        "--results",
        FIXTURES,
    ]);
    assert_eq!(json, "{\"x\":\"=1\"}\n");
}

#[test]
fn a_closed_pipe_is_quiet() {
    let env = TestEnv::new();
    for format in ["table", "csv", "json", "parquet"] {
        let line = format!(
            "set -o pipefail; {} sql 'select * from generate_series(1, 2000000)' --format {format} --results {FIXTURES} | head -c 10 > /dev/null",
            env!("CARGO_BIN_EXE_perf-api")
        );
        let output = env.shell(&line);
        assert!(!output.contains("error"), "{format}: {output}");
    }
}

#[test]
fn only_the_datasets_that_are_asked_for_are_opened() {
    let env = TestEnv::new();
    let first = dataset(&env.good(&SMALL));
    let second = dataset(&env.good(&["quick", "--fake", "--no-progress", "--seed", "5"]));
    let damaged = env.path(&format!("results/{second}/trials.parquet"));
    let mut bytes = std::fs::read(&damaged).unwrap();
    // In the footer's name of the writer: the hash is wrong, and the tables can still be read.
    let writer = bytes.windows(8).rposition(|piece| piece == b"perf-api").unwrap();
    bytes[writer] ^= 1;
    std::fs::write(damaged, bytes).unwrap();
    let ask = |sql: &str| env.transcript(&["sql", sql, "--format", "csv"]);
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
    assert!(env.transcript(&["report", &second]).starts_with("exit 5\n"));
    let output = env.transcript(&["report", &second, "--unverified", "--output", "seen.html"]);
    assert!(output.starts_with("exit 0\n"), "{output}");
    let page = String::from_utf8(env.read("seen.html")).unwrap();
    assert!(page.contains("This dataset was not verified against its hashes"));
}
