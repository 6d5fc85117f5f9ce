//! Files that are whole or not there.
//!
//! Ground layer.

use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Writes a file whole, through to the disk, by way of a temporary file beside it.
///
/// # Errors
/// When it cannot be written; what was there before is then still there.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let temporary = tempfile::NamedTempFile::new_in(dir)?;
    let mut file = temporary.as_file();
    file.write_all(bytes)?;
    // A temporary file is private; what is written for people is not.
    file.set_permissions(Permissions::from_mode(0o644))?;
    file.sync_all()?;
    temporary.persist(path).map_err(|error| error.error)?;
    sync_dir(dir)
}

/// Waits until the names in a folder are on the disk.
///
/// # Errors
/// When the system refuses.
pub fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
