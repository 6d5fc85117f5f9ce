//! Computed interleaved runs that end before their journals are sealed.

use perf_api::id::RunId;
use perf_api::launch::FakeLauncher;
use perf_api::load::FakeLoad;
use perf_api::model::Interleaved;
use perf_api::plan::Overrides;
use perf_api::run::{Event, Interim, RunRequest, interleave};

use super::env::TestEnv;
use super::journal::{START, Setup, block_on, run_id};

/// Two interleaved runs, begun and not sealed; both end after `blocks`. The run before comes first.
pub fn unsealed_pair(env: &TestEnv, blocks: u32) -> [RunId; 2] {
    let setup = Setup::new(env, "ab", &Overrides::default(), START);
    let ids = ["-before", "-after"].map(run_id);
    let mut launchers = [0, 1].map(|_| FakeLauncher::new(setup.clock.clone()));
    let mut loads = [1, 2].map(|seed| FakeLoad::new(setup.clock.clone(), seed));
    let [first_launcher, second_launcher] = &mut launchers;
    let [first_load, second_load] = &mut loads;
    let sides = [(first_launcher, first_load, 0), (second_launcher, second_load, 1)];
    let interleaved = Interleaved { name: run_id("").0, looks: 0 };
    let requests = sides.map(|(launcher, load, side): (_, _, usize)| RunRequest {
        interleaved: Some(interleaved.clone()),
        ..setup.request(ids[side].clone(), launcher, load)
    });
    let mut is_enough = |interim: &Interim| interim.blocks >= blocks;
    let (mut before, mut after) = (|_: &Event<'_>| {}, |_: &Event<'_>| {});
    block_on(interleave(requests, [&mut before, &mut after], &mut is_enough)).unwrap();
    ids
}
