//! Two datasets in, verdicts out, from the command line.

use perf_api::clock::UnixMillis;
use perf_api::model::Sample;
use perf_api::plan::Overrides;
use perf_api::query::{Dataset, Trust};
use perf_api::store::{Location, Store};

use crate::env::TestEnv;
use crate::interleaved::unsealed_pair;
use crate::journal::{START, unsealed_at};

/// A small matrix with repetitions, on numbers that are made up.
const SMALL: [&str; 7] =
    ["quick", "--fake", "--fixed-clock", "--no-progress", "--repetitions", "5", "--stores"];

fn measured(env: &TestEnv, seed: &str) -> String {
    dataset(&env.good(&[&SMALL[..], &["redis", "--seed", seed]].concat()))
}

/// The id of the first dataset in the output.
fn dataset(output: &str) -> String {
    output.split("dataset ").nth(1).and_then(|rest| rest.get(..64)).unwrap().to_owned()
}

#[test]
fn the_same_dataset_twice_is_compared_in_every_format() {
    let env = TestEnv::new();
    let (before, after) = (measured(&env, "1"), measured(&env, "2"));
    let pair = ["report", "--compare", &before, &after, "--metrics", "p50,rate"];
    insta::assert_snapshot!(env.transcript(&pair));
    for format in ["md", "junit"] {
        insta::assert_snapshot!(env.transcript(&[&pair[..], &["--format", format]].concat()));
    }
    let page = env.read("results/comparison.html");
    env.good(&[&pair[..], &["--format", "html", "-o", "again.html"]].concat());
    assert_eq!(page, env.read("again.html"), "the same comparison is the same page");
}

#[test]
fn what_programs_read_is_what_the_schema_says() {
    let env = TestEnv::new();
    let (before, after) = (measured(&env, "1"), measured(&env, "2"));
    let output = env.good(&["report", "--compare", &before, &after, "--format", "json"]);
    let output: serde_json::Value = serde_json::from_str(&output).unwrap();
    let schema = include_str!("../../docs/comparison.schema.json");
    let schema: serde_json::Value = serde_json::from_str(schema).unwrap();
    assert_fits(&output, &schema, &schema, "$");
}

/// Checks types, properties and enumerations: what the schema uses of JSON Schema.
pub fn assert_fits(
    value: &serde_json::Value,
    schema: &serde_json::Value,
    root: &serde_json::Value,
    place: &str,
) {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.trim_start_matches("#/$defs/");
        return assert_fits(value, &root["$defs"][name], root, place);
    }
    let kind = match value {
        serde_json::Value::Null => "null",
        serde_json::Value::Bool(_) => "boolean",
        serde_json::Value::Number(_) => "number",
        serde_json::Value::String(_) => "string",
        serde_json::Value::Array(_) => "array",
        serde_json::Value::Object(_) => "object",
    };
    let kinds = match &schema["type"] {
        serde_json::Value::Array(kinds) => kinds.clone(),
        kind => vec![kind.clone()],
    };
    assert!(kinds.contains(&kind.into()), "{place} is {kind}, and not {}", schema["type"]);
    if let Some(allowed) = schema["enum"].as_array() {
        assert!(allowed.contains(value), "{place} is {value}");
    }
    if let Some(all) = value.as_array() {
        for (index, one) in all.iter().enumerate() {
            assert_fits(one, &schema["items"], root, &format!("{place}[{index}]"));
        }
    }
    if let Some(fields) = value.as_object() {
        // Without properties it is described elsewhere.
        let known = schema["properties"].as_object();
        for (name, field) in fields.iter().filter(|_| known.is_some()) {
            let schema = known
                .and_then(|known| known.get(name))
                .or_else(|| schema.get("additionalProperties"));
            assert!(schema.is_some(), "{place}.{name} is not in the schema");
            assert_fits(field, schema.unwrap(), root, &format!("{place}.{name}"));
        }
        for name in schema["required"].as_array().into_iter().flatten() {
            assert!(fields.contains_key(name.as_str().unwrap()), "{place} has no {name}");
        }
    }
}

#[test]
fn a_change_is_found_and_ends_with_its_own_code() {
    let env = TestEnv::new();
    let before = measured(&env, "1");
    let slower = dataset(
        &env.good(&[&SMALL[..], &["redis", "--seed", "2", "--fake-slowdown", "1.5"]].concat()),
    );
    let pair = ["report", "--compare", &before, &slower, "--metrics", "p50,p95"];
    insta::assert_snapshot!(env.transcript(&pair));
    for verdicts in ["regressed", "regressed,inconclusive", "improved"] {
        let output = env.transcript(&[&pair[..], &["--fail-on", verdicts]].concat());
        let code = if verdicts == "improved" { "exit 0" } else { "exit 4" };
        assert!(output.starts_with(code), "{verdicts}: {output}");
    }
    // Nothing changed where nothing is looked at.
    let rate =
        ["report", "--compare", &before, &slower, "--metrics", "rate", "--fail-on", "regressed"];
    assert!(env.transcript(&rate).starts_with("exit 0"));
}

