//! What `run` and `resume` share: where a run takes place, and the run itself.

use std::collections::BTreeMap;

use bollard::Docker;
use tokio::signal::unix::{SignalKind, signal};

use super::doctor;
use crate::cli::args::{self, LauncherChoice};
use crate::cli::ceilings::{Driven, ceilings};
use crate::cli::docker;
use crate::cli::error::CliError;
use crate::cli::output::{Download, Progress, note};
use crate::clock::{Clock, UnixMillis};
use crate::host::{
    Demand, Reservation, Topology, ephemeral_ports, fingerprint, raise_open_file_limit,
};
use crate::id::RunId;
use crate::launch::{
    ContainerLauncher, FakeLauncher, LaunchError, Launcher, NetworkPath, Origin, ProcessLauncher,
    connect, cpus, ensure_image,
};
use crate::load::{FakeLoad, LoadDriver, OhaLoad};
use crate::model::{
    Bundle, Ceiling, Check, Component, ComponentName, Experiment, Fingerprint, Plan, Unavailable,
    with_causes,
};
use crate::plan::stacks;
use crate::process::{self, Owner};
use crate::run::{Beginning, Event, RunRequest, RunSummary, demand, differences, placement};
use crate::store::{Difference, Header, Store};
use crate::units::{CpuSet, Rps};

/// A run, from what was typed.
pub(super) struct Measure<'run> {
    pub plan: &'run Plan,
    pub bundle: &'run Bundle,
    pub unavailable: Vec<ComponentName>,
    pub store: &'run Store,
    pub world: &'run Backend,
    pub no_progress: bool,
    /// The CPUs of the run; `None` for a run that is computed.
    pub reservation: Option<Reservation>,
    /// What to type after `resume RUN` to go on.
    pub flags: String,
    /// The unfinished run that is gone on with.
    pub resumed: Option<Resumed>,
}

/// An unfinished run.
pub(super) struct Resumed {
    pub run: RunId,
    pub header: Header,
    /// Whether differences are accepted.
    pub force: bool,
}

/// Where stacks run: on this machine, or in numbers that are made up.
#[derive(Debug)]
pub(super) enum Backend {
    Processes,
    Containers(Engine),
    Fake(args::Fake),
}

/// A Docker Engine that answers.
#[derive(Debug)]
pub(super) struct Engine {
    docker: Docker,
    way: NetworkPath,
    /// Components whose images could not be had.
    refused: BTreeMap<ComponentName, Unavailable>,
}

impl Backend {
    /// What was asked for; for `auto`, containers when the bundle has images for everything that
    /// there is and a Docker Engine answers.
    pub(super) async fn choose(
        fake: &args::Fake,
        choice: LauncherChoice,
        is_published: bool,
        experiment: &Experiment,
        bundle: &Bundle,
    ) -> Result<Self, CliError> {
        if fake.fake {
            return Ok(Self::Fake(fake.clone()));
        }
        let has_images = has_images(experiment, bundle);
        let way = if is_published { NetworkPath::Published } else { NetworkPath::Unknown };
        let engine = |docker| Self::Containers(Engine { docker, way, refused: BTreeMap::new() });
        let world = match choice {
            LauncherChoice::Process => Ok(Self::Processes),
            LauncherChoice::Docker => Ok(engine(connect(&docker::hosts()).await?)),
            LauncherChoice::Auto if !has_images => {
                note(
                    "stacks run as processes: the bundle has no images (`make images` makes them)",
                );
                Ok(Self::Processes)
            }
            LauncherChoice::Auto => match connect(&docker::hosts()).await {
                Ok(docker) => {
                    note("stacks run in containers: the bundle has images, and Docker answers");
                    Ok(engine(docker))
                }
                Err(error) => {
                    note(&format!("stacks run as processes: {error}"));
                    Ok(Self::Processes)
                }
            },
        };
        match world {
            Ok(Self::Processes) if is_published => Err(CliError::new(
                "`--publish` needs containers, and stacks would run as processes",
            )
            .hint("leave out `--publish`, or choose `--launcher docker`")),
            world => world,
        }
    }

