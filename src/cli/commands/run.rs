//! `perf-api run`, `quick` and `full`: measure.

use std::process::ExitCode;

use super::conclude::{Ending, conclude};
use super::measure::{Backend, Measure, check_room, measure, prepare, resume_flags};
use super::reserve::{lock, reserve};
use super::{experiment, missing, missing_words};
use crate::cli::error::CliError;
use crate::cli::floors::forget;
use crate::cli::output::{Channel, note};
use crate::cli::{args, location};
use crate::model::{Bundle, ComponentName, Experiment, Order};
use crate::run::RunSummary;
use crate::store::Store;

/// The spec that measures what it can: without components that cannot be had, on CPUs that are shared.
pub(super) const SMOKE_RUN: &str = "quick";

pub(in crate::cli) async fn run(spec: &str, args: &args::Run) -> Result<ExitCode, CliError> {
    let is_smoke_run = spec == SMOKE_RUN;
    let bundle = crate::bundle::read(&args.places.bundle)?;
    let experiment = experiment(spec, &args.factors, &bundle)?;
    let (store, summary) = execute(&bundle, experiment, args.order(), args, is_smoke_run).await?;
    conclude(&store, summary, args.ending()).await
}

impl args::Run {
    /// How the end of such a run is shown.
    pub(super) fn ending(&self) -> Ending<'_> {
        let (is_strict, results) = (self.strict, &*self.places.results);
        Ending { is_strict, channel: Channel::Output, results }
    }
}

/// Measures an experiment, from its checks to the sealed dataset.
pub(super) async fn execute(
    bundle: &Bundle,
    experiment: Experiment,
    order: Order,
    args: &args::Run,
    is_smoke_run: bool,
) -> Result<(Store, RunSummary), CliError> {
    let mut world =
        Backend::choose(&args.fake, args.launcher, args.publish, &experiment, bundle).await?;
    world.fetch(&experiment, bundle).await?;
    let missing = missing(&experiment, bundle, &world);
    let allowed = args.allow_missing || is_smoke_run;
    let experiment = without(experiment, &missing, bundle, &world, allowed)?;
    let plan = crate::plan::plan(&experiment, order);
    check_room(&plan, &world.topology()?, args.allow_shared_cpus || is_smoke_run && !args.strict)?;
    prepare(&world, &experiment, bundle).await?;
    if args.remeasure {
        forget()?;
    }
    let store = location::create(&args.places.results)?;
    let lock = lock(&store, &args.neighbours).await?;
    let reservation = reserve(&world, &plan, &args.neighbours, &args.places).await?;
    // A place that cannot be reached is told now, and not hours later.
    store.names().await?;
    let summary = measure(Measure {
        plan: &plan,
        bundle,
        unavailable: missing,
        store: &store,
        world: &world,
        no_progress: args.no_progress,
        reservation,
        flags: resume_flags(&args.places, args.strict),
        resumed: None,
    })
    .await?;
    drop(lock);
    Ok((store, summary))
}

/// An experiment without what cannot be had here, when that is allowed and something is left.
pub(super) fn without(
    mut experiment: Experiment,
    missing: &[ComponentName],
    bundle: &Bundle,
    world: &Backend,
    allowed: bool,
) -> Result<Experiment, CliError> {
    if missing.is_empty() {
        return Ok(experiment);
    }
    note(&missing_words(missing, bundle, world));
    if !allowed {
        return Err(CliError::new("a component of the spec cannot be had on this machine")
            .hint("get it as is said above, then `make setup`")
            .hint("`--allow-missing` measures the rest; the dataset then says what was missing"));
    }
    experiment.apps.retain(|name| !missing.contains(name));
    experiment.stores.retain(|name| !missing.contains(name));
    if experiment.apps.is_empty() || experiment.stores.is_empty() {
        return Err(CliError::new("nothing is left to measure: no app or no store can be had")
            .hint("get what is named above, then `make setup`"));
    }
    Ok(experiment)
}
