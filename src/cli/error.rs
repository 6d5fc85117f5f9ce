//! Errors as words on the screen: `error: …`, then hints that can be typed.

use super::output::note;
use crate::bundle::BundleError;
use crate::exec::ExecError;
use crate::host::HostError;
use crate::model::with_causes;
use crate::plan::SpecError;
use crate::query::QueryError;
use crate::report::ReportError;
use crate::run::RunError;
use crate::store::StoreError;

/// Wrong input, or a system that refuses.
pub(super) const USER_ERROR: u8 = 1;
/// At least one trial failed.
pub(super) const TRIALS_FAILED: u8 = 3;
/// A dataset is not what its hashes say.
const CORRUPT: u8 = 5;
/// A defect of this program.
pub(super) const DEFECT: u8 = 70;
/// Interrupted by Ctrl-C or another signal.
pub(super) const INTERRUPTED: u8 = 130;

/// What is told to the person at the terminal.
#[derive(Debug)]
pub(super) struct CliError {
    pub message: String,
    pub hints: Vec<String>,
    pub code: u8,
}

impl CliError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hints: Vec::new(), code: USER_ERROR }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    fn with_code(mut self, code: u8) -> Self {
        self.code = code;
        self
    }

    fn of(error: &dyn std::error::Error) -> Self {
        Self::new(with_causes(error))
    }

    pub(super) fn print(&self) {
        note(&format!("error: {}", self.message));
        for hint in &self.hints {
            note(&format!("hint: {hint}"));
        }
    }
}

impl From<SpecError> for CliError {
    fn from(error: SpecError) -> Self {
        Self::of(&error)
    }
}

impl From<BundleError> for CliError {
    fn from(error: BundleError) -> Self {
        let told = Self::of(&error);
        match error {
            BundleError::Missing { .. } => told
                .hint("`make setup` installs the components of this repository and pins them")
                .hint("`perf-api bundle FOLDER…` pins component folders of your own"),
            BundleError::Changed { .. } | BundleError::Malformed { .. } => {
                told.hint("`make setup` pins the components as they are now")
            }
            _ => told,
        }
    }
}

impl From<StoreError> for CliError {
    fn from(error: StoreError) -> Self {
        let told = Self::of(&error);
        match error {
            StoreError::Locked { .. } => {
                told.hint("wait for it: two loads on one machine would disturb each other")
            }
            StoreError::Unknown { .. } => {
                told.hint("a name is `latest`, `latest~1`, or 6 or more digits of an id")
            }
            StoreError::Ambiguous { .. } => told.hint("type more digits"),
            StoreError::Corrupt { .. } | StoreError::Manifest { .. } => told.with_code(CORRUPT),
            StoreError::Encode { .. } => told.with_code(DEFECT),
            _ => told,
        }
    }
}

impl From<RunError> for CliError {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Store(error) => error.into(),
            other => Self::of(&other),
        }
    }
}

impl From<HostError> for CliError {
    fn from(error: HostError) -> Self {
        Self::of(&error)
    }
}

impl From<ExecError> for CliError {
    fn from(error: ExecError) -> Self {
        Self::of(&error)
    }
}

impl From<QueryError> for CliError {
    fn from(error: QueryError) -> Self {
        let told = Self::of(&error);
        match error {
            QueryError::Answer { .. } => told.with_code(DEFECT),
            _ => told,
        }
    }
}

impl From<ReportError> for CliError {
    fn from(error: ReportError) -> Self {
        Self::of(&error).with_code(DEFECT)
    }
}
