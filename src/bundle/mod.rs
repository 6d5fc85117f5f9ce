//! The bundle: components as they are installed on this machine, each with an identity.
//!
//! A component's identity is the hash of its *facts*: the hash of each file in its folder (including lock
//! files and source), one hash for each folder of installed packages, the hash of its executable, and the
//! version that it reports. Paths of this machine are not facts, so two checkouts of the same inputs have
//! the same identity. Paths in the Nix store are facts: they are the same on every machine, and contain a
//! hash of all inputs.

mod component;
mod installed;
mod version;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::file::write_atomically;
use crate::id::{BundleId, ComponentId, ContentHash};
use crate::model::{
    Bundle, Component, ComponentName, ContainerTemplate, INSTALLED_FACT, Image, ProcessTemplate,
    Unavailable,
};

/// The folder of the Nix store.
const NIX_STORE: &str = "/nix/store";

/// The version of the bundle format that is written and read.
pub const FORMAT: u32 = 1;

/// An error in a bundle or a component.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// There is no bundle file.
    #[error("there is no bundle at {path}")]
    Missing {
        /// The expected path.
        path: PathBuf,
    },
    /// A file could not be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A file could not be written.
    #[error("cannot write {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A `component.toml` is invalid.
    #[error("{path}:{line}: {message}")]
    Component {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong, and what was expected.
        message: String,
    },
    /// Two folders have the same name.
    #[error("two component folders are named `{name}`: names must be unique")]
    Duplicate {
        /// The name.
        name: ComponentName,
    },
    /// The bundle has no component that a folder could replace.
    #[error("{path} cannot replace a component: the bundle has none named `{name}`")]
    NothingToReplace {
        /// The component.
        name: ComponentName,
        /// The folder.
        path: PathBuf,
    },
    /// A bundle file is invalid.
    #[error("{path} is not a bundle: {message}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// The files of a component are not those that were pinned.
    #[error("`{name}` is not what the bundle pinned: {changes}")]
    Changed {
        /// The component.
        name: ComponentName,
        /// The facts that differ.
        changes: String,
    },
}

/// Makes a bundle of component folders.
///
/// A component whose program is missing is included, with the reason. `images` is the output folder of
/// `tools/make-images`: `<name>.json` names the image of a component.
///
/// # Errors
/// When a folder has no valid `component.toml`, two have the same name, or a file cannot be read.
pub fn make(
    provider: &str,
    folders: &[PathBuf],
    images: Option<&Path>,
) -> Result<Bundle, BundleError> {
    let resolved = folders.iter().map(|dir| resolve(dir, images));
    let mut components = resolved.collect::<Result<Vec<_>, _>>()?;
    components.sort_by(|a, b| a.name.cmp(&b.name));
    if let Some(pair) = components.windows(2).find(|pair| pair[0].name == pair[1].name) {
        return Err(BundleError::Duplicate { name: pair[0].name.clone() });
    }
    Ok(Bundle { format: FORMAT, provider: provider.to_owned(), id: id_of(&components), components })
}

/// A copy of a bundle in which the component of a folder replaces the one of the same name.
///
/// # Errors
/// When the folder has no valid `component.toml`, or the bundle no component of that name.
pub fn with_component(base: &Bundle, folder: &Path) -> Result<Bundle, BundleError> {
    let mut component = resolve(folder, None)?;
    let mut components = base.components.clone();
    let Some(place) = components.iter().position(|one| one.name == component.name) else {
        return Err(BundleError::NothingToReplace {
            name: component.name,
            path: folder.to_owned(),
        });
    };
    // The packages are installed below the old folder only.
    if let (Some(lack), Some(old)) = (&mut component.unavailable, &components[place].process) {
        lack.remedy = format!("install its packages, or link to those of {}", old.dir.display());
    }
    components[place] = component;
    Ok(Bundle { id: id_of(&components), components, ..base.clone() })
}

