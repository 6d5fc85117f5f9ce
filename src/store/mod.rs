//! The dataset store: content-addressed datasets, sealed from a journal, found by name, verified before use.
//!
//! ```text
//! results/<dataset>/manifest.json   its SHA-256 is the dataset's id
//! results/<dataset>/*.parquet       trials, latency, timeline, resources; hashed in the manifest
//! results/refs/<tag>                the id of the dataset that the tag names
//! results/journal/<run>/            an unfinished run: journal, logs, scratch files
//! results/lock                      held by the process that writes
//! ```
//!
//! The location may be a prefix in an object store. Journals and lock are then in a local folder, since object
//! stores cannot append a line durably.
//!
//! # Canonical bytes
//!
//! The id of a dataset is the SHA-256 of `manifest.json`, which is canonical JSON after RFC 8785:
//! keys sorted by their UTF-16 code units, no white space, strings with the shortest escapes,
//! numbers as ECMAScript prints them. The manifest has integers below 2^53 and strings only, so that
//! no rounding is involved. It lists SHA-256, size and rows of each table.
//!
//! A table's bytes depend only on the journal's content: rows are sorted by trial, then by
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
mod pinned;
mod schema;
mod seal;
mod verified;
mod verify;
mod version;

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
pub use manifest::{Manifest, TableFile};
pub use names::Names;
pub use pinned::{Difference, PinnedBundle, PinnedComponent};
pub use schema::{
    FILE_NAMES, LatencyColumns, TRIALS_FILE, arrow_schemas, resources, tables, timeline, trials,
};
pub use verified::VerifiedObjects;
pub use version::SCHEMA_VERSION;

use crate::id::{ContentHash, DatasetId, RunId};

/// A location of results.
#[derive(Clone, Debug)]
pub struct Store {
    location: Location,
    objects: Arc<dyn ObjectStore>,
    /// The folder of journals and the lock.
    work: PathBuf,
    /// The name in error messages.
    name: String,
}

/// The lock for writing to a location, released on drop.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// A dataset in a list, in any condition.
#[derive(Debug)]
pub struct Listed {
    /// Its id.
    pub id: DatasetId,
    /// Its manifest, or why it cannot be read.
    pub manifest: Result<Manifest, StoreError>,
}

/// Manifests that are read concurrently.
const READ_AT_ONCE: usize = 16;

impl Store {
    /// Opens an existing location.
    ///
    /// # Errors
    /// When it does not exist, or when a URL is not of an object store.
    pub fn open(location: &Location) -> Result<Self, StoreError> {
        match location {
            Location::Folder(folder) if !folder.is_dir() => {
                Err(StoreError::NoResults(folder.clone()))
            }
            Location::Folder(folder) => {
                // Absolute, since child processes have other working directories.
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

    /// Opens a location for writing, and creates it if necessary.
    ///
    /// # Errors
    /// When a folder cannot be created, or when a URL is not of an object store.
    pub fn create(location: &Location) -> Result<Self, StoreError> {
        let (Location::Folder(folder) | Location::Objects { work: folder, .. }) = location;
        std::fs::create_dir_all(folder).map_err(StoreError::io("make the folder", folder))?;
        Self::open(location)
    }

    /// The location of the results.
    #[must_use]
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// The location as text: the path or the URL.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The objects of the location, for reading tables.
    #[must_use]
    pub fn objects(&self) -> &Arc<dyn ObjectStore> {
        &self.objects
    }

    /// Takes the lock for writing, and removes leftovers of writers that died.
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
            // On a full disk the lock is valid, but without the pid of its holder.
            Err(error) if error.kind() == ErrorKind::StorageFull => {}
            written => written.map_err(StoreError::io("write", &path))?,
        }
        seal::clear_leftovers(&self.work);
        Ok(Lock { _file: file })
    }

    /// Creates the journal of a run.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn begin(&self, run: &RunId, header: &Header) -> Result<Journal, StoreError> {
        Journal::create(&self.run_dir(run), header)
    }

    /// Opens the journal of an unfinished run to resume it, without its truncated last line.
    ///
    /// # Errors
    /// When it cannot be read or written, or is damaged before its last line.
    pub fn resume(&self, run: &RunId) -> Result<(Journal, JournalContent), StoreError> {
        Journal::reopen(&self.run_dir(run))
    }

    /// The content of the journal of an unfinished run.
    ///
    /// # Errors
    /// When it cannot be read, or is damaged before its last line.
    pub fn journal(&self, run: &RunId) -> Result<JournalContent, StoreError> {
        JournalContent::read(&self.run_dir(run).join(journal::FILE))
    }

    /// A reader of a run's journal while another process writes it.
    #[must_use]
    pub fn follow(&self, run: &RunId) -> Follower {
        Follower::of(self.run_dir(run).join(journal::FILE))
    }

    /// Removes the journal of an unfinished run.
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

    /// Finds an unfinished run by its full name, or by `latest`.
    ///
    /// # Errors
    /// When there is none, with the existing names.
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

    /// Lists all datasets with their manifests: the latest first, those without a readable manifest last.
    ///
    /// # Errors
    /// When the location cannot be listed.
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

    /// Reads the manifest of a dataset and checks its hash.
    ///
    /// # Errors
    /// When it cannot be read, is invalid, has another hash, or is too new.
    pub async fn manifest(&self, id: DatasetId) -> Result<Manifest, StoreError> {
        let bytes = self.read_whole(id, manifest::FILE, manifest::MAX_BYTES).await?;
        Manifest::parse(&bytes, id, &self.shown(id, manifest::FILE))
    }

    /// Reads a table of a dataset and checks its hash.
    ///
    /// # Errors
    /// When it cannot be read, or does not match the manifest.
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
        let listed =
            manifest.files.get(file).ok_or_else(|| wrong("the manifest does not list it"))?;
        let bytes = self.read_whole(id, file, listed.bytes).await?;
        match ContentHash::of(&bytes) == listed.sha256 {
            true => Ok(bytes),
            false => Err(wrong("its hash differs from its manifest")),
        }
    }

    async fn ids(&self) -> Result<Vec<DatasetId>, StoreError> {
        let mut ids: Vec<DatasetId> = match &self.location {
            // Not through the object store, which fails on file names that objects cannot have.
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

    /// Reads a small file of a dataset.
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
            let message = format!("it has {} bytes: expected at most {most}", got.meta.size);
            return Err(StoreError::Corrupt { object: self.shown(id, file), message });
        }
        let pieces: Vec<bytes::Bytes> = got.into_stream().try_collect().await.map_err(read())?;
        Ok(pieces.concat())
    }

    /// The name of a dataset's file, for messages.
    fn shown(&self, id: DatasetId, file: &str) -> String {
        format!("{}/{id}/{file}", self.name)
    }
}

fn sync_dir(path: &Path) -> Result<(), StoreError> {
    crate::file::sync_dir(path).map_err(StoreError::io("sync", path))
}