    /// Fetches the images that are not there: loads their archives, pulls the others.
    pub(super) async fn fetch(
        &mut self,
        experiment: &Experiment,
        bundle: &Bundle,
    ) -> Result<(), CliError> {
        let Self::Containers(engine) = self else { return Ok(()) };
        for component in components(experiment, bundle) {
            let Some(template) = &component.container else { continue };
            let image = &template.image;
            let mut progress = Download::new(&image.reference);
            let fetched =
                ensure_image(&engine.docker, image, &mut |done, of| progress.show(done, of)).await;
            progress.finish();
            match fetched {
                Ok(Origin::Present) => {}
                Ok(Origin::Archive) => note(&format!("loaded the image {}", image.reference)),
                Ok(Origin::Registry) => note(&format!("pulled the image {}", image.reference)),
                Err(error @ LaunchError::Image { .. }) => {
                    let lack = Unavailable {
                        reason: with_causes(&error),
                        remedy: match &image.id {
                            Some(_) if image.stream.is_some() => {
                                "build the bundle again: `nix build .#bundle`".to_owned()
                            }
                            Some(_) => {
                                "make it again, then `perf-api bundle`: `make images` does both"
                                    .to_owned()
                            }
                            None => {
                                format!("see that `docker pull {}` works here", image.reference)
                            }
                        },
                    };
                    engine.refused.insert(component.name.clone(), lack);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Why a component cannot be had in this world, if it cannot.
    pub(super) fn lacks(&self, component: &Component) -> Option<Unavailable> {
        match self {
            Self::Fake(_) => None,
            Self::Processes => component.unavailable.clone(),
            Self::Containers(_) if component.container.is_none() => Some(Unavailable {
                reason: "the bundle has no image for it".to_owned(),
                remedy: "run `make images`, or name one in its component.toml; `--launcher process` needs none".to_owned(),
            }),
            Self::Containers(engine) => engine.refused.get(&component.name).cloned(),
        }
    }

    /// Whether containers are to be loaded through published ports.
    pub(super) fn is_published(&self) -> bool {
        matches!(self, Self::Containers(engine) if engine.way == NetworkPath::Published)
    }

    /// The CPUs that can be divided.
    pub(super) fn topology(&self) -> Result<Topology, CliError> {
        match self {
            Self::Fake(_) => Ok(crate::host::imaginary().0),
            Self::Processes | Self::Containers(_) => Ok(Topology::detect()?),
        }
    }
}

/// Whether the bundle has images for everything of an experiment that there is.
pub(super) fn has_images(experiment: &Experiment, bundle: &Bundle) -> bool {
    components(experiment, bundle).all(|one| one.container.is_some() || one.process.is_none())
}

/// The components of an experiment that the bundle has.
fn components<'run>(
    experiment: &'run Experiment,
    bundle: &'run Bundle,
) -> impl Iterator<Item = &'run Component> {
    let names = experiment.apps.iter().chain(&experiment.stores);
    names.filter_map(|name| bundle.component(name))
}

/// Checks that each part gets CPUs of its own. On a host that is too small the run is refused, unless
/// it may share them: that is then said.
pub(super) fn check_room(
    plan: &Plan,
    topology: &Topology,
    may_share: bool,
) -> Result<(), CliError> {
    let mut all = stacks(&plan.experiment);
    all.sort_by_key(|stack| stack.workers);
    let Some(largest) = all.iter().rev().find(|one| placement(topology, plan, one).shared) else {
        return Ok(());
    };
    let Demand { loader, app, store } = demand(plan, largest);
    let room = format!(
        "this host has {} for {largest} at {} requests per second, which wants {}: loader {loader}, app {app}, store {store}",
        cpus_in_words(topology.cpus.len()),
        plan.experiment.qps.iter().max().unwrap_or(&Rps::MIN),
        loader + app + store,
    );
    if may_share {
        note(&format!("{room}. They share, and each such trial is marked `cpus_shared`"));
        return Ok(());
    }
    Err(CliError::new(room)
        .hint("`--allow-shared-cpus` lets them share CPUs; each such trial is then marked `cpus_shared`")
        .hint("fewer `--workers` or a lower `--qps` want fewer"))
}

fn cpus_in_words(count: usize) -> String {
    if count == 1 { "1 CPU".to_owned() } else { format!("{count} CPUs") }
}

/// Checks that this machine can hold what is to be measured, and ends what earlier runs left.
pub(super) async fn prepare(
    world: &Backend,
    experiment: &Experiment,
    bundle: &Bundle,
) -> Result<(), CliError> {
    match world {
        Backend::Fake(_) => return Ok(()),
        Backend::Processes => {
            components(experiment, bundle).try_for_each(crate::bundle::check_unchanged)?;
        }
        Backend::Containers(engine) => {
            let removed = engine.launcher()?.sweep().await?;
            if removed > 0 {
                note(&format!("removed {removed} containers and networks of a run that is gone"));
            }
            let (own, theirs) = (Topology::detect()?, cpus(&engine.docker).await?);
            if let Some(cpu) = own.cpus.iter().map(|cpu| cpu.id).find(|&cpu| cpu >= theirs) {
                return Err(CliError::new(format!(
                    "Docker has {} and this process may use CPU {cpu}: they are not on the same machine",
                    cpus_in_words(theirs)
                ))
                .hint("run perf-api where the Docker Engine runs, or give it fewer CPUs: `taskset -c 0 perf-api …`"));
            }
        }
    }
    check_connections(experiment)?;
    let ended = process::sweep()?;
    if !ended.is_empty() {
        note(&format!("ended {} processes that an earlier run had left behind", ended.len()));
    }
    Ok(())
}

impl Engine {
    fn launcher(&self) -> Result<ContainerLauncher, CliError> {
        Ok(ContainerLauncher::new(self.docker.clone(), owner()?, self.way))
    }
}

fn owner() -> Result<Owner, CliError> {
    Owner::this()
        .map_err(|error| CliError::new(format!("cannot tell what this process is: {error}")))
}

/// Runs a plan, with progress on the screen, until its end or a signal.
pub(super) async fn measure(measure: Measure<'_>) -> Result<RunSummary, CliError> {
    let Measure { plan, bundle, unavailable, store, world, no_progress, flags, resumed, .. } =
        measure;
    let mut reservation = measure.reservation;
    let mut outside = Environment::new(world, plan.experiment.seed)?;
    let id = resumed.as_ref().map_or_else(|| outside.run_id(), |resumed| resumed.run.clone());
    if let Some(reservation) = &mut reservation {
        reservation.set_run(&id);
    }
    let checks = host_checks(world, plan).await?;
    let found = tokio::select! {
        found = outside.ceilings(plan) => found?,
        name = interrupted() => {
            process::end_all().await.map_err(LaunchError::from)?;
            return Err(CliError::interrupted(format!("{name} before the first trial")));
        }
    };
    let mut driven = outside.driven(plan);
    let mut request = RunRequest {
        id: id.clone(),
        beginning: Beginning::New,
        plan,
        bundle,
        unavailable,
        topology: &outside.topology,
        ceilings: found,
        watches_host: !outside.is_fake,
        reservation: reservation.as_ref(),
        is_published: world.is_published(),
        interleaved: None,
        host: outside.host.clone(),
        checks,
        launcher: outside.launcher.as_mut(),
        driver: outside.driver.as_mut(),
        store,
        clock: &outside.clock,
    };
    if let Some(resumed) = &resumed {
        let accepted_differences = differences(&resumed.header, &request);
        check_differences(&accepted_differences, resumed.force)?;
        request.beginning = Beginning::Resumed { accepted_differences };
    }
    let mut progress = Progress::new(plan, 1, no_progress);
    let mut on_event = |event: &Event<'_>| {
        driven.on_event(event);
        progress.on_event(event);
    };
    // The run is dropped when a signal wins; that ends its children.
    let finished = tokio::select! {
        finished = crate::run::run(request, &mut on_event) => Some(finished),
        name = interrupted() => { note(&format!("\n{name}: stopping")); None }
    };
    progress.finish();
    driven.keep(outside.clock.now());
    let ended = outside.launcher.end_all().await;
    if let (Err(error), false) = (&ended, matches!(finished, Some(Ok(_)))) {
        note(&format!("something of the run may be left: {}", with_causes(error)));
    }
    match finished {
        Some(Ok(summary)) => ended.map(|()| summary).map_err(CliError::from),
        Some(Err(error)) => {
            let error = CliError::from(error);
            let has_begun = store.unfinished(&id.0).is_ok();
            Err(if has_begun { error.hint(go_on(&id, &flags)) } else { error })
        }
        None => {
            let words = format!("interrupted after {} trials", progress.in_words());
            Err(CliError::interrupted(words).hint(go_on(&id, &flags)))
        }
    }
}

/// What of this host can disturb the run.
pub(super) async fn host_checks(world: &Backend, plan: &Plan) -> Result<Vec<Check>, CliError> {
    let connections = plan.experiment.concurrency.iter().copied().max().unwrap_or(0);
    match world {
        Backend::Fake(_) => Ok(vec![]),
        Backend::Processes => {
            let mut checks = doctor::look(connections, None).await?;
            checks.retain(|check| check.name != "docker");
            Ok(checks)
        }
        Backend::Containers(engine) => doctor::look(connections, Some(&engine.docker)).await,
    }
}

fn go_on(run: &RunId, flags: &str) -> String {
    format!("`perf-api resume {run}{flags}` goes on: what was measured is kept")
}

/// What to type after `resume RUN` to go on in the same places, as strictly.
pub(super) fn resume_flags(places: &args::Places, is_strict: bool) -> String {
    let bundle = place_flag("bundle", &places.bundle.to_string_lossy());
    let results = place_flag("results", &places.results);
    let strict = if is_strict { " --strict" } else { "" };
    format!("{bundle}{results}{strict}")
}

/// ` --results 'VALUE'` to type in a shell; nothing for the default value.
pub(super) fn place_flag(flag: &str, value: &str) -> String {
    let default = if flag == "bundle" { "bundle.json" } else { "results" };
    match value == default {
        true => String::new(),
        false => format!(" --{flag} '{}'", value.replace('\'', "'\\''")),
    }
}

fn check_differences(differences: &[Difference], force: bool) -> Result<(), CliError> {
    if differences.is_empty() {
        return Ok(());
    }
    let words: Vec<String> = differences
        .iter()
        .map(|one| format!("{} was {}, and is {}", one.what, one.before, one.after))
        .collect();
    if force {
        note(&format!("accepted, and recorded in the dataset: {}", words.join("; ")));
        return Ok(());
    }
    Err(CliError::new(format!("this is not what the run began with: {}", words.join("; ")))
        .hint("make it as it was, or begin a new run")
        .hint("`--force` goes on all the same; the dataset then says what was not the same"))
}

/// The outside world of a run: the real one, or a computed one.
pub(super) struct Environment {
    pub clock: Clock,
    pub topology: Topology,
    pub host: Fingerprint,
    pub launcher: Box<dyn Launcher>,
    pub driver: Box<dyn LoadDriver>,
    pub is_fake: bool,
}

/// When a computed run begins: 2026-01-01 00:00 UTC.
const FAKE_START: UnixMillis = UnixMillis(1_767_225_600_000);

impl Environment {
    pub(super) fn new(world: &Backend, seed: u64) -> Result<Self, CliError> {
        let launcher: Box<dyn Launcher> = match world {
            Backend::Fake(fake) => return Ok(Self::fake(fake, seed)),
            Backend::Processes => Box::new(ProcessLauncher),
            Backend::Containers(engine) => Box::new(engine.launcher()?),
        };
        let topology = Topology::detect()?;
        Ok(Self {
            clock: Clock::System,
            host: fingerprint(&topology)?,
            topology,
            launcher,
            driver: Box::new(OhaLoad),
            is_fake: false,
        })
    }

