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

use std::collections::BTreeSet;

use crate::analysis::Analysis;
use crate::compare::{CaseFinding, Comparison, GroupFinding, Verdict};
use crate::id::DatasetId;
use crate::model::{Case, Flag, Histogram, ResourceSample, TimelineSecond, TrialRow};
use crate::query::Residual;
use crate::store::Manifest;
use crate::units::Rps;

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

/// What a report shows.
#[derive(Clone, Debug)]
pub struct Report {
    /// The dataset's id.
    pub dataset: DatasetId,
    /// What the dataset is.
    pub manifest: Manifest,
    /// Whether the data was verified against the dataset's hashes.
    pub is_verified: bool,
    /// Its analysis.
    pub analysis: Analysis,
    /// Every trial, in the order of cases.
    pub trials: Vec<TrialRow>,
    /// How far each trial is from the others of its case.
    pub residuals: Vec<Residual>,
    /// The seconds of each trial, by trial.
    pub timeline: Vec<(u64, TimelineSecond)>,
    /// The resources that the parts of each trial used, by trial and part.
    pub resources: Vec<(u64, ResourceSample)>,
    /// The table of trials, byte for byte.
    pub trials_parquet: Vec<u8>,
}

impl Report {
    /// The target rates that were offered, in ascending order: a search finds its own.
    #[must_use]
    pub fn targets(&self) -> Vec<Rps> {
        let all: BTreeSet<Rps> = self.trials.iter().map(|trial| trial.case.target_rps).collect();
        all.into_iter().collect()
    }

    /// How many trials have a flag.
    #[must_use]
    pub fn carried(&self, flag: Flag) -> usize {
        self.trials.iter().filter(|trial| trial.flags.contains(&flag)).count()
    }
}

/// What the page of a comparison shows.
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
    /// The verdicts that fail the job.
    pub fail_on: Vec<Verdict>,
}

impl ComparisonReport {
    /// The cases that every format lists: those that changed, the largest change first, and those
    /// whose verdict fails the job.
    #[must_use]
    pub fn listed(&self) -> Vec<&CaseFinding> {
        let mut listed = self.comparison.changed();
        let cases = self.comparison.cases.iter();
        listed.extend(cases.filter(|one| {
            let verdict = one.finding.verdict;
            !verdict.is_change() && self.fail_on.contains(&verdict)
        }));
        listed
    }

    /// The groups that every format lists.
    #[must_use]
    pub fn lists(&self, group: &GroupFinding) -> bool {
        let verdict = group.finding.verdict;
        verdict.is_change() || self.fail_on.contains(&verdict)
    }
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
