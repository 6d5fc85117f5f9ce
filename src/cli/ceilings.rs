//! What the loader can drive on this host: measured before a run, and known for a day.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::CliError;
use super::output::note;
use crate::clock::UnixMillis;
use crate::file::write_atomically;
use crate::host::Topology;
use crate::load::{CeilingRequest, LoadDriver, ceiling};
use crate::model::{Ceiling, Fingerprint, Placement, Plan};
use crate::plan::stacks;
use crate::run::{MOST_OF_CEILING, placement};
use crate::units::CpuSet;

/// For how long a ceiling is known.
const VALID: Duration = Duration::from_secs(24 * 3600);

/// A ceiling that was measured before.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Known {
    at: UnixMillis,
    ceiling: Ceiling,
}

type Cache = BTreeMap<String, Known>;

/// The ceiling for each pair of CPU sets that loader and app have in a plan.
pub(super) async fn ceilings(
    plan: &Plan,
    topology: &Topology,
    host: &Fingerprint,
    now: UnixMillis,
    driver: &mut dyn LoadDriver,
) -> Result<BTreeMap<(CpuSet, CpuSet), Ceiling>, CliError> {
    let file = cache_file();
    let mut cache = file.as_deref().and_then(read).unwrap_or_default();
    let connections = plan.experiment.concurrency.iter().copied().max().unwrap_or(1);
    let highest = plan.experiment.qps.iter().copied().max().unwrap_or(1);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "`as` saturates, and no loader drives as much"
    )]
    let enough_rps = (f64::from(highest) / MOST_OF_CEILING).ceil() as u32;
    let mut found = BTreeMap::new();
    for stack in stacks(&plan.experiment) {
        let Placement { loader, app, .. } = placement(topology, plan, &stack);
        let driver_name = driver.name();
        let key = format!(
            "{}, {driver_name}, {connections} connections, loader {loader}, app {app}",
            host.class()
        );
        let known = cache.get(&key).filter(|known| is_usable(known, now, enough_rps));
        let ceiling = match known {
            Some(known) => known.ceiling,
            None => {
                let kept = file.as_deref().map_or(String::new(), |file| {
                    format!(", kept for a day in {}", file.display())
                });
                note(&format!("finding out what the loader can drive here{kept}"));
                let measured = measured(&loader, &app, connections, enough_rps, driver).await?;
                cache.insert(key, Known { at: now, ceiling: measured });
                measured
            }
        };
        found.insert((loader, app), ceiling);
    }
    if let Some(file) = file {
        write(&file, &cache);
    }
    Ok(found)
}

fn is_usable(known: &Known, now: UnixMillis, enough_rps: u32) -> bool {
    let age = now.0.saturating_sub(known.at.0);
    let is_fresh = known.at <= now && u128::from(age) < VALID.as_millis();
    is_fresh && (!known.ceiling.is_bound || known.ceiling.rps >= enough_rps)
}

async fn measured(
    loader: &CpuSet,
    app: &CpuSet,
    connections: u32,
    enough_rps: u32,
    driver: &mut dyn LoadDriver,
) -> Result<Ceiling, CliError> {
    let dir = tempfile::tempdir()
        .map_err(|error| CliError::new(format!("cannot make a temporary folder: {error}")))?;
    let request = CeilingRequest { loader, app, connections, enough_rps, scratch_dir: dir.path() };
    ceiling(driver, request).await.map_err(|error| {
        CliError::new(format!(
            "cannot find out what the loader can drive: {}",
            crate::model::with_causes(&error)
        ))
    })
}

/// Where ceilings are kept; `None` without a place for caches.
fn cache_file() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let dir = set("XDG_CACHE_HOME").map(PathBuf::from);
    let dir = dir.or_else(|| Some(PathBuf::from(set("HOME")?).join(".cache")))?;
    Some(dir.join("perf-api/ceilings.json"))
}

fn read(file: &Path) -> Option<Cache> {
    serde_json::from_slice(&std::fs::read(file).ok()?).ok()
}

/// A cache that cannot be written costs some seconds the next time.
fn write(file: &Path, cache: &Cache) {
    let text = serde_json::to_vec_pretty(cache).expect("it is plain data");
    let made = file.parent().map(std::fs::create_dir_all);
    if matches!(made, Some(Ok(()))) {
        let _ = write_atomically(file, &text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ceiling_is_known_for_a_day_and_as_far_as_it_was_driven() {
        let known =
            |rps, is_bound| Known { at: UnixMillis(1000), ceiling: Ceiling { rps, is_bound } };
        let day = u64::try_from(VALID.as_millis()).unwrap();
        assert!(is_usable(&known(500, false), UnixMillis(2000), 9000));
        assert!(is_usable(&known(9000, true), UnixMillis(2000), 9000));
        assert!(!is_usable(&known(8000, true), UnixMillis(2000), 9000), "it may hold more");
        assert!(!is_usable(&known(500, false), UnixMillis(1000 + day), 9000));
        assert!(!is_usable(&known(500, false), UnixMillis(0), 9000), "the clock was set back");
    }
}
