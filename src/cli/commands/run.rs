//! `perf-api run`, `quick` and `full`: measure.

use std::process::ExitCode;

use super::measure::{Measure, World, check_room, conclude, measure, prepare};
use super::{experiment, missing, missing_words};
use crate::cli::error::CliError;
use crate::cli::output::note;
use crate::cli::{args, location};
use crate::model::{Bundle, ComponentName, Experiment, Order};
use crate::run::RunSummary;
use crate::store::Store;

pub(in crate::cli) async fn run(
    spec: &str,
    args: &args::Run,
    is_smoke_run: bool,
) -> Result<ExitCode, CliError> {
    let bundle = crate::bundle::read(&args.places.bundle)?;
    let experiment = experiment(spec, &args.factors, &bundle)?;
    let (store, summary) =
        execute(&bundle, experiment, args.order.into(), args, is_smoke_run).await?;
    conclude(&store, summary, args.strict).await
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
        World::choose(&args.fake, args.launcher, args.publish, &experiment, bundle).await?;
    world.fetch(&experiment, bundle).await?;
    let missing = missing(&experiment, bundle, &world);
    let allowed = args.allow_missing || is_smoke_run;
    let experiment = without(experiment, &missing, bundle, &world, allowed)?;
    let plan = crate::plan::plan(&experiment, order);
    check_room(&plan, &world.topology()?, args.fit || is_smoke_run && !args.strict)?;
    prepare(&world, &experiment, bundle).await?;
    let store = location::create(&args.places.results)?;
    let lock = store.lock()?;
    // A place that cannot be reached is told now, and not hours later.
    store.names().await?;
    let summary = measure(Measure {
        plan: &plan,
        bundle,
        unavailable: missing,
        store: &store,
        world: &world,
        no_progress: args.no_progress,
        places: &args.places,
        resumed: None,
    })
    .await?;
    drop(lock);
    Ok((store, summary))
}

/// An experiment without what cannot be had here, when that is allowed and something is left.
fn without(
    mut experiment: Experiment,
    missing: &[ComponentName],
    bundle: &Bundle,
    world: &World,
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
