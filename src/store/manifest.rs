//! The manifest: what a dataset is, in canonical bytes whose hash is the dataset's id.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::journal::JournalContent;
use super::schema::SCHEMA_VERSION;
use super::{StoreError, parquet, schema};
use crate::clock::UnixMillis;
use crate::id::{BundleId, ComponentId, ContentHash, DatasetId};
use crate::model::{
    Bundle, Capacity, Check, ComponentKind, ComponentName, Experiment, Fingerprint, Interleaved,
    Order, SelfReport, Unavailable, differing_facts,
};

/// The manifest's name in a dataset's folder.
pub(super) const FILE: &str = "manifest.json";
/// The most that a table may have.
pub(super) const MAX_TABLE_BYTES: u64 = 8 << 30;
/// The most rows that a table has of one trial: a 64-bit HDR histogram with three digits has fewer
/// buckets.
const MAX_ROWS_A_TRIAL: u64 = 1 << 17;
/// What is longer is no manifest.
pub(super) const MAX_BYTES: u64 = 16 << 20;

/// A bundle without the paths of the machine that it was made on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinnedBundle {
    /// The bundle's id.
    pub id: BundleId,
    /// Who made it.
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
    /// Its name for people.
    pub title: String,
    /// The version that it reported when it was pinned.
    pub version: Option<String>,
    /// The hash of its facts.
    pub identity: ComponentId,
    /// Everything that can change its behaviour.
    pub facts: BTreeMap<String, String>,
    /// Why it cannot be had on the machine that measured.
    pub unavailable: Option<Unavailable>,
}

impl PinnedComponent {
    /// Whether it is the same as another, as far as both were recorded.
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

/// One file of a dataset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableFile {
    /// The hash of its bytes.
    pub sha256: ContentHash,
    /// Its size.
    pub bytes: u64,
    /// Its rows.
    pub rows: u64,
}

/// Something that was not the same when an interrupted run went on, and was accepted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Difference {
    /// What it is, such as `host: kernel`.
    pub what: String,
    /// What it was before.
    pub before: String,
    /// What it was then.
    pub after: String,
}

/// What a dataset is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The version of tables and manifest.
    pub schema_version: u32,
    /// The program that sealed it, with its version.
    pub writer: String,
    /// When the run began.
    pub started: UnixMillis,
    /// What was measured.
    pub experiment: Experiment,
    /// How trials were put in order.
    pub order: Order,
    /// The pinned components.
    pub bundle: PinnedBundle,
    /// Components that the spec asked for and that could not be had.
    pub unavailable: Vec<ComponentName>,
    /// What each component said of itself at run time; each different answer once.
    pub reports: BTreeMap<String, Vec<SelfReport>>,
    /// The machine.
    pub host: Fingerprint,
    /// What was found of it that can disturb a measurement; empty before version 3, and when it was
    /// not looked at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Check>,
    /// Where stacks ran.
    pub launcher: String,
    /// What offered the load.
    pub load_driver: String,
    /// How many trials there are; `None` before version 2.
    #[serde(default)]
    pub trials: Option<u64>,
    /// How many of them failed; `None` before version 2.
    #[serde(default)]
    pub failed_trials: Option<u64>,
    /// What was not the same when the run was interrupted and went on; empty before version 2.
    #[serde(default)]
    pub accepted_differences: Vec<Difference>,
    /// What a search found that each stack sustains; empty for every other run, and before version 4.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capacities: Vec<Capacity>,
    /// The name that both sides of an interleaved comparison have; `None` for every other run, and
    /// before version 4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interleaved: Option<Interleaved>,
    /// The tables, by file name.
    pub files: BTreeMap<String, TableFile>,
}

impl Manifest {
    /// The canonical JSON (RFC 8785: keys sorted by UTF-16, no white space, shortest numbers).
    #[must_use]
    pub fn canonical_bytes(&self) -> Vec<u8> {
        serde_json_canonicalizer::to_vec(self).expect("a manifest is plain data")
    }

    /// The id of a dataset whose manifest has these bytes.
    #[must_use]
    pub fn id_of(canonical_bytes: &[u8]) -> DatasetId {
        DatasetId(ContentHash::of(canonical_bytes))
    }

    /// How many trials there are, in every version.
    #[must_use]
    pub fn trial_count(&self) -> u64 {
        self.files.get(schema::TRIALS_FILE).map_or(0, |file| file.rows)
    }

    /// Whether a trial was measured; `true` before version 2, where nobody can tell.
    #[must_use]
    pub fn has_measured(&self) -> bool {
        self.failed_trials.is_none_or(|failed| failed < self.trial_count())
    }

    /// Size of all tables.
    #[must_use]
    pub fn table_bytes(&self) -> u64 {
        self.files.values().fold(0, |sum, file| sum.saturating_add(file.bytes))
    }

