//! Stacks as child processes on loopback ports, pinned by CPU affinity.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use tokio::task::JoinSet;

use super::{LaunchError, Launcher, RunningStack, StackRequest, probe};
use crate::clock::Stopwatch;
use crate::exec::{Child, ChildSpec, Usage, sample_usage};
use crate::model::{
    Component, HttpPaths, KEY, Part, ProcessTemplate, ResourceSample, SelfReport, fill,
};
use crate::units::{CpuSet, Nanos};

/// Starts components as child processes.
#[derive(Debug, Default)]
pub struct ProcessLauncher;

/// How long a component may take until it is ready.
const READY_LIMIT: Duration = Duration::from_secs(30);
/// How often readiness is asked for.
const READY_POLL: Duration = Duration::from_millis(10);
/// How long a component may take to stop when it is told to.
const STOP_GRACE: Duration = Duration::from_secs(10);
/// What a store may hold: far more than one key, and enough for Dragonfly's least of 256 MiB a
/// thread on two threads.
const STORE_MEMORY_MIB: u32 = 1024;
/// Lines of a log that are kept of a failure.
const TAIL_LINES: usize = 10;

#[async_trait]
impl Launcher for ProcessLauncher {
    fn name(&self) -> &'static str {
        "process"
    }

    async fn start(
        &mut self,
        request: &StackRequest<'_>,
    ) -> Result<Box<dyn RunningStack>, LaunchError> {
        let store = start_store(request).await?;
        let app = start_app(request, store.address).await?;
        let endpoint = format!("http://{}{}", app.address, http_paths(request.app)?.endpoint);
        Ok(Box::new(ProcessStack {
            endpoint,
            self_reports: BTreeMap::from([
                (Part::Store, store.report.clone()),
                (Part::App, app.report.clone()),
            ]),
            app,
            store,
            samplers: JoinSet::new(),
        }))
    }
}

/// A component that runs and answers.
struct RunningComponent {
    name: String,
    child: Child,
    address: SocketAddr,
    report: SelfReport,
}

async fn start_store(request: &StackRequest<'_>) -> Result<RunningComponent, LaunchError> {
    let component = request.store;
    let address = free_address()?;
    let values = placeholders(request, address, &request.placement.store, None);
    let mut starting = Starting::spawn(request, Part::Store, component, &values)?;
    starting.ready(|| probe::store_ready(address)).await?;
    let report = probe::ask_info(address).await.map_err(|reason| starting.seed_error(reason))?;
    if let Some(identity) = &component.store {
        let name = component.name.to_string();
        probe::check_identity(&report, identity)
            .map_err(|reason| LaunchError::Impostor { name, reason })?;
    }
    probe::seed(address, KEY).await.map_err(|reason| starting.seed_error(reason))?;
    Ok(starting.started(address, report))
}

async fn start_app(
    request: &StackRequest<'_>,
    store: SocketAddr,
) -> Result<RunningComponent, LaunchError> {
    let component = request.app;
    let http = http_paths(component)?;
    let address = free_address()?;
    let values = placeholders(request, address, &request.placement.app, Some(store));
    let mut starting = Starting::spawn(request, Part::App, component, &values)?;
    starting.ready(|| probe::app_ready(address, &http.ready)).await?;
    probe::check_answer(address, &http.endpoint)
        .await
        .map_err(|reason| starting.seed_error(reason))?;
    let report = match &http.about {
        Some(path) => probe::ask_about(address, path).await,
        None => Ok(SelfReport::new()),
    };
    let report = report.map_err(|reason| starting.seed_error(reason))?;
    Ok(starting.started(address, report))
}

/// A component that was spawned and is not known to answer yet.
struct Starting {
    part: Part,
    name: String,
    child: Child,
}

impl Starting {
    fn spawn(
        request: &StackRequest<'_>,
        part: Part,
        component: &Component,
        values: &BTreeMap<&'static str, String>,
    ) -> Result<Self, LaunchError> {
        let name = component.name.to_string();
        let template = process_template(component)?;
        let cpus = match part {
            Part::Store => &request.placement.store,
            _ => &request.placement.app,
        };
        let log = request.log_dir.join(format!("{part}-{name}.log"));
        let child = Child::spawn(&child_spec(component, template, values, cpus.clone(), log)?)?;
        Ok(Self { part, name, child })
    }

