//! Datasets on disk: content-addressed, sealed from a journal, found by name.
//!
//! ```text
//! results/<dataset>/manifest.json   canonical JSON (RFC 8785); its SHA-256 is the dataset's id
//! results/<dataset>/*.parquet       trials, latency, timeline, resources; hashed in the manifest
//! results/journal/<run>/            an unfinished run: journal, logs, scratch files
//! results/lock                      held by the run that writes here
//! ```
//!
//! Same journal, same bytes, same id: rows are in the order of trials, and no clock, path or map
//! order reaches a hashed file.

mod journal;
mod manifest;
mod parquet;
mod schema;

use std::fs::{File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

pub use journal::{Entry, Header, Journal, JournalContent};
pub use manifest::{Manifest, PinnedBundle, PinnedComponent, SCHEMA_VERSION, TableFile};
pub use schema::{Column, Table, tables};

use crate::id::{ContentHash, DatasetId, RunId};

/// What goes wrong with stored results.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system refused.
    #[error("cannot {action} {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Another run writes here.
    #[error("another run is writing to {results} ({holder})")]
    Locked {
        /// The results folder.
        results: PathBuf,
        /// Who holds the lock.
        holder: String,
    },
    /// A journal is damaged before its last record.
    #[error("the journal {path} is damaged at line {line}: {message}")]
    Journal {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// A manifest is not one.
    #[error("{path} is no manifest of a dataset: {message}")]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// A manifest of a newer version.
    #[error("{path} has schema version {found}; this program reads up to {SCHEMA_VERSION}")]
    TooNew {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// A table is not the one that the manifest lists.
    #[error("{path} is corrupt: its hash is not the one in the manifest")]
    Corrupt {
        /// The file.
        path: PathBuf,
    },
    /// No dataset has that name.
    #[error("no dataset is called `{name}` in {results}{candidates}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// Where.
        results: PathBuf,
        /// Those that there are, in words.
        candidates: String,
    },
    /// More than one dataset has that prefix.
    #[error("`{name}` is the beginning of more than one dataset: {candidates}")]
    Ambiguous {
        /// What was asked for.
        name: String,
        /// Those that it could be.
        candidates: String,
    },
    /// A table could not be encoded.
    #[error("cannot write table `{table}`: {message}")]
    Encode {
        /// The table.
        table: &'static str,
        /// Why not.
        message: String,
    },
}

impl StoreError {
    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

/// A results folder.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
}

/// The right to write to a results folder, given back when it is dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// The shortest prefix that may stand for an id.
const SHORTEST_PREFIX: usize = 6;

impl Store {
    /// A results folder, made when it is not there.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        std::fs::create_dir_all(root).map_err(StoreError::io("make the folder", root))?;
        // Children run elsewhere: what they are told to write must not depend on where.
        let root = root.canonicalize().map_err(StoreError::io("open", root))?;
        Ok(Self { root })
    }

    /// Where the results are.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Takes the right to write.
    ///
    /// # Errors
    /// When another run holds it, with its pid.
    pub fn lock(&self) -> Result<Lock, StoreError> {
        let path = self.root.join("lock");
        let open = File::options().create(true).truncate(false).read(true).write(true).open(&path);
        let mut file = open.map_err(StoreError::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = std::fs::read_to_string(&path).unwrap_or_default();
                let results = self.root.clone();
                return Err(StoreError::Locked { results, holder: holder.trim().to_owned() });
            }
            Err(TryLockError::Error(source)) => return Err(StoreError::io("lock", &path)(source)),
        }
        let write = file.set_len(0).and_then(|()| writeln!(file, "pid {}", std::process::id()));
        write.map_err(StoreError::io("write", &path))?;
        Ok(Lock { _file: file })
    }

    /// Begins the journal of a run.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn begin(&self, run: &RunId, header: &Header) -> Result<Journal, StoreError> {
        Journal::create(&self.root.join("journal").join(&run.0), header)
    }

    /// Turns a journal into a dataset and removes the journal's folder.
    ///
    /// # Errors
    /// When anything cannot be read or written; the journal is then kept.
    pub fn seal(&self, run_dir: &Path) -> Result<DatasetId, StoreError> {
        let content = JournalContent::read(&run_dir.join(journal::FILE))?;
        let (files, manifest) = manifest::build(&content)?;
        let bytes = manifest.canonical_bytes();
        let id = Manifest::id_of(&bytes);
        let target = self.dir(id);
        if !target.exists() {
            let temporary = tempfile::Builder::new()
                .prefix(".sealing-")
                .tempdir_in(&self.root)
                .map_err(StoreError::io("make a folder in", &self.root))?;
            for (name, content) in &files {
                write_synced(&temporary.path().join(name), content)?;
            }
            write_synced(&temporary.path().join("manifest.json"), &bytes)?;
            sync_dir(temporary.path())?;
            std::fs::rename(temporary.path(), &target).map_err(StoreError::io("make", &target))?;
            sync_dir(&self.root)?;
        }
        std::fs::remove_dir_all(run_dir).map_err(StoreError::io("remove", run_dir))?;
        Ok(id)
    }

    /// The folder of a dataset.
    #[must_use]
    pub fn dir(&self, id: DatasetId) -> PathBuf {
        self.root.join(id.to_string())
    }

    /// The manifest of a dataset, checked against its id.
    ///
    /// # Errors
    /// When it cannot be read, is not canonical, is too new, or has another hash.
    pub fn manifest(&self, id: DatasetId) -> Result<Manifest, StoreError> {
        Manifest::read(&self.dir(id).join("manifest.json"), id)
    }

    /// Checks that the tables of a dataset are those that its manifest lists.
    ///
    /// # Errors
    /// When one cannot be read or has another hash.
    pub fn check_files(&self, id: DatasetId, manifest: &Manifest) -> Result<(), StoreError> {
        for (name, listed) in &manifest.files {
            let path = self.dir(id).join(name);
            let file = File::open(&path).map_err(StoreError::io("read", &path))?;
            let hash = ContentHash::of_reader(file).map_err(StoreError::io("read", &path))?;
            if hash != listed.sha256 {
                return Err(StoreError::Corrupt { path });
            }
        }
        Ok(())
    }

    /// Every dataset, the latest first.
    ///
    /// # Errors
    /// When the folder or a manifest cannot be read.
    pub fn list(&self) -> Result<Vec<(DatasetId, Manifest)>, StoreError> {
        let mut datasets = Vec::new();
        for id in self.ids()? {
            datasets.push((id, self.manifest(id)?));
        }
        datasets.sort_by_key(|(id, manifest)| (std::cmp::Reverse(manifest.started), *id));
        Ok(datasets)
    }

    /// The dataset that a name stands for: a unique prefix of 6 digits or more, `latest`, or
    /// `latest~N` for the one N before it.
    ///
    /// # Errors
    /// When there is none, or more than one, with the candidates.
    pub fn find(&self, name: &str) -> Result<DatasetId, StoreError> {
        if let Some(back) = steps_back(name) {
            let datasets = self.list()?;
            let found = datasets.get(back).map(|(id, _)| *id);
            return found.ok_or_else(|| {
                self.unknown(name, &datasets.iter().map(|d| d.0).collect::<Vec<_>>())
            });
        }
        let ids = self.ids()?;
        let fits =
            |id: &&DatasetId| name.len() >= SHORTEST_PREFIX && id.to_string().starts_with(name);
        let found: Vec<DatasetId> = ids.iter().filter(fits).copied().collect();
        match found[..] {
            [id] => Ok(id),
            [] => Err(self.unknown(name, &ids)),
            _ => {
                Err(StoreError::Ambiguous { name: name.to_owned(), candidates: short_list(&found) })
            }
        }
    }

    fn ids(&self) -> Result<Vec<DatasetId>, StoreError> {
        let read = StoreError::io("read", &self.root);
        let entries = std::fs::read_dir(&self.root).map_err(read)?;
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let mut ids: Vec<DatasetId> = names.filter_map(|name| name.parse().ok()).collect();
        ids.sort();
        Ok(ids)
    }

    fn unknown(&self, name: &str, ids: &[DatasetId]) -> StoreError {
        let candidates = match ids.is_empty() {
            true => ", which has none yet".to_owned(),
            false => format!("; there are: {}", short_list(ids)),
        };
        StoreError::Unknown { name: name.to_owned(), results: self.root.clone(), candidates }
    }
}

fn steps_back(name: &str) -> Option<usize> {
    let rest = name.strip_prefix("latest")?;
    match rest.strip_prefix('~') {
        Some(steps) => steps.parse().ok(),
        None => rest.is_empty().then_some(0),
    }
}

/// The first ten of a list of ids, shortened.
fn short_list(ids: &[DatasetId]) -> String {
    let names: Vec<String> = ids.iter().take(10).map(DatasetId::short).collect();
    let more = if ids.len() > 10 { ", …" } else { "" };
    names.join(", ") + more
}

fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let file = File::create_new(path);
    let write = file.and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
    write.map_err(StoreError::io("write", path))
}

fn sync_dir(path: &Path) -> Result<(), StoreError> {
    crate::file::sync_dir(path).map_err(StoreError::io("sync", path))
}
