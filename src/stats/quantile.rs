//! Quantiles of a latency distribution whose tail is censored: some requests were unfinished.

use std::collections::BTreeMap;

use super::pool::Pool;
use crate::model::{Bucket, Histogram, LatencyFigure, QUANTILES, SERVICE_QUANTILES};
use crate::units::Nanos;

/// How far unfinished requests may move a quantile that is given as a number, as a ratio.
const NUMBER_TOLERANCE: f64 = 1.01;

/// The `q` quantile (nearest rank) of every request that was completed or unfinished; `None` for an
/// empty distribution.
///
/// The latency of an unfinished request is known only to be longer than what it had waited. With
/// each put at what it had waited, the quantile is at its lowest; with each put at infinity, at its
/// highest (source: the bounds of Manski 2003, *Partial Identification of Probability
/// Distributions*, ch. 1, which assume nothing about the requests that were not seen). Where the two
/// agree to 1 % the quantile is a number. Otherwise it is an interval, or a lower bound where the
/// highest is infinite. The histogram adds an error of at most 0.1 %.
#[must_use]
pub fn latency_quantile(histogram: &Histogram, q: f64) -> Option<LatencyFigure> {
    let (lowest, highest) = ends(histogram, q)?;
    let bounds = |bucket: &Bucket| (bucket.low, bucket.high);
    Some(figure_between(bounds(lowest), highest.map(bounds)))
}

/// A quantile that lies between two buckets, each with its bounds: a number where they agree, an
/// interval where they do not, and a lower bound without the second.
pub(super) fn figure_between(
    (low, high): (Nanos, Nanos),
    highest: Option<(Nanos, Nanos)>,
) -> LatencyFigure {
    match highest {
        Some((_, highest)) if agree(high, highest) => LatencyFigure::exact(high),
        _ => LatencyFigure { value: low, is_bound: true, high: highest.map(|(_, high)| high) },
    }
}

/// The latencies between which the `q` quantile lies, whatever became of the unfinished requests;
/// see [`latency_quantile`]. The second is `None` where it may be any length.
#[must_use]
pub fn latency_quantile_ends(histogram: &Histogram, q: f64) -> Option<(Nanos, Option<Nanos>)> {
    let (lowest, highest) = ends(histogram, q)?;
    Some((lowest.low, highest.map(|bucket| bucket.high)))
}

fn ends(histogram: &Histogram, q: f64) -> Option<(&Bucket, Option<&Bucket>)> {
    let total = histogram.completed().saturating_add(histogram.censored());
    let rank = nearest_rank(q, total)?;
    let lowest = bucket_at(histogram, rank, |bucket| bucket.count.saturating_add(bucket.censored))?;
    Some((lowest, bucket_at(histogram, rank, |bucket| bucket.count)))
}

/// The figures that are kept of every trial, by name: the mean, and each of
/// [`QUANTILES`](crate::model::QUANTILES).
#[must_use]
pub fn latency_figures(histogram: &Histogram) -> BTreeMap<String, LatencyFigure> {
    let pool = Pool::new(&[histogram]);
    let quantile = |&(q, name): &(f64, &str)| Some((name.to_owned(), pool.quantile(q)?));
    let mean = latency_mean(histogram).map(|mean| ("mean".to_owned(), mean));
    QUANTILES.iter().filter_map(quantile).chain(mean).collect()
}

/// The quantiles of service times that are kept of every trial, by name: of answered requests alone.
#[must_use]
pub fn service_figures(histogram: &Histogram) -> BTreeMap<String, LatencyFigure> {
    let pool = Pool::new(&[&histogram.service()]);
    let figures = SERVICE_QUANTILES.iter();
    figures.filter_map(|&(q, name)| Some((name.to_owned(), pool.quantile(q)?))).collect()
}

/// The mean latency of every request that was completed or unfinished; `None` for an empty
/// distribution. A lower bound as soon as one request was unfinished: it counts with what it had
/// waited.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "latencies are told to three digits"
)]
pub fn latency_mean(histogram: &Histogram) -> Option<LatencyFigure> {
    let total = histogram.completed() + histogram.censored();
    let sum: f64 = histogram
        .buckets
        .iter()
        .map(|bucket| {
            let middle = bucket.low.0 as f64 / 2.0 + bucket.high.0 as f64 / 2.0;
            middle * bucket.count as f64 + bucket.low.0 as f64 * bucket.censored as f64
        })
        .sum();
    let value = Nanos((sum / total as f64) as u64);
    let is_bound = histogram.censored() > 0;
    (total > 0).then_some(LatencyFigure { value, is_bound, high: None })
}

