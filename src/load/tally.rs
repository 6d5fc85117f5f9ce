//! Aggregation of single requests to the measurement of a trial.

use std::collections::BTreeMap;
use std::time::Duration;

use super::drain::DRAIN_LIMIT;
use super::{LoadRequest, Recorder};
use crate::model::{Counts, LoaderHealth, Measurement, TimelineLatency, TimelineSecond};
use crate::units::{Nanos, Rps};

/// A request that was answered. Times count from the loader's start.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    /// When the pacer released the request.
    pub released: Nanos,
    /// When a connection sent it.
    pub sent: Nanos,
    /// When the answer was complete.
    pub ended: Nanos,
    /// The HTTP status.
    pub status: u16,
    /// Length of the body in bytes.
    pub bytes: u64,
}

/// Requests that got no answer.
#[derive(Clone, Debug, Default)]
pub(super) struct Unanswered {
    /// Failed requests, by the loader's own message.
    pub failed: BTreeMap<String, u64>,
    /// Requests that were still in flight when the drain ended.
    pub in_flight: u64,
}

/// Counts, distribution and timeline of a trial.
///
/// The schedule offers `target × duration` requests. Those that are neither completed nor failed are
/// unfinished: in flight at the end of the drain, or never sent because every connection was busy until
/// the end of the window. The loader sends requests in the order of the schedule, so the unfinished ones
/// are its last. (A request that hung earlier waited longer; its latency is a lower bound in any case.)
pub(super) fn tally(
    request: &LoadRequest<'_>,
    answers: &mut [Answer],
    unanswered: &Unanswered,
) -> Measurement {
    let mut counts = Counts { failed: unanswered.failed.clone(), ..Counts::default() };
    let mut recorder = Recorder::default();
    let mut seconds = Seconds::new(request);
    answers.sort_unstable_by_key(|answer| answer.released);
    let window = Nanos::from(request.duration);
    let drain = drain_of(answers, unanswered, window);
    let missing = unanswered.failed.values().sum::<u64>() + unanswered.in_flight;
    let places = places(request.target_rps, answers, missing);
    let timer = timer_phase(request.target_rps, answers, &places);
    let mut lags: Vec<Nanos> = Vec::with_capacity(answers.len());
    // The pacer runs a little longer: requests beyond the schedule do not count.
    let offered = offered(request);
    for (answer, place) in answers.iter().zip(places).filter(|(_, place)| *place < offered) {
        let planned = Nanos(request.target_rps.planned_at(place).0.saturating_add(timer.0));
        lags.push(since(planned, answer.released));
        let latency = since(counted_from(planned, answer), answer.ended);
        let failure = failure_of(answer, request);
        seconds.add(answer.ended, failure.is_none().then_some(latency));
        match failure {
            None => {
                counts.completed += 1;
                counts.drained += u64::from(answer.ended > window);
                recorder.completed(latency, 1);
                recorder.served(since(answer.sent, answer.ended), 1);
            }
            Some(kind) => *counts.failed.entry(kind).or_default() += 1,
        }
    }
    let settled = counts.completed + counts.failed_total();
    // Failed requests beyond the schedule cannot be distinguished, so all failed ones count.
    counts.planned = offered.max(settled);
    counts.censored = counts.planned - settled;
    let in_flight = unanswered.in_flight.min(counts.censored);
    counts.sent = settled + in_flight;
    for index in settled..counts.planned {
        let waited = waited_at_deadline(request, index);
        let is_in_flight = index - settled < in_flight;
        let drained = if is_in_flight { drain.0 } else { 0 };
        recorder.censored(Nanos(waited.0.saturating_add(drained)), 1);
    }
    let in_flight_milli = in_flight_milli(window.0.saturating_add(drain.0), answers);
    Measurement {
        counts,
        latency: recorder.finish(),
        timeline: seconds.finish(),
        drain,
        loader: Some(health(&mut lags, in_flight_milli)),
        ..Measurement::default()
    }
}

/// The time from the end of the window to the last answer, or to the drain limit.
fn drain_of(answers: &[Answer], unanswered: &Unanswered, window: Nanos) -> Nanos {
    let last = answers.iter().map(|answer| answer.ended).max().unwrap_or_default();
    let limit = Nanos::from(DRAIN_LIMIT);
    if unanswered.in_flight > 0 { since(window, last).max(limit) } else { since(window, last) }
}

/// A delay of the pacer's timer up to this does not count as latency: it wakes once a millisecond.
const TIMER: Nanos = Nanos(2_000_000);
/// The maximum phase of the timer, by which every wake-up is late.
const TIMER_PERIOD: Nanos = Nanos(1_000_000);
/// Rounding of the loader's times and of planned moments.
const ROUNDING_NANOS: u64 = 1_000;

