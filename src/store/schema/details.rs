//! The tables with the details of each measured trial: `latency`, `timeline` and `resources`.

use crate::id::TrialId;
use crate::model::{Bucket, ResourceSample, TimelineLatency, TimelineSecond};
use crate::store::column::Declaration;
use crate::units::Nanos;

/// A row of a table of details: the trial, and the detail.
type Detail<D> = (u64, D);

pub(super) fn latency<'a>() -> Declaration<(TrialId, &'a Bucket), ()> {
    let doc = "one bucket of a trial's latencies, from the planned moment of each request";
    let mut table = Declaration::<(TrialId, &'a Bucket), ()>::new("latency", doc);
    table.u32("trial", "the trial", |(trial, _)| trial.0);
    table.u64("low_ns", "the lowest latency of the bucket", |(_, b)| b.low.0).ascending();
    table.u64("high_ns", "the highest latency of the bucket", |(_, b)| b.high.0).ascending();
    table
        .u64("count", "requests that were answered with a latency in the bucket", |(_, b)| b.count);
    table.u64("censored", "unfinished requests that had waited this long", |(_, b)| b.censored);
    table.since = 3;
    let served = "requests that were answered this long after a connection had taken them up";
    table.maybe_u64("served", served, |(_, b)| Some(b.served));
    table
}

/// The table `timeline`.
#[must_use]
pub fn timeline<'a>() -> Declaration<(TrialId, &'a TimelineSecond), Detail<TimelineSecond>> {
    let mut table = Declaration::<(TrialId, &'a TimelineSecond), Detail<TimelineSecond>>::new(
        "timeline",
        "one second of a trial",
    );
    table
        .u32("trial", "the trial", |(trial, _)| trial.0)
        .read(|(trial, _), value| *trial = value)
        .page_counts("trial", |(trial, _)| *trial);
    table
        .u32("second", "which second of the load, from 0", |(_, s)| s.second)
        .read(|(_, s), second| s.second = second)
        .page_counts("second", |(_, s)| u64::from(s.second));
    table
        .u64("planned", "requests that the schedule offered in it", |(_, s)| s.planned)
        .read(|(_, s), count| s.planned = count)
        .page_counts("planned", |(_, s)| s.planned);
    table
        .u64("completed", "expected answers that arrived in it", |(_, s)| s.completed)
        .read(|(_, s), count| s.completed = count)
        .page_counts("completed", |(_, s)| s.completed);
    table
        .u64("failed", "wrong answers that arrived in it", |(_, s)| s.failed)
        .read(|(_, s), count| s.failed = count)
        .page_counts("failed", |(_, s)| s.failed);
    /// Which of the latencies.
    type Of = fn(&mut TimelineLatency) -> &mut Nanos;
    let latencies: [(&str, &str, Of); 4] = [
        ("p50", "median latency of its expected answers", |one| &mut one.p50),
        ("p95", "95th percentile of their latency", |one| &mut one.p95),
        ("p99", "99th percentile of their latency", |one| &mut one.p99),
        ("max", "the longest latency of them", |one| &mut one.max),
    ];
    for (name, doc, of) in latencies {
        table
            .maybe_u64(
                format!("latency_{name}_ns"),
                doc,
                move |(_, s): &(TrialId, &TimelineSecond)| Some(of(&mut s.latency?).0),
            )
            .read(move |(_, s), latency: Option<Nanos>| {
                if let Some(latency) = latency {
                    *of(s.latency.get_or_insert_default()) = latency;
                }
            })
            .page_latencies(name, move |(_, s)| Some(*of(&mut s.latency?)));
    }
    table
}

/// The table `resources`.
#[must_use]
pub fn resources<'a>() -> Declaration<(TrialId, &'a ResourceSample), Detail<ResourceSample>> {
    let doc = "what a part had used at a moment of a trial";
    let mut table =
        Declaration::<(TrialId, &'a ResourceSample), Detail<ResourceSample>>::new("resources", doc);
    table.u32("trial", "the trial", |(trial, _)| trial.0).read(|(trial, _), value| *trial = value);
    table
        .text("part", "loader, app or store", |(_, s)| s.part.to_string())
        .read(|(_, s), part| s.part = part);
    table
        .u64("offset_ns", "time since the trial began", |(_, s)| s.offset.0)
        .read(|(_, s), offset| s.offset = offset);
    table
        .u64("cpu_ns", "CPU time that the part had used since the trial began", |(_, s)| s.cpu.0)
        .read(|(_, s), cpu| s.cpu = cpu);
    table
        .u64(
            "memory_bytes",
            "memory of the part at that moment (PSS, or at the beginning that and then what unshared memory has grown by; of a container, without file cache)",
            |(_, s)| s.memory_bytes,
        )
        .read(|(_, s), bytes| s.memory_bytes = bytes);
    table.since = 3;
    let throttled = "how long its quota had kept it from a CPU since the trial began";
    table
        .maybe_u64("throttled_ns", throttled, |(_, s)| s.throttled.map(|time| time.0))
        .read(|(_, s), throttled| s.throttled = throttled);
    table
}
