//! The CPUs of a run: reserved before anything is measured, so that two runs do not disturb each other.

use std::time::Duration;

use super::measure::{Backend, interrupted};
use crate::cli::args::{Neighbours, Places};
use crate::cli::error::CliError;
use crate::cli::output::note;
use crate::host::{Claim, Reservation, Sharing, Topology, reservations_dir};
use crate::model::Plan;
use crate::plan::stacks;
use crate::run::placement;
use crate::store::{Lock, Store, StoreError};
use crate::units::CpuSet;

/// How often a run that waits looks whether it can begin.
const WAIT_POLL: Duration = Duration::from_millis(500);

/// Reserves all CPUs that the trials of `plan` use; `None` for a run that is computed.
///
/// # Errors
/// When another run measures on one of them and neither `--wait` nor `--allow-busy` was given.
pub(super) async fn reserve(
    world: &Backend,
    plan: &Plan,
    neighbours: &Neighbours,
    places: &Places,
) -> Result<Option<Reservation>, CliError> {
    if matches!(world, Backend::Fake { .. }) {
        return Ok(None);
    }
    let dir = neighbours.reservations.clone().unwrap_or_else(reservations_dir);
    let claim = Claim {
        pid: std::process::id(),
        run: None,
        results: shown(&places.results),
        cpus: used_cpus(&world.topology()?, plan),
    };
    let sharing = if neighbours.allow_busy { Sharing::Allowed } else { Sharing::Refused };
    let mut wait = Wait::default();
    loop {
        let others = match crate::host::reserve(&dir, claim.clone(), sharing)? {
            Ok(reservation) => {
                let others = reservation.others();
                if let Some(words) = in_words(&others) {
                    note(&format!("measuring beside {words}: trials are marked `host_busy`"));
                }
                return Ok(Some(reservation));
            }
            Err(others) => others,
        };
        let words = in_words(&others).unwrap_or_default();
        let words = format!("CPUs {} are in use by {words}", claim.cpus);
        if !neighbours.wait {
            return Err(CliError::new(words).hint("`--wait` begins when it has ended").hint(
                "`--allow-busy` measures beside it; trials of both are then marked `host_busy`",
            ));
        }
        wait.on(&words).await?;
    }
}

/// Takes the right to write to a results folder; waits for it with `--wait`.
///
/// Who needs both takes this right first and reserves CPUs then: in one order, so that no two runs wait
/// for each other.
pub(super) async fn lock(store: &Store, neighbours: &Neighbours) -> Result<Lock, CliError> {
    let mut wait = Wait::default();
    loop {
        match store.lock() {
            Err(error @ StoreError::Locked { .. }) if neighbours.wait => {
                wait.on(&error.to_string()).await?;
            }
            Err(error @ StoreError::Locked { .. }) => {
                return Err(CliError::from(error).hint("`--wait` does so"));
            }
            result => return Ok(result?),
        }
    }
}

#[derive(Default)]
struct Wait {
    is_told: bool,
}

impl Wait {
    /// Waits a moment; says at the first time what for.
    async fn on(&mut self, words: &str) -> Result<(), CliError> {
        if !self.is_told {
            note(&format!("waiting: {words}"));
            self.is_told = true;
        }
        tokio::select! {
            () = tokio::time::sleep(WAIT_POLL) => Ok(()),
            name = interrupted() => {
                Err(CliError::interrupted(format!("{name} while waiting for another run")))
            }
        }
    }
}

/// The CPUs that loader, app and store of any stack use.
fn used_cpus(topology: &Topology, plan: &Plan) -> CpuSet {
    let all = stacks(&plan.experiment).into_iter();
    let used = all.map(|stack| placement(topology, plan, &stack).all());
    used.flat_map(|cpus| cpus.iter().collect::<Vec<_>>()).collect()
}

/// Results as another user finds them: an absolute path, or a URL.
fn shown(results: &str) -> String {
    if results.contains("://") {
        return results.to_owned();
    }
    std::path::absolute(results).map_or(results.to_owned(), |path| path.display().to_string())
}

fn in_words(others: &[Claim]) -> Option<String> {
    let words = others.iter().map(|Claim { pid, run, results, .. }| {
        let name = run.as_ref().map_or("another run".to_owned(), |run| format!("run {run}"));
        format!("{name} (pid {pid}, results in {results})")
    });
    (!others.is_empty()).then(|| words.collect::<Vec<_>>().join(" and "))
}
