//! The data that a page draws, in columns: each number stands once.
//!
//! A column is a text: its type, a colon, and its values in little-endian bytes as base64. `log` is for
//! latencies and sizes: a 16-bit code c > 0 stands for e^(0.0005 (c − 1)), which is exact to 0.025 %
//! from 1 to 10¹⁴; 0 stands for none.

use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;
use serde::{Serialize, Serializer};

use super::Report;
use super::charts::title;
use super::summary::Answer;
use crate::analysis::{CaseAnalysis, Estimate, LineKnee, Scaling};
use crate::model::{
    Case, ComponentName, Part, QUANTILES, ResourceSample, TimelineSecond, TrialRow, min_requests,
};
use crate::units::{Nanos, Rps};

/// Beyond so many seconds of all trials together a page has no timelines: it would be too large to
/// open.
const MAX_SECONDS: usize = 120_000;
/// The step between two codes of a `log` column.
const LOG_STEP: f64 = 0.0005;

/// Everything that a page draws.
#[derive(Serialize)]
pub(super) struct Embedded<'a> {
    /// The dataset's id, short: the beginning of the names of saved files.
    dataset: String,
    apps: Vec<Named<'a>>,
    stores: Vec<Named<'a>>,
    workers: Vec<u32>,
    connections: Vec<u32>,
    targets: Vec<Rps>,
    percentiles: Vec<String>,
    /// How many requests each of them needs.
    min_requests: Vec<u64>,
    answers: &'a [Answer],
    cases: Vec<(String, Packed)>,
    /// Each case's distribution: how many points, and all of them.
    distributions: [Packed; 2],
    knees: &'a [LineKnee],
    scalings: &'a [Scaling],
    trials: Vec<(String, Packed)>,
    /// What `flags` counts in.
    flag_sets: Vec<&'a str>,
    /// Stage and reason of trials that failed, by number.
    failures: Vec<(u64, String)>,
    timeline: Vec<(&'static str, Packed)>,
    resources: Vec<(&'static str, Packed)>,
    /// The factors of drift, in the order of execution.
    residuals: Vec<(&'static str, Packed)>,
    /// Whether there are too many seconds to show.
    is_cut: bool,
}

#[derive(Serialize)]
struct Named<'a> {
    name: &'a str,
    title: String,
}

/// The values of a column.
pub(super) enum Packed {
    U8(Vec<u8>),
    U16(Vec<u16>),
    U32(Vec<u32>),
    F32(Vec<f32>),
    F64(Vec<f64>),
    Log(Vec<u16>),
}

impl Serialize for Packed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (kind, bytes): (&str, Vec<u8>) = match self {
            Self::U8(values) => ("u8", values.clone()),
            Self::U16(values) => ("u16", values.iter().flat_map(|v| v.to_le_bytes()).collect()),
            Self::U32(values) => ("u32", values.iter().flat_map(|v| v.to_le_bytes()).collect()),
            Self::F32(values) => ("f32", values.iter().flat_map(|v| v.to_le_bytes()).collect()),
            Self::F64(values) => ("f64", values.iter().flat_map(|v| v.to_le_bytes()).collect()),
            Self::Log(values) => ("log", values.iter().flat_map(|v| v.to_le_bytes()).collect()),
        };
        serializer.collect_str(&format_args!("{kind}:{}", BASE64.encode(bytes)))
    }
}

impl Packed {
    /// Counts, in the smallest type that holds all of them.
    fn counts(values: impl Iterator<Item = u64>) -> Self {
        let values: Vec<u64> = values.collect();
        let all = |most: u64| values.iter().all(|&value| value <= most);
        #[expect(clippy::cast_precision_loss, reason = "counts of requests stay below 2^53")]
        match () {
            () if all(u8::MAX.into()) => Self::U8(values.iter().map(|&v| clamped(v)).collect()),
            () if all(u16::MAX.into()) => Self::U16(values.iter().map(|&v| clamped(v)).collect()),
            () if all(u32::MAX.into()) => Self::U32(values.iter().map(|&v| clamped(v)).collect()),
            () => Self::F64(values.iter().map(|&value| value as f64).collect()),
        }
    }

    /// Rates: as counts where all are whole.
    fn rates(values: impl Iterator<Item = Rps> + Clone) -> Self {
        match values.clone().map(Rps::as_whole).collect::<Option<Vec<u64>>>() {
            Some(whole) => Self::counts(whole.into_iter()),
            None => Self::F64(values.map(Rps::as_f64).collect()),
        }
    }

    /// Numbers with seven digits; NaN for none.
    #[expect(clippy::cast_possible_truncation, reason = "seven digits are enough for a chart")]
    fn numbers(values: impl Iterator<Item = Option<f64>>) -> Self {
        Self::F32(values.map(|value| value.map_or(f32::NAN, |value| value as f32)).collect())
    }

