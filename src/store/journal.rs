//! The journal of a run: one line for each event, synced to disk before the next event.
//!
//! A line is the first 16 hex digits of the SHA-256 of its JSON, a space, the JSON, a line feed.
//! A crash can truncate the last line: it is dropped and reported. Any other damage is an error.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::StoreError;
use super::pinned::{Difference, PinnedBundle};
use crate::clock::UnixMillis;
use crate::id::{ContentHash, RunId, TrialId};
use crate::model::{
    Capacity, Check, ComponentName, Experiment, Fingerprint, Interleaved, Order, Outcome,
    SelfReport, Stack, Stage, TrialRecord,
};
use crate::units::Nanos;

/// The journal's name in its folder.
pub(super) const FILE: &str = "journal.jsonl";
/// Digits of the checksum before each record.
const CHECK_DIGITS: usize = 16;

/// The values that are known before the first trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The program, with its version.
    pub writer: String,
    /// When the run began.
    pub started: UnixMillis,
    /// The experiment, without unavailable components.
    pub experiment: Experiment,
    /// The order of trials.
    pub order: Order,
    /// The pinned components.
    pub bundle: PinnedBundle,
    /// Components of the spec that are unavailable on this host.
    pub unavailable: Vec<ComponentName>,
    /// The machine.
    pub host: Fingerprint,
    /// The results of the host checks; empty when they did not run.
    #[serde(default)]
    pub checks: Vec<Check>,
    /// The launcher of stacks.
    pub launcher: String,
    /// Whether the load goes through published ports.
    #[serde(default)]
    pub is_published: bool,
    /// The loader, with its version.
    pub load_driver: String,
    /// The name that both sides of an interleaved comparison have; `None` for every other run.
    #[serde(default)]
    pub interleaved: Option<Interleaved>,
}

/// One line of a journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// The first line.
    Begin(Box<Header>),
    /// The self-report of a started component.
    Report {
        /// The component.
        component: ComponentName,
        /// Its self-report.
        report: SelfReport,
    },
    /// The record of a finished trial. A failed trial may follow again, with its new outcome.
    Trial(Box<TrialRecord>),
    /// A stack was stopped.
    Stopped {
        /// The trials that ran on it.
        trials: Vec<TrialId>,
        /// The duration of the stop.
        took: Nanos,
    },
    /// The run ends after the whole blocks; records of later blocks are ignored.
    Ended {
        /// The number of whole blocks.
        repetitions: u32,
    },
    /// A search has ended.
    Searched {
        /// What each stack sustains.
        capacities: Vec<Capacity>,
    },
    /// An interrupted run was resumed in spite of these differences.
    Resumed {
        /// The differences.
        accepted_differences: Vec<Difference>,
    },
}

/// A journal that is being written.
#[derive(Debug)]
pub struct Journal {
    dir: PathBuf,
    path: PathBuf,
    file: File,
}

impl Journal {
    pub(super) fn create(dir: &Path, header: &Header) -> Result<Self, StoreError> {
        std::fs::create_dir_all(dir).map_err(StoreError::io("make the folder", dir))?;
        // The entries of new folders must be synced too.
        dir.ancestors().skip(1).take(2).try_for_each(super::sync_dir)?;
        let path = dir.join(FILE);
        let file = File::create_new(&path).map_err(StoreError::io("write", &path))?;
        let mut journal = Self { dir: dir.to_owned(), path, file };
        journal.append(&Entry::Begin(Box::new(header.clone())))?;
        super::sync_dir(dir)?;
        Ok(journal)
    }

    /// Opens a journal to resume it. A truncated last line is removed.
    pub(super) fn reopen(dir: &Path) -> Result<(Self, JournalContent), StoreError> {
        let path = dir.join(FILE);
        let content = JournalContent::read(&path)?;
        let open = File::options().append(true).open(&path);
        let file = open.map_err(StoreError::io("write", &path))?;
        let whole = content.whole_bytes;
        file.set_len(whole)
            .and_then(|()| file.sync_all())
            .map_err(StoreError::io("write", &path))?;
        Ok((Self { dir: dir.to_owned(), path, file }, content))
    }

