//! What a loader thread keeps of its requests, and how the records of all threads become one measurement.

use std::collections::BTreeMap;

use hdrhistogram::Histogram as Hdr;

use super::answer::Examples;
use super::opening::Openings;
use super::schedule::{Due, Schedule};
use crate::load::Recorder;
use crate::load::histogram::{RESIZES, SIGNIFICANT_DIGITS, summary};
use crate::model::{Counts, LoaderHealth, Measurement, TimelineLatency, TimelineSecond};
use crate::units::Nanos;

/// Later seconds after the window count as one.
const MAX_DRAIN_SECONDS: usize = 60;
const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// The requests of one thread. Moments count from the start of the load.
#[derive(Debug)]
pub(super) struct Record {
    window: Nanos,
    recorder: Recorder,
    lag: Hdr<u64>,
    sent: u64,
    completed: u64,
    drained: u64,
    compared: u64,
    unfinished: u64,
    failed: BTreeMap<String, u64>,
    seconds: Vec<Second>,
    current: Hdr<u32>,
    last_answer: Nanos,
    flight: Flight,
    polled: Nanos,
    /// Whether a request was still waited for at the end of the drain.
    is_cut_off: bool,
    first_byte: Hdr<u64>,
    pub wrong: Examples,
    pub openings: Openings,
}

/// The answers of one second.
#[derive(Debug, Default)]
struct Second {
    completed: u64,
    failed: u64,
    longest: Nanos,
    /// Latencies with their counts; those of the present second are in a histogram.
    latencies: Vec<(u64, u32)>,
}

/// Requests in flight over time.
#[derive(Debug, Default)]
struct Flight {
    count: u32,
    since: Nanos,
    /// Requests × nanoseconds.
    area: u128,
}

impl Flight {
    fn change(&mut self, now: Nanos, by: i32) {
        let span = now.0.saturating_sub(self.since.0);
        self.area += u128::from(self.count) * u128::from(span);
        self.count = self.count.saturating_add_signed(by);
        self.since = now;
    }
}

/// The moments of an answered request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answered {
    pub due: Due,
    pub sent: Nanos,
    /// When the head of the answer had arrived.
    pub begun: Nanos,
    pub ended: Nanos,
}

impl Record {
    pub fn new(window: Nanos) -> Self {
        let empty = || Hdr::new(SIGNIFICANT_DIGITS).expect("three digits are allowed");
        Self {
            window,
            recorder: Recorder::default(),
            lag: empty(),
            sent: 0,
            completed: 0,
            drained: 0,
            compared: 0,
            unfinished: 0,
            failed: BTreeMap::new(),
            seconds: vec![],
            current: Hdr::new(SIGNIFICANT_DIGITS).expect("three digits are allowed"),
            last_answer: Nanos(0),
            flight: Flight::default(),
            polled: Nanos(0),
            is_cut_off: false,
            first_byte: empty(),
            wrong: Examples::default(),
            openings: Openings::default(),
        }
    }

    /// A request became due and was released, so much after its planned moment.
    pub fn released(&mut self, due: Due, now: Nanos) {
        self.lag.record(now.0.saturating_sub(due.planned.0)).expect(RESIZES);
    }

    /// A connection took up a request.
    pub fn sent(&mut self, now: Nanos) {
        self.sent += 1;
        self.flight.change(now, 1);
    }

    /// A request that was sent is over.
    pub fn ended(&mut self, now: Nanos) {
        self.flight.change(now, -1);
        self.last_answer = self.last_answer.max(now);
    }

    /// A request was answered as expected.
    pub fn completed(&mut self, answered: Answered) {
        let Answered { due, sent, begun, ended } = answered;
        let latency = Nanos(ended.0.saturating_sub(due.planned.0));
        self.completed += 1;
        self.drained += u64::from(ended > self.window);
        self.recorder.completed(latency, 1);
        self.recorder.served(Nanos(ended.0.saturating_sub(sent.0)), 1);
        self.first_byte.record(begun.0.saturating_sub(sent.0)).expect(RESIZES);
        let second = self.second(ended);
        second.completed += 1;
        second.longest = second.longest.max(latency);
        self.current.record(latency.0).expect(RESIZES);
    }

    /// A request failed.
    pub fn failed(&mut self, kind: String, now: Nanos) {
        *self.failed.entry(kind).or_default() += 1;
        self.second(now).failed += 1;
    }

    /// A body was compared with the expected one.
    pub fn compared(&mut self) {
        self.compared += 1;
    }

    /// The thread only polled the clock for so long.
    pub fn polled(&mut self, span: Nanos) {
        self.polled = span;
    }

    /// The drain ended with requests in flight.
    pub fn cut_off(&mut self) {
        self.is_cut_off = true;
    }

    /// A request has no answer, and waited so long for it.
    pub fn unfinished(&mut self, waited: Nanos) {
        self.unfinished += 1;
        self.recorder.censored(waited, 1);
    }

