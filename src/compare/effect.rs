//! Changes with their variances: of a case, and of a group of cases.

use std::collections::BTreeMap;

use super::Known;
use crate::model::{Case, Metric, Sample};
use crate::stats::{Estimated, Scatter, rank_sum_p, signed_rank_p};

/// The best resolution of a metric: buckets of latency are 0.1 % wide, and CPU time is counted in ticks.
/// No scatter is taken to be smaller.
const RESOLUTION: f64 = 1e-3;
/// The largest p value of a rank test that confirms a change of a case: an outlier that moves a mean moves
/// only one rank.
const MAX_RANK_P: f64 = 0.1;

/// Values on the scale of effects, by block.
type Blocks = BTreeMap<u32, f64>;

/// The repetitions of a case on one side.
#[derive(Clone, Debug, Default)]
pub(super) struct Repetitions {
    pub values: Blocks,
    /// Whether one of them is a lower bound.
    has_bound: bool,
    /// Requests that were planned in all of them.
    planned: f64,
}

impl Repetitions {
    #[expect(clippy::cast_precision_loss, reason = "counts of requests stay below 2^53")]
    fn of(samples: &[&Sample], metric: Metric) -> Self {
        let mut own = Self::default();
        for sample in samples {
            let Some(figure) = sample.comparable(metric) else { continue };
            let Some(value) = to_scale(metric, figure.value) else { continue };
            own.values.insert(sample.block, value);
            own.has_bound |= figure.is_bound;
            own.planned += sample.planned as f64;
        }
        own
    }

    pub(super) fn mean(&self) -> f64 {
        mean(self.values.values().copied())
    }
}

/// A case on both sides.
#[derive(Clone, Debug)]
pub(super) struct Cell<'a> {
    pub case: &'a Case,
    pub metric: Metric,
    pub before: Repetitions,
    pub after: Repetitions,
    samples: Samples,
}

/// The samples whose mean is the change of a case.
#[derive(Clone, Debug)]
enum Samples {
    /// Differences of the sides in each block: an effect of the block on both cancels out.
    Paired(Blocks),
    /// Two independent sides.
    Independent,
}

impl<'a> Cell<'a> {
    pub(super) fn of(
        case: &'a Case,
        metric: Metric,
        [before, after]: [&[&Sample]; 2],
        is_interleaved: bool,
    ) -> Self {
        let (before, after) = (Repetitions::of(before, metric), Repetitions::of(after, metric));
        let difference =
            |(block, value): (&u32, &f64)| Some((*block, after.values.get(block)? - value));
        let samples = match is_interleaved {
            true => Samples::Paired(before.values.iter().filter_map(difference).collect()),
            false => Samples::Independent,
        };
        Self { case, metric, before, after, samples }
    }

    /// The independent samples: the differences, or the values of each side.
    fn arms(&self) -> Vec<&Blocks> {
        match &self.samples {
            Samples::Paired(differences) => vec![differences],
            Samples::Independent => vec![&self.before.values, &self.after.values],
        }
    }

    /// Whether there is anything to compare.
    pub(super) fn is_comparable(&self) -> bool {
        self.arms().iter().all(|arm| !arm.is_empty())
    }

    /// Whether there are enough repetitions to tell a change from chance.
    pub(super) fn is_repeated(&self) -> bool {
        self.repetitions() > 1
    }

    /// Repetitions of the side that has fewer.
    pub(super) fn repetitions(&self) -> usize {
        self.arms().iter().map(|arm| arm.len()).min().unwrap_or(0)
    }

    pub(super) fn change(&self) -> f64 {
        match &self.samples {
            Samples::Paired(differences) => mean(differences.values().copied()),
            Samples::Independent => self.after.mean() - self.before.mean(),
        }
    }

    /// Which end of the change is known.
    pub(super) fn known(&self) -> Known {
        match (self.before.has_bound, self.after.has_bound) {
            (false, false) => Known::Exactly,
            (false, true) => Known::AtLeast,
            (true, false) => Known::AtMost,
            (true, true) => Known::Nothing,
        }
    }

    /// The variance of one sample, pooled over the sides where there are two.
    #[expect(clippy::cast_precision_loss, reason = "there are few repetitions")]
    pub(super) fn scatter(&self) -> Scatter {
        let arms = self.arms();
        let df: f64 = arms.iter().map(|arm| arm.len() as f64 - 1.0).sum();
        let variance = arms.iter().map(|arm| squares(arm)).sum::<f64>() / df;
        Scatter { variance: variance.max(self.least_variance()), df }
    }

