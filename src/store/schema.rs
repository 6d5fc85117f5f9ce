//! The tables of a dataset: the one place that names columns.
//!
//! Each column has a unit suffix where it has a unit, a line that says what it is, and the function
//! that takes it from a record.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Float64Array, StringArray, TimestampMillisecondArray, UInt32Array,
    UInt64Array,
};
use datafusion::arrow::datatypes::{Field, Schema};

use crate::id::TrialId;
use crate::model::{
    Bucket, Flag, LoaderHealth, Measurement, Outcome, Part, QUANTILES, ResourceSample,
    SERVICE_QUANTILES, StackTimes, Stage, TimelineSecond, TrialRecord,
};
use crate::units::Nanos;

/// The file of the table `trials`.
pub const TRIALS_FILE: &str = "trials.parquet";
/// The version of the tables and the manifest that is written, and the newest that is read.
pub const SCHEMA_VERSION: u32 = 4;
/// The files of a dataset beside its manifest, in alphabetical order.
pub const FILE_NAMES: [&str; 4] =
    ["latency.parquet", "resources.parquet", "timeline.parquet", TRIALS_FILE];

/// A table of a dataset with its content.
#[derive(Debug)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// What a row is.
    pub doc: &'static str,
    /// Its columns.
    pub columns: Vec<Column>,
}

impl Table {
    /// Its file's name.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("{}.parquet", self.name)
    }

    /// How many rows it has.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.columns.first().map_or(0, |column| column.values.len())
    }

    /// Its Arrow schema. Each column's line of documentation is in its field's metadata.
    #[must_use]
    pub fn arrow_schema(&self) -> Arc<Schema> {
        self.arrow_schema_of(SCHEMA_VERSION)
    }

    /// Its Arrow schema in a version of the tables.
    fn arrow_schema_of(&self, version: u32) -> Arc<Schema> {
        let columns = self.columns.iter().filter(|column| column.since <= version);
        let fields = columns.map(|column| {
            let kind = column.values.data_type().clone();
            let doc = ("doc".to_owned(), column.doc.clone().into_owned());
            Field::new(&*column.name, kind, column.nullable).with_metadata([doc].into())
        });
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    fn new<R>(name: &'static str, doc: &'static str, rows: &[R], columns: Columns<R>) -> Self {
        let columns = columns.sources.into_iter().map(|source| source.column(rows)).collect();
        Self { name, doc, columns }
    }
}

/// A column of a table with its values.
#[derive(Debug)]
pub struct Column {
    /// Its name, with the unit.
    pub name: Cow<'static, str>,
    /// What a value is.
    pub doc: Cow<'static, str>,
    /// The values.
    pub values: ArrayRef,
    /// Whether a value may be missing.
    pub nullable: bool,
    /// The first version of the tables that has it.
    pub since: u32,
    /// Whether values mostly grow from row to row, so that their differences are small.
    pub is_ascending: bool,
}

/// The four tables of a dataset whose trials offered load for `duration`. With no records: their
/// schema.
#[must_use]
pub fn tables(duration: Duration, records: &[TrialRecord]) -> [Table; 4] {
    [trials(duration, records), latency(records), timeline(records), resources(records)]
}

/// The Arrow schema of each table in a version of the tables, in the order of [`FILE_NAMES`].
#[must_use]
pub fn arrow_schemas(version: u32) -> Vec<Arc<Schema>> {
    let mut tables = tables(Duration::ZERO, &[]);
    tables.sort_by_key(|table| table.name);
    tables.iter().map(|table| table.arrow_schema_of(version)).collect()
}

/// Where a column comes from.
struct Source<R> {
    name: Cow<'static, str>,
    doc: Cow<'static, str>,
    since: u32,
    cells: Cells<R>,
}

/// How the cells of a column are taken from a row.
enum Cells<R> {
    U32(Cell<R, u32>),
    U64(Cell<R, u64>),
    F64(Cell<R, f64>),
    Bool(Cell<R, bool>),
    Text(Cell<R, String>),
    Millis(Cell<R, u64>),
    MaybeU64(Cell<R, Option<u64>>),
    MaybeF64(Cell<R, Option<f64>>),
    MaybeBool(Cell<R, Option<bool>>),
    MaybeText(Cell<R, Option<String>>),
}

type Cell<R, V> = Box<dyn Fn(&R) -> V>;

