//! Measures two versions interleaved in one run, and compares them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::AppError;
use super::compare::{ComparisonReport, ComparisonSettings, compare};
use super::environment::{
    Backend, Environment, Machine, check_room, forget, has_images, host_checks, lock, prepare,
    reserve,
};
use super::error::ErrorKind;
use super::event::{Event, Observer};
use super::experiment::{experiment, missing, without};
use super::measure::backend;
use super::settings::{LauncherChoice, RunSettings};
use super::sides::{SideTrials, side_trials};
use crate::compare::{Rules, is_decided, looks};
use crate::host::Reservation;
use crate::id::{DatasetId, RunId};
use crate::model::rules::ALPHA;
use crate::model::{
    Bundle, Ceiling, Check, ComponentKind, ComponentName, Experiment, Interleaved, Metric, Order,
    Plan, differing_facts, with_causes,
};
use crate::plan::estimate;
use crate::run::{self, Beginning, Interim, Placements, RunRequest, end_interleaved, interleave};
use crate::store::Store;
use crate::units::{CpuSet, HumanDuration};

/// What has to be decided before a run ends early, when no metric is named.
const DECIDING: [Metric; 4] = [Metric::Rate, Metric::P50, Metric::P95, Metric::Errors];
/// Fewer blocks decide nothing.
const MIN_BLOCKS: u32 = 3;

/// Which versions to measure, and how.
#[derive(Clone, Debug)]
pub struct AbRequest {
    /// The baseline: a bundle file, or a component folder that takes the place of the one of its name.
    pub before: PathBuf,
    /// What is compared with the baseline.
    pub after: PathBuf,
    /// The name of a spec that is built in, or the path of a file.
    pub spec: String,
    /// End as soon as every group of cases has a verdict, and at the latest after this time.
    pub until_decided: Option<HumanDuration>,
    /// How the two are compared.
    pub comparison: ComparisonSettings,
    /// How the run is made.
    pub settings: RunSettings,
}

/// What came of it.
#[derive(Debug)]
pub struct AbOutcome {
    /// Where the datasets are.
    pub store: Store,
    /// The datasets before and after, with what became of their trials.
    pub sides: [(DatasetId, SideTrials); 2],
    /// Why the run ended before its end, if it did.
    pub interrupted: Option<&'static str>,
    /// The verdicts, or why the two are not compared.
    pub comparison: Result<ComparisonReport, AppError>,
}

/// Measures two versions interleaved, and compares them.
///
/// # Errors
/// When the spec or a bundle is wrong, the system refuses, or no block was measured whole.
pub async fn ab(request: &AbRequest, observer: &mut dyn Observer) -> Result<AbOutcome, AppError> {
    let settings = &request.settings;
    let bundles = [&request.before, &request.after].map(|path| bundle(path, &settings.bundle));
    let [before, after] = bundles;
    let bundles = [before?, after?];
    let experiment = experiment(&request.spec, &settings.overrides, &bundles[0], observer)?;
    check_sides(request, &bundles, &experiment, observer)?;
    let (backends, unavailable, mut experiment) =
        backends(settings, &bundles, experiment, observer).await?;
    check_named(request, &bundles[0], &experiment)?;
    if let Some(max_duration) = request.until_decided {
        experiment.repetitions = blocks_within(&experiment, settings.order(), max_duration)?;
    }
    let plan = crate::plan::plan(&experiment, settings.order());
    let machine = Machine::detect(settings.fake.as_ref())?;
    let placements = Placements::of(&machine.topology, &plan);
    check_room(&plan, &machine, &placements, settings.share_cpus, observer)?;
    for (backend, bundle) in backends.iter().zip(&bundles) {
        prepare(backend, &machine, &experiment, bundle, observer).await?;
    }
    if settings.remeasure {
        forget(settings.host.loader_floors.as_deref())?;
    }
    let store = Store::create(&settings.results)?;
    let lock = lock(&store, &settings.neighbours, observer).await?;
    let reservation = match backends[0] {
        Backend::Fake(_) => None,
        _ => Some(reserve(&placements, &settings.neighbours, &store, observer).await?),
    };
    store.names().await?;
    let checkpoints = match request.until_decided {
        Some(_) => looks(plan.experiment.repetitions),
        None => vec![],
    };
    let sides = Sides {
        request,
        plan: &plan,
        placements: &placements,
        machine: &machine,
        bundles: &bundles,
        unavailable: &unavailable,
        backends: &backends,
        checkpoints: &checkpoints,
    };
    let (ids, interrupted) = sides.measure(&store, reservation, observer).await?;
    let sealed = end_interleaved(&store, &ids).await?;
    drop(lock);
    let [before, after] = sealed[..] else {
        let error = AppError::new("no block was completed on both sides")
            .hint("a block is one repetition of every case on both sides");
        return Err(match interrupted {
            Some(_) => error.with_kind(ErrorKind::Interrupted),
            None => error,
        });
    };
    Ok(AbOutcome {
        comparison: compare(&store, [before, after], &request.comparison).await,
        sides: [
            (before, side_trials(&store, before).await?),
            (after, side_trials(&store, after).await?),
        ],
        interrupted,
        store,
    })
}

