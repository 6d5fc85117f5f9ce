//! The only place that reads a clock.
//!
//! Foundation layer. A run reads time from a [`Clock`] that is passed in, so that a simulated run of six
//! hours takes seconds and gives the same bytes on any day.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// A point in time: milliseconds since 1970-01-01 00:00 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// The point in time as a calendar date; `None` past the year 262,000.
    #[must_use]
    pub fn to_utc(self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp_millis(i64::try_from(self.0).ok()?)
    }
}

/// `2026-11-23 12:36 UTC`.
impl std::fmt::Display for UnixMillis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.to_utc() {
            Some(time) => write!(f, "{}", time.format("%Y-%m-%d %H:%M UTC")),
            None => write!(f, "{} ms after 1970", self.0),
        }
    }
}

/// The source of time of a run.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The system clock.
    System,
    /// A clock that moves only by [`Clock::advance`].
    Simulated(Arc<AtomicU64>),
    /// A clock that never moves, so that an interruption leaves no trace in a simulated run.
    Fixed(UnixMillis),
}

impl Clock {
    /// A simulated clock that begins at `start`.
    #[must_use]
    pub fn simulated(start: UnixMillis) -> Self {
        Self::Simulated(Arc::new(AtomicU64::new(start.0)))
    }

    /// The present time.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one clock")]
    pub fn now(&self) -> UnixMillis {
        match self {
            Self::System => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
            }
            Self::Simulated(now) => UnixMillis(now.load(Ordering::Relaxed)),
            Self::Fixed(now) => *now,
        }
    }

    /// Moves a simulated clock forward by `span`. No effect on the other clocks.
    pub fn advance(&self, span: Duration) {
        if let Self::Simulated(now) = self {
            let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
            now.fetch_add(millis, Ordering::Relaxed);
        }
    }
}

/// A stopwatch on the monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one clock")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// The time since the start.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_simulated_clock_moves_only_by_advance() {
        let clock = Clock::simulated(UnixMillis(1_000));
        assert_eq!(clock.now(), UnixMillis(1_000));
        clock.clone().advance(Duration::from_secs(2));
        assert_eq!(clock.now(), UnixMillis(3_000));
    }

    #[test]
    fn times_are_shown_in_utc() {
        assert_eq!(UnixMillis(1_795_437_360_000).to_string(), "2026-11-23 12:36 UTC");
        assert_eq!(UnixMillis(u64::MAX).to_string(), "18446744073709551615 ms after 1970");
    }
}
