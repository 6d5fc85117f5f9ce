//! Errors on the terminal: `error: …`, then hints that can be typed, and the exit code.

use super::output::note;
use crate::app::{AppError, ErrorKind};
use crate::store::Condition;

/// Wrong input, or a system that refuses.
pub(super) const USER_ERROR: u8 = 1;
/// At least one trial failed.
pub(super) const TRIALS_FAILED: u8 = 3;
/// What `--fail-on` names was found.
pub(super) const REGRESSED: u8 = 4;
/// A dataset differs from its hashes.
const CORRUPT: u8 = 5;
/// A file of a dataset is missing.
const MISSING: u8 = 6;
/// A dataset cannot be read.
const UNREADABLE: u8 = 7;
/// A dataset was written by a newer version.
const TOO_NEW: u8 = 8;
/// A defect of this program.
pub(super) const DEFECT: u8 = 70;
/// Interrupted by Ctrl-C or another signal.
const INTERRUPTED: u8 = 130;

/// Prints an error and its hints to standard error.
pub(super) fn print_error(error: &AppError) {
    note(&format!("error: {}", error.message));
    for hint in &error.hints {
        note(&format!("hint: {hint}"));
    }
}

/// The exit code for an error.
pub(super) fn error_code(error: &AppError) -> u8 {
    match error.kind {
        ErrorKind::Refused => USER_ERROR,
        ErrorKind::Corrupt => CORRUPT,
        ErrorKind::Missing => MISSING,
        ErrorKind::Unreadable => UNREADABLE,
        ErrorKind::TooNew => TOO_NEW,
        ErrorKind::Defect => DEFECT,
        ErrorKind::Interrupted => INTERRUPTED,
    }
}

/// The exit code for a condition of a dataset.
pub(super) fn condition_code(condition: Condition) -> u8 {
    match condition {
        Condition::Intact => 0,
        Condition::Corrupt => CORRUPT,
        Condition::Missing => MISSING,
        Condition::Unreadable => UNREADABLE,
        Condition::TooNew => TOO_NEW,
    }
}
