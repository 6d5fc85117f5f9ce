//! The rules as one table: thresholds, flags, exit codes, and the defaults of comparisons.
//!
//! Everything that decides, explains or documents one of them takes it from here: `--help` and the
//! page are made of these items, and `tests/cli/rules.rs` compares the README with them.

use serde::{Deserialize, Serialize};

use crate::units::{Nanos, percent};

// What raises a flag.

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

// What a loader and a stack have shown.

/// The share of planned requests that has to be answered before a rate counts as driven by the
/// loader.
pub const MIN_DRIVEN_SHARE: f64 = 0.98;
/// The share of planned requests that has to be answered in time before a rate counts as sustained.
pub const MIN_SUSTAINED_SHARE: f64 = 0.99;

// Comparisons.

/// The change that matters, as a share, where nobody asked for another.
pub const DEFAULT_MARGIN: f64 = 0.05;
/// The chance of a false alarm that a comparison accepts; intervals have the level 1 − α.
pub const ALPHA: f64 = 0.05;
/// The level of intervals.
pub const CONFIDENCE_LEVEL: f64 = 1.0 - ALPHA;
/// The chance with which the smallest detectable change is detected.
pub const POWER: f64 = 0.8;

// Percentiles.

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

/// The quantiles of service times, from sending to answer.
pub const SERVICE_QUANTILES: [Quantile; 3] = [
    Quantile::new(0.5, "service_p50", 3),
    Quantile::new(0.95, "service_p95", 3),
    Quantile::new(0.99, "service_p99", 3),
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

/// A mark on a trial: what a reader must know before trusting its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flag {
    /// Parts shared CPUs, or had fewer than they want.
    CpusShared,
    /// The loader came through a published port.
    PathPublished,
    /// Too many requests were answered wrongly or refused.
    RequestsFailed,
    /// The loader was near the highest rate that it can drive.
    LoaderLimited,
    /// The loader released requests too late.
    PacerLate,
    /// Rate or latency had a trend.
    NotSteady,
    /// Others used the trial's CPUs.
    HostBusy,
    /// The CPUs became slower.
    HostSlowed,
    /// Memory was swapped in or out.
    HostSwapped,
    /// The loader's record contradicts itself.
    Inconsistent,
}

impl Flag {
    /// Every flag.
    pub const ALL: [Self; 10] = [
        Self::CpusShared,
        Self::PathPublished,
        Self::RequestsFailed,
        Self::LoaderLimited,
        Self::PacerLate,
        Self::NotSteady,
        Self::HostBusy,
        Self::HostSlowed,
        Self::HostSwapped,
        Self::Inconsistent,
    ];

    /// The flag's name in columns.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CpusShared => "cpus_shared",
            Self::PathPublished => "path_published",
            Self::RequestsFailed => "requests_failed",
            Self::LoaderLimited => "loader_limited",
            Self::PacerLate => "pacer_late",
            Self::NotSteady => "not_steady",
            Self::HostBusy => "host_busy",
            Self::HostSlowed => "host_slowed",
            Self::HostSwapped => "host_swapped",
            Self::Inconsistent => "inconsistent",
        }
    }

    /// Whether a trial with this flag is left out of rankings.
    #[must_use]
    pub fn forbids_ranking(self) -> bool {
        match self {
            // Both are the same for every case of a run, and some hosts offer nothing else.
            Self::CpusShared | Self::PathPublished => false,
            // Wrong answers are fast: their latency is no merit. The others are not the app's.
            Self::RequestsFailed
            | Self::LoaderLimited
            | Self::PacerLate
            | Self::NotSteady
            | Self::HostBusy
            | Self::HostSlowed
            | Self::HostSwapped
            | Self::Inconsistent => true,
        }
    }

    /// When it is raised, as a clause in one line.
    #[must_use]
    pub fn meaning(self) -> String {
        match self {
            Self::CpusShared => {
                "loader, app and store shared CPUs, so each may have slowed the others".to_owned()
            }
            Self::PathPublished => {
                "the load went through a published port, which adds latency and lowers the rate"
                    .to_owned()
            }
            Self::RequestsFailed => {
                let most = percent(MAX_FAILED_SHARE);
                format!("more than {most} % of the requests failed")
            }
            Self::LoaderLimited => {
                let (rate, busy) = (percent(MAX_CEILING_SHARE), percent(MAX_LOADER_BUSY_SHARE));
                format!(
                    "the loader was late at over {rate} % of the highest rate that it can drive, or one of its CPUs was over {busy} % busy"
                )
            }
            Self::PacerLate => {
                let (time, share) = (whole_millis(MAX_LAG), percent(MAX_LAG_SHARE));
                format!(
                    "one request in a hundred was released more than {time} ms, and more than {share} % of the p99 latency, too late"
                )
            }
            Self::NotSteady => {
                let (share, seconds) = (percent(MIN_DRIFT_SHARE), MIN_DRIFT_SECONDS);
                format!(
                    "latency (under overload: rate) changed by {share} % or more from beginning to end, beyond chance; checked in trials of {seconds} s or more"
                )
            }
            Self::HostBusy => {
                let (foreign, steal) = (percent(MAX_FOREIGN_SHARE), percent(MAX_STEAL_SHARE));
                format!(
                    "other processes used over {foreign} % of the trial's CPUs, the hypervisor took over {steal} % of them, or another run measured on them"
                )
            }
            Self::HostSlowed => {
                let lost = percent(f64::from(1000 - MIN_FREQUENCY_PERMILLE) / 1000.0);
                format!(
                    "the CPUs lost over {lost} % of their frequency from the first half to the second, or were throttled by heat"
                )
            }
            Self::HostSwapped => {
                format!("more than {} MiB of memory was swapped in or out", MAX_SWAPPED_BYTES >> 20)
            }
            Self::Inconsistent => {
                let share = percent(MAX_IN_FLIGHT_SHARE);
                format!(
                    "requests in flight differ from rate times service time (Little's law) by more than {share} % and {MAX_IN_FLIGHT_REQUESTS} requests, so the record is wrong"
                )
            }
        }
    }
}

