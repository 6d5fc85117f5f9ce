//! `perf-api resume`: go on with an interrupted run.

use std::process::ExitCode;

use super::measure::{Measure, Resumed, World, conclude, measure, prepare};
use super::missing;
use crate::cli::args::LauncherChoice;
use crate::cli::error::CliError;
use crate::cli::output::note;
use crate::cli::{args, location};
use crate::plan::expected_trials;
use crate::store::JournalContent;

pub(in crate::cli) async fn resume(args: &args::Resume) -> Result<ExitCode, CliError> {
    let bundle = crate::bundle::read(&args.places.bundle)?;
    let store = location::open(&args.places.results)?;
    let lock = store.lock()?;
    let run = store.unfinished(&args.run)?;
    let content = store.journal(&run)?;
    let JournalContent { header, trials, torn_bytes, .. } = content;
    let plan = crate::plan::plan(&header.experiment, header.order);
    if torn_bytes > 0 {
        note(&format!(
            "left out a torn last record of {torn_bytes} bytes: what it told is done again"
        ));
    }
    note(&format!(
        "going on with `{}`, begun {}: {} of {} trials are done",
        header.experiment.name,
        header.started,
        trials.len(),
        expected_trials(&plan)
    ));
    let launcher = match header.launcher.as_str() {
        "docker" => LauncherChoice::Docker,
        _ => LauncherChoice::Process,
    };
    let mut world =
        World::choose(&args.fake, launcher, header.is_published, &header.experiment, &bundle)
            .await?;
    world.fetch(&header.experiment, &bundle).await?;
    let lost = missing(&header.experiment, &bundle, &world);
    if let Some(name) = lost.first() {
        return Err(CliError::new(format!("`{name}` cannot be had on this machine any more"))
            .hint("get it again, then `make setup`: what was measured stays as it is"));
    }
    prepare(&world, &header.experiment, &bundle).await?;
    let summary = measure(Measure {
        plan: &plan,
        bundle: &bundle,
        unavailable: header.unavailable.clone(),
        store: &store,
        world: &world,
        no_progress: args.no_progress,
        places: &args.places,
        resumed: Some(Resumed { run, header, force: args.force }),
    })
    .await?;
    drop(lock);
    conclude(&store, summary, false).await
}
