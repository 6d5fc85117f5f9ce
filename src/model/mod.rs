//! The vocabulary as plain data: one word per thing, everywhere.
//!
//! | word | meaning |
//! | --- | --- |
//! | Component | an app or a store, one folder under `apps/` |
//! | Bundle | the pinned set of components that a run uses |
//! | Stack | one app and one store, started with a worker count |
//! | Experiment | what a spec file says |
//! | Factor | one thing that an experiment varies |
//! | Case | one combination of factors |
//! | Trial | one execution of a case |
//! | Block | one repetition of every case |
//! | Placement | which CPUs each part gets |
//! | Part | the loader, the app or the store of a trial |
//! | Fingerprint | what the host is |
//! | Dataset | the sealed, hashed result of one experiment |
//! | Metric | a figure of a trial that comparisons are made of |
//! | Sample | what one trial tells a comparison |
//!
//! Requests are *planned* (the schedule offers them), *sent* (a connection took them up),
//! *completed* (answered as expected), *failed* (answered wrongly, or lost), or *unfinished* (without
//! an answer when the drain after the window ended: their latency is *censored*, known only to be
//! longer than what they had waited). Columns call unfinished requests `censored`.
//!
//! Model layer: no behaviour beyond parsing and display.

mod bundle;
mod experiment;
mod histogram;
mod host;
mod metric;
mod row;
mod slo;
mod text;
mod trial;

pub use bundle::{
    Bundle, Component, ComponentKind, ContainerTemplate, HttpPaths, INSTALLED_FACT, Image, Limits,
    ProcessTemplate, StoreIdentity, Unavailable, differing_facts,
};
pub use experiment::{
    Case, ComponentName, Experiment, Interleaved, MAX_TRIALS, Order, Plan, Stack, Trial, stack_runs,
};
pub use histogram::{Bucket, Histogram};
pub use host::{Check, Fingerprint, Part, Placement, State};
pub use metric::{Figure, Metric, Sample};
pub use row::{RowFailure, TrialRow, Value, by_quantile, flag_names};
pub use slo::{Capacity, Limit, Slo};
pub use text::{MAX_LINE_CHARS, PLACEHOLDERS, fill, joined, line_at, one_line, with_causes};
pub use trial::{
    Ceiling, Counts, Disturbance, Failure, Flag, LatencyFigure, LoaderHealth, Measurement, Outcome,
    PartUsage, ResourceSample, SelfReport, StackTimes, Stage, TimelineLatency, TimelineSecond,
    TrialRecord,
};

/// The key that is seeded, and the value's size: the reference's 1 KiB.
pub const KEY: &str = "cached-value";
/// The status of an answer that holds it.
pub const ANSWER_STATUS: u16 = 200;
/// Bytes of the seeded value.
pub const VALUE_BYTES: usize = 1024;

/// The value that is stored: 1 KiB that no text codec leaves as it is.
#[must_use]
pub fn stored_value() -> Vec<u8> {
    (0..VALUE_BYTES).map(|index| u8::try_from((index * 31 + 7) % 256).unwrap_or(0)).collect()
}

/// A quantile that is kept of each trial.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantile {
    /// The share of requests that it covers.
    pub share: f64,
    /// Its name in columns, such as `p99_9`.
    pub name: &'static str,
    /// The first version of the tables that has it.
    pub since: u32,
}

impl Quantile {
    /// The `share` quantile, called `name`, in the tables from version `since` on.
    #[must_use]
    pub const fn new(share: f64, name: &'static str, since: u32) -> Self {
        Self { share, name, since }
    }

    /// Its name in text, such as `p99.9`.
    #[must_use]
    pub fn label(&self) -> String {
        self.name.replace('_', ".")
    }
}

/// The quantiles of latency that are kept of each trial. To keep another, add it here, with the next
/// version of the tables.
pub const QUANTILES: [Quantile; 6] = [
    Quantile::new(0.5, "p50", 1),
    Quantile::new(0.9, "p90", 1),
    Quantile::new(0.95, "p95", 1),
    Quantile::new(0.99, "p99", 1),
    Quantile::new(0.999, "p99_9", 1),
    Quantile::new(0.9999, "p99_99", 1),
];

/// Requests beyond a quantile that make it a measurement: with fewer, a few requests decide it.
pub const MIN_TAIL_REQUESTS: u32 = 10;

/// The fewest requests that support a quantile: 1,000 for 0.99, and 10,000 for 0.999.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a positive count; `as` saturates for a quantile of 1"
)]
pub fn min_requests(q: f64) -> u64 {
    // Rounded, since 1 − 0.99 is not exact.
    (f64::from(MIN_TAIL_REQUESTS) / (1.0 - q)).round() as u64
}

/// Whether so many requests support a quantile.
#[must_use]
pub fn is_supported(q: f64, requests: u64) -> bool {
    requests >= min_requests(q)
}

/// The quantiles of service times, from sending to answer.
pub const SERVICE_QUANTILES: [Quantile; 3] = [
    Quantile::new(0.5, "service_p50", 3),
    Quantile::new(0.95, "service_p95", 3),
    Quantile::new(0.99, "service_p99", 3),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_needs_ten_requests_beyond_it() {
        let needed = QUANTILES.map(|one| min_requests(one.share));
        assert_eq!(needed, [20, 100, 200, 1000, 10_000, 100_000]);
        assert!(is_supported(0.99, 1000) && !is_supported(0.99, 999));
    }
}