/// Writes a bundle file.
///
/// # Errors
/// When the file cannot be written.
pub fn write(bundle: &Bundle, path: &Path) -> Result<(), BundleError> {
    let text = serde_json::to_string_pretty(bundle).expect("a bundle is plain data");
    let wrap = |source| BundleError::Write { path: path.to_owned(), source };
    write_atomically(path, (text + "\n").as_bytes()).map_err(wrap)
}

/// Reads a bundle file and checks its hashes.
///
/// # Errors
/// When it is missing, malformed, of another format, or when an identity does not match its facts.
pub fn read(path: &Path) -> Result<Bundle, BundleError> {
    let text = std::fs::read_to_string(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => BundleError::Missing { path: path.to_owned() },
        _ => BundleError::Read { path: path.to_owned(), source },
    })?;
    let malformed = |message| BundleError::Malformed { path: path.to_owned(), message };
    let bundle: Bundle =
        serde_json::from_str(&text).map_err(|error| malformed(error.to_string()))?;
    if bundle.format != FORMAT {
        return Err(malformed(format!("its format is {}, expected {FORMAT}", bundle.format)));
    }
    let is_consistent = |component: &Component| {
        let has_form = component.process.is_some() || component.container.is_some();
        let definition = has_form.then(|| definition_fact(component));
        let image = component.container.as_ref().map(|container| &container.image);
        component.identity == identity_of(&component.facts)
            && image.is_none_or(|image| is_pinned(image, &component.facts))
            && definition.is_none_or(|fact| component.facts.get("definition") == Some(&fact))
    };
    if let Some(wrong) = bundle.components.iter().find(|component| !is_consistent(component)) {
        return Err(malformed(format!(
            "the identity of `{}` does not match its content",
            wrong.name
        )));
    }
    if bundle.id != id_of(&bundle.components) {
        return Err(malformed("its id is not the hash of its components".to_owned()));
    }
    Ok(bundle)
}

/// Checks that a component's files, installed packages, program and version are still those that the
/// bundle pinned.
///
/// # Errors
/// When they differ, with the names of the facts that differ.
pub fn check_unchanged(component: &Component) -> Result<(), BundleError> {
    let Some(process) = &component.process else { return Ok(()) };
    let (mut facts, installed) = file_facts(&process.dir)?;
    facts.extend(program_facts(&process.program)?);
    // An older bundle does not record installed packages.
    if component.facts.keys().any(|name| name.starts_with(INSTALLED_FACT)) {
        facts.extend(installed::facts(&process.dir, &installed, &process.program)?);
    }
    let pinned = |name: &String| component.facts.get(name);
    let mut changes: Vec<String> = facts
        .iter()
        .filter(|(name, value)| pinned(name) != Some(value))
        .map(|(name, _)| name.clone())
        .collect();
    // Facts without a file: `read` has checked the definition and the image; the version is checked below.
    let is_no_file = |name: &str| ["version", "definition", "image"].contains(&name);
    let is_gone = |name: &&String| !is_no_file(name) && !facts.contains_key(*name);
    changes.extend(component.facts.keys().filter(is_gone).cloned());
    if !changes.is_empty() {
        let changes = changes.join(", ");
        return Err(BundleError::Changed { name: component.name.clone(), changes });
    }
    version::check(component)
        .map_err(|changes| BundleError::Changed { name: component.name.clone(), changes })
}