    fn fake(fake: &args::Fake, seed: u64) -> Self {
        let clock = match fake.fixed_clock {
            true => Clock::Fixed(FAKE_START),
            false => Clock::simulated(FAKE_START),
        };
        let (topology, host) = crate::host::imaginary();
        let driver = FakeLoad::new(clock.clone(), seed).slowed(fake.fake_slowdown);
        Self {
            topology,
            host,
            launcher: Box::new(FakeLauncher::new(clock.clone()).breaking(&fake.fake_broken)),
            driver: Box::new(if fake.fake_busy { driver.on_a_busy_host() } else { driver }),
            clock,
            is_fake: true,
        }
    }

    /// What the loader can drive, by the CPUs of loader and app.
    pub(super) async fn ceilings(
        &mut self,
        plan: &Plan,
    ) -> Result<BTreeMap<(CpuSet, CpuSet), Ceiling>, CliError> {
        if self.is_fake {
            return Ok(BTreeMap::new());
        }
        let now = self.clock.now();
        ceilings(plan, &self.topology, &self.host, now, self.driver.as_mut()).await
    }

    /// What the trials of a run will show of the loader.
    pub(super) fn driven<'run>(&self, plan: &'run Plan) -> Driven<'run> {
        Driven::new(plan, &self.host, self.driver.as_ref())
    }

    pub(super) fn run_id(&self) -> RunId {
        let time = self.clock.now().to_utc().map(|time| time.format("%Y%m%d-%H%M%S").to_string());
        let pid = if self.is_fake { 0 } else { std::process::id() };
        RunId(format!("{}-{pid}", time.unwrap_or_default()))
    }
}

