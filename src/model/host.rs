//! The machine that measures: what it is, and which of its CPUs each part gets.

use serde::{Deserialize, Serialize};

use crate::units::CpuSet;

/// A part of a trial that uses CPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// What sends the requests.
    Loader,
    /// The app under test.
    App,
    /// The store behind it.
    Store,
}

impl Part {
    /// Every part.
    pub const ALL: [Self; 3] = [Self::Loader, Self::App, Self::Store];

    /// The part's name in columns and text.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Loader => "loader",
            Self::App => "app",
            Self::Store => "store",
        }
    }
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// Which CPUs each part of a trial gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// CPUs of the loader.
    pub loader: CpuSet,
    /// CPUs of the app.
    pub app: CpuSet,
    /// CPUs of the store.
    pub store: CpuSet,
    /// Whether any part got fewer CPUs than it wants, or shares one with another part.
    pub shared: bool,
}

impl Placement {
    /// The CPUs of all parts.
    #[must_use]
    pub fn all(&self) -> CpuSet {
        [&self.loader, &self.app, &self.store].into_iter().flat_map(CpuSet::iter).collect()
    }
}

/// What the host is, as far as it can change a measurement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// The processor's name as it reports it.
    pub cpu_model: String,
    /// Logical CPUs that this process may use.
    pub cpus: u32,
    /// Physical cores among them.
    pub cores: u32,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// Operating system and release.
    pub os: String,
    /// Kernel release.
    pub kernel: String,
    /// Machine architecture.
    pub arch: String,
}

impl Fingerprint {
    /// What makes two hosts alike: the processor, and how many CPUs of it.
    #[must_use]
    pub fn class(&self) -> String {
        let plural = if self.cpus == 1 { "" } else { "s" };
        format!("{}, {} CPU{plural}", self.cpu_model, self.cpus)
    }
}

/// How one check of a host came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Nothing to fix.
    Ok,
    /// It can disturb a measurement.
    Warn,
    /// It will disturb a measurement.
    Bad,
    /// The host does not report it.
    Unknown,
}

impl State {
    /// The state's name in text and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Bad => "bad",
            Self::Unknown => "unknown",
        }
    }

    /// Whether there is something to fix.
    #[must_use]
    pub fn is_doubtful(self) -> bool {
        matches!(self, Self::Warn | Self::Bad)
    }
}

/// One check of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What is checked.
    pub name: String,
    /// How it came out.
    pub state: State,
    /// What was found.
    pub found: String,
    /// Why it matters, in a sentence.
    pub why: String,
    /// The command that fixes it, for root; only when the state is warn or bad.
    pub fix: Option<String>,
}

impl Check {
    /// Adds the command that fixes it, when the state is warn or bad.
    #[must_use]
    pub fn fixed_by(mut self, command: impl Into<String>) -> Self {
        if self.state.is_doubtful() {
            self.fix = Some(command.into());
        }
        self
    }
}
