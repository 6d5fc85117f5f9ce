//! Which load each stack holds.

use serde::Serialize;

use crate::model::{QUANTILES, Stack, Stage, TrialRow};
use crate::units::{Nanos, Rps};

/// A load is held when at least this share of it is completed.
pub const COMPLETED: f64 = 0.99;

/// What has to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct LatencyLimit {
    /// Which percentile, by its place in [`QUANTILES`].
    pub percentile: usize,
    /// Its longest latency.
    pub longest: Nanos,
}

/// What is known of one target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Hold {
    /// It is held in every repetition that counts.
    Held,
    /// It is not held in one of them, or a trial broke under it.
    Missed,
    /// No trial of it may be ranked, or unfinished requests hide its percentile.
    Unknown,
}

/// How much one stack holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Held {
    /// The stack.
    pub stack: Stack,
    /// The highest target that it holds, with all those below; `None` when it holds not the lowest.
    pub rps: Option<Rps>,
    /// The next higher target, and what is known of it; `None` when there is none.
    pub next: Option<(Rps, Hold)>,
}

impl Held {
    /// Whether it is known that it holds no more.
    #[must_use]
    pub fn is_most(&self) -> bool {
        matches!(self.next, Some((_, Hold::Missed)))
    }
}

/// How much each stack holds at one number of connections: each valid trial completed 99 % of what was
/// planned and kept the limit, and none broke under the load. What does not start says nothing of what
/// it would hold. Trials are given in the order of their cases, with the latencies between which
/// their percentiles lie.
#[must_use]
pub fn held(
    trials: &[(&TrialRow, &PercentileEnds)],
    concurrency: u32,
    limit: LatencyLimit,
) -> Vec<Held> {
    let own: Vec<&(&TrialRow, &PercentileEnds)> =
        trials.iter().filter(|(trial, _)| trial.case.concurrency == concurrency).collect();
    own.chunk_by(|a, b| a.0.case.stack == b.0.case.stack)
        .map(|trials| {
            let mut held = Held { stack: trials[0].0.case.stack.clone(), rps: None, next: None };
            for case in trials.chunk_by(|a, b| a.0.case == b.0.case) {
                let target = case[0].0.case.target_rps;
                match hold(case, limit) {
                    Hold::Held => held.rps = Some(target),
                    other => {
                        held.next = Some((target, other));
                        break;
                    }
                }
            }
            held
        })
        .collect()
}

/// The latencies between which each percentile of a trial lies, in the order of [`QUANTILES`]; the
/// second is missing where it may be any.
pub type PercentileEnds = [Option<(Nanos, Option<Nanos>)>; QUANTILES.len()];

