//! What starting a store or an app takes, wherever it runs: wait until it is ready, see that it is
//! what it should be, seed it or check its answer.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;

use super::{LaunchError, StackRequest, probe};
use crate::clock::Stopwatch;
use crate::exec::Usage;
use crate::model::{Component, HttpPaths, KEY, Part, SelfReport, fill};
use crate::units::Nanos;

/// How long a component may take until it is ready.
const READY_LIMIT: Duration = Duration::from_secs(30);
/// How often readiness is asked for.
const READY_POLL: Duration = Duration::from_millis(10);
/// How long a component may take to stop when it is told to.
pub(super) const STOP_GRACE: Duration = Duration::from_secs(10);
/// What a store may hold: far more than one key, and enough for Dragonfly's least of 256 MiB a
/// thread on two threads.
pub(super) const STORE_MEMORY_MIB: u32 = 1024;
/// Lines of a log that are kept of a failure.
pub(super) const TAIL_LINES: usize = 10;

/// What a component runs in: a process, or a container.
#[async_trait]
pub(super) trait Vessel: Send {
    /// How it ended, if it did.
    fn ended(&mut self) -> Option<String>;

    /// The last lines that it wrote.
    fn log_tail(&self) -> Vec<String>;

    /// What it has used, once a second for `window`, and at its end.
    fn sample(&self, window: Duration) -> BoxFuture<'static, Vec<(Nanos, Usage)>>;

    /// Ends it and everything in it.
    async fn stop(self) -> Result<(), LaunchError>;
}

/// A component that was started and is not known to answer yet.
pub(super) struct Starting<V> {
    pub part: Part,
    pub name: String,
    pub vessel: V,
    /// Where it listens, as seen from here.
    pub address: SocketAddr,
    /// Where it listens, as seen from the app.
    pub inside: SocketAddr,
    /// Since when it is being started.
    pub watch: Stopwatch,
}

/// A component that runs and answers.
pub(super) struct Running<V> {
    pub name: String,
    pub vessel: V,
    pub address: SocketAddr,
    pub inside: SocketAddr,
    pub report: SelfReport,
    /// From its start to its first answer.
    pub ready: Duration,
    /// From then until it was seeded and checked.
    pub seed: Duration,
}

impl<V: Vessel> Starting<V> {
    /// Waits for a store, sees that it is what its component says, and seeds it. One that is not is
    /// stopped.
    pub(super) async fn into_store(
        mut self,
        component: &Component,
    ) -> Result<Running<V>, LaunchError> {
        let report = self.store_report(component).await;
        self.running_or_stopped(report).await
    }

    /// Waits for an app and sees that it answers what was stored. One that does not is stopped.
    pub(super) async fn into_app(mut self, http: &HttpPaths) -> Result<Running<V>, LaunchError> {
        let report = self.app_report(http).await;
        self.running_or_stopped(report).await
    }

    async fn running_or_stopped(
        self,
        report: Result<(SelfReport, Duration), LaunchError>,
    ) -> Result<Running<V>, LaunchError> {
        let Self { name, vessel, address, inside, watch, .. } = self;
        match report {
            Ok((report, ready)) => {
                let seed = watch.elapsed().saturating_sub(ready);
                Ok(Running { name, vessel, address, inside, report, ready, seed })
            }
            Err(error) => {
                vessel.stop().await?;
                Err(error)
            }
        }
    }

    async fn store_report(
        &mut self,
        component: &Component,
    ) -> Result<(SelfReport, Duration), LaunchError> {
        let address = self.address;
        let ready = self.ready(|| probe::store_ready(address)).await?;
        let report = probe::ask_info(address).await.map_err(|reason| self.seed_error(reason))?;
        if let Some(identity) = &component.store {
            let name = component.name.to_string();
            probe::check_identity(&report, identity)
                .map_err(|reason| LaunchError::Impostor { name, reason })?;
        }
        probe::seed(address, KEY).await.map_err(|reason| self.seed_error(reason))?;
        Ok((report, ready))
    }