fn whole_millis(time: Nanos) -> u64 {
    time.0 / 1_000_000
}

/// How the program ends: the number that a script sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// Success.
    Success = 0,
    /// Wrong input, or a system that refuses.
    Error = 1,
    /// Arguments that are not understood.
    Usage = 2,
    /// At least one trial failed.
    TrialsFailed = 3,
    /// A verdict that `--fail-on` names.
    FailOn = 4,
    /// A dataset is not what its hashes say.
    Corrupt = 5,
    /// A file of a dataset is not there.
    Missing = 6,
    /// A dataset cannot be read.
    Unreadable = 7,
    /// A dataset was written by a newer version.
    TooNew = 8,
    /// A defect of this program.
    Defect = 70,
    /// A signal ended the command.
    Interrupted = 130,
}

impl Exit {
    /// Every exit code, in ascending order.
    pub const ALL: [Self; 11] = [
        Self::Success,
        Self::Error,
        Self::Usage,
        Self::TrialsFailed,
        Self::FailOn,
        Self::Corrupt,
        Self::Missing,
        Self::Unreadable,
        Self::TooNew,
        Self::Defect,
        Self::Interrupted,
    ];

    /// The number.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8
    }

    /// When the program ends so, in one line.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Error => "wrong input, or the system refused",
            Self::Usage => "an unknown command, option or value",
            Self::TrialsFailed => "at least one trial failed, or, with --strict, is not ranked",
            Self::FailOn => "a comparison has a verdict that --fail-on names",
            Self::Corrupt => "a dataset differs from its hashes",
            Self::Missing => "a file of a dataset is missing",
            Self::Unreadable => "a dataset cannot be read",
            Self::TooNew => "a dataset was written by a newer version",
            Self::Defect => "a defect of this program",
            Self::Interrupted => "interrupted by a signal, such as Ctrl-C",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_needs_ten_requests_beyond_it() {
        let needed = QUANTILES.map(|one| min_requests(one.share));
        assert_eq!(needed, [20, 100, 200, 1000, 10_000, 100_000]);
        assert!(is_supported(0.99, 1000) && !is_supported(0.99, 999));
    }

    #[test]
    fn every_flag_and_every_exit_code_is_in_its_table_once() {
        let mut names = Flag::ALL.map(Flag::as_str).to_vec();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Flag::ALL.len());
        assert!(Flag::ALL.is_sorted() && Exit::ALL.is_sorted(), "in the order of declaration");
        // The number in text is the threshold.
        assert_eq!(whole_millis(MAX_LAG) * 1_000_000, MAX_LAG.0);
        assert_eq!((MAX_SWAPPED_BYTES >> 20) << 20, MAX_SWAPPED_BYTES);
    }
}
