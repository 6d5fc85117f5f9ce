//! Statistics: plain data in, estimates out. No I/O, no clock, no randomness that is not seeded.

mod bootstrap;
mod change_date;
mod change_point;
mod moderated;
mod multiple;
mod noise;
mod pool;
mod quantile;
mod ranks;
mod scaling;
mod search;
mod sustained;
mod trend;

pub use bootstrap::{bootstrap_interval, bootstrap_mean};
pub use change_date::{Change, change_dates};
pub use change_point::change_points;
pub use moderated::{Estimated, Prior, Scatter, fit_prior, moderate, t_quantile};
pub use multiple::{adjusted, simes};
pub use noise::smallest_ratio;
pub use pool::Pool;
pub use quantile::{latency_figures, latency_mean, service_figures};
pub use ranks::{rank_sum_p, signed_rank_p};
pub use scaling::{Knee, LoadPoint, Usl, fit_usl, knee};
pub use search::{Interval, Ladder, Tried, interval, next_place};
pub use sustained::{Sustained, Votes, keeps_pace};
pub use trend::drifts;
