//! The installed packages of a component: one hash for each `.venv` and `node_modules`.
//!
//! A lock file has the hashes of packages, but installed files can be changed later. So the installed files
//! are facts: paths, the executable bit, contents, and targets of links. Files that differ between two
//! installations of one lock file and do not change the component's behaviour are left out: bytecode, and
//! the records and scripts of installers. The folder's own path inside scripts is replaced by a
//! placeholder. A folder in the Nix store is not read: its path already contains a hash.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{BundleError, hash_of_file, store_path};
use crate::id::{ContentHash, Hasher};
use crate::model::INSTALLED_FACT;

/// The facts about the installed packages of a component. There is always at least one, which distinguishes
/// a component without packages from an older bundle.
pub(super) fn facts(
    dir: &Path,
    installed: &[PathBuf],
    program: &Path,
) -> Result<BTreeMap<String, String>, BundleError> {
    let mut facts = BTreeMap::new();
    if let Some(interpreter) = interpreter(program)? {
        let hash = hash_of_file(&interpreter)?.to_string();
        facts.insert(format!("{INSTALLED_FACT} interpreter"), hash);
    }
    for path in installed.iter().filter(|_| store_path(dir).is_none()) {
        let name = path.strip_prefix(dir).unwrap_or(path).display();
        facts.insert(format!("{INSTALLED_FACT} {name}"), tree(path)?);
    }
    if facts.is_empty() {
        let is_stored = store_path(dir).is_some();
        let what = if is_stored { "named by the store path" } else { "nothing" };
        facts.insert(INSTALLED_FACT.to_owned(), what.to_owned());
    }
    Ok(facts)
}

/// The interpreter that a program's first line names, if it is a script.
fn interpreter(program: &Path) -> Result<Option<PathBuf>, BundleError> {
    let wrap = |source| BundleError::Read { path: program.to_owned(), source };
    let mut line = Vec::new();
    let file = File::open(program).map_err(wrap)?;
    // The kernel reads no longer first line.
    let mut start = BufReader::new(std::io::Read::take(file, 4096));
    start.read_until(b'\n', &mut line).map_err(wrap)?;
    let line = String::from_utf8_lossy(&line).into_owned();
    let Some(command) = line.strip_prefix("#!") else { return Ok(None) };
    let mut args = command.split_whitespace();
    let Some(path) = args.next() else { return Ok(None) };
    let named = match path.ends_with("/env") {
        true => args.find(|arg| !arg.starts_with('-')).and_then(|name| which::which(name).ok()),
        false => Some(PathBuf::from(path)),
    };
    Ok(named.filter(|path| path.is_file()))
}

/// The hash of all installed files below a folder, or the Nix store path that it links to.
fn tree(path: &Path) -> Result<String, BundleError> {
    let wrap = |source| BundleError::Read { path: path.to_owned(), source };
    let root = path.canonicalize().map_err(wrap)?;
    if let Some(store_path) = store_path(&root) {
        return Ok(store_path);
    }
    let mut walk = Walk { root: root.clone(), entries: BTreeMap::new(), visited: BTreeSet::new() };
    walk.folder(&root, Path::new(""))?;
    let mut hasher = ContentHash::hasher();
    for (path, entry) in &walk.entries {
        piece(&mut hasher, path.as_os_str().as_bytes());
        piece(&mut hasher, entry.as_bytes());
    }
    Ok(hasher.finish().to_string())
}

/// Adds bytes with a terminator that paths and entries do not contain.
fn piece(hasher: &mut Hasher, bytes: &[u8]) {
    hasher.update(bytes);
    hasher.update(&[0]);
}

struct Walk {
    /// The installed folder.
    root: PathBuf,
    /// The entry of each path below it.
    entries: BTreeMap<PathBuf, String>,
    /// Visited folders, so that circular links end.
    visited: BTreeSet<PathBuf>,
}

