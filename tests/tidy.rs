//! The picture of the layers in `src/lib.rs` is true, and files stay readable.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Each module's layer; a module imports only from layers of a lower number.
const LAYERS: [(&str, u8); 21] = [
    ("units", 0),
    ("id", 0),
    ("clock", 0),
    ("file", 0),
    ("process", 0),
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
    ("analysis", 3),
    ("app", 4),
    ("report", 5),
    ("cli", 6),
    ("server", 6),
];

/// Lines that a source file may have.
const MAX_LINES: usize = 600;

/// Imports inside a layer that are allowed: processes are waited for and pinned, which needs time and
/// units, and the command `serve` starts the server.
const ALLOWED_SIDEWAYS: [(&str, &str); 3] =
    [("process", "clock"), ("process", "units"), ("cli", "server")];

fn source_files() -> Vec<PathBuf> {
    files("src", "rs")
}

/// The files in a folder and its subfolders that have this extension.
fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == ending) {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// The path of a file's module: `["store", "schema"]` for `src/store/schema.rs`.
fn module_path(path: &Path) -> Vec<String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let parts = path.strip_prefix(source).unwrap().with_extension("");
    let parts = parts.iter().map(|part| part.to_str().unwrap().to_owned());
    parts.filter(|part| !["mod", "lib", "main"].contains(&part.as_str())).collect()
}

/// The words, `::` and single characters of Rust code, without comments, strings and characters.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let word: usize = rest.chars().take_while(|&c| is_word(c)).map(char::len_utf8).sum();
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(length) = raw_string(rest) {
            length
        } else if first == '"' {
            quoted(rest, '"').unwrap_or(rest.len())
        } else if first == '\'' {
            // A lifetime has no second quote.
            let is_character = rest[1..].starts_with('\\') || rest.chars().nth(2) == Some('\'');
            if is_character { quoted(rest, '\'').unwrap_or(rest.len()) } else { 1 }
        } else {
            let length = match word {
                0 if rest.starts_with("::") => 2,
                0 => first.len_utf8(),
                word => word,
            };
            if !first.is_whitespace() {
                tokens.push(rest[..length].to_owned());
            }
            length
        };
        rest = &rest[length..];
    }
    tokens
}

