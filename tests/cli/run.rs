//! Runs with computed loads: datasets and reports whose every byte is known.

use sha2::{Digest, Sha256};

use super::env::TestEnv;

/// The dataset id that a run printed.
pub fn dataset(printed: &str) -> String {
    let line = printed.lines().find_map(|line| line.strip_prefix("dataset "));
    line.expect("a run prints its dataset").to_owned()
}

pub fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The report of [`KNOWN_DATASET`].
const KNOWN_REPORT: &str = "381bc468fe4e7bc45ededab9c6bb6c5ceef214ada8be37d7b63d343b2305e0d4";

/// What [`SMALL`] gives, on any day and any machine.
const KNOWN_DATASET: &str = "0f47d80be2d6c1556b10b7985b08869d1591cae3a4c63057b3ea109238e56cc4";

pub const SMALL: [&str; 8] = [
    "quick",
    "--fake",
    "--no-progress",
    "--repetitions",
    "3",
    "--qps",
    "1000,20000",
    "--workers=1,2",
];

#[test]
fn the_same_run_gives_the_same_dataset_and_the_same_report_anywhere() {
    let (one, two) = (TestEnv::new(), TestEnv::new());
    let [first, second] = [&one, &two].map(|env| dataset(&env.good(&SMALL)));
    assert_eq!(first, second);
    let report = one.read("results/report.html");
    assert_eq!(report, two.read("results/report.html"));
    assert_eq!(hash(&report), KNOWN_REPORT, "look at the page, then write its hash here");
    // A change of these is a change of format: raise SCHEMA_VERSION, or know why not.
    assert_eq!(first, KNOWN_DATASET);
}

#[test]
fn the_id_is_the_hash_of_the_manifest_and_the_manifest_has_those_of_the_files() {
    let env = TestEnv::new();
    let id = dataset(&env.good(&SMALL));
    let manifest = env.read(&format!("results/{id}/manifest.json"));
    assert_eq!(hash(&manifest), id);
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    let files = manifest["files"].as_object().unwrap();
    assert_eq!(files.len(), 4);
    for (name, file) in files {
        let bytes = env.read(&format!("results/{id}/{name}"));
        assert_eq!(file["sha256"], hash(&bytes), "{name}");
        assert_eq!(file["bytes"], bytes.len(), "{name}");
    }
    assert!(!env.path("results/journal").read_dir().unwrap().any(|_| true), "the journal was left");
}

#[test]
fn a_report_is_found_by_name_and_is_the_same_each_time() {
    let env = TestEnv::new();
    let id = dataset(&env.good(&SMALL));
    let first = env.read("results/report.html");
    for name in [&id, &id[..6], "latest", "latest~0"] {
        env.good(&["report", name, "--output", "again.html"]);
        assert_eq!(env.read("again.html"), first, "{name}");
    }
    assert!(env.transcript(&["report", "latest~1"]).contains("no dataset is called `latest~1`"));
    assert!(env.transcript(&["report", &id[..5]]).contains("6 or more digits"));
}

#[test]
fn a_full_matrix_goes_through_in_seconds() {
    let env = TestEnv::new();
    let printed = env.good(&["full", "--fake", "--no-progress"]);
    let id = dataset(&printed);
    let manifest = env.read(&format!("results/{id}/manifest.json"));
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    assert_eq!(manifest["files"]["trials.parquet"]["rows"], 960);
}

#[test]
fn progress_is_a_line_a_trial_where_there_is_no_terminal() {
    let env = TestEnv::new();
    let output =
        env.transcript(&["quick", "--fake", "--stores", "redis,valkey", "--qps", "1000,20000"]);
    // How long it still takes follows from the host's pace, and is never nothing while work remains.
    let lines: Vec<&str> = output.lines().filter(|line| line.starts_with('[')).collect();
    assert!(lines[..7].iter().all(|line| line.ends_with(" left)") && !line.ends_with("(0s left)")));
    let left = |line: &str| match line.rsplit_once(" (").filter(|_| line.starts_with('[')) {
        Some((line, _)) => format!("{line} ([TIME] left)\n"),
        None => format!("{line}\n"),
    };
    insta::assert_snapshot!(output.lines().map(left).collect::<String>());
}

