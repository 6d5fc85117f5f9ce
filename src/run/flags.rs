//! What a reader must know before trusting a trial: the flags that its record raises.

use std::time::Duration;

use crate::model::{Flag, Measurement, Outcome, Part, TrialRecord};
use crate::stats::drifts;
use crate::units::Nanos;

/// The share of the loader's ceiling above which a trial says as much of the loader as of the app.
const MOST_OF_CEILING: f64 = 0.8;
/// How busy the loader's CPUs may be.
const MOST_LOADER_BUSY: f64 = 0.85;
/// How late one request in a hundred may be released: the larger of a time and of a share of the
/// latency that as many exceed.
const MOST_LAG: Nanos = Nanos(2_000_000);
const MOST_LAG_SHARE: f64 = 0.05;
/// The share of cut-off requests from which on the load is more than the stack can take.
const SATURATED: f64 = 0.01;
/// How much of the trial's CPUs others may use, and the hypervisor may take.
const MOST_FOREIGN: f64 = 0.10;
const MOST_STEAL: f64 = 0.01;
/// How much requests in flight may differ from rate times service time: as a share, and by half a
/// request in any case.
const MOST_APART: f64 = 0.05;
const MOST_APART_REQUESTS: f64 = 0.5;

/// The flags of a trial that offered load for `duration`, in the order of [`Flag::ALL`].
pub(super) fn of(record: &TrialRecord, duration: Duration, is_published: bool) -> Vec<Flag> {
    let trial = Look { record, duration, is_published };
    let measured = match &record.outcome {
        Outcome::Measured(measurement) => Some(measurement),
        Outcome::Failed(_) => None,
    };
    let is_raised = |flag: &Flag| match (flag, measured) {
        (Flag::CpusShared, _) => record.placement.shared,
        (Flag::PathPublished, _) => trial.is_published,
        (_, None) => false,
        (Flag::RequestsFailed, Some(measured)) => measured.counts.too_many_failed(),
        (Flag::LoaderLimited, Some(measured)) => trial.is_loader_limited(measured),
        (Flag::PacerLate, Some(measured)) => trial.is_pacer_late(measured),
        (Flag::NotSteady, Some(measured)) => is_unsteady(measured),
        (Flag::HostBusy, Some(_)) => trial.is_host_busy(),
        (Flag::Inconsistent, Some(measured)) => trial.is_inconsistent(measured),
    };
    Flag::ALL.into_iter().filter(is_raised).collect()
}

struct Look<'trial> {
    record: &'trial TrialRecord,
    duration: Duration,
    is_published: bool,
}

#[expect(clippy::cast_precision_loss, reason = "counts and times stay below 2^53")]
impl Look<'_> {
    fn is_loader_limited(&self, measured: &Measurement) -> bool {
        let target = f64::from(self.record.trial.case.target_rps);
        let is_near = self
            .record
            .ceiling
            .is_some_and(|ceiling| target > f64::from(ceiling.rps) * MOST_OF_CEILING);
        let room = self.duration.as_secs_f64() * self.record.placement.loader.len() as f64;
        let used = measured.usage(Part::Loader).map_or(0.0, |usage| usage.cpu.as_secs_f64());
        is_near || used > room * MOST_LOADER_BUSY
    }

    fn is_pacer_late(&self, measured: &Measurement) -> bool {
        let p99 = self.record.figures.get("p99").map_or(0.0, |figure| figure.value.0 as f64);
        let most = (p99 * MOST_LAG_SHARE).max(MOST_LAG.0 as f64);
        measured.loader.is_some_and(|loader| loader.lag_p99.0 as f64 > most)
    }

    fn is_host_busy(&self) -> bool {
        let room = self.duration.as_secs_f64() * self.record.placement.all().len() as f64;
        self.record.disturbance.is_some_and(|others| {
            others.foreign.as_secs_f64() > room * MOST_FOREIGN
                || others.steal.as_secs_f64() > room * MOST_STEAL
        })
    }

    /// Little 1961, *A Proof for the Queuing Formula L = λW*. What was cut off in flight is in
    /// neither side.
    fn is_inconsistent(&self, measured: &Measurement) -> bool {
        let Some(loader) = measured.loader else { return false };
        let served = measured.latency.service();
        let time: f64 = served
            .buckets
            .iter()
            .map(|bucket| bucket.low.0 as f64 * bucket.count as f64 / 1e9)
            .sum();
        let expected = time / self.duration.as_secs_f64();
        // Wrong answers are in flight as well, and have no service time that is kept.
        let apart = (loader.in_flight() - expected).abs();
        measured.counts.failed_total() == 0
            && apart > (expected * MOST_APART).max(MOST_APART_REQUESTS)
    }
}

/// Whether the second half of a trial is not like the first: of one that is overloaded the rate,
/// since its latency has to grow; of any other the latency.
#[expect(clippy::cast_precision_loss, reason = "counts and times stay below 2^53")]
fn is_unsteady(measured: &Measurement) -> bool {
    let is_saturated = measured.counts.censored as f64 > measured.counts.planned as f64 * SATURATED;
    let values = measured.timeline.iter().filter_map(|second| match is_saturated {
        true => Some(second.completed as f64),
        false => second.latency.map(|latency| latency.p50.0 as f64),
    });
    drifts(&values.collect::<Vec<_>>())
}