#[expect(clippy::cast_precision_loss, reason = "latencies are told to three digits")]
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
pub(super) fn nearest_rank(q: f64, total: u64) -> Option<u64> {
    let rank = (q * total as f64).ceil() as u64;
    (total > 0).then(|| rank.clamp(1, total))
}

fn bucket_at(histogram: &Histogram, rank: u64, weight: impl Fn(&Bucket) -> u64) -> Option<&Bucket> {
    let mut seen = 0;
    histogram.buckets.iter().find(|bucket| {
        seen = u64::saturating_add(seen, weight(bucket));
        seen >= rank
    })
}

/// A histogram with buckets of 1 ms, from (ms, answered, cut off).
#[cfg(test)]
pub(super) fn histogram(buckets: &[(u64, u64, u64)]) -> Histogram {
    let bucket = |&(ms, count, censored): &(u64, u64, u64)| Bucket {
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
    use proptest::prelude::*;

    use super::*;

    fn told(buckets: &[(u64, u64, u64)], q: f64) -> String {
        latency_quantile(&histogram(buckets), q).map_or("none".to_owned(), |q| q.to_string())
    }

    #[test]
    fn without_censoring_it_is_the_nearest_rank() {
        // Hyndman and Fan 1996, definition 1.
        let ten: Vec<_> = (1..=10).map(|ms| (ms, 1, 0)).collect();
        assert_eq!(told(&ten, 0.5), "5.00 ms");
        assert_eq!(told(&ten, 0.9), "9.00 ms");
        assert_eq!(told(&ten, 0.91), "10.0 ms");
        assert_eq!(told(&ten, 0.0), "1.00 ms");
        assert_eq!(told(&[], 0.5), "none");
    }

    #[test]
    fn a_quantile_that_the_deadline_hides_is_a_bound() {
        // 90 answered in 1 ms, 10 cut off after 50 ms.
        let tail = [(1, 90, 0), (50, 0, 10)];
        assert_eq!(told(&tail, 0.5), "1.00 ms");
        assert_eq!(told(&tail, 0.9), "1.00 ms");
        assert_eq!(told(&tail, 0.95), "> 50.0 ms");
        // 10 cut off at once: whether the median is 1 ms or 9 ms is not known.
        assert_eq!(told(&[(0, 0, 10), (1, 5, 0), (9, 6, 0)], 0.5), "1.00–9.00 ms");
        // One of 100 unfinished at once: the 95th is between the answers at both sides.
        let one = [(0, 0, 1), (1, 94, 0), (2, 1, 0), (3, 4, 0)];
        assert_eq!(told(&one, 0.95), "1.00–2.00 ms");
        assert_eq!(told(&one, 0.5), "1.00 ms");
        assert_eq!(told(&[(3, 0, 7)], 0.5), "> 3.00 ms");
    }

    #[test]
    fn the_mean_counts_what_was_cut_off_with_what_it_had_waited() {
        let mean = |buckets| {
            latency_mean(&histogram(buckets)).map_or("none".to_owned(), |m| m.to_string())
        };
        assert_eq!(mean(&[(1, 3, 0), (5, 1, 0)]), "2.00 ms");
        assert_eq!(mean(&[(1, 3, 0), (5, 0, 1)]), "> 2.00 ms");
        assert_eq!(mean(&[]), "none");
    }

    proptest! {
        #[test]
        fn the_truth_is_never_below_what_is_told(
            latencies in proptest::collection::vec((1_u64..1000, any::<bool>(), 1_u64..1000), 1..80),
            q in 0.0_f64..1.0,
        ) {
            // Each request has a true latency; some were cut off before it.
            let mut seen: BTreeMap<u64, (u64, u64)> = Default::default();
            for &(truth, is_cut_off, cut) in &latencies {
                match is_cut_off {
                    true => seen.entry(cut.min(truth)).or_default().1 += 1,
                    false => seen.entry(truth).or_default().0 += 1,
                }
            }
            let buckets: Vec<_> = seen.iter().map(|(&ms, &(count, cut))| (ms, count, cut)).collect();
            let mut truths: Vec<u64> = latencies.iter().map(|&(truth, ..)| truth * 1_000_000).collect();
            truths.sort_unstable();
            let rank = usize::try_from(nearest_rank(q, truths.len() as u64).unwrap()).unwrap();
            let told = latency_quantile(&histogram(&buckets), q).unwrap();
            let truth = truths[rank - 1];
            prop_assert!(told.value.0 <= truth);
            if !told.is_bound {
                prop_assert!(agree(told.value, Nanos(truth)));
            }
            if let Some(high) = told.high {
                prop_assert!(truth <= high.0 && told.is_bound);
            }
        }
    }
}
