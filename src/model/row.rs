//! A trial as the tables of its dataset tell it.

use serde::{Serialize, Serializer};

use super::{Case, LatencyFigure, QUANTILES};

/// One row of the table `trials`: what a report draws of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrialRow {
    /// Its number.
    pub trial: u64,
    /// Its place in the order of execution.
    pub position: u64,
    /// Its repetition.
    pub block: u64,
    /// What was executed.
    #[serde(flatten)]
    pub case: Case,
    /// Whether it was measured and nothing forbids to rank it.
    pub is_valid: bool,
    /// What to know before trusting it, separated by commas.
    pub flags: String,
    /// Why it gave no measurement, if it did not.
    pub failure: Option<RowFailure>,
    /// Requests that the schedule offered.
    pub planned: Option<u64>,
    /// Requests that a connection took up.
    pub sent: Option<u64>,
    /// Requests that were answered as expected.
    pub completed: Option<u64>,
    /// Of those, requests that were answered after the end of the window.
    pub drained: Option<u64>,
    /// Requests that were answered wrongly or not at all.
    pub failed: Option<u64>,
    /// Requests that were unfinished.
    pub censored: Option<u64>,
    /// Requests completed within the window, per second of it.
    pub achieved_rps: Option<f64>,
    /// Its own latency percentiles, in the order of [`QUANTILES`].
    #[serde(serialize_with = "by_quantile")]
    pub latency: [Option<LatencyFigure>; QUANTILES.len()],
    /// CPU time of the app, in seconds.
    pub app_cpu_s: Option<f64>,
    /// CPU time of the store.
    pub store_cpu_s: Option<f64>,
    /// CPU time of the loader.
    pub loader_cpu_s: Option<f64>,
    /// How long a quota kept the app from a CPU, in seconds.
    pub app_throttled_s: Option<f64>,
    /// The most memory of the app that was seen.
    pub app_peak_memory_bytes: Option<u64>,
    /// The most memory of the store that was seen.
    pub store_peak_memory_bytes: Option<u64>,
}

/// Figures in the order of [`QUANTILES`], under their names.
///
/// # Errors
/// When the serializer fails.
pub fn by_quantile<T: Serialize, S: Serializer>(
    figures: &[T; QUANTILES.len()],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(QUANTILES.iter().map(|(_, name)| name).zip(figures))
}

/// How a trial failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RowFailure {
    /// At which step.
    pub stage: String,
    /// Why.
    pub reason: String,
    /// The last lines that its parts wrote.
    pub log: String,
}

impl TrialRow {
    /// Whether its case's figures are made of it: it was measured, and is valid unless no trial of
    /// its case is.
    #[must_use]
    pub fn is_used(&self, is_ranked: bool) -> bool {
        self.failure.is_none() && (self.is_valid || !is_ranked)
    }

    /// A valid trial of a case, with a thousand requests and nothing measured, for tests.
    #[cfg(test)]
    pub(crate) fn of(trial: u64, case: Case) -> Self {
        Self {
            trial,
            position: trial,
            block: trial,
            case,
            is_valid: true,
            flags: String::new(),
            failure: None,
            planned: Some(1000),
            sent: Some(1000),
            completed: Some(1000),
            drained: Some(0),
            failed: Some(0),
            censored: Some(0),
            achieved_rps: None,
            latency: [None; QUANTILES.len()],
            app_cpu_s: None,
            store_cpu_s: None,
            loader_cpu_s: None,
            app_throttled_s: None,
            app_peak_memory_bytes: None,
            store_peak_memory_bytes: None,
        }
    }

    /// Requests that were completed within the window.
    #[must_use]
    pub fn completed_in_window(&self) -> Option<u64> {
        Some(self.completed?.saturating_sub(self.drained.unwrap_or(0)))
    }

    /// CPU seconds for each thousand requests that were completed within the window.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts of requests stay below 2^53")]
    pub fn per_thousand(&self, cpu_s: Option<f64>) -> Option<f64> {
        let completed = self.completed_in_window().filter(|&completed| completed > 0)?;
        Some(cpu_s? / completed as f64 * 1000.0)
    }
}
