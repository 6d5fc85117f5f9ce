//! Starting and stopping stacks: the seam between the runner and where components live.
//!
//! A [`Launcher`] gives a [`RunningStack`] whose store holds the seeded value and whose app was
//! seen to answer it byte for byte. Readiness is awaited, never slept for.

mod container;
mod docker;
mod fake;
mod part;
mod probe;
mod process;
mod stack;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;

pub use container::{ContainerLauncher, Way};
pub use docker::{Origin, connect, cpus, ensure_image, version};
pub use fake::FakeLauncher;
pub use probe::{HttpAnswer, ask_info, get, seed};
pub use process::ProcessLauncher;

use crate::exec::ExecError;
use crate::id::RunId;
use crate::model::{
    Component, Part, Placement, ResourceSample, SelfReport, Stack, StackTimes, Stage,
};

/// What is to be started.
#[derive(Clone, Copy, Debug)]
pub struct StackRequest<'run> {
    /// The stack's factors.
    pub stack: &'run Stack,
    /// The app, as the bundle has it.
    pub app: &'run Component,
    /// The store, as the bundle has it.
    pub store: &'run Component,
    /// Which CPUs each part gets.
    pub placement: &'run Placement,
    /// The most connections that the loader will open.
    pub connections: u32,
    /// The run that it is for.
    pub run: &'run RunId,
    /// Where logs go.
    pub log_dir: &'run Path,
}

/// A place where stacks can be started.
#[async_trait]
pub trait Launcher: Send {
    /// The launcher's name in datasets.
    fn name(&self) -> &'static str;

    /// Starts a store and an app, seeds the store and checks the app's answer.
    ///
    /// # Errors
    /// Whatever kept the stack from answering; nothing of it is left running then.
    async fn start(
        &mut self,
        request: &StackRequest<'_>,
    ) -> Result<Box<dyn RunningStack>, LaunchError>;

    /// Ends everything that this run started and that is still there.
    ///
    /// # Errors
    /// When something cannot be ended.
    async fn end_all(&mut self) -> Result<(), LaunchError>;
}

/// A stack that answers.
#[async_trait]
pub trait RunningStack: Send {
    /// The URL to load.
    fn url(&self) -> &str;

    /// What app and store say of themselves.
    fn self_reports(&self) -> &BTreeMap<Part, SelfReport>;

    /// What bringing it up took, without a warm-up; `None` when it is computed.
    fn times(&self) -> Option<StackTimes>;

    /// Whether the load goes through a published port.
    fn is_published(&self) -> bool;

    /// Checks that the app still answers the stored value byte for byte.
    ///
    /// # Errors
    /// What it answers instead, for seconds on end, in words.
    async fn check(&mut self) -> Result<(), String>;

    /// Begins to sample what app and store use, once a second for `window`.
    fn begin_sampling(&mut self, window: Duration);

    /// The samples since [`Self::begin_sampling`], when its window is over.
    async fn end_sampling(&mut self) -> Vec<ResourceSample>;

    /// Which part ended by itself, if one did, and how.
    fn ended_part(&mut self) -> Option<String>;

    /// The last lines that app and store wrote.
    fn log_tail(&self) -> Vec<String>;

    /// Stops app and store.
    ///
    /// # Errors
    /// When something of the stack cannot be ended.
    async fn stop(self: Box<Self>) -> Result<(), LaunchError>;
}

/// Why a stack could not be started or stopped.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// A component has no form that this launcher can start.
    #[error("`{name}` cannot be started as a {launcher}: {reason}")]
    Unsupported {
        /// The component.
        name: String,
        /// The launcher.
        launcher: &'static str,
        /// Why.
        reason: String,
    },
    /// A process could not be started or ended.
    #[error(transparent)]
    Exec(#[from] ExecError),
    /// No Docker Engine answers.
    #[error("no Docker Engine answers at {host}")]
    NoDocker {
        /// Where it was asked last.
        host: String,
        /// Why not.
        source: bollard::errors::Error,
    },
    /// The Docker Engine refused.
    #[error("cannot {action}")]
    Docker {
        /// What was tried.
        action: &'static str,
        /// Why not.
        source: bollard::errors::Error,
    },
    /// An image is not there, or not the one that the bundle pinned.
    #[error("image {reference}: {reason}")]
    Image {
        /// Its name.
        reference: String,
        /// Why not.
        reason: String,
    },
    /// No free port.
    #[error("cannot find a free port on the loopback address")]
    Port {
        /// Why not.
        source: io::Error,
    },
    /// A component ended while it was waited for.
    #[error("{part} `{name}` ended before it was ready ({status})")]
    Ended {
        /// Which part.
        part: Part,
        /// The component.
        name: String,
        /// How it ended.
        status: String,
        /// Its last lines.
        log_tail: Vec<String>,
    },
    /// A component did not become ready.
    #[error("{part} `{name}` was not ready after {} s: {last}", waited.as_secs())]
    NotReady {
        /// Which part.
        part: Part,
        /// The component.
        name: String,
        /// How long it was waited for.
        waited: Duration,
        /// What the last attempt gave.
        last: String,
        /// Its last lines.
        log_tail: Vec<String>,
    },
    /// The store is not what its component says.
    #[error("the store that runs as `{name}` is something else: {reason}")]
    Impostor {
        /// The component.
        name: String,
        /// What it reports, or does not.
        reason: String,
    },
    /// The store would not take or give the value, or the app answered something else.
    #[error("{part} `{name}`: {reason}")]
    Seed {
        /// Which part.
        part: Part,
        /// The component.
        name: String,
        /// What was wrong.
        reason: String,
        /// Its last lines.
        log_tail: Vec<String>,
    },
}

impl LaunchError {
    /// At which stage of a trial this is.
    #[must_use]
    pub fn stage(&self) -> Stage {
        match self {
            Self::Seed { .. } => Stage::Seed,
            _ => Stage::Launch,
        }
    }

    /// The last lines of the component that failed.
    #[must_use]
    pub fn log_tail(&self) -> &[String] {
        match self {
            Self::Ended { log_tail, .. }
            | Self::NotReady { log_tail, .. }
            | Self::Seed { log_tail, .. } => log_tail,
            _ => &[],
        }
    }
}
