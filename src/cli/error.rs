//! Errors as words on the screen: `error: …`, then hints that can be typed.

use std::io::ErrorKind;
use std::process::ExitCode;

use datafusion::error::DataFusionError;

use super::output::note;
use crate::bundle::BundleError;
use crate::file::folder_of;
use crate::host::HostError;
use crate::launch::LaunchError;
use crate::model::rules::Exit;
use crate::model::{INSTALLED_FACT, with_causes};
use crate::plan::SpecError;
use crate::process::ProcessError;
use crate::query::QueryError;
use crate::report::ReportError;
use crate::run::RunError;
use crate::store::{Condition, StoreError};

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.number())
    }
}

/// What is told to the person at the terminal.
#[derive(Debug)]
pub(super) struct CliError {
    pub message: String,
    pub hints: Vec<String>,
    pub code: Exit,
}

impl CliError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hints: Vec::new(), code: Exit::Error }
    }

    /// A signal ended the command.
    pub(super) fn interrupted(message: impl Into<String>) -> Self {
        Self::new(message).with_code(Exit::Interrupted)
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    fn with_code(mut self, code: Exit) -> Self {
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
            BundleError::Changed { changes, .. } if changes.contains(INSTALLED_FACT) => told
                .hint("remove the installed folder, and `make setup` installs what the lock file names")
                .hint("`make setup` alone pins the components as they are now"),
            BundleError::Changed { .. } | BundleError::Malformed { .. } => {
                told.hint("`make setup` pins the components as they are now")
            }
            _ => told,
        }
    }
}

impl From<StoreError> for CliError {
    fn from(error: StoreError) -> Self {
        Self::from(&error)
    }
}

impl From<&StoreError> for CliError {
    fn from(error: &StoreError) -> Self {
        let told = Self::of(error);
        match error {
            StoreError::Locked { .. } => told.hint("wait until it has ended"),
            StoreError::NoResults(_) => told
                .hint("`perf-api quick` makes it, and measures")
                .hint("`--results PLACE` names another"),
            StoreError::Place { .. } => told.hint(
                "a place is a folder, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://CONTAINER/PREFIX",
            ),
            StoreError::Unknown { .. } => {
                told.hint("a name is a tag, `latest`, `latest~1`, or 6 or more digits of an id")
            }
            StoreError::NoRun { .. } => told.hint("`perf-api run SPEC` begins one"),
            StoreError::Ambiguous { .. } => told.hint("type more digits"),
            StoreError::BadTag(_) => told
                .hint("a tag has letters, digits, `.`, `_` and `-`, and is not like an id or `latest`"),
            StoreError::NoTag(_) => told.hint("`perf-api results list` tells them"),
            StoreError::TagTaken { .. } => told.hint("`--force` moves it"),
            StoreError::Tagged { .. } => told.hint("`--force` removes it with its tags"),
            StoreError::Exists(_) => told.hint("name a file that is not there yet"),
            StoreError::Archive { .. } => told
                .with_code(Exit::Corrupt)
                .hint("`perf-api results export DATASET FILE.tar.zst` makes one"),
            StoreError::Corrupt { .. } => told
                .with_code(Exit::Corrupt)
                .hint("`perf-api results pull PLACE DATASET` gets it from where it is intact")
                .hint("`--unverified` of `report` and `sql` looks all the same"),
            StoreError::Missing { .. } => told
                .with_code(Exit::Missing)
                .hint("`perf-api results pull PLACE DATASET` gets it from where it is intact"),
            StoreError::Unreadable { object, .. } if object.contains("://") => told
                .with_code(Exit::Unreadable)
                .hint("settings and credentials come from the environment, such as AWS_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_ENDPOINT"),
            StoreError::Unreadable { .. } => told.with_code(Exit::Unreadable),
            StoreError::TooNew { .. } => {
                told.with_code(Exit::TooNew).hint("a newer perf-api reads it")
            }
            StoreError::Journal { line, .. } => told.with_code(Exit::Corrupt).hint(format!(
                "what stands before line {line} is whole: cut off the rest, and its trials are run again"
            )),
            StoreError::Encode { .. } => told.with_code(Exit::Defect),
            StoreError::Io { path, source, .. } if is_full(source.kind()) => {
                told.hint(format!("free space on the disk of {}", folder_of(path).display()))
            }
            StoreError::Io { .. } => told,
        }
    }
}

