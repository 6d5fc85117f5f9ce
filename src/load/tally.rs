//! From single requests to what is kept of a trial.

use std::collections::BTreeMap;

use super::{LoadRequest, Recorder};
use crate::model::{Counts, LoaderHealth, Measurement, TimelineLatency, TimelineSecond};
use crate::units::Nanos;

/// A request that was answered. Times count from the loader's start.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    /// When the pacer released it.
    pub released: Nanos,
    /// When a connection had taken it up.
    pub sent: Nanos,
    /// When the answer was whole.
    pub ended: Nanos,
    /// The HTTP status.
    pub status: u16,
    /// Length of the body in bytes.
    pub bytes: u64,
}

/// Requests that got no answer.
#[derive(Clone, Debug, Default)]
pub(super) struct Unanswered {
    /// By the loader's own words, the deadline's doing left out.
    pub failed: BTreeMap<String, u64>,
    /// Connections that were cut off at the deadline; some of them had no request under way.
    pub cut_off: u64,
}

/// Counts, distribution and timeline of a trial.
///
/// The schedule offers `target × duration` requests. Those that are neither completed nor failed
/// were cut off by the deadline. Since the loader takes requests up in the order of their release,
/// nearly all of them are the last of the schedule; each had waited from its planned moment to the
/// deadline. (One that hung from earlier on had waited longer: what is told of it is a lower bound.)
pub(super) fn tally(
    request: &LoadRequest<'_>,
    answers: &mut [Answer],
    unanswered: &Unanswered,
) -> Measurement {
    let mut counts = Counts { failed: unanswered.failed.clone(), ..Counts::default() };
    let mut recorder = Recorder::default();
    let mut seconds = Seconds::new(request);
    answers.sort_unstable_by_key(|answer| answer.released);
    let pace = Pace::of(request, answers);
    let mut lags: Vec<Nanos> = Vec::with_capacity(answers.len());
    let missing = unanswered.failed.values().sum::<u64>() + unanswered.cut_off;
    for (answer, place) in answers.iter().zip(pace.places(answers, missing)) {
        let (start, lag) = pace.start(answer, place);
        lags.push(lag);
        let latency = since(start, answer.ended);
        let failure = failure_of(answer, request.answer_bytes);
        seconds.add(answer.ended, failure.is_none().then_some(latency));
        match failure {
            None => {
                counts.completed += 1;
                recorder.completed(latency, 1);
                recorder.served(since(answer.sent, answer.ended), 1);
            }
            Some(kind) => *counts.failed.entry(kind).or_default() += 1,
        }
    }
    let offered = offered(request);
    let settled = counts.completed + counts.failed_total();
    // The pacer may release a few more than the schedule has; they were planned all the same.
    counts.planned = offered.max(settled);
    counts.censored = counts.planned - settled;
    counts.sent = settled + unanswered.cut_off.min(counts.censored);
    for index in settled..counts.planned {
        recorder.censored(waited_at_deadline(request, index), 1);
    }
    Measurement {
        counts,
        latency: recorder.finish(),
        timeline: seconds.finish(),
        resources: vec![],
        ingest: None,
        loader: Some(health(&mut lags, in_flight_milli(request, answers))),
        disturbance: None,
    }
}

/// How late the pacer's timer may be before that counts as latency: it wakes once a millisecond.
const TIMER: Nanos = Nanos(2_000_000);

/// The schedule of a load, as its answers show it.
struct Pace {
    /// When the schedule began.
    origin: Nanos,
    target_rps: u64,
}

impl Pace {
    /// The loader releases its requests in the order of their schedule and never before their time,
    /// so the smallest delay of all dates the schedule's beginning. `answers` are in the order of
    /// their release.
    fn of(request: &LoadRequest<'_>, answers: &[Answer]) -> Self {
        let target_rps = u64::from(request.target_rps);
        let planned = Self { origin: Nanos(0), target_rps };
        let delays = answers
            .iter()
            .zip(0..)
            .map(|(answer, index)| answer.released.0.saturating_sub(planned.planned(index).0));
        Self { origin: Nanos(delays.min().unwrap_or(0)), target_rps }
    }

