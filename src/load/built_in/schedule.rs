//! When each request is sent: a pure function of the schedule and its seed.
//!
//! Request *k* has one planned moment. Thread *i* of *n* owns the requests *k ≡ i* (mod *n*), so that
//! threads, and machines, need nothing from each other.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};

use crate::units::{Nanos, Rps};

/// When requests are sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// Requests per second.
    pub rate: Rps,
    /// How long requests are sent.
    pub duration: Nanos,
    /// How they follow each other.
    pub arrivals: Arrivals,
}

/// How requests follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrivals {
    /// At equal distances.
    Even,
    /// As independent users: a Poisson process.
    Poisson {
        /// The seed of its distances.
        seed: u64,
    },
}

/// A request and its planned moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// Its index in the schedule.
    pub index: u64,
    /// When it is to be sent, from the start of the load.
    pub planned: Nanos,
}

impl Schedule {
    /// The requests of thread `thread` of `threads`, in order.
    pub fn of_thread(&self, thread: u64, threads: u64) -> impl Iterator<Item = Due> {
        let step = usize::try_from(threads).unwrap_or(usize::MAX).max(1);
        let skipped = usize::try_from(thread).unwrap_or(usize::MAX);
        self.requests().skip(skipped).step_by(step)
    }

    /// All requests, in order.
    pub fn requests(&self) -> impl Iterator<Item = Due> {
        let (rate, end) = (self.rate, self.duration);
        let mut distances = match self.arrivals {
            Arrivals::Even => None,
            Arrivals::Poisson { seed } => Some((ChaCha8Rng::seed_from_u64(seed), 0.0)),
        };
        (0..).map_while(move |index| {
            let planned = match &mut distances {
                None => rate.planned_at(index),
                Some((random, seconds)) => {
                    // 1 − u is never 0, whose logarithm is infinite.
                    *seconds -= (1.0 - random.random::<f64>()).ln() / rate.as_f64();
                    Nanos::from_secs_f64(*seconds)
                }
            };
            (planned < end).then_some(Due { index, planned })
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn schedule(milli: u64, millis: u64, arrivals: Arrivals) -> Schedule {
        let duration = Nanos(millis * 1_000_000);
        Schedule { rate: Rps::from_milli(milli), duration, arrivals }
    }

    proptest! {
        #[test]
        fn threads_share_the_schedule_without_gap_or_overlap(
            milli in 100_u64..2_000_000, millis in 1_u64..3_000, threads in 1_u64..9, seed: u64,
            is_even: bool,
        ) {
            let arrivals = if is_even { Arrivals::Even } else { Arrivals::Poisson { seed } };
            let schedule = schedule(milli, millis, arrivals);
            let all: Vec<Due> = schedule.requests().collect();
            let mut shared: Vec<Due> =
                (0..threads).flat_map(|thread| schedule.of_thread(thread, threads)).collect();
            shared.sort_by_key(|due| due.index);
            prop_assert_eq!(&shared, &all);
            prop_assert!(all.is_sorted_by_key(|due| due.planned));
            if is_even {
                let offered = schedule.rate.offered(Duration::from_millis(millis));
                prop_assert_eq!(all.len() as u64, offered);
            }
        }
    }

    #[test]
    fn poisson_arrivals_have_the_rate_and_an_exponential_distance() {
        let schedule = schedule(1_000_000, 100_000, Arrivals::Poisson { seed: 7 });
        let all: Vec<Nanos> = schedule.requests().map(|due| due.planned).collect();
        // 100,000 ± 4 standard deviations.
        assert!(all.len().abs_diff(100_000) < 1_265, "{}", all.len());
        let distances = all.windows(2).map(|pair| pair[1].0 - pair[0].0);
        let longer = distances.filter(|&distance| distance > 1_000_000).count();
        // A share of e^−1 is longer than the mean.
        assert!(longer.abs_diff(36_788) < 700, "{longer}");
        assert_eq!(
            all[..100],
            schedule.requests().map(|due| due.planned).collect::<Vec<_>>()[..100]
        );
    }
}