    /// The second of a moment, which never lies before one that was asked for.
    fn second(&mut self, moment: Nanos) -> &mut Second {
        let in_window = usize::try_from(self.window.0.div_ceil(NANOS_PER_SECOND)).unwrap_or(0);
        let second = usize::try_from(moment.0 / NANOS_PER_SECOND).unwrap_or(usize::MAX);
        let second = second.min(in_window + MAX_DRAIN_SECONDS);
        let second = second.max(self.seconds.len().saturating_sub(1));
        if second >= self.seconds.len() {
            self.close_second();
            self.seconds.resize_with(second + 1, Second::default);
        }
        &mut self.seconds[second]
    }

    fn close_second(&mut self) {
        let Some(last) = self.seconds.last_mut() else { return };
        let recorded = self.current.iter_recorded();
        let counted = recorded.map(|value| (value.value_iterated_to(), value.count_at_value()));
        last.latencies.extend(counted);
        self.current.reset();
    }

    /// Adds what another thread recorded.
    fn add(&mut self, other: Self) {
        self.recorder.add(&other.recorder);
        self.lag.add(&other.lag).expect(RESIZES);
        self.sent += other.sent;
        self.completed += other.completed;
        self.drained += other.drained;
        self.compared += other.compared;
        self.unfinished += other.unfinished;
        for (kind, count) in other.failed {
            *self.failed.entry(kind).or_default() += count;
        }
        self.last_answer = self.last_answer.max(other.last_answer);
        self.flight.area += other.flight.area;
        self.polled = Nanos(self.polled.0 + other.polled.0);
        self.first_byte.add(&other.first_byte).expect(RESIZES);
        self.wrong.merge(other.wrong);
        self.openings.merge(&other.openings);
        let seconds = self.seconds.len().max(other.seconds.len());
        self.seconds.resize_with(seconds, Second::default);
        for (own, other) in self.seconds.iter_mut().zip(other.seconds) {
            own.completed += other.completed;
            own.failed += other.failed;
            own.longest = own.longest.max(other.longest);
            own.latencies.extend(other.latencies);
        }
    }

    /// One measurement of the records of all threads. The drain ended at `end`.
    pub fn merge(records: Vec<Self>, schedule: &Schedule, end: Nanos) -> Measurement {
        let mut all = Self::new(schedule.duration);
        let is_cut_off = records.iter().any(|record| record.is_cut_off);
        for mut record in records {
            record.close_second();
            record.flight.change(end, 0);
            all.add(record);
        }
        let failed_total: u64 = all.failed.values().sum();
        let drained_until = if is_cut_off { end } else { all.last_answer };
        let counts = Counts {
            planned: all.completed + failed_total + all.unfinished,
            sent: all.sent,
            completed: all.completed,
            drained: all.drained,
            failed: all.failed,
            censored: all.unfinished,
        };
        let lag = |quantile| Nanos(all.lag.value_at_quantile(quantile));
        let in_flight = all.flight.area * 1000 / u128::from(end.0.max(1));
        Measurement {
            counts,
            latency: all.recorder.finish(),
            timeline: timeline(schedule, all.seconds),
            drain: Nanos(drained_until.0.saturating_sub(schedule.duration.0)),
            compared: all.compared,
            loader: Some(LoaderHealth {
                lag_p50: lag(0.5),
                lag_p99: lag(0.99),
                lag_max: Nanos(all.lag.max()),
                in_flight_milli: u64::try_from(in_flight).unwrap_or(u64::MAX),
                polled: all.polled,
            }),
            wrong_answers: all.wrong.finish(),
            first_byte: summary(&all.first_byte),
            opened: Some(all.openings.finish()),
            ..Measurement::default()
        }
    }
}

/// What was planned and answered in each second.
fn timeline(schedule: &Schedule, mut seconds: Vec<Second>) -> Vec<TimelineSecond> {
    let mut planned: Vec<u64> = vec![];
    for due in schedule.requests() {
        let second = usize::try_from(due.planned.0 / NANOS_PER_SECOND).unwrap_or(usize::MAX);
        planned.resize(planned.len().max(second + 1), 0);
        planned[second] += 1;
    }
    let count = seconds.len().max(planned.len());
    planned.resize(count, 0);
    seconds.resize_with(count, Second::default);
    let numbered = (0_u32..).zip(planned).zip(seconds);
    numbered
        .map(|((second, planned), of)| TimelineSecond {
            second,
            planned,
            completed: of.completed,
            failed: of.failed,
            latency: quantiles(&of),
        })
        .collect()
}

fn quantiles(second: &Second) -> Option<TimelineLatency> {
    let mut all: Hdr<u64> = Hdr::new(SIGNIFICANT_DIGITS).expect("three digits are allowed");
    for &(latency, count) in &second.latencies {
        all.record_n(latency, u64::from(count)).expect(RESIZES);
    }
    let at = |quantile| Nanos(all.value_at_quantile(quantile)).min(second.longest);
    (!all.is_empty()).then(|| TimelineLatency {
        p50: at(0.5),
        p95: at(0.95),
        p99: at(0.99),
        max: second.longest,
    })
}
