//! Atomic writes: a file is complete or absent.
//!
//! Foundation layer.

use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::NamedTempFile;

/// Replaces a file atomically: writes a temporary file beside it, syncs, renames, and syncs the folder.
///
/// # Errors
/// When it cannot be written. The previous file is then unchanged.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = folder_of(path);
    let temporary = temporary_in(dir)?;
    temporary.as_file().write_all(bytes)?;
    publish(temporary.as_file())?;
    temporary.persist(path).map_err(|error| error.error)?;
    sync_dir(dir)
}

/// Like [`write_atomically`], for a new file.
///
/// # Errors
/// When the file already exists or cannot be written.
pub fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = temporary_in(folder_of(path))?;
    temporary.as_file().write_all(bytes)?;
    keep_new(temporary, path)
}

/// Renames a temporary file to its final name and syncs it. It never overwrites a file.
///
/// # Errors
/// When a file of that name exists, or when it cannot be written.
pub fn keep_new(temporary: NamedTempFile, path: &Path) -> io::Result<()> {
    publish(temporary.as_file())?;
    temporary.persist_noclobber(path).map_err(|error| error.error)?;
    sync_dir(folder_of(path))
}

/// Makes a temporary file in a folder. Its errors do not show the random file name.
///
/// # Errors
/// When the folder is missing or not writable.
pub fn temporary_in(dir: &Path) -> io::Result<NamedTempFile> {
    NamedTempFile::new_in(dir).map_err(|error| {
        let text = error.to_string();
        let cause = text.split_once(" at path ").map_or(text.as_str(), |(cause, _)| cause);
        io::Error::new(error.kind(), cause.to_owned())
    })
}

/// The folder that holds the file `path`.
#[must_use]
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Syncs a file and makes it readable by everybody, since temporary files are private.
fn publish(file: &File) -> io::Result<()> {
    file.set_permissions(Permissions::from_mode(0o644))?;
    file.sync_all()
}

/// Syncs a folder, so that new and renamed entries survive a power cut.
///
/// # Errors
/// When the operating system reports an error.
pub fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