    /// The smallest variance of a sample. Failed requests are counts, so they scatter at least as a binomial
    /// draw does, even if none was seen.
    #[expect(clippy::cast_precision_loss, reason = "there are few repetitions")]
    fn least_variance(&self) -> f64 {
        let of_difference = match self.samples {
            Samples::Paired(_) => 2.0,
            Samples::Independent => 1.0,
        };
        if self.metric != Metric::Errors {
            return of_difference * RESOLUTION.powi(2);
        }
        let planned = self.before.planned + self.after.planned;
        let repetitions = (self.before.values.len() + self.after.values.len()) as f64;
        let failed = f64::midpoint(self.before.mean(), self.after.mean()) * planned;
        let share = ((failed + 0.5) / (planned + 1.0)).min(0.5);
        of_difference * share * (1.0 - share) / (planned / repetitions).max(1.0)
    }

    /// The variance of the change, when that of a sample is `scatter`.
    #[expect(clippy::cast_precision_loss, reason = "there are few repetitions")]
    pub(super) fn variance_of_change(&self, scatter: Scatter) -> Scatter {
        let repetitions: f64 = self.arms().iter().map(|arm| 1.0 / arm.len() as f64).sum();
        Scatter { variance: scatter.variance * repetitions, df: scatter.df }
    }

    /// Whether the ranks do not contradict a change. Those of few repetitions cannot.
    pub(super) fn ranks_agree(&self) -> bool {
        let list = |blocks: &Blocks| blocks.values().copied().collect::<Vec<_>>();
        let p = match &self.samples {
            Samples::Paired(differences) => {
                let kept: Vec<f64> = list(differences).into_iter().filter(|d| *d != 0.0).collect();
                if kept.len() < 5 {
                    return true;
                }
                signed_rank_p(&kept)
            }
            Samples::Independent if self.repetitions() < 3 => return true,
            Samples::Independent => {
                rank_sum_p(&list(&self.before.values), &list(&self.after.values))
            }
        };
        p <= MAX_RANK_P + 1e-9
    }
}

/// The mean change of some cases of one metric, with the block as the unit: its variance then includes
/// what moves all cases of a block together, such as a start of the stack or the time of day (source: Liang and Zeger 1986,
/// *Longitudinal Data Analysis Using Generalized Linear Models*, the sandwich of clusters). Cases have equal
/// weight whatever their number of repetitions; the degrees of freedom are those of the case with the
/// fewest. `None` with fewer than two blocks on a side.
#[expect(clippy::cast_precision_loss, reason = "there are few cases")]
pub(super) fn pooled(cells: &[&Cell<'_>], between_runs: Option<Scatter>) -> Option<Estimated> {
    let count = cells.len() as f64;
    let arms = cells.first()?.arms().len();
    let mut parts = Vec::new();
    for arm in 0..arms {
        let (mut blocks, mut least) = (Blocks::new(), 0.0);
        let mut fewest = f64::INFINITY;
        for cell in cells {
            let own = cell.arms()[arm];
            let repetitions = own.len() as f64;
            let centre = mean(own.values().copied());
            for (block, value) in own {
                *blocks.entry(*block).or_default() += (value - centre) / (count * repetitions);
            }
            least += cell.least_variance() / (count * count * repetitions);
            fewest = fewest.min(repetitions);
        }
        if blocks.len() < 2 || fewest < 2.0 {
            return None;
        }
        let of_blocks = blocks.len() as f64;
        let squares: f64 = blocks.values().map(|sum| sum * sum).sum();
        let variance = (of_blocks / (of_blocks - 1.0) * squares).max(least);
        parts.push(Scatter { variance, df: fewest - 1.0 });
    }
    parts.extend(between_runs);
    let change = mean(cells.iter().map(|cell| cell.change()));
    Some(Estimated::of_parts(change, &parts))
}

/// A value on the scale of effects; `None` if it has no logarithm.
pub(super) fn to_scale(metric: Metric, value: f64) -> Option<f64> {
    match metric {
        Metric::Errors => Some(value),
        _ => (value > 0.0).then(|| value.ln()),
    }
}

/// An effect as a change: a share of the value before, or for failed requests a difference.
pub(super) fn to_change(metric: Metric, effect: f64) -> f64 {
    match metric {
        Metric::Errors => effect,
        _ => effect.exp_m1(),
    }
}

/// The sum of squared deviations from the mean.
fn squares(blocks: &Blocks) -> f64 {
    let centre = mean(blocks.values().copied());
    blocks.values().map(|value| (value - centre).powi(2)).sum()
}

#[expect(clippy::cast_precision_loss, reason = "there are few values")]
pub(super) fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut count) = (0.0, 0_usize);
    for value in values {
        sum += value;
        count += 1;
    }
    sum / count as f64
}
