//! The start of one store or app, as a process or a container: wait until it is ready, check its identity,
//! and seed it or check its answer.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;

use super::{Contract, LaunchError, StackRequest, Waiting, last_line, probe};
use crate::clock::Stopwatch;
use crate::model::{Component, HttpPaths, KEY, Part, SelfReport, fill};
use crate::process::Usage;
use crate::units::{HumanDuration, Nanos};

/// The polling interval for readiness.
const READY_POLL: Duration = Duration::from_millis(10);
/// The time that the news of an end may take.
const END_NOTICE: Duration = Duration::from_secs(1);
/// The time between two reports that a component is not ready.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// The time between SIGTERM and SIGKILL.
pub(super) const STOP_GRACE: Duration = Duration::from_secs(10);
/// The memory limit of a store in MiB: far more than one key needs, and the minimum of Dragonfly, which has
/// a thread on each CPU.
pub(super) fn store_memory_mib(cpus: usize) -> u32 {
    const MIN_MIB: u32 = 1024;
    const MIN_MIB_PER_CPU: u32 = 256;
    let cpus = u32::try_from(cpus).unwrap_or(u32::MAX);
    cpus.saturating_mul(MIN_MIB_PER_CPU).max(MIN_MIB)
}

/// Log lines that are recorded with a failure.
pub(super) const TAIL_LINES: usize = 10;

/// A running component: a process or a container.
#[async_trait]
pub(super) trait Instance: Send {
    /// How it ended, if it has.
    fn ended(&mut self) -> Option<String>;

    /// Its last log lines.
    fn log_tail(&self) -> Vec<String>;

    /// The addresses on which it listens, if this process may read them.
    async fn listening(&self) -> BTreeSet<SocketAddr>;

    /// Samples its resource use once a second for `window`, and at its end.
    fn sample(&self, window: Duration) -> BoxFuture<'static, Vec<(Nanos, Usage)>>;

    /// Ends it with all its processes.
    async fn stop(self) -> Result<(), LaunchError>;
}

/// A component that was started and is not ready yet.
pub(super) struct Starting<I> {
    pub part: Part,
    pub name: String,
    pub instance: I,
    /// Its address, as seen from the host.
    pub address: SocketAddr,
    /// Its address, as seen from the app.
    pub inside: SocketAddr,
    /// The time since its start.
    pub watch: Stopwatch,
}

/// A component that is ready.
pub(super) struct Running<I> {
    pub name: String,
    pub instance: I,
    pub address: SocketAddr,
    pub inside: SocketAddr,
    pub report: SelfReport,
    /// From its start to its first answer.
    pub ready: Duration,
    /// From then until it was seeded and checked.
    pub seed: Duration,
}

impl<I: Instance> Starting<I> {
    /// Waits for a store, checks its identity and seeds it. Stops it on failure.
    pub(super) async fn into_store(
        mut self,
        request: &StackRequest<'_>,
    ) -> Result<Running<I>, LaunchError> {
        let report = self.store_report(request).await;
        self.running_or_stopped(report).await
    }

    /// Waits for an app and checks that it answers with the stored value. Stops it on failure.
    pub(super) async fn into_app(
        mut self,
        request: &StackRequest<'_>,
        http: &HttpPaths,
    ) -> Result<Running<I>, LaunchError> {
        let report = self.app_report(request, http).await;
        self.running_or_stopped(report).await
    }

    async fn running_or_stopped(
        mut self,
        report: Result<(SelfReport, Duration), LaunchError>,
    ) -> Result<Running<I>, LaunchError> {
        let report = match report {
            // A component that ended answers nothing more: its end is the cause, whatever was asked.
            Err(error) => Err(self.end().await.unwrap_or(error)),
            report => report,
        };
        let Self { name, instance, address, inside, watch, .. } = self;
        match report {
            Ok((report, ready)) => {
                let seed = watch.elapsed().saturating_sub(ready);
                Ok(Running { name, instance, address, inside, report, ready, seed })
            }
            Err(error) => Err(error.stopped(instance.stop().await)),
        }
    }

    async fn store_report(
        &mut self,
        request: &StackRequest<'_>,
    ) -> Result<(SelfReport, Duration), LaunchError> {
        let (component, address) = (request.store, self.address);
        let limit = component.limits.answer.0;
        let ask = || probe::store_ready(address, limit);
        let ready = self.ready(request, component, Contract::Ping, ask).await?;
        let report = probe::ask_info_within(address, limit).await;
        let report = report.map_err(|reason| self.broken(Contract::Info, reason))?;
        if let Some(identity) = &component.store {
            let name = component.name.to_string();
            probe::check_identity(&report, identity)
                .map_err(|reason| LaunchError::WrongServer { name, reason })?;
        }
        let seeded = probe::seed_within(address, KEY, limit).await;
        seeded.map_err(|reason| self.broken(Contract::Value, reason))?;
        Ok((report, ready))
    }

