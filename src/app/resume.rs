//! Resumes an interrupted run.

use std::path::PathBuf;

use super::AppError;
use super::environment::{Backend, BackendRequest, Machine, lock, prepare, reserve};
use super::event::Observer;
use super::experiment::missing;
use super::measure::Measured;
use super::report::report;
use super::session::{Resumed, Session, execute_run};
use super::settings::{Fake, HostSettings, LauncherChoice, Neighbours};
use super::sides::{SideTrials, side_trials};
use crate::id::{DatasetId, RunId};
use crate::plan::TrialTotal;
use crate::query::Trust;
use crate::run::{Placements, end_interleaved};
use crate::store::{JournalContent, Location, Store};

/// Which run to resume, and how.
#[derive(Clone, Debug)]
pub struct ResumeRequest {
    /// The run, by the name of its folder in `journal`, or `latest`.
    pub run: String,
    /// The file of the bundle that pins the components.
    pub bundle: PathBuf,
    /// Where the run's journal is.
    pub results: Location,
    /// Whether differences are accepted and recorded.
    pub force: bool,
    /// What to do about other runs on the same CPUs.
    pub neighbours: Neighbours,
    /// What the user's environment says.
    pub host: HostSettings,
    /// Compute instead of measuring, for tests.
    pub fake: Option<Fake>,
}

/// What came of a run that was interrupted.
#[derive(Debug)]
pub enum ResumeOutcome {
    /// It was completed.
    Completed(Box<Measured>),
    /// It was an interleaved comparison, which cannot be resumed: the blocks that all sides have whole were
    /// sealed. One dataset alone is what a crash leaves when the other was sealed, or never began.
    Sealed(Vec<(DatasetId, SideTrials)>),
}

/// Resumes an interrupted run, or ends an interrupted comparison with what it has.
///
/// # Errors
/// When there is no such run, when something is not the same as before and `force` was not given, or when
/// the run fails.
pub async fn resume(
    request: &ResumeRequest,
    observer: &mut dyn Observer,
) -> Result<ResumeOutcome, AppError> {
    let bundle = crate::bundle::read(&request.bundle)?;
    let store = Store::open(&request.results)?;
    let lock = lock(&store, &request.neighbours, observer).await?;
    let run = store.unfinished(&request.run)?;
    let content = store.journal(&run)?;
    if let Some(interleaved) = &content.header.interleaved {
        return end_comparison(&store, &interleaved.name, observer).await;
    }
    let JournalContent { header, trials, torn_bytes, .. } = content;
    let experiment = &header.experiment;
    let plan = crate::plan::plan(experiment, header.order);
    if torn_bytes > 0 {
        observer.note(&format!(
            "skipped an incomplete last record of {torn_bytes} bytes: its trial is repeated"
        ));
    }
    observer.note(&format!(
        "resuming `{}`, started {}: {} trials are done",
        experiment.name,
        header.started,
        TrialTotal::of(&plan, 1).progress(trials.len())
    ));
    let backend = BackendRequest {
        fake: request.fake.as_ref(),
        launcher: LauncherChoice::recorded(&header.launcher),
        publish: header.is_published,
        docker: &request.host.docker,
        experiment,
        bundle: &bundle,
    };
    let mut backend = Backend::choose(backend, observer).await?;
    backend.fetch(experiment, &bundle, observer).await?;
    if let Some(name) = missing(experiment, &bundle, &backend).first() {
        return Err(AppError::new(format!("`{name}` is missing on this host"))
            .hint("install it again, then `make setup`: measured trials are kept"));
    }
    let machine = Machine::detect(request.fake.as_ref())?;
    let placements = Placements::of(&machine.topology, &plan);
    prepare(&backend, &machine, experiment, &bundle, observer).await?;
    let reservation = match backend {
        Backend::Fake(_) => None,
        _ => Some(reserve(&placements, &request.neighbours, &store, observer).await?),
    };
    let session = Session {
        plan: &plan,
        placements: &placements,
        machine: &machine,
        bundle: &bundle,
        unavailable: header.unavailable.clone(),
        store: &store,
        backend: &backend,
        host: &request.host,
        reservation,
        resumed: Some(Resumed { run, header, force: request.force }),
    };
    let summary = execute_run(session, observer).await?;
    drop(lock);
    let report = report(&store, summary.dataset, Trust::Verify).await?;
    let measured = Measured { store, recorded: summary.recorded, report };
    Ok(ResumeOutcome::Completed(Box::new(measured)))
}

/// The unfinished runs of an interleaved comparison. A damaged journal of another run is skipped, with
/// a note.
fn unfinished_sides(
    store: &Store,
    name: &str,
    observer: &mut dyn Observer,
) -> Result<Vec<RunId>, AppError> {
    let mut runs = Vec::new();
    for run in store.unfinished_runs() {
        match store.journal(&run) {
            Ok(content) => {
                let is_side = content.header.interleaved.is_some_and(|one| one.name == name);
                runs.extend(is_side.then_some(run));
            }
            // The name of a side's run begins with the name of its comparison.
            Err(error) if run.0.starts_with(&format!("{name}-")) => return Err(error.into()),
            Err(error) => {
                observer.note(&format!("skipped the unfinished run {}: {error}", run.0));
            }
        }
    }
    Ok(runs)
}

/// Seals what all sides of an interrupted comparison have whole. It cannot be resumed: the sides would not
/// be measured in the same hour any more.
async fn end_comparison(
    store: &Store,
    name: &str,
    observer: &mut dyn Observer,
) -> Result<ResumeOutcome, AppError> {
    let mut runs = unfinished_sides(store, name, observer)?;
    // The names end in `after` and `before`.
    runs.sort_by(|a, b| b.cmp(a));
    observer.note("an interleaved comparison cannot be resumed: its complete blocks are sealed");
    let mut sealed = Vec::new();
    for id in end_interleaved(store, &runs).await? {
        sealed.push((id, side_trials(store, id).await?));
    }
    Ok(ResumeOutcome::Sealed(sealed))
}
