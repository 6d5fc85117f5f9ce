//! Reasons to doubt all verdicts of a comparison.

use super::effect::{Cell, pooled, to_change};
use super::{Rules, Side, gate};
use crate::model::Metric;

/// The share of cases that have to change in one direction to count as a common change.
const TOGETHER: f64 = 0.9;
/// Fewer cases may change in one direction by chance.
const MIN_CASES: usize = 4;
/// A smaller common change is not reported.
const MIN_CHANGE: f64 = 0.02;

/// Whether nearly all cases with the same components on both sides changed in one direction.
pub(super) fn alarms(
    before: &Side,
    after: &Side,
    cells: &[Cell<'_>],
    rules: &Rules,
) -> Vec<String> {
    let is_control = |cell: &&Cell<'_>| {
        let stack = &cell.case.stack;
        cell.is_comparable()
            && cell.is_repeated()
            && gate::unchanged(
                &before.manifest,
                &after.manifest,
                [stack.app.as_str(), stack.store.as_str()],
            )
    };
    let controls: Vec<&Cell<'_>> = cells.iter().filter(is_control).collect();
    let alarms = [Metric::Rate, Metric::P50, Metric::P95].into_iter().filter_map(|metric| {
        let own: Vec<&Cell<'_>> =
            controls.iter().filter(|cell| cell.metric == metric).copied().collect();
        alarm(metric, &own, rules)
    });
    alarms.collect()
}

/// The variance between runs is left out on purpose: a change of the host is what is to be found.
fn alarm(metric: Metric, controls: &[&Cell<'_>], rules: &Rules) -> Option<String> {
    if controls.len() < MIN_CASES {
        return None;
    }
    let estimate = pooled(controls, None)?;
    let same_direction =
        controls.iter().filter(|cell| cell.change() * estimate.value > 0.0).count();
    #[expect(clippy::cast_precision_loss, reason = "there are few cases")]
    let are_together = same_direction as f64 >= controls.len() as f64 * TOGETHER;
    let change = to_change(metric, estimate.value);
    let is_alarming = are_together && change.abs() > MIN_CHANGE && estimate.p() < rules.alpha / 3.0;
    is_alarming.then(|| {
        format!(
            "{same_direction} of {} cases whose components are the same on both sides changed in one direction in {}, by {:+.1} % on average: the host probably changed, which may explain the verdicts",
            controls.len(),
            metric.title(),
            change * 100.0,
        )
    })
}