    /// The run's folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Appends a line and syncs it to disk.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn append(&mut self, entry: &Entry) -> Result<(), StoreError> {
        let json = serde_json::to_string(entry).expect("an entry is plain data");
        let line = format!("{} {json}\n", checksum(&json));
        let write = self.file.write_all(line.as_bytes()).and_then(|()| self.file.sync_data());
        write.map_err(StoreError::io("write", &self.path))
    }
}

/// The content of a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalContent {
    /// The header.
    pub header: Header,
    /// The self-reports of components, in the order of starts.
    pub reports: Vec<(ComponentName, SelfReport)>,
    /// The finished trials, by id.
    pub trials: Vec<TrialRecord>,
    /// The number of consecutive failed trials at the end, for each stack.
    pub failures_in_a_row: BTreeMap<Stack, u32>,
    /// The differences that were accepted on resume, without duplicates.
    pub accepted_differences: Vec<Difference>,
    /// The results of a search; empty for every other run.
    pub capacities: Vec<Capacity>,
    /// Bytes of a truncated last line, which was ignored.
    pub torn_bytes: u64,
    /// Bytes of whole lines.
    pub whole_bytes: u64,
}

impl JournalContent {
    /// Reads a journal.
    ///
    /// # Errors
    /// When it cannot be read, or is damaged anywhere but in its last line.
    pub fn read(path: &Path) -> Result<Self, StoreError> {
        let bytes = std::fs::read(path).map_err(StoreError::io("read", path))?;
        Self::parse(&bytes, path)
    }

    /// Parses the bytes of a journal. `path` is for error messages.
    ///
    /// # Errors
    /// When it is damaged anywhere but in its last line.
    pub fn parse(bytes: &[u8], path: &Path) -> Result<Self, StoreError> {
        let damaged = |line: usize, message: &str| StoreError::Journal {
            path: path.to_owned(),
            line,
            message: message.to_owned(),
        };
        let whole = whole_bytes(bytes);
        let mut lines = bytes[..whole].split_inclusive(|&byte| byte == b'\n').zip(1..);
        let first =
            lines.next().map(|(line, _)| parse(line).map_err(|message| damaged(1, &message)));
        let Some(Entry::Begin(header)) = first.transpose()? else {
            return Err(damaged(1, "it does not begin with the run's header"));
        };
        if header.experiment.trials().is_none() {
            return Err(damaged(1, "its experiment has too many trials"));
        }
        let mut content = Self {
            header: *header,
            reports: vec![],
            trials: vec![],
            failures_in_a_row: BTreeMap::new(),
            accepted_differences: vec![],
            capacities: vec![],
            torn_bytes: (bytes.len() - whole) as u64,
            whole_bytes: whole as u64,
        };
        let mut trials: BTreeMap<TrialId, TrialRecord> = BTreeMap::new();
        let mut ended = None;
        for (line, number) in lines {
            match parse(line).map_err(|message| damaged(number, &message))? {
                Entry::Begin(_) => return Err(damaged(number, "a second header")),
                Entry::Report { component, report } => content.reports.push((component, report)),
                Entry::Trial(record) => {
                    count_failure(&mut content.failures_in_a_row, &record);
                    let before = trials.remove(&record.trial.id);
                    let record = repeated(*record, before, content.header.experiment.retries);
                    let record = record.map_err(|message| damaged(number, &message))?;
                    trials.insert(record.trial.id, record);
                }
                Entry::Stopped { trials: stopped, took } => {
                    for id in stopped {
                        let times = trials.get_mut(&id).and_then(|one| one.stack_times.as_mut());
                        if let Some(times) = times {
                            times.stop = Some(took);
                        }
                    }
                }
                Entry::Ended { repetitions } => {
                    ended = Some(repetitions);
                }
                Entry::Searched { capacities } => content.capacities = capacities,
                Entry::Resumed { accepted_differences } => {
                    content.accepted_differences.extend(accepted_differences);
                }
            }
        }
        content.accepted_differences.sort();
        content.accepted_differences.dedup();
        content.trials = trials.into_values().collect();
        if let Some(repetitions) = ended {
            content.keep_blocks(repetitions);
        }
        Ok(content)
    }
}

