//! A latency distribution in buckets.

use serde::{Deserialize, Serialize};

use crate::units::Nanos;

/// One bucket of a latency distribution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// The lowest latency that falls into it.
    pub low: Nanos,
    /// The highest latency that falls into it.
    pub high: Nanos,
    /// Requests that were answered with a latency in this bucket.
    pub count: u64,
    /// Unfinished requests that had waited this long: their latency is
    /// longer.
    pub censored: u64,
    /// Requests that were answered this long after a connection had taken them up.
    #[serde(default)]
    pub served: u64,
}

/// A latency distribution: disjoint buckets in ascending order, none of them empty.
///
/// The bounds are those of an HDR histogram with three significant digits, the same for every
/// trial, so that two distributions are merged by adding counts of equal buckets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Histogram {
    /// The buckets.
    pub buckets: Vec<Bucket>,
}

impl Histogram {
    /// The distribution of the times from sending a request to its answer.
    #[must_use]
    pub fn service(&self) -> Self {
        let own = self.buckets.iter().filter(|bucket| bucket.served > 0);
        let served = |bucket: &Bucket| Bucket { count: bucket.served, censored: 0, ..*bucket };
        Self { buckets: own.map(served).collect() }
    }

    /// Answered requests.
    #[must_use]
    pub fn completed(&self) -> u64 {
        self.buckets.iter().fold(0, |sum, bucket| sum.saturating_add(bucket.count))
    }

    /// Unfinished requests.
    #[must_use]
    pub fn censored(&self) -> u64 {
        self.buckets.iter().fold(0, |sum, bucket| sum.saturating_add(bucket.censored))
    }
}
