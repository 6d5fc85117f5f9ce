//! Datasets: content-addressed, sealed from a journal, found by name, checked before they are used.
//!
//! ```text
//! results/<dataset>/manifest.json   its SHA-256 is the dataset's id
//! results/<dataset>/*.parquet       trials, latency, timeline, resources; hashed in the manifest
//! results/refs/<tag>                the id of the dataset that the tag names
//! results/journal/<run>/            an unfinished run: journal, logs, scratch files
//! results/lock                      held by whoever writes here
//! ```
//!
//! The place may be a prefix in an object store. Journals and lock are then in a folder of this
//! machine, since no object store can append a line and say that it is safe.
//!
//! # Canonical bytes
//!
//! The id of a dataset is the SHA-256 of `manifest.json`, which is canonical JSON after RFC 8785:
//! keys sorted by their UTF-16 code units, no white space, strings with the shortest escapes,
//! numbers as ECMAScript prints them. The manifest has integers below 2^53 and strings only, so that
//! no rounding is involved. It lists SHA-256, size and rows of each table.
//!
//! A table's bytes follow from the journal's content alone: rows are sorted by trial, then by
//! bucket, second or moment; one row group for each 2^20 rows; Zstandard at level 1; dictionary or
//! delta encoding by column; no name or version of a library. No clock, path, thread or map order
//! reaches a hashed file. Same journal, same bytes, same id.
//!
//! # Versions
//!
//! The manifest has a `schema_version`. A reader reads every older version: what a version lacks is
//! missing in it (`NULL` in a table). A newer one is refused. Version 1 has no `trials`,
//! `failed_trials`, and `accepted_differences` in its manifest. Before version 5 integers were
//! unsigned, and `target_rps` was one; such tables are read as the signed types of version 5.

mod archive;
mod column;
mod error;
mod follow;
mod journal;
mod location;
mod manifest;
mod names;
mod parquet;
mod schema;
mod seal;
mod verified;
mod verify;

use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStore;

pub use archive::Incoming;
pub use column::{Column, Declaration, FilledColumn, PageColumn, PageValues, Table, unit_of};
pub use error::{Condition, StoreError};
pub use follow::Follower;
pub use journal::{Entry, Header, Journal, JournalContent, count_failure};
pub use location::Location;
pub use manifest::{Difference, Manifest, PinnedBundle, PinnedComponent, TableFile};
pub use names::Names;
pub use schema::{
    FILE_NAMES, LatencyColumns, SCHEMA_VERSION, TRIALS_FILE, arrow_schemas, resources, tables,
    timeline, trials,
};
pub use verified::VerifiedObjects;

use crate::id::{ContentHash, DatasetId, RunId};

/// A place of results.
#[derive(Clone, Debug)]
pub struct Store {
    location: Location,
    objects: Arc<dyn ObjectStore>,
    /// Where journals and the lock are.
    work: PathBuf,
    /// What errors call it.
    name: String,
}

/// The right to write to a place, given back when it is dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// A dataset that was found, whatever its condition.
#[derive(Debug)]
pub struct Listed {
    /// Its id.
    pub id: DatasetId,
    /// Its manifest, or why that cannot be had.
    pub manifest: Result<Manifest, StoreError>,
}

/// Manifests that are read at the same time.
const READ_AT_ONCE: usize = 16;

impl Store {
    /// A place that is there.
    ///
    /// # Errors
    /// When it is not, or when a URL names no object store.
    pub fn open(location: &Location) -> Result<Self, StoreError> {
        match location {
            Location::Folder(folder) if !folder.is_dir() => {
                Err(StoreError::NoResults(folder.clone()))
            }
            Location::Folder(folder) => {
                // Children run elsewhere: what they are told to write must not depend on where.
                let folder = folder.canonicalize().map_err(StoreError::io("open", folder))?;
                let objects = location::open_folder(&folder)?;
                let name = folder.display().to_string();
                Ok(Self { location: Location::Folder(folder.clone()), objects, work: folder, name })
            }
            Location::Objects { url, settings, work } => Ok(Self {
                location: location.clone(),
                objects: location::open_url(url, settings)?,
                work: work.clone(),
                name: location.to_string(),
            }),
        }
    }

