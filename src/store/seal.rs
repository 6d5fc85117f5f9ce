//! Sealing: files are staged, synced, and then renamed atomically to a dataset.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::TryStreamExt;
use object_store::buffered::BufWriter;
use object_store::{ObjectStoreExt, PutMode, PutPayload};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;

use super::journal::{self, JournalContent};
use super::{Location, Manifest, Store, StoreError, location, manifest, sync_dir};
use crate::id::{DatasetId, RunId};

/// The name prefix of folders that are incomplete or being removed.
const UNFINISHED: &str = ".unfinished-";

/// The files of a future dataset, in a temporary folder.
#[derive(Debug)]
pub(super) struct Staged {
    /// The dataset's id.
    pub id: DatasetId,
    dir: TempDir,
}

impl Staged {
    /// Makes an empty one in `dir`.
    pub(super) fn new(id: DatasetId, dir: &Path) -> Result<Self, StoreError> {
        let temporary = tempfile::Builder::new()
            .prefix(UNFINISHED)
            .tempdir_in(dir)
            .map_err(StoreError::io("make a folder in", dir))?;
        let staged = Self { id, dir: temporary };
        let files = staged.files();
        std::fs::create_dir(&files).map_err(StoreError::io("make the folder", &files))?;
        Ok(staged)
    }

    /// Adds a file and syncs it.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.copy(name, bytes, bytes.len() as u64).map(|_| ())
    }

    /// Adds a file of at most `most` bytes and syncs it. Returns the number of bytes; `most + 1` when there
    /// are more.
    pub(super) fn copy(&self, name: &str, from: impl Read, most: u64) -> Result<u64, StoreError> {
        let path = self.files().join(name);
        let copied = File::create_new(&path).and_then(|mut file| {
            let bytes = std::io::copy(&mut from.take(most.saturating_add(1)), &mut file)?;
            file.sync_all()?;
            Ok(bytes)
        });
        copied.map_err(StoreError::io("write", &path))
    }

    /// The folder of the files, below [`Self::place`].
    pub(super) fn files(&self) -> PathBuf {
        self.place().join(self.id.to_string())
    }

    /// A location with only this dataset.
    pub(super) fn place(&self) -> &Path {
        self.dir.path()
    }
}

impl Store {
    /// Seals the journal of a run to a dataset, and removes the run's folder.
    ///
    /// # Errors
    /// When reading or writing fails; the journal is then kept.
    pub async fn seal(&self, run: &RunId) -> Result<DatasetId, StoreError> {
        let dir = self.run_dir(run);
        let id = self.seal_content(&self.journal(run)?).await?;
        std::fs::remove_dir_all(&dir).map_err(StoreError::io("remove", &dir))?;
        Ok(id)
    }

    /// Seals the content of a journal to a dataset.
    ///
    /// # Errors
    /// When writing fails.
    pub async fn seal_content(&self, content: &JournalContent) -> Result<DatasetId, StoreError> {
        let (files, manifest) = manifest::build(content)?;
        let bytes = manifest.canonical_bytes();
        let id = Manifest::id_of(&bytes);
        let staged = self.stage(id)?;
        for (name, content) in &files {
            staged.write(name, content)?;
        }
        staged.write(manifest::FILE, &bytes)?;
        self.install(staged).await?;
        Ok(id)
    }

    /// Makes a temporary folder next to the datasets.
    pub(super) fn stage(&self, id: DatasetId) -> Result<Staged, StoreError> {
        std::fs::create_dir_all(&self.work)
            .map_err(StoreError::io("make the folder", &self.work))?;
        Staged::new(id, &self.work)
    }

