//! What the project is built from: one version of the large crates, and lock files with hashes. `make lint`
//! checks licences and sources with cargo-deny.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[expect(clippy::disallowed_methods, reason = "cargo lists the packages")]
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
    assert!(packages.len() > 100, "cargo lists only {} packages", packages.len());
    packages
}

#[test]
fn one_version_of_arrow_parquet_and_datafusion_is_built() {
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

/// Runs `tools/lint-locks` on the lock files in a folder: whether it passes, and its standard error.
#[expect(clippy::disallowed_methods, reason = "the tool under test")]
fn lint(folder: &Path) -> (bool, String) {
    let output =
        Command::new("python3").arg(root().join("tools/lint-locks")).arg(folder).output().unwrap();
    (output.status.success(), String::from_utf8(output.stderr).unwrap())
}

/// Edits that make a valid lock file pin less: file, text, its replacement, and part of the error.
const FAULTS: [(&str, &str, &str, &str); 12] = [
    ("Cargo.lock", "registry+https://x/crates.io-index", "git+https://x/a?rev=1#1", "a comes from"),
    ("Cargo.lock", "checksum = \"0", "checksum = \"", "a has no checksum"),
    ("package-lock.json", "sha512-", "sha1-", "node_modules/a has no hash"),
    ("package-lock.json", "{\"integrity", "{\"resolved\":\"x\",\"integrity", "names a host"),
    ("package-lock.json", "{", "[", "it is not a lock file"),
    ("requirements.txt", "==", ">=", "a>=1 is not a pinned version"),
    ("requirements.txt", "--hash=sha256:", "--hash=md5:", "a==1 has no hash"),
    ("requirements.txt", "a==1 \\\n    ", "# ", "it locks no package"),
    (
        "flake.lock",
        "\"locked\":{\"type\":\"github\"",
        "\"locked\":{\"type\":\"path\"",
        "the locked source differs",
    ),
    ("flake.lock", "\"rev\":\"0", "\"rev\":\"", "nixpkgs has no revision"),
    ("flake.lock", "\"ref\":\"b\"", "\"ref\":\"c\"", "flake.nix does not ask for github:o/r/c"),
    ("flake.lock", "\"root\":{}", "\"root\":{},\"stub\":{}", "the flake has one input"),
];

#[test]
fn a_lock_file_that_pins_less_is_found() {
    let (hex, base64) = ("0".repeat(64), "A".repeat(86));
    let github = r#""type":"github","owner":"o","repo":"r""#;
    let good = [
        (
            "Cargo.lock",
            format!(
                "[[package]]\nname = \"a\"\nsource = \"registry+https://x/crates.io-index\"\nchecksum = \"{hex}\"\n"
            ),
        ),
        (
            "package-lock.json",
            format!(
                r#"{{"packages":{{"":{{}},"node_modules/a":{{"integrity":"sha512-{base64}=="}}}}}}"#
            ),
        ),
        ("requirements.txt", format!("a==1 \\\n    --hash=sha256:{hex}\n")),
        (
            "flake.lock",
            format!(
                r#"{{"root":"root","nodes":{{"root":{{}},"nixpkgs":{{"original":{{{github},"ref":"b"}},"locked":{{{github},"rev":"{}","narHash":"sha256-{}="}}}}}}}}"#,
                &hex[..40],
                &base64[..43]
            ),
        ),
        ("flake.nix", "nixpkgs.url = \"github:o/r/b\"".to_owned()),
    ];
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    good.iter().for_each(|(name, text)| write(name, text));
    assert_eq!(lint(folder.path()), (true, String::new()));
    for (file, from, to, expected) in FAULTS {
        let (_, text) = good.iter().find(|(name, _)| *name == file).unwrap();
        assert!(text.contains(from), "{file} has no {from}");
        write(file, &text.replacen(from, to, 1));
        let (passes, stderr) = lint(folder.path());
        assert!(!passes && stderr.contains(expected), "{file} with {to}: {stderr}");
        write(file, text);
    }
    std::fs::remove_file(folder.path().join("flake.lock")).unwrap();
    assert_eq!(lint(folder.path()), (false, "there is no flake.lock\n".to_owned()));
}

#[test]
fn every_lock_file_of_the_project_pins_all_packages() {
    assert_eq!(lint(root()), (true, String::new()));
}
