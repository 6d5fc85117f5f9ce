//! The flags of trials: names, meanings, and which of them forbid ranking.

use serde::{Deserialize, Serialize};

use super::thresholds::{
    MAX_CEILING_SHARE, MAX_FAILED_SHARE, MAX_FOREIGN_SHARE, MAX_IN_FLIGHT_REQUESTS,
    MAX_IN_FLIGHT_SHARE, MAX_LAG, MAX_LAG_SHARE, MAX_LOADER_BUSY_SHARE, MAX_STEAL_SHARE,
    MAX_SWAPPED_BYTES, MIN_DRIFT_SECONDS, MIN_DRIFT_SHARE, MIN_FREQUENCY_PERMILLE,
};
use crate::units::{Nanos, percent};

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

    /// Whether the loader or the host, and not the stack, may have made a trial slower.
    #[must_use]
    pub fn is_interference(self) -> bool {
        self.is_of_loader() || matches!(self, Self::HostBusy | Self::HostSlowed | Self::HostSwapped)
    }

    /// Whether the loader did not keep up.
    #[must_use]
    pub fn is_of_loader(self) -> bool {
        matches!(self, Self::LoaderLimited | Self::PacerLate)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_is_in_its_table_once() {
        let mut names = Flag::ALL.map(Flag::as_str).to_vec();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Flag::ALL.len());
        assert!(Flag::ALL.is_sorted(), "in the order of declaration");
        // The number in text is the threshold.
        assert_eq!(whole_millis(MAX_LAG) * 1_000_000, MAX_LAG.0);
        assert_eq!((MAX_SWAPPED_BYTES >> 20) << 20, MAX_SWAPPED_BYTES);
    }
}