/// The index in the schedule of each answer; up to `missing` indices have no answer. `answers` are in the
/// order of their release.
///
/// The loader counts its times from the beginning of the schedule, and releases requests in order and
/// never early. So the latest possible index of an answer is the last one that was planned at its release,
/// is before that of the following answer, and has at most `missing` unanswered indices before it. A pacer
/// that is on time, or was late and caught up, releases each request at its latest possible index.
fn places(target_rps: Rps, answers: &[Answer], missing: u64) -> Vec<u64> {
    let mut places = vec![0; answers.len()];
    let mut skipped = missing;
    for (index, answer) in answers.iter().enumerate().rev() {
        let latest = target_rps.place_at(Nanos(answer.released.0 + ROUNDING_NANOS));
        skipped = skipped.min(latest.saturating_sub(index as u64));
        places[index] = index as u64 + skipped;
    }
    places
}

/// The smallest delay of any release: the phase of the pacer's timer, which does not count as lag.
fn timer_phase(target_rps: Rps, answers: &[Answer], places: &[u64]) -> Nanos {
    let delays = answers
        .iter()
        .zip(places)
        .map(|(answer, &place)| since(target_rps.planned_at(place), answer.released));
    delays.min().unwrap_or_default().min(TIMER_PERIOD)
}

/// The start of a request's latency.
///
/// It is the planned moment (source: Tene 2013, *How NOT to Measure Latency*), except for the granularity
/// of the pacer's timer, which the server does not cause.
fn counted_from(planned: Nanos, answer: &Answer) -> Nanos {
    answer.released.min(Nanos(planned.0.saturating_add(TIMER.0)))
}

fn since(earlier: Nanos, later: Nanos) -> Nanos {
    Nanos(later.0.saturating_sub(earlier.0))
}

fn health(lags: &mut [Nanos], in_flight_milli: u64) -> LoaderHealth {
    lags.sort_unstable();
    let lag = |percent| nearest_rank(lags, percent).unwrap_or_default();
    LoaderHealth {
        lag_p50: lag(50),
        lag_p99: lag(99),
        lag_max: lag(100),
        in_flight_milli,
        polled: Nanos(0),
    }
}

/// The nearest-rank percentile of sorted values.
fn nearest_rank(sorted: &[Nanos], percent: usize) -> Option<Nanos> {
    sorted.get((sorted.len() * percent).div_ceil(100).saturating_sub(1)).copied()
}

/// The mean time between two counts of the requests in flight, in nanoseconds.
const COUNT_EVERY: u64 = 10_000_000;