fn resolve(dir: &Path, images: Option<&Path>) -> Result<Component, BundleError> {
    let wrap = |source| BundleError::Read { path: dir.join("component.toml"), source };
    let dir = dir.canonicalize().map_err(wrap)?;
    let manifest = component::Manifest::read(&dir)?;
    let folder = dir.file_name().unwrap_or_default().to_string_lossy();
    if folder != manifest.name.as_str() {
        let message = format!(
            "the name is `{}` but the folder is `{folder}`: rename one of them",
            manifest.name
        );
        return Err(BundleError::Component { path: dir.join("component.toml"), line: 1, message });
    }
    let (mut facts, installed) = file_facts(&dir)?;
    let section = manifest.process;
    let found = process_of(&dir, &section);
    let made = images.map(|images| image_of(images, &manifest.name)).transpose()?.flatten();
    // An absolute path is in the Nix store, and the image has it at the same path.
    let is_inside = section.program.contains('/') && !section.program.starts_with('/');
    let program = match is_inside {
        true => format!("/app/{}", section.program),
        false => section.program.clone(),
    };
    // A local image takes precedence over one that the component names.
    let named = manifest.image.and_then(|named| Some((named.image().ok()?, named.program)));
    let image = match made {
        Some(image) => Some((image, None)),
        None => named,
    };
    let container = image.map(|(image, own_program)| ContainerTemplate {
        image,
        program: own_program.unwrap_or(program),
        args: section.args.clone(),
        env: section.env.clone(),
    });
    if let Some(container) = &container {
        facts.insert("image".to_owned(), container.image.pin().to_owned());
    }
    let (process, version, unavailable) = match found {
        Ok((template, version)) => {
            facts.extend(program_facts(&template.program)?);
            facts.extend(installed::facts(&dir, &installed, &template.program)?);
            facts.insert("version".to_owned(), version.clone());
            (Some(template), Some(version), None)
        }
        Err(reason) => (None, None, Some(Unavailable { reason, remedy: section.missing })),
    };
    let mut component = Component {
        name: manifest.name,
        kind: manifest.kind,
        title: manifest.title,
        summary: manifest.summary,
        version,
        identity: identity_of(&facts),
        facts,
        http: manifest.http,
        store: manifest.store,
        limits: manifest.limits,
        process,
        unavailable,
        container,
    };
    if component.process.is_some() || component.container.is_some() {
        component.facts.insert("definition".to_owned(), definition_fact(&component));
        component.identity = identity_of(&component.facts);
    }
    Ok(component)
}

/// The command that starts a component as a process, and the version that its program reports.
fn process_of(
    dir: &Path,
    section: &component::ProcessSection,
) -> Result<(ProcessTemplate, String), String> {
    let program = component::find_program(dir, &section.program)?;
    let version = Some(section.version.clone());
    let (args, env) = (section.args.clone(), section.env.clone());
    let template = ProcessTemplate { program, args, env, dir: dir.to_owned(), version };
    let line = version::reported(&template)
        .map_err(|error| format!("`{}` does not report its version: {error}", section.program))?;
    Ok((template, line))
}

/// The hash of a component's command and HTTP paths, without paths of this machine.
fn definition_fact(component: &Component) -> String {
    let process = component.process.as_ref().map(|process| (&process.args, &process.env));
    let container = component.container.as_ref();
    let container = container.map(|container| (&container.args, &container.env));
    let (command, http, store) = (process.or(container), &component.http, &component.store);
    let hash = match component.limits.is_default() {
        // The same as before limits were added.
        true => canonical_hash(&(command, http, store)),
        false => canonical_hash(&(command, http, store, component.limits)),
    };
    hash.to_string()
}

/// The image that `tools/make-images` made for a component; `None` without one.
fn image_of(images: &Path, name: &ComponentName) -> Result<Option<Image>, BundleError> {
    let path = images.join(format!("{name}.json"));
    let text = match std::fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        text => text.map_err(|source| BundleError::Read { path: path.clone(), source })?,
    };
    let image: Image = serde_json::from_str(&text).map_err(|error| BundleError::Malformed {
        path: path.clone(),
        message: error.to_string(),
    })?;
    Ok(Some(image))
}

/// Folders of installed packages: each has one fact.
const INSTALLED: [&str; 2] = [".venv", "node_modules"];
/// A folder that a running component creates.
const BYTECODE: &str = "__pycache__";

