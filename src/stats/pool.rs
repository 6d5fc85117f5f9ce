//! Quantiles of several distributions together, each counted as often as one likes.

use super::bootstrap::bootstrap_interval;
use super::quantile::{figure_between, nearest_rank};
use crate::model::{Histogram, LatencyFigure};
use crate::units::Nanos;

/// Distributions on one grid of buckets, so that a quantile of any mixture is found by halving.
#[derive(Debug)]
pub struct Pool {
    /// The bounds of each bucket, in order.
    grid: Vec<(Nanos, Nanos)>,
    parts: Vec<Cumulated>,
}

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
        let mut grid: Vec<(Nanos, Nanos)> =
            buckets.map(|bucket| (bucket.low, bucket.high)).collect();
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

    /// The `q` quantile of all of them; see [`latency_quantile`](super::latency_quantile).
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<LatencyFigure> {
        self.quantile_of(&vec![1; self.parts.len()], q)
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
        let lowest = place(|part| &part.all)?;
        Some(figure_between(lowest, place(|part| &part.answered)))
    }
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::stats::latency_quantile;
    use crate::stats::quantile::histogram;

    /// The interval of the median: only what is known of either end counts.
    fn told(pool: &Pool) -> Option<String> {
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
        let text = told(&pool);
        assert_eq!(pool.quantile(0.5).map(|q| q.to_string()), Some("2.00 ms".to_owned()));
        assert_eq!(text, Some("1.00 ms to 3.00 ms".to_owned()));
        // One with a censored tail leaves the upper end open.
        let two = [histogram(&[(1, 100, 0)]), histogram(&[(1, 10, 0), (5, 0, 90)])];
        let pool = Pool::new(&two.iter().collect::<Vec<_>>());
        let text = told(&pool);
        assert_eq!(text, Some("1.00 ms to > 5.00 ms".to_owned()));
        assert!(Pool::new(&[]).quantile(0.5).is_none());
        // A bound may be the lowest of all.
        let two = [histogram(&[(1, 10, 0), (2, 0, 90)]), histogram(&[(4, 100, 0)])];
        let pool = Pool::new(&two.iter().collect::<Vec<_>>());
        let text = told(&pool);
        assert_eq!(text, Some("2.00 ms to > 2.00 ms".to_owned()));
    }

    proptest! {
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
            prop_assert_eq!(pool.quantile(q), latency_quantile(&histogram(&rows(&merged)), q));
        }
    }
}
