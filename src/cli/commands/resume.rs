//! `perf-api resume`: go on with an interrupted run.

use std::process::ExitCode;

use super::conclude::{Ending, conclude, conclude_sides};
use super::measure::{Backend, Measure, Resumed, measure, prepare, resume_flags};
use super::missing;
use super::reserve::{lock, reserve};
use crate::cli::args::LauncherChoice;
use crate::cli::error::CliError;
use crate::cli::output::{Channel, note, print};
use crate::cli::{args, location};
use crate::id::{DatasetId, RunId};
use crate::plan::TrialTotal;
use crate::run::end_interleaved;
use crate::store::{JournalContent, Store};

pub(in crate::cli) async fn resume(args: &args::Resume) -> Result<ExitCode, CliError> {
    let bundle = crate::bundle::read(&args.places.bundle)?;
    let store = location::open(&args.places.results)?;
    let lock = lock(&store, &args.neighbours).await?;
    let run = store.unfinished(&args.run)?;
    let content = store.journal(&run)?;
    if let Some(interleaved) = &content.header.interleaved {
        return end_comparison(&store, &interleaved.name, args.strict).await;
    }
    let JournalContent { header, trials, torn_bytes, .. } = content;
    let plan = crate::plan::plan(&header.experiment, header.order);
    if torn_bytes > 0 {
        note(&format!(
            "left out a torn last record of {torn_bytes} bytes: what it told is done again"
        ));
    }
    note(&format!(
        "going on with `{}`, begun {}: {} trials are done",
        header.experiment.name,
        header.started,
        TrialTotal::of(&plan, 1).progress(trials.len())
    ));
    let launcher = match header.launcher.as_str() {
        "docker" => LauncherChoice::Docker,
        _ => LauncherChoice::Process,
    };
    let mut world =
        Backend::choose(&args.fake, launcher, header.is_published, &header.experiment, &bundle)
            .await?;
    world.fetch(&header.experiment, &bundle).await?;
    let lost = missing(&header.experiment, &bundle, &world);
    if let Some(name) = lost.first() {
        return Err(CliError::new(format!("`{name}` cannot be had on this machine any more"))
            .hint("get it again, then `make setup`: what was measured stays as it is"));
    }
    prepare(&world, &header.experiment, &bundle).await?;
    let reservation = reserve(&world, &plan, &args.neighbours, &args.places).await?;
    let summary = measure(Measure {
        plan: &plan,
        bundle: &bundle,
        unavailable: header.unavailable.clone(),
        store: &store,
        world: &world,
        no_progress: args.no_progress,
        reservation,
        flags: resume_flags(&args.places, args.strict),
        resumed: Some(Resumed { run, header, force: args.force }),
    })
    .await?;
    drop(lock);
    let (is_strict, results) = (args.strict, &*args.places.results);
    conclude(&store, summary, Ending { is_strict, channel: Channel::Output, results }).await
}

/// The unfinished runs of an interleaved comparison. A damaged journal of another run is skipped, with
/// a note.
fn sides(store: &Store, name: &str) -> Result<Vec<RunId>, CliError> {
    let mut runs = Vec::new();
    for run in store.unfinished_runs() {
        match store.journal(&run) {
            Ok(content) => {
                let is_side = content.header.interleaved.is_some_and(|one| one.name == name);
                runs.extend(is_side.then_some(run));
            }
            // The name of a side's run begins with the name of its comparison.
            Err(error) if run.0.starts_with(&format!("{name}-")) => return Err(error.into()),
            Err(error) => note(&format!("skipped the unfinished run {}: {error}", run.0)),
        }
    }
    Ok(runs)
}

/// An interrupted interleaved comparison cannot go on: the sides would not be measured in the same hour
/// any more. What both have whole is kept.
async fn end_comparison(store: &Store, name: &str, is_strict: bool) -> Result<ExitCode, CliError> {
    let mut runs = sides(store, name)?;
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
    let sides: Vec<(DatasetId, &str)> =
        sealed.iter().map(|id| (*id, "of an interrupted comparison")).collect();
    conclude_sides(store, &sides, is_strict).await
}
