//! Runs of the program with servers of known behaviour, and their results.

use std::path::{Path, PathBuf};

use perf_api::analysis::{CaseAnalysis, LatencyEstimate, analyse};
use perf_api::query::{Dataset, Trust};
use perf_api::store::{Location, Store};

use crate::system::{command, perf_api};

/// The cases of the only dataset in a results folder.
pub fn cases(results: &Path) -> Vec<CaseAnalysis> {
    let store = Store::open(&Location::Folder(results.to_owned())).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let id = store.names().await.unwrap().find("latest").unwrap();
        let dataset = Dataset::open(&store, id, Trust::Verify).await.unwrap();
        let (trials, histograms) = (dataset.trials().await, dataset.histograms().await);
        let timeline = dataset.timeline().await.unwrap();
        analyse(&trials.unwrap(), &histograms.unwrap(), &timeline).cases
    })
}

pub fn p95(case: &CaseAnalysis) -> LatencyEstimate {
    case.latency[2].unwrap()
}

/// Runs to the end; gives its standard error.
pub fn run(results: &Path, args: &[&str]) -> (i32, String) {
    let output = perf_api(results, args).output().unwrap();
    (output.status.code().unwrap_or(-1), String::from_utf8(output.stderr).unwrap())
}

/// An app that ends as soon as it is started.
pub const BROKEN: &str = r#"
name = "broken"
kind = "app"
title = "Broken"
summary = "It ends at once."
[process]
program = "sh"
args = ["-c", "echo no licence; exit 3"]
version = ["-c", "echo 1"]
missing = "get a shell"
[http]
ready = "/"
endpoint = "/"
"#;

/// Makes a bundle of redis and a target with `arguments`. Returns its path.
pub fn bundle_of_target(dir: &Path, arguments: &str) -> PathBuf {
    let folder = dir.join("target");
    std::fs::create_dir(&folder).unwrap();
    let text = BROKEN
        .replace("\"broken\"", "\"target\"")
        .replace("\"sh\"", &format!("{:?}", env!("CARGO_BIN_EXE_perf-api")))
        .replace("[\"-c\", \"echo 1\"]", "[\"--version\"]")
        .replace(
            "[\"-c\", \"echo no licence; exit 3\"]",
            &format!("[\"target\", \"--listen\", \"{{host}}:{{port}}\", {arguments}]"),
        )
        .replace("endpoint = \"/\"", "endpoint = \"/cached-value\"");
    std::fs::write(folder.join("component.toml"), text).unwrap();
    let redis = Path::new(env!("CARGO_MANIFEST_DIR")).join("apps/redis");
    let bundle = dir.join("bundle.json");
    let mut make = command(env!("CARGO_BIN_EXE_perf-api"));
    make.arg("bundle").arg(&folder).arg(redis).arg("--output").arg(&bundle);
    assert!(make.output().unwrap().status.success());
    bundle
}

/// Searches the capacity of a server of at most 3,000 requests per second on any host (333,333 ns each).
/// Returns the line with the rate.
pub fn capacity_of_3000(dir: &Path, results: &Path) -> String {
    let service = "\"--servers\", \"1\", \"--service\", \"333333ns\"";
    let bundle = bundle_of_target(dir, service);
    let mut search = command(env!("CARGO_BIN_EXE_perf-api"));
    search.args(["capacity", "--slo", "p99<50ms,errors<0.1%", "--slo", "p50<1s"]);
    search.args(["--apps", "target", "--stores", "redis", "--qps", "1000,9000"]);
    search
        .args(["--duration", "2s", "--launcher", "process", "--allow-shared-cpus", "--bundle"])
        .arg(&bundle);
    let output = search.arg("--results").arg(results).output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        output.status.code(),
        Some(0),
        "{stdout}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    stdout.lines().find(|line| line.contains("p99<50ms,errors<0.1%")).unwrap().to_owned()
}

/// Measures a server that takes 1 ms and one that takes 4 ms in an interleaved run; gives the exit code
/// and its output.
pub fn slower_version(dir: &Path, results: &Path) -> (i32, String) {
    let bundles = ["1ms", "4ms"].map(|service| {
        let dir = dir.join(service);
        std::fs::create_dir(&dir).unwrap();
        bundle_of_target(&dir, &format!("\"--service\", \"{service}\""))
    });
    let mut ab = command(env!("CARGO_BIN_EXE_perf-api"));
    ab.arg("ab").args(&bundles).args(["--apps", "target", "--qps", "500", "--duration", "2s"]);
    ab.args([
        "--repetitions",
        "5",
        "--launcher",
        "process",
        "--allow-shared-cpus",
        "--fail-on",
        "regressed",
    ]);
    let output = ab.args(["--metrics", "p50", "--results"]).arg(results).output().unwrap();
    let both = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    (output.status.code().unwrap_or(-1), both.concat())
}

/// Checks every dataset of a results folder against its hashes.
pub fn verify_all(results: &Path) {
    let mut verify = command(env!("CARGO_BIN_EXE_perf-api"));
    verify.args(["results", "verify", "--all", "--results"]).arg(results);
    assert!(verify.output().unwrap().status.success());
}
