//! A stack of a store and an app, as processes or containers.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use tokio::task::JoinSet;

use super::answers::{AnswerSampler, ComparedAnswers};
use super::part::{Instance, Running, Starting, http_paths};
use super::{LaunchError, RunningStack, StackRequest, probe};
use crate::clock::Stopwatch;
use crate::model::{Component, Part, ResourceSample, SelfReport, StackTimes};
use crate::process::Usage;
use crate::units::Nanos;

/// The polling interval after a load, until the app answers correctly. An overload has to drain first.
const CHECK_POLL: Duration = Duration::from_millis(100);

/// Starts a component as an instance.
#[async_trait]
pub(super) trait Launch: Send {
    type Instance: Instance;

    /// The launcher's name in datasets.
    const NAME: &'static str;

    /// Starts a component. An app gets the address of its store.
    async fn launch(
        &mut self,
        request: &StackRequest<'_>,
        part: Part,
        component: &Component,
        store: Option<SocketAddr>,
    ) -> Result<Starting<Self::Instance>, LaunchError>;
}

/// Starts a store and then its app, and waits until each is ready. On failure it stops both.
pub(super) async fn start<L: Launch>(
    launcher: &mut L,
    request: &StackRequest<'_>,
) -> Result<Box<dyn RunningStack>, LaunchError>
where
    L::Instance: 'static,
{
    let http = http_paths(request.app, L::NAME)?;
    let store = launcher.launch(request, Part::Store, request.store, None).await?;
    let store = store.into_store(request).await?;
    let app = launcher.launch(request, Part::App, request.app, Some(store.inside)).await;
    let app = match app {
        Ok(app) => app.into_app(request, http).await,
        Err(error) => Err(error),
    };
    match app {
        Ok(app) => Ok(Box::new(ComponentStack {
            answers: AnswerSampler::of(app.address, &http.endpoint).await,
            endpoint: http.endpoint.clone(),
            answer_limit: request.app.limits.answer.0,
            url: format!("http://{}{}", app.address, http.endpoint),
            times: StackTimes {
                store_ready: store.ready.into(),
                app_ready: app.ready.into(),
                seed: (store.seed + app.seed).into(),
                ..StackTimes::default()
            },
            self_reports: BTreeMap::from([
                (Part::Store, store.report.clone()),
                (Part::App, app.report.clone()),
            ]),
            app,
            store,
            samplers: JoinSet::new(),
        })),
        Err(error) => Err(error.stopped(store.instance.stop().await)),
    }
}

struct ComponentStack<I> {
    /// The measured path, and its URL.
    endpoint: String,
    url: String,
    /// The time limit for an answer of the app.
    answer_limit: Duration,
    times: StackTimes,
    self_reports: BTreeMap<Part, SelfReport>,
    app: Running<I>,
    store: Running<I>,
    /// The samplers end with the stack.
    answers: AnswerSampler,
    samplers: JoinSet<(Part, Vec<(Nanos, Usage)>)>,
}

#[async_trait]
impl<I: Instance> RunningStack for ComponentStack<I> {
    fn url(&self) -> &str {
        &self.url
    }

    fn self_reports(&self) -> &BTreeMap<Part, SelfReport> {
        &self.self_reports
    }

    fn times(&self) -> Option<StackTimes> {
        Some(self.times)
    }

    fn is_published(&self) -> bool {
        self.app.address != self.app.inside
    }

    async fn check(&mut self) -> Result<(), String> {
        let watch = Stopwatch::start();
        loop {
            let (address, limit) = (self.app.address, self.answer_limit);
            let Err(reason) = probe::check_answer(address, &self.endpoint, limit).await else {
                return Ok(());
            };
            if watch.elapsed() >= limit {
                return Err(reason);
            }
            tokio::time::sleep(CHECK_POLL).await;
        }
    }

    fn begin_comparing(&mut self, window: Duration) {
        self.answers.begin(window);
    }

    async fn compared_answers(&mut self) -> ComparedAnswers {
        self.answers.finish().await
    }

    fn begin_sampling(&mut self, window: Duration) {
        for (part, running) in [(Part::App, &self.app), (Part::Store, &self.store)] {
            let readings = running.instance.sample(window);
            self.samplers.spawn(async move { (part, readings.await) });
        }
    }

    async fn end_sampling(&mut self) -> Vec<ResourceSample> {
        let mut samples = Vec::new();
        while let Some(sampled) = self.samplers.join_next().await {
            // A sampler that panicked has no samples, so its part has none in this trial.
            if let Ok((part, readings)) = sampled {
                samples.extend(ResourceSample::series(part, &readings));
            }
        }
        samples.sort_by_key(|sample| sample.part);
        samples
    }

    fn ended_part(&mut self) -> Option<String> {
        self.store.ended(Part::Store).or_else(|| self.app.ended(Part::App))
    }

    fn log_tail(&self) -> Vec<String> {
        self.store.log_tail(Part::Store).chain(self.app.log_tail(Part::App)).collect()
    }

