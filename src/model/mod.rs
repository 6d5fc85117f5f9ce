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
//! *completed* (answered as expected), *failed* (answered wrongly or not at all before the
//! deadline's own doing), or *censored* (the deadline came first: their latency is known only to
//! be longer than some bound).
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
    Bundle, Component, ComponentKind, ContainerTemplate, HttpPaths, Image, ProcessTemplate,
    StoreIdentity, Unavailable,
};
pub use experiment::{
    Case, ComponentName, Experiment, Interleaved, MOST_TRIALS, Order, Plan, Stack, Trial,
    stack_runs,
};
pub use histogram::{Bucket, Histogram};
pub use host::{Check, Fingerprint, Part, Placement, State};
pub use metric::{Figure, Metric, Sample};
pub use row::{RowFailure, TrialRow, by_quantile};
pub use slo::{Capacity, Limit, Slo};
pub use text::{PLACEHOLDERS, fill, line_at, with_causes};
pub use trial::{
    Ceiling, Counts, Disturbance, Failure, Flag, LatencyFigure, LoaderHealth, Measurement, Outcome,
    PartUsage, ResourceSample, SelfReport, StackTimes, Stage, TimelineLatency, TimelineSecond,
    TrialRecord,
};

/// The key that is seeded, and the value's size: the reference's 1 KiB.
pub const KEY: &str = "cached-value";
/// Bytes of the seeded value.
pub const VALUE_BYTES: usize = 1024;

/// The value that is stored: 1 KiB that no text codec leaves as it is.
#[must_use]
pub fn stored_value() -> Vec<u8> {
    (0..VALUE_BYTES).map(|index| u8::try_from((index * 31 + 7) % 256).unwrap_or(0)).collect()
}

/// The quantiles that are kept for each trial, with the name that they have in columns.
pub const QUANTILES: [(f64, &str); 6] = [
    (0.5, "p50"),
    (0.9, "p90"),
    (0.95, "p95"),
    (0.99, "p99"),
    (0.999, "p99_9"),
    (0.9999, "p99_99"),
];

/// The quantiles of service times, from sending to answer, with the names of their figures.
pub const SERVICE_QUANTILES: [(f64, &str); 3] =
    [(0.5, "service_p50"), (0.95, "service_p95"), (0.99, "service_p99")];
