//! A metric over many datasets.

use super::Side;
use super::calibration::{Values, by_case};
use super::effect::mean;
use crate::model::Metric;

/// The geometric mean of a metric over the cases of `like`, for each dataset; its arithmetic mean for the
/// share of failed requests. `None` for a dataset that lacks one of the cases, or has a bound instead of a
/// figure.
#[must_use]
pub fn levels(sides: &[Side], like: &Side, metric: Metric) -> Vec<Option<f64>> {
    let wanted = by_case(&like.samples, metric);
    let level = |side: &Side| {
        let has_bound = side
            .samples
            .iter()
            .any(|sample| sample.comparable(metric).is_some_and(|figure| figure.is_bound));
        let own: Values = by_case(&side.samples, metric);
        let of_case = |case| Some(mean(own.get(case)?.iter().copied()));
        let levels: Option<Vec<f64>> = wanted.keys().map(of_case).collect();
        let levels = levels.filter(|levels| !levels.is_empty() && !has_bound)?;
        let level = mean(levels.into_iter());
        Some(if metric == Metric::Errors { level } else { level.exp() })
    };
    sides.iter().map(level).collect()
}