impl JournalContent {
    /// The number of complete blocks, counted from the first.
    #[must_use]
    pub fn whole_blocks(&self) -> u32 {
        let repetitions = self.header.experiment.repetitions;
        let cases = self.header.experiment.trials().unwrap_or(0) / u64::from(repetitions.max(1));
        let is_whole = |block: &u32| {
            let own = self.trials.iter().filter(|record| record.trial.block == *block);
            own.count() as u64 == cases
        };
        u32::try_from((0..repetitions).take_while(is_whole).count()).unwrap_or(repetitions)
    }

    /// Keeps only the first blocks, as if the experiment had no more repetitions. Trials get new ids, since an
    /// id is the index in the matrix.
    fn keep_blocks(&mut self, repetitions: u32) {
        let before = self.header.experiment.repetitions.max(1);
        self.header.experiment.repetitions = repetitions;
        self.trials.retain(|record| record.trial.block < repetitions);
        for record in &mut self.trials {
            let case = record.trial.id.0 / before;
            record.trial.id = TrialId(case * repetitions + record.trial.block);
        }
    }
}

/// A trial record with its earlier failures. Only a failed trial may be executed again.
fn repeated(
    mut record: TrialRecord,
    before: Option<TrialRecord>,
    retries: u32,
) -> Result<TrialRecord, String> {
    let Some(before) = before else { return Ok(record) };
    let twice = || format!("trial {} is recorded twice", before.trial.id);
    let Outcome::Failed(failure) = before.outcome else { return Err(twice()) };
    if before.trial != record.trial || before.earlier_failures.len() >= to_usize(retries) {
        return Err(twice());
    }
    record.earlier_failures = before.earlier_failures;
    record.earlier_failures.push(failure);
    Ok(record)
}

/// Counts consecutive failures of a stack. Trials that were not executed do not count.
pub fn count_failure(in_a_row: &mut BTreeMap<Stack, u32>, record: &TrialRecord) {
    let own = in_a_row.entry(record.trial.case.stack.clone()).or_default();
    match &record.outcome {
        Outcome::Measured(_) => *own = 0,
        Outcome::Failed(failure) if failure.stage == Stage::GivenUp => {}
        Outcome::Failed(_) => *own += 1,
    }
}

fn to_usize(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

/// The bytes of the complete lines. A power cut can leave a last line with its end but without its middle;
/// its checksum does not match, so it counts as truncated.
pub(super) fn whole_bytes(bytes: &[u8]) -> usize {
    let end_of_line = |bytes: &[u8]| bytes.iter().rposition(|&byte| byte == b'\n');
    let Some(end) = end_of_line(bytes) else { return 0 };
    let start = end_of_line(&bytes[..end]).map_or(0, |before| before + 1);
    if checked_json(&bytes[start..end]).is_ok() { end + 1 } else { start }
}

/// The runs under `dir` that can be resumed, the earliest first.
pub(super) fn unfinished(dir: &Path) -> Vec<RunId> {
    let mut runs: Vec<RunId> = run_dirs(dir)
        .filter(|run| has_begun(run))
        .filter_map(|run| Some(RunId(run.file_name()?.to_str()?.to_owned())))
        .collect();
    runs.sort();
    runs
}

/// Removes the folders of runs that died before their header was written: empty, or with a journal without a
/// complete line. Other files are kept.
pub(super) fn clear_never_begun(dir: &Path) {
    for run in run_dirs(dir) {
        if matches!(read_begun(&run), Ok(false)) {
            let _ = std::fs::remove_file(run.join(FILE));
        }
        // Fails for a folder that is not empty, as intended.
        let _ = std::fs::remove_dir(run);
    }
}

fn run_dirs(dir: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = dir.read_dir().into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir())
}

/// Whether a run's journal has a complete line.
fn has_begun(run: &Path) -> bool {
    read_begun(run).unwrap_or(false)
}

fn read_begun(run: &Path) -> std::io::Result<bool> {
    let mut line = Vec::new();
    BufReader::new(File::open(run.join(FILE))?).read_until(b'\n', &mut line)?;
    Ok(line.ends_with(b"\n"))
}

/// Parses a line.
pub(super) fn parse(line: &[u8]) -> Result<Entry, String> {
    let json = checked_json(line.strip_suffix(b"\n").unwrap_or(line))?;
    serde_json::from_str(json)
        .map_err(|error| format!("another version of this program wrote it: {error}"))
}