    /// The manifest of dataset `id` from its bytes. `object` names it in errors.
    ///
    /// # Errors
    /// When the bytes have another hash, are no manifest, or are of a newer version.
    pub fn parse(bytes: &[u8], id: DatasetId, object: &str) -> Result<Self, StoreError> {
        let wrong = |message: String| StoreError::Corrupt { object: object.to_owned(), message };
        if Self::id_of(bytes) != id {
            return Err(wrong("its hash is not the dataset's id".to_owned()));
        }
        let version: VersionOnly =
            serde_json::from_slice(bytes).map_err(|error| wrong(error.to_string()))?;
        if version.schema_version > SCHEMA_VERSION {
            let found = version.schema_version;
            return Err(StoreError::TooNew { object: object.to_owned(), found });
        }
        let manifest: Self =
            serde_json::from_slice(bytes).map_err(|error| wrong(error.to_string()))?;
        if !is_canonical(bytes) {
            return Err(wrong("it is not canonical JSON (RFC 8785)".to_owned()));
        }
        if manifest.schema_version == 0 {
            return Err(wrong("there is no schema version 0".to_owned()));
        }
        let names = manifest.files.keys().map(String::as_str);
        if !names.eq(schema::FILE_NAMES) {
            return Err(wrong("its files are not those of this schema".to_owned()));
        }
        manifest.check_sizes().map_err(wrong)?;
        Ok(manifest)
    }

    /// Whether the files may be as large as is said: what nobody can have measured is not read.
    fn check_sizes(&self) -> Result<(), String> {
        let trials = self.experiment.trials().ok_or("its experiment has too many trials")?;
        for (name, file) in &self.files {
            let is_trials = name == schema::TRIALS_FILE;
            let most = if is_trials { trials } else { trials.saturating_mul(MAX_ROWS_A_TRIAL) };
            // A search executes only some of the trials that it might have.
            let is_short = is_trials && file.rows != trials && self.order != Order::Search;
            if file.rows > most || file.bytes > MAX_TABLE_BYTES || is_short {
                let (rows, bytes) = (file.rows, file.bytes);
                return Err(format!(
                    "{name} with {rows} rows and {bytes} bytes is no table of {trials} trials"
                ));
            }
        }
        Ok(())
    }
}

/// Whether JSON is in its canonical form. Keys that stand twice and numbers that no float holds are
/// not.
fn is_canonical(bytes: &[u8]) -> bool {
    let value = serde_json::from_slice::<serde_json::Value>(bytes);
    value.is_ok_and(|value| {
        serde_json_canonicalizer::to_vec(&value).is_ok_and(|canonical| canonical == bytes)
    })
}

#[derive(Deserialize)]
struct VersionOnly {
    schema_version: u32,
}

/// The files and the manifest that a journal gives.
pub(super) fn build(
    content: &JournalContent,
) -> Result<(BTreeMap<String, Vec<u8>>, Manifest), StoreError> {
    let header = &content.header;
    let mut files = BTreeMap::new();
    let mut entries = BTreeMap::new();
    for table in schema::tables(header.experiment.duration.0, &content.trials) {
        let bytes = parquet::encode(&table)?;
        let entry = TableFile {
            sha256: ContentHash::of(&bytes),
            bytes: bytes.len() as u64,
            rows: table.rows() as u64,
        };
        entries.insert(table.file_name(), entry);
        files.insert(table.file_name(), bytes);
    }
    let failed = content.trials.iter().filter(|record| record.is_failed());
    let manifest = Manifest {
        schema_version: SCHEMA_VERSION,
        writer: header.writer.clone(),
        started: header.started,
        experiment: header.experiment.clone(),
        order: header.order,
        bundle: header.bundle.clone(),
        unavailable: header.unavailable.clone(),
        reports: different_reports(&content.reports),
        host: header.host.clone(),
        checks: header.checks.clone(),
        launcher: header.launcher.clone(),
        load_driver: header.load_driver.clone(),
        trials: Some(content.trials.len() as u64),
        failed_trials: Some(failed.count() as u64),
        accepted_differences: content.accepted_differences.clone(),
        capacities: content.capacities.clone(),
        interleaved: header.interleaved.clone(),
        files: entries,
    };
    Ok((files, manifest))
}

fn different_reports(reports: &[(ComponentName, SelfReport)]) -> BTreeMap<String, Vec<SelfReport>> {
    let mut different: BTreeMap<String, Vec<SelfReport>> = BTreeMap::new();
    for (component, report) in reports {
        let own = different.entry(component.to_string()).or_default();
        if !own.contains(report) {
            own.push(report.clone());
        }
    }
    different.values_mut().for_each(|own| own.sort());
    different
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
