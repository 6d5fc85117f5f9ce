//! The manifest of a dataset: canonical bytes, whose hash is the dataset's id.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::journal::JournalContent;
use super::pinned::{Difference, PinnedBundle};
use super::{SCHEMA_VERSION, StoreError, parquet, schema};
use crate::clock::UnixMillis;
use crate::id::{ContentHash, DatasetId};
use crate::model::{
    Capacity, Check, ComponentName, Experiment, Fingerprint, Interleaved, Order, SelfReport,
};

/// The manifest's name in a dataset's folder.
pub(super) const FILE: &str = "manifest.json";
/// The maximum size of a table.
pub(super) const MAX_TABLE_BYTES: u64 = 8 << 30;
/// The maximum number of rows of one trial in a table: a 64-bit HDR histogram with three digits has fewer
/// buckets.
const MAX_ROWS_PER_TRIAL: u64 = 1 << 17;
/// The maximum size of a manifest.
pub(super) const MAX_BYTES: u64 = 16 << 20;

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

/// The description of a dataset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The version of tables and manifest.
    pub schema_version: u32,
    /// The program that sealed it, with its version.
    pub writer: String,
    /// When the run began.
    pub started: UnixMillis,
    /// The experiment.
    pub experiment: Experiment,
    /// The order of trials.
    pub order: Order,
    /// The pinned components.
    pub bundle: PinnedBundle,
    /// Components of the spec that were unavailable.
    pub unavailable: Vec<ComponentName>,
    /// The self-reports of each component at run time, without duplicates.
    pub reports: BTreeMap<String, Vec<SelfReport>>,
    /// The machine.
    pub host: Fingerprint,
    /// The results of the host checks; empty before version 3, and when they did not run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Check>,
    /// The launcher of stacks.
    pub launcher: String,
    /// The loader, with its version.
    pub load_driver: String,
    /// The number of trials; `None` before version 2.
    #[serde(default)]
    pub trials: Option<u64>,
    /// The number of failed trials; `None` before version 2.
    #[serde(default)]
    pub failed_trials: Option<u64>,
    /// The differences that were accepted on resume; empty before version 2.
    #[serde(default)]
    pub accepted_differences: Vec<Difference>,
    /// The capacity of each stack that a search found; empty for every other run, and before version 4.
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

    /// The number of trials, in every version.
    #[must_use]
    pub fn trial_count(&self) -> u64 {
        self.files.get(schema::TRIALS_FILE).map_or(0, |file| file.rows)
    }

    /// Whether a trial was measured; `true` before version 2, which does not record it.
    #[must_use]
    pub fn has_measured(&self) -> bool {
        self.failed_trials.is_none_or(|failed| failed < self.trial_count())
    }

    /// The total size of all tables.
    #[must_use]
    pub fn table_bytes(&self) -> u64 {
        self.files.values().fold(0, |sum, file| sum.saturating_add(file.bytes))
    }

    /// Parses the manifest of dataset `id`. `object` is for error messages.
    ///
    /// # Errors
    /// When the bytes have another hash, are not a manifest, or have a newer version.
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
            return Err(wrong("its list of files is not the one of this schema".to_owned()));
        }
        manifest.check_sizes().map_err(wrong)?;
        Ok(manifest)
    }

    /// Checks that the listed sizes are possible for the experiment, before any file is read.
    fn check_sizes(&self) -> Result<(), String> {
        let trials = self.experiment.trials().ok_or("its experiment has too many trials")?;
        for (name, file) in &self.files {
            let is_trials = name == schema::TRIALS_FILE;
            let most = if is_trials { trials } else { trials.saturating_mul(MAX_ROWS_PER_TRIAL) };
            // A search executes only some of the planned trials.
            let is_short = is_trials && file.rows != trials && self.order != Order::Search;
            if file.rows > most || file.bytes > MAX_TABLE_BYTES || is_short {
                let (rows, bytes) = (file.rows, file.bytes);
                return Err(format!(
                    "{name} has {rows} rows and {bytes} bytes, which an experiment of {trials} trials cannot have"
                ));
            }
        }
        Ok(())
    }
}

/// Whether JSON is in its canonical form. Duplicate keys and numbers that are not exact as a float are not.
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

/// Makes the files and the manifest of a journal.
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
