//! The latency figures that are kept of a trial: its mean and its quantiles, by name.

use std::collections::BTreeMap;

use super::pool::Pool;
use crate::model::{Histogram, LatencyFigure, QUANTILES, Quantile, SERVICE_QUANTILES};
use crate::units::Nanos;

/// The figures that are kept of every trial, by name: the mean, and each of
/// [`QUANTILES`](crate::model::QUANTILES).
#[must_use]
pub fn latency_figures(histogram: &Histogram) -> BTreeMap<String, LatencyFigure> {
    let pool = Pool::new(&[histogram]);
    let quantile = |one: &Quantile| Some((one.name.to_owned(), pool.quantile(one.share)?));
    let mean = latency_mean(histogram).map(|mean| ("mean".to_owned(), mean));
    QUANTILES.iter().filter_map(quantile).chain(mean).collect()
}

/// The quantiles of service times that are kept of every trial, by name: of answered requests alone.
#[must_use]
pub fn service_figures(histogram: &Histogram) -> BTreeMap<String, LatencyFigure> {
    let pool = Pool::new(&[&histogram.service()]);
    let figures = SERVICE_QUANTILES.iter();
    figures.filter_map(|one| Some((one.name.to_owned(), pool.quantile(one.share)?))).collect()
}

/// The mean latency of every request that was completed or unfinished; `None` for an empty
/// distribution. A lower bound as soon as one request was unfinished: it counts with what it had
/// waited.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "latencies are shown to three digits"
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::pool::histogram;

    #[test]
    fn the_mean_counts_an_unfinished_request_with_what_it_had_waited() {
        let mean = |buckets| {
            latency_mean(&histogram(buckets)).map_or("none".to_owned(), |m| m.to_string())
        };
        assert_eq!(mean(&[(1, 3, 0), (5, 1, 0)]), "2.00 ms");
        assert_eq!(mean(&[(1, 3, 0), (5, 0, 1)]), "> 2.00 ms");
        assert_eq!(mean(&[]), "none");
    }
}
