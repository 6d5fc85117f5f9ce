//! The table `trials`: to add a column, declare it here.

use std::time::Duration;

use super::measured;
use crate::model::{
    Failure, Flag, LatencyFigure, LoaderHealth, Outcome, Part, QUANTILES, Quantile, RowFailure,
    SERVICE_QUANTILES, StackTimes, Stage, TrialRecord, TrialRow, flag_names,
};
use crate::store::column::Declaration;
use crate::units::Nanos;

/// The table `trials` as it is declared.
type Trials = Declaration<TrialRecord, TrialRow>;

/// The table `trials`, of trials that offered load for `duration`.
#[must_use]
pub fn trials(duration: Duration) -> Trials {
    let seconds = duration.as_secs_f64();
    let mut table = Declaration::new("trials", "one execution of a case");
    place_and_factors(&mut table, seconds);
    validity(&mut table);
    counts(&mut table, seconds);
    latency_figures(&mut table, &QUANTILES);
    parts(&mut table);
    later_versions(&mut table);
    table
}

/// Which trial it is, and of which case. The factors are read together, as a case.
fn place_and_factors(table: &mut Trials, seconds: f64) {
    table
        .u32("trial", "the trial: its place in the unshuffled matrix", |r| r.trial.id.0)
        .read(|row, trial| row.trial = trial)
        .page_counts("trial", |row| row.trial);
    table
        .u32("position", "its place in the order of execution", |r| r.trial.position)
        .read(|row, position| row.position = position)
        .page_counts("position", |row| row.position);
    table
        .u32("block", "the repetition that it belongs to, from 0", |r| r.trial.block)
        .read(|row, block| row.block = block)
        .page_counts("block", |row| row.block);
    table.millis("started", "when it began", |r| r.started.0);
    table.text("app", "factor: the app", |r| r.trial.case.stack.app.to_string());
    table.text("store", "factor: the store", |r| r.trial.case.stack.store.to_string());
    table.u32("workers", "factor: worker processes of the app", |r| r.trial.case.stack.workers);
    table.u32("concurrency", "factor: connections of the loader", |r| r.trial.case.concurrency);
    table.rate("target_rps", "factor: requests per second that were offered", |r| {
        f64::from(r.trial.case.target_rps)
    });
    table.f64("duration_s", "how long load was offered", move |_| seconds);
}

/// Whether a trial can be used, and why not.
fn validity(table: &mut Trials) {
    table
        .bool("is_valid", "whether it was measured and nothing forbids to rank it", is_valid)
        .read(|row, is_valid| row.is_valid = is_valid)
        .page_counts("is_valid", |row| u64::from(row.is_valid));
    table
        .text("flags", "what to know before trusting it, separated by commas", |r| {
            flag_names(&r.flags)
        })
        .read(|row, flags: Vec<Flag>| row.flags = flags);
    table
        .maybe_text("failure_stage", "at which step it failed, if it did", |r| {
            failure(r).map(|failure| failure.stage.as_str().to_owned())
        })
        .read(|row, stage: Option<Stage>| row.failure = stage.map(RowFailure::at))
        .page_counts("has_failed", |row| u64::from(row.failure.is_some()));
    table
        .maybe_text("failure_reason", "why it failed, if it did", |r| {
            failure(r).map(|failure| failure.reason.clone())
        })
        .read(|row, reason: Option<String>| {
            if let Some((failure, reason)) = row.failure.as_mut().zip(reason) {
                failure.reason = reason;
            }
        });
    table
        .maybe_text("failure_log", "the last lines that its parts wrote, if it failed", |r| {
            failure(r).map(|failure| failure.log_tail.join("\n"))
        })
        .read(|row, log: Option<String>| {
            if let Some((failure, log)) = row.failure.as_mut().zip(log) {
                failure.log = log;
            }
        });
}

