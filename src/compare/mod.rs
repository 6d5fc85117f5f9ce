//! From the trials of two datasets to verdicts.
//!
//! The repetition is the unit, and effects are ratios: everything is computed on logarithms (the share
//! of failed requests, which may be zero, on itself). Per case five repetitions decide nothing alone, so
//! variances borrow strength across cases. Questions are asked from groups down to cases, and every p
//! value accounts for all of them. What two runs differ by although nothing changed is added to the
//! variance where a calibration tells it; without one, small effects are not called. Two sides that
//! were measured interleaved need none.
//!
//! No I/O, no SQL, no clock: the same samples give the same verdicts.

mod alarm;
mod calibration;
mod effect;
mod gate;
mod judge;
mod level;
#[cfg(test)]
mod tests;

use serde::Serialize;

pub use calibration::Calibration;
pub use gate::{Class, Noted, is_comparable, noted, same_host_class};
pub use judge::{compare, is_decided, looks};
pub use level::levels;

use crate::id::DatasetId;
use crate::model::{Case, Metric, Sample};
use crate::store::Manifest;

/// One of the two datasets.
#[derive(Clone, Debug)]
pub struct Side {
    /// Its id.
    pub dataset: DatasetId,
    /// What it is.
    pub manifest: Manifest,
    /// Its trials.
    pub samples: Vec<Sample>,
}

/// How to judge.
#[derive(Clone, Debug)]
pub struct Rules {
    /// What to compare.
    pub metrics: Vec<Metric>,
    /// The change that matters, as a share: 0.05 is 5 %.
    pub margin: f64,
    /// The chance of a false alarm in the whole comparison.
    pub alpha: f64,
    /// Whether both sides were measured block by block in one run.
    pub is_interleaved: bool,
    /// What the host's calibrations tell.
    pub calibration: Option<Calibration>,
}

/// What is said of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It is worse, by more than the margin.
    Regressed,
    /// It is better, by more than the margin.
    Improved,
    /// It is the same, within the margin.
    Equivalent,
    /// It cannot be told.
    Inconclusive,
}

impl Verdict {
    /// Every verdict.
    pub const ALL: [Self; 4] =
        [Self::Regressed, Self::Improved, Self::Equivalent, Self::Inconclusive];

    /// The verdict in a word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Regressed => "regressed",
            Self::Improved => "improved",
            Self::Equivalent => "equivalent",
            Self::Inconclusive => "inconclusive",
        }
    }

    /// Whether it says that something changed.
    #[must_use]
    pub fn is_change(self) -> bool {
        matches!(self, Self::Regressed | Self::Improved)
    }
}

/// Why nothing can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Doubt {
    /// Chance explains it, and it may still be large.
    Chance,
    /// There is a change, and it may be smaller or larger than what matters.
    AroundTheMargin,
    /// One side is known as a bound only, which does not allow a verdict in this direction.
    Bound,
    /// Nobody knows by how much two runs differ on this host, and the change is not so large that this
    /// does not matter.
    Uncalibrated,
    /// A single repetition tells nothing of chance.
    TooFewRepetitions,
}

/// Which end of a change is known, where the figures of a side are bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Known {
    /// Both: no figure is a bound.
    Exactly,
    /// The change is at least so much: figures after it are lower bounds.
    AtLeast,
    /// The change is at most so much: figures before it are lower bounds.
    AtMost,
}

/// What is found of a metric. Changes are shares of what was before (0.12 is 12 % more); of the share of
/// failed requests they are differences.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// The metric.
    pub metric: Metric,
    /// The change.
    pub change: f64,
    /// The lower end of its interval.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// What of the change is known.
    pub known: Known,
    /// The p value of no change, adjusted for every question of the comparison.
    pub adjusted_p: f64,
    /// The smallest change that would matter.
    pub margin: f64,
    /// The smallest change of it alone that would have been told, four times in five.
    pub smallest_seen: f64,
    /// The verdict.
    pub verdict: Verdict,
    /// Why there is none.
    pub doubt: Option<Doubt>,
}

/// A factor whose levels are groups of cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Factor {
    /// The app.
    App,
    /// The store.
    Store,
    /// Worker processes.
    Workers,
    /// The target rate.
    Target,
}

impl Factor {
    /// Every factor that groups are made by.
    pub const ALL: [Self; 4] = [Self::App, Self::Store, Self::Workers, Self::Target];

