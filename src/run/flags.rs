//! What a reader must know before trusting a trial: the flags that its record raises.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::{
    Ceiling, Disturbance, Flag, LatencyFigure, Measurement, Outcome, Part, Profile, TrialRecord,
    rules,
};
use crate::stats::drifts;

/// How the load of a trial was offered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offer {
    /// The length of the window.
    pub duration: Duration,
    /// How the rate moved.
    pub profile: Profile,
    /// Whether it went through a published port.
    pub is_published: bool,
}

/// The flags of a trial, in the order of [`Flag::ALL`].
pub(super) fn of(record: &TrialRecord, offer: Offer) -> Vec<Flag> {
    let Offer { duration, profile, is_published } = offer;
    let trial = Observed { record, duration, profile };
    let measured = match &record.outcome {
        Outcome::Measured(measurement) => Some(measurement),
        Outcome::Failed(_) => None,
    };
    let is_raised = |flag: &Flag| match (flag, measured) {
        (Flag::CpusShared, _) => record.placement.shared,
        (Flag::PathPublished, _) => is_published,
        (_, None) => false,
        (Flag::RequestsFailed, Some(measured)) => measured.counts.too_many_failed(),
        (Flag::LoaderLimited, Some(measured)) => trial.is_loader_limited(measured),
        (Flag::PacerLate, Some(measured)) => is_late(measured, &record.figures),
        // Where the rate changes, so does the latency.
        (Flag::NotSteady, Some(measured)) => profile.is_constant() && is_unsteady(measured),
        (Flag::HostBusy, Some(measured)) => {
            let cpus = record.placement.all().len();
            measured.disturbance.is_some_and(|others| is_busy(others, duration, cpus))
        }
        (Flag::HostSlowed, Some(measured)) => measured.disturbance.is_some_and(is_slowed),
        (Flag::HostSwapped, Some(measured)) => measured.disturbance.is_some_and(has_swapped),
        (Flag::Inconsistent, Some(measured)) => trial.is_inconsistent(measured),
    };
    Flag::ALL.into_iter().filter(is_raised).collect()
}

/// The rate of a trial that the loader drove on time and that was answered: a lower bound of what it
/// can drive.
#[must_use]
pub fn driven_rps(record: &TrialRecord) -> Option<u32> {
    match &record.outcome {
        Outcome::Measured(measured) if is_driven(measured, &record.figures) => {
            // On average, where the rate changes.
            let seconds = (measured.window().len() as u64).max(1);
            let rps = (record.trial.case.target_rps.milli() / 1000)
                .min(measured.counts.planned / seconds);
            u32::try_from(rps).ok().filter(|&rps| rps > 0)
        }
        _ => None,
    }
}

/// Whether the loader kept to its schedule, and nearly all requests were answered.
#[expect(clippy::cast_precision_loss, reason = "counts of requests stay below 2^53")]
pub(super) fn is_driven(measured: &Measurement, figures: &Figures) -> bool {
    let counts = &measured.counts;
    let is_answered =
        counts.completed_in_window() as f64 >= counts.planned as f64 * rules::MIN_DRIVEN_SHARE;
    measured.loader.is_some() && !is_late(measured, figures) && is_answered
}

/// Whether the loader released requests too late.
#[expect(clippy::cast_precision_loss, reason = "times stay below 2^53")]
fn is_late(measured: &Measurement, figures: &Figures) -> bool {
    let p99 = figures.get("p99").map_or(0.0, |figure| figure.value.0 as f64);
    let most = (p99 * rules::MAX_LAG_SHARE).max(rules::MAX_LAG.0 as f64);
    measured.loader.is_some_and(|loader| loader.lag_p99.0 as f64 > most)
}

/// Whether the host disturbed a load on so many CPUs.
pub(super) fn is_disturbed(others: Disturbance, duration: Duration, cpus: usize) -> bool {
    is_busy(others, duration, cpus) || is_slowed(others) || has_swapped(others)
}

/// Latency figures by name.
type Figures = BTreeMap<String, LatencyFigure>;

struct Observed<'trial> {
    record: &'trial TrialRecord,
    duration: Duration,
    profile: Profile,
}

