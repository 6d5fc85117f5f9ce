//! When each request is sent: a pure function of the schedule and its seed.
//!
//! Request *k* has one planned moment. Thread *i* of *n* owns the requests *k ≡ i* (mod *n*), so that
//! threads, and machines, need nothing from each other.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};

use crate::model::{Arrivals, Profile};
use crate::units::{Nanos, Rps};

/// When requests are sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// The target, in requests per second.
    pub rate: Rps,
    /// How the rate moves around the target.
    #[serde(default)]
    pub profile: Profile,
    /// How long requests are sent.
    pub duration: Nanos,
    /// How they follow each other.
    pub arrivals: Arrivals,
    /// The seed of random distances.
    pub seed: u64,
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
        let curve = Curve::new(self);
        let mut distances = match self.arrivals {
            Arrivals::Even => None,
            Arrivals::Poisson => Some((ChaCha8Rng::seed_from_u64(self.seed), 0.0)),
        };
        (0..).map_while(move |index: u64| {
            #[expect(clippy::cast_precision_loss, reason = "counts of requests stay below 2^53")]
            let planned = match (&mut distances, &curve) {
                (None, None) => rate.planned_at(index),
                (None, Some(curve)) => curve.moment(index as f64)?,
                (Some((random, requests)), curve) => {
                    // 1 − u is never 0, whose logarithm is infinite.
                    *requests -= (1.0 - random.random::<f64>()).ln();
                    match curve {
                        None => Nanos::from_secs_f64(*requests / rate.as_f64()),
                        Some(curve) => curve.moment(*requests)?,
                    }
                }
            };
            (planned < end).then_some(Due { index, planned })
        })
    }
}

/// How many requests a profile plans up to each moment.
#[derive(Clone, Debug)]
struct Curve(Vec<Stretch>);

/// A phase of a profile, in seconds and requests per second.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    start: f64,
    length: f64,
    from: f64,
    to: f64,
    /// Requests that are planned before it.
    before: f64,
}

impl Curve {
    /// The curve of a schedule; `None` for a constant rate, which whole numbers give exactly.
    fn new(schedule: &Schedule) -> Option<Self> {
        if schedule.profile.is_constant() {
            return None;
        }
        let (rate, seconds) = (schedule.rate.as_f64(), schedule.duration.as_secs_f64());
        let (mut start, mut before) = (0.0, 0.0);
        let stretches = schedule.profile.phases().iter().map(|phase| {
            let length = phase.length * seconds;
            let (from, to) = (phase.from * rate, phase.to * rate);
            let stretch = Stretch { start, length, from, to, before };
            start += length;
            before += length * f64::midpoint(from, to);
            stretch
        });
        Some(Self(stretches.collect()))
    }

    /// The moment up to which so many requests are planned; `None` after the end.
    fn moment(&self, requests: f64) -> Option<Nanos> {
        let found = self.0.iter().rev().find(|stretch| stretch.before <= requests)?;
        let Stretch { start, length, from, to, before } = *found;
        // The root of from·t + (to − from)·t² / (2·length) = requests − before, in its stable form.
        let left = requests - before;
        let slope = (to - from) / length;
        let root = from.mul_add(from, 2.0 * slope * left);
        let time = 2.0 * left / (from + root.max(0.0).sqrt());
        (root >= 0.0 && time <= length).then(|| Nanos::from_secs_f64(start + time))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn schedule(milli: u64, millis: u64, arrivals: Arrivals) -> Schedule {
        let duration = Nanos(millis * 1_000_000);
        let rate = Rps::from_milli(milli);
        Schedule { rate, profile: Profile::Constant, duration, arrivals, seed: 7 }
    }

    proptest! {
        #[test]
        fn threads_share_the_schedule_without_gap_or_overlap(
            milli in 100_u64..2_000_000, millis in 1_u64..3_000, threads in 1_u64..9, seed: u64,
            is_even: bool, profile in 0..Profile::ALL.len(),
        ) {
            let arrivals = if is_even { Arrivals::Even } else { Arrivals::Poisson };
            let profile = Profile::ALL[profile];
            let schedule = Schedule { profile, seed, ..schedule(milli, millis, arrivals) };
            let all: Vec<Due> = schedule.requests().collect();
            let mut shared: Vec<Due> =
                (0..threads).flat_map(|thread| schedule.of_thread(thread, threads)).collect();
            shared.sort_by_key(|due| due.index);
            prop_assert_eq!(&shared, &all);
            prop_assert!(all.is_sorted_by_key(|due| due.planned));
            if is_even && profile.is_constant() {
                let offered = schedule.rate.offered(Duration::from_millis(millis));
                prop_assert_eq!(all.len() as u64, offered);
            }
        }
    }

    #[test]
    fn a_profile_plans_as_many_requests_as_its_rate_says() {
        let planned = |profile, from: u64, to: u64| {
            let schedule = Schedule { profile, ..schedule(1_000_000, 10_000, Arrivals::Even) };
            let seconds = from * 1_000_000_000..to * 1_000_000_000;
            schedule.requests().filter(|due| seconds.contains(&due.planned.0)).count()
        };
        // From 100/s to 1,000/s in ten seconds: 550/s on average, 145/s in the first second.
        assert!(planned(Profile::Ramp, 0, 10).abs_diff(5_500) <= 1);
        assert!(planned(Profile::Ramp, 0, 1).abs_diff(145) <= 1);
        let steps = [(0, 2, 400), (2, 4, 800), (4, 6, 1200), (6, 8, 1600), (8, 10, 2000)];
        for (from, to, expected) in steps {
            assert!(planned(Profile::Steps, from, to).abs_diff(expected) <= 1, "{from} s");
        }
        for (from, to, expected) in [(0, 4, 4_000), (4, 6, 6_000), (6, 10, 4_000)] {
            assert!(planned(Profile::Spike, from, to).abs_diff(expected) <= 1, "{from} s");
        }
    }

    #[test]
    fn poisson_arrivals_have_the_rate_and_an_exponential_distance() {
        let schedule = schedule(1_000_000, 100_000, Arrivals::Poisson);
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
