//! The picture of the layers in `src/lib.rs` is true, and files stay readable.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Each module's layer; a module imports only from layers of a lower number.
const LAYERS: [(&str, u8); 19] = [
    ("units", 0),
    ("id", 0),
    ("clock", 0),
    ("file", 0),
    ("exec", 0),
    ("model", 1),
    ("plan", 2),
    ("host", 2),
    ("bundle", 2),
    ("launch", 2),
    ("load", 2),
    ("stats", 2),
    ("store", 2),
    ("run", 3),
    ("query", 3),
    ("compare", 3),
    ("study", 3),
    ("report", 4),
    ("cli", 5),
];

/// Lines that a source file may have.
const MOST_LINES: usize = 600;

/// Inside the ground `exec` needs time and units: the one sideways import that is allowed.
const ALLOWED_SIDEWAYS: [(&str, &str); 2] = [("exec", "clock"), ("exec", "units")];

fn source_files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// The module of a file: the first folder or file name under `src`.
fn module_of(path: &Path) -> String {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let first = path.strip_prefix(source).unwrap().iter().next().unwrap();
    first.to_str().unwrap().trim_end_matches(".rs").to_owned()
}

/// The modules that stand behind `crate::` in a file's code.
fn imports(text: &str) -> Vec<String> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.flat_map(|line| {
        let parts: Vec<String> = line
            .split("crate::")
            .skip(1)
            .map(|rest| {
                rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap().to_owned()
            })
            .collect();
        parts
    })
    .filter(|name| !name.is_empty())
    .collect()
}

#[test]
fn modules_import_only_from_layers_above() {
    let layers: BTreeMap<&str, u8> = LAYERS.into();
    let mut wrong = Vec::new();
    for path in source_files() {
        let module = module_of(&path);
        let Some(&own) = layers.get(module.as_str()) else { continue };
        for import in imports(&fs::read_to_string(&path).unwrap()) {
            let Some(&other) = layers.get(import.as_str()) else {
                wrong.push(format!("{} imports `{import}`, which has no layer", path.display()));
                continue;
            };
            let is_allowed = ALLOWED_SIDEWAYS.contains(&(module.as_str(), import.as_str()));
            if import != module && other >= own && !is_allowed {
                wrong.push(format!("{} ({module}) imports {import}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_module_has_a_layer_and_every_layer_a_reader() {
    let layers: BTreeMap<&str, u8> = LAYERS.into();
    for path in source_files() {
        let module = module_of(&path);
        let is_root = module == "lib" || module == "main";
        assert!(is_root || layers.contains_key(module.as_str()), "{module} has no layer");
    }
    let text = "use crate::run::x;\n// crate::nothing\nlet y = crate::model::Part::App;";
    assert_eq!(imports(text), ["run", "model"]);
}

#[test]
fn files_fit_a_reader() {
    for path in source_files() {
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines <= MOST_LINES, "{} has {lines} lines", path.display());
    }
}