/// The facts about the files of a component's folder, and the folders of installed packages.
fn file_facts(dir: &Path) -> Result<(BTreeMap<String, String>, Vec<PathBuf>), BundleError> {
    let mut facts = BTreeMap::new();
    let mut installed = Vec::new();
    facts.extend(store_path(dir).map(|path| ("store path".to_owned(), path)));
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        let wrap = |source| BundleError::Read { path: folder.clone(), source };
        for entry in std::fs::read_dir(&folder).map_err(wrap)? {
            let entry = entry.map_err(wrap)?;
            let path = entry.path();
            let kind = entry.file_type().map_err(wrap)?;
            let is_installed = INSTALLED.iter().any(|name| entry.file_name() == *name);
            if is_installed && path.is_dir() {
                installed.push(path);
            } else if entry.file_name() == BYTECODE {
                continue;
            } else if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() {
                let name = path.strip_prefix(dir).unwrap_or(&path).display().to_string();
                facts.insert(format!("file {name}"), hash_of_file(&path)?.to_string());
            } else if kind.is_symlink() {
                let name = path.strip_prefix(dir).unwrap_or(&path).display().to_string();
                if !path.is_file() {
                    let message = format!(
                        "the link `{name}` does not lead to a file: copy the target into the folder"
                    );
                    let path = dir.join("component.toml");
                    return Err(BundleError::Component { path, line: 1, message });
                }
                facts.insert(format!("link {name}"), hash_of_file(&path)?.to_string());
            }
        }
    }
    installed.sort();
    Ok((facts, installed))
}

fn program_facts(program: &Path) -> Result<BTreeMap<String, String>, BundleError> {
    let hash = ("program".to_owned(), hash_of_file(program)?.to_string());
    let store_path = program.canonicalize().ok().as_deref().and_then(store_path);
    let store_path = store_path.map(|path| ("program's store path".to_owned(), path));
    Ok(store_path.into_iter().chain([hash]).collect())
}

/// The Nix store path of a path in the store. Its name contains a hash of all inputs.
fn store_path(path: &Path) -> Option<String> {
    let object = path.strip_prefix(NIX_STORE).ok()?.components().next()?;
    Some(format!("{NIX_STORE}/{}", object.as_os_str().to_string_lossy()))
}

fn hash_of_file(path: &Path) -> Result<ContentHash, BundleError> {
    let hash = File::open(path).and_then(ContentHash::of_reader);
    hash.map_err(|source| BundleError::Read { path: path.to_owned(), source })
}

/// Whether an image is the one in the facts, and its configuration has the right hash.
fn is_pinned(image: &Image, facts: &BTreeMap<String, String>) -> bool {
    let hash = |text: &String| format!("sha256:{}", ContentHash::of(text.as_bytes()));
    facts.get("image").is_some_and(|fact| fact == image.pin())
        && image.configuration.as_ref().is_none_or(|text| image.id == Some(hash(text)))
}

fn identity_of(facts: &BTreeMap<String, String>) -> ComponentId {
    ComponentId(canonical_hash(facts))
}

fn id_of(components: &[Component]) -> BundleId {
    let identities: BTreeMap<&str, ComponentId> =
        components.iter().map(|component| (component.name.as_str(), component.identity)).collect();
    BundleId(canonical_hash(&identities))
}

