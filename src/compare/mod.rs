//! From the trials of two datasets to verdicts.
//!
//! The repetition is the unit, and effects are ratios: everything is computed on logarithms. The share of
//! failed requests, which may be zero, is compared as a difference. Five repetitions of one case decide
//! little, so cases share their variances. Hypotheses are tested from groups down to cases, and every
//! p value is adjusted for all of them. The variance between two runs of the same thing is known from
//! calibrations and is added; without calibrations, small effects get no verdict. Two sides that were
//! measured interleaved need none.
//!
//! No I/O, no SQL, no clock: the same samples give the same verdicts.

mod alarm;
mod calibration;
mod effect;
mod gate;
mod judge;
mod level;
#[cfg(test)]
pub(crate) mod tests;

use serde::Serialize;

pub use calibration::{Calibration, MIN_SESSIONS};
pub use gate::{Class, Noted, is_comparable, noted, same_host_class};
pub use judge::{MIN_UNCALIBRATED, compare, is_decided, looks};
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
    /// The smallest change that matters, as a share: 0.05 is 5 %.
    pub margin: f64,
    /// The false discovery rate of the whole comparison: if nothing changed, the chance of any false verdict.
    pub alpha: f64,
    /// Whether both sides were measured block by block in one run.
    pub is_interleaved: bool,
    /// The host's calibrations.
    pub calibration: Option<Calibration>,
}

/// The verdict on a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It is worse: the change is significant, and its estimate is beyond the margin.
    Regressed,
    /// It is better, by the same criteria.
    Improved,
    /// It is shown to be the same within the margin.
    Equivalent,
    /// Neither a change nor equivalence is shown.
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

/// Why a finding is inconclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Doubt {
    /// The interval includes no change.
    Chance,
    /// The interval excludes no change, but the p value that is adjusted for all hypotheses does not.
    Family,
    /// The means differ, but the ranks of the repetitions do not confirm it.
    Ranks,
    /// There is a change, and it may be smaller or larger than the margin.
    AroundTheMargin,
    /// A side is known only as a bound, which allows no verdict in this direction.
    Bound,
    /// The variance between runs on this host is unknown, and the change is not large enough to be beyond
    /// any that is plausible.
    Uncalibrated,
    /// A single repetition has no variance.
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
    /// None: there are bounds on both sides.
    Nothing,
}

/// What is found for a metric. Changes are shares of the value before (0.12 is 12 % more); for the share
/// of failed requests they are differences.
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
    /// Which end of the change is known.
    pub known: Known,
    /// The p value of no change, adjusted for every hypothesis of the comparison.
    pub adjusted_p: f64,
    /// The smallest change that gets a verdict.
    pub margin: f64,
    /// The smallest change of it alone that would have been detected with a power of 80 %.
    pub smallest_seen: f64,
    /// The verdict.
    pub verdict: Verdict,
    /// Why it is inconclusive.
    pub doubt: Option<Doubt>,
}

impl Finding {
    /// The size of the change in multiples of the margin, since metrics have different units.
    #[must_use]
    pub fn size(&self) -> f64 {
        match self.metric {
            Metric::Errors => (self.change / self.margin).abs(),
            _ => (self.change.ln_1p() / self.margin.ln_1p()).abs(),
        }
    }
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

    /// The level of a case, as text.
    #[must_use]
    pub fn level(self, case: &Case) -> String {
        match self {
            Self::App => case.stack.app.to_string(),
            Self::Store => format!("on {}", case.stack.store),
            Self::Workers if case.stack.workers == 1 => "1 worker".to_owned(),
            Self::Workers => format!("{} workers", case.stack.workers),
            Self::Target => format!("{} requests/s", case.target_rps),
        }
    }
}

/// What is found for all cases with one level of a factor together.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GroupFinding {
    /// The factor.
    pub factor: Factor,
    /// Its level, as text.
    pub level: String,
    /// How many cases it has.
    pub cases: usize,
    /// The geometric mean of their changes, and what follows from it.
    #[serde(flatten)]
    pub finding: Finding,
}

/// What is found for one case.
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

/// A case whose trials failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Broken {
    /// The case.
    #[serde(flatten)]
    pub case: Case,
    /// Trials before.
    pub trials_before: usize,
    /// How many of them failed.
    pub failed_before: usize,
    /// Trials after.
    pub trials_after: usize,
    /// How many of them failed.
    pub failed_after: usize,
    /// The most frequent reason: of the trials after, or of those before when none failed after.
    pub reason: String,
}

impl Broken {
    /// Whether it broke: at least half of its trials failed after, and a larger share than before.
    #[must_use]
    pub fn is_regression(&self) -> bool {
        self.failed_after * 2 >= self.trials_after
            && self.failed_after * self.trials_before > self.failed_before * self.trials_after
    }
}

/// How the variance between two runs is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Basis {
    /// Both sides were measured interleaved in one run: there is none.
    Interleaved,
    /// From calibrations of this host.
    Calibrated {
        /// The number of calibrations.
        sessions: usize,
    },
    /// It is unknown.
    Uncalibrated,
}

/// The result of a comparison.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The baseline.
    pub before: DatasetId,
    /// The dataset that is compared with it.
    pub after: DatasetId,
    /// The false discovery rate of the whole comparison: if nothing changed, the chance of any false verdict.
    pub alpha: f64,
    /// How the variance between runs is known.
    pub basis: Basis,
    /// Differences between the two apart from the figures.
    pub noted: Vec<Noted>,
    /// Groups of cases.
    pub groups: Vec<GroupFinding>,
    /// Single cases.
    pub cases: Vec<CaseFinding>,
    /// What could not be judged.
    pub unjudged: Vec<Unjudged>,
    /// Cases with trials that failed.
    pub broken: Vec<Broken>,
    /// Reasons to doubt all verdicts.
    pub alarms: Vec<String>,
}

impl Comparison {
    /// The cases that changed, the largest change first, see [`Finding::size`].
    #[must_use]
    pub fn changed(&self) -> Vec<&CaseFinding> {
        let is_change = |one: &&CaseFinding| one.finding.verdict.is_change();
        let mut changed: Vec<&CaseFinding> = self.cases.iter().filter(is_change).collect();
        changed.sort_by(|a, b| b.finding.size().total_cmp(&a.finding.size()));
        changed
    }

    /// How many findings on single cases have a verdict.
    #[must_use]
    pub fn count(&self, verdict: Verdict) -> usize {
        self.cases.iter().filter(|one| one.finding.verdict == verdict).count()
    }

    /// How many findings on groups have a verdict.
    #[must_use]
    pub fn count_groups(&self, verdict: Verdict) -> usize {
        self.groups.iter().filter(|group| group.finding.verdict == verdict).count()
    }

    /// How many cases broke.
    #[must_use]
    pub fn broke(&self) -> usize {
        self.broken.iter().filter(|one| one.is_regression()).count()
    }

    /// Whether any group or case has a verdict; a case that broke regressed.
    #[must_use]
    pub fn has(&self, verdict: Verdict) -> bool {
        verdict == Verdict::Regressed && self.broke() > 0
            || self.count(verdict) + self.count_groups(verdict) > 0
    }
}
