//! Statistics: plain data in, estimates out. No I/O, no clock, no randomness that is not seeded.

mod quantile;

pub use quantile::{latency_mean, latency_quantile};