pub(super) async fn interrupted() -> &'static str {
    let kinds = [
        (SignalKind::interrupt(), "interrupted"),
        (SignalKind::terminate(), "terminated"),
        (SignalKind::hangup(), "hung up"),
    ];
    let [Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)] =
        kinds.map(|(kind, _)| signal(kind))
    else {
        // Without handlers the signals end the process at once, and the kernel its children.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => kinds[0].1,
        _ = terminate.recv() => kinds[1].1,
        _ = hangup.recv(), if !process::ignores_hangup() => kinds[2].1,
    }
}

/// Files beside connections: logs, libraries, pipes.
const FILES_BESIDE: u64 = 256;

/// Checks that the system can hold the connections: open files, and ports to one address.
fn check_connections(experiment: &Experiment) -> Result<(), CliError> {
    let limit = raise_open_file_limit()?;
    let connections = experiment.concurrency.iter().copied().max().unwrap_or(0);
    // An app holds a connection to its client and one to its store.
    let needed = 2 * u64::from(connections) + FILES_BESIDE;
    if limit < needed {
        return Err(CliError::new(format!(
            "{connections} connections need {needed} open files; this system allows {limit}"
        ))
        .hint(format!(
            "raise the hard limit (`ulimit -Hn {needed}` as root), or lower `--concurrency`"
        )));
    }
    if let Some(ports) = ephemeral_ports().filter(|&ports| ports < connections) {
        return Err(CliError::new(format!(
            "{connections} connections to one address need as many ports; this system has {ports}"
        ))
        .hint("`sysctl -w net.ipv4.ip_local_port_range='1024 65535'` as root, or lower `--concurrency`"));
    }
    Ok(())
}
