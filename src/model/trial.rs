//! What a trial gives: counts, distribution, timeline, resources, or the reason why it failed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::rules::{Flag, MAX_FAILED_SHARE};
use super::{Histogram, Part, Placement, Trial};
use crate::clock::UnixMillis;
use crate::process::Usage;
use crate::units::Nanos;

/// What became of the requests of a trial: `planned = completed + failed + censored`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Offered by the schedule: target rate × duration.
    pub planned: u64,
    /// Taken up by a connection.
    pub sent: u64,
    /// Answered as expected.
    pub completed: u64,
    /// Of those, answered after the end of the window, in the drain.
    #[serde(default)]
    pub drained: u64,
    /// Answered wrongly, or lost, by kind.
    pub failed: BTreeMap<String, u64>,
    /// Unfinished: without an answer at the end of the drain, or never sent.
    pub censored: u64,
}

impl Counts {
    /// Whether so many requests failed that rate and latency mean nothing.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts of requests stay below 2^53")]
    pub fn too_many_failed(&self) -> bool {
        self.failed_total() as f64 > self.planned as f64 * MAX_FAILED_SHARE
    }

    /// Requests that were answered as expected within the window: what rates and costs are made of.
    #[must_use]
    pub fn completed_in_window(&self) -> u64 {
        self.completed.saturating_sub(self.drained)
    }

    /// Failed requests of every kind.
    #[must_use]
    pub fn failed_total(&self) -> u64 {
        self.failed.values().sum()
    }
}

/// A latency over every request that was planned and did not fail: a quantile, or the mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LatencyFigure {
    /// The latency, or its lower end.
    pub value: Nanos,
    /// Whether the true value may be longer, since unfinished requests can move it.
    pub is_bound: bool,
    /// The upper end of a value that may be longer; `None` where there is none, and for a value that
    /// is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high: Option<Nanos>,
}

impl LatencyFigure {
    /// A value that is known.
    #[must_use]
    pub fn exact(value: Nanos) -> Self {
        Self { value, is_bound: false, high: None }
    }

    /// The longest that it may be: the value where that is known, and `None` without an upper end.
    #[must_use]
    pub fn longest(self) -> Option<Nanos> {
        if self.is_bound { self.high } else { Some(self.value) }
    }
}

/// `1.20 ms`, `8.20–9.60 ms` for an interval, or `> 3.39 s` for a lower bound.
impl std::fmt::Display for LatencyFigure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.is_bound, self.high) {
            (false, _) => self.value.fmt(f),
            (true, Some(high)) => f.pad(&self.value.up_to(high)),
            (true, None) => f.pad(&format!("> {}", self.value)),
        }
    }
}

/// One second of a trial, or of the drain after it. Requests count in the second in which they were
/// answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimelineSecond {
    /// Which second, counted from 0.
    pub second: u32,
    /// Requests that the schedule offered in it.
    pub planned: u64,
    /// Expected answers that arrived in it.
    pub completed: u64,
    /// Wrong answers that arrived in it.
    pub failed: u64,
    /// Latency quantiles and maximum of the expected answers; `None` when there were none.
    pub latency: Option<TimelineLatency>,
}

impl TimelineSecond {
    /// The seconds of the window, without those of the drain, in which the schedule offers nothing.
    #[must_use]
    pub fn window(timeline: &[Self]) -> &[Self] {
        let last = timeline.iter().rposition(|second| second.planned > 0);
        &timeline[..last.map_or(0, |last| last + 1)]
    }
}

/// Latencies of the answers of one second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimelineLatency {
    /// Median.
    pub p50: Nanos,
    /// 95th percentile.
    pub p95: Nanos,
    /// 99th percentile.
    pub p99: Nanos,
    /// Longest.
    pub max: Nanos,
}

/// What one part used up to a moment of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceSample {
    /// Which part.
    pub part: Part,
    /// Time since the trial began.
    pub offset: Nanos,
    /// CPU time since the trial began.
    pub cpu: Nanos,
    /// Memory at that moment, in bytes.
    pub memory_bytes: u64,
    /// How long it was kept from a CPU by its quota since the trial began; `None` without one.
    #[serde(default)]
    pub throttled: Option<Nanos>,
}

impl ResourceSample {
    /// The readings of one part, with CPU time counted from the first of them.
    #[must_use]
    pub fn series(part: Part, readings: &[(Nanos, Usage)]) -> Vec<Self> {
        let start = readings.first().map_or_else(Usage::default, |(_, usage)| *usage);
        let from_start = |now: Nanos, start: Nanos| Nanos(now.0.saturating_sub(start.0));
        let sample = |&(offset, usage): &(Nanos, Usage)| Self {
            part,
            offset,
            // A process that ended unreaped takes its time along: never count backwards.
            cpu: from_start(usage.cpu, start.cpu),
            memory_bytes: usage.memory_bytes,
            throttled: usage.throttled.map(|now| from_start(now, start.throttled.unwrap_or(now))),
        };
        readings.iter().map(sample).collect()
    }
}