impl Walk {
    /// Adds a folder, known as `name` below the installed one.
    fn folder(&mut self, folder: &Path, name: &Path) -> Result<(), BundleError> {
        if !self.visited.insert(folder.to_owned()) {
            return Ok(());
        }
        let wrap = |source| BundleError::Read { path: folder.to_owned(), source };
        let entries = std::fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let mut entries = entries.map_err(wrap)?;
        // Sorted, so that of two links to one folder always the same one is followed.
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let name = name.join(entry.file_name());
            let kind = entry.file_type().map_err(wrap)?;
            if is_left_out(&name, kind.is_dir()) {
                continue;
            }
            let path = entry.path();
            if kind.is_dir() {
                self.folder(&path, &name)?;
            } else if kind.is_symlink() {
                self.link(&path, name)?;
            } else if kind.is_file() {
                let file = self.file(&path, &name)?;
                self.entries.insert(name, file);
            }
        }
        Ok(())
    }

    /// Adds a link: by its target inside the installed folder, else by the content of the target.
    fn link(&mut self, path: &Path, name: PathBuf) -> Result<(), BundleError> {
        let Ok(target) = path.canonicalize() else {
            self.entries.insert(name, "broken link".to_owned());
            return Ok(());
        };
        let entry = if let Ok(inside) = target.strip_prefix(&self.root) {
            format!("link {}", inside.display())
        } else if let Some(store_path) = store_path(&target) {
            format!("link {store_path}")
        } else if target.is_dir() {
            self.folder(&target, &name)?;
            "link to a folder elsewhere".to_owned()
        } else {
            self.file(&target, &name)?
        };
        self.entries.insert(name, entry);
        Ok(())
    }

    /// The entry of a file: whether it is executable, and its hash.
    fn file(&self, path: &Path, name: &Path) -> Result<String, BundleError> {
        let wrap = |source| BundleError::Read { path: path.to_owned(), source };
        let metadata = path.metadata().map_err(wrap)?;
        let hash = match name.parent() == Some(Path::new("bin")) {
            true => self.script_hash(&std::fs::read(path).map_err(wrap)?),
            false => hash_of_file(path)?,
        };
        let mode = if metadata.mode() & 0o100 == 0 { "file" } else { "program" };
        Ok(format!("{mode} {hash}"))
    }

    /// The hash of a file in `bin`, without the environment's path, which installers write into scripts.
    fn script_hash(&self, bytes: &[u8]) -> ContentHash {
        let own = self.root.as_os_str().as_bytes();
        if !bytes.starts_with(b"#!") {
            return ContentHash::of(bytes);
        }
        let mut hasher = ContentHash::hasher();
        let mut rest = bytes;
        while let Some(place) = rest.windows(own.len()).position(|window| window == own) {
            hasher.update(&rest[..place]);
            hasher.update(b"{root}");
            rest = &rest[place + own.len()..];
        }
        hasher.update(rest);
        hasher.finish()
    }
}

fn text(part: Option<&OsStr>) -> Cow<'_, str> {
    part.unwrap_or_default().to_string_lossy()
}

