//! Quantiles of latency distributions whose tail is censored: some requests were unfinished.
//!
//! This is the one place that computes a quantile, of one distribution or of several together.

use super::bootstrap::bootstrap_interval;
use crate::model::{Histogram, LatencyFigure};
use crate::units::Nanos;

/// How far unfinished requests may move a quantile that is given as a number, as a ratio.
const NUMBER_TOLERANCE: f64 = 1.01;

/// Distributions on one grid of buckets, so that a quantile of any mixture is found by bisection.
#[derive(Debug)]
pub struct Pool {
    /// The bounds of each bucket, in order.
    grid: Vec<Bounds>,
    parts: Vec<Cumulated>,
}

/// The lowest and the highest latency of a bucket.
type Bounds = (Nanos, Nanos);

/// How many requests of one distribution are at or below each bucket.
#[derive(Debug)]
struct Cumulated {
    /// Answered ones.
    answered: Vec<u64>,
    /// Completed ones, and unfinished ones that had waited this long.
    all: Vec<u64>,
}

impl Pool {
    /// Of histograms with common buckets.
    #[must_use]
    pub fn new(histograms: &[&Histogram]) -> Self {
        let buckets = histograms.iter().flat_map(|one| &one.buckets);
        let mut grid: Vec<Bounds> = buckets.map(|bucket| (bucket.low, bucket.high)).collect();
        // Runs that are in order are merged, which takes less than sorting.
        grid.sort();
        grid.dedup();
        let parts = histograms.iter().map(|one| Cumulated::new(&grid, one)).collect();
        Self { grid, parts }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// How many requests there are.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.parts.iter().filter_map(|part| part.all.last()).sum()
    }

    /// The `q` quantile (nearest rank) of every request that was completed or unfinished; `None`
    /// without requests.
    ///
    /// The latency of an unfinished request is known only to be longer than what it had waited. With
    /// each put at what it had waited, the quantile is at its lowest; with each put at infinity, at
    /// its highest (source: the bounds of Manski 2003, *Partial Identification of Probability
    /// Distributions*, ch. 1, which assume nothing about the requests that were not seen). Where the
    /// two agree to 1 % the quantile is a number. Otherwise it is an interval, or a lower bound where
    /// the highest is infinite. The buckets add an error of at most 0.1 %.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<LatencyFigure> {
        self.quantile_of(&vec![1; self.parts.len()], q)
    }

    /// The latencies between which the `q` quantile lies, wherever the unfinished requests would have
    /// ended; see [`Pool::quantile`]. The second is `None` where it may be any length.
    #[must_use]
    pub fn quantile_ends(&self, q: f64) -> Option<(Nanos, Option<Nanos>)> {
        let ((low, _), highest) = self.ends(&vec![1; self.parts.len()], q)?;
        Some((low, highest.map(|(_, high)| high)))
    }

    /// The bootstrap interval of that quantile, with whole distributions drawn again: the repetition
    /// is the unit, not the request. An end that is a bound may lie anywhere above it.
    #[must_use]
    pub fn interval(&self, q: f64, level: f64) -> Option<(LatencyFigure, LatencyFigure)> {
        let quantile = |times: &[u64]| self.quantile_of(times, q);
        let ends = |key: fn(LatencyFigure) -> (bool, Nanos)| {
            let order =
                |a: &Option<LatencyFigure>, b: &Option<LatencyFigure>| a.map(key).cmp(&b.map(key));
            bootstrap_interval(self.parts.len(), level, quantile, order)
        };
        // A bound is the least that a value can be: at the low end it stands where it is, and at the
        // high end above all that is known.
        let (low, _) = ends(|one| (false, one.value))?;
        let (_, high) = ends(|one| (one.longest().is_none(), one.longest().unwrap_or(one.value)))?;
        low.zip(high)
    }

    /// The `q` quantile with the distribution at each place counted so many times.
    fn quantile_of(&self, times: &[u64], q: f64) -> Option<LatencyFigure> {
        let ((low, high), highest) = self.ends(times, q)?;
        Some(match highest {
            Some((_, highest)) if agree(high, highest) => LatencyFigure::exact(high),
            _ => LatencyFigure { value: low, is_bound: true, high: highest.map(|(_, high)| high) },
        })
    }

    /// The bounds of the bucket with the quantile at its lowest, and at its highest if that is known.
    fn ends(&self, times: &[u64], q: f64) -> Option<(Bounds, Option<Bounds>)> {
        let count = |of: fn(&Cumulated) -> &Vec<u64>, place: usize| -> u64 {
            let own = self.parts.iter().zip(times);
            own.fold(0, |sum, (part, times)| {
                sum.saturating_add(of(part)[place].saturating_mul(*times))
            })
        };
        let last = self.grid.len().checked_sub(1)?;
        let rank = nearest_rank(q, count(|part| &part.all, last))?;
        let place = |of: fn(&Cumulated) -> &Vec<u64>| {
            let (mut low, mut high) = (0, self.grid.len());
            while low < high {
                let middle = usize::midpoint(low, high);
                match count(of, middle) < rank {
                    true => low = middle + 1,
                    false => high = middle,
                }
            }
            self.grid.get(low).copied()
        };
        Some((place(|part| &part.all)?, place(|part| &part.answered)))
    }
}

