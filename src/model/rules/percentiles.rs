//! The percentiles that are stored of each trial.

/// A quantile that is kept of each trial.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantile {
    /// The share of requests that it covers.
    pub share: f64,
    /// Its name in columns, such as `p99_9`.
    pub name: &'static str,
    /// The first version of the tables that has it.
    pub since: u32,
}

impl Quantile {
    /// The `share` quantile, called `name`, in the tables from version `since` on.
    #[must_use]
    pub const fn new(share: f64, name: &'static str, since: u32) -> Self {
        Self { share, name, since }
    }

    /// Its name in text, such as `p99.9`.
    #[must_use]
    pub fn label(&self) -> String {
        self.name.replace('_', ".")
    }
}

/// The quantiles of latency that are kept of each trial. To keep another, add it here, with the next
/// version of the tables.
pub const QUANTILES: [Quantile; 6] = [
    Quantile::new(0.5, "p50", 1),
    Quantile::new(0.9, "p90", 1),
    Quantile::new(0.95, "p95", 1),
    Quantile::new(0.99, "p99", 1),
    Quantile::new(0.999, "p99_9", 1),
    Quantile::new(0.9999, "p99_99", 1),
];

/// The quantiles of service times, from sending to answer.
pub const SERVICE_QUANTILES: [Quantile; 3] = [
    Quantile::new(0.5, "service_p50", 3),
    Quantile::new(0.95, "service_p95", 3),
    Quantile::new(0.99, "service_p99", 3),
];

/// Requests beyond a quantile that make it a measurement: with fewer, a few requests decide it.
pub const MIN_TAIL_REQUESTS: u32 = 10;

/// The fewest requests that support a quantile: 1,000 for 0.99, and 10,000 for 0.999.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a positive count; `as` saturates for a quantile of 1"
)]
pub fn min_requests(q: f64) -> u64 {
    // Rounded, since 1 − 0.99 is not exact.
    (f64::from(MIN_TAIL_REQUESTS) / (1.0 - q)).round() as u64
}

/// Whether so many requests support a quantile.
#[must_use]
pub fn is_supported(q: f64, requests: u64) -> bool {
    requests >= min_requests(q)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_needs_ten_requests_beyond_it() {
        let needed = QUANTILES.map(|one| min_requests(one.share));
        assert_eq!(needed, [20, 100, 200, 1000, 10_000, 100_000]);
        assert!(is_supported(0.99, 1000) && !is_supported(0.99, 999));
    }
}
