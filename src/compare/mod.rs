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
    /// The change that matters, as a share: 0.05 is 5 %.
    pub margin: f64,
    /// The false discovery rate of the whole comparison: where nothing changed, the chance of any alarm.
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
    /// It is worse, beyond chance, and by more than the margin as far as can be told.
    Regressed,
    /// It is better, in the same sense.
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
    /// None: there are bounds on both sides.
    Nothing,
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
    /// The smallest change that would be called.
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
    /// Whether it broke: at least half of its trials fail after, and more of them than before.
    #[must_use]
    pub fn is_regression(&self) -> bool {
        self.failed_after * 2 >= self.trials_after
            && self.failed_after * self.trials_before > self.failed_before * self.trials_after
    }
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
    /// The false discovery rate of the whole of it: where nothing changed, the chance of any alarm.
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
    /// Cases with trials that failed.
    pub broken: Vec<Broken>,
    /// What makes the verdicts doubtful as a whole.
    pub alarms: Vec<String>,
}

impl Comparison {
    /// The cases that changed, the largest change first: in multiples of what matters, since metrics have
    /// different units.
    #[must_use]
    pub fn changed(&self) -> Vec<&CaseFinding> {
        let is_change = |one: &&CaseFinding| one.finding.verdict.is_change();
        let mut changed: Vec<&CaseFinding> = self.cases.iter().filter(is_change).collect();
        let size = |finding: &Finding| match finding.metric {
            Metric::Errors => (finding.change / finding.margin).abs(),
            _ => (finding.change.ln_1p() / finding.margin.ln_1p()).abs(),
        };
        changed.sort_by(|a, b| size(&b.finding).total_cmp(&size(&a.finding)));
        changed
    }

    /// What came of it, in a few words.
    #[must_use]
    pub fn headline(&self) -> String {
        let words = |count: &dyn Fn(Verdict) -> usize| {
            let changes = Verdict::ALL.iter().filter(|verdict| verdict.is_change());
            let counts = changes.map(|verdict| (verdict.as_str(), count(*verdict)));
            let words = counts.filter(|(_, count)| *count > 0);
            words.map(|(word, count)| format!("{count} {word}")).collect::<Vec<_>>().join(", ")
        };
        let cases = words(&|verdict| self.count(verdict));
        let groups = words(&|verdict| self.count_groups(verdict));
        let broke = match self.broke() {
            0 => String::new(),
            1 => "1 case broke".to_owned(),
            broke => format!("{broke} cases broke"),
        };
        let cases = if cases.is_empty() { cases } else { format!("cases: {cases}") };
        let groups = if groups.is_empty() { groups } else { format!("groups: {groups}") };
        let told: Vec<&str> =
            [&*broke, &*cases, &*groups].into_iter().filter(|words| !words.is_empty()).collect();
        if !told.is_empty() {
            let told = told.join("; ");
            told[..1].to_uppercase() + &told[1..]
        } else if self.cases.is_empty() {
            "Nothing could be judged".to_owned()
        } else if self.unjudged.is_empty() && self.count(Verdict::Equivalent) == self.cases.len() {
            "Nothing changed by as much as matters".to_owned()
        } else {
            "Nothing changed that this setup can see".to_owned()
        }
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
