//! Starting and stopping stacks: the interface between the runner and processes or containers.
//!
//! A [`Launcher`] starts a [`RunningStack`]: its store holds the seeded value, and its app has answered with
//! it byte for byte. Readiness is polled; there are no fixed sleeps.

mod answers;
mod container;
mod contract;
mod docker_images;
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
pub use container::{ContainerLauncher, NetworkPath};
pub use contract::{Contract, Waiting};
pub use docker_images::{Origin, connect, cpus, ensure_image, version};
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

/// A stack to start.
#[derive(Clone, Copy, Debug)]
pub struct StackRequest<'run> {
    /// The stack's factors.
    pub stack: &'run Stack,
    /// The app in the bundle.
    pub app: &'run Component,
    /// The store in the bundle.
    pub store: &'run Component,
    /// The CPUs of each part.
    pub placement: &'run Placement,
    /// The maximum number of connections that the loader opens.
    pub connections: u32,
    /// The run that starts it.
    pub run: &'run RunId,
    /// The folder for logs.
    pub log_dir: &'run Path,
    /// Receives a report about once a second while a component is not ready.
    pub waiting: &'run watch::Sender<Option<Waiting>>,
}

/// Starts stacks.
#[async_trait]
pub trait Launcher: Send {
    /// The launcher's name in datasets.
    fn name(&self) -> &'static str;

    /// Starts a store and an app, seeds the store and checks the app's answer.
    ///
    /// # Errors
    /// Why the stack does not answer. Everything that was started has then been stopped, except for
    /// [`LaunchError::NotStopped`].
    async fn start(
        &mut self,
        request: &StackRequest<'_>,
    ) -> Result<Box<dyn RunningStack>, LaunchError>;

    /// Ends everything that this run started and that still runs.
    ///
    /// # Errors
    /// When a process or container cannot be ended.
    async fn end_all(&mut self) -> Result<(), LaunchError>;
}

/// A stack that is ready for load.
#[async_trait]
pub trait RunningStack: Send {
    /// The URL to load.
    fn url(&self) -> &str;

    /// The self-reports of app and store.
    fn self_reports(&self) -> &BTreeMap<Part, SelfReport>;

    /// How long the start took, without the warm-up; `None` for a simulated stack.
    fn times(&self) -> Option<StackTimes>;

    /// Whether the load goes through a published port.
    fn is_published(&self) -> bool;

    /// Checks that the app still answers with the stored value byte for byte.
    ///
    /// # Errors
    /// A message with the wrong answer, when it stays wrong for some seconds.
    async fn check(&mut self) -> Result<(), String>;

    /// Begins to compare one answer per second with the expected one, for `window`.
    fn begin_comparing(&mut self, window: Duration);

    /// Compares some more answers in a row. Returns the results of these and of those since
    /// [`Self::begin_comparing`].
    async fn compared_answers(&mut self) -> ComparedAnswers;

    /// Begins to sample the resource use of app and store, once a second for `window`.
    fn begin_sampling(&mut self, window: Duration);

    /// Waits for the end of the window, and returns the samples since [`Self::begin_sampling`].
    async fn end_sampling(&mut self) -> Vec<ResourceSample>;

    /// Which part has ended unexpectedly, and how, as text.
    fn ended_part(&mut self) -> Option<String>;

    /// The last log lines of app and store.
    fn log_tail(&self) -> Vec<String>;

    /// Stops app and store.
    ///
    /// # Errors
    /// When a part cannot be ended.
    async fn stop(self: Box<Self>) -> Result<(), LaunchError>;
}

/// Why a stack could not be started or stopped.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// A start failed, and the parts that it had started could not be stopped.
    #[error(
        "{}; then stopping the started parts failed: {}",
        with_causes(start),
        with_causes(stop)
    )]
    NotStopped {
        /// Why the start failed.
        start: Box<LaunchError>,
        /// Why the stop failed.
        stop: Box<LaunchError>,
    },
    /// The bundle has no process or image for this launcher.
    #[error("the launcher `{launcher}` cannot start `{name}`: {reason}")]
    Unsupported {
        /// The component.
        name: String,
        /// The launcher.
        launcher: &'static str,
        /// The reason.
        reason: String,
    },
    /// A process could not be started or ended.
    #[error(transparent)]
    Exec(#[from] ProcessError),
    /// No Docker Engine answers.
    #[error("no Docker Engine answers at {host}")]
    NoDocker {
        /// The address that was tried last.
        host: String,
        /// The cause.
        source: bollard::errors::Error,
    },
    /// A request to the Docker Engine failed.
    #[error("cannot {action}")]
    Docker {
        /// The action, as in "cannot …".
        action: &'static str,
        /// The cause.
        source: bollard::errors::Error,
    },
    /// An image is missing, or is not the one that the bundle pinned.
    #[error("image {reference}: {reason}")]
    Image {
        /// Its name.
        reference: String,
        /// The cause.
        reason: String,
    },
    /// No free port.
    #[error("cannot find a free port on the loopback address")]
    Port {
        /// The cause.
        source: io::Error,
    },
    /// A program or an app has another version than the bundle pinned.
    #[error("{part} `{name}` is not what the bundle pinned: {reason}")]
    OtherVersion {
        /// Which part.
        part: Part,
        /// The component.
        name: String,
        /// The expected and the found version, as text.
        reason: String,
        /// Its last log lines; empty before it was started.
        log_tail: Vec<String>,
    },
    /// A component ended before it was ready.
    #[error("{part} `{name}` ended before it was ready ({status}){}", last_line(log_tail))]
    Ended {
        /// Which part.
        part: Part,
        /// The component.
        name: String,
        /// How it ended.
        status: String,
        /// Its last log lines.
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
        /// The time limit.
        limit: HumanDuration,
        /// The expected answer.
        contract: Contract,
        /// The result of the last attempt.
        last: String,
        /// The addresses on which it listens, as text.
        listening: String,
        /// Its last log lines.
        log_tail: Vec<String>,
    },
    /// The store is not the product that its component names.
    #[error("store `{name}` is not the product that its component.toml names: {reason}")]
    WrongServer {
        /// The component.
        name: String,
        /// The field of INFO that differs.
        reason: String,
    },
    /// A component is ready, but does not fulfil another part of the contract.
    #[error("{part} `{name}`: {reason}; expected {contract}")]
    Seed {
        /// Which part.
        part: Part,
        /// The component.
        name: String,
        /// The expected answer.
        contract: Contract,
        /// What it answered, as text.
        reason: String,
        /// Its last log lines.
        log_tail: Vec<String>,
    },
}

impl LaunchError {
    /// Adds the result of stopping what a failed start had started.
    #[must_use]
    pub(crate) fn stopped(self, stopped: Result<(), Self>) -> Self {
        match stopped {
            Ok(()) => self,
            Err(stop) => Self::NotStopped { start: Box::new(self), stop: Box::new(stop) },
        }
    }

    /// The stage of a trial at which this error occurs.
    #[must_use]
    pub fn stage(&self) -> Stage {
        match self {
            Self::Seed { .. } => Stage::Seed,
            _ => Stage::Launch,
        }
    }

    /// The last log lines of the component that failed.
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

/// The last non-empty log line, to append to a message; empty without one.
fn last_line(log_tail: &[String]) -> String {
    let last = log_tail.iter().rfind(|line| !line.trim().is_empty());
    last.map_or(String::new(), |line| format!(": {}", one_line(line.trim(), MAX_LINE_CHARS)))
}

/// Characters of foreign text in a message.
const MAX_LINE_CHARS: usize = 200;
