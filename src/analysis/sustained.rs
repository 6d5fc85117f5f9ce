//! Which load each stack sustains.

use serde::Serialize;

use crate::model::{Flag, QUANTILES, Stack, Stage, TrialRow};
use crate::stats::{Sustained, Votes};
use crate::units::{Nanos, Rps};

/// A percentile and the latency that it has to stay below.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct LatencyLimit {
    /// Which percentile, by its place in [`QUANTILES`].
    pub percentile: usize,
    /// The latency.
    pub longest: Nanos,
}

/// The latencies between which each percentile of a trial lies, in the order of [`QUANTILES`]; the
/// second is missing where it may be any.
pub type PercentileEnds = [Option<(Nanos, Option<Nanos>)>; QUANTILES.len()];

/// What shows whether a trial sustained its load.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evidence {
    /// Whether answers kept pace with the schedule; `None` where nothing was measured.
    pub keeps_pace: Option<bool>,
    /// Where its percentiles lie.
    pub percentiles: PercentileEnds,
}

/// The load that one stack sustains.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SustainedLoad {
    /// The stack.
    pub stack: Stack,
    /// The highest target that it sustains, with all those below; `None` when not even the lowest.
    pub rps: Option<Rps>,
    /// What the repetitions of that target say.
    pub votes: Votes,
    /// The next higher target, and what is known of it; `None` when there is none.
    pub next: Option<(Rps, Sustained)>,
}

impl SustainedLoad {
    /// Whether it is known that the stack sustains no more.
    #[must_use]
    pub fn is_limit(&self) -> bool {
        matches!(self.next, Some((_, Sustained::No)))
    }
}

/// The load that each stack sustains at one number of connections, by the rule of [`Sustained`]: the
/// rule of a search. Trials are given in the order of their cases.
///
/// A trial that breaks under the load counts as not sustained; one that does not start says nothing.
#[must_use]
pub fn sustained_loads(
    trials: &[(&TrialRow, &Evidence)],
    concurrency: u32,
    limit: Option<LatencyLimit>,
) -> Vec<SustainedLoad> {
    let own: Vec<&(&TrialRow, &Evidence)> =
        trials.iter().filter(|(trial, _)| trial.case.concurrency == concurrency).collect();
    own.chunk_by(|a, b| a.0.case.stack == b.0.case.stack)
        .map(|trials| {
            let stack = trials[0].0.case.stack.clone();
            let mut load = SustainedLoad { stack, rps: None, votes: Votes::default(), next: None };
            for case in trials.chunk_by(|a, b| a.0.case == b.0.case) {
                let target = case[0].0.case.target_rps;
                let repetitions =
                    case.iter().filter_map(|(trial, of)| repetition(trial, of, limit));
                let votes: Votes = repetitions.collect();
                match votes.verdict() {
                    Sustained::Yes => (load.rps, load.votes) = (Some(target), votes),
                    other => {
                        load.next = Some((target, other));
                        break;
                    }
                }
            }
            load
        })
        .collect()
}