    /// The place in the schedule of each answer, of which up to `missing` have none.
    ///
    /// A request without an answer moves the delay of all that follow by one place, for good, while
    /// a pacer that was late catches up. So before an answer are as many missing as every later
    /// delay allows, and no more.
    fn places(&self, answers: &[Answer], missing: u64) -> Vec<u64> {
        let mut places = vec![0; answers.len()];
        let mut most = missing;
        for (index, answer) in answers.iter().enumerate().rev() {
            let delay = since(self.planned(index as u64), answer.released);
            let allowed = u128::from(delay.0) * u128::from(self.target_rps) / 1_000_000_000;
            most = most.min(u64::try_from(allowed).unwrap_or(u64::MAX));
            places[index] = index as u64 + most;
        }
        places
    }

    /// The planned moment of the request with this place in the schedule.
    fn planned(&self, index: u64) -> Nanos {
        let after = u128::from(index) * 1_000_000_000 / u128::from(self.target_rps.max(1));
        Nanos(self.origin.0.saturating_add(u64::try_from(after).unwrap_or(u64::MAX)))
    }

    /// From when on a request's latency counts, and how late the pacer released it.
    ///
    /// That is its planned moment (source: Tene 2013, *How NOT to Measure Latency*); only the
    /// granularity of the pacer's own timer, which says nothing of the server, is not charged to it.
    fn start(&self, answer: &Answer, place: u64) -> (Nanos, Nanos) {
        let planned = self.planned(place);
        let start = answer.released.min(Nanos(planned.0.saturating_add(TIMER.0)));
        (start, since(planned, answer.released))
    }
}

fn since(earlier: Nanos, later: Nanos) -> Nanos {
    Nanos(later.0.saturating_sub(earlier.0))
}

fn health(lags: &mut [Nanos], in_flight_milli: u64) -> LoaderHealth {
    lags.sort_unstable();
    let at = |percent: usize| lags.get(lags.len().saturating_sub(1) * percent / 100).copied();
    let lag = |percent| at(percent).unwrap_or_default();
    LoaderHealth { lag_p50: lag(50), lag_p99: lag(99), lag_max: lag(100), in_flight_milli }
}

/// Requests in flight are counted once for each of these, at moments that are in step with nothing.
const COUNT_EVERY: u64 = 10_000_000;

