//! The rules as one table: thresholds, flags, percentiles, exit codes, and the defaults of comparisons.
//!
//! Everything that decides, explains or documents one of them takes it from here: `--help` and the
//! page are made of these items, and `tests/cli/rules.rs` compares the README with them.

mod exit_codes;
mod flags;
mod margins;
mod percentiles;
mod thresholds;

pub use exit_codes::Exit;
pub use flags::Flag;
pub use margins::{ALPHA, CONFIDENCE_LEVEL, DEFAULT_MARGIN, POWER};
pub use percentiles::{
    MIN_TAIL_REQUESTS, QUANTILES, Quantile, SERVICE_QUANTILES, is_supported, min_requests,
};
pub use thresholds::{
    MAX_CEILING_SHARE, MAX_FAILED_SHARE, MAX_FOREIGN_SHARE, MAX_IN_FLIGHT_REQUESTS,
    MAX_IN_FLIGHT_SHARE, MAX_LAG, MAX_LAG_SHARE, MAX_LOADER_BUSY_SHARE, MAX_STEAL_SHARE,
    MAX_SWAPPED_BYTES, MAX_UNFINISHED_SHARE, MIN_DRIFT_SECONDS, MIN_DRIFT_SHARE, MIN_DRIVEN_SHARE,
    MIN_FREQUENCY_PERMILLE, MIN_SUSTAINED_SHARE,
};
