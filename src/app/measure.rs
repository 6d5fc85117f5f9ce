//! Measures an experiment: `run`, `quick` and `full`, and the base of every other use case that measures.

use super::AppError;
use super::environment::{
    Backend, BackendRequest, Machine, check_room, forget, lock, prepare, reserve,
};
use super::event::Observer;
use super::experiment::{experiment, missing, without};
use super::report::{Report, report};
use super::session::{Session, execute_run};
use super::settings::RunSettings;
use crate::model::{Bundle, Experiment, Order};
use crate::query::Trust;
use crate::run::{Placements, Recorded};
use crate::store::Store;

/// The spec that measures what it can: without components that cannot be had, on CPUs that are shared.
pub(super) const SMOKE_RUN: &str = "quick";

/// What to measure, and how.
#[derive(Clone, Debug)]
pub struct MeasureRequest {
    /// The name of a spec that is built in, or the path of a file.
    pub spec: String,
    /// How the run is made.
    pub settings: RunSettings,
}

/// What came of a run.
#[derive(Debug)]
pub struct Measured {
    /// Where the dataset is.
    pub store: Store,
    /// What the trials became.
    pub recorded: Recorded,
    /// What the dataset shows, compared with its hashes.
    pub report: Report,
}

/// Measures an experiment, from its checks to the sealed dataset.
///
/// # Errors
/// When the spec is wrong, the host or the system refuses, or the observer stops the run.
pub async fn measure(
    request: &MeasureRequest,
    observer: &mut dyn Observer,
) -> Result<Measured, AppError> {
    let MeasureRequest { spec, settings } = request;
    let is_smoke_run = spec == SMOKE_RUN;
    let bundle = crate::bundle::read(&settings.bundle)?;
    let experiment = experiment(spec, &settings.overrides, &bundle, observer)?;
    let settings = RunSettings {
        allow_missing: settings.allow_missing || is_smoke_run,
        share_cpus: settings.share_cpus || is_smoke_run && !settings.is_strict,
        ..settings.clone()
    };
    let machine = Machine::detect(settings.fake.as_ref())?;
    let job = Job { bundle: &bundle, experiment, order: settings.order(), machine: &machine };
    execute(job, &settings, observer).await
}

/// What is measured, and on what.
pub(super) struct Job<'run> {
    pub bundle: &'run Bundle,
    pub experiment: Experiment,
    pub order: Order,
    pub machine: &'run Machine,
}

/// Measures a checked experiment, until its dataset is sealed and read again.
pub(super) async fn execute(
    job: Job<'_>,
    settings: &RunSettings,
    observer: &mut dyn Observer,
) -> Result<Measured, AppError> {
    let Job { bundle, experiment, order, machine } = job;
    let backend = backend(bundle, &experiment, settings, observer).await?;
    let missing = missing(&experiment, bundle, &backend);
    let allow_missing = settings.allow_missing;
    let experiment = without(experiment, &missing, bundle, &backend, allow_missing, observer)?;
    let plan = crate::plan::plan(&experiment, order);
    let placements = Placements::of(&machine.topology, &plan);
    check_room(&plan, machine, &placements, settings.share_cpus, observer)?;
    prepare(&backend, machine, &experiment, bundle, observer).await?;
    if settings.remeasure {
        forget(settings.host.loader_floors.as_deref())?;
    }
    let store = Store::create(&settings.results)?;
    let lock = lock(&store, &settings.neighbours, observer).await?;
    let reservation = match backend {
        Backend::Fake(_) => None,
        _ => Some(reserve(&placements, &settings.neighbours, &store, observer).await?),
    };
    // A place that cannot be reached is noticed now, and not hours later.
    store.names().await?;
    let session = Session {
        plan: &plan,
        placements: &placements,
        machine,
        bundle,
        unavailable: missing,
        store: &store,
        backend: &backend,
        host: &settings.host,
        reservation,
        resumed: None,
    };
    let summary = execute_run(session, observer).await?;
    drop(lock);
    let report = report(&store, summary.dataset, Trust::Verify).await?;
    Ok(Measured { store, recorded: summary.recorded, report })
}

/// The backend that the settings ask for, with its images.
pub(super) async fn backend(
    bundle: &Bundle,
    experiment: &Experiment,
    settings: &RunSettings,
    observer: &mut dyn Observer,
) -> Result<Backend, AppError> {
    let request = BackendRequest {
        fake: settings.fake.as_ref(),
        launcher: settings.launcher,
        publish: settings.publish,
        docker: &settings.host.docker,
        experiment,
        bundle,
    };
    let mut backend = Backend::choose(request, observer).await?;
    backend.fetch(experiment, bundle, observer).await?;
    Ok(backend)
}
