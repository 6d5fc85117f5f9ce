//! The highest rate that a stack sustains.

use serde::{Deserialize, Serialize};

use super::{Slo, Stack};
use crate::units::Rps;

/// What came of a search, for a stack and a number of connections.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capacity {
    /// The stack.
    pub stack: Stack,
    /// Connections of the loader.
    pub concurrency: u32,
    /// What was to be kept.
    pub slo: Slo,
    /// The highest rate that kept it; `None` when none did.
    pub low_rps: Option<Rps>,
    /// The lowest rate above that did not, or where it is not known; `None` when there is none.
    pub high_rps: Option<Rps>,
    /// Whether it is not known that the higher rate did not: trials were disturbed, or unfinished
    /// requests hide a percentile.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_high_unknown: bool,
    /// Whether the search came to its end; otherwise trials failed, or ran out.
    pub is_final: bool,
    /// Whether it was the loader that did not keep up at the higher rate.
    pub is_loader_limited: bool,
    /// Trials of the search, which its SLOs share.
    pub trials: u64,
}
