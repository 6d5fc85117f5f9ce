//! Computed runs by turns that end before their journals are sealed.

use perf_api::clock::Clock;
use perf_api::id::RunId;
use perf_api::launch::FakeLauncher;
use perf_api::load::FakeLoad;
use perf_api::model::{Interleaved, Order};
use perf_api::plan::{Overrides, plan};
use perf_api::run::{Beginning, Event, Interim, Placements, RunRequest, interleave};
use perf_api::store::{Location, Store};

use super::env::TestEnv;
use super::journal::{START, built_in};

/// Two runs by turns, begun and not sealed; both end after `blocks`. The run before comes first.
pub fn unsealed_pair(env: &TestEnv, blocks: u32) -> [RunId; 2] {
    let (bundle, experiment) = built_in(env, "ab", &Overrides::default());
    let plan = plan(&experiment, Order::RandomisedBlocks);
    let store = Store::create(&Location::Folder(env.path("results"))).unwrap();
    let clock = Clock::Fixed(START);
    let ids = ["before", "after"].map(|side| RunId(format!("20260101-000000-0-{side}")));
    let mut launchers = [0, 1].map(|_| FakeLauncher::new(clock.clone()));
    let mut drivers = [1, 2].map(|seed| FakeLoad::new(clock.clone(), seed));
    let [first_launcher, second_launcher] = &mut launchers;
    let [first_driver, second_driver] = &mut drivers;
    let sides = [(first_launcher, first_driver, 0), (second_launcher, second_driver, 1)];
    let (topology, host) = perf_api::host::imaginary();
    let placements = Placements::of(&topology, &plan);
    let requests = sides.map(|(launcher, driver, side)| RunRequest {
        id: ids[side].clone(),
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
        host: host.clone(),
        launcher,
        interleaved: Some(Interleaved { name: "20260101-000000-0".to_owned(), looks: 0 }),
        driver,
        store: &store,
        clock: &clock,
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut is_enough = |interim: &Interim| interim.blocks >= blocks;
    let (mut before, mut after) = (|_: &Event<'_>| {}, |_: &Event<'_>| {});
    let run = interleave(requests, [&mut before, &mut after], &mut is_enough);
    runtime.block_on(run).unwrap();
    ids
}
