//! What the project is built from: licences, sources, single versions, hash-locked packages.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Licences that a dependency may be used under.
const LICENCES: [&str; 15] = [
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "bzip2-1.0.6",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "OpenSSL",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[expect(clippy::disallowed_methods, reason = "cargo tells what the build is made of")]
fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--locked"])
        // Packages of other platforms need not be there.
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array_mut().map(std::mem::take).unwrap();
    assert!(packages.len() > 100, "cargo told only {} packages", packages.len());
    packages
}

#[test]
fn every_crate_has_an_allowed_licence_and_comes_from_the_registry() {
    let mut wrong = Vec::new();
    for package in packages() {
        let name = package["name"].as_str().unwrap();
        if name == "perf-api" {
            continue;
        }
        let licence = package["license"].as_str().unwrap_or("none").replace('/', " OR ");
        let allowed = spdx::Expression::parse_mode(&licence, spdx::ParseMode::LAX).map(|licence| {
            licence.evaluate(|one| one.license.id().is_some_and(|id| LICENCES.contains(&id.name)))
        });
        if !matches!(allowed, Ok(true)) {
            wrong.push(format!("{name}: licence {licence}"));
        }
        let source = package["source"].as_str().unwrap_or("a path");
        if !(source.starts_with("registry+") && source.ends_with("/crates.io-index")) {
            wrong.push(format!("{name}: from {source}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn arrow_parquet_and_datafusion_are_there_once() {
    let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in packages() {
        let name = package["name"].as_str().unwrap().to_owned();
        versions.entry(name).or_default().push(package["version"].to_string());
    }
    for name in
        ["arrow", "arrow-array", "parquet", "datafusion", "object_store", "rusqlite", "hyper"]
    {
        assert_eq!(versions.get(name).map(Vec::len), Some(1), "{name}: {:?}", versions.get(name));
    }
}

fn component_files(name: &str) -> Vec<PathBuf> {
    let folders = std::fs::read_dir(root().join("apps")).unwrap();
    let files: Vec<PathBuf> = folders
        .map(|entry| entry.unwrap().path().join(name))
        .filter(|path| path.is_file())
        .collect();
    assert!(!files.is_empty(), "no component has a {name}");
    files
}

#[test]
fn python_packages_are_pinned_by_hash() {
    let own = ["report", "stats", "store"]
        .map(|name| root().join(format!("tests/{name}/requirements.txt")));
    for path in component_files("requirements.txt").into_iter().chain(own) {
        let text = std::fs::read_to_string(&path).unwrap();
        let code: Vec<&str> =
            text.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
        let requirements = code.join("\n").replace("\\\n", " ");
        for line in requirements.lines().filter(|line| !line.trim().is_empty()) {
            assert!(
                line.contains("==") && line.contains("--hash=sha256:"),
                "{}: {line}",
                path.display()
            );
        }
    }
}

#[test]
fn node_packages_are_pinned_by_hash_and_name_no_host() {
    let own = root().join("src/report/plotly/package-lock.json");
    for path in component_files("package-lock.json").into_iter().chain([own]) {
        let lock: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let packages = lock["packages"].as_object().unwrap();
        assert!(packages.len() > 1, "{} locks nothing", path.display());
        for (name, package) in packages.iter().filter(|(name, _)| !name.is_empty()) {
            assert!(package["integrity"].is_string(), "{name} has no hash");
            assert!(package["resolved"].is_null(), "{name} names a host");
        }
    }
}
