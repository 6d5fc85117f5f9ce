//! Stacks as child processes on loopback ports, pinned by CPU affinity.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;

use super::part::{Instance, STOP_GRACE, Starting, TAIL_LINES, filled, placeholders, unsupported};
use super::stack::{self, Launch};
use super::{LaunchError, Launcher, RunningStack, StackRequest};
use crate::clock::Stopwatch;
use crate::model::{Component, Part, ProcessTemplate};
use crate::process::{Child, ChildSpec, Usage, first_line, free_address, sample_usage};
use crate::units::Nanos;

/// Starts components as child processes.
#[derive(Debug, Default)]
pub struct ProcessLauncher;

#[async_trait]
impl Launcher for ProcessLauncher {
    fn name(&self) -> &'static str {
        <Self as Launch>::NAME
    }

    async fn start(
        &mut self,
        request: &StackRequest<'_>,
    ) -> Result<Box<dyn RunningStack>, LaunchError> {
        stack::start(self, request).await
    }

    async fn end_all(&mut self) -> Result<(), LaunchError> {
        crate::process::end_all().await.map_err(LaunchError::from)
    }
}

#[async_trait]
impl Launch for ProcessLauncher {
    type Instance = Child;

    const NAME: &'static str = "process";

    async fn launch(
        &mut self,
        request: &StackRequest<'_>,
        part: Part,
        component: &Component,
        store: Option<SocketAddr>,
    ) -> Result<Starting<Child>, LaunchError> {
        let name = component.name.to_string();
        let template = component.process.as_ref();
        let template = template.ok_or_else(|| {
            unsupported(component, Self::NAME, &"the bundle has no program for it")
        })?;
        let address = free_address().map_err(|source| LaunchError::Port { source })?;
        let values = placeholders(request, part, address, store);
        let command = filled(&template.args, &template.env, &values)
            .map_err(|reason| unsupported(component, Self::NAME, &reason))?;
        let cpus = match part {
            Part::Store => &request.placement.store,
            _ => &request.placement.app,
        };
        check_version(component, template, &command.env).await.map_err(|reason| {
            LaunchError::OtherVersion { part, name: name.clone(), reason, log_tail: vec![] }
        })?;
        let watch = Stopwatch::start();
        let child = Child::spawn(&ChildSpec {
            program: template.program.clone(),
            args: command.args.into_iter().map(Into::into).collect(),
            env: command.env.into_iter().collect(),
            dir: template.dir.clone(),
            cpus: cpus.clone(),
            log: request.log_dir.join(format!("{part}-{name}.log")),
        })?;
        Ok(Starting { part, name, instance: child, address, inside: address, watch })
    }
}

/// Checks that a program reports the pinned version, in the environment of its start: a name on `PATH` can
/// be a shim that selects a version by environment and folder.
async fn check_version(
    component: &Component,
    template: &ProcessTemplate,
    env: &BTreeMap<String, String>,
) -> Result<(), String> {
    let (Some(args), Some(pinned)) = (&template.version, &component.version) else { return Ok(()) };
    let (program, dir) = (template.program.clone(), template.dir.clone());
    let (args, env) = (args.clone(), env.clone());
    let reported = tokio::task::spawn_blocking(move || first_line(&program, &args, &env, &dir));
    match reported.await {
        Ok(Ok(found)) if found == *pinned => Ok(()),
        Ok(Ok(found)) => Err(format!(
            "its version in the environment of this run is `{found}`: expected `{pinned}`"
        )),
        Ok(Err(error)) => Err(format!("it does not report its version: {error}")),
        Err(panicked) => Err(panicked.to_string()),
    }
}

#[async_trait]
impl Instance for Child {
    fn ended(&mut self) -> Option<String> {
        self.ended().map(|status| status.to_string())
    }

    fn log_tail(&self) -> Vec<String> {
        self.log_tail(TAIL_LINES)
    }

    async fn listening(&self) -> BTreeSet<SocketAddr> {
        self.tree().listening()
    }

    fn sample(&self, window: Duration) -> BoxFuture<'static, Vec<(Nanos, Usage)>> {
        sample_usage(self.tree(), window).boxed()
    }

    async fn stop(self) -> Result<(), LaunchError> {
        self.stop(STOP_GRACE).await.map_err(LaunchError::from)
    }
}