/// What became of the requests.
fn counts(table: &mut Trials, seconds: f64) {
    table
        .maybe_u64("planned", "requests that the schedule offered", |r| {
            measured(r).map(|m| m.counts.planned)
        })
        .read(|row, count| row.planned = count)
        .page_counts("planned", |row| row.planned);
    table
        .maybe_u64("sent", "requests that a connection took up", |r| {
            measured(r).map(|m| m.counts.sent)
        })
        .reported();
    table
        .maybe_u64("completed", "requests that were answered as expected", |r| {
            measured(r).map(|m| m.counts.completed)
        })
        .read(|row, count| row.completed = count)
        .page_counts("completed", |row| row.completed);
    table
        .maybe_u64("failed", "requests that were answered wrongly or not at all", |r| {
            measured(r).map(|m| m.counts.failed_total())
        })
        .read(|row, count| row.failed = count)
        .page_counts("failed", |row| row.failed);
    table.maybe_text("failed_kinds", "failed requests by kind, a JSON object", |r| {
        measured(r).map(|m| serde_json::json!(m.counts.failed).to_string())
    });
    table
        .maybe_u64(
            "censored",
            "unfinished requests: without an answer at the end of the drain, or never sent",
            |r| measured(r).map(|m| m.counts.censored),
        )
        .read(|row, count| row.censored = count)
        .page_counts("censored", |row| row.censored);
    table
        .maybe_f64(
            "achieved_rps",
            "requests completed within the window, per second of it",
            move |r| measured(r).map(|m| per_second(m.counts.completed_in_window(), seconds)),
        )
        .read(|row, rate| row.achieved_rps = rate)
        .page_numbers("rate", |row| row.achieved_rps);
}

/// The names of the three columns of a latency figure.
#[derive(Clone, Debug)]
pub struct LatencyColumns {
    /// The latency, or its lower end.
    pub value: String,
    /// Whether it may be longer.
    pub is_bound: String,
    /// Its upper end where it may be longer, from version 5 on.
    pub high: String,
}

impl LatencyColumns {
    /// Of the figure that is called `name`: `mean`, or one of [`QUANTILES`].
    #[must_use]
    pub fn of(name: &str) -> Self {
        let column = |end: &str| format!("latency_{name}_{end}");
        Self { value: column("ns"), is_bound: column("is_bound"), high: column("high_ns") }
    }
}

/// The mean latency, and each quantile from its first version of the tables on.
fn latency_figures(table: &mut Trials, quantiles: &[Quantile]) {
    latency_figure(table, "mean", "mean latency", None);
    let since = table.since;
    for (place, quantile) in quantiles.iter().enumerate() {
        table.since = quantile.since;
        let doc = format!("latency that a share of {} did not exceed", quantile.share);
        latency_figure(table, quantile.name, &doc, Some((place, quantile.label())));
    }
    table.since = since;
}

/// A latency figure with whether it is a bound; of a quantile, its place in a row and its label.
fn latency_figure(
    table: &mut Trials,
    name: &'static str,
    doc: &str,
    quantile: Option<(usize, String)>,
) {
    let columns = LatencyColumns::of(name);
    let doc = format!("{doc}, of completed and unfinished requests");
    let bound_doc = format!(
        "whether it may be longer than `{}`: unfinished requests can move it",
        columns.value
    );
    let value = table.maybe_u64(columns.value, doc, move |r: &TrialRecord| {
        r.figures.get(name).map(|figure| figure.value.0)
    });
    if let Some((place, label)) = quantile.clone() {
        value
            .read(move |row, value: Option<Nanos>| {
                if let Some(figure) = row.latency.get_mut(place) {
                    *figure = value.map(LatencyFigure::exact);
                }
            })
            .page_numbers(label, move |row| figure(row, place).map(|one| whole_nanos(one.value)));
    }
    let is_bound = table.maybe_bool(columns.is_bound, bound_doc, move |r: &TrialRecord| {
        r.figures.get(name).map(|figure| figure.is_bound)
    });
    if let Some((place, label)) = quantile {
        is_bound
            .read(move |row, is_bound: Option<bool>| {
                if let (Some(Some(figure)), Some(is_bound)) = (row.latency.get_mut(place), is_bound)
                {
                    figure.is_bound = is_bound;
                }
            })
            .page_counts(format!("{label}_bound"), move |row| {
                u64::from(figure(row, place).is_some_and(|one| one.is_bound))
            });
    }
}

fn figure(row: &TrialRow, place: usize) -> Option<LatencyFigure> {
    row.latency.get(place).copied().flatten()
}

#[expect(clippy::cast_precision_loss, reason = "latencies stay below 2^53")]
fn whole_nanos(span: Nanos) -> f64 {
    span.0 as f64
}