/// What one trial says; `None` when it does not count.
fn repetition(
    trial: &TrialRow,
    evidence: &Evidence,
    limit: Option<LatencyLimit>,
) -> Option<Sustained> {
    if let Some(failure) = &trial.failure {
        return (failure.stage == Stage::Load).then_some(Sustained::No);
    }
    let has_failed_requests = trial.flags.contains(&Flag::RequestsFailed);
    let Some(keeps_pace) = evidence.keeps_pace else { return Some(Sustained::Unknown) };
    let of_limit = |limit: LatencyLimit| {
        Sustained::of_latency(evidence.percentiles[limit.percentile], limit.longest)
    };
    let known = Sustained::of_limits(keeps_pace && !has_failed_requests, limit.map(of_limit));
    Some(known.despite(&trial.flags))
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

    /// A trial of a target whose percentiles are so many milliseconds, and whether answers kept pace.
    fn trial(target: u32, keeps_pace: bool, ms: u64) -> (TrialRow, bool) {
        let figure = LatencyFigure::exact(Nanos(ms * 1_000_000));
        let case = Case::at(target);
        let latency = [Some(figure); QUANTILES.len()];
        (TrialRow { latency, ..TrialRow::of(0, case) }, keeps_pace)
    }

    /// The sustained rate and what follows: each percentile lies where the trial's own figure says, or
    /// anywhere above.
    fn found(trials: &[(TrialRow, bool)]) -> (Option<u64>, Option<(u64, Sustained)>) {
        let end = |figure: LatencyFigure| (figure.value, figure.longest());
        let evidence: Vec<Evidence> = trials
            .iter()
            .map(|(trial, keeps_pace)| Evidence {
                keeps_pace: Some(*keeps_pace),
                percentiles: trial.latency.map(|figure| figure.map(end)),
            })
            .collect();
        let trials: Vec<_> = trials.iter().map(|(trial, _)| trial).zip(&evidence).collect();
        let limit = LatencyLimit { percentile: 2, longest: Nanos(20_000_000) };
        assert!(
            sustained_loads(&trials, 7, Some(limit)).is_empty(),
            "no trial has these connections"
        );
        let loads = sustained_loads(&trials, 100, Some(limit));
        let whole = |rate: Rps| rate.as_whole().unwrap();
        (loads[0].rps.map(whole), loads[0].next.map(|(rate, known)| (whole(rate), known)))
    }

    #[test]
    fn a_load_is_sustained_when_most_repetitions_keep_pace_and_the_limit() {
        let kept = [trial(1000, true, 5), trial(1000, true, 19), trial(2000, true, 6)];
        assert_eq!(found(&kept), (Some(2000), None));
        let once = [trial(1000, true, 5), trial(1000, true, 6), trial(1000, true, 20)];
        assert_eq!(found(&once), (Some(1000), None));
        let slow = [trial(1000, true, 5), trial(2000, true, 6), trial(2000, true, 20)];
        assert_eq!(found(&slow), (Some(1000), Some((2000, Sustained::No))));
        let behind = [trial(1000, false, 5), trial(2000, true, 6)];
        assert_eq!(found(&behind), (None, Some((1000, Sustained::No))));
    }

    #[test]
    fn what_a_disturbed_trial_did_not_sustain_is_unknown() {
        let mut unranked = trial(2000, true, 25);
        unranked.0.flags = vec![Flag::HostBusy];
        let trials = [trial(1000, true, 5), unranked.clone(), trial(5000, true, 5)];
        assert_eq!(found(&trials), (Some(1000), Some((2000, Sustained::Unknown))));
        // What it sustained even so counts.
        let mut kept = trial(2000, true, 15);
        kept.0.flags = vec![Flag::HostBusy];
        assert_eq!(found(&[trial(1000, true, 5), kept.clone()]), (Some(2000), None));
        kept.0.flags = vec![Flag::Inconsistent];
        assert_eq!(found(&[kept]), (None, Some((2000, Sustained::Unknown))));
        // Failed requests are the stack's own, unless something else disturbed the trial.
        unranked.0.flags = vec![Flag::CpusShared, Flag::RequestsFailed];
        assert_eq!(found(&[unranked.clone()]), (None, Some((2000, Sustained::No))));
        unranked.0.flags = vec![Flag::RequestsFailed, Flag::HostBusy];
        assert_eq!(found(&[unranked.clone()]), (None, Some((2000, Sustained::Unknown))));
        // One that breaks under the load does not sustain it; one that does not start says nothing.
        let failed =
            |stage: Stage| RowFailure { reason: "it died".to_owned(), ..RowFailure::at(stage) };
        unranked.0.failure = Some(failed(Stage::Load));
        let broken = [trial(2000, true, 5), unranked.clone()];
        assert_eq!(found(&broken), (None, Some((2000, Sustained::No))));
        unranked.0.failure = Some(failed(Stage::Launch));
        assert_eq!(found(&[trial(2000, true, 5), unranked.clone()]), (Some(2000), None));
        assert_eq!(found(&[unranked]), (None, Some((2000, Sustained::Unknown))));
    }

    #[test]
    fn a_lower_bound_is_not_sustained_above_the_limit_and_unknown_below() {
        let bounded = |ms: u64| {
            let value = Nanos(ms * 1_000_000);
            let figure = LatencyFigure { value, is_bound: true, high: None };
            let (row, keeps_pace) = trial(1000, true, 1);
            [(TrialRow { latency: [Some(figure); QUANTILES.len()], ..row }, keeps_pace)]
        };
        assert_eq!(found(&bounded(5)), (None, Some((1000, Sustained::Unknown))));
        assert_eq!(found(&bounded(20)), (None, Some((1000, Sustained::No))));
    }
}
