//! One case over its repetitions.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::model::rules::CONFIDENCE_LEVEL;
use crate::model::{
    Case, Flag, Histogram, LatencyFigure, QUANTILES, TrialRow, by_quantile, is_supported,
};
use crate::stats::{Pool, bootstrap_mean};
use crate::units::Nanos;

/// Points of a distribution for each factor of ten of the requests beyond it.
pub const POINTS_PER_DECADE: i32 = 16;

/// A mean over repetitions.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// The mean.
    pub value: f64,
    /// Where its bootstrap interval begins; `None` for one repetition.
    pub low: Option<f64>,
    /// Where it ends.
    pub high: Option<f64>,
    /// The standard deviation of the repetitions.
    pub stddev: Option<f64>,
}

/// A percentile of the merged distribution of all repetitions.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LatencyEstimate {
    /// The percentile, in nanoseconds, or its lower end.
    pub value_ns: Nanos,
    /// Whether it may be longer, since unfinished requests can move it.
    pub is_bound: bool,
    /// The upper end of one that may be longer, where there is one.
    pub upper_ns: Option<Nanos>,
    /// Whether there are enough requests for it: see [`is_supported`].
    pub is_supported: bool,
    /// Where its bootstrap interval begins; `None` for one repetition.
    pub low_ns: Option<Nanos>,
    /// Where it ends; `None` also where it is open.
    pub high_ns: Option<Nanos>,
    /// The standard deviation of the repetitions' own percentiles, where all are known.
    pub stddev_ns: Option<f64>,
}

/// One case over its repetitions.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CaseAnalysis {
    /// The case.
    #[serde(flatten)]
    pub case: Case,
    /// How many trials it has.
    pub trials: usize,
    /// How many of them are valid. The figures are theirs; where there are none, those of the trials
    /// that were measured.
    pub valid: usize,
    /// How many failed.
    pub failures: usize,
    /// Every flag that one of them has, in the order of their names.
    pub flags: Vec<Flag>,
    /// Completed requests per second.
    pub rate: Option<Estimate>,
    /// Latency percentiles, in the order of [`QUANTILES`].
    #[serde(serialize_with = "by_quantile")]
    pub latency: [Option<LatencyEstimate>; QUANTILES.len()],
    /// CPU seconds of the app for each thousand completed requests.
    pub app_cpu: Option<Estimate>,
    /// CPU seconds of the store for each thousand completed requests.
    pub store_cpu: Option<Estimate>,
    /// Requests that were planned, over the trials that are used.
    pub planned: u64,
    /// Requests that were completed.
    pub completed: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Requests that were unfinished.
    pub censored: u64,
    /// Whether answers did not keep pace with the schedule in most trials that are used.
    #[serde(skip)]
    pub is_missed: bool,
    /// The merged distribution: latencies at [`share_at`] 0, 1, …, up to where it is known.
    #[serde(skip)]
    pub distribution: Vec<Nanos>,
}

/// The share of requests at the `place`th point of a distribution.
#[must_use]
pub fn share_at(place: i32) -> f64 {
    1.0 - 10_f64.powf(-f64::from(place) / f64::from(POINTS_PER_DECADE))
}

impl LatencyEstimate {
    /// The percentile without its bootstrap interval.
    #[must_use]
    pub fn figure(&self) -> LatencyFigure {
        LatencyFigure { value: self.value_ns, is_bound: self.is_bound, high: self.upper_ns }
    }
}

impl CaseAnalysis {
    /// Of the trials of one case.
    pub(super) fn of(trials: &[TrialRow], histograms: &BTreeMap<u64, Histogram>) -> Self {
        let valid = trials.iter().filter(|trial| trial.is_valid).count();
        let used: Vec<&TrialRow> = trials.iter().filter(|trial| trial.is_used(valid > 0)).collect();
        let own: Vec<&Histogram> =
            used.iter().filter_map(|trial| histograms.get(&trial.trial)).collect();
        let pool = Pool::new(&own);
        let mut latency = [None; QUANTILES.len()];
        for (index, (estimate, quantile)) in latency.iter_mut().zip(QUANTILES).enumerate() {
            let repetitions: Vec<LatencyFigure> =
                used.iter().filter_map(|trial| trial.latency[index]).collect();
            *estimate = percentile(&pool, quantile.share, &repetitions);
        }
        let sum =
            |of: fn(&TrialRow) -> Option<u64>| used.iter().filter_map(|trial| of(trial)).sum();
        let mean = |of: &dyn Fn(&TrialRow) -> Option<f64>| {
            estimate(&used.iter().filter_map(|trial| of(trial)).collect::<Vec<f64>>())
        };
        let mut flags: Vec<Flag> = trials.iter().flat_map(|trial| trial.flags.clone()).collect();
        flags.sort_unstable_by_key(|flag| flag.as_str());
        flags.dedup();
        Self {
            case: trials[0].case.clone(),
            trials: trials.len(),
            valid,
            failures: trials.iter().filter(|trial| trial.failure.is_some()).count(),
            flags,
            rate: mean(&|trial| trial.achieved_rps),
            latency,
            app_cpu: mean(&|trial| trial.per_thousand(trial.app_cpu_s)),
            store_cpu: mean(&|trial| trial.per_thousand(trial.store_cpu_s)),
            planned: sum(|trial| trial.planned),
            completed: sum(|trial| trial.completed),
            failed: sum(|trial| trial.failed),
            censored: sum(|trial| trial.censored),
            // Seconds are not looked at here.
            is_missed: false,
            distribution: distribution(&pool),
        }
    }

