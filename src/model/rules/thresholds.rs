//! Thresholds: what raises a flag, and which rate counts as driven or sustained.

use crate::units::Nanos;

/// The share of failed requests above which a trial is not ranked.
pub const MAX_FAILED_SHARE: f64 = 0.01;
/// The share of the loader's ceiling above which a late loader limits a trial.
pub const MAX_CEILING_SHARE: f64 = 0.8;
/// How busy the loader may be, on all of its CPUs and on each of them, as a share.
pub const MAX_LOADER_BUSY_SHARE: f64 = 0.85;
/// The p99 of the loader's delay that is always accepted.
pub const MAX_LAG: Nanos = Nanos(2_000_000);
/// The p99 of the loader's delay that is accepted as a share of the p99 latency.
pub const MAX_LAG_SHARE: f64 = 0.05;
/// The change of a level, from the first second of a trial to the last, that is a drift.
pub const MIN_DRIFT_SHARE: f64 = 0.2;
/// The shortest trial in which a drift is looked for, in seconds.
pub const MIN_DRIFT_SECONDS: usize = 8;
/// The share of unfinished requests above which a trial is overloaded: its rate has to be steady
/// then, and not its latency.
pub const MAX_UNFINISHED_SHARE: f64 = 0.01;
/// The share of the trial's CPUs that other processes may use.
pub const MAX_FOREIGN_SHARE: f64 = 0.10;
/// The share of the trial's CPUs that the hypervisor may take.
pub const MAX_STEAL_SHARE: f64 = 0.01;
/// The share of their frequency that the CPUs have to keep from the first half of a trial to the
/// second, in thousandths.
pub const MIN_FREQUENCY_PERMILLE: u32 = 900;
/// The memory that may be swapped in or out during a trial, in bytes.
pub const MAX_SWAPPED_BYTES: u64 = 1 << 20;
/// The difference between requests in flight and rate times service time that is accepted, as a
/// share.
pub const MAX_IN_FLIGHT_SHARE: f64 = 0.05;
/// The difference between requests in flight and rate times service time that is always accepted,
/// in requests.
pub const MAX_IN_FLIGHT_REQUESTS: f64 = 0.5;

/// The share of planned requests that has to be answered before a rate counts as driven by the
/// loader.
pub const MIN_DRIVEN_SHARE: f64 = 0.98;
/// The share of planned requests that has to be answered in time before a rate counts as sustained.
pub const MIN_SUSTAINED_SHARE: f64 = 0.99;
