//! A host's calibrations: how much repetitions scatter, and how much two runs differ when nothing
//! changed.

use std::collections::{BTreeMap, BTreeSet};

use super::Side;
use super::effect::{mean, to_scale};
use crate::model::{Case, Metric, Sample};
use crate::stats::{Scatter, smallest_ratio};
use crate::units::Rps;

/// Fewer runs may agree by luck, and would underestimate the variance.
pub const MIN_SESSIONS: usize = 4;

/// Repeated measurements of one stack on a host.
#[derive(Clone, Debug)]
pub struct Calibration {
    /// The values of each run, by metric.
    sessions: Vec<BTreeMap<Metric, Values>>,
}

/// The values of each case on the scale of effects, in the order of blocks.
pub(super) type Values = BTreeMap<Case, Vec<f64>>;

impl Calibration {
    /// From the datasets of `perf-api calibrate`; `None` for none.
    #[must_use]
    pub fn of(sessions: &[Side]) -> Option<Self> {
        let relative = || Metric::ALL.into_iter().filter(|metric| *metric != Metric::Errors);
        let values = |side: &Side| {
            relative().map(|metric| (metric, exact_values(&side.samples, metric))).collect()
        };
        let sessions: Vec<_> = sessions.iter().map(values).collect();
        (!sessions.is_empty()).then_some(Self { sessions })
    }

    /// The number of runs.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// The variance of the difference between two runs of so many repetitions when nothing changed: twice
    /// that of the means over as many blocks of the calibrations. (It includes variance within runs, which
    /// is thus counted twice: a conservative choice.) `None` with fewer than [`MIN_SESSIONS`] runs.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "there are few sessions")]
    pub fn between_runs(&self, metric: Metric, repetitions: usize) -> Option<Scatter> {
        let sessions: Vec<&Values> =
            self.sessions.iter().filter_map(|session| session.get(&metric)).collect();
        let (first, others) = sessions.split_first()?;
        let is_shared = |case: &&Case| others.iter().all(|session| session.contains_key(*case));
        let shared: Vec<&Case> = first.keys().filter(is_shared).collect();
        if sessions.len() < MIN_SESSIONS || shared.is_empty() {
            return None;
        }
        let level = |session: &&Values| {
            let of_case = |case: &&Case| mean(session[*case].iter().take(repetitions).copied());
            mean(shared.iter().map(of_case))
        };
        let levels: Vec<f64> = sessions.iter().map(level).collect();
        let centre = mean(levels.iter().copied());
        let df = levels.len() as f64 - 1.0;
        let variance = levels.iter().map(|level| (level - centre).powi(2)).sum::<f64>() / df;
        Some(Scatter { variance: 2.0 * variance, df })
    }

    /// The smallest ratio that so many repetitions on each side detect on this host, at the calibrated rate
    /// that is nearest to `target_rps`: from the pooled scatter within sessions.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "there are few repetitions")]
    pub fn floor(&self, metric: Metric, target_rps: Rps, repetitions: usize) -> Option<f64> {
        let values = || {
            let own = self.sessions.iter().filter_map(|session| session.get(&metric)).flatten();
            own.filter(|(_, values)| values.len() > 1)
        };
        let distance = |rate: Rps| (rate.as_f64().ln() - target_rps.as_f64().ln()).abs();
        let rates = values().map(|(case, _)| case.target_rps);
        let nearest = rates.min_by(|a, b| distance(*a).total_cmp(&distance(*b)))?;
        let (mut squares, mut df) = (0.0, 0.0);
        for (_, values) in values().filter(|(case, _)| case.target_rps == nearest) {
            let centre = mean(values.iter().copied());
            squares += values.iter().map(|value| (value - centre).powi(2)).sum::<f64>();
            df += values.len() as f64 - 1.0;
        }
        smallest_ratio((squares / df).sqrt(), u32::try_from(repetitions).ok()?)
    }
}

/// The values of the cases whose metric is known exactly. A case with a bound in any repetition is left
/// out, since its other repetitions are the faster ones.
pub(super) fn exact_values(samples: &[Sample], metric: Metric) -> Values {
    let (mut values, mut bounded) = (Values::new(), BTreeSet::new());
    for sample in samples {
        let Some(figure) = sample.comparable(metric) else { continue };
        if figure.is_bound {
            bounded.insert(&sample.case);
        }
        if let Some(value) = to_scale(metric, figure.value) {
            values.entry(sample.case.clone()).or_default().push(value);
        }
    }
    values.retain(|case, _| !bounded.contains(case));
    values
}