/// What one part used over a whole trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartUsage {
    /// CPU time.
    pub cpu: Nanos,
    /// The most memory that was seen, in bytes.
    pub peak_memory_bytes: u64,
    /// How long its quota kept it from a CPU; `None` without one.
    pub throttled: Option<Nanos>,
}

/// What a load driver measured in one trial.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measurement {
    /// What became of the requests.
    pub counts: Counts,
    /// Latencies from the planned moment of each request, and times from sending to answer.
    pub latency: Histogram,
    /// Seconds in order.
    pub timeline: Vec<TimelineSecond>,
    /// What each part used, by time.
    pub resources: Vec<ResourceSample>,
    /// How long it took from the end of the drain until the loader's record was read; `None` for a
    /// load that is computed.
    #[serde(default)]
    pub ingest: Option<Nanos>,
    /// From the end of the window to the last answer, or to the limit of the drain.
    #[serde(default)]
    pub drain: Nanos,
    /// Answers whose body was compared with the expected one: a sample, where the loader checks status
    /// and length alone.
    #[serde(default)]
    pub compared: u64,
    /// How the loader itself fared; `None` for a load that is computed.
    #[serde(default)]
    pub loader: Option<LoaderHealth>,
    /// What else used the trial's CPUs; `None` when it was not looked at.
    #[serde(default)]
    pub disturbance: Option<Disturbance>,
    /// The first wrong answers, in the order in which they arrived.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wrong_answers: Vec<WrongAnswer>,
    /// From sending a request to the head of its answer, over expected answers; `None` where the loader
    /// does not measure it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_byte: Option<TimeSummary>,
    /// The connections that were opened; `None` where the loader does not count them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened: Option<OpenedConnections>,
}

/// An answer that was not as expected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrongAnswer {
    /// The kind of failure, as in [`Counts::failed`].
    pub failure: String,
    /// The status of the answer.
    pub status: u16,
    /// The start of the body, at most 200 bytes of it. Bytes that are not printable ASCII are escaped.
    pub body: String,
}

/// A distribution of times in three figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeSummary {
    /// Median.
    pub p50: Nanos,
    /// 99th percentile.
    pub p99: Nanos,
    /// Longest.
    pub max: Nanos,
}

/// The connections that a load opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenedConnections {
    /// All of them.
    pub count: u64,
    /// Those beyond the first of each place in the pool.
    pub reconnects: u64,
    /// Times to connect; `None` when no connection was opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect: Option<TimeSummary>,
    /// Times of the TLS handshake; `None` without TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_handshake: Option<TimeSummary>,
}

/// How well a loader kept to its schedule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoaderHealth {
    /// How long after their planned moment requests were released: median, 99th percentile, most.
    pub lag_p50: Nanos,
    /// 99th percentile.
    pub lag_p99: Nanos,
    /// The longest.
    pub lag_max: Nanos,
    /// Requests in flight, in thousandths: the mean over time, or of counts a hundredth of a second apart.
    pub in_flight_milli: u64,
    /// CPU time in which its threads only waited for the next planned moment, by polling the clock.
    #[serde(default, skip_serializing_if = "Nanos::is_zero")]
    pub polled: Nanos,
}

impl LoaderHealth {
    /// Requests in flight, on average.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts of connections stay below 2^53")]
    pub fn in_flight(self) -> f64 {
        self.in_flight_milli as f64 / 1000.0
    }
}

impl Measurement {
    /// The seconds of the window, without those of the drain, in which the schedule offers nothing.
    #[must_use]
    pub fn window(&self) -> &[TimelineSecond] {
        TimelineSecond::window(&self.timeline)
    }

    /// What `part` used over the trial; `None` when it was not sampled.
    #[must_use]
    pub fn usage(&self, part: Part) -> Option<PartUsage> {
        let samples = || self.resources.iter().filter(|sample| sample.part == part);
        Some(PartUsage {
            cpu: samples().map(|sample| sample.cpu).max()?,
            peak_memory_bytes: samples().map(|sample| sample.memory_bytes).max()?,
            throttled: samples().filter_map(|sample| sample.throttled).max(),
        })
    }
}

/// A step of a trial at which it can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Starting store and app.
    Launch,
    /// Seeding the key and checking the answer.
    Seed,
    /// The first load, which is not measured.
    WarmUp,
    /// The measured load.
    Load,
    /// None: its stack was given up before.
    GivenUp,
}