    /// Turns staged files into a dataset. An existing dataset of the same id is kept if it is intact, and
    /// replaced otherwise.
    pub(super) async fn install(&self, staged: Staged) -> Result<(), StoreError> {
        let Location::Folder(folder) = &self.location else { return self.upload(&staged).await };
        let target = folder.join(staged.id.to_string());
        let aside = staged.place().join("damaged");
        if target.exists() {
            if self.check_hashes(staged.id).await.is_ok() {
                return Ok(());
            }
            std::fs::rename(&target, &aside).map_err(StoreError::io("replace", &target))?;
        }
        sync_dir(&staged.files())?;
        std::fs::rename(staged.files(), &target).map_err(StoreError::io("make", &target))?;
        sync_dir(folder)
    }

    /// Uploads the tables, then the manifest, so that a reader that sees the manifest sees everything.
    async fn upload(&self, staged: &Staged) -> Result<(), StoreError> {
        let id = staged.id;
        for name in super::FILE_NAMES {
            let path = location::object_path(&[&id.to_string(), name]);
            let file = staged.files().join(name);
            let source = tokio::fs::File::open(&file).await;
            let mut source = source.map_err(StoreError::io("read", &file))?;
            let mut target = BufWriter::new(Arc::clone(&self.objects), path);
            let copied = tokio::io::copy(&mut source, &mut target).await;
            let closed = match copied {
                Ok(_) => target.shutdown().await,
                Err(error) => Err(error),
            };
            let shown = Path::new(&self.shown(id, name)).to_owned();
            closed.map_err(StoreError::io("write", &shown))?;
        }
        let bytes = std::fs::read(staged.files().join(manifest::FILE))
            .map_err(StoreError::io("read", &staged.files()))?;
        let path = location::object_path(&[&id.to_string(), manifest::FILE]);
        let payload = PutPayload::from(bytes);
        let mut put =
            self.objects.put_opts(&path, payload.clone(), PutMode::Create.into()).await.map(drop);
        if let Err(object_store::Error::AlreadyExists { .. }) = put {
            if self.check_hashes(id).await.is_ok() {
                return Ok(());
            }
            put = self.objects.put_opts(&path, payload, PutMode::Overwrite.into()).await.map(drop);
        }
        put.map_err(StoreError::object("write", self.shown(id, manifest::FILE)))
    }

    /// Removes a dataset. A tagged one is removed, with its tags, only with `force`.
    ///
    /// # Errors
    /// When it has a tag, or cannot be removed.
    pub async fn remove(&self, id: DatasetId, force: bool) -> Result<(), StoreError> {
        let tags = self.names().await?.tags(id);
        if !tags.is_empty() && !force {
            return Err(StoreError::Tagged { dataset: id.short(), tags: tags.join(", ") });
        }
        self.remove_files(id).await?;
        // After the files, so that a partly removed dataset is still protected.
        for tag in &tags {
            self.untag(tag).await?;
        }
        Ok(())
    }

    async fn remove_files(&self, id: DatasetId) -> Result<(), StoreError> {
        if let Location::Folder(folder) = &self.location {
            // Renamed first, so that a crash leaves no partial dataset under its id.
            let target = folder.join(id.to_string());
            let aside = folder.join(format!("{UNFINISHED}{}", id.short()));
            std::fs::rename(&target, &aside).map_err(StoreError::io("remove", &target))?;
            sync_dir(folder)?;
            return std::fs::remove_dir_all(&aside).map_err(StoreError::io("remove", &aside));
        }
        let prefix = location::object_path(&[&id.to_string()]);
        let remove = || StoreError::object("remove", self.shown(id, ""));
        let listed = self.objects.list(Some(&prefix)).try_collect::<Vec<_>>().await;
        let mut objects = listed.map_err(remove())?;
        // The manifest first: without it the other files are not a dataset.
        objects.sort_by_key(|object| object.location.filename() != Some(manifest::FILE));
        for object in objects {
            self.objects.delete(&object.location).await.map_err(remove())?;
        }
        Ok(())
    }
}

/// Removes leftovers of writers that died: incomplete folders, and runs that never began. The caller must hold
/// the lock. Leftovers that cannot be removed are harmless.
pub(super) fn clear_leftovers(work: &Path) {
    for entry in work.read_dir().into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
    journal::clear_never_begun(&work.join("journal"));
}
