//! `perf-api ab`: two versions by turns in one run, and the verdict on them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use super::compare::judge;
use super::conclude::conclude_sides;
use super::measure::{
    Backend, Environment, check_room, has_images, host_checks, interrupted, prepare,
};
use super::reserve::{lock, reserve};
use super::run::without;
use super::{experiment, missing};
use crate::cli::args::LauncherChoice;
use crate::cli::error::CliError;
use crate::cli::floors::forget;
use crate::cli::output::{Progress, note};
use crate::cli::{args, location};
use crate::compare::{Rules, is_decided, looks};
use crate::host::Reservation;
use crate::id::RunId;
use crate::model::rules::{ALPHA, Exit};
use crate::model::{
    Bundle, Ceiling, Check, ComponentKind, ComponentName, Experiment, Interleaved, Metric, Plan,
    differing_facts, with_causes,
};
use crate::plan::{estimate, plan};
use crate::run::{Beginning, Event, Interim, RunRequest, end_interleaved, interleave};
use crate::store::Store;
use crate::units::CpuSet;

/// What has to be decided before a run ends early, when nothing is named.
const DECIDING: [Metric; 4] = [Metric::Rate, Metric::P50, Metric::P95, Metric::Errors];
/// Fewer blocks decide nothing.
const MIN_BLOCKS: u32 = 3;

pub(in crate::cli) async fn ab(args: &args::Ab) -> Result<ExitCode, CliError> {
    let run = &args.run;
    let bundles = [&args.before, &args.after].map(|path| bundle(path, &run.places.bundle));
    let [before, after] = bundles;
    let bundles = [before?, after?];
    let mut experiment = experiment(&args.spec, &run.factors, &bundles[0])?;
    check_sides(args, &bundles, &experiment)?;
    let launcher = common_launcher(run.launcher, &bundles, &experiment);
    let mut worlds = Vec::new();
    let mut unavailable = Vec::new();
    for bundle in &bundles {
        let world = world(args, launcher, bundle, &experiment).await?;
        let missing = missing(&experiment, bundle, &world);
        experiment = without(experiment, &missing, bundle, &world, run.allow_missing)?;
        unavailable.extend(missing);
        worlds.push(world);
    }
    check_named(args, &bundles[0], &experiment)?;
    if args.until_decided {
        experiment.repetitions = blocks_within(&experiment, args)?;
    }
    let plan = plan(&experiment, run.order());
    check_room(&plan, &worlds[0].topology()?, run.allow_shared_cpus)?;
    for (world, bundle) in worlds.iter().zip(&bundles) {
        prepare(world, &experiment, bundle).await?;
    }
    if run.remeasure {
        forget()?;
    }
    let store = location::create(&run.places.results)?;
    let lock = lock(&store, &run.neighbours).await?;
    let reservation = reserve(&worlds[0], &plan, &run.neighbours, &run.places).await?;
    store.names().await?;
    let looks = if args.until_decided { looks(plan.experiment.repetitions) } else { vec![] };
    let sides = Sides {
        args,
        plan: &plan,
        bundles: &bundles,
        unavailable: &unavailable,
        worlds: &worlds,
        looks: &looks,
    };
    let (ids, name) = sides.measure(&store, reservation).await?;
    let sealed = end_interleaved(&store, &ids).await?;
    drop(lock);
    let [before, after] = sealed[..] else {
        let mut error = CliError::new("no block was measured whole on both sides")
            .hint("a block is one repetition of every case on both sides");
        error.code = if name.is_some() { Exit::Interrupted } else { error.code };
        return Err(error);
    };
    if let Some(name) = name {
        note(&format!("{name}: what was measured whole is kept and compared"));
    }
    let channel = args.judge.channel();
    channel.print(&format!("dataset {before} (before)\ndataset {after} (after)\n\n"))?;
    let verdict = judge(&store, [before, after], &args.judge, args.output.as_deref()).await?.code;
    let code = conclude_sides(&store, &[(before, "before"), (after, "after")], run.strict).await?;
    // Failed trials are worse than a verdict.
    Ok(if code == ExitCode::SUCCESS { verdict } else { code })
}

/// A bundle file, or a bundle in which a component folder has the place of the one of its name.
fn bundle(path: &Path, base: &Path) -> Result<Bundle, CliError> {
    if path.join("component.toml").is_file() {
        let base = crate::bundle::read(base)?;
        return Ok(crate::bundle::with_component(&base, path)?);
    }
    if path.is_dir() {
        return Err(CliError::new(format!("{} has no component.toml", path.display()))
            .hint("name a bundle file, or the folder of a component"));
    }
    Ok(crate::bundle::read(path)?)
}