impl Stage {
    /// The stage's name in columns and text.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Launch => "launch",
            Self::Seed => "seed",
            Self::WarmUp => "warm-up",
            Self::Load => "load",
            Self::GivenUp => "given-up",
        }
    }
}

/// Why a trial gave no measurement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// At which step.
    pub stage: Stage,
    /// Why, in words.
    pub reason: String,
    /// The last lines that the parts wrote.
    pub log_tail: Vec<String>,
}

/// How a trial ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::large_enum_variant, reason = "nearly every trial is of the large one")]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// With numbers.
    Measured(Measurement),
    /// Without.
    Failed(Failure),
}

/// What a component says of itself at run time, by name.
pub type SelfReport = BTreeMap<String, String>;

/// The highest rate that the loader was seen to drive against a server that is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ceiling {
    /// Requests per second.
    pub rps: u32,
    /// Whether it is a lower bound: the loader drove this rate on time, and may drive more. A lower
    /// bound limits no trial.
    pub is_bound: bool,
}

/// What happened on the host during a trial that is not the trial's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disturbance {
    /// CPU time of other processes than loader, app and store, on the trial's CPUs.
    pub foreign: Nanos,
    /// Time that the hypervisor took from them.
    pub steal: Nanos,
    /// CPU time of processes on the busiest of the loader's CPUs; `None` in older journals.
    #[serde(default)]
    pub busiest_loader_cpu: Option<Nanos>,
    /// Memory that went to swap or came from it, in bytes; `None` where the kernel does not tell.
    #[serde(default)]
    pub swapped_bytes: Option<u64>,
    /// The frequency of the trial's CPUs in its second half, in thousandths of that in its first;
    /// `None` where it cannot be read.
    #[serde(default)]
    pub frequency_kept_permille: Option<u32>,
    /// How often the trial's CPUs were slowed down by heat; `None` where they do not count it.
    #[serde(default)]
    pub thermal_throttles: Option<u64>,
    /// The highest temperature of a CPU, in °C; `None` where it cannot be read.
    #[serde(default)]
    pub max_temperature_c: Option<u32>,
    /// Whether another run of this program measured on the trial's CPUs.
    #[serde(default)]
    pub is_beside_another_run: bool,
}

/// How long it took to bring the stack of a trial to where it could be measured, and to end it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StackTimes {
    /// From starting the store to its first answer.
    pub store_ready: Nanos,
    /// From starting the app to its first answer.
    pub app_ready: Nanos,
    /// Seeding the store, and checking what store and app answer.
    pub seed: Nanos,
    /// The first load, which is not measured.
    pub warm_up: Nanos,
    /// Whether rate and latency had come to rest by its end.
    #[serde(default)]
    pub is_warm: bool,
    /// Stopping both; `None` when the runner ended before that.
    #[serde(default)]
    pub stop: Option<Nanos>,
}

/// Everything that is kept of one trial: one line of the journal for each time it was executed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrialRecord {
    /// What was executed.
    pub trial: Trial,
    /// When it began.
    pub started: UnixMillis,
    /// On which CPUs.
    pub placement: Placement,
    /// What to know before trusting it.
    pub flags: Vec<Flag>,
    /// Latency figures by name: `mean`, and those of [`super::QUANTILES`].
    pub figures: BTreeMap<String, LatencyFigure>,
    /// How it ended.
    pub outcome: Outcome,
    /// What its stack took; `None` when it did not come up, or is computed.
    #[serde(default)]
    pub stack_times: Option<StackTimes>,
    /// What the loader can drive on its CPUs; `None` when that is unknown.
    #[serde(default)]
    pub ceiling: Option<Ceiling>,
    /// How it ended before, when it failed and was repeated; the first time first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier_failures: Vec<Failure>,
}

impl TrialRecord {
    /// Whether it gave no measurement.
    #[must_use]
    pub fn is_failed(&self) -> bool {
        matches!(self.outcome, Outcome::Failed(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measurement_of_an_older_journal_is_read_and_one_without_details_looks_like_it() {
        let old = r#"{"counts":{"planned":0,"sent":0,"completed":0,"drained":0,"failed":{},"censored":0},
            "latency":[],"timeline":[],"resources":[],"ingest":null,"drain":0,"compared":0,
            "loader":null,"disturbance":null}"#;
        let read: Measurement = serde_json::from_str(old).unwrap();
        assert_eq!(read, Measurement::default());
        let old: serde_json::Value = serde_json::from_str(old).unwrap();
        assert_eq!(serde_json::to_value(read).unwrap(), old);
    }
}
