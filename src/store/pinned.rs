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

    /// Its version without a revision; empty if there is none.
    #[must_use]
    pub fn short_version(&self) -> String {
        short_version(self.version.as_deref().unwrap_or_default())
    }

    /// Its short version and the beginning of its identity.
    #[must_use]
    pub fn label(&self) -> String {
        let version = self.short_version();
        let version = if version.is_empty() { "(no version)" } else { &version };
        format!("{version}, identity {}", self.identity.short())
    }
}

/// The first word of a version that holds a digit, without colours and without a revision:
/// `7.0.15` of `Redis server v=7.0.15 sha=…`, `1.39.0` of `dragonfly v1.39.0-0123456789abcdef…`.
fn short_version(version: &str) -> String {
    let plain = console::strip_ansi_codes(version);
    let has_dot = |word: &&str| word.contains('.') && word.chars().any(|c| c.is_ascii_digit());
    let word = plain.split([' ', ',']).find(has_dot).unwrap_or_default();
    let word = word.trim_start_matches(|c: char| !c.is_ascii_digit());
    let is_revision =
        |text: &str| text.len() >= REVISION_DIGITS && text.chars().all(|c| c.is_ascii_hexdigit());
    match word.rsplit_once(['-', '+']) {
        Some((short, revision)) if is_revision(revision.trim_start_matches('g')) => {
            short.to_owned()
        }
        _ => word.to_owned(),
    }
}

/// A suffix with fewer hexadecimal digits may be a date or a number.
const REVISION_DIGITS: usize = 12;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_shown_short_without_revision_and_colours() {
        let revision = "0123456789abcdef0123456789abcdef01234567";
        for (version, short) in [
            ("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc", "7.0.15"),
            ("0.165.0", "0.165.0"),
            (&format!("dragonfly v1.39.0-{revision}"), "1.39.0"),
            (
                &format!("\u{1b}[1mdragonfly\u{1b}[0m \u{1b}[32mv1.39.0-{revision}\u{1b}[0m"),
                "1.39.0",
            ),
            (&format!("v1.2.3+g{revision}"), "1.2.3"),
            ("2.0.0-rc.1", "2.0.0-rc.1"),
            ("2.0.0-20260101", "2.0.0-20260101"),
            ("no version", ""),
        ] {
            assert_eq!(short_version(version), short, "{version}");
        }
    }
}