#[test]
fn progress_of_a_search_has_an_estimate_as_its_total() {
    let env = TestEnv::new();
    let search = ["capacity", "--fake", "--apps", "express", "--slo", "p99<50ms", "--qps"];
    for rates in ["400,20000", "5000,5400"] {
        let output = env.transcript(&[&search[..], &[rates]].concat());
        let counts: Vec<&str> = output
            .lines()
            .filter_map(|line| Some(line.strip_prefix('[')?.split_once(']')?.0))
            .collect();
        assert!(counts.len() > 3, "{output}");
        for (place, count) in (1..).zip(counts) {
            let is_right = match count.split_once(" of about ") {
                Some((done, total)) => {
                    done == place.to_string() && total.parse::<usize>().unwrap() >= place
                }
                None => count == place.to_string(),
            };
            assert!(is_right, "{count}: {output}");
        }
        assert!(!output.contains("(0s left)"), "{output}");
    }
}

#[test]
fn a_comparison_that_may_end_early_says_at_most() {
    let env = TestEnv::new();
    let ab = ["ab", "bundle.json", "bundle.json", "--fake", "--fixed-clock", "--until-decided"];
    let output =
        env.transcript(&[&ab[..], &["--max-duration", "20m", "--metrics", "p50"]].concat());
    assert!(
        output.contains("\n[1 of at most ") || output.contains("stderr\n[1 of at most "),
        "{output}"
    );
    assert!(output.contains(" left)"), "{output}");
}

#[test]
fn a_damaged_manifest_is_refused() {
    let env = TestEnv::new();
    let id = dataset(&env.good(&SMALL));
    let path = format!("results/{id}/manifest.json");
    let text = String::from_utf8(env.read(&path)).unwrap();
    env.write(&path, &text.replace("\"name\":\"quick\"", "\"name\":\"quack\""));
    let output = env.transcript(&["report", &id]);
    assert!(output.starts_with("exit 5\n"), "{output}");
    assert!(output.contains("its hash is not the dataset's id"), "{output}");
    let output = env.transcript(&["report"]);
    assert!(output.contains("`latest` ignores 1 whose manifest cannot be read"), "{output}");
}

#[test]
fn a_second_run_in_the_same_folder_is_refused_with_the_pid_of_the_first() {
    let env = TestEnv::new();
    std::fs::create_dir(env.path("results")).unwrap();
    env.write("results/lock", "pid 4711\n");
    let lock = std::fs::File::open(env.path("results/lock")).unwrap();
    lock.lock().unwrap();
    let output = env.transcript(&SMALL);
    assert!(output.contains("another process is writing to [DIR]/results (pid 4711)"), "{output}");
    lock.unlock().unwrap();
    env.good(&SMALL);
}

#[test]
fn a_damaged_table_is_refused_with_its_own_exit_code() {
    let env = TestEnv::new();
    let id = dataset(&env.good(&SMALL));
    let path = env.path(&format!("results/{id}/trials.parquet"));
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let output = env.transcript(&["report"]);
    assert!(output.starts_with("exit 5\n"), "{output}");
    assert!(output.contains("trials.parquet is corrupt"), "{output}");
}

#[test]
fn a_search_and_a_calibration_tell_what_they_found_in_their_own_dataset() {
    let env = TestEnv::new();
    // A later one that is not meant.
    env.good(&["quick", "--fake", "--no-progress", "--seed", "9"]);
    let search = ["capacity", "--fake", "--no-progress", "--apps", "express", "--slo", "p99<50ms"];
    let output = env.transcript(&search);
    let dataset = output.split("dataset ").nth(1).and_then(|rest| rest.get(..64)).unwrap();
    let shown = env.good(&["results", "show", dataset]);
    let found: Vec<&str> = shown.lines().filter(|line| line.contains("sustains")).collect();
    insta::assert_snapshot!(found.join("\n"));
    insta::assert_snapshot!(output);
    insta::assert_snapshot!(env.transcript(&["calibrate", "--fake", "--no-progress"]));
    insta::assert_snapshot!(env.transcript(&["results", "verify", "--all"]));
}