#[test]
fn what_cannot_be_compared_is_refused_with_its_name() {
    let env = TestEnv::new();
    let before = measured(&env, "1");
    let longer = dataset(
        &env.good(&[&SMALL[..], &["redis", "--duration", "5s", "--qps", "1000,2000"]].concat()),
    );
    let pair = ["report", "--compare", &before, &longer];
    insta::assert_snapshot!(env.steps(&[
        &pair,
        &[&pair[..], &["--where", "target_rps = 9"]].concat(),
        &[&pair[..], &["--where", "nonsense = 9"]].concat(),
        &[&pair[..], &["--metrics", "speed"]].concat(),
        &[&pair[..], &["--margin", "5"]].concat(),
        &["report", "--compare", &before],
        &["report", "--fail-on", "regressed"],
        &["report", "--compare", &before, "ffffff"],
    ]));
    let forced = env.transcript(&[&pair[..], &["--force"]].concat());
    assert!(forced.starts_with("exit 0"), "{forced}");
    assert!(forced.contains("warning: spec: duration: 4s → 5s"), "{forced}");
    assert!(String::from_utf8(env.read("results/comparison.html")).unwrap().contains("accepted"));
}

#[test]
fn one_repetition_says_nothing() {
    let env = TestEnv::new();
    let once = ["quick", "--fake", "--fixed-clock", "--no-progress", "--stores", "redis", "--seed"];
    let [before, after] = ["1", "2"].map(|seed| dataset(&env.good(&[&once[..], &[seed]].concat())));
    let output = env.good(&["report", "--compare", &before, &after, "--metrics", "p50"]);
    assert!(output.contains("0 regressed, 0 improved, 0 equivalent, 2 inconclusive"), "{output}");
}

#[test]
fn a_calibrated_host_tells_equivalence() {
    let env = TestEnv::new();
    for seed in ["1", "2", "3", "4"] {
        env.good(&["calibrate", "--fake", "--fixed-clock", "--no-progress", "--seed", seed]);
    }
    let (before, after) = (measured(&env, "1"), measured(&env, "2"));
    let output = env.good(&["report", "--compare", &before, &after, "--metrics", "p50"]);
    assert!(output.contains("which 4 calibrations measured"), "{output}");
    assert!(output.contains("equivalent    p50 of express"), "{output}");
}

#[test]
fn a_spec_that_is_only_called_calibrate_is_no_calibration() {
    let env = TestEnv::new();
    let spec = include_str!("../../src/plan/calibrate.toml");
    env.write("calibrate.toml", spec);
    for seed in ["1", "2", "3", "4"] {
        let spec = "./calibrate.toml";
        env.good(&["run", spec, "--fake", "--fixed-clock", "--no-progress", "--seed", seed]);
    }
    let (before, after) = (measured(&env, "1"), measured(&env, "2"));
    let output = env.good(&["report", "--compare", &before, &after, "--metrics", "p50"]);
    assert!(!output.contains("calibrations measured"), "{output}");
}

#[test]
fn two_interleaved_versions_are_two_datasets_and_a_verdict() {
    let env = TestEnv::new();
    let ab = ["ab", "bundle.json", "bundle.json", "--fake", "--fixed-clock", "--no-progress"];
    insta::assert_snapshot!(env.transcript(&[&ab[..], &["--metrics", "p50,p95,rate"]].concat()));
    let until = ["--until-decided", "--max-duration", "20m", "--metrics", "p50", "--seed", "5"];
    let output = env.good(&[&ab[..], &until].concat());
    assert!(output.contains("equivalent    p50 of express"), "{output}");
    let shown = env.good(&["results", "show", &dataset(&output)]);
    let repetitions = shown.lines().find(|line| line.starts_with("repetitions")).unwrap();
    assert!(!repetitions.contains("90 of"), "it ended early: {repetitions}");
    // Shorter than it was meant to be, and still what it says.
    env.good(&["results", "verify", "--all"]);
    insta::assert_snapshot!(env.steps(&[
        &["ab", "bundle.json", "nowhere", "--fake"],
        &["ab", "bundle.json", ".", "--fake"],
        &["ab", "bundle.json", "bundle.json", "--fake", "--until-decided", "--max-duration", "10s"],
    ]));
}