impl<R> Source<R> {
    fn column(self, rows: &[R]) -> Column {
        let nullable = matches!(
            self.cells,
            Cells::MaybeU64(_) | Cells::MaybeF64(_) | Cells::MaybeBool(_) | Cells::MaybeText(_)
        );
        let values: ArrayRef = match self.cells {
            Cells::U32(cell) => Arc::new(rows.iter().map(cell).collect::<UInt32Array>()),
            Cells::U64(cell) => Arc::new(rows.iter().map(cell).collect::<UInt64Array>()),
            Cells::F64(cell) => Arc::new(rows.iter().map(cell).collect::<Float64Array>()),
            Cells::Bool(cell) => {
                Arc::new(rows.iter().map(|row| Some(cell(row))).collect::<BooleanArray>())
            }
            Cells::Text(cell) => {
                Arc::new(rows.iter().map(|row| Some(cell(row))).collect::<StringArray>())
            }
            Cells::Millis(cell) => {
                let millis = rows.iter().map(|row| i64::try_from(cell(row)).unwrap_or(i64::MAX));
                Arc::new(TimestampMillisecondArray::from_iter_values(millis).with_timezone("UTC"))
            }
            Cells::MaybeU64(cell) => Arc::new(rows.iter().map(cell).collect::<UInt64Array>()),
            Cells::MaybeF64(cell) => Arc::new(rows.iter().map(cell).collect::<Float64Array>()),
            Cells::MaybeBool(cell) => Arc::new(rows.iter().map(cell).collect::<BooleanArray>()),
            Cells::MaybeText(cell) => Arc::new(rows.iter().map(cell).collect::<StringArray>()),
        };
        let is_ascending = ["low_ns", "high_ns"].contains(&&*self.name);
        let Self { name, doc, since, .. } = self;
        Column { name, doc, values, nullable, since, is_ascending }
    }
}

/// The columns of a table, in order, and the version of the tables since which those that are added
/// are there.
struct Columns<R> {
    sources: Vec<Source<R>>,
    since: u32,
}

/// Declares the method that adds one kind of column.
macro_rules! column {
    ($name:ident, $variant:ident, $value:ty) => {
        fn $name(
            &mut self,
            name: impl Into<Cow<'static, str>>,
            doc: impl Into<Cow<'static, str>>,
            cell: impl Fn(&R) -> $value + 'static,
        ) {
            let cells = Cells::$variant(Box::new(cell));
            let (name, doc, since) = (name.into(), doc.into(), self.since);
            self.sources.push(Source { name, doc, since, cells });
        }
    };
}

impl<R> Columns<R> {
    fn new() -> Self {
        Self { sources: vec![], since: 1 }
    }

    column!(u32, U32, u32);
    column!(u64, U64, u64);
    column!(f64, F64, f64);
    column!(bool, Bool, bool);
    column!(text, Text, String);
    column!(millis, Millis, u64);
    column!(maybe_u64, MaybeU64, Option<u64>);
    column!(maybe_f64, MaybeF64, Option<f64>);
    column!(maybe_bool, MaybeBool, Option<bool>);
    column!(maybe_text, MaybeText, Option<String>);
}

