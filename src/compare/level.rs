//! The level of a metric over many datasets.

use super::Side;
use super::calibration::exact_values;
use super::effect::mean;
use crate::model::Metric;

/// The geometric mean of a metric over the cases of `like`, for each dataset; its arithmetic mean for the
/// share of failed requests. `None` for a dataset in which one of the cases is missing or a bound.
#[must_use]
pub fn levels(sides: &[Side], like: &Side, metric: Metric) -> Vec<Option<f64>> {
    let wanted = exact_values(&like.samples, metric);
    let level = |side: &Side| {
        let own = exact_values(&side.samples, metric);
        let of_case = |case| Some(mean(own.get(case)?.iter().copied()));
        let levels: Option<Vec<f64>> = wanted.keys().map(of_case).collect();
        let level = mean(levels.filter(|levels| !levels.is_empty())?.into_iter());
        Some(if metric == Metric::Errors { level } else { level.exp() })
    };
    sides.iter().map(level).collect()
}
