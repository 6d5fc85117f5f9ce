//! The CPUs of a run: reserved before anything is measured, so that two runs do not disturb each other.

use std::time::Duration;

use futures::future::LocalBoxFuture;

use crate::app::AppError;
use crate::app::event::Observer;
use crate::app::settings::{NeighbourPolicy, Neighbours};
use crate::host::{Claim, Reservation, Sharing, reservations_dir};
use crate::run::Placements;
use crate::store::{Location, Lock, Store, StoreError};

/// How often a run that waits looks whether it can begin.
const WAIT_POLL: Duration = Duration::from_millis(500);

/// Reserves all CPUs that the trials of a run use.
///
/// # Errors
/// When another run measures on one of them and the policy is to refuse.
pub(in crate::app) async fn reserve(
    placements: &Placements,
    neighbours: &Neighbours,
    store: &Store,
    observer: &mut dyn Observer,
) -> Result<Reservation, AppError> {
    let dir = neighbours.reservations.clone().unwrap_or_else(reservations_dir);
    let claim = Claim {
        pid: std::process::id(),
        run: None,
        results: shown(store.location()),
        cpus: placements.cpus(),
    };
    let sharing = match neighbours.policy {
        NeighbourPolicy::Measure => Sharing::Allowed,
        NeighbourPolicy::Refuse | NeighbourPolicy::Wait => Sharing::Refused,
    };
    let mut wait = Wait::default();
    loop {
        let others = match crate::host::reserve(&dir, claim.clone(), sharing)? {
            Ok(reservation) => {
                let others = reservation.others();
                if let Some(others) = as_text(&others) {
                    observer
                        .note(&format!("measuring beside {others}: trials are marked `host_busy`"));
                }
                return Ok(reservation);
            }
            Err(others) => others,
        };
        let others = as_text(&others).unwrap_or_default();
        let message = format!("CPUs {} are in use by {others}", claim.cpus);
        if neighbours.policy != NeighbourPolicy::Wait {
            return Err(AppError::new(message).hint("`--wait` waits until it has ended").hint(
                "`--allow-busy` measures beside it; trials of both are then marked `host_busy`",
            ));
        }
        wait.on(&message, observer).await?;
    }
}

/// Takes the right to write to a results folder; waits for it with `--wait`.
///
/// Who needs both takes this right first and reserves CPUs then: in one order, so that no two runs wait
/// for each other.
pub(in crate::app) async fn lock(
    store: &Store,
    neighbours: &Neighbours,
    observer: &mut dyn Observer,
) -> Result<Lock, AppError> {
    let is_waiting = neighbours.policy == NeighbourPolicy::Wait;
    let mut wait = Wait::default();
    loop {
        match store.lock() {
            Err(error @ StoreError::Locked { .. }) if is_waiting => {
                wait.on(&error.to_string(), observer).await?;
            }
            Err(error @ StoreError::Locked { .. }) => {
                return Err(AppError::from(error).hint("`--wait` does so"));
            }
            result => return Ok(result?),
        }
    }
}

#[derive(Default)]
struct Wait {
    /// There from the first moment on that is waited.
    stop: Option<LocalBoxFuture<'static, &'static str>>,
}

impl Wait {
    /// Waits a moment; at the first time, notes what for.
    async fn on(&mut self, message: &str, observer: &mut dyn Observer) -> Result<(), AppError> {
        if self.stop.is_none() {
            observer.note(&format!("waiting: {message}"));
        }
        let stop = self.stop.get_or_insert_with(|| observer.stop_requested());
        tokio::select! {
            () = tokio::time::sleep(WAIT_POLL) => Ok(()),
            reason = stop => {
                Err(AppError::interrupted(format!("{reason} while waiting for another run")))
            }
        }
    }
}

/// Results as another user finds them: an absolute path, or a URL.
fn shown(location: &Location) -> String {
    match location {
        Location::Folder(folder) => {
            std::path::absolute(folder).unwrap_or_else(|_| folder.clone()).display().to_string()
        }
        Location::Objects { .. } => location.to_string(),
    }
}

fn as_text(others: &[Claim]) -> Option<String> {
    let words = others.iter().map(|Claim { pid, run, results, .. }| {
        let name = run.as_ref().map_or("another run".to_owned(), |run| format!("run {run}"));
        format!("{name} (pid {pid}, results in {results})")
    });
    (!others.is_empty()).then(|| words.collect::<Vec<_>>().join(" and "))
}