#[expect(clippy::cast_precision_loss, reason = "counts and times stay below 2^53")]
impl Observed<'_> {
    fn is_loader_limited(&self, measured: &Measurement) -> bool {
        let target = self.record.trial.case.target_rps.as_f64() * self.profile.peak();
        // A loader that kept to its schedule was not limited, whatever was measured before.
        let is_limit = |ceiling: Ceiling| {
            !ceiling.is_bound && target > f64::from(ceiling.rps) * rules::MAX_CEILING_SHARE
        };
        let is_near =
            is_late(measured, &self.record.figures) && self.record.ceiling.is_some_and(is_limit);
        let cpus = self.record.placement.loader.len().max(1) as f64;
        let room = self.duration.as_secs_f64() * cpus;
        let polled = measured.loader.map_or(0.0, |loader| loader.polled.as_secs_f64());
        let used = measured.usage(Part::Loader).map_or(0.0, |usage| usage.cpu.as_secs_f64());
        let used = used - polled;
        // Where parts share CPUs, what a CPU did says nothing of the loader.
        let busiest = measured.disturbance.and_then(|others| others.busiest_loader_cpu);
        let busiest = busiest.filter(|_| !self.record.placement.shared);
        let most = self.duration.as_secs_f64() * rules::MAX_LOADER_BUSY_SHARE;
        is_near
            || used > room * rules::MAX_LOADER_BUSY_SHARE
            || busiest.is_some_and(|busy| busy.as_secs_f64() - polled / cpus > most)
    }

    /// Little 1961, *A Proof for the Queuing Formula L = λW*, over window and drain. Unfinished
    /// requests are on neither side.
    fn is_inconsistent(&self, measured: &Measurement) -> bool {
        let Some(loader) = measured.loader else { return false };
        let served = measured.latency.service();
        let time: f64 = served
            .buckets
            .iter()
            .map(|bucket| bucket.low.0 as f64 * bucket.count as f64 / 1e9)
            .sum();
        let expected = time / (self.duration.as_secs_f64() + measured.drain.as_secs_f64());
        // Wrong answers are in flight as well, and have no service time that is kept.
        let apart = (loader.in_flight() - expected).abs();
        measured.counts.failed_total() == 0
            && apart > (expected * rules::MAX_IN_FLIGHT_SHARE).max(rules::MAX_IN_FLIGHT_REQUESTS)
    }
}

/// Whether others used so many CPUs.
#[expect(clippy::cast_precision_loss, reason = "counts of CPUs stay below 2^53")]
fn is_busy(others: Disturbance, duration: Duration, cpus: usize) -> bool {
    let room = duration.as_secs_f64() * cpus as f64;
    others.is_beside_another_run
        || others.foreign.as_secs_f64() > room * rules::MAX_FOREIGN_SHARE
        || others.steal.as_secs_f64() > room * rules::MAX_STEAL_SHARE
}

/// Whether memory went to swap or came from it.
fn has_swapped(others: Disturbance) -> bool {
    others.swapped_bytes.is_some_and(|bytes| bytes > rules::MAX_SWAPPED_BYTES)
}

/// Whether the CPUs were slower at the end than at the beginning, or too hot.
fn is_slowed(others: Disturbance) -> bool {
    others.frequency_kept_permille.is_some_and(|kept| kept < rules::MIN_FREQUENCY_PERMILLE)
        || others.thermal_throttles.is_some_and(|times| times > 0)
}

