//! Files that are whole or not there.
//!
//! Ground layer.

use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::NamedTempFile;

/// Writes a file whole, through to the disk, by way of a temporary file beside it.
///
/// # Errors
/// When it cannot be written; what was there before is then still there.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = folder_of(path);
    let temporary = temporary_in(dir)?;
    temporary.as_file().write_all(bytes)?;
    publish(temporary.as_file())?;
    temporary.persist(path).map_err(|error| error.error)?;
    sync_dir(dir)
}

/// As [`write_atomically`], for a file that is not there yet.
///
/// # Errors
/// When there is one, or when it cannot be written.
pub fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = temporary_in(folder_of(path))?;
    temporary.as_file().write_all(bytes)?;
    keep_new(temporary, path)
}

/// Gives a temporary file its name, through to the disk, unless there is a file of that name.
///
/// # Errors
/// When there is one, or when it cannot be written.
pub fn keep_new(temporary: NamedTempFile, path: &Path) -> io::Result<()> {
    publish(temporary.as_file())?;
    temporary.persist_noclobber(path).map_err(|error| error.error)?;
    sync_dir(folder_of(path))
}

/// A temporary file in a folder. Its errors do not name it: nobody asked for it.
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

/// A temporary file is private; what is written for people is not, and is on the disk.
fn publish(file: &File) -> io::Result<()> {
    file.set_permissions(Permissions::from_mode(0o644))?;
    file.sync_all()
}

/// Waits until the names in a folder are on the disk.
///
/// # Errors
/// When the system refuses.
pub fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