    /// Latencies and sizes.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a code is in range, and exact to 0.025 %"
    )]
    fn log(values: impl Iterator<Item = Option<u64>>) -> Self {
        let code = |value: u64| ((value as f64).ln() / LOG_STEP).round().min(65_534.0) as u16 + 1;
        Self::Log(values.map(|value| value.filter(|&value| value > 0).map_or(0, code)).collect())
    }
}

fn clamped<T: TryFrom<u64>>(value: u64) -> T
where
    T::Error: std::fmt::Debug,
{
    T::try_from(value).expect("all values were compared with the type's largest")
}

/// The data of a report as JSON.
pub(super) fn page_data(report: &Report, answers: &[Answer]) -> Result<String, serde_json::Error> {
    let experiment = &report.manifest.experiment;
    let sorted = |values: &[u32]| {
        let mut values = values.to_vec();
        values.sort_unstable();
        values
    };
    let named = |names: &'_ [ComponentName]| -> Vec<(String, String)> {
        names.iter().map(|name| (name.to_string(), title(&report.manifest, name))).collect()
    };
    let (apps, stores) = (named(&experiment.apps), named(&experiment.stores));
    let mut flag_sets: Vec<&str> = report.trials.iter().map(|one| one.flags.as_str()).collect();
    flag_sets.sort_unstable();
    flag_sets.dedup();
    let failure = |trial: &TrialRow| {
        let failure = trial.failure.as_ref()?;
        Some((trial.trial, format!("{}: {}", failure.stage, failure.reason)))
    };
    let is_cut = report.timeline.len() > MAX_SECONDS;
    let empty = is_cut.then_some(0);
    let data = Embedded {
        dataset: report.dataset.short(),
        apps: apps.iter().map(as_named).collect(),
        stores: stores.iter().map(as_named).collect(),
        workers: sorted(&experiment.workers),
        connections: sorted(&experiment.concurrency),
        targets: report.targets(),
        percentiles: QUANTILES.iter().map(|(_, name)| name.replace('_', ".")).collect(),
        min_requests: QUANTILES.iter().map(|&(q, _)| min_requests(q)).collect(),
        answers,
        cases: cases(report),
        distributions: distributions(&report.analysis.cases),
        knees: &report.analysis.knees,
        scalings: &report.analysis.scalings,
        trials: trials(report, &flag_sets),
        failures: report.trials.iter().filter_map(failure).collect(),
        timeline: timeline(&report.timeline[..empty.unwrap_or(report.timeline.len())]),
        resources: resources(&report.resources[..empty.unwrap_or(report.resources.len())]),
        residuals: residuals(report),
        flag_sets,
        is_cut,
    };
    serde_json::to_string(&data)
}

fn as_named((name, title): &(String, String)) -> Named<'_> {
    Named { name, title: title.clone() }
}

/// The factors of cases.
fn factors<'a>(
    report: &Report,
    cases: impl Iterator<Item = &'a Case> + Clone,
) -> Vec<(String, Packed)> {
    let experiment = &report.manifest.experiment;
    let place = |names: &[ComponentName], name: &ComponentName| -> u64 {
        names.iter().position(|one| one == name).unwrap_or(0) as u64
    };
    let mut columns = Vec::new();
    let mut add = |name: &str, column| columns.push((name.to_owned(), column));
    add("app", Packed::counts(cases.clone().map(|c| place(&experiment.apps, &c.stack.app))));
    add("store", Packed::counts(cases.clone().map(|c| place(&experiment.stores, &c.stack.store))));
    add("workers", Packed::counts(cases.clone().map(|case| case.stack.workers.into())));
    add("connections", Packed::counts(cases.clone().map(|case| case.concurrency.into())));
    add("target", Packed::rates(cases.map(|case| case.target_rps)));
    columns
}

