//! The first load on a stack: until it has come to rest.

use std::time::Duration;

use super::{Runner, StackContext};
use crate::launch::RunningStack;
use crate::model::{Failure, Measurement, Stage};
use crate::stats::latency_quantile;

/// A window of the warm-up.
const SECOND: Duration = Duration::from_secs(1);
/// An app may take so many seconds to its first answer.
const SILENT_SECONDS: u32 = 5;
/// The first load may take this many times what the spec asks for.
const WARM_UP_PATIENCE: u32 = 5;
/// How much two windows may differ in rate, and in median latency, to be alike: as shares, and
/// latencies by a tenth of a millisecond in any case.
const ALIKE_RATE: f64 = 0.05;
const ALIKE_MEDIAN: f64 = 0.1;
const ALIKE_NANOS: f64 = 100_000.0;

impl Runner<'_, '_> {
    /// The first load on a stack, which is not measured and has to be answered: second by second, at
    /// least for `least`, until two seconds are alike. Gives whether they were before patience ended.
    pub(super) async fn warm_up(
        &mut self,
        context: &StackContext<'_>,
        live: &mut dyn RunningStack,
        least: Duration,
    ) -> Result<bool, Failure> {
        let mut before: Option<Measurement> = None;
        let mut passed = Duration::ZERO;
        let mut answered = 0;
        loop {
            let now = self.load(context, context.first, live, SECOND, Stage::WarmUp).await?;
            passed += SECOND;
            answered += now.counts.completed;
            if answered == 0 && passed >= least.max(SECOND * SILENT_SECONDS) {
                let failed: Vec<String> = now
                    .counts
                    .failed
                    .iter()
                    .map(|(kind, count)| format!("{kind}: {count}"))
                    .collect();
                let of_these =
                    if failed.is_empty() { "none came".to_owned() } else { failed.join(", ") };
                return Err(Failure {
                    stage: Stage::WarmUp,
                    reason: format!(
                        "no request was answered as expected in {} s; of the last second's {}: {of_these}",
                        passed.as_secs(),
                        now.counts.planned
                    ),
                    log_tail: live.log_tail(),
                });
            }
            let is_steady = answered > 0 && before.is_some_and(|before| are_alike(&before, &now));
            if passed >= least && (is_steady || passed >= least * WARM_UP_PATIENCE) {
                return Ok(is_steady);
            }
            before = Some(now);
        }
    }
}

/// Whether two windows of load have the same rate and median latency.
#[expect(clippy::cast_precision_loss, reason = "counts and latencies stay below 2^53")]
fn are_alike(before: &Measurement, now: &Measurement) -> bool {
    let differ = |a: f64, b: f64, share: f64, by: f64| (a - b).abs() > (a.max(b) * share).max(by);
    let median = |window: &Measurement| {
        latency_quantile(&window.latency, 0.5).map_or(0.0, |figure| figure.value.0 as f64)
    };
    let rate = |window: &Measurement| window.counts.completed as f64;
    !differ(rate(before), rate(now), ALIKE_RATE, 1.0)
        && !differ(median(before), median(now), ALIKE_MEDIAN, ALIKE_NANOS)
}
