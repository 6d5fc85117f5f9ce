//! A store and an app that run together, wherever they run.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use tokio::task::JoinSet;

use super::part::{Running, Starting, Vessel, http_paths};
use super::{LaunchError, RunningStack, StackRequest, probe};
use crate::clock::Stopwatch;
use crate::exec::Usage;
use crate::model::{Component, Part, ResourceSample, SelfReport, StackTimes};
use crate::units::Nanos;

/// How long an app may take, after a load, until it answers as it should: an overload has to drain.
const CHECK_LIMIT: Duration = Duration::from_secs(5);
/// How often it is asked.
const CHECK_POLL: Duration = Duration::from_millis(100);

/// What starts a component in a vessel.
#[async_trait]
pub(super) trait Launch: Send {
    type Vessel: Vessel;

    /// The launcher's name in datasets.
    const NAME: &'static str;

    /// Starts a component; an app is told where its store is.
    async fn launch(
        &mut self,
        request: &StackRequest<'_>,
        part: Part,
        component: &Component,
        store: Option<SocketAddr>,
    ) -> Result<Starting<Self::Vessel>, LaunchError>;
}

/// Starts a store and then its app, each until it answers. Of what fails nothing is left running.
pub(super) async fn start<L: Launch>(
    launcher: &mut L,
    request: &StackRequest<'_>,
) -> Result<Box<dyn RunningStack>, LaunchError>
where
    L::Vessel: 'static,
{
    let http = http_paths(request.app, L::NAME)?;
    let store = launcher.launch(request, Part::Store, request.store, None).await?;
    let store = store.into_store(request.store).await?;
    let app = launcher.launch(request, Part::App, request.app, Some(store.inside)).await;
    let app = match app {
        Ok(app) => app.into_app(http).await,
        Err(error) => Err(error),
    };
    match app {
        Ok(app) => Ok(Box::new(ComponentStack {
            endpoint: http.endpoint.clone(),
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
        Err(error) => {
            store.vessel.stop().await?;
            Err(error)
        }
    }
}

struct ComponentStack<V> {
    /// The path that is measured, and its URL.
    endpoint: String,
    url: String,
    times: StackTimes,
    self_reports: BTreeMap<Part, SelfReport>,
    app: Running<V>,
    store: Running<V>,
    /// Ended with the stack, should it end before their window is over.
    samplers: JoinSet<(Part, Vec<(Nanos, Usage)>)>,
}

#[async_trait]
impl<V: Vessel> RunningStack for ComponentStack<V> {
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
            let Err(reason) = probe::check_answer(self.app.address, &self.endpoint).await else {
                return Ok(());
            };
            if watch.elapsed() >= CHECK_LIMIT {
                return Err(reason);
            }
            tokio::time::sleep(CHECK_POLL).await;
        }
    }

    fn begin_sampling(&mut self, window: Duration) {
        for (part, running) in [(Part::App, &self.app), (Part::Store, &self.store)] {
            let readings = running.vessel.sample(window);
            self.samplers.spawn(async move { (part, readings.await) });
        }
    }

    async fn end_sampling(&mut self) -> Vec<ResourceSample> {
        let mut samples = Vec::new();
        while let Some(sampled) = self.samplers.join_next().await {
            // A sampler that panicked has no samples; the trial then has none for its part.
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
        let app = self.app.vessel.stop().await;
        let store = self.store.vessel.stop().await;
        app.and(store)
    }
}