    /// A place to write to, made when it is not there.
    ///
    /// # Errors
    /// When a folder cannot be made, or when a URL names no object store.
    pub fn create(location: &Location) -> Result<Self, StoreError> {
        let (Location::Folder(folder) | Location::Objects { work: folder, .. }) = location;
        std::fs::create_dir_all(folder).map_err(StoreError::io("make the folder", folder))?;
        Self::open(location)
    }

    /// Where the results are.
    #[must_use]
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// What it is called in words: the path or the URL.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The objects of the place, for who reads tables.
    #[must_use]
    pub fn objects(&self) -> &Arc<dyn ObjectStore> {
        &self.objects
    }

    /// Takes the right to write, and clears away what a writer that died has left.
    ///
    /// # Errors
    /// When another run holds it, with its pid.
    pub fn lock(&self) -> Result<Lock, StoreError> {
        std::fs::create_dir_all(&self.work)
            .map_err(StoreError::io("make the folder", &self.work))?;
        let path = self.work.join("lock");
        let open = File::options().create(true).truncate(false).read(true).write(true).open(&path);
        let mut file = open.map_err(StoreError::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = std::fs::read_to_string(&path).unwrap_or_default();
                let results = self.work.clone();
                return Err(StoreError::Locked { results, holder: holder.trim().to_owned() });
            }
            Err(TryLockError::Error(source)) => return Err(StoreError::io("lock", &path)(source)),
        }
        match file.set_len(0).and_then(|()| writeln!(file, "pid {}", std::process::id())) {
            // On a full disk nobody learns who holds the lock, and it holds all the same.
            Err(error) if error.kind() == ErrorKind::StorageFull => {}
            written => written.map_err(StoreError::io("write", &path))?,
        }
        seal::clear_leftovers(&self.work);
        Ok(Lock { _file: file })
    }

    /// Begins the journal of a run.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn begin(&self, run: &RunId, header: &Header) -> Result<Journal, StoreError> {
        Journal::create(&self.run_dir(run), header)
    }

    /// Goes on with the journal of an unfinished run, without its torn last line.
    ///
    /// # Errors
    /// When it cannot be read or written, or is damaged before its last line.
    pub fn resume(&self, run: &RunId) -> Result<(Journal, JournalContent), StoreError> {
        Journal::reopen(&self.run_dir(run))
    }

    /// What stands in the journal of an unfinished run.
    ///
    /// # Errors
    /// When it cannot be read, or is damaged before its last line.
    pub fn journal(&self, run: &RunId) -> Result<JournalContent, StoreError> {
        JournalContent::read(&self.run_dir(run).join(journal::FILE))
    }

    /// A reader of a run's journal while somebody else writes it.
    #[must_use]
    pub fn follow(&self, run: &RunId) -> Follower {
        Follower::of(self.run_dir(run).join(journal::FILE))
    }

    /// Removes the journal of an unfinished run that nobody needs.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn discard(&self, run: &RunId) -> Result<(), StoreError> {
        let dir = self.run_dir(run);
        std::fs::remove_dir_all(&dir).map_err(StoreError::io("remove", &dir))
    }

    /// The names of all unfinished runs, the earliest first.
    #[must_use]
    pub fn unfinished_runs(&self) -> Vec<RunId> {
        journal::unfinished(&self.work.join("journal"))
    }

    /// The unfinished run that a name stands for: its whole name, or `latest`.
    ///
    /// # Errors
    /// When there is none, with the candidates.
    pub fn unfinished(&self, name: &str) -> Result<RunId, StoreError> {
        let runs = self.unfinished_runs();
        let found = match name {
            "latest" => runs.last(),
            _ => runs.iter().find(|run| run.0 == name),
        };
        found.cloned().ok_or_else(|| {
            let names: Vec<&str> = runs.iter().map(|run| run.0.as_str()).collect();
            let candidates = match names.is_empty() {
                true => ", which has none".to_owned(),
                false => format!("; there are: {}", names.join(", ")),
            };
            StoreError::NoRun { name: name.to_owned(), results: self.work.clone(), candidates }
        })
    }

    /// The folder of a run's journal.
    #[must_use]
    pub fn run_dir(&self, run: &RunId) -> PathBuf {
        self.work.join("journal").join(&run.0)
    }

    /// Every dataset with its manifest, the latest first, then those whose manifest cannot be had.
    ///
    /// # Errors
    /// When the place cannot be listed.
    pub async fn list(&self) -> Result<Vec<Listed>, StoreError> {
        let ids = self.ids().await?;
        let reads =
            ids.into_iter().map(async |id| Listed { id, manifest: self.manifest(id).await });
        let mut listed: Vec<Listed> =
            futures::stream::iter(reads).buffered(READ_AT_ONCE).collect().await;
        listed.sort_by_key(|one| {
            let started = one.manifest.as_ref().ok().map(|manifest| manifest.started);
            (std::cmp::Reverse(started), one.id)
        });
        Ok(listed)
    }

    /// The manifest of a dataset, checked against its id.
    ///
    /// # Errors
    /// When it cannot be read, has another hash, is none, or is too new.
    pub async fn manifest(&self, id: DatasetId) -> Result<Manifest, StoreError> {
        let bytes = self.read_whole(id, manifest::FILE, manifest::MAX_BYTES).await?;
        Manifest::parse(&bytes, id, &self.shown(id, manifest::FILE))
    }

    /// A table of a dataset, byte for byte as its manifest lists it.
    ///
    /// # Errors
    /// When it cannot be read, or is not what the manifest lists.
    pub async fn table(
        &self,
        id: DatasetId,
        manifest: &Manifest,
        file: &str,
    ) -> Result<Vec<u8>, StoreError> {
        let wrong = |message: &str| StoreError::Corrupt {
            object: self.shown(id, file),
            message: message.to_owned(),
        };
        let listed = manifest.files.get(file).ok_or_else(|| wrong("the manifest lists none"))?;
        let bytes = self.read_whole(id, file, listed.bytes).await?;
        match ContentHash::of(&bytes) == listed.sha256 {
            true => Ok(bytes),
            false => Err(wrong("its hash is not the one that the manifest lists")),
        }
    }

    async fn ids(&self) -> Result<Vec<DatasetId>, StoreError> {
        let mut ids: Vec<DatasetId> = match &self.location {
            // Not as objects: a name that no object can have must not stand in the way.
            Location::Folder(folder) => {
                let entries = folder.read_dir().map_err(StoreError::io("list", folder))?;
                let names = entries.flatten().map(|entry| entry.file_name());
                names.filter_map(|name| name.to_str()?.parse().ok()).collect()
            }
            Location::Objects { .. } => {
                let listed = self.objects.list_with_delimiter(None).await;
                let listed = listed.map_err(StoreError::object("list", self.name.clone()))?;
                let prefixes = listed.common_prefixes.iter();
                prefixes.filter_map(|path| path.filename()?.parse().ok()).collect()
            }
        };
        ids.sort();
        Ok(ids)
    }

    /// A small file of a dataset.
    async fn read_whole(
        &self,
        id: DatasetId,
        file: &str,
        most: u64,
    ) -> Result<Vec<u8>, StoreError> {
        let path = location::object_path(&[&id.to_string(), file]);
        let read = || StoreError::object("read", self.shown(id, file));
        let got = self.objects.get_opts(&path, Default::default()).await.map_err(read())?;
        if got.meta.size > most {
            let message = format!("it has {} bytes; {most} is the most", got.meta.size);
            return Err(StoreError::Corrupt { object: self.shown(id, file), message });
        }
        let pieces: Vec<bytes::Bytes> = got.into_stream().try_collect().await.map_err(read())?;
        Ok(pieces.concat())
    }

    /// A file of a dataset in words.
    fn shown(&self, id: DatasetId, file: &str) -> String {
        format!("{}/{id}/{file}", self.name)
    }
}

fn sync_dir(path: &Path) -> Result<(), StoreError> {
    crate::file::sync_dir(path).map_err(StoreError::io("sync", path))
}
