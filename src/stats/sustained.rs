//! Whether a load is sustained: the one rule of searches, reports and knees.
//!
//! A repetition sustains a rate when answers keep pace with the schedule, few requests fail, and each
//! limit is kept. Interference makes a load harder: what a disturbed repetition sustained counts, and
//! what it did not sustain is not known. A stack sustains it when most repetitions do. "All of them" would be harder to meet
//! the more repetitions there are, so that a search of two trials and a run of five would disagree
//! about the same stack (source: the goal exceed ratio of one half in FD.io's multiple loss ratio
//! search, *draft-ietf-bmwg-mlrsearch*).

use serde::Serialize;

use crate::model::rules::MIN_SUSTAINED_SHARE;
use crate::model::{Flag, TimelineSecond};
use crate::units::Nanos;

/// What is known of a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Sustained {
    /// It is sustained.
    Yes,
    /// It is not.
    No,
    /// Nothing that counts was measured, unfinished requests hide a percentile, or a disturbed
    /// repetition did not sustain it.
    Unknown,
}

impl Sustained {
    /// Of one repetition whose answers kept pace or not, by what is known of each limit.
    #[must_use]
    pub fn of_limits(keeps_pace: bool, limits: impl IntoIterator<Item = Self>) -> Self {
        limits.into_iter().fold(if keeps_pace { Self::Yes } else { Self::No }, |all, limit| match (
            all, limit,
        ) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            (Self::Yes, Self::Yes) => Self::Yes,
        })
    }

    /// Whether a percentile that lies between two latencies is below a limit; the second is missing
    /// where it may be any length.
    #[must_use]
    pub fn of_latency(ends: Option<(Nanos, Option<Nanos>)>, below: Nanos) -> Self {
        match ends {
            Some((low, _)) if low >= below => Self::No,
            Some((_, Some(high))) if high < below => Self::Yes,
            _ => Self::Unknown,
        }
    }

    /// What a repetition says that has these flags.
    #[must_use]
    pub fn despite(self, flags: &[Flag]) -> Self {
        match self {
            _ if flags.contains(&Flag::Inconsistent) => Self::Unknown,
            Self::No if flags.iter().any(|flag| flag.is_interference()) => Self::Unknown,
            known => known,
        }
    }
}

/// What the repetitions of a load say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Votes {
    /// How many sustained it.
    pub yes: usize,
    /// How many did not.
    pub no: usize,
    /// Of how many that is not known.
    pub unknown: usize,
}

impl Votes {
    /// The number of repetitions that count.
    #[must_use]
    pub fn total(self) -> usize {
        self.yes + self.no + self.unknown
    }

    /// What they say together: most of them, whatever became of those that are not known. A tie is
    /// not sustained.
    #[must_use]
    pub fn verdict(self) -> Sustained {
        match self {
            Self { yes, no, unknown } if yes > no + unknown => Sustained::Yes,
            Self { yes, no, unknown } if no > 0 && no >= yes + unknown => Sustained::No,
            _ => Sustained::Unknown,
        }
    }
}

impl FromIterator<Sustained> for Votes {
    fn from_iter<T: IntoIterator<Item = Sustained>>(repetitions: T) -> Self {
        let mut votes = Self::default();
        for one in repetitions {
            match one {
                Sustained::Yes => votes.yes += 1,
                Sustained::No => votes.no += 1,
                Sustained::Unknown => votes.unknown += 1,
            }
        }
        votes
    }
}

/// Whether answers came as fast as requests were planned, within the window of a trial. The first
/// second is left out: what is in flight at its end is in flight at the end of the window as well, and
/// no backlog.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts of requests stay below 2^53")]
pub fn keeps_pace(timeline: &[TimelineSecond]) -> bool {
    let window = TimelineSecond::window(timeline);
    let seconds = || window.iter().skip(usize::from(window.len() > 1));
    let planned: u64 = seconds().map(|second| second.planned).sum();
    let answered: u64 = seconds().map(|second| second.completed + second.failed).sum();
    answered as f64 >= planned as f64 * MIN_SUSTAINED_SHARE
}

#[cfg(test)]
mod tests {
    use super::Sustained::{No, Unknown, Yes};
    use super::*;

    #[test]
    fn answers_keep_pace_without_a_backlog_however_long_they_take() {
        let timeline = |answered: &[u64]| -> Vec<TimelineSecond> {
            let second = |(second, &completed): (usize, &u64)| TimelineSecond {
                second: u32::try_from(second).unwrap(),
                // The last two seconds are those of the drain.
                planned: if second + 2 < answered.len() { 100 } else { 0 },
                completed,
                ..TimelineSecond::default()
            };
            answered.iter().enumerate().map(second).collect()
        };
        // Half a second of latency: 50 requests are in flight at any time.
        assert!(keeps_pace(&timeline(&[50, 100, 100, 100, 50, 0])));
        assert!(keeps_pace(&timeline(&[50, 100, 100, 97, 50, 0])), "99 % of 300");
        assert!(!keeps_pace(&timeline(&[50, 100, 100, 96, 54, 0])));
        assert!(!keeps_pace(&timeline(&[100, 90, 90, 90, 30, 0])), "the drain does not count");
        assert!(keeps_pace(&timeline(&[99, 0, 0])) && !keeps_pace(&timeline(&[98, 0, 0])));
    }

    #[test]
    fn a_repetition_keeps_pace_and_every_limit() {
        for (limits, expected) in [
            (&[][..], Yes),
            (&[Yes, Yes], Yes),
            (&[Yes, Unknown], Unknown),
            (&[Unknown, No], No),
            (&[No, Unknown], No),
        ] {
            assert_eq!(Sustained::of_limits(true, limits.iter().copied()), expected);
            assert_eq!(Sustained::of_limits(false, limits.iter().copied()), No);
        }
        let of = |low, high: Option<u64>| {
            Sustained::of_latency(Some((Nanos(low), high.map(Nanos))), Nanos(20))
        };
        assert_eq!((of(19, Some(19)), of(20, Some(20)), of(19, Some(20))), (Yes, No, Unknown));
        assert_eq!((of(19, None), of(20, None)), (Unknown, No));
        assert_eq!(Sustained::of_latency(None, Nanos(20)), Unknown);
    }

    #[test]
    fn most_repetitions_decide_and_those_that_are_not_known_do_not() {
        let said =
            |repetitions: &[Sustained]| Votes::from_iter(repetitions.iter().copied()).verdict();
        assert_eq!(said(&[]), Unknown);
        assert_eq!((said(&[Yes]), said(&[No]), said(&[Unknown])), (Yes, No, Unknown));
        assert_eq!((said(&[Yes, No]), said(&[Yes, Yes, No])), (No, Yes));
        assert_eq!((said(&[Yes, Unknown]), said(&[No, Unknown])), (Unknown, No));
        assert_eq!(
            (said(&[Yes, Yes, No, Unknown]), said(&[Yes, Yes, Yes, No, Unknown])),
            (Unknown, Yes)
        );
    }
}