/// The hash of a value's canonical JSON (RFC 8785).
fn canonical_hash(value: &impl serde::Serialize) -> ContentHash {
    let bytes = serde_json_canonicalizer::to_vec(value).expect("maps of text have a JSON form");
    ContentHash::of(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn component_folder(root: &Path, name: &str, program: &str) -> PathBuf {
        let dir = root.join(name);
        std::fs::create_dir_all(&dir).unwrap();
        let text = format!(
            "name = \"{name}\"\nkind = \"store\"\ntitle = \"T\"\nsummary = \"s\"\n[process]\nprogram = \"{program}\"\nversion = [\"--version\"]\nmissing = \"get it\"\n"
        );
        std::fs::write(dir.join("component.toml"), text).unwrap();
        dir
    }

    #[test]
    fn the_same_inputs_in_two_places_have_the_same_id() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let [one, two] = [one, two].map(|root| {
            let folders = ["b", "a"].map(|name| component_folder(root.path(), name, "git"));
            make("make", &folders, None).unwrap()
        });
        assert_eq!(one.id, two.id);
        assert_ne!(one.components[0].process, two.components[0].process);
    }

    #[test]
    fn only_a_path_in_the_nix_store_is_a_fact() {
        let object = "/nix/store/00000000000000000000000000000000-redis-8.2.1";
        for inside in ["", "/bin/redis-server"] {
            assert_eq!(store_path(&PathBuf::from(format!("{object}{inside}"))).unwrap(), object);
        }
        for elsewhere in ["/usr/bin/redis-server", "/nix/store", "/nix/storehouse/x"] {
            assert_eq!(store_path(Path::new(elsewhere)), None);
        }
    }

    #[test]
    fn a_missing_program_is_reported_with_its_remedy() {
        let root = tempfile::tempdir().unwrap();
        let folder = component_folder(root.path(), "a", "no-such-program");
        let bundle = make("make", &[folder], None).unwrap();
        let unavailable = bundle.components[0].unavailable.as_ref().unwrap();
        assert_eq!(unavailable.reason, "no `no-such-program` on PATH");
        assert_eq!(unavailable.remedy, "get it");
    }

    #[test]
    fn changed_files_and_changed_packages_are_found() {
        let root = tempfile::tempdir().unwrap();
        let folder = component_folder(root.path(), "a", "git");
        let changes = |component: &Component| check_unchanged(component).unwrap_err().to_string();
        let pin = || make("make", std::slice::from_ref(&folder), None).unwrap();
        std::fs::write(folder.join("main.py"), "1").unwrap();
        let bare = pin().components.remove(0);
        check_unchanged(&bare).unwrap();
        std::fs::create_dir(folder.join(".venv")).unwrap();
        std::fs::write(folder.join(".venv/x"), "1").unwrap();
        let changed = changes(&bare);
        assert_eq!(changed, "`a` is not what the bundle pinned: installed .venv, installed");

        let mut component = pin().components.remove(0);
        check_unchanged(&component).unwrap();
        std::fs::write(folder.join(".venv/x"), "2").unwrap();
        assert_eq!(changes(&component), "`a` is not what the bundle pinned: installed .venv");
        // As an older version pinned it.
        component.facts.retain(|name, _| !name.starts_with(INSTALLED_FACT));
        check_unchanged(&component).unwrap();
        std::fs::write(folder.join("main.py"), "2").unwrap();
        assert_eq!(changes(&component), "`a` is not what the bundle pinned: file main.py");
    }

    #[test]
    fn a_component_pinned_in_the_nix_store_differs_from_one_elsewhere() {
        let root = tempfile::tempdir().unwrap();
        let folder = component_folder(root.path(), "a", "git");
        let mut component = make("make", &[folder], None).unwrap().components.remove(0);
        for fact in ["store path", "program's store path"] {
            component.facts.insert(fact.to_owned(), format!("{NIX_STORE}/00000000-a"));
        }
        let error = check_unchanged(&component).unwrap_err().to_string();
        let expected = "`a` is not what the bundle pinned: program's store path, store path";
        assert_eq!(error, expected);
    }

    #[test]
    fn an_edited_bundle_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let folder = component_folder(root.path(), "a", "git");
        let path = root.path().join("bundle.json");
        write(&make("make", &[folder], None).unwrap(), &path).unwrap();
        read(&path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("\"version\": \"git", "\"version\": \"tig")).unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("identity of `a` does not match its content"), "{error}");
    }

    #[test]
    fn an_image_that_differs_from_the_facts_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let folder = component_folder(root.path(), "a", "git");
        let configuration = "{\"os\":\"linux\"}";
        let id = format!("sha256:{}", ContentHash::of(configuration.as_bytes()));
        let image =
            serde_json::json!({ "id": id, "reference": "a", "configuration": configuration });
        std::fs::write(root.path().join("a.json"), image.to_string()).unwrap();
        let path = root.path().join("bundle.json");
        write(&make("make", &[folder], Some(root.path())).unwrap(), &path).unwrap();
        read(&path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let other = format!("sha256:{}", "0".repeat(64));
        for (here, there) in
            [("linux", "plan9"), (&*format!("\"id\": \"{id}\""), &*format!("\"id\": \"{other}\""))]
        {
            assert!(text.contains(here), "{text}");
            std::fs::write(&path, text.replace(here, there)).unwrap();
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains("identity of `a` does not match its content"), "{error}");
        }
    }
}
