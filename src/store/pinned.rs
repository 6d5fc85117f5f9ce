//! What a journal and a manifest both record: the pinned bundle, and differences that were accepted.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::{BundleId, ComponentId};
use crate::model::{Bundle, ComponentKind, ComponentName, Unavailable, differing_facts};

/// A bundle without the paths of the machine that it was made on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinnedBundle {
    /// The bundle's id.
    pub id: BundleId,
    /// The tool that made it.
    pub provider: String,
    /// Its components.
    pub components: Vec<PinnedComponent>,
}

/// A component without the paths of the machine that it was pinned on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinnedComponent {
    /// Its folder's name.
    pub name: ComponentName,
    /// App or store.
    pub kind: ComponentKind,
    /// Its display name.
    pub title: String,
    /// The version that it reported when it was pinned.
    pub version: Option<String>,
    /// The hash of its facts.
    pub identity: ComponentId,
    /// The facts: everything that can change its behaviour.
    pub facts: BTreeMap<String, String>,
    /// Why it is unavailable on the host.
    pub unavailable: Option<Unavailable>,
}

impl PinnedComponent {
    /// Whether it has the same facts as another, as far as both record them.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.identity == other.identity || differing_facts(&self.facts, &other.facts).is_empty()
    }

    /// Its version and the beginning of its identity.
    #[must_use]
    pub fn in_words(&self) -> String {
        let version = self.version.as_deref().unwrap_or("(no version)");
        format!("{version}, identity {}", self.identity.short())
    }
}

impl From<&Bundle> for PinnedBundle {
    fn from(bundle: &Bundle) -> Self {
        let components = bundle.components.iter().map(|component| PinnedComponent {
            name: component.name.clone(),
            kind: component.kind,
            title: component.title.clone(),
            version: component.version.clone(),
            identity: component.identity,
            facts: component.facts.clone(),
            unavailable: component.unavailable.clone(),
        });
        Self { id: bundle.id, provider: bundle.provider.clone(), components: components.collect() }
    }
}

/// A difference that was accepted when an interrupted run was resumed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Difference {
    /// The property, such as `host: kernel`.
    pub what: String,
    /// Its value before.
    pub before: String,
    /// Its value on resume.
    pub after: String,
}
