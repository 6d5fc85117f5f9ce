//! What makes the verdicts of a comparison doubtful as a whole.

use super::effect::{Cell, pooled, to_change};
use super::{Rules, Side, gate};
use crate::model::Metric;

/// The share of cases that have to move one way before they are said to have moved together.
const TOGETHER: f64 = 0.9;
/// Fewer cases move together by chance.
const MIN_CASES: usize = 4;
/// A smaller common change is no news.
const MIN_CHANGE: f64 = 0.02;

/// Whether what had no reason to change has changed, nearly all of it in one direction.
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
    let told = [Metric::Rate, Metric::P50, Metric::P95].into_iter().filter_map(|metric| {
        let own: Vec<&Cell<'_>> =
            controls.iter().filter(|cell| cell.metric == metric).copied().collect();
        alarm(metric, &own, rules)
    });
    told.collect()
}

/// The variance between runs is left out on purpose: that the host moved is what is looked for.
fn alarm(metric: Metric, controls: &[&Cell<'_>], rules: &Rules) -> Option<String> {
    if controls.len() < MIN_CASES {
        return None;
    }
    let estimate = pooled(controls, None)?;
    let same_way = controls.iter().filter(|cell| cell.change() * estimate.value > 0.0).count();
    #[expect(clippy::cast_precision_loss, reason = "there are few cases")]
    let are_together = same_way as f64 >= controls.len() as f64 * TOGETHER;
    let change = to_change(metric, estimate.value);
    let is_alarming = are_together && change.abs() > MIN_CHANGE && estimate.p() < rules.alpha / 3.0;
    is_alarming.then(|| {
        format!(
            "{same_way} of {} cases whose components are the same on both sides moved one way in {}, by {:+.1} % on average: the host probably changed, and verdicts may be its doing",
            controls.len(),
            metric.title(),
            change * 100.0,
        )
    })
}