    async fn stop(self: Box<Self>) -> Result<(), LaunchError> {
        let app = self.app.instance.stop().await;
        let store = self.store.instance.stop().await;
        app.and(store)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use futures::FutureExt;
    use futures::future::BoxFuture;

    use super::*;
    use crate::id::RunId;
    use crate::launch::Waiting;
    use crate::model::{Placement, Stack};
    use crate::process::ProcessError;
    use crate::units::CpuSet;

    fn stop_error() -> LaunchError {
        let source = std::io::Error::other("it survived SIGKILL");
        ProcessError::System { action: "stop a process", source }.into()
    }

    /// A component that never answers. It may have ended, and it may fail to stop.
    #[derive(Clone, Copy)]
    struct Dead {
        has_ended: bool,
        can_be_stopped: bool,
    }

    /// The wrong address on which it listens.
    const ELSEWHERE: &str = "[::1]:1";

    #[async_trait]
    impl Instance for Dead {
        fn ended(&mut self) -> Option<String> {
            self.has_ended.then(|| "exit status: 3".to_owned())
        }

        fn log_tail(&self) -> Vec<String> {
            vec!["no configuration".to_owned(), String::new()]
        }

        async fn listening(&self) -> BTreeSet<SocketAddr> {
            BTreeSet::from([ELSEWHERE.parse().unwrap()])
        }

        fn sample(&self, _: Duration) -> BoxFuture<'static, Vec<(Nanos, Usage)>> {
            async { vec![] }.boxed()
        }

        async fn stop(self) -> Result<(), LaunchError> {
            match self.can_be_stopped {
                true => Ok(()),
                false => Err(stop_error()),
            }
        }
    }

    #[async_trait]
    impl Launch for Dead {
        type Instance = Dead;

        const NAME: &'static str = "dead";

        async fn launch(
            &mut self,
            _: &StackRequest<'_>,
            part: Part,
            component: &Component,
            _: Option<SocketAddr>,
        ) -> Result<Starting<Dead>, LaunchError> {
            let address = SocketAddr::from(([127, 0, 0, 1], 1));
            let (instance, name) = (*self, component.name.to_string());
            Ok(Starting {
                part,
                name,
                instance,
                address,
                inside: address,
                watch: Stopwatch::start(),
            })
        }
    }

    fn component(kind: &str) -> Component {
        let http = serde_json::json!({ "ready": "/", "about": null, "endpoint": "/" });
        let component = serde_json::json!({
            "name": kind, "kind": kind, "title": "", "summary": "", "version": null,
            "identity": "0".repeat(64), "facts": {}, "http": http, "store": null,
            "process": null, "unavailable": null, "limits": { "ready": "1s 100ms" },
        });
        serde_json::from_value(component).unwrap()
    }

    /// The error of a start, and the last report while it was not ready.
    fn start_error(mut launcher: Dead) -> (LaunchError, Option<Waiting>) {
        let [app, store] = ["app", "store"].map(component);
        let stack = Stack { app: app.name.clone(), store: store.name.clone(), workers: 1 };
        let cpus = CpuSet::default();
        let (loader, shared) = (cpus.clone(), false);
        let placement = Placement { loader, app: cpus.clone(), store: cpus, shared };
        let (waiting, waits) = tokio::sync::watch::channel(None);
        let request = StackRequest {
            stack: &stack,
            app: &app,
            store: &store,
            placement: &placement,
            connections: 1,
            run: &RunId("run".to_owned()),
            log_dir: Path::new("/"),
            waiting: &waiting,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let Err(error) = runtime.block_on(start(&mut launcher, &request)) else {
            panic!("a dead store was started")
        };
        (error, waits.borrow().clone())
    }

    #[test]
    fn a_failed_start_that_cannot_be_stopped_names_both_errors() {
        let ended = "store `store` ended before it was ready (exit status: 3): no configuration";
        let (error, _) = start_error(Dead { has_ended: true, can_be_stopped: true });
        assert!(matches!(error, LaunchError::Ended { .. }), "{error:?}");
        assert_eq!(error.to_string(), ended);
        let (error, _) = start_error(Dead { has_ended: true, can_be_stopped: false });
        assert!(matches!(error, LaunchError::NotStopped { .. }), "{error:?}");
        let message = error.to_string();
        assert!(message.starts_with(ended), "{message}");
        assert!(message.contains("cannot stop a process: it survived SIGKILL"), "{message}");
    }

    #[test]
    fn a_component_that_is_not_ready_is_reported_with_its_limit_and_addresses() {
        let (error, waiting) = start_error(Dead { has_ended: false, can_be_stopped: true });
        let message = error.to_string();
        for expected in [
            "store `store` was not ready within 1s 100ms (`limits.ready` in its component.toml)",
            "at 127.0.0.1:1",
            "expected an answer to PING",
            "it listens on [::1]:1 instead of 127.0.0.1:1",
        ] {
            assert!(message.contains(expected), "{expected}: {message}");
        }
        let waiting = waiting.unwrap().to_string();
        assert!(waiting.starts_with("waiting for store `store` (1 s of 1s 100ms): "), "{waiting}");
        assert!(waiting.ends_with("it listens on [::1]:1 instead of 127.0.0.1:1"), "{waiting}");
    }
}