/// The fraction of a multiple of the golden ratio, in units of 2^-64.
fn golden(index: u64) -> u128 {
    u128::from(index.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// Requests in flight that were answered in the end, in thousandths: the mean of their counts.
fn in_flight_milli(request: &LoadRequest<'_>, answers: &[Answer]) -> u64 {
    let mut sent: Vec<u64> = answers.iter().map(|answer| answer.sent.0).collect();
    let mut ended: Vec<u64> = answers.iter().map(|answer| answer.ended.0).collect();
    sent.sort_unstable();
    ended.sort_unstable();
    let moments = u64::try_from(request.duration.as_nanos()).unwrap_or(u64::MAX) / COUNT_EVERY;
    let by = |times: &[u64], moment: u64| times.partition_point(|&time| time <= moment) as u64;
    let length = u64::try_from(request.duration.as_nanos()).unwrap_or(u64::MAX);
    let at = |index: u64| {
        // Multiples of the golden ratio fall evenly and in step with nothing (Weyl 1916).
        let moment = u64::try_from((u128::from(length) * golden(index)) >> 64).unwrap_or(0);
        by(&sent, moment).saturating_sub(by(&ended, moment))
    };
    (1..=moments).map(at).sum::<u64>() * 1000 / moments.max(1)
}

/// How many requests the schedule of a load has.
pub(super) fn offered(request: &LoadRequest<'_>) -> u64 {
    let nanos = request.duration.as_nanos() * u128::from(request.target_rps);
    u64::try_from(nanos / 1_000_000_000).unwrap_or(u64::MAX)
}

/// How long the request with this place in the schedule had waited at the deadline.
pub(super) fn waited_at_deadline(request: &LoadRequest<'_>, index: u64) -> Nanos {
    let planned = u128::from(index) * 1_000_000_000 / u128::from(request.target_rps);
    let waited = request.duration.as_nanos().saturating_sub(planned);
    Nanos(u64::try_from(waited).unwrap_or(u64::MAX))
}

fn failure_of(answer: &Answer, expected_bytes: u64) -> Option<String> {
    if !(200..300).contains(&answer.status) {
        return Some(format!("status {}", answer.status));
    }
    (answer.bytes != expected_bytes).then(|| "wrong length".to_owned())
}

/// Answers by the second in which they arrived.
struct Seconds {
    planned: Vec<u64>,
    latencies: Vec<Vec<Nanos>>,
    failed: Vec<u64>,
}

impl Seconds {
    fn new(request: &LoadRequest<'_>) -> Self {
        let count =
            usize::try_from(request.duration.as_nanos().div_ceil(1_000_000_000)).unwrap_or(0);
        let offered = offered(request);
        let until = |second: u64| (second * u64::from(request.target_rps)).min(offered);
        let planned = (0..count as u64).map(|second| until(second + 1) - until(second)).collect();
        Self { planned, latencies: vec![vec![]; count], failed: vec![0; count] }
    }

    /// An answer that arrived a moment after the deadline counts in the last second.
    fn add(&mut self, ended: Nanos, latency: Option<Nanos>) {
        let second = usize::try_from(ended.0 / 1_000_000_000).unwrap_or(usize::MAX);
        let second = second.min(self.failed.len() - 1);
        match latency {
            Some(latency) => self.latencies[second].push(latency),
            None => self.failed[second] += 1,
        }
    }

    fn finish(self) -> Vec<TimelineSecond> {
        let rows = self.planned.into_iter().zip(self.latencies).zip(self.failed);
        (0_u32..)
            .zip(rows)
            .map(|(second, ((planned, mut latencies), failed))| TimelineSecond {
                second,
                planned,
                completed: latencies.len() as u64,
                failed,
                latency: quantiles(&mut latencies),
            })
            .collect()
    }
}

fn quantiles(latencies: &mut [Nanos]) -> Option<TimelineLatency> {
    latencies.sort_unstable();
    // The nearest rank: the smallest latency that `percent` % of them do not exceed.
    let at = |percent: usize| latencies[(latencies.len() * percent).div_ceil(100) - 1];
    let &max = latencies.last()?;
    Some(TimelineLatency { p50: at(50), p95: at(95), p99: at(99), max })
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::id::TrialId;
    use crate::units::CpuSet;

    fn measure(target_rps: u32, answers: &[Answer], unanswered: &Unanswered) -> Measurement {
        let cpus = CpuSet::default();
        let request = LoadRequest {
            trial: TrialId(0),
            url: "",
            connections: 10,
            target_rps,
            duration: Duration::from_secs(2),
            cpus: &cpus,
            answer_bytes: 1024,
            scratch_dir: Path::new("."),
        };
        tally(&request, &mut answers.to_vec(), unanswered)
    }

    fn answer(released_ms: u64, ended_ms: u64) -> Answer {
        let ms = 1_000_000;
        Answer {
            released: Nanos(released_ms * ms),
            sent: Nanos(released_ms * ms),
            ended: Nanos(ended_ms * ms),
            status: 200,
            bytes: 1024,
        }
    }

    #[test]
    fn what_the_pacer_releases_late_counts_from_its_planned_moment() {
        // Planned every 100 ms from 50 ms on; the third is released 1 ms late, the fourth 40 ms.
        let released = [50, 150, 251, 390];
        let answers = released.map(|at| answer(at, at + 5));
        let measurement = measure(10, &answers, &Unanswered::default());
        let health = measurement.loader.unwrap();
        assert_eq!((health.lag_p50, health.lag_max), (Nanos(0), Nanos(40_000_000)));
        let told = measurement.latency.buckets.iter().filter(|bucket| bucket.count > 0);
        let told: Vec<(u64, u64)> =
            told.map(|bucket| (bucket.low.0.div_ceil(1_000_000), bucket.count)).collect();
        // The timer's 1 ms is none of the server's; of the 40 ms, 38 are.
        assert_eq!(told, [(5, 3), (43, 1)]);
        let served = measurement.latency.service();
        assert_eq!(served.completed(), 4);
        assert_eq!(served.buckets.len(), 1);
    }

    #[test]
    fn requests_in_flight_are_counted_out_of_step_with_them() {
        // Ten in a hundred milliseconds, each for a share of the time between them.
        for share in [3, 5, 9] {
            let answers: Vec<Answer> = (0..200).map(|i| answer(i * 10, i * 10 + share)).collect();
            let health = measure(100, &answers, &Unanswered::default()).loader.unwrap();
            let expected = share * 100;
            assert!(health.in_flight_milli.abs_diff(expected) <= 20, "{health:?}, not {expected}");
        }
    }

    #[test]
    fn requests_without_an_answer_do_not_delay_those_that_follow() {
        // Every tenth has no answer; the others take 5 ms; the pacer is late once, by 30 ms, and
        // releases two together.
        let late = |i: u64| match i {
            55 => 30,
            56 => 10,
            _ => 0,
        };
        let answers = (0..100).filter(|i| i % 10 != 3);
        let answers: Vec<Answer> =
            answers.map(|i| answer(i * 20 + late(i), i * 20 + late(i) + 5)).collect();
        let failed = BTreeMap::from([("reset".to_owned(), 10)]);
        let measurement = measure(50, &answers, &Unanswered { failed, cut_off: 0 });
        let told = measurement.latency.buckets.iter().filter(|bucket| bucket.count > 0);
        let told: Vec<(u64, u64)> =
            told.map(|bucket| (bucket.low.0.div_ceil(1_000_000), bucket.count)).collect();
        assert_eq!(told, [(5, 88), (13, 1), (33, 1)]);
    }

    #[test]
    fn idle_connections_that_were_cut_off_had_sent_nothing() {
        let answers: Vec<Answer> = (0..20).map(|i| answer(i * 100, i * 100 + 5)).collect();
        let unanswered = Unanswered { cut_off: 10, ..Unanswered::default() };
        let counts = measure(10, &answers, &unanswered).counts;
        assert_eq!(
            (counts.planned, counts.sent, counts.completed, counts.censored),
            (20, 20, 20, 0)
        );
    }

    #[test]
    fn what_the_deadline_cut_off_had_waited_from_its_planned_moment() {
        // Offered: 20 in two seconds. Answered: the first 15; the others are planned at 1.5 s to
        // 1.9 s and had waited 500 ms to 100 ms.
        let answers: Vec<Answer> = (0..15).map(|i| answer(i * 100, 1900)).collect();
        let unanswered = Unanswered { cut_off: 3, ..Unanswered::default() };
        let measurement = measure(10, &answers, &unanswered);
        assert_eq!(measurement.counts.censored, 5);
        assert_eq!(measurement.counts.sent, 18);
        let cut_off = measurement.latency.buckets.iter().filter(|bucket| bucket.censored > 0);
        let waited: Vec<u64> = cut_off.map(|bucket| bucket.low.0.div_ceil(1_000_000)).collect();
        assert_eq!(waited, [100, 200, 300, 400, 500]);
    }

    #[test]
    fn wrong_answers_fail_by_kind_and_have_no_latency() {
        let wrong = [
            Answer { status: 503, ..answer(0, 5) },
            Answer { status: 503, ..answer(0, 5) },
            Answer { bytes: 1023, ..answer(0, 5) },
            Answer { status: 404, ..answer(0, 1500) },
        ];
        let unanswered =
            Unanswered { failed: BTreeMap::from([("refused".to_owned(), 2)]), cut_off: 0 };
        let measurement = measure(3, &wrong, &unanswered);
        let failed: Vec<_> =
            measurement.counts.failed.iter().map(|(k, &n)| (k.as_str(), n)).collect();
        assert_eq!(
            failed,
            [("refused", 2), ("status 404", 1), ("status 503", 2), ("wrong length", 1)]
        );
        assert_eq!(measurement.latency.completed(), 0);
        assert_eq!(measurement.timeline[0].failed, 3);
        assert_eq!(measurement.timeline[1].failed, 1);
        assert_eq!(measurement.timeline[0].latency, None);
    }

    proptest! {
        #[test]
        fn nothing_is_lost(
            target in 1_u32..300, good in 0_u64..400, bad in 0_u64..50, refused in 0_u64..50, cut_off in 0_u64..20,
        ) {
            let mut answers: Vec<Answer> = (0..good).map(|i| answer(i, i + 5)).collect();
            answers.extend((0..bad).map(|i| Answer { status: 500, ..answer(i, i + 5) }));
            let failed = BTreeMap::from([("refused".to_owned(), refused)]);
            let measurement = measure(target, &answers, &Unanswered { failed, cut_off });
            let counts = &measurement.counts;
            prop_assert_eq!(counts.planned, counts.completed + counts.failed_total() + counts.censored);
            prop_assert!(counts.sent <= counts.planned);
            prop_assert!(counts.sent >= counts.completed + counts.failed_total());
            prop_assert_eq!(measurement.latency.completed(), counts.completed);
            prop_assert_eq!(measurement.latency.censored(), counts.censored);
            let seen: u64 = measurement.timeline.iter().map(|second| second.completed).sum();
            prop_assert_eq!(seen, counts.completed);
            let planned: u64 = measurement.timeline.iter().map(|second| second.planned).sum();
            prop_assert_eq!(planned, u64::from(target) * 2);
        }
    }
}