/// The backends of both sides, what cannot be had on either, and the experiment without that.
async fn backends(
    settings: &RunSettings,
    bundles: &[Bundle; 2],
    mut experiment: Experiment,
    observer: &mut dyn Observer,
) -> Result<(Vec<Backend>, Vec<ComponentName>, Experiment), AppError> {
    let launcher = common_launcher(settings.launcher, bundles, &experiment, observer);
    let settings = RunSettings { launcher, ..settings.clone() };
    let (mut backends, mut unavailable) = (Vec::new(), Vec::new());
    for bundle in bundles {
        let backend = backend(bundle, &experiment, &settings, observer).await?;
        let missing = missing(&experiment, bundle, &backend);
        let allow_missing = settings.allow_missing;
        experiment = without(experiment, &missing, bundle, &backend, allow_missing, observer)?;
        unavailable.extend(missing);
        backends.push(backend);
    }
    Ok((backends, unavailable, experiment))
}

/// A bundle file, or a bundle in which a component folder has the place of the one of its name.
fn bundle(path: &Path, base: &Path) -> Result<Bundle, AppError> {
    if path.join("component.toml").is_file() {
        let base = crate::bundle::read(base)?;
        return Ok(crate::bundle::with_component(&base, path)?);
    }
    if path.is_dir() {
        return Err(AppError::new(format!("{} has no component.toml", path.display()))
            .hint("name a bundle file, or the folder of a component"));
    }
    Ok(crate::bundle::read(path)?)
}

