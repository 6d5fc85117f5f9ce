//! From plain structs to a page: one self-contained HTML file.
//!
//! The same dataset gives the same bytes: no clock, no random id, no map order.

mod charts;
mod html;
mod text;

use crate::id::DatasetId;
use crate::query::{CaseSummary, FailedTrial, FlagCount, Residual};
use crate::store::Manifest;

pub use html::{ReportError, html};
pub use text::{capacity_text, p95_text, rate_text};

/// What a report tells.
#[derive(Clone, Debug)]
pub struct Report {
    /// The dataset's id.
    pub dataset: DatasetId,
    /// What the dataset is.
    pub manifest: Manifest,
    /// Whether what is told was compared with the dataset's hashes.
    pub is_verified: bool,
    /// Each case over its repetitions.
    pub cases: Vec<CaseSummary>,
    /// The trials that failed.
    pub failures: Vec<FailedTrial>,
    /// Which flags were set how often.
    pub flags: Vec<FlagCount>,
    /// How far each trial is from the others of its case.
    pub residuals: Vec<Residual>,
}