fn trials(duration: Duration, records: &[TrialRecord]) -> Table {
    let seconds = duration.as_secs_f64();
    let mut columns = Columns::<TrialRecord>::new();
    columns.u32("trial", "the trial: its place in the unshuffled matrix", |r| r.trial.id.0);
    columns.u32("position", "its place in the order of execution", |r| r.trial.position);
    columns.u32("block", "the repetition that it belongs to, from 0", |r| r.trial.block);
    columns.millis("started", "when it began", |r| r.started.0);
    columns.text("app", "factor: the app", |r| r.trial.case.stack.app.to_string());
    columns.text("store", "factor: the store", |r| r.trial.case.stack.store.to_string());
    columns.u32("workers", "factor: worker processes of the app", |r| r.trial.case.stack.workers);
    columns.u32("concurrency", "factor: connections of the loader", |r| r.trial.case.concurrency);
    columns.u32("target_rps", "factor: requests per second that were offered", |r| {
        r.trial.case.target_rps
    });
    columns.f64("duration_s", "how long load was offered", move |_| seconds);
    columns.bool("is_valid", "whether it was measured and nothing forbids to rank it", is_valid);
    columns.text("flags", "what to know before trusting it, separated by commas", flags);
    columns.maybe_text("failure_stage", "at which step it failed, if it did", |r| {
        failure(r).map(|failure| failure.stage.as_str().to_owned())
    });
    columns.maybe_text("failure_reason", "why it failed, if it did", |r| {
        failure(r).map(|failure| failure.reason.clone())
    });
    columns.maybe_text("failure_log", "the last lines that its parts wrote, if it failed", |r| {
        failure(r).map(|failure| failure.log_tail.join("\n"))
    });
    columns.maybe_u64("planned", "requests that the schedule offered", |r| {
        measured(r).map(|m| m.counts.planned)
    });
    columns.maybe_u64("sent", "requests that a connection took up before the deadline", |r| {
        measured(r).map(|m| m.counts.sent)
    });
    columns.maybe_u64("completed", "requests that were answered as expected", |r| {
        measured(r).map(|m| m.counts.completed)
    });
    columns.maybe_u64("failed", "requests that were answered wrongly or not at all", |r| {
        measured(r).map(|m| m.counts.failed_total())
    });
    columns.maybe_text("failed_kinds", "failed requests by kind, a JSON object", |r| {
        measured(r).map(|m| serde_json::json!(m.counts.failed).to_string())
    });
    columns.maybe_u64("censored", "requests without an answer at the deadline", |r| {
        measured(r).map(|m| m.counts.censored)
    });
    columns.maybe_f64("achieved_rps", "completed requests per second of load", move |r| {
        measured(r).map(|m| per_second(m.counts.completed, seconds))
    });
    latency_figures(&mut columns);
    for (part, cpus) in [(Part::Loader, "loader"), (Part::App, "app"), (Part::Store, "store")] {
        columns.maybe_f64(
            format!("{cpus}_cpu_s"),
            format!("CPU time that the {part} used"),
            move |r| measured(r).and_then(|m| Some(m.usage(part)?.cpu.as_secs_f64())),
        );
        columns.maybe_u64(
            format!("{cpus}_peak_memory_bytes"),
            format!("the most memory of the {part} that was seen (PSS; of a container, without file cache)"),
            move |r| measured(r).and_then(|m| Some(m.usage(part)?.peak_memory_bytes)),
        );
        columns.text(
            format!("{cpus}_cpus"),
            format!("the CPUs of the {part}"),
            move |r| match part {
                Part::Loader => r.placement.loader.to_string(),
                Part::App => r.placement.app.to_string(),
                Part::Store => r.placement.store.to_string(),
            },
        );
    }
    later_versions(&mut columns);
    Table::new("trials", "one execution of a case", records, columns)
}

/// What was not there from the beginning.
fn later_versions(columns: &mut Columns<TrialRecord>) {
    columns.since = 3;
    executions(columns);
    loader_and_host(columns);
    columns.since = 4;
    host_state(columns);
}

/// A figure's name, what it is, and where it is taken from.
type Figure<R, V> = (&'static str, &'static str, fn(R) -> V);

/// What a trial took beside its load, and how often it was executed.
fn executions(columns: &mut Columns<TrialRecord>) {
    for (part, name) in [(Part::App, "app"), (Part::Store, "store")] {
        columns.maybe_f64(
            format!("{name}_throttled_s"),
            format!("how long the {part}'s quota kept it from a CPU, each of its threads counted"),
            move |r| measured(r).and_then(|m| Some(m.usage(part)?.throttled?.as_secs_f64())),
        );
    }
    columns.maybe_u64("executions", "how often it was executed: not once when given up before", {
        |r| {
            let is_executed = failure(r).is_none_or(|failure| failure.stage != Stage::GivenUp);
            Some(r.earlier_failures.len() as u64 + u64::from(is_executed))
        }
    });
    columns.maybe_text("earlier_failures", "how it failed before, a JSON list, if it did", |r| {
        let is_repeated = !r.earlier_failures.is_empty();
        is_repeated.then(|| serde_json::json!(r.earlier_failures).to_string())
    });
    let times: [Figure<StackTimes, Option<Nanos>>; 5] = [
        ("store_ready_s", "from starting its store to the first answer", |t| Some(t.store_ready)),
        ("app_ready_s", "from starting its app to the first answer", |t| Some(t.app_ready)),
        ("seed_s", "seeding its store, and checking what store and app answer", |t| Some(t.seed)),
        ("warm_up_s", "the first load on its stack, which is not measured", |t| Some(t.warm_up)),
        ("stop_s", "stopping its app and store, when it was the runner that did", |t| t.stop),
    ];
    for (name, doc, of) in times {
        columns.maybe_f64(name, format!("how long it took: {doc}"), move |r| {
            r.stack_times.and_then(of).map(Nanos::as_secs_f64)
        });
    }
    columns.maybe_bool("is_warm", "whether the first load on its stack had come to rest", |r| {
        r.stack_times.map(|times| times.is_warm)
    });
    columns.maybe_f64("ingest_s", "from the deadline until the loader's record was read", |r| {
        measured(r)?.ingest.map(Nanos::as_secs_f64)
    });
}