/// Checks that what differs between the sides is what is measured.
fn check_sides(
    request: &AbRequest,
    [before, after]: &[Bundle; 2],
    experiment: &Experiment,
    observer: &mut dyn Observer,
) -> Result<(), AppError> {
    let has_repetitions = request.settings.overrides.repetitions.is_some();
    let has_condition = request.comparison.condition.is_some();
    if request.until_decided.is_some() && (has_repetitions || has_condition) {
        return Err(AppError::new(
            "`--until-decided` sets the repetitions itself, and compares all cases that are measured",
        )
        .hint(
            "leave out `--repetitions` and `--where`; choose cases with `--apps`, `--qps` and the other factors",
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
        [] => observer.note("both sides are the same: any difference is chance"),
        [_] => {}
        _ => observer.note(&format!(
            "the sides differ in {}: no verdict can say which of them is the cause",
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
    observer: &mut dyn Observer,
) -> LauncherChoice {
    let have_images = bundles.each_ref().map(|bundle| has_images(experiment, bundle));
    match (choice, have_images) {
        (LauncherChoice::Auto, [true, false] | [false, true]) => {
            observer.note("both sides run as processes: one of them has no images");
            LauncherChoice::Process
        }
        _ => choice,
    }
}

/// Checks that each component whose folder was named is measured.
fn check_named(
    request: &AbRequest,
    bundle: &Bundle,
    experiment: &Experiment,
) -> Result<(), AppError> {
    for folder in [&request.before, &request.after] {
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
            return Err(AppError::new(format!("`{name}` is not measured"))
                .hint(format!("`{flag} {name}` measures it")));
        }
    }
    Ok(())
}

/// How many blocks of both sides there is time for.
fn blocks_within(
    experiment: &Experiment,
    order: Order,
    max_duration: HumanDuration,
) -> Result<u32, AppError> {
    let one = Experiment { repetitions: 1, ..experiment.clone() };
    let both = estimate(&crate::plan::plan(&one, order)) * 2;
    let fitting = max_duration.0.as_secs_f64() / both.as_secs_f64();
    if fitting < f64::from(MIN_BLOCKS) {
        return Err(AppError::new(format!(
            "in {max_duration} there is time for {fitting:.1} repetitions, and fewer than {MIN_BLOCKS} decide nothing"
        ))
        .hint("raise `--max-duration`, or measure fewer cases or shorter trials"));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 1000")]
    Ok(fitting.min(1000.0) as u32)
}

struct Sides<'run> {
    request: &'run AbRequest,
    plan: &'run Plan,
    placements: &'run Placements,
    machine: &'run Machine,
    bundles: &'run [Bundle; 2],
    /// What was asked for and cannot be had on both sides.
    unavailable: &'run [ComponentName],
    backends: &'run [Backend],
    /// The numbers of blocks after which the run may end.
    checkpoints: &'run [u32],
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
    /// Measures both sides interleaved until the end, a decision, or a request to stop, whose reason is then
    /// given.
    async fn measure(
        &self,
        store: &Store,
        mut reservation: Option<Reservation>,
        observer: &mut dyn Observer,
    ) -> Result<([RunId; 2], Option<&'static str>), AppError> {
        let (plan, seed) = (self.plan, self.plan.experiment.seed);
        let settings = &self.request.settings.host;
        let loader = self.plan.experiment.loader;
        let side =
            |side: usize, seed| Environment::new(&self.backends[side], self.machine, loader, seed);
        let (mut before, mut after) = (side(0, seed)?, side(1, seed.wrapping_add(1))?);
        let name = before.run_id();
        if let Some(reservation) = &mut reservation {
            reservation.set_run(&name);
        }
        let ids = ["before", "after"].map(|side| RunId(format!("{name}-{side}")));
        let checks = host_checks(&self.backends[0], plan).await?;
        let ceilings = before.ceilings(plan, self.placements, settings, observer).await?;
        let interleaved = Interleaved { name: name.0.clone(), looks: self.checkpoint_count() };
        let reservation = reservation.as_ref();
        let shared = Shared { ids: &ids, interleaved, ceilings, checks, store, reservation };
        let may_end_early = self.request.until_decided.is_some();
        observer.on_event(&Event::RunStarted { plan, sides: 2, may_end_early });
        let stop = observer.stop_requested();
        let driven = RefCell::new(before.driven(plan));
        let shared_observer = RefCell::new(&mut *observer);
        let on_side = |side: &'static str, event: &run::Event<'_>| {
            driven.borrow_mut().on_event(event);
            shared_observer.borrow_mut().on_event(&Event::Run { side: Some(side), event });
        };
        let mut on_before = |event: &run::Event<'_>| on_side("before", event);
        let mut on_after = |event: &run::Event<'_>| on_side("after", event);
        let mut is_enough = |interim: &Interim| self.is_enough(interim);
        let requests =
            [self.request(&shared, &mut before, 0), self.request(&shared, &mut after, 1)];
        let finished = tokio::select! {
            finished = interleave(requests, [&mut on_before, &mut on_after], &mut is_enough) => {
                finished.map(|()| None)
            }
            reason = stop => Ok(Some(reason)),
        };
        observer.on_event(&Event::RunEnded);
        driven.borrow().keep(settings.loader_floors.as_deref(), before.clock.now());
        for environment in [&mut before, &mut after] {
            if let Err(error) = environment.launcher.end_all().await {
                observer.note(&format!(
                    "a process or container of the run may still be running: {}",
                    with_causes(&error)
                ));
            }
        }
        let reason = finished.map_err(|error| {
            AppError::from(error)
                .hint("`perf-api resume` seals the blocks that both sides completed")
        })?;
        Ok((ids, reason))
    }

    fn request<'side>(
        &'side self,
        shared: &Shared<'side>,
        environment: &'side mut Environment,
        side: usize,
    ) -> RunRequest<'side> {
        RunRequest {
            id: shared.ids[side].clone(),
            beginning: Beginning::New,
            plan: self.plan,
            bundle: &self.bundles[side],
            unavailable: self.unavailable.to_vec(),
            placements: self.placements,
            ceilings: shared.ceilings.clone(),
            watches_host: !environment.is_fake,
            reservation: shared.reservation,
            is_published: self.backends[side].is_published(),
            interleaved: Some(shared.interleaved.clone()),
            host: environment.host.clone(),
            checks: shared.checks.clone(),
            launcher: environment.launcher.as_mut(),
            driver: environment.driver.as_mut(),
            store: shared.store,
            clock: &environment.clock,
        }
    }

    fn checkpoint_count(&self) -> u32 {
        u32::try_from(self.checkpoints.len()).unwrap_or(u32::MAX)
    }

    fn is_enough(&self, interim: &Interim) -> bool {
        if !self.checkpoints.contains(&interim.blocks) {
            return false;
        }
        let comparison = &self.request.comparison;
        let deciding = comparison.metrics.clone().unwrap_or_else(|| DECIDING.to_vec());
        let rules = Rules {
            metrics: comparison.metrics(),
            margin: comparison.margin.0,
            alpha: Interleaved::alpha(ALPHA, self.checkpoint_count()),
            is_interleaved: true,
            calibration: None,
        };
        let [before, after] = &interim.samples;
        is_decided(before, after, &rules, &deciding)
    }
}