    /// Whether it may be ranked: at least one of its trials is valid.
    #[must_use]
    pub fn is_ranked(&self) -> bool {
        self.valid > 0
    }
}

#[expect(clippy::cast_precision_loss, reason = "there are few repetitions")]
fn estimate(repetitions: &[f64]) -> Option<Estimate> {
    let n = repetitions.len() as f64;
    let value = repetitions.iter().sum::<f64>() / n;
    let squares: f64 = repetitions.iter().map(|one| (one - value).powi(2)).sum();
    let interval = bootstrap_mean(repetitions, CONFIDENCE_LEVEL);
    (!repetitions.is_empty()).then(|| Estimate {
        value,
        low: interval.map(|(low, _)| low),
        high: interval.map(|(_, high)| high),
        stddev: (repetitions.len() > 1).then(|| (squares / (n - 1.0)).sqrt()),
    })
}

#[expect(clippy::cast_precision_loss, reason = "latencies stay below 2^53")]
fn percentile(pool: &Pool, q: f64, repetitions: &[LatencyFigure]) -> Option<LatencyEstimate> {
    let figure = pool.quantile(q)?;
    let interval = pool.interval(q, CONFIDENCE_LEVEL);
    let is_known = repetitions.iter().all(|one| !one.is_bound);
    let values: Vec<f64> = repetitions.iter().map(|one| one.value.0 as f64).collect();
    Some(LatencyEstimate {
        value_ns: figure.value,
        is_bound: figure.is_bound,
        upper_ns: figure.high,
        is_supported: is_supported(q, pool.requests()),
        low_ns: interval.filter(|_| !figure.is_bound).map(|(low, _)| low.value),
        high_ns: interval.filter(|_| !figure.is_bound).and_then(|(_, high)| high.longest()),
        stddev_ns: estimate(&values).and_then(|one| one.stddev).filter(|_| is_known),
    })
}

/// The latencies at ever rarer percentiles, up to the last that a request stands for and that is known.
fn distribution(pool: &Pool) -> Vec<Nanos> {
    let mut points = Vec::new();
    if pool.is_empty() {
        return points;
    }
    #[expect(clippy::cast_precision_loss, reason = "counts of requests stay below 2^53")]
    let requests = pool.requests() as f64;
    for place in 0.. {
        let share = share_at(place);
        let figure = pool.quantile(share);
        match figure.filter(|one| !one.is_bound && (1.0 - share) * requests >= 1.0) {
            Some(figure) => points.push(figure.value),
            None => break,
        }
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Bucket, RowFailure, Stage};

    /// A trial that achieved so much, with all its latencies in one bucket.
    fn trial(id: u64, rate: f64, ms: u64, is_valid: bool) -> (TrialRow, Histogram) {
        let value = Nanos(ms * 1_000_000);
        let case = Case::at(1000);
        let row = TrialRow {
            is_valid,
            flags: if is_valid { vec![] } else { vec![Flag::PacerLate, Flag::HostBusy] },
            achieved_rps: Some(rate),
            latency: [Some(LatencyFigure::exact(value)); QUANTILES.len()],
            app_cpu_s: Some(0.5),
            ..TrialRow::of(id, case)
        };
        let bucket = Bucket { low: value, high: value, count: 1000, censored: 0, served: 0 };
        (row, Histogram { buckets: vec![bucket] })
    }

    fn studied(trials: Vec<(TrialRow, Histogram)>) -> CaseAnalysis {
        let histograms = trials.iter().map(|(row, own)| (row.trial, own.clone())).collect();
        let rows: Vec<TrialRow> = trials.into_iter().map(|(row, _)| row).collect();
        CaseAnalysis::of(&rows, &histograms)
    }

    #[test]
    fn figures_are_those_of_the_valid_trials() {
        let case = studied(vec![
            trial(0, 990.0, 2, true),
            trial(1, 1000.0, 3, true),
            trial(2, 100.0, 900, false),
        ]);
        let rate = case.rate.unwrap();
        assert_eq!((rate.value, rate.low, rate.high), (995.0, Some(990.0), Some(1000.0)));
        assert_eq!((case.trials, case.valid, case.planned), (3, 2, 2000));
        assert_eq!(case.flags, [Flag::HostBusy, Flag::PacerLate]);
        let p50 = case.latency[0].unwrap();
        assert_eq!((p50.value_ns, p50.low_ns), (Nanos(2_000_000), Some(Nanos(2_000_000))));
        assert_eq!(p50.high_ns, Some(Nanos(3_000_000)));
        assert_eq!(case.app_cpu.unwrap().value, 0.5);
        assert_eq!(case.store_cpu, None);
        // Two thousand requests: points up to a share of 1 − 1/2000.
        assert_eq!(case.distribution.len(), 53);
        assert!((share_at(16) - 0.9).abs() < 1e-12 && share_at(0) == 0.0);
    }

    #[test]
    fn where_no_trial_is_valid_those_that_were_measured_are_shown() {
        let (mut failed, _) = trial(1, 0.0, 1, false);
        failed.failure =
            Some(RowFailure { reason: "it died".to_owned(), ..RowFailure::at(Stage::Load) });
        failed.achieved_rps = None;
        let case = studied(vec![trial(0, 500.0, 2, false), (failed, Histogram::default())]);
        assert!(!case.is_ranked());
        assert_eq!(case.rate, Some(Estimate { value: 500.0, low: None, high: None, stddev: None }));
        assert_eq!(case.failures, 1);
    }
}