fn hold(trials: &[&(&TrialRow, &PercentileEnds)], limit: LatencyLimit) -> Hold {
    let breaks = |trial: &TrialRow| {
        trial.failure.as_ref().is_some_and(|failure| failure.stage == Stage::Load)
    };
    let valid = trials.iter().filter(|(trial, _)| trial.is_valid);
    let told: Vec<Hold> = valid.map(|(trial, ends)| hold_of(trial, ends, limit)).collect();
    match () {
        () if trials.iter().any(|(trial, _)| breaks(trial)) => Hold::Missed,
        () if told.contains(&Hold::Missed) => Hold::Missed,
        () if told.is_empty() || told.contains(&Hold::Unknown) => Hold::Unknown,
        () => Hold::Held,
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of requests stay below 2^53")]
fn hold_of(trial: &TrialRow, ends: &PercentileEnds, limit: LatencyLimit) -> Hold {
    let (completed, planned) =
        (trial.completed_in_window().unwrap_or(0), trial.planned.unwrap_or(0));
    if (completed as f64) < planned as f64 * COMPLETED {
        return Hold::Missed;
    }
    match ends[limit.percentile] {
        Some((low, _)) if low > limit.longest => Hold::Missed,
        Some((_, Some(high))) if high <= limit.longest => Hold::Held,
        _ => Hold::Unknown,
    }
}

impl LatencyLimit {
    /// The percentile's name in columns, such as `p99_9`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        QUANTILES[self.percentile].name
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Case, LatencyFigure, RowFailure};

    fn trial(target: u32, completed: u64, ms: u64) -> TrialRow {
        let figure = LatencyFigure::exact(Nanos(ms * 1_000_000));
        let case = Case {
            stack: Stack {
                app: "express".parse().unwrap(),
                store: "redis".parse().unwrap(),
                workers: 1,
            },
            concurrency: 100,
            target_rps: Rps::whole(target),
        };
        TrialRow {
            completed: Some(completed),
            latency: [Some(figure); QUANTILES.len()],
            ..TrialRow::of(0, case)
        }
    }

    /// As it is told: each percentile lies where the trial's own figure says, or anywhere above.
    fn told(trials: &[TrialRow]) -> (Option<u64>, Option<(u64, Hold)>) {
        let end = |figure: LatencyFigure| (figure.value, figure.longest());
        let ends: Vec<PercentileEnds> =
            trials.iter().map(|trial| trial.latency.map(|figure| figure.map(end))).collect();
        let trials: Vec<_> = trials.iter().zip(&ends).collect();
        let limit = LatencyLimit { percentile: 2, longest: Nanos(20_000_000) };
        assert!(held(&trials, 7, limit).is_empty(), "of other connections there is nothing");
        let held = held(&trials, 100, limit);
        let whole = |rate: Rps| rate.as_whole().unwrap();
        (held[0].rps.map(whole), held[0].next.map(|(rate, hold)| (whole(rate), hold)))
    }

    #[test]
    fn a_load_is_held_when_every_repetition_keeps_it() {
        let kept = [trial(1000, 1000, 5), trial(1000, 990, 20), trial(2000, 1000, 6)];
        assert_eq!(told(&kept), (Some(2000), None));
        let slow = [trial(1000, 1000, 5), trial(2000, 1000, 6), trial(2000, 1000, 21)];
        assert_eq!(told(&slow), (Some(1000), Some((2000, Hold::Missed))));
        let lost = [trial(1000, 989, 5), trial(2000, 1000, 6)];
        assert_eq!(told(&lost), (None, Some((1000, Hold::Missed))));
    }

    #[test]
    fn what_cannot_be_ranked_is_not_known() {
        let mut unranked = trial(2000, 1000, 5);
        unranked.is_valid = false;
        let trials = [trial(1000, 1000, 5), unranked.clone(), trial(5000, 1000, 5)];
        assert_eq!(told(&trials), (Some(1000), Some((2000, Hold::Unknown))));
        // One that breaks under the load is a miss, whatever the others did; one that does not start
        // says nothing.
        let failed =
            |stage: Stage| RowFailure { reason: "it died".to_owned(), ..RowFailure::at(stage) };
        unranked.failure = Some(failed(Stage::Load));
        let broken = [trial(2000, 1000, 5), unranked.clone()];
        assert_eq!(told(&broken), (None, Some((2000, Hold::Missed))));
        unranked.failure = Some(failed(Stage::Launch));
        assert_eq!(told(&[trial(2000, 1000, 5), unranked.clone()]), (Some(2000), None));
        assert_eq!(told(&[unranked]), (None, Some((2000, Hold::Unknown))));
    }

    #[test]
    fn a_bound_is_missed_above_the_limit_and_unknown_below() {
        let bounded = |ms: u64| {
            let value = Nanos(ms * 1_000_000);
            let figure = LatencyFigure { value, is_bound: true, high: None };
            [TrialRow { latency: [Some(figure); QUANTILES.len()], ..trial(1000, 1000, 1) }]
        };
        assert_eq!(told(&bounded(5)), (None, Some((1000, Hold::Unknown))));
        assert_eq!(told(&bounded(21)), (None, Some((1000, Hold::Missed))));
    }
}
