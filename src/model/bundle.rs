//! Components, and the pinned set of them that a run uses.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::ComponentName;
use crate::id::{BundleId, ComponentId};

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
    /// The path that is measured.
    pub endpoint: String,
}

/// How a store is told from another that speaks the same protocol: by the fields of its INFO.
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
    /// How to start it as a process, unless it cannot be had here.
    pub process: Option<ProcessTemplate>,
    /// Why it cannot be had here as a process.
    pub unavailable: Option<Unavailable>,
    /// How to start it in a container, if there is an image.
    #[serde(default)]
    pub container: Option<ContainerTemplate>,
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
