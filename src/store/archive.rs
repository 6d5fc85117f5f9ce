//! Export and import of a dataset as one file, and copies between locations.
//!
//! An exported dataset is a tar archive, compressed with Zstandard: one folder whose name is the
//! id, the manifest first, then the tables. The same dataset gives the same archive, byte for byte.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use futures::TryStreamExt;
use object_store::ObjectStoreExt;
use tar::{Archive, Builder, EntryType, Header};

use super::seal::Staged;
use super::{FILE_NAMES, Location, Manifest, Store, StoreError, location, manifest};
use crate::id::{ContentHash, DatasetId};

/// A received dataset, to be verified before it is accepted.
#[derive(Debug)]
pub struct Incoming {
    staged: Staged,
    view: Store,
}

impl Incoming {
    /// `name` is its source, for error messages.
    fn new(staged: Staged, name: String) -> Result<Self, StoreError> {
        let view = Store::open(&Location::Folder(staged.place().to_owned()))?;
        Ok(Self { staged, view: Store { name, ..view } })
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> DatasetId {
        self.staged.id
    }

    /// A location with only this dataset.
    #[must_use]
    pub fn place(&self) -> &Store {
        &self.view
    }
}

impl Store {
    /// Writes a dataset to a new file.
    ///
    /// # Errors
    /// When the file exists, the dataset is not intact, or reading or writing fails.
    pub async fn export(&self, id: DatasetId, path: &Path) -> Result<(), StoreError> {
        if path.exists() {
            return Err(StoreError::Exists(path.to_owned()));
        }
        let dir = crate::file::folder_of(path);
        let staged = self.copy_files(id, dir).await?;
        let write = || StoreError::io("write", path);
        let temporary = crate::file::temporary_in(dir).map_err(write())?;
        pack(id, &staged.files(), temporary.as_file()).map_err(write())?;
        crate::file::keep_new(temporary, path).map_err(write())
    }

    /// Unpacks an exported dataset, to be verified and accepted.
    ///
    /// # Errors
    /// When the file is not an exported dataset, or reading or writing fails.
    pub fn unpack(&self, path: &Path) -> Result<Incoming, StoreError> {
        let wrong = |message: String| StoreError::Archive { path: path.to_owned(), message };
        let file = File::open(path).map_err(StoreError::io("read", path))?;
        let decoder = zstd::Decoder::new(file).map_err(StoreError::io("read", path))?;
        let mut archive = Archive::new(decoder);
        // Raw: otherwise extensions, such as long names, are read into memory without a limit.
        let entries = archive.entries().map_err(|error| wrong(error.to_string()))?;
        let mut entries = entries.raw(true);
        let mut next = || entries.next().transpose().map_err(|error| wrong(error.to_string()));
        let truncated = || wrong("it is truncated".to_owned());
        let mut first = next()?.ok_or_else(truncated)?;
        let id = named_id(&first)
            .ok_or_else(|| wrong("it does not begin with a manifest".to_owned()))?;
        check_entry(&first, id, manifest::FILE).map_err(wrong)?;
        let staged = self.stage(id)?;
        if staged.copy(manifest::FILE, &mut first, manifest::MAX_BYTES)? > manifest::MAX_BYTES {
            return Err(wrong("its manifest is too large".to_owned()));
        }
        let bytes = std::fs::read(staged.files().join(manifest::FILE));
        let bytes = bytes.map_err(StoreError::io("read", &staged.files()))?;
        let manifest = Manifest::parse(&bytes, id, &format!("{}: {id}", path.display()))?;
        for (name, listed) in &manifest.files {
            let mut entry = next()?.ok_or_else(truncated)?;
            check_entry(&entry, id, name).map_err(wrong)?;
            if staged.copy(name, &mut entry, listed.bytes)? > listed.bytes {
                return Err(wrong(format!("`{name}` has more than {} bytes", listed.bytes)));
            }
        }
        if next()?.is_some() {
            return Err(wrong("it has more entries after the tables".to_owned()));
        }
        Incoming::new(staged, path.display().to_string())
    }

    /// Copies a dataset to another location, to be verified and accepted there.
    ///
    /// # Errors
    /// When a file does not match the manifest, or reading or writing fails.
    pub async fn send(&self, id: DatasetId, target: &Self) -> Result<Incoming, StoreError> {
        Incoming::new(self.copy_files(id, &target.work).await?, self.location.to_string())
    }

    /// Copies the files of a dataset to a temporary folder in `dir`, and checks their hashes.
    async fn copy_files(&self, id: DatasetId, dir: &Path) -> Result<Staged, StoreError> {
        let bytes = self.read_whole(id, manifest::FILE, manifest::MAX_BYTES).await?;
        let manifest = Manifest::parse(&bytes, id, &self.shown(id, manifest::FILE))?;
        let staged = Staged::new(id, dir)?;
        staged.write(manifest::FILE, &bytes)?;
        let files = staged.files();
        for (name, listed) in &manifest.files {
            let path = location::object_path(&[&id.to_string(), name]);
            let read = || StoreError::object("read", self.shown(id, name));
            let write = || StoreError::io("write", &files);
            let got = self.objects.get(&path).await.map_err(read())?;
            let mut file = File::create_new(files.join(name)).map_err(write())?;
            let (mut chunks, mut hasher, mut size) = (got.into_stream(), ContentHash::hasher(), 0);
            while let Some(chunk) = chunks.try_next().await.map_err(read())? {
                size += chunk.len() as u64;
                if size > listed.bytes {
                    break;
                }
                hasher.update(&chunk);
                file.write_all(&chunk).map_err(write())?;
            }
            file.sync_all().map_err(write())?;
            if size != listed.bytes || hasher.finish() != listed.sha256 {
                let message = "its size or hash differs from its manifest".to_owned();
                return Err(StoreError::Corrupt { object: self.shown(id, name), message });
            }
        }
        Ok(staged)
    }

    /// Adds a received and verified dataset to this location.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn accept(&self, incoming: Incoming) -> Result<(), StoreError> {
        self.install(incoming.staged).await
    }
}

/// Writes the archive of a staged dataset.
fn pack(id: DatasetId, dir: &Path, target: &File) -> io::Result<()> {
    // Tables are compressed already: a higher level gains nothing.
    let encoder = zstd::Encoder::new(target, 1)?;
    let mut builder = Builder::new(encoder);
    for name in std::iter::once(manifest::FILE).chain(FILE_NAMES) {
        let file = File::open(dir.join(name))?;
        let mut header = Header::new_ustar();
        header.set_size(file.metadata()?.len());
        header.set_mode(0o644);
        header.set_entry_type(EntryType::Regular);
        builder.append_data(&mut header, format!("{id}/{name}"), file)?;
    }
    builder.into_inner()?.finish()?;
    Ok(())
}

/// The id in the path of an archive's first entry.
fn named_id<R: Read>(entry: &tar::Entry<'_, R>) -> Option<DatasetId> {
    let path = entry.path().ok()?;
    path.to_str()?.split_once('/')?.0.parse().ok()
}

/// Whether an entry is the regular file `name` of dataset `id`.
fn check_entry<R: Read>(
    entry: &tar::Entry<'_, R>,
    id: DatasetId,
    name: &str,
) -> Result<(), String> {
    let path = entry.path().map_err(|error| error.to_string())?;
    let expected = format!("{id}/{name}");
    if *path != *Path::new(&expected) {
        return Err(format!("expected the entry `{expected}`, found `{}`", path.display()));
    }
    if entry.header().entry_type() != EntryType::Regular {
        return Err(format!("`{expected}` is not a regular file"));
    }
    Ok(())
}
