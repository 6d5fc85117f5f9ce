//! A start that fails and leaves something that cannot be stopped ends the run.

use std::collections::BTreeMap;
use std::io;

use async_trait::async_trait;
use perf_api::clock::Clock;
use perf_api::id::RunId;
use perf_api::launch::{LaunchError, Launcher, RunningStack, StackRequest};
use perf_api::load::FakeLoad;
use perf_api::model::{Order, with_causes};
use perf_api::plan::{Overrides, plan};
use perf_api::process::ProcessError;
use perf_api::run::{Beginning, Placements, RunRequest, record};
use perf_api::store::{Location, Store};

use super::env::TestEnv;
use super::journal::{START, built_in};

/// Starts nothing, and cannot stop it.
struct Unstoppable;

#[async_trait]
impl Launcher for Unstoppable {
    fn name(&self) -> &'static str {
        "unstoppable"
    }

    async fn start(&mut self, _: &StackRequest<'_>) -> Result<Box<dyn RunningStack>, LaunchError> {
        let start = LaunchError::Port { source: io::Error::other("none is left") };
        let source = io::Error::other("it survived SIGKILL");
        let stop = ProcessError::System { action: "stop a process", source };
        Err(LaunchError::NotStopped { start: Box::new(start), stop: Box::new(stop.into()) })
    }

    async fn end_all(&mut self) -> Result<(), LaunchError> {
        Ok(())
    }
}

#[test]
fn a_failed_start_that_cannot_be_stopped_ends_the_run_and_no_trial_is_recorded() {
    let env = TestEnv::new();
    let (bundle, experiment) = built_in(&env, "quick", &Overrides::default());
    let store = Store::create(&Location::Folder(env.path("results"))).unwrap();
    let clock = Clock::Fixed(START);
    let (topology, host) = perf_api::host::imaginary();
    let plan = plan(&experiment, Order::RandomisedBlocks);
    let placements = Placements::of(&topology, &plan);
    let id = RunId("20260101-000000-0".to_owned());
    let request = RunRequest {
        id: id.clone(),
        beginning: Beginning::New,
        plan: &plan,
        bundle: &bundle,
        unavailable: vec![],
        placements: &placements,
        ceilings: BTreeMap::new(),
        reservation: None,
        watches_host: false,
        is_published: false,
        checks: vec![],
        host,
        launcher: &mut Unstoppable,
        interleaved: None,
        driver: &mut FakeLoad::new(clock.clone(), experiment.seed),
        store: &store,
        clock: &clock,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let error = runtime.block_on(record(request, &mut |_| {})).unwrap_err();
    assert_eq!(
        with_causes(&error),
        "a stack could not be stopped after it had failed (cannot find a free port on the loopback \
         address: none is left): cannot stop a process: it survived SIGKILL"
    );
    assert_eq!(store.resume(&id).unwrap().1.trials, []);
}
