//! What is compared: metrics, and their value in each trial.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::{Case, Flag, Outcome, Part, TrialRecord};

/// A figure of a trial that comparisons are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Metric {
    /// Completed requests per second.
    Rate,
    /// Median latency.
    P50,
    /// 95th percentile of latency.
    P95,
    /// 99th percentile of latency.
    P99,
    /// 99.9th percentile of latency.
    P99_9,
    /// Failed requests as a share of those that were planned.
    Errors,
    /// CPU time of the app for a thousand completed requests.
    AppCpu,
    /// CPU time of the store for a thousand completed requests.
    StoreCpu,
    /// The most memory of the app.
    AppMemory,
    /// The most memory of the store.
    StoreMemory,
}

impl Metric {
    /// Every metric; a [`Sample`]'s figures are in this order.
    pub const ALL: [Self; 10] = [
        Self::Rate,
        Self::P50,
        Self::P95,
        Self::P99,
        Self::P99_9,
        Self::Errors,
        Self::AppCpu,
        Self::StoreCpu,
        Self::AppMemory,
        Self::StoreMemory,
    ];

    /// Its name, as it is typed and as programs read it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::P50 => "p50",
            Self::P95 => "p95",
            Self::P99 => "p99",
            Self::P99_9 => "p99.9",
            Self::Errors => "errors",
            Self::AppCpu => "app_cpu",
            Self::StoreCpu => "store_cpu",
            Self::AppMemory => "app_memory",
            Self::StoreMemory => "store_memory",
        }
    }

    /// Its name for people.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Rate => "achieved rate",
            Self::P50 => "p50",
            Self::P95 => "p95",
            Self::P99 => "p99",
            Self::P99_9 => "p99.9",
            Self::Errors => "error rate",
            Self::AppCpu => "CPU time of the app",
            Self::StoreCpu => "CPU time of the store",
            Self::AppMemory => "memory of the app",
            Self::StoreMemory => "memory of the store",
        }
    }

    /// Whether more of it is worse.
    #[must_use]
    pub fn is_worse_higher(self) -> bool {
        self != Self::Rate
    }

    /// Whether it is a latency: what others on the host do is seen there first.
    #[must_use]
    pub fn is_latency(self) -> bool {
        matches!(self, Self::P50 | Self::P95 | Self::P99 | Self::P99_9)
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Metric {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|metric| metric.as_str() == text).ok_or_else(|| {
            let names = Self::ALL.map(Self::as_str).join(", ");
            format!("there is no metric `{}`, but {names}", text.escape_debug())
        })
    }
}

impl Serialize for Metric {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// The value of a metric in one trial.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    /// Requests per second, nanoseconds, a share, seconds, or bytes.
    pub value: f64,
    /// Whether it is a lower bound only.
    pub is_bound: bool,
}

/// What one trial tells a comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// What was executed.
    pub case: Case,
    /// Which repetition it belongs to.
    pub block: u32,
    /// Whether it was measured and nothing forbids to rank it.
    pub is_valid: bool,
    /// What to know before trusting it; empty for a trial that failed.
    pub flags: Vec<Flag>,
    /// Why it failed, if it did.
    pub failure: Option<String>,
    /// Requests that were planned.
    pub planned: u64,
    /// Its value of each metric, in the order of [`Metric::ALL`].
    pub figures: [Option<Figure>; Metric::ALL.len()],
}

impl Sample {
    /// What a trial that offered load for `duration` tells.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts, times and sizes stay below 2^53")]
    pub fn of(record: &TrialRecord, duration: Duration) -> Self {
        let mut figures = [None; Metric::ALL.len()];
        let failure = match &record.outcome {
            Outcome::Failed(failure) => Some(failure.reason.clone()),
            Outcome::Measured(measured) => {
                let counts = &measured.counts;
                let completed = counts.completed_in_window() as f64;
                let cpu = |part| {
                    let usage = measured.usage(part)?;
                    (completed > 0.0).then(|| usage.cpu.as_secs_f64() / completed * 1000.0)
                };
                let memory = |part| Some(measured.usage(part)?.peak_memory_bytes as f64);
                let failed = counts.failed_total() as f64 / counts.planned.max(1) as f64;
                let plain = [
                    (Metric::Rate, Some(completed / duration.as_secs_f64())),
                    (Metric::Errors, Some(failed)),
                    (Metric::AppCpu, cpu(Part::App)),
                    (Metric::StoreCpu, cpu(Part::Store)),
                    (Metric::AppMemory, memory(Part::App)),
                    (Metric::StoreMemory, memory(Part::Store)),
                ];
                for (metric, value) in plain {
                    figures[metric as usize] = value.map(|value| Figure { value, is_bound: false });
                }
                for (metric, name) in [
                    (Metric::P50, "p50"),
                    (Metric::P95, "p95"),
                    (Metric::P99, "p99"),
                    (Metric::P99_9, "p99_9"),
                ] {
                    figures[metric as usize] = record.figures.get(name).map(|figure| Figure {
                        value: figure.value.0 as f64,
                        is_bound: figure.is_bound,
                    });
                }
                None
            }
        };
        let planned = match &record.outcome {
            Outcome::Measured(measured) => measured.counts.planned,
            Outcome::Failed(_) => 0,
        };
        Self {
            case: record.trial.case.clone(),
            block: record.trial.block,
            is_valid: failure.is_none() && !record.flags.iter().any(|flag| flag.forbids_ranking()),
            flags: record.flags.clone(),
            failure,
            planned,
            figures,
        }
    }

    /// Its value of a metric where that may be compared: of a valid trial, and the share of failures
    /// also where it is what makes the trial invalid.
    #[must_use]
    pub fn comparable(&self, metric: Metric) -> Option<Figure> {
        let only_failures =
            self.flags.iter().all(|flag| *flag == Flag::RequestsFailed || !flag.forbids_ranking());
        let may_be = self.is_valid || metric == Metric::Errors && only_failures;
        self.figures[metric as usize].filter(|_| may_be)
    }
}
