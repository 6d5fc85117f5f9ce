//! Which load each stack holds.

use serde::Serialize;

use crate::model::{QUANTILES, Stack, TrialRow};
use crate::units::Nanos;

/// A load is held when at least this share of it is completed.
pub const COMPLETED: f64 = 0.99;

/// What has to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Bound {
    /// Which percentile, by its place in [`QUANTILES`].
    pub percentile: usize,
    /// Its longest latency.
    pub limit: Nanos,
}

/// What is known of one target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Hold {
    /// It is held in every repetition that counts.
    Held,
    /// It is not held in one of them, or a trial failed.
    Missed,
    /// No trial of it may be ranked.
    Unknown,
}

/// How much one stack holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Held {
    /// The stack.
    pub stack: Stack,
    /// The highest target that it holds, with all those below; `None` when it holds not the lowest.
    pub rps: Option<u32>,
    /// The next higher target, and what is known of it; `None` when there is none.
    pub next: Option<(u32, Hold)>,
}

/// How much each stack holds at one number of connections: each valid trial completed 99 % of what was
/// planned and kept the bound, and no trial failed. Trials are given in the order of their cases.
#[must_use]
pub fn held(trials: &[TrialRow], concurrency: u32, bound: Bound) -> Vec<Held> {
    let own: Vec<&TrialRow> =
        trials.iter().filter(|trial| trial.case.concurrency == concurrency).collect();
    own.chunk_by(|a, b| a.case.stack == b.case.stack)
        .map(|trials| {
            let mut held = Held { stack: trials[0].case.stack.clone(), rps: None, next: None };
            for case in trials.chunk_by(|a, b| a.case == b.case) {
                let target = case[0].case.target_rps;
                match hold(case, bound) {
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

#[expect(clippy::cast_precision_loss, reason = "counts of requests stay below 2^53")]
fn hold(trials: &[&TrialRow], bound: Bound) -> Hold {
    let is_kept = |trial: &&&TrialRow| {
        let (completed, planned) = (trial.completed.unwrap_or(0), trial.planned.unwrap_or(0));
        let is_done = completed as f64 >= planned as f64 * COMPLETED;
        let figure = trial.latency.get(bound.percentile).copied().flatten();
        is_done && figure.is_some_and(|one| !one.is_bound && one.value <= bound.limit)
    };
    let valid: Vec<&&TrialRow> = trials.iter().filter(|trial| trial.is_valid).collect();
    let has_failed = trials.iter().any(|trial| trial.failure.is_some());
    match (valid.is_empty(), has_failed || !valid.iter().all(is_kept)) {
        (true, false) => Hold::Unknown,
        (_, true) => Hold::Missed,
        (false, false) => Hold::Held,
    }
}

impl Bound {
    /// The percentile's name in columns, such as `p99_9`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        QUANTILES[self.percentile].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Case, LatencyFigure, RowFailure};

    fn trial(target: u32, completed: u64, ms: u64) -> TrialRow {
        let figure = LatencyFigure { value: Nanos(ms * 1_000_000), is_bound: false };
        let case = Case {
            stack: Stack {
                app: "express".parse().unwrap(),
                store: "redis".parse().unwrap(),
                workers: 1,
            },
            concurrency: 100,
            target_rps: target,
        };
        TrialRow {
            completed: Some(completed),
            latency: [Some(figure); QUANTILES.len()],
            ..TrialRow::of(0, case)
        }
    }

    fn told(trials: &[TrialRow]) -> (Option<u32>, Option<(u32, Hold)>) {
        let bound = Bound { percentile: 2, limit: Nanos(20_000_000) };
        let held = held(trials, 100, bound);
        (held[0].rps, held[0].next)
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
        // One that fails is a miss, whatever the others did.
        unranked.failure = Some(RowFailure {
            stage: "load".to_owned(),
            reason: "it died".to_owned(),
            log: String::new(),
        });
        assert_eq!(told(&[trial(2000, 1000, 5), unranked]), (None, Some((2000, Hold::Missed))));
        assert!(held(&trials, 7, Bound { percentile: 2, limit: Nanos(1) }).is_empty());
    }

    #[test]
    fn a_bound_is_not_kept() {
        let mut bounded = trial(1000, 1000, 5);
        bounded.latency =
            [Some(LatencyFigure { value: Nanos(1), is_bound: true }); QUANTILES.len()];
        assert_eq!(told(&[bounded]), (None, Some((1000, Hold::Missed))));
    }
}
