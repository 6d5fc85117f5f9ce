//! `perf-api resume`: go on with an interrupted run.

use std::process::ExitCode;

use super::measure::{Measure, Resumed, World, conclude, measure, prepare};
use super::missing;
use crate::cli::args::LauncherChoice;
use crate::cli::error::CliError;
use crate::cli::output::{note, print};
use crate::cli::{args, location};
use crate::plan::expected_trials;
use crate::run::end_interleaved;
use crate::store::{JournalContent, Store};

pub(in crate::cli) async fn resume(args: &args::Resume) -> Result<ExitCode, CliError> {
    let bundle = crate::bundle::read(&args.places.bundle)?;
    let store = location::open(&args.places.results)?;
    let lock = store.lock()?;
    let run = store.unfinished(&args.run)?;
    let content = store.journal(&run)?;
    if let Some(interleaved) = &content.header.interleaved {
        return end_comparison(&store, &interleaved.name).await;
    }
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

/// A comparison by turns cannot go on: the sides would not be measured in the same hour any more. What
/// both have whole is kept.
async fn end_comparison(store: &Store, name: &str) -> Result<ExitCode, CliError> {
    let mut runs = Vec::new();
    for run in store.unfinished_runs() {
        let header = store.journal(&run)?.header;
        if header.interleaved.is_some_and(|interleaved| interleaved.name == name) {
            runs.push(run);
        }
    }
    // The names end in `after` and `before`.
    runs.sort_by(|a, b| b.cmp(a));
    note("a comparison by turns cannot go on after an interruption, and ends with what it has");
    let sealed = end_interleaved(store, &runs).await?;
    for dataset in &sealed {
        print(&format!("dataset {dataset}\n"))?;
    }
    match sealed[..] {
        [] => note("no block was measured whole on both sides: there is nothing to keep"),
        [before, after] => note(&format!(
            "`perf-api report --compare {} {}` compares them",
            before.short(),
            after.short()
        )),
        _ => note("of the other side nothing is left here: it was sealed before, or never began"),
    }
    Ok(ExitCode::SUCCESS)
}