    async fn app_report(
        &mut self,
        http: &HttpPaths,
    ) -> Result<(SelfReport, Duration), LaunchError> {
        let address = self.address;
        let ready = self.ready(|| probe::app_ready(address, &http.ready)).await?;
        probe::check_answer(address, &http.endpoint)
            .await
            .map_err(|reason| self.seed_error(reason))?;
        let report = match &http.about {
            Some(path) => probe::ask_about(address, path).await,
            None => Ok(SelfReport::new()),
        };
        let report = report.map_err(|reason| self.seed_error(reason))?;
        Ok((report, ready))
    }

    /// Waits until it answers; gives how long that took from its start.
    async fn ready<F>(&mut self, ask: impl Fn() -> F) -> Result<Duration, LaunchError>
    where
        F: Future<Output = Result<(), String>>,
    {
        loop {
            if let Some(status) = self.vessel.ended() {
                return Err(LaunchError::Ended {
                    part: self.part,
                    name: self.name.clone(),
                    status,
                    log_tail: self.vessel.log_tail(),
                });
            }
            let Err(last) = ask().await else { return Ok(self.watch.elapsed()) };
            if self.watch.elapsed() >= READY_LIMIT {
                return Err(LaunchError::NotReady {
                    part: self.part,
                    name: self.name.clone(),
                    waited: READY_LIMIT,
                    last,
                    log_tail: self.vessel.log_tail(),
                });
            }
            tokio::time::sleep(READY_POLL).await;
        }
    }

    fn seed_error(&self, reason: String) -> LaunchError {
        LaunchError::Seed {
            part: self.part,
            name: self.name.clone(),
            reason,
            log_tail: self.vessel.log_tail(),
        }
    }
}

impl<V: Vessel> Running<V> {
    /// How it ended, if it did, in words.
    pub(super) fn ended(&mut self, part: Part) -> Option<String> {
        let status = self.vessel.ended()?;
        Some(format!("{part} `{}` ended ({status})", self.name))
    }

    /// The last lines that it wrote, each with the part's name.
    pub(super) fn log_tail(&self, part: Part) -> impl Iterator<Item = String> {
        self.vessel.log_tail().into_iter().map(move |line| format!("{part}: {line}"))
    }
}

/// What stands for the placeholders of a command: `host` and `port` to listen on, `store` to ask.
pub(super) fn placeholders(
    request: &StackRequest<'_>,
    part: Part,
    listen: SocketAddr,
    store: Option<SocketAddr>,
) -> BTreeMap<&'static str, String> {
    let cpus = match part {
        Part::Store => &request.placement.store,
        _ => &request.placement.app,
    };
    let mut values = BTreeMap::from([
        ("host", listen.ip().to_string()),
        ("port", listen.port().to_string()),
        ("workers", request.stack.workers.to_string()),
        ("connections", request.connections.to_string()),
        ("key", KEY.to_owned()),
        ("cpus", cpus.len().to_string()),
        ("memory_mib", STORE_MEMORY_MIB.to_string()),
    ]);
    if let Some(store) = store {
        values.insert("store_host", store.ip().to_string());
        values.insert("store_port", store.port().to_string());
    }
    values
}

/// A command whose placeholders are filled.
pub(super) struct Command {
    pub args: Vec<String>,
    pub env: BTreeMap<String, String>,
}

/// Fills the placeholders of a command.
pub(super) fn filled(
    args: &[String],
    env: &BTreeMap<String, String>,
    values: &BTreeMap<&'static str, String>,
) -> Result<Command, String> {
    let filled = |text: &String| fill(text, |name| values.get(name).cloned());
    Ok(Command {
        args: args.iter().map(filled).collect::<Result<_, _>>()?,
        env: env
            .iter()
            .map(|(name, text)| Ok((name.clone(), filled(text)?)))
            .collect::<Result<_, String>>()?,
    })
}

pub(super) fn http_paths<'bundle>(
    component: &'bundle Component,
    launcher: &'static str,
) -> Result<&'bundle HttpPaths, LaunchError> {
    let http = component.http.as_ref();
    http.ok_or_else(|| unsupported(component, launcher, &"it has no section [http]"))
}

pub(super) fn unsupported(
    component: &Component,
    launcher: &'static str,
    reason: &dyn Display,
) -> LaunchError {
    LaunchError::Unsupported {
        name: component.name.to_string(),
        launcher,
        reason: reason.to_string(),
    }
}
