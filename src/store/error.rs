//! Errors of the dataset store, by cause: the exit code of a command follows from the cause.

use std::io;
use std::path::{Path, PathBuf};

use super::SCHEMA_VERSION;

/// An error of the dataset store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file system operation failed.
    #[error("cannot {action} {path}")]
    Io {
        /// The action, as in "cannot …".
        action: &'static str,
        /// The object of the action.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// There is no results folder.
    #[error("there is no results folder {0}")]
    NoResults(PathBuf),
    /// A URL that is not of an object store.
    #[error("`{url}` is not a location for results")]
    Place {
        /// The invalid URL.
        url: String,
        /// The cause.
        source: object_store::Error,
    },
    /// An operation of an object store failed.
    #[error("cannot {action} {object}")]
    Unreadable {
        /// The action, as in "cannot …".
        action: &'static str,
        /// The object of the action.
        object: String,
        /// The cause.
        source: object_store::Error,
    },
    /// A file of a dataset is missing.
    #[error("{object} is missing")]
    Missing {
        /// The file.
        object: String,
    },
    /// A file of a dataset does not match its hash or schema.
    #[error("{object} is corrupt: {message}")]
    Corrupt {
        /// The file.
        object: String,
        /// What is wrong.
        message: String,
    },
    /// A manifest of a newer version.
    #[error("{object} has schema version {found}: this program reads up to {SCHEMA_VERSION}")]
    TooNew {
        /// The file.
        object: String,
        /// Its version.
        found: u32,
    },
    /// Another process holds the lock.
    #[error("another process is writing to {results} ({holder})")]
    Locked {
        /// The results folder.
        results: PathBuf,
        /// Who holds the lock.
        holder: String,
    },
    /// A journal is corrupt before its last record.
    #[error("the journal {path} is damaged at line {line}: {message}")]
    Journal {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// No unfinished run has that name.
    #[error("no unfinished run is called `{name}` in {results}{candidates}")]
    NoRun {
        /// The requested name.
        name: String,
        /// The results folder.
        results: PathBuf,
        /// The existing names, as text.
        candidates: String,
    },
    /// No dataset has that name.
    #[error("no dataset is called `{name}` in {results}{candidates}")]
    Unknown {
        /// The requested name.
        name: String,
        /// The location.
        results: String,
        /// The existing names, as text.
        candidates: String,
    },
    /// More than one dataset has that prefix.
    #[error("`{name}` matches more than one dataset: {candidates}")]
    Ambiguous {
        /// The requested name.
        name: String,
        /// The matching datasets.
        candidates: String,
    },
    /// An invalid tag.
    #[error("`{0}` is not a valid tag")]
    BadTag(String),
    /// A tag that does not exist.
    #[error("there is no tag `{0}`")]
    NoTag(String),
    /// A tag that names another dataset.
    #[error("`{tag}` already names dataset {dataset}")]
    TagTaken {
        /// The tag.
        tag: String,
        /// The other dataset, shortened.
        dataset: String,
    },
    /// A dataset that must not be removed.
    #[error("dataset {dataset} has the tag {tags}")]
    Tagged {
        /// The dataset, shortened.
        dataset: String,
        /// Its tags.
        tags: String,
    },
    /// A file that would be overwritten.
    #[error("{0} already exists")]
    Exists(PathBuf),
    /// A file that is not an exported dataset.
    #[error("{path} is not an exported dataset: {message}")]
    Archive {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// A table could not be encoded.
    #[error("cannot write table `{table}`: {message}")]
    Encode {
        /// The table.
        table: &'static str,
        /// The cause.
        message: String,
    },
}

impl StoreError {
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// Converts the error of an object store for a file of a dataset.
    pub(super) fn object(
        action: &'static str,
        object: String,
    ) -> impl FnOnce(object_store::Error) -> Self {
        move |source| match source {
            object_store::Error::NotFound { .. } => Self::Missing { object },
            source => Self::Unreadable { action, object, source },
        }
    }
}

/// The condition of a dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// Every file matches its hash.
    Intact,
    /// It was written by a newer version.
    TooNew,
    /// It could not be read.
    Unreadable,
    /// A file is missing.
    Missing,
    /// A file does not match its hash or schema.
    Corrupt,
}

impl Condition {
    /// Its name in tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Intact => "intact",
            Self::TooNew => "too new",
            Self::Unreadable => "unreadable",
            Self::Missing => "missing",
            Self::Corrupt => "corrupt",
        }
    }
}

impl StoreError {
    /// The condition of the dataset whose reading failed.
    #[must_use]
    pub fn condition(&self) -> Condition {
        match self {
            Self::TooNew { .. } => Condition::TooNew,
            Self::Missing { .. } => Condition::Missing,
            Self::Corrupt { .. } => Condition::Corrupt,
            _ => Condition::Unreadable,
        }
    }
}