/// The fraction of a multiple of the golden ratio, in units of 2^-64.
fn golden(index: u64) -> u128 {
    u128::from(index.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// The mean number of requests in flight that were answered later, in thousandths, over the first `length`
/// nanoseconds.
fn in_flight_milli(length: u64, answers: &[Answer]) -> u64 {
    let mut sent: Vec<u64> = answers.iter().map(|answer| answer.sent.0).collect();
    let mut ended: Vec<u64> = answers.iter().map(|answer| answer.ended.0).collect();
    sent.sort_unstable();
    ended.sort_unstable();
    let moments = length / COUNT_EVERY;
    let by = |times: &[u64], moment: u64| times.partition_point(|&time| time <= moment) as u64;
    let at = |index: u64| {
        // Multiples of the golden ratio are evenly distributed and aperiodic (Weyl 1916).
        let moment = u64::try_from((u128::from(length) * golden(index)) >> 64).unwrap_or(0);
        by(&sent, moment).saturating_sub(by(&ended, moment))
    };
    (1..=moments).map(at).sum::<u64>() * 1000 / moments.max(1)
}

/// The number of requests that are planned before the end of the window.
pub(super) fn offered(request: &LoadRequest<'_>) -> u64 {
    request.target_rps.offered(request.duration)
}

/// How long the request with this index had waited at the end of the window.
pub(super) fn waited_at_deadline(request: &LoadRequest<'_>, index: u64) -> Nanos {
    since(request.target_rps.planned_at(index), request.duration.into())
}

fn failure_of(answer: &Answer, request: &LoadRequest<'_>) -> Option<String> {
    if answer.status != request.answer_status {
        return Some(format!("status {}", answer.status));
    }
    (answer.bytes != request.answer_bytes).then(|| "wrong length".to_owned())
}

/// Later seconds after the window are counted as one.
const MAX_DRAIN_SECONDS: usize = 60;

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
        let until =
            |second: u64| request.target_rps.offered(Duration::from_secs(second)).min(offered);
        let planned = (0..count as u64).map(|second| until(second + 1) - until(second)).collect();
        Self { planned, latencies: vec![vec![]; count], failed: vec![0; count] }
    }

    /// Adds an answer. Answers of the drain have seconds after those of the window.
    fn add(&mut self, ended: Nanos, latency: Option<Nanos>) {
        let second = usize::try_from(ended.0 / 1_000_000_000).unwrap_or(usize::MAX);
        let second = second.min(self.planned.len() + MAX_DRAIN_SECONDS);
        if second >= self.failed.len() {
            self.failed.resize(second + 1, 0);
            self.latencies.resize(second + 1, vec![]);
        }
        match latency {
            Some(latency) => self.latencies[second].push(latency),
            None => self.failed[second] += 1,
        }
    }

    fn finish(self) -> Vec<TimelineSecond> {
        let planned = self.planned.into_iter().chain(std::iter::repeat(0));
        let rows = planned.zip(self.latencies).zip(self.failed);
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
    let at = |percent| nearest_rank(latencies, percent);
    Some(TimelineLatency { p50: at(50)?, p95: at(95)?, p99: at(99)?, max: at(100)? })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;
    use crate::id::TrialId;
    use crate::model::{Arrivals, Profile};
    use crate::units::CpuSet;

    fn request(target_rps: Rps, cpus: &CpuSet) -> LoadRequest<'_> {
        LoadRequest {
            trial: TrialId(0),
            url: "",
            connections: 10,
            target_rps,
            profile: Profile::Constant,
            arrivals: Arrivals::Even,
            seed: 0,
            duration: Duration::from_secs(2),
            cpus,
            answer_status: 200,
            answer_bytes: 1024,
            answer_body: None,
            has_own_cpus: true,
            scratch_dir: Path::new("."),
        }
    }

    fn measure(target_rps: Rps, answers: &[Answer], unanswered: &Unanswered) -> Measurement {
        tally(&request(target_rps, &CpuSet::default()), &mut answers.to_vec(), unanswered)
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
    fn a_late_release_counts_from_its_planned_moment() {
        // Planned every 100 ms; the third is released 1 ms late, the fourth 40 ms.
        let released = [0, 100, 201, 340];
        let answers = released.map(|at| answer(at, at + 5));
        let measurement = measure(Rps::whole(10), &answers, &Unanswered::default());
        let health = measurement.loader.unwrap();
        assert_eq!((health.lag_p50, health.lag_max), (Nanos(0), Nanos(40_000_000)));
        // The timer's 1 ms is none of the server's; of the 40 ms, 38 are.
        assert_eq!(latencies(&measurement), [(5, 3), (43, 1)]);
        let served = measurement.latency.service();
        assert_eq!(served.completed(), 4);
        assert_eq!(served.buckets.len(), 1);
    }

    #[test]
    fn requests_in_flight_are_counted_at_aperiodic_moments() {
        // Ten in a hundred milliseconds, each for a share of the time between them.
        for share in [3, 5, 9] {
            let answers: Vec<Answer> = (0..200).map(|i| answer(i * 10, i * 10 + share)).collect();
            let health = measure(Rps::whole(100), &answers, &Unanswered::default()).loader.unwrap();
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
        let measurement = measure(Rps::whole(50), &answers, &Unanswered { failed, in_flight: 0 });
        assert_eq!(latencies(&measurement), [(5, 88), (13, 1), (33, 1)]);
    }

    /// Latencies in whole milliseconds, with their counts.
    fn latencies(measurement: &Measurement) -> Vec<(u64, u64)> {
        let counted = measurement.latency.buckets.iter().filter(|bucket| bucket.count > 0);
        counted.map(|bucket| (bucket.low.0.div_ceil(1_000_000), bucket.count)).collect()
    }

    #[test]
    fn one_lost_request_shifts_no_other() {
        // As `cases/README.md` row 04: 20/s, one lost early on, all others within half a millisecond.
        for lost in [0, 1, 2, 20, 39] {
            let sent = (0..40).filter(|&i| i != lost);
            // The timer wakes up to 1 ms late, and later at the beginning than afterwards.
            let late = |i: u64| if i < 3 { 900_000 } else { 100_000 + i * 1_000 };
            let answers: Vec<Answer> = sent
                .map(|i| {
                    let released = Nanos(i * 50_000_000 + late(i));
                    Answer {
                        released,
                        sent: released,
                        ended: Nanos(released.0 + 500_000),
                        ..answer(0, 0)
                    }
                })
                .collect();
            let failed = BTreeMap::from([("reset".to_owned(), 1)]);
            let measurement =
                measure(Rps::whole(20), &answers, &Unanswered { failed, in_flight: 0 });
            assert_eq!(latencies(&measurement), [(1, 39)], "lost: {lost}");
            assert!(measurement.loader.unwrap().lag_max < Nanos(1_000_000), "lost: {lost}");
        }
    }

    #[test]
    fn answers_in_the_drain_are_complete_and_count_beyond_the_window() {
        // Two seconds of 10/s, each served for 250 ms: the last two are answered after the window.
        let answers: Vec<Answer> = (0..20).map(|i| answer(i * 100, i * 100 + 250)).collect();
        let measurement = measure(Rps::whole(10), &answers, &Unanswered::default());
        let counts = &measurement.counts;
        assert_eq!((counts.planned, counts.completed, counts.censored), (20, 20, 0));
        assert_eq!((counts.drained, counts.completed_in_window()), (2, 18));
        assert_eq!(measurement.drain, Nanos(150_000_000));
        assert_eq!(latencies(&measurement), [(250, 20)]);
        let seconds: Vec<(u64, u64)> =
            measurement.timeline.iter().map(|one| (one.planned, one.completed)).collect();
        assert_eq!(seconds, [(10, 8), (10, 10), (0, 2)]);
        assert_eq!(measurement.window().len(), 2);
    }

    #[test]
    fn an_unfinished_request_waited_from_its_planned_moment() {
        // Offered: 20 in two seconds. Answered: the first 15. Three were in flight for the whole
        // drain; two were never sent.
        let answers: Vec<Answer> = (0..15).map(|i| answer(i * 100, 1900)).collect();
        let unanswered = Unanswered { in_flight: 3, ..Unanswered::default() };
        let measurement = measure(Rps::whole(10), &answers, &unanswered);
        assert_eq!(measurement.counts.censored, 5);
        assert_eq!(measurement.counts.sent, 18);
        assert_eq!(measurement.drain, Nanos::from(DRAIN_LIMIT));
        let unfinished = measurement.latency.buckets.iter().filter(|bucket| bucket.censored > 0);
        let waited: Vec<u64> = unfinished.map(|bucket| bucket.high.0 / 1_000_000).collect();
        // Within the histogram's thousandth.
        assert_eq!(waited[..2], [100, 200]);
        for (waited, expected) in waited[2..].iter().zip([10_300, 10_400, 10_500]) {
            assert!(waited.abs_diff(expected) <= 10, "{waited}, not {expected}");
        }
    }

    #[test]
    fn a_window_that_ends_between_planned_moments_offers_the_earlier_one() {
        // Planned at 0, 1 and 2 seconds.
        let cpus = CpuSet::default();
        let request =
            LoadRequest { duration: Duration::from_millis(2500), ..request(Rps::whole(1), &cpus) };
        assert_eq!(offered(&request), 3);
        assert_eq!(offered(&LoadRequest { duration: Duration::from_secs(2), ..request }), 2);
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
            Unanswered { failed: BTreeMap::from([("refused".to_owned(), 2)]), in_flight: 0 };
        let measurement = measure(Rps::whole(3), &wrong, &unanswered);
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
            milli in 500_u64..300_000, good in 0_u64..400, bad in 0_u64..50, refused in 0_u64..50, in_flight in 0_u64..20,
        ) {
            let mut answers: Vec<Answer> = (0..good).map(|i| answer(i, i + 5)).collect();
            answers.extend((0..bad).map(|i| Answer { status: 500, ..answer(i, i + 5) }));
            let failed = BTreeMap::from([("refused".to_owned(), refused)]);
            let target = Rps::from_milli(milli);
            let measurement = measure(target, &answers, &Unanswered { failed, in_flight });
            let counts = &measurement.counts;
            prop_assert_eq!(counts.planned, counts.completed + counts.failed_total() + counts.censored);
            prop_assert!(counts.sent <= counts.planned);
            prop_assert!(counts.sent >= counts.completed + counts.failed_total());
            prop_assert_eq!(measurement.latency.completed(), counts.completed);
            prop_assert_eq!(measurement.latency.censored(), counts.censored);
            let seen: u64 = measurement.timeline.iter().map(|second| second.completed).sum();
            prop_assert_eq!(seen, counts.completed);
            let planned: u64 = measurement.timeline.iter().map(|second| second.planned).sum();
            prop_assert_eq!(planned, target.offered(Duration::from_secs(2)));
        }
    }
}
