//! Starting and warming up a stack.

use tokio::sync::watch;

use super::{Event, Live, RunError, Runner, StackContext};
use crate::clock::Stopwatch;
use crate::launch::{LaunchError, StackRequest, Waiting};
use crate::model::{ComponentName, Failure, Part, StackTimes, one_line, with_causes};
use crate::store::Entry;
use crate::units::Nanos;

impl Runner<'_, '_> {
    /// Starts and warms up a stack; the inner error is why it could not be.
    pub(super) async fn start(
        &mut self,
        context: &StackContext<'_>,
    ) -> Result<Result<Live, Failure>, RunError> {
        (self.on_event)(&Event::Starting(context.stack));
        let component = |name: &ComponentName| {
            self.request.bundle.component(name).ok_or_else(|| RunError::NoComponent(name.clone()))
        };
        let connections = self.request.plan.experiment.concurrency.iter().copied().max();
        let (waiting, waits) = watch::channel(None);
        let request = StackRequest {
            stack: context.stack,
            app: component(&context.stack.app)?,
            store: component(&context.stack.store)?,
            placement: &context.placement,
            connections: connections.unwrap_or(1),
            run: &self.request.id,
            log_dir: self.journal.dir(),
            waiting: &waiting,
        };
        let start = self.request.launcher.start(&request);
        let mut live = match telling(start, waits, self.on_event).await {
            Ok(live) => live,
            Err(LaunchError::NotStopped { start, stop }) => {
                return Err(RunError::Stop { failure: Some(with_causes(&*start)), source: stop });
            }
            Err(error) => return Ok(Err(launch_failure(&error))),
        };
        for (part, report) in live.self_reports() {
            let component = match part {
                Part::Store => &context.stack.store,
                _ => &context.stack.app,
            };
            let entry = Entry::Report { component: component.clone(), report: report.clone() };
            self.journal.append(&entry)?;
        }
        let warm_up = self.request.plan.experiment.warm_up.0;
        let watch = Stopwatch::start();
        let mut is_warm = true;
        if !warm_up.is_zero() {
            (self.on_event)(&Event::WarmingUp(context.stack));
            is_warm = match self.warm_up(context, live.as_mut(), warm_up).await {
                Ok(is_warm) => is_warm,
                Err(failure) => {
                    return match live.stop().await {
                        Ok(()) => Ok(Err(failure)),
                        Err(error) => {
                            let (failure, source) = (Some(failure.reason), error.into());
                            Err(RunError::Stop { failure, source })
                        }
                    };
                }
            };
        }
        let warm_up = Nanos::from(watch.elapsed());
        let times = live.times().map(|times| StackTimes { warm_up, is_warm, ..times });
        Ok(Ok(Live { stack: live, times, trials: vec![] }))
    }
}

/// A start, with an event for each time that a component is waited for.
async fn telling<T>(
    start: impl Future<Output = T>,
    mut waits: watch::Receiver<Option<Waiting>>,
    on_event: &mut dyn FnMut(&Event<'_>),
) -> T {
    let mut start = std::pin::pin!(start);
    loop {
        tokio::select! {
            started = &mut start => return started,
            Ok(()) = waits.changed() => {
                let waiting = waits.borrow_and_update().clone();
                if let Some(waiting) = &waiting {
                    on_event(&Event::Waiting(waiting));
                }
            }
        }
    }
}

/// Characters of a reason: an engine's message may have any length.
const MAX_REASON_CHARS: usize = 1000;

fn launch_failure(error: &LaunchError) -> Failure {
    Failure {
        stage: error.stage(),
        reason: one_line(&with_causes(error), MAX_REASON_CHARS),
        log_tail: error.log_tail().to_vec(),
    }
}