    async fn app_report(
        &mut self,
        request: &StackRequest<'_>,
        http: &HttpPaths,
    ) -> Result<(SelfReport, Duration), LaunchError> {
        let (component, address) = (request.app, self.address);
        let limit = component.limits.answer.0;
        let ask = || probe::app_ready(address, &http.ready, limit);
        let ready = self.ready(request, component, Contract::Ready, ask).await?;
        let checked = probe::check_answer(address, &http.endpoint, limit).await;
        checked.map_err(|reason| self.broken(Contract::Endpoint, reason))?;
        let report = match &http.about {
            Some(path) => probe::ask_about(address, path, limit).await,
            None => Ok(SelfReport::new()),
        };
        let report = report.map_err(|reason| self.broken(Contract::About, reason))?;
        probe::check_version(&report, http, component.version.as_deref()).map_err(|reason| {
            let (part, name, log_tail) = (self.part, self.name.clone(), self.instance.log_tail());
            LaunchError::OtherVersion { part, name, reason, log_tail }
        })?;
        Ok((report, ready))
    }

    /// Waits until it answers. Returns the time since its start.
    async fn ready<F>(
        &mut self,
        request: &StackRequest<'_>,
        component: &Component,
        contract: Contract,
        ask: impl Fn() -> F,
    ) -> Result<Duration, LaunchError>
    where
        F: Future<Output = Result<(), String>>,
    {
        let limit = component.limits.ready;
        let mut next_report = REPORT_EVERY;
        loop {
            if let Some(ended) = self.ended() {
                return Err(ended);
            }
            let Err(last) = ask().await else { return Ok(self.watch.elapsed()) };
            let waited = self.watch.elapsed();
            if waited >= limit.0 {
                return Err(self.not_ready(limit, contract, last).await);
            }
            if waited >= next_report {
                next_report = waited + REPORT_EVERY;
                let (part, name) = (self.part, self.name.clone());
                let last = format!("{last}; {}", self.listening().await);
                request.waiting.send_replace(Some(Waiting { part, name, waited, limit, last }));
            }
            tokio::time::sleep(READY_POLL).await;
        }
    }

    /// The error of a component that ended by itself, if it has.
    fn ended(&mut self) -> Option<LaunchError> {
        let status = self.instance.ended()?;
        Some(LaunchError::Ended {
            part: self.part,
            name: self.name.clone(),
            status,
            log_tail: self.instance.log_tail(),
        })
    }

    /// As [`Self::ended`], with some time for the news of an end to arrive.
    async fn end(&mut self) -> Option<LaunchError> {
        let deadline = self.watch.elapsed() + END_NOTICE;
        loop {
            let ended = self.ended();
            if ended.is_some() || self.watch.elapsed() >= deadline {
                return ended;
            }
            tokio::time::sleep(READY_POLL).await;
        }
    }

    async fn not_ready(
        &self,
        limit: HumanDuration,
        contract: Contract,
        last: String,
    ) -> LaunchError {
        LaunchError::NotReady {
            part: self.part,
            name: self.name.clone(),
            limit,
            contract,
            last,
            listening: self.listening().await,
            log_tail: self.instance.log_tail(),
        }
    }

    /// The addresses on which it listens, as text.
    async fn listening(&self) -> String {
        let expected = self.inside;
        let addresses = self.instance.listening().await;
        let is_expected = |address: &SocketAddr| {
            let ip = address.ip();
            address.port() == expected.port() && (ip == expected.ip() || ip.is_unspecified())
        };
        let listed: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        let listed = listed.join(" and ");
        match addresses.iter().any(is_expected) {
            _ if addresses.is_empty() => "it was not seen to listen on any address".to_owned(),
            true => format!("it listens on {listed}"),
            false => format!("it listens on {listed} instead of {expected}"),
        }
    }

    fn broken(&self, contract: Contract, reason: String) -> LaunchError {
        LaunchError::Seed {
            part: self.part,
            name: self.name.clone(),
            contract,
            reason,
            log_tail: self.instance.log_tail(),
        }
    }
}

impl<I: Instance> Running<I> {
    /// How it ended, if it has, as text.
    pub(super) fn ended(&mut self, part: Part) -> Option<String> {
        let status = self.instance.ended()?;
        Some(format!(
            "{part} `{}` ended ({status}){}",
            self.name,
            last_line(&self.instance.log_tail())
        ))
    }

    /// Its last log lines, each with the name of the part.
    pub(super) fn log_tail(&self, part: Part) -> impl Iterator<Item = String> {
        self.instance.log_tail().into_iter().map(move |line| format!("{part}: {line}"))
    }
}

/// The values of the placeholders of a command. `listen` is its own address, `store` that of its store.
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
        ("memory_mib", store_memory_mib(cpus.len()).to_string()),
    ]);
    if let Some(store) = store {
        values.insert("store_host", store.ip().to_string());
        values.insert("store_port", store.port().to_string());
    }
    values
}

/// A command with filled placeholders.
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
    http.ok_or_else(|| {
        unsupported(component, launcher, &"its component.toml has no section [http]")
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_a_store_follows_its_cpus() {
        let limits = [0, 1, 2, 4, 5, 8].map(store_memory_mib);
        assert_eq!(limits, [1024, 1024, 1024, 1024, 1280, 2048]);
    }
}