/// Whether a path below an installed folder is left out of its hash.
fn is_left_out(name: &Path, is_dir: bool) -> bool {
    let file = text(name.file_name());
    let parent = text(name.parent().and_then(Path::file_name));
    let is_top = name.parent() == Some(Path::new(""));
    // Bytecode: created on first import.
    let is_bytecode = file == "__pycache__" || file.ends_with(".pyc");
    // Records of installers: tool, source, and hashes of scripts that contain paths.
    let records = ["RECORD", "INSTALLER", "REQUESTED", "direct_url.json"];
    let is_record = parent.ends_with(".dist-info") && records.contains(&&*file);
    // pip comes with Python, is not in the lock file, and is not imported.
    let is_pip_part = file == "pip" || file.starts_with("pip-") && file.ends_with(".dist-info");
    let is_pip = parent == "site-packages" && is_pip_part;
    // The interpreter has its own fact; the other scripts are for interactive shells.
    let tools = ["python", "pip", "activate", "Activate"];
    let is_tool =
        name.parent() == Some(Path::new("bin")) && tools.iter().any(|tool| file.starts_with(tool));
    // The environment's settings contain paths; npm's record depends on its version; `make setup` creates
    // an empty file.
    let marks = ["pyvenv.cfg", "installed", "lib64"];
    let is_mark = is_top && (marks.contains(&&*file) || file.starts_with('.') && !is_dir);
    let is_cache = is_top && file == ".cache";
    is_bytecode || is_record || is_pip || is_tool || is_mark || is_cache
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn write(path: &Path, text: &str) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// An environment as pip leaves it in a folder.
    fn environment(root: &Path) -> PathBuf {
        let venv = root.canonicalize().unwrap().join(".venv");
        let python = venv.join("bin/python");
        write(&venv.join("bin/serve"), &format!("#!{}\nimport a\n", python.display()));
        write(&venv.join("pyvenv.cfg"), &format!("command = {}\n", venv.display()));
        let packages = venv.join("lib/python3.11/site-packages");
        write(&packages.join("a/__init__.py"), "x = 1\n");
        write(&packages.join("a/__pycache__/x.pyc"), &venv.display().to_string());
        write(&packages.join("a-1.dist-info/METADATA"), "Version: 1\n");
        write(&packages.join("a-1.dist-info/RECORD"), &venv.display().to_string());
        write(&packages.join("pip/x.py"), &venv.display().to_string());
        symlink("/bin/sh", python).unwrap();
        symlink("lib", venv.join("lib64")).unwrap();
        symlink("../lib/python3.11/site-packages/a/__init__.py", venv.join("bin/a")).unwrap();
        venv
    }

    #[test]
    fn one_lock_file_installed_twice_has_one_hash() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let [one, two] = [one.path(), two.path()].map(environment);
        assert_eq!(tree(&one).unwrap(), tree(&two).unwrap());
    }

    #[test]
    fn every_change_of_an_installed_file_changes_the_hash() {
        let root = tempfile::tempdir().unwrap();
        let venv = environment(root.path());
        let packages = venv.join("lib/python3.11/site-packages");
        let mut seen = vec![tree(&venv).unwrap()];
        let mut is_new = |what: &str| {
            let hash = tree(&venv).unwrap();
            assert!(!seen.contains(&hash), "{what}");
            seen.push(hash);
        };
        write(&packages.join("a/__init__.py"), "x = 2\n");
        is_new("contents");
        write(&packages.join("b.py"), "");
        is_new("a new file");
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(packages.join("b.py"), mode).unwrap();
        is_new("the executable bit");
        std::fs::rename(packages.join("b.py"), packages.join("c.py")).unwrap();
        is_new("a path");
        std::fs::remove_file(venv.join("bin/a")).unwrap();
        symlink("serve", venv.join("bin/a")).unwrap();
        is_new("where a link leads");
        write(&venv.join("bin/serve"), "#!/elsewhere/.venv/bin/python\nimport a\n");
        is_new("a script of another environment");
        write(&root.path().join("outside/d.py"), "1");
        symlink(root.path().join("outside"), packages.join("d")).unwrap();
        is_new("a link to a folder elsewhere");
        write(&root.path().join("outside/d.py"), "2");
        is_new("a file of that folder");
        symlink("..", root.path().join("outside/loop")).unwrap();
        is_new("a link that leads in a circle");
    }

    #[test]
    fn the_interpreter_of_a_script_is_found() {
        let root = tempfile::tempdir().unwrap();
        let script = root.path().join("run");
        for (text, found) in [
            ("#!/bin/sh -e\n", Some(PathBuf::from("/bin/sh"))),
            ("#!/usr/bin/env sh\n", Some(which::which("sh").unwrap())),
            ("#!/nonexistent\n", None),
            ("\u{7f}ELF", None),
        ] {
            write(&script, text);
            assert_eq!(interpreter(&script).unwrap(), found, "{text}");
        }
    }
}