/// How well the loader kept to its schedule, and who else was there.
fn loader_and_host(columns: &mut Columns<TrialRecord>) {
    for (q, name) in SERVICE_QUANTILES {
        columns.maybe_u64(
            format!("{name}_ns"),
            format!(
                "time from sending to answer that a share of {q} of the answered did not exceed"
            ),
            move |r| r.figures.get(name).map(|figure| figure.value.0),
        );
    }
    let lags: [Figure<LoaderHealth, Nanos>; 3] = [
        ("p50", "median delay", |health| health.lag_p50),
        ("p99", "99th percentile of the delay", |health| health.lag_p99),
        ("max", "longest delay", |health| health.lag_max),
    ];
    for (name, doc, of) in lags {
        columns.maybe_u64(
            format!("pacer_lag_{name}_ns"),
            format!("{doc} from a request's planned moment to its release by the loader"),
            move |r| Some(of(measured(r)?.loader?).0),
        );
    }
    columns.maybe_f64("in_flight", "requests in flight, on average of counts each 10 ms", |r| {
        Some(measured(r)?.loader?.in_flight())
    });
    columns.maybe_f64("loader_ceiling_rps", "the highest rate that the loader was seen to hold", {
        |r| Some(f64::from(r.ceiling?.rps))
    });
    let bound = "whether the loader was not driven to its limit to find that";
    columns.maybe_bool("loader_ceiling_is_bound", bound, |r| Some(r.ceiling?.is_bound));
    columns.maybe_f64("foreign_cpu_s", "CPU time of others on the trial's CPUs", |r| {
        Some(measured(r)?.disturbance?.foreign.as_secs_f64())
    });
    columns.maybe_f64("steal_s", "time that the hypervisor took from the trial's CPUs", |r| {
        Some(measured(r)?.disturbance?.steal.as_secs_f64())
    });
}

/// What the host did during the load.
fn host_state(columns: &mut Columns<TrialRecord>) {
    let host = |r: &TrialRecord| measured(r)?.disturbance;
    let busiest = "CPU time of processes on the busiest of the loader's CPUs";
    columns.maybe_f64("loader_busiest_cpu_s", busiest, move |r| {
        Some(host(r)?.busiest_loader_cpu?.as_secs_f64())
    });
    let swapped = "memory of the host that went to swap or came from it";
    columns.maybe_u64("swapped_bytes", swapped, move |r| host(r)?.swapped_bytes);
    let kept = "frequency of its CPUs in its second half over that in its first";
    columns.maybe_f64("frequency_kept", kept, move |r| {
        Some(f64::from(host(r)?.frequency_kept_permille?) / 1000.0)
    });
    let throttles = "how often its CPUs were slowed down by heat";
    columns.maybe_u64("thermal_throttles", throttles, move |r| host(r)?.thermal_throttles);
    columns.maybe_u64("max_temperature_c", "the highest temperature of a CPU", move |r| {
        host(r)?.max_temperature_c.map(u64::from)
    });
}

fn latency_figures(columns: &mut Columns<TrialRecord>) {
    let quantiles = QUANTILES
        .iter()
        .map(|&(q, name)| (name, format!("latency that a share of {q} did not exceed")));
    let mean = std::iter::once(("mean", "mean latency".to_owned()));
    for (name, doc) in mean.chain(quantiles) {
        columns.maybe_u64(
            format!("latency_{name}_ns"),
            format!("{doc}, of answered and cut-off requests"),
            move |r: &TrialRecord| r.figures.get(name).map(|figure| figure.value.0),
        );
        columns.maybe_bool(
            format!("latency_{name}_is_bound"),
            format!("whether `latency_{name}_ns` is a lower bound only"),
            move |r: &TrialRecord| r.figures.get(name).map(|figure| figure.is_bound),
        );
    }
}

fn latency(records: &[TrialRecord]) -> Table {
    let rows = details(records, |measurement| &measurement.latency.buckets);
    let mut columns = Columns::<(TrialId, &Bucket)>::new();
    columns.u32("trial", "the trial", |(trial, _)| trial.0);
    columns.u64("low_ns", "the lowest latency of the bucket", |(_, b)| b.low.0);
    columns.u64("high_ns", "the highest latency of the bucket", |(_, b)| b.high.0);
    columns
        .u64("count", "requests that were answered with a latency in the bucket", |(_, b)| b.count);
    columns.u64("censored", "requests cut off when they had waited this long", |(_, b)| b.censored);
    columns.since = 3;
    let served = "requests that were answered this long after a connection had taken them up";
    columns.maybe_u64("served", served, |(_, b)| Some(b.served));
    let doc = "one bucket of a trial's latencies, from the planned moment of each request";
    Table::new("latency", doc, &rows, columns)
}

