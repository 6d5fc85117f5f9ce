//! Stacks as child processes on loopback ports, pinned by CPU affinity.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use async_trait::async_trait;
use tokio::task::JoinSet;

use super::part::{
    Running, STOP_GRACE, Starting, TAIL_LINES, Vessel, filled, http_paths, placeholders,
    unsupported,
};
use super::{LaunchError, Launcher, RunningStack, StackRequest};
use crate::exec::{Child, ChildSpec, Usage, sample_usage};
use crate::model::{Component, Part, ResourceSample, SelfReport};
use crate::units::Nanos;

/// The launcher's name in datasets.
const NAME: &str = "process";

/// Starts components as child processes.
#[derive(Debug, Default)]
pub struct ProcessLauncher;

#[async_trait]
impl Launcher for ProcessLauncher {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn start(
        &mut self,
        request: &StackRequest<'_>,
    ) -> Result<Box<dyn RunningStack>, LaunchError> {
        let http = http_paths(request.app, NAME)?;
        let mut store = spawn(request, Part::Store, request.store, None)?;
        let report = store.store(request.store).await?;
        let store = store.running(report);
        let mut app = spawn(request, Part::App, request.app, Some(store.address))?;
        let report = app.app(http).await?;
        let app = app.running(report);
        Ok(Box::new(ProcessStack {
            endpoint: format!("http://{}{}", app.address, http.endpoint),
            self_reports: BTreeMap::from([
                (Part::Store, store.report.clone()),
                (Part::App, app.report.clone()),
            ]),
            app,
            store,
            samplers: JoinSet::new(),
        }))
    }

    async fn end_all(&mut self) -> Result<(), LaunchError> {
        crate::exec::end_all().await.map_err(LaunchError::from)
    }
}

impl Vessel for Child {
    fn ended(&mut self) -> Option<String> {
        self.ended().map(|status| status.to_string())
    }

    fn log_tail(&self) -> Vec<String> {
        self.log_tail(TAIL_LINES)
    }
}

fn spawn(
    request: &StackRequest<'_>,
    part: Part,
    component: &Component,
    store: Option<SocketAddr>,
) -> Result<Starting<Child>, LaunchError> {
    let name = component.name.to_string();
    let template = component.process.as_ref();
    let template = template
        .ok_or_else(|| unsupported(component, NAME, &"the bundle has no program for it"))?;
    let address = free_address()?;
    let values = placeholders(request, part, address, store);
    let command = filled(&template.args, &template.env, &values)
        .map_err(|reason| unsupported(component, NAME, &reason))?;
    let cpus = match part {
        Part::Store => &request.placement.store,
        _ => &request.placement.app,
    };
    let child = Child::spawn(&ChildSpec {
        program: template.program.clone(),
        args: command.args.into_iter().map(Into::into).collect(),
        env: command.env.into_iter().collect(),
        dir: template.dir.clone(),
        cpus: cpus.clone(),
        log: request.log_dir.join(format!("{part}-{name}.log")),
    })?;
    Ok(Starting { part, name, vessel: child, address })
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
    app: Running<Child>,
    store: Running<Child>,
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
            let group = running.vessel.group();
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
        self.store.ended(Part::Store).or_else(|| self.app.ended(Part::App))
    }

    fn log_tail(&self) -> Vec<String> {
        self.store.log_tail(Part::Store).chain(self.app.log_tail(Part::App)).collect()
    }

    async fn stop(self: Box<Self>) -> Result<(), LaunchError> {
        let app = self.app.vessel.stop(STOP_GRACE).await;
        let store = self.store.vessel.stop(STOP_GRACE).await;
        app.and(store).map_err(LaunchError::from)
    }
}
