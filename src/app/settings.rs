//! What every use case that measures is given.

use std::path::PathBuf;

use crate::model::{ComponentName, Order};
use crate::plan::Overrides;
use crate::store::Location;

/// How a run is made.
#[derive(Clone, Debug)]
pub struct RunSettings {
    /// The file of the bundle that pins the components.
    pub bundle: PathBuf,
    /// Where the dataset goes.
    pub results: Location,
    /// Values that take the place of the spec's.
    pub overrides: Overrides,
    /// The order of trials; `None` for randomised blocks.
    pub order: Option<Order>,
    /// Where stacks run.
    pub launcher: LauncherChoice,
    /// Whether containers are loaded through a published port.
    pub publish: bool,
    /// Whether the rest is measured when a component cannot be had.
    pub allow_missing: bool,
    /// Whether loader, app and store may share CPUs on a small host.
    pub share_cpus: bool,
    /// Whether trials that cannot be ranked count as failed.
    pub is_strict: bool,
    /// Whether to forget what the loader was seen to drive.
    pub remeasure: bool,
    /// What to do about other runs on the same CPUs.
    pub neighbours: Neighbours,
    /// What the user's environment says.
    pub host: HostSettings,
    /// Compute instead of measuring, for tests.
    pub fake: Option<Fake>,
}

impl RunSettings {
    /// The order of trials.
    #[must_use]
    pub fn order(&self) -> Order {
        self.order.unwrap_or(Order::RandomisedBlocks)
    }
}

/// Where stacks run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LauncherChoice {
    /// In containers when the bundle has images and Docker answers, else as processes.
    Auto,
    /// As processes of this machine.
    Process,
    /// In containers of a Docker Engine.
    Docker,
}

impl LauncherChoice {
    /// The launcher that a dataset or a journal names.
    #[must_use]
    pub fn recorded(launcher: &str) -> Self {
        match launcher {
            "docker" => Self::Docker,
            _ => Self::Process,
        }
    }
}

/// What to do about other runs on the same CPUs.
#[derive(Clone, Debug)]
pub struct Neighbours {
    /// What to do while one of them measures.
    pub policy: NeighbourPolicy,
    /// The folder in which runs reserve their CPUs; `None` for the machine's usual one.
    pub reservations: Option<PathBuf>,
}

/// What to do while another run measures on the same CPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NeighbourPolicy {
    /// Fail.
    Refuse,
    /// Wait until it has ended.
    Wait,
    /// Measure beside it; trials of both are flagged.
    Measure,
}

/// What the user's environment says of this host.
#[derive(Clone, Debug, Default)]
pub struct HostSettings {
    /// Where a Docker Engine may be.
    pub docker: DockerSettings,
    /// The file in which rates are kept that the loader was seen to drive; `None` to keep none.
    pub loader_floors: Option<PathBuf>,
    /// Whether a run measures what the loader can drive, where that is not known.
    pub measures_ceilings: bool,
}

/// Where a Docker Engine may be.
#[derive(Clone, Debug, Default)]
pub struct DockerSettings {
    /// The only address to try.
    pub host: Option<String>,
    /// The name of a Docker context.
    pub context: Option<String>,
    /// The folder of Docker's own settings.
    pub config_dir: Option<PathBuf>,
    /// The folder of the user's sockets.
    pub runtime_dir: Option<PathBuf>,
}

/// How a run is computed, for tests.
#[derive(Clone, Debug)]
pub struct Fake {
    /// Whether the simulated clock stands still.
    pub has_fixed_clock: bool,
    /// How many times as long each answer takes.
    pub slowdown: f64,
    /// Whether other processes use the CPUs of each trial.
    pub is_busy: bool,
    /// Components that break their contract.
    pub broken: Vec<ComponentName>,
}