/// Whether the cause is a disk, or a person's share of one, that has no room.
fn is_full(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

/// The exit code that tells one condition of a dataset from another.
pub(super) fn condition_code(condition: Condition) -> Exit {
    match condition {
        Condition::Intact => Exit::Success,
        Condition::Corrupt => Exit::Corrupt,
        Condition::Missing => Exit::Missing,
        Condition::Unreadable => Exit::Unreadable,
        Condition::TooNew => Exit::TooNew,
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

impl From<LaunchError> for CliError {
    fn from(error: LaunchError) -> Self {
        let told = Self::of(&error);
        match error {
            LaunchError::NoDocker { .. } => told
                .hint("start Docker, or say where it is with DOCKER_HOST")
                .hint("`--launcher process` measures without it"),
            LaunchError::Image { .. } => told.hint("`make images` makes and pins the images"),
            _ => told,
        }
    }
}

impl From<HostError> for CliError {
    fn from(error: HostError) -> Self {
        let told = Self::of(&error);
        match error {
            HostError::Reserve { .. } => told.hint(
                "`PERF_API_RESERVATIONS=FOLDER` names another folder; only runs with the same one see each other",
            ),
            _ => told,
        }
    }
}

impl From<ProcessError> for CliError {
    fn from(error: ProcessError) -> Self {
        Self::of(&error)
    }
}

/// What is said when a table cannot be read.
const DAMAGED: &str = "`perf-api results verify --all` tells which dataset is not as it should be";

impl From<QueryError> for CliError {
    fn from(error: QueryError) -> Self {
        let told = Self::of(&error);
        let (is_damage, is_no_query) = (error.is_damage(), error.is_no_query());
        let computing = error.computing().map(ToString::to_string);
        match error {
            QueryError::Store(error) => error.into(),
            QueryError::Refused(error) => error.as_ref().into(),
            QueryError::Ask { .. } if is_damage => told.with_code(Exit::Corrupt).hint(DAMAGED),
            QueryError::Answer { .. } | QueryError::Ask { .. } | QueryError::Setup(_) => {
                told.with_code(Exit::Defect)
            }
            QueryError::Sql(ref source)
                if matches!(source.find_root(), DataFusionError::ResourcesExhausted(_)) =>
            {
                Self::new(error.to_string())
                    .hint("ask fewer datasets at once, such as `where dataset = dataset('latest')`")
            }
            QueryError::Sql(_) if is_damage => {
                Self::new(error.to_string()).with_code(Exit::Corrupt).hint(DAMAGED)
            }
            QueryError::Sql(_) if is_no_query => Self::new(format!(
                "a query only reads: nothing is written, changed or set ({error})"
            ))
            .hint("begin with SELECT, FROM, WITH, VALUES, SHOW, DESCRIBE or EXPLAIN"),
            QueryError::Sql(_) if computing.is_some() => {
                Self::new(format!("cannot compute the answer: {}", computing.unwrap_or_default()))
                    .hint("`cast(x AS DOUBLE)` has more room, `try_cast` gives NULL for what cannot be cast, and `x / nullif(y, 0)` for a division by zero")
            }
            QueryError::NoColumns(_) => told.hint("`SELECT *` gives every column"),
            QueryError::Sql(_) => Self::new(error.to_string())
                .hint("`perf-api schema` tells tables, columns and functions"),
        }
    }
}

impl From<ReportError> for CliError {
    fn from(error: ReportError) -> Self {
        Self::of(&error).with_code(Exit::Defect)
    }
}
