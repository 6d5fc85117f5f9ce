//! From plain structs to a page: one self-contained HTML file.
//!
//! The same dataset gives the same bytes: no clock, no random id, no map order.

mod charts;
mod comparison;
mod data;
mod findings;
mod headline;
mod html;
mod json;
mod junit;
mod markdown;
mod provenance;
mod pull_request;
mod served;
mod summary;
mod text;

use crate::app::{AppError, ComparisonReport, DistributionPair, ErrorKind, Report};

pub use comparison::comparison_html;
pub use findings::{
    basis_text, broken_sentence, case_sentence, change_text, failure_text, group_sentence,
    interval_text, smallest_text, summary, value_text,
};
pub use headline::comparison_headline;
pub use html::{ReportError, html};
pub use json::report_json;
pub use junit::comparison_junit;
pub use markdown::markdown;
pub use pull_request::comparison_markdown;
pub use served::{
    Insist, Message, ServedPage, console_page, datasets_page, live_page, measured_text,
    message_page,
};
pub use text::{
    P50, P95, UNSUPPORTED, UNSUPPORTED_MEANING, capacity_text, p95_text, percentile_text,
    rate_text, trial_percentile_text,
};

impl From<ReportError> for AppError {
    fn from(error: ReportError) -> Self {
        Self::of(&error).with_kind(ErrorKind::Defect)
    }
}
