//! Why a use case failed: a message, and hints on what to type next.

use std::io::ErrorKind as IoErrorKind;

use datafusion::error::DataFusionError;

use crate::bundle::BundleError;
use crate::file::folder_of;
use crate::host::HostError;
use crate::id::RunId;
use crate::launch::LaunchError;
use crate::model::{INSTALLED_FACT, with_causes};
use crate::plan::SpecError;
use crate::process::ProcessError;
use crate::query::QueryError;
use crate::run::RunError;
use crate::store::StoreError;

/// Why a use case failed.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct AppError {
    /// What failed, on what, and what was expected.
    pub message: String,
    /// What to do or to type next, each in one sentence.
    pub hints: Vec<String>,
    /// The kind of failure, from which an exit code or a status follows.
    pub kind: ErrorKind,
    /// The unfinished run that can be resumed, if there is one.
    pub resumable: Option<RunId>,
}

/// The kinds of failure that a caller tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// Wrong input, or a system that refuses.
    Refused,
    /// A dataset differs from its hashes.
    Corrupt,
    /// A file of a dataset is missing.
    Missing,
    /// A dataset cannot be read.
    Unreadable,
    /// A dataset was written by a newer version.
    TooNew,
    /// A defect of this program.
    Defect,
    /// The caller asked to stop.
    Interrupted,
}

impl AppError {
    /// Wrong input, or a system that refuses.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hints: Vec::new(),
            kind: ErrorKind::Refused,
            resumable: None,
        }
    }

    /// The caller asked to stop.
    pub fn interrupted(message: impl Into<String>) -> Self {
        Self::new(message).with_kind(ErrorKind::Interrupted)
    }

    /// The same with one more hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The same of another kind.
    #[must_use]
    pub fn with_kind(mut self, kind: ErrorKind) -> Self {
        self.kind = kind;
        self
    }

    /// The same, with the run that can be resumed.
    #[must_use]
    pub(super) fn with_resumable(mut self, run: &RunId) -> Self {
        self.resumable = Some(run.clone());
        self
    }

    /// An error of a module, with its causes.
    pub fn of(error: &dyn std::error::Error) -> Self {
        Self::new(with_causes(error))
    }
}

impl From<SpecError> for AppError {
    fn from(error: SpecError) -> Self {
        Self::of(&error)
    }
}

impl From<BundleError> for AppError {
    fn from(error: BundleError) -> Self {
        let base = Self::of(&error);
        match error {
            BundleError::Missing { .. } => base
                .hint("`make setup` installs the components of this repository and pins them")
                .hint("`perf-api bundle FOLDER…` pins component folders of your own"),
            BundleError::Changed { changes, .. } if changes.contains(INSTALLED_FACT) => base
                .hint("remove the installed folder, and `make setup` installs what the lock file names")
                .hint("`make setup` alone pins the components as they are now"),
            BundleError::Changed { .. } | BundleError::Malformed { .. } => {
                base.hint("`make setup` pins the components as they are now")
            }
            _ => base,
        }
    }
}

impl From<StoreError> for AppError {
    fn from(error: StoreError) -> Self {
        Self::from(&error)
    }
}

impl From<&StoreError> for AppError {
    fn from(error: &StoreError) -> Self {
        let base = Self::of(error);
        match error {
            StoreError::Locked { .. } => base.hint("wait until it has ended"),
            StoreError::NoResults(_) => base
                .hint("`perf-api quick` creates it and measures")
                .hint("`--results PLACE` selects another dataset store"),
            StoreError::Place { .. } => base.hint(
                "a place is a folder, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://CONTAINER/PREFIX",
            ),
            StoreError::Unknown { .. } => {
                base.hint("a name is a tag, `latest`, `latest~1`, or 6 or more digits of an id")
            }
            StoreError::NoRun { .. } => base.hint("`perf-api run SPEC` starts one"),
            StoreError::Ambiguous { .. } => base.hint("type more digits"),
            StoreError::BadTag(_) => base
                .hint("a tag consists of letters, digits, `.`, `_` and `-`, and does not look like an id or `latest`"),
            StoreError::NoTag(_) => base.hint("`perf-api results list` shows all tags"),
            StoreError::TagTaken { .. } => base.hint("`--force` moves it"),
            StoreError::Tagged { .. } => base.hint("`--force` removes it with its tags"),
            StoreError::Exists(_) => base.hint("choose a file name that does not exist"),
            StoreError::Archive { .. } => base
                .with_kind(ErrorKind::Corrupt)
                .hint("`perf-api results export DATASET FILE.tar.zst` writes an archive"),
            StoreError::Corrupt { .. } => base
                .with_kind(ErrorKind::Corrupt)
                .hint("`perf-api results pull PLACE DATASET` copies it from a place where it is intact")
                .hint("`--unverified` of `report` and `sql` reads it without verification"),
            StoreError::Missing { .. } => base
                .with_kind(ErrorKind::Missing)
                .hint("`perf-api results pull PLACE DATASET` copies it from a place where it is intact"),
            StoreError::Unreadable { object, .. } if object.contains("://") => base
                .with_kind(ErrorKind::Unreadable)
                .hint("settings and credentials come from the environment, such as AWS_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_ENDPOINT"),
            StoreError::Unreadable { .. } => base.with_kind(ErrorKind::Unreadable),
            StoreError::TooNew { .. } => {
                base.with_kind(ErrorKind::TooNew).hint("a newer perf-api reads it")
            }
            StoreError::Journal { line, .. } => base.with_kind(ErrorKind::Corrupt).hint(format!(
                "the lines before line {line} are intact: remove the rest, and its trials are repeated"
            )),
            StoreError::Encode { .. } => base.with_kind(ErrorKind::Defect),
            StoreError::Io { path, source, .. } if is_full(source.kind()) => {
                base.hint(format!("free space on the disk of {}", folder_of(path).display()))
            }
            StoreError::Io { .. } => base,
        }
    }
}

