//! The data that a page draws, in columns: each number is there once.
//!
//! A column is a text: its type, a colon, and its values in little-endian bytes as base64. `log` is for
//! latencies and sizes: a 16-bit code c > 0 stands for e^(0.0005 (c − 1)), which is exact to 0.025 %
//! from 1 to 10¹⁴; 0 stands for none.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;
use serde::{Serialize, Serializer};

use super::Report;
use super::charts::title;
use super::summary::Answer;
use crate::analysis::{CaseAnalysis, Estimate, LineKnee, POINTS_PER_DECADE, Scaling};
use crate::model::{
    Case, ComponentName, Part, QUANTILES, Quantile, ResourceSample, TrialRecord, TrialRow,
    flag_names, min_requests, rules,
};
use crate::store::{self, Declaration, PageColumn, PageValues};
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
    constants: Constants,
    answers: &'a [Answer],
    cases: Vec<(String, Packed)>,
    /// Each case's distribution: how many points, and all of them.
    distributions: [Packed; 2],
    knees: &'a [LineKnee],
    scalings: &'a [Scaling],
    trials: Vec<(String, Packed)>,
    /// The columns of `trials` that its table lists beside those that it knows.
    listed: Vec<String>,
    /// What `flags` counts in.
    flag_sets: Vec<String>,
    /// Stage and reason of trials that failed, by number.
    failures: Vec<(u64, String)>,
    timeline: Vec<(String, Packed)>,
    resources: Vec<(&'static str, Packed)>,
    /// The factors of drift, in the order of execution.
    residuals: Vec<(&'static str, Packed)>,
    /// Whether there are too many seconds to show.
    is_cut: bool,
}

/// What the page's script has to know as the program does.
#[derive(Serialize)]
struct Constants {
    /// The step between two codes of a `log` column.
    log_step: f64,
    /// Points of a distribution for each factor of ten of the requests beyond it.
    points_per_decade: i32,
    /// The level of the intervals.
    level: f64,
    /// The parts, in the order in which `resources` counts them.
    parts: [Part; Part::ALL.len()],
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
    let mut flag_sets: Vec<String> =
        report.trials.iter().map(|one| flag_names(&one.flags)).collect();
    flag_sets.sort_unstable();
    flag_sets.dedup();
    let failure = |trial: &TrialRow| {
        let failure = trial.failure.as_ref()?;
        Some((trial.trial, format!("{}: {}", failure.stage.as_str(), failure.reason)))
    };
    let table = store::trials(Duration::ZERO);
    let is_cut = report.timeline.len() > MAX_SECONDS;
    let empty = is_cut.then_some(0);
    let data = Embedded {
        dataset: report.dataset.short(),
        apps: apps.iter().map(as_named).collect(),
        stores: stores.iter().map(as_named).collect(),
        workers: sorted(&experiment.workers),
        connections: sorted(&experiment.concurrency),
        targets: report.targets(),
        percentiles: QUANTILES.iter().map(Quantile::label).collect(),
        min_requests: QUANTILES.iter().map(|one| min_requests(one.share)).collect(),
        constants: Constants {
            log_step: LOG_STEP,
            points_per_decade: POINTS_PER_DECADE,
            level: rules::CONFIDENCE_LEVEL,
            parts: Part::ALL,
        },
        answers,
        cases: cases(report),
        distributions: distributions(&report.analysis.cases),
        knees: &report.analysis.knees,
        scalings: &report.analysis.scalings,
        trials: trials(report, &table, &flag_sets),
        listed: page_columns(&table).filter(|one| one.is_listed).map(name).collect(),
        failures: report.trials.iter().filter_map(failure).collect(),
        timeline: pack(
            &store::timeline(),
            &report.timeline[..empty.unwrap_or(report.timeline.len())],
        ),
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
    for (index, quantile) in QUANTILES.iter().enumerate() {
        let name = quantile.label();
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

fn trials(
    report: &Report,
    table: &Declaration<TrialRecord, TrialRow>,
    flag_sets: &[String],
) -> Vec<(String, Packed)> {
    let trials = &report.trials;
    let mut columns = factors(report, trials.iter().map(|one| &one.case));
    let place = |trial: &TrialRow| flag_sets.binary_search(&flag_names(&trial.flags)).unwrap_or(0);
    let flags = Packed::counts(trials.iter().map(|trial| place(trial) as u64));
    columns.push(("flags".to_owned(), flags));
    columns.extend(pack(table, trials));
    columns
}

/// What a page has of the columns of a table, in the order of their declarations.
fn page_columns<R, W>(table: &Declaration<R, W>) -> impl Iterator<Item = &PageColumn<W>> {
    table.columns.iter().flat_map(|column| &column.page)
}

fn name<W>(column: &PageColumn<W>) -> String {
    column.name.clone().into_owned()
}

/// The rows of a table in the page's columns, as they are declared.
fn pack<R, W>(table: &Declaration<R, W>, rows: &[W]) -> Vec<(String, Packed)> {
    let packed = |column: &PageColumn<W>| match &column.values {
        PageValues::Counts(of) => Packed::counts(rows.iter().map(|row| of(row).unwrap_or(0))),
        // Exact: they are saved as CSV.
        PageValues::Numbers(of) => {
            Packed::F64(rows.iter().map(|row| of(row).unwrap_or(f64::NAN)).collect())
        }
        PageValues::Latencies(of) => {
            Packed::log(rows.iter().map(|row| of(row).map(|latency| latency.0)))
        }
    };
    page_columns(table).map(|column| (name(column), packed(column))).collect()
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
    use datafusion::prelude::SessionContext;

    use super::*;
    use crate::model::{Flag, Stage};
    use crate::query;
    use crate::store::SCHEMA_VERSION;

    /// A trial that failed at its first step.
    fn failed_trial() -> TrialRecord {
        serde_json::from_value(serde_json::json!({
            "trial": {
                "id": 7, "position": 0, "block": 0, "app": "express", "store": "redis",
                "workers": 1, "concurrency": 100, "target_rps": 1000,
            },
            "started": 0,
            "placement": { "loader": "0", "app": "1", "store": "2", "shared": false },
            "flags": ["cpus_shared", "host_busy"],
            "figures": {},
            "outcome": { "failed": { "stage": "warm-up", "reason": "slow", "log_tail": [] } },
        }))
        .unwrap()
    }

    #[tokio::test]
    async fn a_column_is_added_by_declaring_it() {
        let (name, doc) = ("interrupts_s", "time that interrupts took from its CPUs");
        let mut table = store::trials(Duration::from_secs(1));
        table.since = SCHEMA_VERSION;
        table.maybe_f64(name, doc, |record| Some(f64::from(record.trial.id.0) + 0.5)).listed();

        // The Arrow schema, from its version on.
        let written = table.fill(&[failed_trial()]);
        let has = |version| written.arrow_schema_of(version).column_with_name(name).is_some();
        assert!(has(SCHEMA_VERSION) && !has(SCHEMA_VERSION - 1));

        // What `perf-api schema` prints.
        let words = query::table_doc(&written);
        let column = words.columns.iter().find(|column| column.name == name).unwrap();
        assert_eq!((&*column.doc, column.unit, column.nullable), (doc, "s", true));

        // The report's own query, and the row that is read from its answer.
        let context = SessionContext::new();
        context.register_batch("written", written.batch().unwrap()).unwrap();
        let view = "CREATE VIEW trials AS SELECT 'x' AS dataset, * FROM written";
        context.sql(view).await.unwrap();
        let answer = context.sql(query::TRIALS.sql).await.unwrap().collect().await.unwrap();
        let rows = query::trial_rows(&table, &answer).unwrap();
        assert_eq!(rows[0].trial, 7);
        assert_eq!(rows[0].flags, [Flag::CpusShared, Flag::HostBusy]);
        assert_eq!(rows[0].failure.as_ref().unwrap().stage, Stage::WarmUp);
        assert_eq!(serde_json::to_value(&rows[0]).unwrap()[name], 7.5);

        // The data of the page, with what its table of trials lists.
        let packed = pack(&table, &rows);
        let (_, column) = packed.iter().find(|(own, _)| own == name).unwrap();
        assert!(matches!(column, Packed::F64(values) if values == &[7.5]));
        let listed = page_columns(&table).filter(|one| one.is_listed);
        assert_eq!(listed.map(super::name).collect::<Vec<_>>(), [name]);
    }

    #[test]
    fn columns_are_bytes_with_their_type() {
        let json = |column: &Packed| serde_json::to_string(column).unwrap();
        assert_eq!(json(&Packed::counts([1, 2].into_iter())), "\"u8:AQI=\"");
        assert_eq!(json(&Packed::counts([256].into_iter())), "\"u16:AAE=\"");
        assert!(json(&Packed::counts([1 << 40].into_iter())).starts_with("\"f64:"));
        let rates = |rates: [&str; 2]| {
            json(&Packed::rates(rates.map(|rate| rate.parse::<Rps>().unwrap()).into_iter()))
        };
        assert_eq!(rates(["1", "2"]), "\"u8:AQI=\"");
        assert_eq!(rates(["0.5", "2"]), "\"f64:AAAAAAAA4D8AAAAAAAAAQA==\"");
        assert_eq!(json(&Packed::numbers([Some(1.0)].into_iter())), "\"f32:AACAPw==\"");
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
