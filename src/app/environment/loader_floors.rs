//! What the loader was seen to drive on this host, kept from run to run.
//!
//! Only lower bounds are kept: a rate that was driven on time proves that the loader can drive it, and
//! nothing that a busy moment does can make it too high. So a bound only rises until it expires. Limits
//! are not kept: see [`crate::run::loader_limit`].

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::app::AppError;
use crate::clock::UnixMillis;
use crate::file::write_atomically;
use crate::units::CpuSet;

/// For how long a bound holds: after that a kernel or a setting may have made the host slower.
const VALID: Duration = Duration::from_secs(24 * 3600);
/// The version of the file. One of another version is ignored, and so is the unversioned
/// `ceilings.json` of older programs.
const VERSION: u32 = 2;

/// What a bound holds for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::app) struct Setting {
    /// The processor, and how many CPUs of it.
    pub host: String,
    /// The load driver and its version.
    pub driver: String,
    /// Open connections.
    pub connections: u32,
    /// The CPUs of the loader.
    pub loader: CpuSet,
    /// The CPUs of the app.
    pub app: CpuSet,
}

/// A rate that the loader drove on time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::app) struct Floor {
    #[serde(flatten)]
    pub setting: Setting,
    /// Requests per second.
    pub rps: u32,
    /// When it drove them last.
    pub at: UnixMillis,
}

impl Floor {
    fn is_valid(&self, now: UnixMillis) -> bool {
        let age = now.0.saturating_sub(self.at.0);
        self.at <= now && u128::from(age) < VALID.as_millis()
    }
}

/// All bounds of a file.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(in crate::app) struct Floors {
    version: u32,
    floors: Vec<Floor>,
}

impl Floors {
    /// The bounds of a file; none where there is no file, or one that cannot be read.
    pub(in crate::app) fn read(file: Option<&Path>, now: UnixMillis) -> Self {
        file.map_or_else(Self::default, |file| Self::of(file, now))
    }

    fn of(file: &Path, now: UnixMillis) -> Self {
        let read = std::fs::read(file).ok();
        let floors = read.and_then(|text| serde_json::from_slice::<Self>(&text).ok());
        let mut floors = floors.filter(|floors| floors.version == VERSION).unwrap_or_default();
        floors.floors.retain(|floor| floor.is_valid(now));
        floors
    }

    /// The highest rate that was driven in a setting.
    pub(in crate::app) fn rps(&self, setting: &Setting) -> Option<u32> {
        self.floors.iter().find(|floor| floor.setting == *setting).map(|floor| floor.rps)
    }

    /// The bounds of a host and a load driver.
    pub(in crate::app) fn of_host(&self, host: &str, driver: &str) -> Vec<&Floor> {
        let is_of = |setting: &Setting| setting.host == host && setting.driver == driver;
        self.floors.iter().filter(|floor| is_of(&floor.setting)).collect()
    }

    /// Adds a rate that was driven; a bound never falls.
    fn raise(&mut self, new: Floor) {
        match self.floors.iter_mut().find(|floor| floor.setting == new.setting) {
            Some(floor) if floor.rps <= new.rps => *floor = new,
            Some(_) => {}
            None => self.floors.push(new),
        }
    }
}

/// Adds rates that were driven to what is kept, with what other runs added in the meantime.
///
/// A file that cannot be written costs some seconds at the next run.
pub(in crate::app) fn keep(file: Option<&Path>, driven: Vec<Floor>, now: UnixMillis) {
    if let Some(file) = file.filter(|_| !driven.is_empty()) {
        add(file, driven, now);
    }
}

fn add(file: &Path, driven: Vec<Floor>, now: UnixMillis) {
    let mut floors = Floors::of(file, now);
    floors.version = VERSION;
    driven.into_iter().for_each(|floor| floors.raise(floor));
    let text = serde_json::to_vec_pretty(&floors).expect("it is plain data");
    let made = file.parent().map(std::fs::create_dir_all);
    if matches!(made, Some(Ok(()))) {
        let _ = write_atomically(file, &text);
    }
}

/// Removes every bound that is kept.
///
/// # Errors
/// When the file cannot be removed.
pub(in crate::app) fn forget(file: Option<&Path>) -> Result<(), AppError> {
    let Some(file) = file else { return Ok(()) };
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(AppError::new(format!("cannot remove {}: {error}", file.display())))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(10_000_000_000);

    fn floor(connections: u32, rps: u32, at: UnixMillis) -> Floor {
        let cpus: CpuSet = "0-1".parse().unwrap();
        let (host, driver) = ("host".to_owned(), "driver 1".to_owned());
        let setting = Setting { host, driver, connections, loader: cpus.clone(), app: cpus };
        Floor { setting, rps, at }
    }

    fn rps(file: &Path, connections: u32, now: UnixMillis) -> Option<u32> {
        Floors::of(file, now).rps(&floor(connections, 0, now).setting)
    }

    #[test]
    fn a_bound_only_rises_until_it_expires() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("cache/floors.json");
        assert_eq!(rps(&file, 10, NOW), None);
        add(&file, vec![floor(10, 5000, NOW), floor(20, 100, NOW)], NOW);
        add(&file, vec![floor(10, 487, NOW)], NOW);
        assert_eq!(rps(&file, 10, NOW), Some(5000));
        add(&file, vec![floor(10, 5001, NOW)], NOW);
        assert_eq!(rps(&file, 10, NOW), Some(5001));
        assert_eq!(rps(&file, 20, NOW), Some(100));
        assert_eq!(rps(&file, 30, NOW), None, "of other connections nothing is known");
        let day = u64::try_from(VALID.as_millis()).unwrap();
        assert_eq!(rps(&file, 10, UnixMillis(NOW.0 + day - 1)), Some(5001));
        assert_eq!(rps(&file, 10, UnixMillis(NOW.0 + day)), None);
        assert_eq!(rps(&file, 10, UnixMillis(NOW.0 - 1)), None, "the clock was set back");
        // Driven again it holds for another day.
        let later = UnixMillis(NOW.0 + day / 2);
        add(&file, vec![floor(10, 5001, later)], later);
        assert_eq!(rps(&file, 10, UnixMillis(NOW.0 + day)), Some(5001));
        assert_eq!(rps(&file, 20, UnixMillis(NOW.0 + day)), None);
    }

    #[test]
    fn a_file_of_another_version_or_with_other_content_is_ignored_and_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("floors.json");
        let known = serde_json::to_string(&floor(10, 487, NOW)).unwrap();
        let texts = [
            format!(r#"{{"version":1,"floors":[{known}]}}"#),
            format!(r#"{{"version":3,"floors":[{known}]}}"#),
            format!(r#"{{"floors":[{known}]}}"#),
            r#"{"host, driver 1, 10 connections":{"at":1,"ceiling":{"rps":487,"is_bound":false}}}"#
                .to_owned(),
            "{".to_owned(),
        ];
        for text in texts {
            std::fs::write(&file, &text).unwrap();
            assert_eq!(rps(&file, 10, NOW), None, "{text}");
            add(&file, vec![floor(10, 50, NOW)], NOW);
            assert_eq!(rps(&file, 10, NOW), Some(50), "{text}");
        }
    }
}