/// Whether the cause is a disk, or a person's share of one, that has no room.
fn is_full(kind: IoErrorKind) -> bool {
    matches!(kind, IoErrorKind::StorageFull | IoErrorKind::QuotaExceeded)
}

impl From<RunError> for AppError {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Store(error) => error.into(),
            other => Self::of(&other),
        }
    }
}

impl From<LaunchError> for AppError {
    fn from(error: LaunchError) -> Self {
        let base = Self::of(&error);
        match error {
            LaunchError::NoDocker { .. } => base
                .hint("start Docker, or set DOCKER_HOST to its address")
                .hint("`--launcher process` measures without it"),
            LaunchError::Image { .. } => base.hint("`make images` builds and pins the images"),
            _ => base,
        }
    }
}

impl From<HostError> for AppError {
    fn from(error: HostError) -> Self {
        let base = Self::of(&error);
        match error {
            HostError::Reserve { .. } => base.hint(
                "`PERF_API_RESERVATIONS=FOLDER` names another folder; only runs with the same one see each other",
            ),
            _ => base,
        }
    }
}

impl From<ProcessError> for AppError {
    fn from(error: ProcessError) -> Self {
        Self::of(&error)
    }
}

/// What is said when a table cannot be read.
const DAMAGED: &str = "`perf-api results verify --all` shows which dataset is damaged";

impl From<QueryError> for AppError {
    fn from(error: QueryError) -> Self {
        let base = Self::of(&error);
        let (is_damage, is_no_query) = (error.is_damage(), error.is_no_query());
        let computing = error.computing().map(ToString::to_string);
        match error {
            QueryError::Store(error) => error.into(),
            QueryError::Refused(error) => error.as_ref().into(),
            QueryError::Ask { .. } if is_damage => base.with_kind(ErrorKind::Corrupt).hint(DAMAGED),
            QueryError::Answer { .. } | QueryError::Ask { .. } | QueryError::Setup(_) => {
                base.with_kind(ErrorKind::Defect)
            }
            QueryError::Sql(ref source)
                if matches!(source.find_root(), DataFusionError::ResourcesExhausted(_)) =>
            {
                Self::new(error.to_string())
                    .hint("query fewer datasets at once, such as `where dataset = dataset('latest')`")
            }
            QueryError::Sql(_) if is_damage => {
                Self::new(error.to_string()).with_kind(ErrorKind::Corrupt).hint(DAMAGED)
            }
            QueryError::Sql(_) if is_no_query => Self::new(format!(
                "queries are read-only ({error})"
            ))
            .hint("start with SELECT, FROM, WITH, VALUES, SHOW, DESCRIBE or EXPLAIN"),
            QueryError::Sql(_) if computing.is_some() => {
                Self::new(format!("cannot compute the answer: {}", computing.unwrap_or_default()))
                    .hint("`cast(x AS DOUBLE)` has more room, `try_cast` gives NULL for what cannot be cast, and `x / nullif(y, 0)` for a division by zero")
            }
            QueryError::NoColumns(_) => base.hint("`SELECT *` selects every column"),
            QueryError::Sql(_) => Self::new(error.to_string())
                .hint("`perf-api schema` lists tables, columns and functions"),
        }
    }
}