/// What loader, app and store used, and where they ran.
fn parts(table: &mut Trials) {
    for part in Part::ALL {
        let cpu = table.maybe_f64(
            format!("{part}_cpu_s"),
            format!("CPU time that the {part} used"),
            move |r| measured(r).and_then(|m| Some(m.usage(part)?.cpu.as_secs_f64())),
        );
        match part {
            Part::Loader => cpu.reported(),
            Part::App => cpu
                .read(|row, seconds| row.app_cpu_s = seconds)
                .page_numbers("app_cpu", |row| row.per_thousand(row.app_cpu_s)),
            Part::Store => cpu
                .read(|row, seconds| row.store_cpu_s = seconds)
                .page_numbers("store_cpu", |row| row.per_thousand(row.store_cpu_s)),
        };
        let memory = table.maybe_u64(
            format!("{part}_peak_memory_bytes"),
            format!("the most memory of the {part} that was seen (PSS; of a container, without file cache)"),
            move |r| measured(r).and_then(|m| Some(m.usage(part)?.peak_memory_bytes)),
        );
        if part != Part::Loader {
            memory.reported();
        }
        table.text(
            format!("{part}_cpus"),
            format!("the CPUs of the {part}"),
            move |r| match part {
                Part::Loader => r.placement.loader.to_string(),
                Part::App => r.placement.app.to_string(),
                Part::Store => r.placement.store.to_string(),
            },
        );
    }
}

/// What was added after version 1.
fn later_versions(table: &mut Trials) {
    table.since = 3;
    executions(table);
    loader_and_host(table);
    table.since = 4;
    host_state(table);
    table.since = 5;
    drain(table);
}

/// A figure's name, what it is, and where it is taken from.
type Figure<R, V> = (&'static str, &'static str, fn(R) -> V);

