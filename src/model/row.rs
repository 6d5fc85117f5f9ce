//! A trial as it is read from the tables of its dataset.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use super::{Case, Flag, LatencyFigure, QUANTILES, Stage};

/// One row of the table `trials`: what the report needs of it.
///
/// It has a field for each column that something is computed from. Columns that are only shown are in
/// `further`.
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
    /// What to know before trusting it.
    #[serde(serialize_with = "joined_flags")]
    pub flags: Vec<Flag>,
    /// Why it gave no measurement, if it did not.
    pub failure: Option<RowFailure>,
    /// Requests that the schedule offered.
    pub planned: Option<u64>,
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
    /// Columns that are shown and that nothing is computed from, by name.
    #[serde(flatten)]
    pub further: BTreeMap<Cow<'static, str>, Option<Value>>,
}

/// A value of a column.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// A whole number that is not negative.
    Count(u64),
    /// A number.
    Number(f64),
    /// Yes or no.
    Truth(bool),
    /// A text.
    Text(String),
}

impl Value {
    /// A number; `None` for a text.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "what is counted stays below 2^53")]
    pub fn as_f64(&self) -> Option<f64> {
        match *self {
            Self::Count(count) => Some(count as f64),
            Self::Number(number) => Some(number),
            Self::Truth(truth) => Some(f64::from(u8::from(truth))),
            Self::Text(_) => None,
        }
    }
}

fn joined_flags<S: Serializer>(flags: &[Flag], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&flag_names(flags))
}

/// The names of flags, separated by commas, as the tables have them.
#[must_use]
pub fn flag_names(flags: &[Flag]) -> String {
    flags.iter().map(|flag| flag.as_str()).collect::<Vec<_>>().join(",")
}

/// Figures in the order of [`QUANTILES`], under their names.
///
/// # Errors
/// When the serializer fails.
pub fn by_quantile<T: Serialize, S: Serializer>(
    figures: &[T; QUANTILES.len()],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(QUANTILES.iter().map(|one| one.name).zip(figures))
}

/// How a trial failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RowFailure {
    /// At which step.
    pub stage: Stage,
    /// Why.
    pub reason: String,
    /// The last lines that its parts wrote.
    pub log: String,
}

impl RowFailure {
    /// At a step, for a reason that is not known yet.
    #[must_use]
    pub fn at(stage: Stage) -> Self {
        Self { stage, reason: String::new(), log: String::new() }
    }
}

impl TrialRow {
    /// Whether its case's figures are made of it: it was measured, and is valid unless no trial of
    /// its case is.
    #[must_use]
    pub fn is_used(&self, is_ranked: bool) -> bool {
        self.failure.is_none() && (self.is_valid || !is_ranked)
    }

    /// A trial of a case, of which nothing else is known yet.
    #[must_use]
    pub fn new(case: Case) -> Self {
        Self {
            trial: 0,
            position: 0,
            block: 0,
            case,
            is_valid: false,
            flags: vec![],
            failure: None,
            planned: None,
            completed: None,
            drained: None,
            failed: None,
            censored: None,
            achieved_rps: None,
            latency: [None; QUANTILES.len()],
            app_cpu_s: None,
            store_cpu_s: None,
            further: BTreeMap::new(),
        }
    }

    /// A valid trial of a case, with a thousand requests and nothing measured, for tests.
    #[cfg(test)]
    pub(crate) fn of(trial: u64, case: Case) -> Self {
        Self {
            trial,
            position: trial,
            block: trial,
            is_valid: true,
            planned: Some(1000),
            completed: Some(1000),
            drained: Some(0),
            failed: Some(0),
            censored: Some(0),
            ..Self::new(case)
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
