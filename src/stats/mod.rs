//! Statistics: plain data in, estimates out. No I/O, no clock, no randomness that is not seeded.

mod noise;
mod quantile;
mod search;
mod trend;

pub use noise::smallest_ratio;
pub use quantile::{
    latency_figures, latency_mean, latency_quantile, latency_quantile_ends, service_figures,
};
pub use search::{Interval, Ladder, Tried, interval, next_place};
pub use trend::drifts;