/// What a trial took beside its load, and how often it was executed.
fn executions(table: &mut Trials) {
    for part in [Part::App, Part::Store] {
        let throttled = table.maybe_f64(
            format!("{part}_throttled_s"),
            format!("how long the {part}'s quota kept it from a CPU, each of its threads counted"),
            move |r| measured(r).and_then(|m| Some(m.usage(part)?.throttled?.as_secs_f64())),
        );
        if part == Part::App {
            throttled.reported();
        }
    }
    table.maybe_u64("executions", "how often it was executed: not once when given up before", {
        |r| {
            let is_executed = failure(r).is_none_or(|failure| failure.stage != Stage::GivenUp);
            Some(r.earlier_failures.len() as u64 + u64::from(is_executed))
        }
    });
    table.maybe_text("earlier_failures", "how it failed before, a JSON list, if it did", |r| {
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
        table.maybe_f64(name, format!("how long it took: {doc}"), move |r| {
            r.stack_times.and_then(of).map(Nanos::as_secs_f64)
        });
    }
    table.maybe_bool("is_warm", "whether the first load on its stack had come to rest", |r| {
        r.stack_times.map(|times| times.is_warm)
    });
    table.maybe_f64(
        "ingest_s",
        "from the end of the drain until the loader's record was read",
        |r| measured(r)?.ingest.map(Nanos::as_secs_f64),
    );
}

/// How well the loader kept to its schedule, and who else was there.
fn loader_and_host(table: &mut Trials) {
    let since = table.since;
    for Quantile { share, name, since } in SERVICE_QUANTILES {
        table.since = since;
        table.maybe_u64(
            format!("{name}_ns"),
            format!(
                "time from sending to answer that a share of {share} of the answered did not exceed"
            ),
            move |r| r.figures.get(name).map(|figure| figure.value.0),
        );
    }
    table.since = since;
    let lags: [Figure<LoaderHealth, Nanos>; 3] = [
        ("p50", "median delay", |health| health.lag_p50),
        ("p99", "99th percentile of the delay", |health| health.lag_p99),
        ("max", "longest delay", |health| health.lag_max),
    ];
    for (name, doc, of) in lags {
        table.maybe_u64(
            format!("pacer_lag_{name}_ns"),
            format!("{doc} from a request's planned moment to its release by the loader"),
            move |r| Some(of(measured(r)?.loader?).0),
        );
    }
    table.maybe_f64("in_flight", "requests in flight, on average of counts each 10 ms", |r| {
        Some(measured(r)?.loader?.in_flight())
    });
    table.maybe_f64("loader_ceiling_rps", "the highest rate that the loader was seen to hold", {
        |r| Some(f64::from(r.ceiling?.rps))
    });
    let bound = "whether the loader was not driven to its limit to find that";
    table.maybe_bool("loader_ceiling_is_bound", bound, |r| Some(r.ceiling?.is_bound));
    table.maybe_f64("foreign_cpu_s", "CPU time of others on the trial's CPUs", |r| {
        Some(measured(r)?.disturbance?.foreign.as_secs_f64())
    });
    table.maybe_f64("steal_s", "time that the hypervisor took from the trial's CPUs", |r| {
        Some(measured(r)?.disturbance?.steal.as_secs_f64())
    });
}

/// What the host did during the load.
fn host_state(table: &mut Trials) {
    let host = |r: &TrialRecord| measured(r)?.disturbance;
    let busiest = "CPU time of processes on the busiest of the loader's CPUs";
    table.maybe_f64("loader_busiest_cpu_s", busiest, move |r| {
        Some(host(r)?.busiest_loader_cpu?.as_secs_f64())
    });
    let swapped = "memory of the host that went to swap or came from it";
    table.maybe_u64("swapped_bytes", swapped, move |r| host(r)?.swapped_bytes);
    let kept = "frequency of its CPUs in its second half over that in its first";
    table.maybe_f64("frequency_kept", kept, move |r| {
        Some(f64::from(host(r)?.frequency_kept_permille?) / 1000.0)
    });
    let throttles = "how often its CPUs were slowed down by heat";
    table.maybe_u64("thermal_throttles", throttles, move |r| host(r)?.thermal_throttles);
    table.maybe_u64("max_temperature_c", "the highest temperature of a CPU", move |r| {
        host(r)?.max_temperature_c.map(u64::from)
    });
}

/// What came after the window, and how far unfinished requests can move a figure.
fn drain(table: &mut Trials) {
    table
        .maybe_u64("drained", "of the completed requests, those answered after the window", |r| {
            Some(measured(r)?.counts.drained)
        })
        .read(|row, count| row.drained = count);
    let drain = "from the end of the window to the last answer, or to the limit of the drain";
    table.maybe_f64("drain_s", drain, |r| Some(measured(r)?.drain.as_secs_f64()));
    let compared = "answers whose body and content type were compared: a sample, where the loader checks status and length alone";
    table.maybe_u64("compared", compared, |r| Some(measured(r)?.compared));
    let since = table.since;
    for (place, quantile) in QUANTILES.into_iter().enumerate() {
        table.since = since.max(quantile.since);
        let columns = LatencyColumns::of(quantile.name);
        let doc = format!("the upper end of `{}` where it is a bound and has one", columns.value);
        table
            .maybe_u64(columns.high, doc, move |r| {
                r.figures.get(quantile.name)?.high.map(|high| high.0)
            })
            .read(move |row, high: Option<Nanos>| {
                if let Some(Some(figure)) = row.latency.get_mut(place) {
                    figure.high = high;
                }
            })
            .page_numbers(format!("{}_upper", quantile.label()), move |row| {
                figure(row, place)?.high.map(whole_nanos)
            });
    }
    table.since = since;
}

fn failure(record: &TrialRecord) -> Option<&Failure> {
    match &record.outcome {
        Outcome::Measured(_) => None,
        Outcome::Failed(failure) => Some(failure),
    }
}

fn is_valid(record: &TrialRecord) -> bool {
    measured(record).is_some() && !record.flags.iter().any(|flag| flag.forbids_ranking())
}

#[expect(clippy::cast_precision_loss, reason = "counts of requests stay below 2^53")]
fn per_second(count: u64, seconds: f64) -> f64 {
    count as f64 / seconds
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::SCHEMA_VERSION;
    use crate::store::column::Table;

    /// The columns of `trials` with their types in a version.
    fn columns_of(trials: &Table, version: u32) -> Vec<String> {
        let schema = trials.arrow_schema_of(version);
        let fields = schema.fields().iter();
        fields.map(|field| format!("{} {}", field.name(), field.data_type())).collect()
    }

    #[test]
    fn a_new_percentile_leaves_older_versions_as_they_are() {
        let figures = |more: Option<Quantile>| {
            let mut table = Declaration::new("trials", "");
            latency_figures(&mut table, &QUANTILES.into_iter().chain(more).collect::<Vec<_>>());
            table.fill(&[])
        };
        let p75 = Quantile::new(0.75, "p75", SCHEMA_VERSION);
        let (now, then) = (figures(None), figures(Some(p75)));
        for version in 1..SCHEMA_VERSION {
            assert_eq!(columns_of(&now, version), columns_of(&then, version), "{version}");
        }
        let newest = columns_of(&then, SCHEMA_VERSION);
        assert!(newest.contains(&"latency_p75_ns Int64".to_owned()), "{newest:?}");
    }
}
