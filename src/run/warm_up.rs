//! The first load on a stack: until it has come to rest.

use std::time::Duration;

use super::{Runner, StackContext};
use crate::launch::RunningStack;
use crate::model::{Failure, Limits, Measurement, Stage};
use crate::stats::Pool;

/// A window of the warm-up; it is doubled until an app that is slow has answered in one.
const SECOND: Duration = Duration::from_secs(1);
/// The first load may take this many times what the spec asks for.
const WARM_UP_PATIENCE: u32 = 5;
/// How much two windows may differ in rate, and in median latency, to be alike: as shares, and
/// latencies by a tenth of a millisecond in any case.
const ALIKE_RATE: f64 = 0.05;
const ALIKE_MEDIAN: f64 = 0.1;
const ALIKE_NANOS: f64 = 100_000.0;

impl Runner<'_, '_> {
    /// The first load on a stack, which is not measured and has to be answered: window by window,
    /// at least for `least`, until two are alike. Gives whether they were before patience ended.
    pub(super) async fn warm_up(
        &mut self,
        context: &StackContext<'_>,
        live: &mut dyn RunningStack,
        least: Duration,
    ) -> Result<bool, Failure> {
        // An app may take so long to its first answer.
        let app = self.request.bundle.component(&context.stack.app);
        let answer_limit = app.map_or_else(Limits::default, |app| app.limits).answer.0;
        let mut before: Option<Measurement> = None;
        let mut passed = Duration::ZERO;
        let mut window = SECOND;
        loop {
            let now = self.load(context, context.first, live, window, Stage::WarmUp).await?;
            passed += window;
            if now.counts.completed == 0 && before.is_none() {
                if passed < least.max(answer_limit) {
                    window *= 2;
                    continue;
                }
                return Err(silent(&now, passed, live));
            }
            let is_steady = before.is_some_and(|before| are_alike(&before, &now));
            if passed >= least && (is_steady || passed >= least * WARM_UP_PATIENCE) {
                return Ok(is_steady);
            }
            before = Some(now);
        }
    }
}

/// No window of the first load had an answer as expected; `last` is the last of them.
fn silent(last: &Measurement, passed: Duration, live: &dyn RunningStack) -> Failure {
    let failed = last.counts.failed.iter().map(|(kind, count)| format!("{kind}: {count}"));
    let failed: Vec<String> = failed.collect();
    let came = if failed.is_empty() { "none came".to_owned() } else { failed.join(", ") };
    Failure {
        stage: Stage::WarmUp,
        reason: format!(
            "no request was answered as expected in {} s; of the last {} requests: {came}",
            passed.as_secs(),
            last.counts.planned
        ),
        log_tail: live.log_tail(),
    }
}

/// Whether two windows of load have the same rate and median latency.
#[expect(clippy::cast_precision_loss, reason = "counts and latencies stay below 2^53")]
fn are_alike(before: &Measurement, now: &Measurement) -> bool {
    let differ = |a: f64, b: f64, share: f64, by: f64| (a - b).abs() > (a.max(b) * share).max(by);
    let median = |window: &Measurement| {
        let median = Pool::new(&[&window.latency]).quantile(0.5);
        median.map_or(0.0, |figure| figure.value.0 as f64)
    };
    let rate = |window: &Measurement| window.counts.completed_in_window() as f64;
    !differ(rate(before), rate(now), ALIKE_RATE, 1.0)
        && !differ(median(before), median(now), ALIKE_MEDIAN, ALIKE_NANOS)
}