fn cases(report: &Report) -> Vec<(String, Packed)> {
    let cases = &report.analysis.cases;
    let mut columns = factors(report, cases.iter().map(|one| &one.case));
    let counts = |of: fn(&CaseAnalysis) -> u64| Packed::counts(cases.iter().map(of));
    columns.push(("trials".to_owned(), counts(|case| case.trials as u64)));
    columns.push(("valid".to_owned(), counts(|case| case.valid as u64)));
    columns.push(("is_missed".to_owned(), counts(|case| case.is_missed.into())));
    type Of = fn(&CaseAnalysis) -> Option<Estimate>;
    let estimates: [(&str, Of); 3] = [
        ("rate", |case| case.rate),
        ("app_cpu", |case| case.app_cpu),
        ("store_cpu", |case| case.store_cpu),
    ];
    for (name, of) in estimates {
        let mut add = |end: &str, value: fn(Estimate) -> Option<f64>| {
            let values = cases.iter().map(|case| of(case).and_then(value));
            columns.push((format!("{name}{end}"), Packed::numbers(values)));
        };
        add("", |one| Some(one.value));
        add("_low", |one| one.low);
        add("_high", |one| one.high);
        add("_sd", |one| one.stddev);
    }
    for (index, (_, name)) in QUANTILES.iter().enumerate() {
        let name = name.replace('_', ".");
        let nanos = |of: &dyn Fn(&crate::analysis::LatencyEstimate) -> Option<Nanos>| {
            let value = |case: &CaseAnalysis| case.latency[index].as_ref().and_then(of);
            Packed::log(cases.iter().map(|case| value(case).map(|nanos| nanos.0)))
        };
        let value = nanos(&|one| Some(one.value_ns));
        let low = nanos(&|one| one.low_ns);
        let high = nanos(&|one| one.high_ns);
        let upper = nanos(&|one| one.upper_ns);
        let is_supported =
            |case: &CaseAnalysis| case.latency[index].is_none_or(|one| one.is_supported);
        let is_bound = |case: &CaseAnalysis| case.latency[index].is_some_and(|one| one.is_bound);
        let bounds = Packed::counts(cases.iter().map(|case| is_bound(case).into()));
        let spread = cases.iter().map(|case| case.latency[index].and_then(|one| one.stddev_ns));
        columns.extend([
            (name.clone(), value),
            (format!("{name}_low"), low),
            (format!("{name}_high"), high),
            (format!("{name}_upper"), upper),
            (format!("{name}_bound"), bounds),
            (
                format!("{name}_supported"),
                Packed::counts(cases.iter().map(|case| is_supported(case).into())),
            ),
            (format!("{name}_sd"), Packed::numbers(spread)),
        ]);
    }
    columns
}

fn distributions(cases: &[CaseAnalysis]) -> [Packed; 2] {
    let lengths = cases.iter().map(|case| case.distribution.len() as u64);
    let points = cases.iter().flat_map(|case| &case.distribution).map(|nanos| Some(nanos.0));
    [Packed::counts(lengths), Packed::log(points)]
}

fn trials(report: &Report, flag_sets: &[&str]) -> Vec<(String, Packed)> {
    let trials = &report.trials;
    let mut columns = factors(report, trials.iter().map(|one| &one.case));
    let mut add = |name: &str, column| columns.push((name.to_owned(), column));
    let counts = |of: fn(&TrialRow) -> Option<u64>| {
        Packed::counts(trials.iter().map(|trial| of(trial).unwrap_or(0)))
    };
    // Exact: they are saved as CSV.
    let numbers = |of: fn(&TrialRow) -> Option<f64>| {
        Packed::F64(trials.iter().map(|trial| of(trial).unwrap_or(f64::NAN)).collect())
    };
    add("trial", counts(|trial| Some(trial.trial)));
    add("position", counts(|trial| Some(trial.position)));
    add("block", counts(|trial| Some(trial.block)));
    add("is_valid", counts(|trial| Some(trial.is_valid.into())));
    add("has_failed", counts(|trial| Some(trial.failure.is_some().into())));
    let flags = |trial: &TrialRow| flag_sets.binary_search(&trial.flags.as_str()).unwrap_or(0);
    add("flags", Packed::counts(trials.iter().map(|trial| flags(trial) as u64)));
    add("planned", counts(|trial| trial.planned));
    add("completed", counts(|trial| trial.completed));
    add("failed", counts(|trial| trial.failed));
    add("censored", counts(|trial| trial.censored));
    add("rate", numbers(|trial| trial.achieved_rps));
    add("app_cpu", numbers(|trial| trial.per_thousand(trial.app_cpu_s)));
    add("store_cpu", numbers(|trial| trial.per_thousand(trial.store_cpu_s)));
    for (index, (_, name)) in QUANTILES.iter().enumerate() {
        let name = name.replace('_', ".");
        #[expect(clippy::cast_precision_loss, reason = "latencies stay below 2^53")]
        let value = |trial: &TrialRow| {
            trial.latency[index].map_or(f64::NAN, |figure| figure.value.0 as f64)
        };
        #[expect(clippy::cast_precision_loss, reason = "latencies stay below 2^53")]
        let upper = |trial: &TrialRow| {
            let upper = trial.latency[index].and_then(|figure| figure.high);
            upper.map_or(f64::NAN, |upper| upper.0 as f64)
        };
        let bound = |trial: &TrialRow| trial.latency[index].is_some_and(|one| one.is_bound);
        columns.push((name.clone(), Packed::F64(trials.iter().map(value).collect())));
        let bounds = Packed::counts(trials.iter().map(|trial| bound(trial).into()));
        columns.push((format!("{name}_bound"), bounds));
        columns.push((format!("{name}_upper"), Packed::F64(trials.iter().map(upper).collect())));
    }
    columns
}