/// Checks that what differs between the sides is what is measured.
fn check_sides(
    args: &args::Ab,
    [before, after]: &[Bundle; 2],
    experiment: &Experiment,
) -> Result<(), CliError> {
    if args.until_decided
        && (args.run.factors.repetitions.is_some() || args.judge.condition.is_some())
    {
        return Err(CliError::new(
            "`--until-decided` decides itself on repetitions, and on all cases that are measured",
        )
        .hint(
            "leave out `--repetitions` and `--where`; `--apps`, `--qps` and the like choose cases",
        ));
    }
    let measured = || experiment.apps.iter().chain(&experiment.stores);
    let is_same = |name: &&ComponentName| match (before.component(name), after.component(name)) {
        (Some(before), Some(after)) => differing_facts(&before.facts, &after.facts).is_empty(),
        _ => false,
    };
    let changed: Vec<&str> =
        measured().filter(|name| !is_same(name)).map(ComponentName::as_str).collect();
    match changed[..] {
        [] => note("both sides are the same: what is told apart here is chance"),
        [_] => {}
        _ => note(&format!(
            "the sides differ in {}: no verdict tells which it is due to",
            changed.join(" and ")
        )),
    }
    Ok(())
}

/// The launcher of both sides: containers need images on both, or the launchers would be compared.
fn common_launcher(
    choice: LauncherChoice,
    bundles: &[Bundle; 2],
    experiment: &Experiment,
) -> LauncherChoice {
    let have_images = bundles.each_ref().map(|bundle| has_images(experiment, bundle));
    match (choice, have_images) {
        (LauncherChoice::Auto, [true, false] | [false, true]) => {
            note("both sides run as processes: one of them has no images");
            LauncherChoice::Process
        }
        _ => choice,
    }
}

/// Checks that each component whose folder was named is measured.
fn check_named(args: &args::Ab, bundle: &Bundle, experiment: &Experiment) -> Result<(), CliError> {
    for folder in [&args.before, &args.after] {
        let folder =
            folder.canonicalize().ok().filter(|path| path.join("component.toml").is_file());
        let name = folder.as_deref().and_then(Path::file_name).and_then(|name| name.to_str());
        let named = bundle.components.iter().find(|one| Some(one.name.as_str()) == name);
        let Some(component) = named else { continue };
        let (flag, measured) = match component.kind {
            ComponentKind::App => ("--apps", &experiment.apps),
            ComponentKind::Store => ("--stores", &experiment.stores),
        };
        let name = &component.name;
        if !measured.contains(name) {
            return Err(CliError::new(format!("`{name}` is not among what is measured"))
                .hint(format!("`{flag} {name}` measures it")));
        }
    }
    Ok(())
}

async fn world(
    args: &args::Ab,
    launcher: LauncherChoice,
    bundle: &Bundle,
    experiment: &Experiment,
) -> Result<Backend, CliError> {
    let run = &args.run;
    let mut world = Backend::choose(&run.fake, launcher, run.publish, experiment, bundle).await?;
    world.fetch(experiment, bundle).await?;
    Ok(world)
}

/// How many blocks of both sides there is time for.
fn blocks_within(experiment: &Experiment, args: &args::Ab) -> Result<u32, CliError> {
    let one = Experiment { repetitions: 1, ..experiment.clone() };
    let both = estimate(&plan(&one, args.run.order())) * 2;
    let fitting = args.max_duration.0.as_secs_f64() / both.as_secs_f64();
    if fitting < f64::from(MIN_BLOCKS) {
        return Err(CliError::new(format!(
            "in {} there is time for {fitting:.1} repetitions, and fewer than {MIN_BLOCKS} decide nothing",
            args.max_duration
        ))
        .hint("raise `--max-duration`, or measure fewer cases or shorter trials"));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 1000")]
    Ok(fitting.min(1000.0) as u32)
}

struct Sides<'run> {
    args: &'run args::Ab,
    plan: &'run Plan,
    bundles: &'run [Bundle; 2],
    /// What was asked for and cannot be had on both sides.
    unavailable: &'run [ComponentName],
    worlds: &'run [Backend],
    looks: &'run [u32],
}

