//! CPU reservations: only one run at a time measures on a CPU of this machine.
//!
//! Each run has one file in a folder that all users share. The file names the run and its CPUs, and is
//! locked (`flock`) while the run lives, so that the kernel releases it when the run crashes, in any PID
//! namespace. A short lock on a second file keeps two runs from reserving at the same moment. Runs that do
//! not share the folder (in a container with its own `/run`) do not see each other.

use std::fs::{File, Permissions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use super::HostError;
use crate::id::RunId;
use crate::units::CpuSet;

/// The prefix of file names.
const PREFIX: &str = "perf-api-run-";
/// The file that is locked while a run reserves.
const GUARD: &str = "perf-api-runs.lock";
/// Readable by all users: a file that is open for reading can be locked.
const READABLE: u32 = 0o644;
/// Writable by all users; only owners may remove files.
const SHARED: u32 = 0o1777;

/// A run, and the CPUs that it measures on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Its process, in its own PID namespace.
    pub pid: u32,
    /// Its name, once it is known.
    pub run: Option<RunId>,
    /// The location of its results.
    pub results: String,
    /// Its CPUs.
    pub cpus: CpuSet,
}

/// Whether a run may share CPUs with another run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// It may not: nothing is reserved.
    Refused,
    /// It may: both runs see each other in [`Reservation::others`].
    Allowed,
}

/// The CPUs of a run, reserved until this is dropped.
#[derive(Debug)]
pub struct Reservation {
    file: NamedTempFile,
    claim: Claim,
}

/// The folder of reservations: `/run/lock` if every user may write to it, else `/tmp`.
#[must_use]
pub fn reservations_dir() -> PathBuf {
    let run = Path::new("/run/lock");
    let is_shared = run.metadata().is_ok_and(|folder| folder.mode() & SHARED == SHARED);
    if is_shared { run.to_owned() } else { PathBuf::from("/tmp") }
}

/// Reserves the CPUs of `claim`. The inner error lists the conflicting runs.
///
/// # Errors
/// When the folder cannot be written to.
pub fn reserve(
    dir: &Path,
    claim: Claim,
    sharing: Sharing,
) -> Result<Result<Reservation, Vec<Claim>>, HostError> {
    let failed = |source| HostError::Reserve { dir: dir.to_owned(), source };
    let guard = open_guard(dir).map_err(failed)?;
    guard.lock().map_err(failed)?;
    remove_abandoned(dir);
    let others = others(dir, &claim.cpus, None);
    if sharing == Sharing::Refused && !others.is_empty() {
        return Ok(Err(others));
    }
    let reserved = Reservation::create(dir, claim).map_err(failed)?;
    Ok(Ok(reserved))
}

impl Reservation {
    fn create(dir: &Path, claim: Claim) -> io::Result<Self> {
        let file = tempfile::Builder::new().prefix(PREFIX).suffix(".json").tempfile_in(dir)?;
        file.as_file().set_permissions(Permissions::from_mode(READABLE))?;
        let reservation = Self { file, claim };
        reservation.write()?;
        reservation.file.as_file().lock()?;
        Ok(reservation)
    }

    /// Publishes the name of the run.
    pub fn set_run(&mut self, run: &RunId) {
        self.claim.run = Some(run.clone());
        // The reservation is valid without a name.
        let _ = self.write();
    }

    /// The CPUs that are reserved.
    #[must_use]
    pub fn cpus(&self) -> &CpuSet {
        &self.claim.cpus
    }

    /// The other runs that measure on these CPUs now.
    #[must_use]
    pub fn others(&self) -> Vec<Claim> {
        let dir = self.file.path().parent().unwrap_or(Path::new("/"));
        others(dir, &self.claim.cpus, Some(self.file.path()))
    }

    /// Overwrites the previous claim, which is never longer.
    fn write(&self) -> io::Result<()> {
        let text = serde_json::to_vec(&self.claim)?;
        self.file.as_file().write_all_at(&text, 0)
    }
}

