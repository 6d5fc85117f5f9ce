//! Sealing: files are staged, synced, and then appear as a dataset at once or not at all.

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

/// Begins the name of each folder that is not whole yet, or not any more.
const UNFINISHED: &str = ".unfinished-";

/// The files of a dataset in a temporary folder, before they are one.
#[derive(Debug)]
pub(super) struct Staged {
    /// The dataset's id.
    pub id: DatasetId,
    dir: TempDir,
}

impl Staged {
    /// An empty one in `dir`.
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

    /// Adds a file, through to the disk.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.copy(name, bytes, bytes.len() as u64).map(|_| ())
    }

    /// Adds a file of at most `most` bytes, through to the disk. Gives how many came: one more than
    /// `most` where there is more.
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

    /// A place of results that has this dataset alone.
    pub(super) fn place(&self) -> &Path {
        self.dir.path()
    }
}

impl Store {
    /// Turns the journal of a run into a dataset and removes the run's folder.
    ///
    /// # Errors
    /// When anything cannot be read or written; the journal is then kept.
    pub async fn seal(&self, run: &RunId) -> Result<DatasetId, StoreError> {
        let dir = self.run_dir(run);
        let id = self.seal_content(&self.journal(run)?).await?;
        std::fs::remove_dir_all(&dir).map_err(StoreError::io("remove", &dir))?;
        Ok(id)
    }

    /// Turns what stands in a journal into a dataset.
    ///
    /// # Errors
    /// When anything cannot be written.
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

    /// A temporary folder beside the datasets.
    pub(super) fn stage(&self, id: DatasetId) -> Result<Staged, StoreError> {
        std::fs::create_dir_all(&self.work)
            .map_err(StoreError::io("make the folder", &self.work))?;
        Staged::new(id, &self.work)
    }

    /// Makes staged files a dataset. One that is there already is left alone if it is intact, and
    /// replaced if it is not: its name says what it has to be.
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

    /// Puts the tables and then the manifest, so that whoever sees the manifest sees all.
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

    /// Removes a dataset. One with a tag is removed only when `force` says so, with its tags.
    ///
    /// # Errors
    /// When it has a tag, or cannot be removed.
    pub async fn remove(&self, id: DatasetId, force: bool) -> Result<(), StoreError> {
        let tags = self.names().await?.tags(id);
        if !tags.is_empty() && !force {
            return Err(StoreError::Tagged { dataset: id.short(), tags: tags.join(", ") });
        }
        self.remove_files(id).await?;
        // Afterwards: what is only half removed is still protected.
        for tag in &tags {
            self.untag(tag).await?;
        }
        Ok(())
    }

    async fn remove_files(&self, id: DatasetId) -> Result<(), StoreError> {
        if let Location::Folder(folder) = &self.location {
            // Gone at once, so that a crash leaves no half of it under its name.
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
        // The manifest goes first: without it the rest is no dataset.
        objects.sort_by_key(|object| object.location.filename() != Some(manifest::FILE));
        for object in objects {
            self.objects.delete(&object.location).await.map_err(remove())?;
        }
        Ok(())
    }
}

/// Removes what a writer that died has left: folders that are not whole, and runs that never began.
/// Only who holds the lock may call it. What cannot be removed does no harm.
pub(super) fn clear_leftovers(work: &Path) {
    for entry in work.read_dir().into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
    journal::clear_never_begun(&work.join("journal"));
}