/// The length of a raw string at the beginning of `text`, if one is there.
fn raw_string(text: &str) -> Option<usize> {
    let text_after_r = text.strip_prefix('b').unwrap_or(text).strip_prefix('r')?;
    let hashes = text_after_r.len() - text_after_r.trim_start_matches('#').len();
    let body = text_after_r[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = body.find(&end).map_or(body.len(), |at| at + end.len());
    Some(text.len() - body.len() + length)
}

/// The length of a string or a character at the beginning of `text`.
fn quoted(text: &str, quote: char) -> Option<usize> {
    let mut is_escaped = false;
    text.char_indices().skip(1).find_map(|(at, c)| {
        let is_end = c == quote && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        is_end.then_some(at + 1)
    })
}

/// The top-level modules that the code of module `own` names, in whatever form: in `use` trees and in
/// paths, from `crate`, `self` or `super`. `*` for all of them.
fn imports(own: &[String], text: &str) -> Vec<String> {
    let found = paths(own, &tokens(text), &[]);
    found.into_iter().map(|path| path.first().map_or("*", String::as_str).to_owned()).collect()
}

/// The absolute paths that the code of module `own` names, from `crate`, `self`, `super` or, in a `use`, from
/// one of its `children`.
fn paths(own: &[String], tokens: &[String], children: &[String]) -> Vec<Vec<String>> {
    let token = |at: usize| tokens.get(at).map_or("", String::as_str);
    let mut found = Vec::new();
    // The modules inside the file that are open, each with the depth of braces around it.
    let (mut inner, mut depth): (Vec<(String, usize)>, usize) = (Vec::new(), 0);
    let mut at = 0;
    while at < tokens.len() {
        let is_path = token(at + 1) == "::" && token(at.saturating_sub(1)) != "::";
        match token(at) {
            "{" => {
                if at > 1 && token(at - 2) == "mod" {
                    inner.push((token(at - 1).to_owned(), depth));
                }
                depth += 1;
            }
            "}" => {
                depth = depth.saturating_sub(1);
                inner.pop_if(|(_, around)| *around == depth);
            }
            // `pub(in crate::cli)` names who may see, and imports nothing.
            "crate" | "self" | "super" if is_path && token(at.saturating_sub(1)) != "in" => {
                let mut here = own.to_vec();
                here.extend(inner.iter().map(|(name, _)| name.clone()));
                at = leaves(tokens, at, &here, &mut found);
            }
            child
                if is_path
                    && at > 0
                    && token(at - 1) == "use"
                    && inner.is_empty()
                    && children.iter().any(|name| name == child) =>
            {
                at = leaves(tokens, at, own, &mut found);
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// Adds the absolute paths that begin at a token: one, or those of a `use` tree. Gives the last token
/// that belongs to them.
fn leaves(tokens: &[String], start: usize, here: &[String], found: &mut Vec<Vec<String>>) -> usize {
    let token = |at: usize| tokens.get(at).map_or("", String::as_str);
    // The paths before each brace that is open.
    let mut open: Vec<Vec<String>> = Vec::new();
    let (mut path, mut at, mut is_leaf) = (here.to_vec(), start, false);
    loop {
        match token(at) {
            "crate" => (path, is_leaf) = (Vec::new(), true),
            "self" => is_leaf = true,
            "super" => {
                path.pop();
                is_leaf = true;
            }
            "::" => {}
            "{" => {
                open.push(path.clone());
                is_leaf = false;
            }
            // What a name is called here is of no interest.
            "as" => at += 1,
            word if word == "*" || word.starts_with(|c: char| c.is_alphabetic() || c == '_') => {
                if word != "*" {
                    path.push(word.to_owned());
                }
                is_leaf = true;
            }
            end => {
                if is_leaf {
                    found.push(path.clone());
                }
                is_leaf = false;
                match (end, open.last()) {
                    (",", Some(before)) => path.clone_from(before),
                    ("}", Some(_)) => drop(open.pop()),
                    _ => return at - 1,
                }
            }
        }
        let goes_on = token(at + 1) == "::" || token(at) == "::" || !open.is_empty();
        if !goes_on && token(at + 1) != "as" {
            if is_leaf {
                found.push(path);
            }
            return at;
        }
        at += 1;
    }
}

#[test]
fn modules_import_only_from_layers_above() {
    let layers: BTreeMap<&str, u8> = LAYERS.into();
    let mut wrong = Vec::new();
    for path in source_files() {
        let own_path = module_path(&path);
        let Some(module) = own_path.first() else { continue };
        let Some(&own) = layers.get(module.as_str()) else { continue };
        for import in imports(&own_path, &fs::read_to_string(&path).unwrap()) {
            let Some(&other) = layers.get(import.as_str()) else {
                wrong.push(format!("{} imports `{import}`, which has no layer", path.display()));
                continue;
            };
            let is_allowed = ALLOWED_SIDEWAYS.contains(&(module.as_str(), import.as_str()));
            if import != *module && other >= own && !is_allowed {
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
        let path = module_path(&path);
        let Some(module) = path.first() else { continue };
        assert!(layers.contains_key(module.as_str()), "{module} has no layer");
    }
}

#[test]
fn every_form_of_an_import_is_seen() {
    let own = ["query".to_owned(), "table".to_owned()];
    for (code, expected) in [
        ("use crate::run::x;", &["run"][..]),
        ("// crate::nothing\n/* crate::nothing */ let y = crate::model::Part::App;", &["model"]),
        ("use crate::{run, model::{Case, Part}, id as other};", &["run", "model", "model", "id"]),
        ("pub use crate::{\n    run::{self, x},\n    store,\n};", &["run", "run", "store"]),
        ("pub(in crate::cli) use super::super::run;", &["run"]),
        ("use super::{session, super::cli::y};", &["query", "cli"]),
        (
            "fn a() -> super::super::report::Page { self::b(crate::cli::c()) }",
            &["report", "query", "cli"],
        ),
        (
            "mod tests { use super::*; use super::super::super::launch; } use super::a;",
            &["query", "launch", "query"],
        ),
        ("use crate::*;", &["*"]),
        ("use crate::{self as all};", &["*"]),
        (
            "let text = \"crate::no\"; let raw = r#\"crate::\"no\"#; let c = '\"'; crate::units::x",
            &["units"],
        ),
        ("fn f<'a>(x: &'a str) -> crate::id::Id { '\\'' }", &["id"]),
        ("$crate::clock::now()", &["clock"]),
        ("self.x = y; pub(crate) fn z() {} pub(super) use std::a;", &[]),
    ] {
        assert_eq!(imports(&own, code), expected, "{code}");
    }
}

/// The code of a file without its module of tests.
fn without_tests(tokens: &[String]) -> Vec<String> {
    let head = ["mod", "tests", "{"];
    let is_head = |at: usize| tokens[at..].iter().take(head.len()).eq(head.iter());
    let Some(start) = (0..tokens.len()).find(|&at| is_head(at)) else { return tokens.to_vec() };
    let mut depth = 0;
    let is_end = |at: &usize| {
        match tokens[*at].as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ => {}
        }
        tokens[*at] == "}" && depth == 0
    };
    let end = (start..tokens.len()).find(is_end).unwrap_or(tokens.len() - 1);
    [&tokens[..start], &tokens[end + 1..]].concat()
}

/// The files of the program as modules: the code of each, without tests.
struct Files(BTreeMap<Vec<String>, Vec<String>>);

impl Files {
    fn read() -> Self {
        let code = |path: &PathBuf| {
            let code = without_tests(&tokens(&fs::read_to_string(path).unwrap()));
            (module_path(path), code)
        };
        Self(source_files().iter().filter(|path| !path.ends_with("main.rs")).map(code).collect())
    }

    /// The paths that each file names.
    fn named(&self) -> BTreeMap<&[String], Vec<Vec<String>>> {
        let named = |(own, code): (&'_ Vec<String>, &'_ Vec<String>)| {
            let inside = self.0.keys().filter(|path| path.len() == own.len() + 1);
            let inside = inside.filter(|path| path.starts_with(own));
            let children: Vec<String> = inside.filter_map(|path| path.last().cloned()).collect();
            paths(own, code, &children)
        };
        self.0.iter().map(|(own, code)| (own.as_slice(), named((own, code)))).collect()
    }

    /// The file of the longest part of a path that is one.
    fn file<'path>(&self, path: &'path [String]) -> &'path [String] {
        let starts = (0..=path.len()).rev().map(|end| &path[..end]);
        starts.into_iter().find(|&start| self.0.contains_key(start)).unwrap_or_default()
    }

    /// The files that each file uses. A name that a folder's `mod.rs` only passes on is used in the file
    /// that declares it. A folder's `mod.rs` and the files in the folder may use each other.
    fn uses(&self) -> BTreeMap<&[String], BTreeSet<Vec<String>>> {
        let named = self.named();
        let used = |own: &[String], path: &Vec<String>| {
            let file = self.declaring(path, &named);
            let is_own_folder = own.starts_with(&file) || file.starts_with(own);
            (!is_own_folder).then_some(file)
        };
        let used_by = |(own, paths): (&&'_ [String], &Vec<Vec<String>>)| {
            paths.iter().filter_map(|path| used(own, path)).collect()
        };
        named.iter().map(|(own, paths)| (*own, used_by((own, paths)))).collect()
    }

    /// The file in which the last name of a path is declared.
    fn declaring(
        &self,
        path: &[String],
        named: &BTreeMap<&[String], Vec<Vec<String>>>,
    ) -> Vec<String> {
        let file = self.file(path);
        let Some(name) = path.get(file.len()) else { return file.to_vec() };
        let is_passed_on = |inner: &&Vec<String>| {
            inner.last() == Some(name)
                && inner.starts_with(file)
                && self.file(inner).len() > file.len()
        };
        match named[file].iter().find(is_passed_on) {
            Some(inner) => self.declaring(inner, named),
            None => file.to_vec(),
        }
    }
}

/// Who uses whom in circles: the files that use themselves over others.
fn circles(uses: &BTreeMap<&[String], BTreeSet<Vec<String>>>) -> Vec<(String, String)> {
    let reached = |file: &[String]| {
        let (mut reached, mut open) = (BTreeSet::new(), vec![file.to_vec()]);
        while let Some(next) = open.pop() {
            let used = uses.get(&next[..]).into_iter().flatten();
            open.extend(used.filter(|used| reached.insert((*used).clone())).cloned());
        }
        reached
    };
    let reached: BTreeMap<&[String], BTreeSet<Vec<String>>> =
        uses.keys().map(|file| (*file, reached(file))).collect();
    let pairs = uses.iter().flat_map(|(file, used)| used.iter().map(move |used| (*file, used)));
    let in_circles = pairs.filter(|(file, used)| reached[&used[..]].contains(*file));
    in_circles.map(|(file, used)| (file.join("::"), used.join("::"))).collect()
}

#[test]
fn no_files_use_each_other_in_a_circle() {
    let files = Files::read();
    let uses = files.uses();
    assert!(uses.values().map(BTreeSet::len).sum::<usize>() > 400, "imports are not seen");
    let found = circles(&uses);
    let lines: Vec<String> =
        found.iter().map(|(file, used)| format!("{file} uses {used}")).collect();
    assert!(found.is_empty(), "in circles:\n{}", lines.join("\n"));
}

#[test]
fn no_command_uses_another() {
    let files = Files::read();
    let folder = ["cli", "commands"].map(str::to_owned);
    let is_command = |file: &[String]| file.len() > folder.len() && file.starts_with(&folder);
    let commands: Vec<_> = files.uses().into_iter().filter(|(own, _)| is_command(own)).collect();
    assert!(commands.len() >= 16, "only {} commands are seen", commands.len());
    for (own, used) in commands {
        let other = used.iter().find(|used| is_command(used));
        assert!(other.is_none(), "{} uses {other:?}", own.join("::"));
    }
}

/// What only the interface does, as words of code.
const INTERFACE_WORDS: [&str; 9] =
    ["clap", "print", "println", "eprint", "eprintln", "stdout", "stderr", "ExitCode", "axum"];
/// What reads the environment, after `env::`.
const ENVIRONMENT_WORDS: [&str; 4] = ["var", "var_os", "vars", "vars_os"];

#[test]
fn the_application_neither_parses_nor_prints_nor_reads_the_environment() {
    let files = Files::read();
    let app = |file: &&Vec<String>| file.first().is_some_and(|name| name == "app");
    assert!(files.0.keys().filter(app).count() >= 9, "use cases are not seen");
    for file in files.0.keys().filter(app) {
        let code = &files.0[file];
        let of_interface = code.iter().find(|word| INTERFACE_WORDS.contains(&word.as_str()));
        assert!(of_interface.is_none(), "{} has {of_interface:?}", file.join("::"));
        let is_environment = |words: &[String]| {
            words[0] == "env" && words[1] == "::" && ENVIRONMENT_WORDS.contains(&words[2].as_str())
        };
        assert!(!code.windows(3).any(is_environment), "{} reads a variable", file.join("::"));
    }
}

#[test]
fn a_circle_is_seen_through_names_that_are_passed_on() {
    let files = |list: &[(&str, &str)]| {
        let module = |(path, code): &(&str, &str)| {
            let path = path.split("::").filter(|part| !part.is_empty()).map(str::to_owned);
            (path.collect(), without_tests(&tokens(code)))
        };
        Files(list.iter().map(module).collect())
    };
    let store =
        "mod journal; mod seal; pub use journal::{Journal, Line}; pub use self::seal::seal;";
    let circle = files(&[
        ("", "pub mod store; mod run;"),
        ("store", store),
        ("store::journal", "use super::seal; pub struct Journal;"),
        ("store::seal", "pub fn seal(journal: &crate::store::Journal) {}"),
        ("run", "use crate::store::Journal;"),
    ]);
    let (journal, seal) = ("store::journal".to_owned(), "store::seal".to_owned());
    let expected = [(journal.clone(), seal.clone()), (seal, journal)];
    assert_eq!(circles(&circle.uses()), expected);
    let tests = "pub struct Journal; mod tests { use super::super::seal; fn f() {} }";
    let line = files(&[
        ("", ""),
        ("store", store),
        ("store::journal", tests),
        ("store::seal", "use super::Journal;"),
        ("run", "use crate::store::Journal;"),
    ]);
    assert!(circles(&line.uses()).is_empty());
}

#[test]
fn files_fit_a_reader() {
    for path in source_files() {
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines <= MAX_LINES, "{} has {lines} lines", path.display());
    }
}

/// The code of tests, benchmarks and tools, by path.
fn harness_code() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    let mut folders = ["tests", "benches", "tools"].map(|name| root.join(name)).to_vec();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let extension = path.extension().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && !path.ends_with("node_modules") {
                folders.push(path);
            } else if ["rs", "sh", "py", "mjs"].contains(&extension.as_str()) {
                let text = fs::read_to_string(&path).unwrap();
                files.push((path, text));
            }
        }
    }
    files
}