/// The live runs that use one of `cpus`, except for the run of the file `own`.
fn others(dir: &Path, cpus: &CpuSet, own: Option<&Path>) -> Vec<Claim> {
    let theirs = files(dir).filter(|path| Some(path.as_path()) != own);
    let live = theirs.filter_map(|path| {
        let mut file = open(&path).ok()?;
        if !is_locked(&file) {
            return None;
        }
        let mut text = Vec::new();
        file.read_to_end(&mut text).ok()?;
        serde_json::from_slice::<Claim>(&text).ok()
    });
    live.filter(|claim| claim.cpus.iter().any(|cpu| cpus.iter().any(|own| own == cpu))).collect()
}

/// Removes the files of crashed runs. The caller must hold the guard, so that no file is being created.
fn remove_abandoned(dir: &Path) {
    for path in files(dir) {
        if open(&path).is_ok_and(|file| !is_locked(&file)) {
            // Fails for another user's file, which is harmless.
            let _ = std::fs::remove_file(path);
        }
    }
}

fn files(dir: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = dir.read_dir().into_iter().flatten().flatten();
    let is_ours = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with(PREFIX) && name.ends_with(".json"))
    };
    entries.map(|entry| entry.path()).filter(is_ours)
}

/// Whether the run that created a file still lives.
fn is_locked(file: &File) -> bool {
    let attempt = file.try_lock_shared();
    if attempt.is_ok() {
        let _ = file.unlock();
    }
    matches!(attempt, Err(std::fs::TryLockError::WouldBlock))
}

/// Opens an existing file. In a shared folder the links of other users must not be followed, and Linux
/// refuses to open another user's file with `O_CREAT` (`fs.protected_regular`).
fn open(path: &Path) -> io::Result<File> {
    let no_follow = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let flags = i32::try_from(no_follow.bits()).unwrap_or(0);
    File::options().read(true).custom_flags(flags).open(path)
}

fn open_guard(dir: &Path) -> io::Result<File> {
    let path = dir.join(GUARD);
    let made = match open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            File::options().write(true).create_new(true).mode(READABLE).open(&path)
        }
        opened => return opened,
    };
    match made {
        Ok(file) => {
            // The umask may have removed permissions.
            file.set_permissions(Permissions::from_mode(READABLE))?;
            Ok(file)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => open(&path),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(pid: u32, cpus: &str) -> Claim {
        Claim { pid, run: None, results: "results".to_owned(), cpus: cpus.parse().unwrap() }
    }

    #[test]
    fn a_cpu_is_reserved_by_one_run_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let reserve = |claim| reserve(dir.path(), claim, Sharing::Refused).unwrap();
        let mut first = reserve(claim(1, "0-3")).unwrap();
        let beside = reserve(claim(2, "4-5")).unwrap();
        assert_eq!(reserve(claim(3, "3-4")).unwrap_err().len(), 2);
        first.set_run(&RunId("run".to_owned()));
        let named = Claim { run: Some(RunId("run".to_owned())), ..claim(1, "0-3") };
        assert_eq!(reserve(claim(3, "3")).unwrap_err(), [named]);
        assert_eq!((first.others(), beside.others()), (vec![], vec![]));
        drop(first);
        reserve(claim(3, "3")).unwrap();
    }

    #[test]
    fn runs_that_share_cpus_see_each_other() {
        let dir = tempfile::tempdir().unwrap();
        let first = reserve(dir.path(), claim(1, "0-1"), Sharing::Refused).unwrap().unwrap();
        let second = reserve(dir.path(), claim(2, "1-2"), Sharing::Allowed).unwrap().unwrap();
        assert_eq!(first.others(), [claim(2, "1-2")]);
        assert_eq!(second.others(), [claim(1, "0-1")]);
        drop(first);
        assert_eq!(second.others(), []);
    }

    #[test]
    fn the_file_of_a_crashed_run_reserves_nothing_and_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let text = serde_json::to_vec(&claim(1, "0")).unwrap();
        let left = dir.path().join("perf-api-run-left.json");
        std::fs::write(&left, text).unwrap();
        let foreign = dir.path().join("other.json");
        std::fs::write(&foreign, "").unwrap();
        reserve(dir.path(), claim(2, "0"), Sharing::Refused).unwrap().unwrap();
        assert!(!left.exists() && foreign.exists());
    }
}
