//! Histograms of latencies, with the same buckets in every trial.

use hdrhistogram::Histogram as Hdr;

use crate::model::{Bucket, Histogram, TimeSummary};
use crate::units::Nanos;

/// Significant digits of a bucket: its width is at most 0.1 % of its value.
pub(super) const SIGNIFICANT_DIGITS: u8 = 3;

/// A distribution in three figures; `None` of no times.
pub(super) fn summary(times: &Hdr<u64>) -> Option<TimeSummary> {
    let at = |quantile| Nanos(times.value_at_quantile(quantile).min(times.max()));
    (!times.is_empty()).then(|| TimeSummary { p50: at(0.5), p99: at(0.99), max: at(1.0) })
}

/// Collects latencies of completed and unfinished requests into an HDR histogram with a resolution of 1 ns and
/// three significant digits (source: Tene, *HdrHistogram*).
#[derive(Debug)]
pub struct Recorder {
    completed: Hdr<u64>,
    censored: Hdr<u64>,
    served: Hdr<u64>,
}

impl Default for Recorder {
    fn default() -> Self {
        let empty = || Hdr::new(SIGNIFICANT_DIGITS).expect("three digits are allowed");
        Self { completed: empty(), censored: empty(), served: empty() }
    }
}

impl Recorder {
    /// Records `count` answers with a latency.
    pub fn completed(&mut self, latency: Nanos, count: u64) {
        self.completed.record_n(latency.0, count).expect(RESIZES);
    }

    /// Records `count` unfinished requests that had waited `waited`.
    pub fn censored(&mut self, waited: Nanos, count: u64) {
        self.censored.record_n(waited.0, count).expect(RESIZES);
    }

    /// Records `count` answers with a service time, counted from when the request was sent.
    pub fn served(&mut self, service: Nanos, count: u64) {
        self.served.record_n(service.0, count).expect(RESIZES);
    }

    /// Adds what another recorder has.
    pub(super) fn add(&mut self, other: &Self) {
        self.completed.add(&other.completed).expect(RESIZES);
        self.censored.add(&other.censored).expect(RESIZES);
        self.served.add(&other.served).expect(RESIZES);
    }

    /// The recorded histogram.
    #[must_use]
    pub fn finish(&self) -> Histogram {
        let mut buckets: Vec<Bucket> = Vec::new();
        for value in self.completed.iter_recorded() {
            buckets.push(Bucket {
                count: value.count_at_value(),
                ..bounds(&self.completed, value.value_iterated_to())
            });
        }
        for value in self.censored.iter_recorded() {
            buckets.push(Bucket {
                censored: value.count_at_value(),
                ..bounds(&self.censored, value.value_iterated_to())
            });
        }
        for value in self.served.iter_recorded() {
            buckets.push(Bucket {
                served: value.count_at_value(),
                ..bounds(&self.served, value.value_iterated_to())
            });
        }
        buckets.sort_by_key(|bucket| bucket.low);
        buckets.dedup_by(|second, first| {
            let is_same = first.low == second.low;
            if is_same {
                first.count += second.count;
                first.censored += second.censored;
                first.served += second.served;
            }
            is_same
        });
        Histogram { buckets }
    }
}

pub(super) const RESIZES: &str = "a histogram that may grow takes every 64-bit value";

fn bounds(hdr: &Hdr<u64>, value: u64) -> Bucket {
    Bucket {
        low: Nanos(hdr.lowest_equivalent(value)),
        high: Nanos(hdr.highest_equivalent(value)),
        ..Bucket::default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn completed_and_unfinished_requests_share_buckets() {
        let mut recorder = Recorder::default();
        recorder.completed(Nanos(1_000_000), 3);
        recorder.censored(Nanos(1_000_100), 2);
        recorder.censored(Nanos(9_000_000_000), 1);
        let buckets = recorder.finish().buckets;
        assert_eq!(buckets.len(), 2);
        assert_eq!((buckets[0].count, buckets[0].censored), (3, 2));
        assert_eq!((buckets[1].count, buckets[1].censored), (0, 1));
    }

    proptest! {
        #[test]
        fn buckets_are_disjoint_narrow_and_the_same_for_everyone(
            values in proptest::collection::vec(0_u64..100_000_000_000, 1..200),
        ) {
            let mut recorder = Recorder::default();
            values.iter().for_each(|&value| recorder.completed(Nanos(value), 1));
            let histogram = recorder.finish();
            prop_assert_eq!(histogram.completed(), values.len() as u64);
            for pair in histogram.buckets.windows(2) {
                prop_assert!(pair[0].high < pair[1].low);
            }
            for &value in &values {
                let mut alone = Recorder::default();
                alone.completed(Nanos(value), 1);
                let own = alone.finish().buckets[0];
                prop_assert!(own.low.0 <= value && value <= own.high.0);
                prop_assert!((own.high.0 - own.low.0) * 1000 <= value);
                let found = histogram.buckets.iter().any(|b| (b.low, b.high) == (own.low, own.high));
                prop_assert!(found, "the bucket of {} depends on the others", value);
            }
        }
    }
}