/// Whether the second half of a trial is not like the first: of one that is overloaded the rate,
/// since its latency has to grow; of any other the latency.
#[expect(clippy::cast_precision_loss, reason = "counts and times stay below 2^53")]
fn is_unsteady(measured: &Measurement) -> bool {
    let is_saturated = measured.counts.censored as f64
        > measured.counts.planned as f64 * rules::MAX_UNFINISHED_SHARE;
    let values = measured.window().iter().filter_map(|second| match is_saturated {
        true => Some(second.completed as f64),
        false => second.latency.map(|latency| latency.p50.0 as f64),
    });
    drifts(&values.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::UnixMillis;
    use crate::id::TrialId;
    use crate::model::{
        Bucket, Case, Counts, Histogram, LoaderHealth, Placement, ResourceSample, TimelineLatency,
        TimelineSecond, Trial,
    };
    use crate::units::Nanos;

    const OFFER: Offer = Offer {
        duration: Duration::from_secs(10),
        profile: Profile::Constant,
        is_published: false,
    };
    const MILLISECOND: u64 = 1_000_000;

    /// A trial of 100 requests per second, each of 10 ms, that nothing is wrong with.
    fn measured() -> Measurement {
        let second = |second| TimelineSecond {
            second,
            planned: 100,
            completed: 100,
            failed: 0,
            latency: Some(TimelineLatency { p50: Nanos(10 * MILLISECOND), ..all_zero() }),
        };
        let bucket = Bucket {
            low: Nanos(10 * MILLISECOND),
            high: Nanos(10 * MILLISECOND),
            count: 1000,
            served: 1000,
            censored: 0,
        };
        Measurement {
            counts: Counts { planned: 1000, sent: 1000, completed: 1000, ..Counts::default() },
            latency: Histogram { buckets: vec![bucket] },
            timeline: (0..10).map(second).collect(),
            loader: Some(LoaderHealth { in_flight_milli: 1000, ..LoaderHealth::default() }),
            disturbance: Some(Disturbance::default()),
            ..Measurement::default()
        }
    }

    fn all_zero() -> TimelineLatency {
        TimelineLatency { p50: Nanos(0), p95: Nanos(0), p99: Nanos(0), max: Nanos(0) }
    }

    fn record(measurement: Measurement, ceiling_rps: u32) -> TrialRecord {
        let cpus = |cpus: &str| cpus.parse().unwrap();
        let p99 = LatencyFigure::exact(Nanos(10 * MILLISECOND));
        TrialRecord {
            trial: Trial {
                id: TrialId(0),
                position: 0,
                block: 0,
                case: Case { concurrency: 10, ..Case::at(100) },
            },
            started: UnixMillis(0),
            placement: Placement {
                loader: cpus("0"),
                app: cpus("1"),
                store: cpus("2-3"),
                shared: false,
            },
            flags: vec![],
            figures: BTreeMap::from([("p99".to_owned(), p99)]),
            outcome: Outcome::Measured(measurement),
            stack_times: None,
            ceiling: Some(Ceiling { rps: ceiling_rps, is_bound: false }),
            earlier_failures: vec![],
        }
    }

    /// A loader that was busy for 86 % of the time.
    fn busy_loader_usage() -> Vec<ResourceSample> {
        let (offset, cpu) = (Nanos(10_000 * MILLISECOND), Nanos(8_600 * MILLISECOND));
        let part = Part::Loader;
        vec![ResourceSample { part, offset, cpu, memory_bytes: 0, throttled: None }]
    }

    #[test]
    fn a_good_trial_has_no_flag_and_each_trouble_its_own() {
        let raised = |change: fn(&mut Measurement)| {
            let mut measurement = measured();
            change(&mut measurement);
            of(&record(measurement, 1000), OFFER)
        };
        assert_eq!(raised(|_| {}), []);
        assert_eq!(
            of(&record(measured(), 1000), Offer { is_published: true, ..OFFER }),
            [Flag::PathPublished]
        );
        let busy_loader = raised(|measured| measured.resources = busy_loader_usage());
        assert_eq!(busy_loader, [Flag::LoaderLimited]);
        let polling = raised(|measured| {
            measured.resources = busy_loader_usage();
            let polled = Nanos(1_000 * MILLISECOND);
            measured.loader = measured.loader.map(|loader| LoaderHealth { polled, ..loader });
        });
        assert_eq!(polling, [], "waiting for the next planned moment is no work");
        let lag = |milliseconds| LoaderHealth {
            lag_p99: Nanos(milliseconds * MILLISECOND),
            in_flight_milli: 1000,
            ..LoaderHealth::default()
        };
        assert_eq!(
            of(&record(Measurement { loader: Some(lag(2)), ..measured() }, 1000), OFFER),
            []
        );
        let late = Measurement { loader: Some(lag(3)), ..measured() };
        assert_eq!(of(&record(late, 1000), OFFER), [Flag::PacerLate]);
        let mut drifting = measured();
        for second in &mut drifting.timeline {
            let p50 = Nanos(u64::from(10 + second.second) * MILLISECOND);
            second.latency = Some(TimelineLatency { p50, ..all_zero() });
        }
        let drifting = record(drifting, 1000);
        assert_eq!(of(&drifting, OFFER), [Flag::NotSteady]);
        let ramp = Offer { profile: Profile::Ramp, ..OFFER };
        assert_eq!(of(&drifting, ramp), [], "where the rate changes, so may the latency");
        // Four CPUs for ten seconds: four seconds of others, or 0.4 taken away, are the most.
        let others = |foreign, steal| Disturbance {
            foreign: Nanos(foreign),
            steal: Nanos(steal),
            ..Disturbance::default()
        };
        for (disturbance, flags) in [
            (others(4_000 * MILLISECOND, 400 * MILLISECOND), &[][..]),
            (others(4_001 * MILLISECOND, 0), &[Flag::HostBusy][..]),
            (others(0, 401 * MILLISECOND), &[Flag::HostBusy][..]),
        ] {
            let measurement = Measurement { disturbance: Some(disturbance), ..measured() };
            assert_eq!(of(&record(measurement, 1000), OFFER), flags);
        }
        let apart = raised(|measured| {
            measured.loader =
                Some(LoaderHealth { in_flight_milli: 1600, ..LoaderHealth::default() });
        });
        assert_eq!(apart, [Flag::Inconsistent]);
    }

    /// A trial of 100 requests per second that the loader released so late.
    fn late(lag: Nanos, ceiling: Option<Ceiling>) -> TrialRecord {
        let loader = LoaderHealth { lag_p99: lag, in_flight_milli: 1000, ..Default::default() };
        let measurement = Measurement { loader: Some(loader), ..measured() };
        TrialRecord { ceiling, ..record(measurement, 0) }
    }

    #[test]
    fn a_ceiling_limits_a_trial_only_when_the_loader_was_late_and_it_is_no_lower_bound() {
        let on_time = Nanos(2 * MILLISECOND);
        let too_late = Nanos(2 * MILLISECOND + 1);
        let limit = |rps| Some(Ceiling { rps, is_bound: false });
        let bound = |rps| Some(Ceiling { rps, is_bound: true });
        for (lag, ceiling, flags) in [
            (on_time, limit(1), &[][..]),
            (on_time, limit(124), &[][..]),
            // 100 of 124 is above four fifths, 100 of 125 is not.
            (too_late, limit(124), &[Flag::LoaderLimited, Flag::PacerLate][..]),
            (too_late, limit(125), &[Flag::PacerLate][..]),
            (too_late, bound(1), &[Flag::PacerLate][..]),
            (too_late, None, &[Flag::PacerLate][..]),
        ] {
            let record = late(lag, ceiling);
            assert_eq!(of(&record, OFFER), flags, "{lag:?} {ceiling:?}");
        }
        // One request in twenty of a p99 of 100 ms: 5 ms.
        for (lag, is_late) in [(5 * MILLISECOND, false), (5 * MILLISECOND + 1, true)] {
            let mut record = late(Nanos(lag), limit(124));
            record.figures.get_mut("p99").unwrap().value = Nanos(100 * MILLISECOND);
            let flags = of(&record, OFFER);
            assert_eq!(flags.contains(&Flag::LoaderLimited), is_late, "{lag}");
        }
    }

    #[test]
    fn a_trial_that_was_driven_on_time_and_answered_proves_its_rate() {
        let answered = |completed, lag| {
            let mut record = late(Nanos(lag), None);
            let Outcome::Measured(measured) = &mut record.outcome else { unreachable!() };
            measured.counts.completed = completed;
            driven_rps(&record)
        };
        assert_eq!(answered(1000, 2 * MILLISECOND), Some(100));
        assert_eq!(answered(1000, 2 * MILLISECOND + 1), None);
        // Of 1000 that were planned.
        assert_eq!(answered(980, 0), Some(100));
        assert_eq!(answered(979, 0), None);
        let mut computed = late(Nanos(0), None);
        let Outcome::Measured(measured) = &mut computed.outcome else { unreachable!() };
        measured.loader = None;
        assert_eq!(driven_rps(&computed), None, "a computed load proves nothing");
    }

    #[test]
    fn what_the_host_does_raises_its_flags() {
        for (busy, flags) in [(8_500, &[][..]), (8_501, &[Flag::LoaderLimited][..])] {
            let busiest_loader_cpu = Some(Nanos(busy * MILLISECOND));
            let others = Disturbance { busiest_loader_cpu, ..Disturbance::default() };
            let mut record = record(Measurement { disturbance: Some(others), ..measured() }, 1000);
            assert_eq!(of(&record, OFFER), flags);
            record.placement.shared = true;
            assert_eq!(of(&record, OFFER), [Flag::CpusShared]);
        }
        let host = |change: fn(&mut Disturbance)| {
            let mut others = Disturbance::default();
            change(&mut others);
            let measurement = Measurement { disturbance: Some(others), ..measured() };
            of(&record(measurement, 1000), OFFER)
        };
        assert_eq!(host(|others| others.frequency_kept_permille = Some(900)), []);
        assert_eq!(host(|others| others.frequency_kept_permille = Some(899)), [Flag::HostSlowed]);
        assert_eq!(host(|others| others.is_beside_another_run = true), [Flag::HostBusy]);
        assert_eq!(host(|others| others.thermal_throttles = Some(0)), []);
        assert_eq!(host(|others| others.thermal_throttles = Some(1)), [Flag::HostSlowed]);
        assert_eq!(host(|others| others.swapped_bytes = Some(1 << 20)), []);
        assert_eq!(host(|others| others.swapped_bytes = Some((1 << 20) + 1)), [Flag::HostSwapped]);
    }
}
