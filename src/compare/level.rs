//! A metric over many datasets.

use std::collections::BTreeMap;

use super::Side;
use super::effect::{mean, to_scale};
use crate::model::{Case, Metric};

/// The geometric mean of a metric over the cases that all datasets have, for each dataset; its arithmetic
/// mean for the share of failed requests. `None` for a dataset of which nothing is comparable, or where a
/// figure is a bound.
#[must_use]
pub fn levels(sides: &[Side], metric: Metric) -> Vec<Option<f64>> {
    let values: Vec<BTreeMap<&Case, Vec<f64>>> =
        sides.iter().map(|side| values(side, metric)).collect();
    let known = || values.iter().filter(|own| !own.is_empty());
    let shared: Vec<&Case> = known().next().map_or(vec![], |first| {
        let is_shared = |case: &&Case| known().all(|own| own.contains_key(*case));
        first.keys().copied().filter(is_shared).collect()
    });
    let level = |own: &BTreeMap<&Case, Vec<f64>>| {
        let of_case = |case: &&Case| Some(mean(own.get(*case)?.iter().copied()));
        let levels: Option<Vec<f64>> = shared.iter().map(of_case).collect();
        let levels = levels.filter(|levels| !levels.is_empty())?;
        let level = mean(levels.into_iter());
        Some(if metric == Metric::Errors { level } else { level.exp() })
    };
    values.iter().map(level).collect()
}

fn values(side: &Side, metric: Metric) -> BTreeMap<&Case, Vec<f64>> {
    let mut values: BTreeMap<&Case, Vec<f64>> = BTreeMap::new();
    for sample in &side.samples {
        let figure = sample.comparable(metric).filter(|figure| !figure.is_bound);
        if let Some(value) = figure.and_then(|figure| to_scale(metric, figure.value)) {
            values.entry(&sample.case).or_default().push(value);
        }
    }
    values
}