/// Twelve days, of which those from `first` on answer so many times as slowly.
fn history(first: u64, slowdown: f64) -> TestEnv {
    const DAY: u64 = 24 * 60 * 60 * 1000;
    let env = TestEnv::new();
    for day in 0..12 {
        let overrides = Overrides {
            stores: Some(vec!["redis".to_owned()]),
            repetitions: Some("3".to_owned()),
            seed: Some(day.to_string()),
            ..Overrides::default()
        };
        let slowdown = if day < first { 1.0 } else { slowdown };
        unsealed_at(&env, "quick", &overrides, UnixMillis(START.0 + day * DAY), slowdown);
        env.good(&["resume", "--fake", "--fixed-clock", "--no-progress"]);
    }
    env
}

#[test]
fn a_history_shows_where_a_metric_changed() {
    let env = history(6, 1.33);
    let output = env.good(&["trend", "p50", "--where", "app = 'express'", "--format", "json"]);
    let output: serde_json::Value = serde_json::from_str(&output).unwrap();
    let points = output["points"].as_array().unwrap();
    let changes: Vec<bool> = points.iter().map(|one| one["is_change"] == true).collect();
    let expected: Vec<bool> = (0..12).map(|day| day == 6).collect();
    assert_eq!(changes, expected);
    let shown = env.good(&["trend", "p50"]);
    let line = shown.lines().find(|line| line.contains("changed here")).unwrap();
    assert!(line.starts_with("2026-01-07"), "{shown}");
    assert!(env.transcript(&["trend", "speed"]).starts_with("exit 2"));
}

#[test]
fn an_interleaved_comparison_that_crashed_ends_with_its_whole_blocks() {
    let env = TestEnv::new();
    let [_, after] = unsealed_pair(&env, 4);
    // The last trial of one side was not written any more: its block is not whole.
    let path = format!("results/journal/{after}/journal.jsonl");
    let text = String::from_utf8(env.read(&path)).unwrap();
    let last = text.trim_end().rfind("{\"trial\":").unwrap();
    let line = text[..last].rfind('\n').unwrap() + 1;
    env.write(&path, &text[..line]);
    // A journal of another run that cannot be read is in nobody's way.
    std::fs::create_dir(env.path("results/journal/20250101-000000-7")).unwrap();
    env.write("results/journal/20250101-000000-7/journal.jsonl", "damaged\nand more\n");
    let output = env.transcript(&["resume"]);
    assert!(output.starts_with("exit 0"), "{output}");
    assert!(output.contains("skipped the unfinished run 20250101-000000-7: "), "{output}");
    assert!(output.contains("its complete blocks are sealed"), "{output}");
    std::fs::remove_dir_all(env.path("results/journal/20250101-000000-7")).unwrap();
    env.good(&["results", "verify", "--all"]);
    let shown = env.good(&["results", "show", &dataset(&output)]);
    assert!(shown.contains("3 of 4s"), "{shown}");
    assert!(env.transcript(&["resume"]).contains("no unfinished run"), "nothing is left of it");
}

#[test]
fn the_remaining_side_of_an_interleaved_comparison_is_kept() {
    let env = TestEnv::new();
    let [before, _] = unsealed_pair(&env, 3);
    std::fs::remove_dir_all(env.path(&format!("results/journal/{before}"))).unwrap();
    let output = env.transcript(&["resume"]);
    assert!(output.starts_with("exit 0"), "{output}");
    let shown = env.good(&["results", "show", &dataset(&output)]);
    assert!(shown.contains("3 of 4s"), "{shown}");
}

#[test]
fn a_look_in_the_middle_sees_what_the_dataset_tells_later() {
    let env = TestEnv::new();
    let runs = unsealed_pair(&env, 3);
    let store = Store::open(&Location::Folder(env.path("results"))).unwrap();
    let content = store.journal(&runs[0]).unwrap();
    let duration = content.header.experiment.duration.0;
    let mut seen: Vec<Sample> =
        content.trials.iter().map(|record| Sample::of(record, duration)).collect();
    seen.sort_by(|a, b| (&a.case, a.block).cmp(&(&b.case, b.block)));
    let dataset = dataset(&env.transcript(&["resume"]));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let output = runtime.block_on(async {
        let id = store.names().await.unwrap().find(&dataset).unwrap();
        Dataset::open(&store, id, Trust::Verify).await.unwrap().samples(None).await.unwrap()
    });
    assert_eq!(seen, output);
}

