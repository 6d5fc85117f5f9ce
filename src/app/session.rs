//! One run on a prepared host: from its first trial to the sealed dataset, an error, or a request to stop.

use std::collections::BTreeMap;

use super::AppError;
use super::environment::{Backend, Environment, Machine, host_checks};
use super::event::{Event, Observer};
use super::settings::HostSettings;
use crate::host::Reservation;
use crate::id::RunId;
use crate::launch::LaunchError;
use crate::model::{Bundle, Ceiling, ComponentName, Plan, with_causes};
use crate::plan::TrialTotal;
use crate::process;
use crate::run::{self, Beginning, Placements, RunError, RunRequest, RunSummary, differences};
use crate::store::{Difference, Header, Store};
use crate::units::CpuSet;

/// A run on a prepared host.
pub(super) struct Session<'run> {
    pub plan: &'run Plan,
    pub placements: &'run Placements,
    pub machine: &'run Machine,
    pub bundle: &'run Bundle,
    pub unavailable: Vec<ComponentName>,
    pub store: &'run Store,
    pub backend: &'run Backend,
    /// What the user's environment says.
    pub host: &'run HostSettings,
    /// The CPUs of the run; `None` for a run that is computed.
    pub reservation: Option<Reservation>,
    /// The unfinished run that is resumed.
    pub resumed: Option<Resumed>,
}

/// An unfinished run.
pub(super) struct Resumed {
    pub run: RunId,
    pub header: Header,
    /// Whether differences are accepted.
    pub force: bool,
}

/// Executes a run until its end or until the observer stops it.
pub(super) async fn execute_run(
    session: Session<'_>,
    observer: &mut dyn Observer,
) -> Result<RunSummary, AppError> {
    let Session { plan, placements, bundle, unavailable, store, backend, host, .. } = session;
    let (mut reservation, resumed) = (session.reservation, session.resumed);
    let mut environment =
        Environment::new(backend, session.machine, plan.experiment.loader, plan.experiment.seed)?;
    let id = resumed.as_ref().map_or_else(|| environment.run_id(), |resumed| resumed.run.clone());
    if let Some(reservation) = &mut reservation {
        reservation.set_run(&id);
    }
    let checks = host_checks(backend, plan).await?;
    let ceilings = ceilings(&mut environment, plan, placements, host, observer).await?;
    let mut driven = environment.driven(plan);
    let mut request = RunRequest {
        id: id.clone(),
        beginning: Beginning::New,
        plan,
        bundle,
        unavailable,
        placements,
        ceilings,
        watches_host: !environment.is_fake,
        reservation: reservation.as_ref(),
        is_published: backend.is_published(),
        interleaved: None,
        host: environment.host.clone(),
        checks,
        launcher: environment.launcher.as_mut(),
        driver: environment.driver.as_mut(),
        store,
        clock: &environment.clock,
    };
    if let Some(resumed) = &resumed {
        let accepted_differences = differences(&resumed.header, &request);
        check_differences(&accepted_differences, resumed.force, observer)?;
        request.beginning = Beginning::Resumed { accepted_differences };
    }
    observer.on_event(&Event::RunStarted { plan, sides: 1, may_end_early: false });
    let mut done = 0;
    let stop = observer.stop_requested();
    let mut on_event = |event: &run::Event<'_>| {
        count(&mut done, event);
        driven.on_event(event);
        observer.on_event(&Event::Run { side: None, event });
    };
    // The run is dropped when the observer stops it; that ends its children.
    let finished = tokio::select! {
        finished = run::run(request, &mut on_event) => Ok(finished),
        reason = stop => Err(reason),
    };
    if let Err(reason) = finished {
        observer.note(&format!("\n{reason}: stopping"));
    }
    observer.on_event(&Event::RunEnded);
    driven.keep(host.loader_floors.as_deref(), environment.clock.now());
    let ended = environment.launcher.end_all().await;
    if let (Err(error), false) = (&ended, matches!(finished, Ok(Ok(_)))) {
        observer.note(&format!(
            "a process or container of the run may still be running: {}",
            with_causes(error)
        ));
    }
    match finished {
        Ok(Ok(summary)) => ended.map(|()| summary).map_err(AppError::from),
        Ok(Err(error)) => Err(failed(error, store, &id)),
        Err(_) => {
            let progress = TrialTotal::of(plan, 1).progress(done);
            let message = format!("interrupted after {progress} trials");
            Err(AppError::interrupted(message).with_resumable(&id))
        }
    }
}

/// Counts the trials that are over, with those of an interrupted run.
fn count(done: &mut usize, event: &run::Event<'_>) {
    match event {
        run::Event::Begun(_, finished) => *done = *finished,
        run::Event::Done(_) => *done += 1,
        _ => {}
    }
}

/// What the loader can drive, unless the observer stops the measurement of that.
async fn ceilings(
    environment: &mut Environment,
    plan: &Plan,
    placements: &Placements,
    settings: &HostSettings,
    observer: &mut dyn Observer,
) -> Result<BTreeMap<(CpuSet, CpuSet), Ceiling>, AppError> {
    let stop = observer.stop_requested();
    tokio::select! {
        found = environment.ceilings(plan, placements, settings, observer) => found,
        reason = stop => {
            process::end_all().await.map_err(LaunchError::from)?;
            Err(AppError::interrupted(format!("{reason} before the first trial")))
        }
    }
}

/// Why a run failed; it can be resumed once its journal exists.
fn failed(error: RunError, store: &Store, run: &RunId) -> AppError {
    let error = AppError::from(error);
    let has_begun = store.unfinished(&run.0).is_ok();
    if has_begun { error.with_resumable(run) } else { error }
}

fn check_differences(
    differences: &[Difference],
    force: bool,
    observer: &mut dyn Observer,
) -> Result<(), AppError> {
    if differences.is_empty() {
        return Ok(());
    }
    let differences: Vec<String> = differences
        .iter()
        .map(|one| format!("{} was {}, and is {}", one.what, one.before, one.after))
        .collect();
    let differences = differences.join("; ");
    if force {
        observer.note(&format!("accepted, and recorded in the dataset: {differences}"));
        return Ok(());
    }
    Err(AppError::new(format!(
        "cannot resume the run, since these differ from its start: {differences}"
    ))
    .hint("restore them, or start a new run")
    .hint("`--force` resumes anyway, and the dataset records the differences"))
}