    async fn ready<F>(&mut self, ask: impl Fn() -> F) -> Result<(), LaunchError>
    where
        F: Future<Output = Result<(), String>>,
    {
        let watch = Stopwatch::start();
        loop {
            if let Some(status) = self.child.ended() {
                return Err(LaunchError::Ended {
                    part: self.part,
                    name: self.name.clone(),
                    status: status.to_string(),
                    log_tail: self.child.log_tail(TAIL_LINES),
                });
            }
            let Err(last) = ask().await else { return Ok(()) };
            if watch.elapsed() >= READY_LIMIT {
                return Err(LaunchError::NotReady {
                    part: self.part,
                    name: self.name.clone(),
                    waited: READY_LIMIT,
                    last,
                    log_tail: self.child.log_tail(TAIL_LINES),
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
            log_tail: self.child.log_tail(TAIL_LINES),
        }
    }

    fn started(self, address: SocketAddr, report: SelfReport) -> RunningComponent {
        RunningComponent { name: self.name, child: self.child, address, report }
    }
}

fn child_spec(
    component: &Component,
    template: &ProcessTemplate,
    values: &BTreeMap<&'static str, String>,
    cpus: CpuSet,
    log: PathBuf,
) -> Result<ChildSpec, LaunchError> {
    let filled = |text: &String| {
        fill(text, |name| values.get(name).cloned())
            .map_err(|reason| unsupported(component, &reason))
    };
    let args = template.args.iter().map(|text| filled(text).map(Into::into));
    let env = template.env.iter().map(|(name, text)| Ok((name.clone(), filled(text)?)));
    Ok(ChildSpec {
        program: template.program.clone(),
        args: args.collect::<Result<_, _>>()?,
        env: env.collect::<Result<_, LaunchError>>()?,
        dir: template.dir.clone(),
        cpus,
        log,
    })
}

fn placeholders(
    request: &StackRequest<'_>,
    address: SocketAddr,
    cpus: &CpuSet,
    store: Option<SocketAddr>,
) -> BTreeMap<&'static str, String> {
    let mut values = BTreeMap::from([
        ("host", address.ip().to_string()),
        ("port", address.port().to_string()),
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

fn process_template(component: &Component) -> Result<&ProcessTemplate, LaunchError> {
    component
        .process
        .as_ref()
        .ok_or_else(|| unsupported(component, &"the bundle has no program for it"))
}

fn http_paths(component: &Component) -> Result<&HttpPaths, LaunchError> {
    component.http.as_ref().ok_or_else(|| unsupported(component, &"it has no section [http]"))
}

fn unsupported(component: &Component, reason: &dyn Display) -> LaunchError {
    LaunchError::Unsupported {
        name: component.name.to_string(),
        launcher: "process",
        reason: reason.to_string(),
    }
}

fn free_address() -> Result<SocketAddr, LaunchError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    listener
        .and_then(|listener| listener.local_addr())
        .map_err(|source| LaunchError::Port { source })
}

struct ProcessStack {
    endpoint: String,
    self_reports: BTreeMap<Part, SelfReport>,
    app: RunningComponent,
    store: RunningComponent,
    /// Ended with the stack, should it end before their window is over.
    samplers: JoinSet<(Part, Vec<(Nanos, Usage)>)>,
}

#[async_trait]
impl RunningStack for ProcessStack {
    fn endpoint(&self) -> &str {
        &self.endpoint
    }

    fn self_reports(&self) -> &BTreeMap<Part, SelfReport> {
        &self.self_reports
    }

    fn begin_sampling(&mut self, window: Duration) {
        for (part, running) in [(Part::App, &self.app), (Part::Store, &self.store)] {
            let group = running.child.group();
            self.samplers.spawn(async move { (part, sample_usage(group, window).await) });
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
        let parts = [("store", &mut self.store), ("app", &mut self.app)];
        parts.into_iter().find_map(|(part, running)| {
            let status = running.child.ended()?;
            Some(format!("{part} `{}` ended ({status})", running.name))
        })
    }

    fn log_tail(&self) -> Vec<String> {
        let parts = [("store", &self.store), ("app", &self.app)];
        let lines = parts.into_iter().flat_map(|(part, running)| {
            let lines = running.child.log_tail(TAIL_LINES).into_iter();
            lines.map(move |line| format!("{part}: {line}"))
        });
        lines.collect()
    }

    async fn stop(self: Box<Self>) -> Result<(), LaunchError> {
        let app = self.app.child.stop(STOP_GRACE).await;
        let store = self.store.child.stop(STOP_GRACE).await;
        app.and(store).map_err(LaunchError::from)
    }
}
