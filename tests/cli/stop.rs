//! A start that fails and leaves something that cannot be stopped ends the run.

use std::io;

use async_trait::async_trait;
use perf_api::launch::{LaunchError, Launcher, RunningStack, StackRequest};
use perf_api::model::with_causes;
use perf_api::plan::Overrides;
use perf_api::process::ProcessError;
use perf_api::run::record;

use super::env::TestEnv;
use super::journal::{START, Setup, block_on, run_id};

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
    let setup = Setup::new(&env, "quick", &Overrides::default(), START);
    let (mut launcher, mut load) = (Unstoppable, setup.load());
    let request = setup.request(run_id(""), &mut launcher, &mut load);
    let error = block_on(record(request, &mut |_| {})).unwrap_err();
    assert_eq!(
        with_causes(&error),
        "a stack could not be stopped after it had failed (cannot find a free port on the loopback \
         address: none is left): cannot stop a process: it survived SIGKILL"
    );
    assert_eq!(setup.store.resume(&run_id("")).unwrap().1.trials, []);
}