/// The JSON of a line, after checking its checksum.
fn checked_json(line: &[u8]) -> Result<&str, String> {
    let text = std::str::from_utf8(line).map_err(|error| error.to_string())?;
    let (check, json) = text.split_once(' ').ok_or("no checksum")?;
    if check != checksum(json) {
        return Err("the checksum does not match".to_owned());
    }
    Ok(json)
}

fn checksum(json: &str) -> String {
    ContentHash::of(json.as_bytes()).to_string()[..CHECK_DIGITS].to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::id::BundleId;
    use crate::units::Rps;

    fn header() -> Header {
        let name = |text: &str| text.parse::<ComponentName>().unwrap();
        Header {
            writer: "test".to_owned(),
            started: UnixMillis(1_767_225_600_000),
            experiment: Experiment {
                name: "test".to_owned(),
                apps: vec![name("fastapi")],
                stores: vec![name("redis")],
                workers: vec![1],
                concurrency: vec![10],
                qps: vec![Rps::whole(100)],
                repetitions: 1,
                duration: "1s".parse().unwrap(),
                warm_up: "0s".parse().unwrap(),
                seed: 1,
                retries: 0,
                slos: vec![],
                is_calibration: false,
                loader: crate::model::Loader::Oha,
                arrivals: crate::model::Arrivals::Even,
                profile: crate::model::Profile::Constant,
            },
            order: Order::RandomisedBlocks,
            bundle: PinnedBundle {
                id: BundleId(ContentHash::of(b"")),
                provider: "test".to_owned(),
                components: vec![],
            },
            unavailable: vec![],
            host: Fingerprint {
                cpu_model: "none".to_owned(),
                cpus: 1,
                cores: 1,
                memory_bytes: 1,
                os: "none".to_owned(),
                kernel: "none".to_owned(),
                arch: "none".to_owned(),
            },
            checks: vec![],
            launcher: "fake".to_owned(),
            is_published: false,
            load_driver: "fake".to_owned(),
            interleaved: None,
        }
    }

    /// A journal of a header and three reports, in a folder of its own.
    fn journal() -> (tempfile::TempDir, PathBuf, Vec<u8>) {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = Journal::create(&dir.path().join("run"), &header()).unwrap();
        for version in ["1", "2", "3"] {
            let report = SelfReport::from([("version".to_owned(), version.to_owned())]);
            journal.append(&Entry::Report { component: "redis".parse().unwrap(), report }).unwrap();
        }
        let path = journal.dir().join(FILE);
        let bytes = std::fs::read(&path).unwrap();
        (dir, path, bytes)
    }

    proptest! {
        #[test]
        fn a_truncated_journal_gives_its_complete_lines(share in 0.0_f64..1.0) {
            let (_dir, path, bytes) = journal();
            let first_line = bytes.iter().position(|&byte| byte == b'\n').unwrap() + 1;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a place in a small file")]
            let cut = first_line + ((bytes.len() - first_line) as f64 * share) as usize;
            std::fs::write(&path, &bytes[..cut]).unwrap();
            let content = JournalContent::read(&path).unwrap();
            let whole_lines = bytes[..cut].iter().filter(|&&byte| byte == b'\n').count();
            prop_assert_eq!(content.reports.len(), whole_lines - 1);
            prop_assert_eq!(content.torn_bytes == 0, bytes[cut - 1] == b'\n');
        }

        #[test]
        fn a_changed_byte_is_found(place in any::<prop::sample::Index>(), bit in 0_u8..8) {
            let (_dir, path, mut bytes) = journal();
            let place = place.index(bytes.len());
            bytes[place] ^= 1 << bit;
            std::fs::write(&path, &bytes).unwrap();
            // The last line counts as truncated; anywhere else the journal is damaged.
            let last = bytes[..bytes.len() - 1].iter().rposition(|&byte| byte == b'\n').unwrap();
            let read = JournalContent::read(&path);
            match place > last {
                true => prop_assert!(read.unwrap().torn_bytes > 0),
                false => prop_assert!(read.is_err()),
            }
        }
    }
}