/// What measures reads and writes a cache; a run that is computed does not.
#[test]
fn tests_that_measure_have_a_cache_of_their_own() {
    const RUNS: [&str; 4] = ["/perf-api quick", "\"quick\"", "program\" quick", "program\" ab "];
    let mut checked = 0;
    for (path, text) in harness_code() {
        let is_rust = path.extension().is_some_and(|extension| extension == "rs");
        let can_measure = if is_rust {
            text.contains("Command::new(") && text.contains("CARGO_BIN_EXE_perf-api")
        } else {
            RUNS.iter().any(|run| text.contains(run)) && !text.contains("--fake")
        };
        let has_own = ["XDG_CACHE_HOME", "env_clear"].iter().any(|name| text.contains(name));
        let is_this = path.ends_with("tidy.rs");
        assert!(is_this || !can_measure || has_own, "{} uses the user's cache", path.display());
        checked += usize::from(can_measure && !is_this);
    }
    assert!(checked >= 9, "only {checked} files start the program");
}

/// A snapshot that no test reads any more would look as if it were checked.
#[test]
fn every_snapshot_belongs_to_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let snapshots = [files("src", "snap"), files("tests/cli", "snap")].concat();
    for path in &snapshots {
        let text = fs::read_to_string(path).unwrap();
        let source = text.lines().find_map(|line| line.strip_prefix("source: ")).unwrap();
        let source = fs::read_to_string(root.join(source)).unwrap();
        let name = path.file_stem().unwrap().to_str().unwrap().rsplit("__").next().unwrap();
        let name = name.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('-');
        let has_test =
            source.contains(&format!("fn {name}(")) || source.contains(&format!("\"{name}\""));
        assert!(has_test, "{} belongs to no test", path.display());
    }
    assert!(snapshots.len() > 10, "only {} snapshots", snapshots.len());
}