#[expect(clippy::cast_precision_loss, reason = "latencies are shown to three digits")]
fn agree(low: Nanos, high: Nanos) -> bool {
    high.0 as f64 <= low.0 as f64 * NUMBER_TOLERANCE
}

/// The smallest rank, counted from 1, that covers a share `q` of `total`.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a count below 2^53 is a count"
)]
fn nearest_rank(q: f64, total: u64) -> Option<u64> {
    let rank = (q * total as f64).ceil() as u64;
    (total > 0).then(|| rank.clamp(1, total))
}

impl Cumulated {
    fn new(grid: &[(Nanos, Nanos)], histogram: &Histogram) -> Self {
        let mut buckets = histogram.buckets.iter().peekable();
        let (mut answered, mut all) = (Vec::new(), Vec::new());
        let (mut answered_sum, mut all_sum) = (0_u64, 0_u64);
        for (low, _) in grid {
            if let Some(bucket) = buckets.next_if(|bucket| bucket.low == *low) {
                answered_sum = answered_sum.saturating_add(bucket.count);
                all_sum = all_sum.saturating_add(bucket.count).saturating_add(bucket.censored);
            }
            answered.push(answered_sum);
            all.push(all_sum);
        }
        Self { answered, all }
    }
}

/// A histogram with buckets of 1 ms, from (ms, answered, unfinished).
#[cfg(test)]
pub(super) fn histogram(buckets: &[(u64, u64, u64)]) -> Histogram {
    let bucket = |&(ms, count, censored): &(u64, u64, u64)| crate::model::Bucket {
        served: 0,
        low: Nanos(ms * 1_000_000),
        high: Nanos(ms * 1_000_000),
        count,
        censored,
    };
    Histogram { buckets: buckets.iter().map(bucket).collect() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn quantile(buckets: &[(u64, u64, u64)], q: f64) -> String {
        Pool::new(&[&histogram(buckets)]).quantile(q).map_or("none".to_owned(), |q| q.to_string())
    }

    #[test]
    fn without_censoring_it_is_the_nearest_rank() {
        // Hyndman and Fan 1996, definition 1.
        let ten: Vec<_> = (1..=10).map(|ms| (ms, 1, 0)).collect();
        assert_eq!(quantile(&ten, 0.5), "5.00 ms");
        assert_eq!(quantile(&ten, 0.9), "9.00 ms");
        assert_eq!(quantile(&ten, 0.91), "10.0 ms");
        assert_eq!(quantile(&ten, 0.0), "1.00 ms");
        assert_eq!(quantile(&[], 0.5), "none");
    }

    #[test]
    fn a_quantile_that_unfinished_requests_hide_is_a_bound() {
        // 90 answered in 1 ms, 10 unfinished after 50 ms.
        let tail = [(1, 90, 0), (50, 0, 10)];
        assert_eq!(quantile(&tail, 0.5), "1.00 ms");
        assert_eq!(quantile(&tail, 0.9), "1.00 ms");
        assert_eq!(quantile(&tail, 0.95), "> 50.0 ms");
        // 10 unfinished at once: whether the median is 1 ms or 9 ms is not known.
        assert_eq!(quantile(&[(0, 0, 10), (1, 5, 0), (9, 6, 0)], 0.5), "1.00–9.00 ms");
        // One of 100 unfinished at once: the 95th is between the answers at both sides.
        let one = [(0, 0, 1), (1, 94, 0), (2, 1, 0), (3, 4, 0)];
        assert_eq!(quantile(&one, 0.95), "1.00–2.00 ms");
        assert_eq!(quantile(&one, 0.5), "1.00 ms");
        assert_eq!(quantile(&[(3, 0, 7)], 0.5), "> 3.00 ms");
    }

    /// The interval of the median: only what is known of either end counts.
    fn figures(pool: &Pool) -> Option<String> {
        let (low, high) = pool.interval(0.5, 0.95)?;
        let open = || format!("> {}", high.value);
        Some(format!(
            "{} to {}",
            low.value,
            high.longest().map_or_else(open, |one| one.to_string())
        ))
    }

    #[test]
    fn the_interval_holds_what_repetitions_differ_by() {
        let three = [1, 2, 3].map(|ms| histogram(&[(ms, 100, 0)]));
        let pool = Pool::new(&three.iter().collect::<Vec<_>>());
        let text = figures(&pool);
        assert_eq!(pool.quantile(0.5).map(|q| q.to_string()), Some("2.00 ms".to_owned()));
        assert_eq!(text, Some("1.00 ms to 3.00 ms".to_owned()));
        // One with a censored tail leaves the upper end open.
        let two = [histogram(&[(1, 100, 0)]), histogram(&[(1, 10, 0), (5, 0, 90)])];
        let pool = Pool::new(&two.iter().collect::<Vec<_>>());
        let text = figures(&pool);
        assert_eq!(text, Some("1.00 ms to > 5.00 ms".to_owned()));
        assert!(Pool::new(&[]).quantile(0.5).is_none());
        // A bound may be the lowest of all.
        let two = [histogram(&[(1, 10, 0), (2, 0, 90)]), histogram(&[(4, 100, 0)])];
        let pool = Pool::new(&two.iter().collect::<Vec<_>>());
        let text = figures(&pool);
        assert_eq!(text, Some("2.00 ms to > 2.00 ms".to_owned()));
    }

    proptest! {
        #[test]
        fn the_true_quantile_is_never_below_the_value(
            latencies in proptest::collection::vec((1_u64..1000, any::<bool>(), 1_u64..1000), 1..80),
            q in 0.0_f64..1.0,
        ) {
            // Each request has a true latency; some were unfinished before it.
            let mut seen: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
            for &(truth, is_unfinished, cut) in &latencies {
                match is_unfinished {
                    true => seen.entry(cut.min(truth)).or_default().1 += 1,
                    false => seen.entry(truth).or_default().0 += 1,
                }
            }
            let buckets: Vec<_> = seen.iter().map(|(&ms, &(count, cut))| (ms, count, cut)).collect();
            let mut truths: Vec<u64> = latencies.iter().map(|&(truth, ..)| truth * 1_000_000).collect();
            truths.sort_unstable();
            let rank = usize::try_from(nearest_rank(q, truths.len() as u64).unwrap()).unwrap();
            let shown = Pool::new(&[&histogram(&buckets)]).quantile(q).unwrap();
            let truth = truths[rank - 1];
            prop_assert!(shown.value.0 <= truth);
            if !shown.is_bound {
                prop_assert!(agree(shown.value, Nanos(truth)));
            }
            if let Some(high) = shown.high {
                prop_assert!(truth <= high.0 && shown.is_bound);
            }
        }

        #[test]
        fn together_they_are_the_merged_distribution(
            parts in proptest::collection::vec(
                proptest::collection::btree_map(1_u64..60, (1_u64..50, 0_u64..5), 1..20), 1..5),
            q in 0.0_f64..1.0,
        ) {
            let mut merged: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
            for (&ms, &(count, censored)) in parts.iter().flatten() {
                let own = merged.entry(ms).or_default();
                *own = (own.0 + count, own.1 + censored);
            }
            let rows = |part: &BTreeMap<u64, (u64, u64)>| -> Vec<(u64, u64, u64)> {
                part.iter().map(|(&ms, &(count, cut))| (ms, count, cut)).collect()
            };
            let histograms: Vec<Histogram> = parts.iter().map(|part| histogram(&rows(part))).collect();
            let pool = Pool::new(&histograms.iter().collect::<Vec<_>>());
            let merged = histogram(&rows(&merged));
            prop_assert_eq!(pool.quantile(q), Pool::new(&[&merged]).quantile(q));
        }
    }
}
