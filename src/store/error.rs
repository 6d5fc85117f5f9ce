//! What goes wrong with stored results, by cause: the exit code of a command follows from it.

use std::io;
use std::path::{Path, PathBuf};

use super::SCHEMA_VERSION;

/// What goes wrong with stored results.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system refused.
    #[error("cannot {action} {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// There is no results folder.
    #[error("there is no results folder {0}")]
    NoResults(PathBuf),
    /// A URL that names no object store.
    #[error("`{url}` names no place for results")]
    Place {
        /// What was given.
        url: String,
        /// Why not.
        source: object_store::Error,
    },
    /// An object store, or the file system behind one, refused.
    #[error("cannot {action} {object}")]
    Unreadable {
        /// What was tried.
        action: &'static str,
        /// On what.
        object: String,
        /// Why not.
        source: object_store::Error,
    },
    /// A file of a dataset is not there.
    #[error("{object} is missing")]
    Missing {
        /// The file.
        object: String,
    },
    /// A file of a dataset is not what its hash or its schema says.
    #[error("{object} is corrupt: {message}")]
    Corrupt {
        /// The file.
        object: String,
        /// What is wrong.
        message: String,
    },
    /// A manifest of a newer version.
    #[error("{object} has schema version {found}; this program reads up to {SCHEMA_VERSION}")]
    TooNew {
        /// The file.
        object: String,
        /// Its version.
        found: u32,
    },
    /// Another process writes here.
    #[error("another process is writing to {results} ({holder})")]
    Locked {
        /// The results folder.
        results: PathBuf,
        /// Who holds the lock.
        holder: String,
    },
    /// A journal is damaged before its last record.
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
        /// What was asked for.
        name: String,
        /// Where.
        results: PathBuf,
        /// Those that there are, in words.
        candidates: String,
    },
    /// No dataset has that name.
    #[error("no dataset is called `{name}` in {results}{candidates}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// Where.
        results: String,
        /// Those that there are, in words.
        candidates: String,
    },
    /// More than one dataset has that prefix.
    #[error("`{name}` is the beginning of more than one dataset: {candidates}")]
    Ambiguous {
        /// What was asked for.
        name: String,
        /// Those that it could be.
        candidates: String,
    },
    /// A tag that cannot be one.
    #[error("`{0}` cannot be a tag")]
    BadTag(String),
    /// A tag that is not there.
    #[error("there is no tag `{0}`")]
    NoTag(String),
    /// A tag that names another dataset.
    #[error("`{tag}` already names dataset {dataset}")]
    TagTaken {
        /// The tag.
        tag: String,
        /// What it names, shortened.
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
    /// A file that would be written over.
    #[error("{0} is already there")]
    Exists(PathBuf),
    /// A file that is no exported dataset.
    #[error("{path} is no exported dataset: {message}")]
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
        /// Why not.
        message: String,
    },
}

impl StoreError {
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// What an object store's refusal means for a dataset's file.
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

/// In what condition a dataset is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// Everything is as its hashes say.
    Intact,
    /// It was written by a newer version.
    TooNew,
    /// It could not be read.
    Unreadable,
    /// A file is not there.
    Missing,
    /// A file is not what its hash or its schema says.
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
    /// What the error says of the dataset that was read.
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
