//! Computed runs that end before their journal is sealed.

use std::path::PathBuf;

use perf_api::clock::{Clock, UnixMillis};
use perf_api::id::RunId;
use perf_api::launch::FakeLauncher;
use perf_api::load::FakeLoad;
use perf_api::model::{Bundle, ComponentKind, Experiment};
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

/// Records a spec that is built in, as `--fake --fixed-clock` does, and leaves the journal in
/// `results`. Gives the journal's path.
pub fn unsealed(env: &TestEnv, spec: &str, overrides: &Overrides) -> PathBuf {
    unsealed_at(env, spec, overrides, START, 1.0)
}

/// The same at another time, of answers that take so many times as long.
pub fn unsealed_at(
    env: &TestEnv,
    spec: &str,
    overrides: &Overrides,
    start: UnixMillis,
    slowdown: f64,
) -> PathBuf {
    let (bundle, experiment) = built_in(env, spec, overrides);
    let store = Store::create(&Location::Folder(env.path("results"))).unwrap();
    let clock = Clock::Fixed(start);
    let (topology, host) = perf_api::host::imaginary();
    let plan = plan(&experiment, perf_api::model::Order::RandomisedBlocks);
    let placements = Placements::of(&topology, &plan);
    let id = RunId("20260101-000000-0".to_owned());
    let request = RunRequest {
        id: id.clone(),
        beginning: Beginning::New,
        plan: &plan,
        bundle: &bundle,
        unavailable: vec![],
        placements: &placements,
        ceilings: std::collections::BTreeMap::new(),
        watches_host: false,
        reservation: None,
        is_published: false,
        checks: vec![],
        host,
        launcher: &mut FakeLauncher::new(clock.clone()),
        interleaved: None,
        driver: &mut FakeLoad::new(clock.clone(), experiment.seed).slowed(slowdown),
        store: &store,
        clock: &clock,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(record(request, &mut |_| {})).unwrap();
    store.run_dir(&id).join("journal.jsonl")
}
