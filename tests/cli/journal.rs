//! Computed runs that end before their journal is sealed.

use std::collections::BTreeMap;
use std::path::PathBuf;

use perf_api::clock::{Clock, UnixMillis};
use perf_api::id::RunId;
use perf_api::launch::{FakeLauncher, Launcher};
use perf_api::load::{FakeLoad, LoadDriver};
use perf_api::model::{Bundle, ComponentKind, Experiment, Fingerprint, Order, Plan};
use perf_api::plan::{KnownComponents, Overrides, check, embedded, plan};
use perf_api::run::{Beginning, Placements, RunRequest, record};
use perf_api::store::{Location, Store};

use super::env::TestEnv;

/// When computed runs begin: 2026-01-01 00:00 UTC.
pub const START: UnixMillis = UnixMillis(1_767_225_600_000);

/// A spec that is built in, with the bundle that it is measured with.
pub fn built_in(env: &TestEnv, spec: &str, overrides: &Overrides) -> (Bundle, Experiment) {
    let bundle = perf_api::bundle::read(&env.path("bundle.json")).unwrap();
    let named = |kind| {
        let components = bundle.components.iter().filter(|component| component.kind == kind);
        components.map(|component| component.name.clone()).collect()
    };
    let known =
        KnownComponents { apps: named(ComponentKind::App), stores: named(ComponentKind::Store) };
    let experiment = check(&embedded(spec).unwrap(), overrides, &known).unwrap();
    (bundle, experiment)
}

/// What a computed run of a built-in spec needs, as `--fake --fixed-clock` has it.
pub struct Setup {
    bundle: Bundle,
    plan: Plan,
    host: Fingerprint,
    placements: Placements,
    pub store: Store,
    pub clock: Clock,
}

impl Setup {
    pub fn new(env: &TestEnv, spec: &str, overrides: &Overrides, start: UnixMillis) -> Self {
        let (bundle, experiment) = built_in(env, spec, overrides);
        let plan = plan(&experiment, Order::RandomisedBlocks);
        let (topology, host) = perf_api::host::imaginary();
        Self {
            bundle,
            placements: Placements::of(&topology, &plan),
            plan,
            host,
            store: Store::create(&Location::Folder(env.path("results"))).unwrap(),
            clock: Clock::Fixed(start),
        }
    }

    pub fn load(&self) -> FakeLoad {
        FakeLoad::new(self.clock.clone(), self.plan.experiment.seed)
    }

    pub fn request<'run>(
        &'run self,
        id: RunId,
        launcher: &'run mut dyn Launcher,
        driver: &'run mut dyn LoadDriver,
    ) -> RunRequest<'run> {
        RunRequest {
            id,
            beginning: Beginning::New,
            plan: &self.plan,
            bundle: &self.bundle,
            unavailable: vec![],
            placements: &self.placements,
            ceilings: BTreeMap::new(),
            watches_host: false,
            reservation: None,
            is_published: false,
            checks: vec![],
            host: self.host.clone(),
            launcher,
            interleaved: None,
            driver,
            store: &self.store,
            clock: &self.clock,
        }
    }
}

/// Waits for a run that is computed in this process.
pub fn block_on<T>(run: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(run)
}

/// The id of a computed run.
pub fn run_id(suffix: &str) -> RunId {
    RunId(format!("20260101-000000-0{suffix}"))
}

/// Records a built-in spec and leaves the journal in `results`. Returns the journal's path.
pub fn unsealed(env: &TestEnv, spec: &str, overrides: &Overrides) -> PathBuf {
    unsealed_at(env, spec, overrides, START, 1.0)
}

/// As [`unsealed`], at another time, with answers that take `slowdown` times as long.
pub fn unsealed_at(
    env: &TestEnv,
    spec: &str,
    overrides: &Overrides,
    start: UnixMillis,
    slowdown: f64,
) -> PathBuf {
    let setup = Setup::new(env, spec, overrides, start);
    let (mut launcher, mut load) =
        (FakeLauncher::new(setup.clock.clone()), setup.load().slowed(slowdown));
    let request = setup.request(run_id(""), &mut launcher, &mut load);
    block_on(record(request, &mut |_| {})).unwrap();
    setup.store.run_dir(&run_id("")).join("journal.jsonl")
}
