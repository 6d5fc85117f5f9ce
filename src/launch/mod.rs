//! Starting and stopping stacks: the seam between the runner and where components live.
//!
//! A [`Launcher`] gives a [`RunningStack`] whose store holds the seeded value and whose app was
//! seen to answer it byte for byte. Readiness is awaited, never slept for.

mod answers;
mod container;
mod contract;
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
use tokio::sync::watch;

pub use answers::ComparedAnswers;
pub use container::{ContainerLauncher, Way};
pub use contract::{Contract, Waiting};
pub use docker::{Origin, connect, cpus, ensure_image, version};
pub use fake::FakeLauncher;
pub use probe::{HttpAnswer, ask_info, get, seed};
pub use process::ProcessLauncher;

use crate::id::RunId;
use crate::model::{
    Component, Part, Placement, ResourceSample, SelfReport, Stack, StackTimes, Stage, one_line,
    with_causes,
};
use crate::process::ProcessError;
use crate::units::HumanDuration;

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
    /// Where it is reported, about once a second, that a component is waited for.
    pub waiting: &'run watch::Sender<Option<Waiting>>,
}

/// A place where stacks can be started.
#[async_trait]
pub trait Launcher: Send {
    /// The launcher's name in datasets.
    fn name(&self) -> &'static str;

    /// Starts a store and an app, seeds the store and checks the app's answer.
    ///
    /// # Errors
    /// Whatever kept the stack from answering. Nothing of it is left running then, unless it is
    /// [`LaunchError::NotStopped`].
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

    /// Begins to compare an answer a second with the expected one, for `window`.
    fn begin_comparing(&mut self, window: Duration);

    /// Compares some answers in a row; gives what came of them, and of those since
    /// [`Self::begin_comparing`].
    async fn compared_answers(&mut self) -> ComparedAnswers;

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
    /// A start failed, and what it had started could not be stopped.
    #[error(
        "{}; then stopping what had been started failed: {}",
        with_causes(start),
        with_causes(stop)
    )]
    NotStopped {
        /// Why the start failed.
        start: Box<LaunchError>,
        /// Why the stop failed.
        stop: Box<LaunchError>,
    },
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
    Exec(#[from] ProcessError),
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
    /// A program or an app is not of the version that the bundle pinned.
    #[error("{part} `{name}` is not what the bundle pinned: {reason}")]
    OtherVersion {
        /// Which part.
        part: Part,
        /// The component.
        name: String,
        /// What reports which version instead of which.
        reason: String,
        /// Its last lines; empty before it was started.
        log_tail: Vec<String>,
    },
    /// A component ended while it was waited for.
    #[error("{part} `{name}` ended before it was ready ({status}){}", last_line(log_tail))]
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
    #[error(
        "{part} `{name}` was not ready within {limit} (`limits.ready` in its component.toml): {last}; expected {contract}; {listening}"
    )]
    NotReady {
        /// Which part.
        part: Part,
        /// The component.
        name: String,
        /// How long it was waited for.
        limit: HumanDuration,
        /// What it had to answer.
        contract: Contract,
        /// What the last attempt gave.
        last: String,
        /// Where it listens, in words.
        listening: String,
        /// Its last lines.
        log_tail: Vec<String>,
    },
    /// The store is not what its component says.
    #[error("the store that runs as `{name}` is another product: {reason}")]
    WrongServer {
        /// The component.
        name: String,
        /// What it reports, or does not.
        reason: String,
    },
    /// A component is ready, and does not do what else is expected of it.
    #[error("{part} `{name}`: {reason}; expected {contract}")]
    Seed {
        /// Which part.
        part: Part,
        /// The component.
        name: String,
        /// What it had to answer.
        contract: Contract,
        /// What it did instead.
        reason: String,
        /// Its last lines.
        log_tail: Vec<String>,
    },
}

impl LaunchError {
    /// This error of a start, after what it had started was to be stopped.
    #[must_use]
    pub(crate) fn stopped(self, stopped: Result<(), Self>) -> Self {
        match stopped {
            Ok(()) => self,
            Err(stop) => Self::NotStopped { start: Box::new(self), stop: Box::new(stop) },
        }
    }

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
            Self::OtherVersion { log_tail, .. }
            | Self::Ended { log_tail, .. }
            | Self::NotReady { log_tail, .. }
            | Self::Seed { log_tail, .. } => log_tail,
            _ => &[],
        }
    }
}

/// The last line that says something, for the reason why a component ended; empty without one.
fn last_line(log_tail: &[String]) -> String {
    let last = log_tail.iter().rfind(|line| !line.trim().is_empty());
    last.map_or(String::new(), |line| format!(": {}", one_line(line.trim(), MAX_LINE_CHARS)))
}

/// Characters of somebody else's text in a reason.
const MAX_LINE_CHARS: usize = 200;
