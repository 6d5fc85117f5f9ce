//! From plain structs to a page: one self-contained HTML file.
//!
//! The same dataset gives the same bytes: no clock, no random id, no map order.

mod charts;
mod comparison;
mod html;
mod junit;
mod pull_request;
mod served;
mod text;
mod words;

use crate::compare::Comparison;
use crate::id::DatasetId;
use crate::model::{Case, Histogram};
use crate::query::{CaseSummary, FailedTrial, FlagCount, Residual};
use crate::store::Manifest;

pub use comparison::comparison_html;
pub use html::{ReportError, html};
pub use junit::comparison_junit;
pub use pull_request::comparison_markdown;
pub use served::{
    Insist, Message, ServedPage, console_page, datasets_page, live_page, measured_text,
    message_page,
};
pub use text::{capacity_text, p95_text, rate_text};
pub use words::{
    basis_text, broken_sentence, case_sentence, change_text, group_sentence, interval_text,
    smallest_text, summary, value_text,
};

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

/// What the page of a comparison tells.
#[derive(Clone, Debug)]
pub struct ComparisonReport {
    /// The verdicts.
    pub comparison: Comparison,
    /// What the dataset before is.
    pub before: Manifest,
    /// What the dataset after is.
    pub after: Manifest,
    /// Whether suspicious differences were accepted.
    pub is_forced: bool,
    /// Distributions of the cases whose latency changed most.
    pub distributions: Vec<DistributionPair>,
}

/// The latencies of a case on both sides, of all repetitions.
#[derive(Clone, Debug, PartialEq)]
pub struct DistributionPair {
    /// The case.
    pub case: Case,
    /// Before.
    pub before: Histogram,
    /// After.
    pub after: Histogram,
}
