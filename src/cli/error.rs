//! Errors on the terminal: `error: …`, then hints that can be typed, and the exit code.

use std::process::ExitCode;

use super::output::note;
use crate::app::{AppError, ErrorKind};
use crate::model::rules::Exit;
use crate::store::Condition;

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.number())
    }
}

/// Prints an error and its hints to standard error.
pub(super) fn print_error(error: &AppError) {
    note(&format!("error: {}", error.message));
    for hint in &error.hints {
        note(&format!("hint: {hint}"));
    }
}

/// The exit code for an error.
pub(super) fn error_code(error: &AppError) -> Exit {
    match error.kind {
        ErrorKind::Refused => Exit::Error,
        ErrorKind::Corrupt => Exit::Corrupt,
        ErrorKind::Missing => Exit::Missing,
        ErrorKind::Unreadable => Exit::Unreadable,
        ErrorKind::TooNew => Exit::TooNew,
        ErrorKind::Defect => Exit::Defect,
        ErrorKind::Interrupted => Exit::Interrupted,
    }
}

/// The exit code for a condition of a dataset.
pub(super) fn condition_code(condition: Condition) -> Exit {
    match condition {
        Condition::Intact => Exit::Success,
        Condition::Corrupt => Exit::Corrupt,
        Condition::Missing => Exit::Missing,
        Condition::Unreadable => Exit::Unreadable,
        Condition::TooNew => Exit::TooNew,
    }
}