#[test]
fn standard_output_has_the_format_that_was_asked_for_and_nothing_else() {
    let env = TestEnv::new();
    let ab = ["ab", "bundle.json", "bundle.json", "--fake", "--fixed-clock", "--no-progress"];
    let small = ["--repetitions", "2", "--metrics", "p50", "--format"];
    let before = measured(&env, "1");
    let reproduce = ["reproduce", &before, "--fake", "--fixed-clock", "--no-progress"];
    let slower = ["--fake-slowdown", "1.5", "--metrics", "p50", "--format"];
    for command in [[&ab[..], &small].concat(), [&reproduce[..], &slower].concat()] {
        let output = |format| env.good(&[&command[..], &[format]].concat());
        assert!(output("md").starts_with("### perf-api: "));
        assert!(output("junit").starts_with("<?xml "));
        let json: serde_json::Value = serde_json::from_str(&output("json")).unwrap();
        assert_eq!(json["version"], 1);
        assert_eq!(output("html"), "results/comparison.html\n");
        let output = env.output(&[&command[..], &["md"]].concat());
        assert!(String::from_utf8(output.stderr).unwrap().contains("dataset "), "{command:?}");
    }
}

#[test]
fn a_text_file_has_text_and_a_page_is_opened() {
    let env = TestEnv::new();
    let (before, after) = (measured(&env, "1"), measured(&env, "2"));
    let pair = ["report", "--compare", &before, &after, "--metrics", "p50"];
    let printed = env.good(&[&pair[..], &["--format", "text"]].concat());
    assert!(printed.contains("\nbefore  "), "{printed}");
    assert!(!env.path("results/comparison.html").exists(), "nobody asked for a page");
    let output = env.good(&[&pair[..], &["--format", "text", "-o", "output.txt"]].concat());
    assert_eq!((output.as_str(), env.read("output.txt")), ("", printed.into_bytes()));
    for format in ["text", "md", "json", "junit"] {
        let output = env.transcript(&[&pair[..], &["--format", format, "--open"]].concat());
        assert!(output.contains("this format is not a page"), "{format}: {output}");
    }
    std::fs::create_dir(env.path("bin")).unwrap();
    env.write("bin/xdg-open", "#!/bin/sh\necho \"$1\" > opened\n");
    let program = env!("CARGO_BIN_EXE_perf-api");
    let output = env.shell(&format!(
        "chmod +x bin/xdg-open && mkfifo opened && exec 3<>opened && PATH=$PWD/bin:$PATH {program} {} --open > /dev/null && read -t 60 page <&3 && echo $page",
        pair.join(" ")
    ));
    assert!(output.contains("--- stdout\n[DIR]/results/comparison.html\n"), "{output}");
}

#[test]
fn what_made_the_job_fail_is_listed_in_every_format() {
    let env = TestEnv::new();
    let (before, after) = (measured(&env, "1"), measured(&env, "2"));
    let pair = ["report", "--compare", &before, &after, "--metrics", "p50", "--fail-on"];
    let output =
        |verdicts, format| env.transcript(&[&pair[..], &[verdicts, "--format", format]].concat());
    let case = "express on redis, 1 worker, 100 connections, 1000 requests/s";
    let found = "inconclusive: 2 figures of cases and 2 of groups";
    for format in ["text", "md", "junit"] {
        let output = output("inconclusive", format);
        assert!(output.starts_with("exit 4"), "{format}: {output}");
        assert!(output.contains(&format!("`--fail-on`: {found}\n")), "{format}: {output}");
        assert!(output.contains(case), "{format}: {output}");
    }
    let text = output("inconclusive", "text");
    let row = text.lines().find(|line| line.starts_with("inconclusive") && line.contains(case));
    assert!(row.is_some(), "{text}");
    assert!(!text.contains("other groups"), "{text}");
    let markdown = output("inconclusive", "md");
    let (shown, _) = markdown.split_once("<details>").unwrap();
    assert!(shown.contains(&format!("**Failed** by `--fail-on`: {found}.")), "{markdown}");
    assert!(shown.contains(&format!("| inconclusive | p50 | {case} |")), "{markdown}");
    let junit = output("inconclusive", "junit");
    assert!(junit.contains("tests=\"2\" failures=\"2\" skipped=\"0\""), "{junit}");
    // Nothing of it where the job does not fail.
    let markdown = output("regressed", "md");
    assert!(markdown.starts_with("exit 0") && !markdown.contains("Failed"), "{markdown}");
    assert!(!markdown.contains(case), "{markdown}");
}