    /// The level of a case, in words.
    #[must_use]
    pub fn level(self, case: &Case) -> String {
        match self {
            Self::App => case.stack.app.to_string(),
            Self::Store => format!("on {}", case.stack.store),
            Self::Workers if case.stack.workers == 1 => "1 worker".to_owned(),
            Self::Workers => format!("{} workers", case.stack.workers),
            Self::Target => format!("{} QPS", case.target_rps),
        }
    }
}

/// What is found of all cases with one level of a factor together.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GroupFinding {
    /// The factor.
    pub factor: Factor,
    /// Its level, in words.
    pub level: String,
    /// How many cases it has.
    pub cases: usize,
    /// The geometric mean of their changes, and what follows from it.
    #[serde(flatten)]
    pub finding: Finding,
}

/// What is found of one case.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CaseFinding {
    /// The case.
    #[serde(flatten)]
    pub case: Case,
    /// The geometric mean over repetitions before, in the metric's own unit.
    pub before: f64,
    /// And after.
    pub after: f64,
    /// Repetitions before that could be used.
    pub repetitions_before: usize,
    /// And after.
    pub repetitions_after: usize,
    /// What follows.
    #[serde(flatten)]
    pub finding: Finding,
}

/// A case that is not judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unjudged {
    /// The case.
    #[serde(flatten)]
    pub case: Case,
    /// The metric.
    pub metric: Metric,
    /// Why not.
    pub reason: String,
}

/// What the variance between two runs is known from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Basis {
    /// Both sides were measured block by block in one run: there is none.
    Interleaved,
    /// From so many calibrations of this host.
    Calibrated {
        /// How many.
        sessions: usize,
    },
    /// From nothing.
    Uncalibrated,
}

/// What came of a comparison.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The dataset that is the measure.
    pub before: DatasetId,
    /// The dataset that is judged.
    pub after: DatasetId,
    /// The chance of a false alarm in the whole of it.
    pub alpha: f64,
    /// What the variance between runs is known from.
    pub basis: Basis,
    /// What is not the same beside the figures.
    pub noted: Vec<Noted>,
    /// Groups of cases.
    pub groups: Vec<GroupFinding>,
    /// Single cases.
    pub cases: Vec<CaseFinding>,
    /// What could not be judged.
    pub unjudged: Vec<Unjudged>,
    /// What makes the verdicts doubtful as a whole.
    pub alarms: Vec<String>,
}

impl Comparison {
    /// The cases that changed, the largest change first.
    #[must_use]
    pub fn changed(&self) -> Vec<&CaseFinding> {
        let is_change = |one: &&CaseFinding| one.finding.verdict.is_change();
        let mut changed: Vec<&CaseFinding> = self.cases.iter().filter(is_change).collect();
        let size = |one: &CaseFinding| match one.finding.metric {
            Metric::Errors => one.finding.change.abs(),
            _ => one.finding.change.ln_1p().abs(),
        };
        changed.sort_by(|a, b| size(b).total_cmp(&size(a)));
        changed
    }

    /// What came of it, in a few words.
    #[must_use]
    pub fn headline(&self) -> String {
        let counts: Vec<String> = [Verdict::Regressed, Verdict::Improved]
            .into_iter()
            .map(|verdict| (verdict, self.count(verdict)))
            .filter(|(_, count)| *count > 0)
            .map(|(verdict, count)| format!("{count} {}", verdict.as_str()))
            .collect();
        let groups = self.groups.iter().any(|group| group.finding.verdict.is_change());
        match (counts.is_empty(), groups) {
            (false, _) => counts.join(", "),
            (true, true) => "no single case changed, but groups of them did".to_owned(),
            (true, false) => "nothing changed that this setup can see".to_owned(),
        }
    }

    /// How many findings on single cases have a verdict.
    #[must_use]
    pub fn count(&self, verdict: Verdict) -> usize {
        self.cases.iter().filter(|one| one.finding.verdict == verdict).count()
    }

    /// Whether any group or case has a verdict.
    #[must_use]
    pub fn has(&self, verdict: Verdict) -> bool {
        let groups = self.groups.iter().map(|one| &one.finding);
        let cases = self.cases.iter().map(|one| &one.finding);
        groups.chain(cases).any(|finding| finding.verdict == verdict)
    }
}
