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
mod capacity;
mod experiment;
mod histogram;
mod host;
mod metric;
mod profile;
mod row;
pub mod rules;
mod slo;
mod text;
mod trial;

pub use bundle::{
    Bundle, Component, ComponentKind, ContainerTemplate, HttpPaths, INSTALLED_FACT, Image, Limits,
    ProcessTemplate, StoreIdentity, Unavailable, differing_facts,
};
pub use capacity::Capacity;
pub use experiment::{
    Arrivals, Case, ComponentName, Experiment, Interleaved, Loader, MAX_TRIALS, Order, Plan, Stack,
    Trial, stack_runs,
};
pub use histogram::{Bucket, Histogram};
pub use host::{Check, Fingerprint, Part, Placement, State};
pub use metric::{Figure, Metric, Sample};
pub use profile::{Phase, Profile};
pub use row::{RowFailure, TrialRow, Value, by_quantile, flag_names};
pub use rules::{
    Flag, MIN_TAIL_REQUESTS, QUANTILES, Quantile, SERVICE_QUANTILES, is_supported, min_requests,
};
pub use slo::{Limit, Slo};
pub use text::{MAX_LINE_CHARS, PLACEHOLDERS, fill, joined, line_at, one_line, with_causes};
pub use trial::{
    Ceiling, Counts, Disturbance, Failure, LatencyFigure, LoaderHealth, Measurement,
    OpenedConnections, Outcome, PartUsage, ResourceSample, SelfReport, StackTimes, Stage,
    TimeSummary, TimelineLatency, TimelineSecond, TrialRecord, WrongAnswer,
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