/// What the runs of both sides have in common.
struct Shared<'run> {
    ids: &'run [RunId; 2],
    interleaved: Interleaved,
    ceilings: BTreeMap<(CpuSet, CpuSet), Ceiling>,
    checks: Vec<Check>,
    store: &'run Store,
    reservation: Option<&'run Reservation>,
}

impl Sides<'_> {
    /// Measures by turns until the end, a decision, or a signal, whose name is then given.
    async fn measure(
        &self,
        store: &Store,
        mut reservation: Option<Reservation>,
    ) -> Result<([RunId; 2], Option<&'static str>), CliError> {
        let seed = self.plan.experiment.seed;
        let mut before = Environment::new(&self.worlds[0], seed)?;
        let mut after = Environment::new(&self.worlds[1], seed.wrapping_add(1))?;
        let name = before.run_id();
        if let Some(reservation) = &mut reservation {
            reservation.set_run(&name);
        }
        let ids = ["before", "after"].map(|side| RunId(format!("{name}-{side}")));
        let checks = host_checks(&self.worlds[0], self.plan).await?;
        let ceilings = before.ceilings(self.plan).await?;
        let interleaved = Interleaved { name: name.0.clone(), looks: self.look_count() };
        let reservation = reservation.as_ref();
        let shared = Shared { ids: &ids, interleaved, ceilings, checks, store, reservation };
        let progress = Progress::new(self.plan, 2, self.args.run.no_progress);
        let progress = match self.args.until_decided {
            true => progress.may_end_early(),
            false => progress,
        };
        let progress = RefCell::new(progress);
        let driven = RefCell::new(before.driven(self.plan));
        let on_side = |side: &'static str, event: &Event<'_>| {
            driven.borrow_mut().on_event(event);
            progress.borrow_mut().on_side(side, event);
        };
        let mut on_before = |event: &Event<'_>| on_side("before", event);
        let mut on_after = |event: &Event<'_>| on_side("after", event);
        let mut is_enough = |interim: &Interim| self.is_enough(interim);
        let requests =
            [self.request(&shared, &mut before, 0), self.request(&shared, &mut after, 1)];
        let finished = tokio::select! {
            finished = interleave(requests, [&mut on_before, &mut on_after], &mut is_enough) => {
                finished.map(|()| None)
            }
            name = interrupted() => Ok(Some(name)),
        };
        progress.borrow().finish();
        driven.borrow().keep(before.clock.now());
        for outside in [&mut before, &mut after] {
            if let Err(error) = outside.launcher.end_all().await {
                note(&format!("something of the run may be left: {}", with_causes(&error)));
            }
        }
        let name = finished.map_err(|error| {
            CliError::from(error).hint("`perf-api resume` keeps what both sides have whole")
        })?;
        Ok((ids, name))
    }

    fn request<'side>(
        &'side self,
        shared: &Shared<'side>,
        outside: &'side mut Environment,
        side: usize,
    ) -> RunRequest<'side> {
        RunRequest {
            id: shared.ids[side].clone(),
            beginning: Beginning::New,
            plan: self.plan,
            bundle: &self.bundles[side],
            unavailable: self.unavailable.to_vec(),
            topology: &outside.topology,
            ceilings: shared.ceilings.clone(),
            watches_host: !outside.is_fake,
            reservation: shared.reservation,
            is_published: self.worlds[side].is_published(),
            interleaved: Some(shared.interleaved.clone()),
            host: outside.host.clone(),
            checks: shared.checks.clone(),
            launcher: outside.launcher.as_mut(),
            driver: outside.driver.as_mut(),
            store: shared.store,
            clock: &outside.clock,
        }
    }

    fn look_count(&self) -> u32 {
        u32::try_from(self.looks.len()).unwrap_or(u32::MAX)
    }

    fn is_enough(&self, interim: &Interim) -> bool {
        if !self.looks.contains(&interim.blocks) {
            return false;
        }
        let metrics = self.args.judge.metrics();
        let deciding: Vec<Metric> = match self.args.judge.metrics.is_empty() {
            true => DECIDING.to_vec(),
            false => metrics.clone(),
        };
        let rules = Rules {
            metrics,
            margin: self.args.judge.margin.0,
            alpha: Interleaved::alpha(ALPHA, self.look_count()),
            is_interleaved: true,
            calibration: None,
        };
        let [before, after] = &interim.samples;
        is_decided(before, after, &rules, &deciding)
    }
}
