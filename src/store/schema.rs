//! The tables of a dataset: the one place that names columns.
//!
//! Each column has a unit suffix where it has a unit, a line that says what it is, and the function
//! that takes it from a record.

use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::datatypes::Schema;

use super::column::{Columns, Table};
use crate::id::TrialId;
use crate::model::{
    Bucket, Flag, LoaderHealth, Measurement, Outcome, Part, QUANTILES, ResourceSample,
    SERVICE_QUANTILES, StackTimes, Stage, TimelineSecond, TrialRecord,
};
use crate::units::Nanos;

/// The file of the table `trials`.
pub const TRIALS_FILE: &str = "trials.parquet";
/// The version of the tables and the manifest that is written, and the newest that is read.
pub const SCHEMA_VERSION: u32 = 5;
/// The first version that has each of [`QUANTILES`], in their order.
const QUANTILE_VERSIONS: [u32; QUANTILES.len()] = [1, 1, 1, 1, 1, 1];
/// The first version that has each of [`SERVICE_QUANTILES`], in their order.
const SERVICE_QUANTILE_VERSIONS: [u32; SERVICE_QUANTILES.len()] = [3, 3, 3];
/// The files of a dataset beside its manifest, in alphabetical order.
pub const FILE_NAMES: [&str; 4] =
    ["latency.parquet", "resources.parquet", "timeline.parquet", TRIALS_FILE];

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
    columns.rate("target_rps", "factor: requests per second that were offered", |r| {
        f64::from(r.trial.case.target_rps)
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
    counts(&mut columns, seconds);
    latency_figures(&mut columns, std::iter::zip(QUANTILES, QUANTILE_VERSIONS));
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

/// What became of the requests.
fn counts(columns: &mut Columns<TrialRecord>, seconds: f64) {
    columns.maybe_u64("planned", "requests that the schedule offered", |r| {
        measured(r).map(|m| m.counts.planned)
    });
    columns.maybe_u64("sent", "requests that a connection took up", |r| {
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
    columns.maybe_u64(
        "censored",
        "unfinished requests: without an answer at the end of the drain, or never sent",
        |r| measured(r).map(|m| m.counts.censored),
    );
    columns.maybe_f64(
        "achieved_rps",
        "requests completed within the window, per second of it",
        move |r| measured(r).map(|m| per_second(m.counts.completed_in_window(), seconds)),
    );
}

/// What was not there from the beginning.
fn later_versions(columns: &mut Columns<TrialRecord>) {
    columns.since = 3;
    executions(columns);
    loader_and_host(columns);
    columns.since = 4;
    host_state(columns);
    columns.since = 5;
    drain(columns);
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
    columns.maybe_f64(
        "ingest_s",
        "from the end of the drain until the loader's record was read",
        |r| measured(r)?.ingest.map(Nanos::as_secs_f64),
    );
}

/// How well the loader kept to its schedule, and who else was there.
fn loader_and_host(columns: &mut Columns<TrialRecord>) {
    let since = columns.since;
    for ((q, name), version) in std::iter::zip(SERVICE_QUANTILES, SERVICE_QUANTILE_VERSIONS) {
        columns.since = version;
        columns.maybe_u64(
            format!("{name}_ns"),
            format!(
                "time from sending to answer that a share of {q} of the answered did not exceed"
            ),
            move |r| r.figures.get(name).map(|figure| figure.value.0),
        );
    }
    columns.since = since;
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

/// What came after the window, and how far unfinished requests can move a figure.
fn drain(columns: &mut Columns<TrialRecord>) {
    columns.maybe_u64(
        "drained",
        "of the completed requests, those answered after the window",
        |r| Some(measured(r)?.counts.drained),
    );
    let drain = "from the end of the window to the last answer, or to the limit of the drain";
    columns.maybe_f64("drain_s", drain, |r| Some(measured(r)?.drain.as_secs_f64()));
    let compared = "answers whose body and content type were compared: a sample, where the loader checks status and length alone";
    columns.maybe_u64("compared", compared, |r| Some(measured(r)?.compared));
    let since = columns.since;
    for ((_, name), version) in QUANTILES.into_iter().zip(QUANTILE_VERSIONS) {
        columns.since = since.max(version);
        columns.maybe_u64(
            format!("latency_{name}_high_ns"),
            format!("the upper end of `latency_{name}_ns` where it is a bound and has one"),
            move |r: &TrialRecord| r.figures.get(name)?.high.map(|high| high.0),
        );
    }
    columns.since = since;
}

/// The mean latency, and each quantile from its first version of the tables on.
fn latency_figures(
    columns: &mut Columns<TrialRecord>,
    quantiles: impl Iterator<Item = ((f64, &'static str), u32)>,
) {
    let quantiles = quantiles.map(|((q, name), version)| {
        (name, format!("latency that a share of {q} did not exceed"), version)
    });
    let mean = std::iter::once(("mean", "mean latency".to_owned(), columns.since));
    let since = columns.since;
    for (name, doc, version) in mean.chain(quantiles) {
        columns.since = version;
        columns.maybe_u64(
            format!("latency_{name}_ns"),
            format!("{doc}, of completed and unfinished requests"),
            move |r: &TrialRecord| r.figures.get(name).map(|figure| figure.value.0),
        );
        columns.maybe_bool(
            format!("latency_{name}_is_bound"),
            format!(
                "whether it may be longer than `latency_{name}_ns`: unfinished requests can move it"
            ),
            move |r: &TrialRecord| r.figures.get(name).map(|figure| figure.is_bound),
        );
    }
    columns.since = since;
}

fn latency(records: &[TrialRecord]) -> Table {
    let rows = details(records, |measurement| &measurement.latency.buckets);
    let mut columns = Columns::<(TrialId, &Bucket)>::new();
    columns.u32("trial", "the trial", |(trial, _)| trial.0);
    columns.u64("low_ns", "the lowest latency of the bucket", |(_, b)| b.low.0);
    columns.u64("high_ns", "the highest latency of the bucket", |(_, b)| b.high.0);
    columns
        .u64("count", "requests that were answered with a latency in the bucket", |(_, b)| b.count);
    columns.u64("censored", "unfinished requests that had waited this long", |(_, b)| b.censored);
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

    /// The columns of `trials` with their types in a version.
    fn columns_of(trials: &Table, version: u32) -> Vec<String> {
        let schema = trials.arrow_schema_of(version);
        let fields = schema.fields().iter();
        fields.map(|field| format!("{} {}", field.name(), field.data_type())).collect()
    }

    #[test]
    fn every_version_keeps_its_columns() {
        let mut told = String::new();
        for version in 1..=SCHEMA_VERSION {
            for (file, schema) in FILE_NAMES.iter().zip(arrow_schemas(version)) {
                told += &format!("version {version}: {file}\n");
                for field in schema.fields() {
                    let null = if field.is_nullable() { ", may be missing" } else { "" };
                    told += &format!("  {} {}{null}\n", field.name(), field.data_type());
                }
            }
        }
        // Only a version that no release has written may change.
        insta::assert_snapshot!(told);
    }

    #[test]
    fn integers_are_signed_from_version_5_on() {
        for (version, is_signed) in [(4, false), (5, true), (SCHEMA_VERSION, true)] {
            let schemas = arrow_schemas(version);
            let mut fields = schemas.iter().flat_map(|schema| schema.fields());
            let has_unsigned = fields.any(|field| field.data_type().is_unsigned_integer());
            assert_eq!(has_unsigned, !is_signed, "version {version}");
        }
    }

    #[test]
    fn a_new_percentile_leaves_older_versions_as_they_are() {
        let figures = |more: Option<((f64, &'static str), u32)>| {
            let mut columns = Columns::new();
            let known = std::iter::zip(QUANTILES, QUANTILE_VERSIONS);
            latency_figures(&mut columns, known.chain(more));
            Table::new("trials", "", &[], columns)
        };
        let (now, then) = (figures(None), figures(Some(((0.75, "p75"), SCHEMA_VERSION))));
        for version in 1..SCHEMA_VERSION {
            assert_eq!(columns_of(&now, version), columns_of(&then, version), "{version}");
        }
        let newest = columns_of(&then, SCHEMA_VERSION);
        assert!(newest.contains(&"latency_p75_ns Int64".to_owned()), "{newest:?}");
    }
}