fn timeline(records: &[TrialRecord]) -> Table {
    let rows = details(records, |measurement| &measurement.timeline);
    let mut columns = Columns::<(TrialId, &TimelineSecond)>::new();
    columns.u32("trial", "the trial", |(trial, _)| trial.0);
    columns.u32("second", "which second of the load, from 0", |(_, s)| s.second);
    columns.u64("planned", "requests that the schedule offered in it", |(_, s)| s.planned);
    columns.u64("completed", "expected answers that arrived in it", |(_, s)| s.completed);
    columns.u64("failed", "wrong answers that arrived in it", |(_, s)| s.failed);
    for (name, doc) in [
        ("p50", "median latency of its expected answers"),
        ("p95", "95th percentile of their latency"),
        ("p99", "99th percentile of their latency"),
        ("max", "the longest latency of them"),
    ] {
        columns.maybe_u64(
            format!("latency_{name}_ns"),
            doc,
            move |(_, s): &(TrialId, &TimelineSecond)| {
                let latency = s.latency?;
                let Nanos(value) = match name {
                    "p50" => latency.p50,
                    "p95" => latency.p95,
                    "p99" => latency.p99,
                    _ => latency.max,
                };
                Some(value)
            },
        );
    }
    Table::new("timeline", "one second of a trial", &rows, columns)
}

fn resources(records: &[TrialRecord]) -> Table {
    let rows = details(records, |measurement| &measurement.resources);
    let mut columns = Columns::<(TrialId, &ResourceSample)>::new();
    columns.u32("trial", "the trial", |(trial, _)| trial.0);
    columns.text("part", "loader, app or store", |(_, s)| s.part.to_string());
    columns.u64("offset_ns", "time since the trial began", |(_, s)| s.offset.0);
    columns
        .u64("cpu_ns", "CPU time that the part had used since the trial began", |(_, s)| s.cpu.0);
    columns.u64(
        "memory_bytes",
        "memory of the part at that moment (PSS, or at the beginning that and then what unshared memory has grown by; of a container, without file cache)",
        |(_, s)| s.memory_bytes,
    );
    columns.since = 3;
    let throttled = "how long its quota had kept it from a CPU since the trial began";
    columns.maybe_u64("throttled_ns", throttled, |(_, s)| s.throttled.map(|time| time.0));
    Table::new("resources", "what a part had used at a moment of a trial", &rows, columns)
}

/// The details of each measured trial, beside the trial's id.
fn details<'a, D>(
    records: &'a [TrialRecord],
    of: impl Fn(&'a Measurement) -> &'a Vec<D>,
) -> Vec<(TrialId, &'a D)> {
    let mut rows = Vec::new();
    for record in records {
        let found = measured(record).into_iter().flat_map(&of);
        rows.extend(found.map(|detail| (record.trial.id, detail)));
    }
    rows
}

fn measured(record: &TrialRecord) -> Option<&Measurement> {
    match &record.outcome {
        Outcome::Measured(measurement) => Some(measurement),
        Outcome::Failed(_) => None,
    }
}

fn failure(record: &TrialRecord) -> Option<&crate::model::Failure> {
    match &record.outcome {
        Outcome::Measured(_) => None,
        Outcome::Failed(failure) => Some(failure),
    }
}

fn is_valid(record: &TrialRecord) -> bool {
    measured(record).is_some() && !record.flags.iter().any(|flag| flag.forbids_ranking())
}

fn flags(record: &TrialRecord) -> String {
    let names: Vec<&str> = record.flags.iter().copied().map(Flag::as_str).collect();
    names.join(",")
}

#[expect(clippy::cast_precision_loss, reason = "counts of requests stay below 2^53")]
fn per_second(count: u64, seconds: f64) -> f64 {
    count as f64 / seconds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_is_the_known_one() {
        let tables = tables(Duration::ZERO, &[]);
        let names: Vec<String> = tables.iter().map(Table::file_name).collect();
        let mut sorted = names.clone();
        sorted.sort();
        assert_eq!(sorted, FILE_NAMES);
        let told: Vec<String> = tables
            .iter()
            .flat_map(|table| {
                let columns = table.columns.iter().map(|column| {
                    let null = if column.nullable { ", may be missing" } else { "" };
                    format!(
                        "  {}: {}{null}: {}",
                        column.name,
                        column.values.data_type(),
                        column.doc
                    )
                });
                std::iter::once(format!("{}: {}", table.name, table.doc)).chain(columns)
            })
            .collect();
        // A change of these is a change of format: raise SCHEMA_VERSION, or know why not.
        insta::assert_snapshot!(told.join("\n"));
    }
}