fn timeline(rows: &[(u64, TimelineSecond)]) -> Vec<(&'static str, Packed)> {
    let counts = |of: fn(&TimelineSecond) -> u64| Packed::counts(rows.iter().map(|(_, s)| of(s)));
    let latency = |of: fn(crate::model::TimelineLatency) -> Nanos| {
        Packed::log(rows.iter().map(|(_, second)| second.latency.map(|one| of(one).0)))
    };
    vec![
        ("trial", Packed::counts(rows.iter().map(|(trial, _)| *trial))),
        ("second", counts(|second| second.second.into())),
        ("planned", counts(|second| second.planned)),
        ("completed", counts(|second| second.completed)),
        ("failed", counts(|second| second.failed)),
        ("p50", latency(|one| one.p50)),
        ("p95", latency(|one| one.p95)),
        ("p99", latency(|one| one.p99)),
        ("max", latency(|one| one.max)),
    ]
}

/// What each part used between two readings: CPUs in use and CPUs kept away, in thousandths.
fn resources(rows: &[(u64, ResourceSample)]) -> Vec<(&'static str, Packed)> {
    let pairs = || {
        let both = rows.iter().zip(rows.iter().skip(1));
        both.filter(|((trial, one), (next_trial, next))| {
            trial == next_trial && one.part == next.part && one.offset < next.offset
        })
    };
    let part = |part: Part| Part::ALL.iter().position(|one| *one == part).unwrap_or(0) as u64;
    let rate = |from: Nanos, to: Nanos, span: Nanos| {
        to.0.saturating_sub(from.0).saturating_mul(1000) / span.0
    };
    let span = |one: &ResourceSample, next: &ResourceSample| Nanos(next.offset.0 - one.offset.0);
    vec![
        ("trial", Packed::counts(pairs().map(|((trial, _), _)| *trial))),
        ("part", Packed::counts(pairs().map(|((_, one), _)| part(one.part)))),
        ("start_ms", Packed::counts(pairs().map(|((_, one), _)| one.offset.0 / 1_000_000))),
        (
            "cpus_milli",
            Packed::counts(pairs().map(|((_, a), (_, b))| rate(a.cpu, b.cpu, span(a, b)))),
        ),
        (
            "throttled_milli",
            Packed::counts(pairs().map(|((_, a), (_, b))| {
                let ends = a.throttled.zip(b.throttled);
                ends.map_or(0, |(from, to)| rate(from, to, span(a, b)))
            })),
        ),
    ]
}

/// How far each trial is from its case, by the place of its row in `trials`.
fn residuals(report: &Report) -> Vec<(&'static str, Packed)> {
    let rows = &report.residuals;
    let mut places: Vec<(u64, usize)> =
        report.trials.iter().enumerate().map(|(row, trial)| (trial.position, row)).collect();
    places.sort_unstable();
    let row = |position: u64| {
        let found = places.binary_search_by_key(&position, |&(position, _)| position);
        found.map_or(0, |place| places[place].1 as u64)
    };
    vec![
        ("row", Packed::counts(rows.iter().map(|one| row(one.position)))),
        ("ratio", Packed::numbers(rows.iter().map(|one| Some(one.ratio)))),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_bytes_with_their_type() {
        let told = |column: &Packed| serde_json::to_string(column).unwrap();
        assert_eq!(told(&Packed::counts([1, 2].into_iter())), "\"u8:AQI=\"");
        assert_eq!(told(&Packed::counts([256].into_iter())), "\"u16:AAE=\"");
        assert!(told(&Packed::counts([1 << 40].into_iter())).starts_with("\"f64:"));
        let rates = |rates: [&str; 2]| {
            told(&Packed::rates(rates.map(|rate| rate.parse::<Rps>().unwrap()).into_iter()))
        };
        assert_eq!(rates(["1", "2"]), "\"u8:AQI=\"");
        assert_eq!(rates(["0.5", "2"]), "\"f64:AAAAAAAA4D8AAAAAAAAAQA==\"");
        assert_eq!(told(&Packed::numbers([Some(1.0)].into_iter())), "\"f32:AACAPw==\"");
    }

    #[test]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the values are whole"
    )]
    fn a_code_is_exact_to_a_fortieth_of_a_percent() {
        for value in [1.0, 999.0, 2e7, 3.6e12, 9.9e13] {
            let Packed::Log(codes) = Packed::log([Some(value as u64)].into_iter()) else {
                panic!()
            };
            let back = (f64::from(codes[0] - 1) * LOG_STEP).exp();
            assert!((back / value - 1.0).abs() < 0.000_251, "{value}: {back}");
        }
        let Packed::Log(codes) = Packed::log([None, Some(0)].into_iter()) else { panic!() };
        assert_eq!(codes, [0, 0]);
    }
}
