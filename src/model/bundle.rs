//! Components, and the pinned set of them that a run uses.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ComponentName;
use crate::id::{BundleId, ComponentId};
use crate::units::HumanDuration;

/// What a component is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ComponentKind {
    /// An HTTP API.
    App,
    /// A data store that speaks the Redis protocol.
    Store,
}

impl std::fmt::Display for ComponentKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::App => "app",
            Self::Store => "store",
        })
    }
}

/// The paths of an app's HTTP interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpPaths {
    /// Answers 200 when the app and its store are ready.
    pub ready: String,
    /// Answers a flat JSON object: versions of interpreter, framework and client.
    pub about: Option<String>,
    /// The field of that object that names the pinned version; `None` when none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about_version: Option<String>,
    /// The path that is measured.
    pub endpoint: String,
}

/// How long a component may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// From its start until it is ready.
    pub ready: HumanDuration,
    /// For one answer to this program: when it is started, warmed up and checked.
    pub answer: HumanDuration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // A JVM that compiles, a large model that is loaded.
            ready: HumanDuration(Duration::from_secs(120)),
            // One second more than the 5 s after which an app has to answer 503.
            answer: HumanDuration(Duration::from_secs(6)),
        }
    }
}

impl Limits {
    /// Whether no limit was set.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// The fields of INFO that distinguish a store from another one with the same protocol.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreIdentity {
    /// Fields that it has.
    #[serde(default)]
    pub info_has: Vec<String>,
    /// Fields that only others have.
    #[serde(default)]
    pub info_lacks: Vec<String>,
}

/// How a component is started as a process. Arguments and environment may hold placeholders.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessTemplate {
    /// The executable's path.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its environment.
    pub env: BTreeMap<String, String>,
    /// Its working folder.
    pub dir: PathBuf,
    /// The arguments that make the program print the pinned version; `None` in older bundles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Vec<String>>,
}

/// An image, pinned by its id, or by the digest that it is pulled by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// `sha256:` and the hash of its configuration, or what else Docker calls an image that somebody
    /// made; `None` for one that is pulled.
    pub id: Option<String>,
    /// Its name for people; `name@sha256:digest` for one that is pulled.
    pub reference: String,
    /// Its configuration, the text whose hash the id is: it tells the image where Docker calls it
    /// something else.
    #[serde(default)]
    pub configuration: Option<String>,
    /// The archive that it can be loaded from.
    #[serde(default)]
    pub archive: Option<PathBuf>,
    /// The program that writes that archive to its output: Nix keeps images as what they are made of.
    #[serde(default)]
    pub stream: Option<PathBuf>,
}

impl Image {
    /// What it is and nothing else can be: its id, or its name with a digest.
    #[must_use]
    pub fn pin(&self) -> &str {
        self.id.as_deref().unwrap_or(&self.reference)
    }
}

/// How to start a component in a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerTemplate {
    /// Its image.
    pub image: Image,
    /// The program, as the image knows it.
    pub program: String,
    /// Its arguments, with placeholders.
    pub args: Vec<String>,
    /// Its environment, with placeholders.
    pub env: BTreeMap<String, String>,
}

/// Why a component cannot be had here, and how to get it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unavailable {
    /// What is missing.
    pub reason: String,
    /// What to do.
    pub remedy: String,
}

/// One app or store, pinned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    /// Its folder's name.
    pub name: ComponentName,
    /// App or store.
    pub kind: ComponentKind,
    /// Its name for people.
    pub title: String,
    /// What it is, in a sentence.
    pub summary: String,
    /// The version that it reports.
    pub version: Option<String>,
    /// The hash of `facts`.
    pub identity: ComponentId,
    /// Everything that can change its behaviour, by name: hashes of files and programs.
    pub facts: BTreeMap<String, String>,
    /// An app's HTTP interface.
    pub http: Option<HttpPaths>,
    /// What tells a store from another.
    pub store: Option<StoreIdentity>,
    /// How long it may take.
    #[serde(default, skip_serializing_if = "Limits::is_default")]
    pub limits: Limits,
    /// How to start it as a process, unless it cannot be had here.
    pub process: Option<ProcessTemplate>,
    /// Why it cannot be had here as a process.
    pub unavailable: Option<Unavailable>,
    /// How to start it in a container, if there is an image.
    #[serde(default)]
    pub container: Option<ContainerTemplate>,
}

/// What the names of facts about installed files begin with. Older bundles have no such fact.
pub const INSTALLED_FACT: &str = "installed";

/// The names of the facts that two components do not share, in order. Facts about installed files count
/// only where both sides have some.
#[must_use]
pub fn differing_facts<'a>(
    one: &'a BTreeMap<String, String>,
    other: &'a BTreeMap<String, String>,
) -> BTreeSet<&'a str> {
    let is_installed = |name: &String| name.starts_with(INSTALLED_FACT);
    let counts = [one, other].iter().all(|facts| facts.keys().any(is_installed));
    let names = one.keys().chain(other.keys());
    let differing = names.filter(|name| one.get(*name) != other.get(*name));
    differing.filter(|name| counts || !is_installed(name)).map(String::as_str).collect()
}

/// The pinned set of components that a run uses: `bundle.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bundle {
    /// The version of this format.
    pub format: u32,
    /// Who made it: `make` or `nix`.
    pub provider: String,
    /// The hash of the components' names and identities.
    pub id: BundleId,
    /// The components by name.
    pub components: Vec<Component>,
}

impl Bundle {
    /// The component called `name`.
    #[must_use]
    pub fn component(&self, name: &ComponentName) -> Option<&Component> {
        self.components.iter().find(|component| component.name == *name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn installed_files_are_compared_only_where_both_sides_recorded_them() {
        let facts = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let older = facts(&[("program", "1")]);
        let venv = facts(&[("program", "1"), ("installed .venv", "a")]);
        let other_venv = facts(&[("program", "1"), ("installed .venv", "b")]);
        let none = facts(&[("program", "1"), ("installed", "nothing")]);
        let other_program = facts(&[("program", "2"), ("installed .venv", "a")]);
        for (one, other, differing) in [
            (&older, &venv, vec![]),
            (&venv, &older, vec![]),
            (&venv, &venv, vec![]),
            (&venv, &other_venv, vec!["installed .venv"]),
            (&venv, &none, vec!["installed", "installed .venv"]),
            (&older, &other_program, vec!["program"]),
        ] {
            let facts: Vec<&str> = differing_facts(one, other).into_iter().collect();
            assert_eq!(facts, differing);
        }
    }
}
