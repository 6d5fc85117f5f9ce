//! Simulated stacks, for tests and for reports of any size.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;

use super::{ComparedAnswers, Contract, LaunchError, Launcher, RunningStack, StackRequest};
use crate::clock::Clock;
use crate::model::{ComponentName, Part, ResourceSample, SelfReport, StackTimes};
use crate::units::Nanos;

/// Starts nothing and advances a simulated clock.
#[derive(Debug)]
pub struct FakeLauncher {
    clock: Clock,
    broken: Vec<ComponentName>,
}

impl FakeLauncher {
    /// A launcher whose starts advance `clock` by half a second.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { clock, broken: vec![] }
    }

    /// A launcher where these components break their contract.
    #[must_use]
    pub fn breaking(self, broken: &[ComponentName]) -> Self {
        Self { broken: broken.to_vec(), ..self }
    }
}

#[async_trait]
impl Launcher for FakeLauncher {
    fn name(&self) -> &'static str {
        "fake"
    }

    async fn start(
        &mut self,
        request: &StackRequest<'_>,
    ) -> Result<Box<dyn RunningStack>, LaunchError> {
        self.clock.advance(Duration::from_millis(500));
        let stack = request.stack;
        for (part, name) in [(Part::Store, &stack.store), (Part::App, &stack.app)] {
            if self.broken.contains(name) {
                return Err(LaunchError::Seed {
                    part,
                    name: name.to_string(),
                    contract: Contract::Endpoint,
                    reason: "GET /cached-value was answered with status 404".to_owned(),
                    log_tail: ["listening", "Press CTRL+C to quit"].map(str::to_owned).into(),
                });
            }
        }
        let report = |name: &str| SelfReport::from([("fake".to_owned(), name.to_owned())]);
        Ok(Box::new(FakeStack {
            endpoint: format!("fake://{}/{}/{}", stack.app, stack.store, stack.workers),
            self_reports: BTreeMap::from([
                (Part::App, report(stack.app.as_str())),
                (Part::Store, report(stack.store.as_str())),
            ]),
            window: Duration::ZERO,
        }))
    }

    async fn end_all(&mut self) -> Result<(), LaunchError> {
        Ok(())
    }
}

struct FakeStack {
    endpoint: String,
    self_reports: BTreeMap<Part, SelfReport>,
    window: Duration,
}

#[async_trait]
impl RunningStack for FakeStack {
    fn url(&self) -> &str {
        &self.endpoint
    }

    fn self_reports(&self) -> &BTreeMap<Part, SelfReport> {
        &self.self_reports
    }

    fn times(&self) -> Option<StackTimes> {
        None
    }

    fn is_published(&self) -> bool {
        false
    }

    async fn check(&mut self) -> Result<(), String> {
        Ok(())
    }

    fn begin_comparing(&mut self, _: Duration) {}

    async fn compared_answers(&mut self) -> ComparedAnswers {
        ComparedAnswers::default()
    }

    fn begin_sampling(&mut self, window: Duration) {
        self.window = window;
    }

    async fn end_sampling(&mut self) -> Vec<ResourceSample> {
        let parts = [(Part::App, 700, 60 << 20), (Part::Store, 150, 12 << 20)];
        let seconds = 0..=self.window.as_secs();
        let sample =
            |(part, busy_ms, memory_bytes): (Part, u64, u64), second: u64| ResourceSample {
                part,
                offset: Nanos(second * 1_000_000_000),
                cpu: Nanos(second * busy_ms * 1_000_000),
                memory_bytes,
                throttled: None,
            };
        parts
            .into_iter()
            .flat_map(|part| seconds.clone().map(move |second| sample(part, second)))
            .collect()
    }

    fn ended_part(&mut self) -> Option<String> {
        None
    }

    fn log_tail(&self) -> Vec<String> {
        Vec::new()
    }

    async fn stop(self: Box<Self>) -> Result<(), LaunchError> {
        Ok(())
    }
}
