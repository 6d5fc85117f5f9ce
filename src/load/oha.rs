//! oha as the loader: this executable, run again as a pinned child process.
//!
//! oha omits unfinished requests from its statistics, so these are not used: counts and latencies come from
//! its record of single requests and from the schedule. oha waits without a limit for the requests that are
//! in flight at the end of the window (`-w`); [`super::drain`] sets a limit.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use clap::Parser;
use rusqlite::{Connection, OpenFlags};
use serde::Deserialize;

use super::child::{self, Deadline};
use super::drain::{DRAIN_LIMIT, end_connections};
use super::tally::{Answer, Unanswered, tally};
use super::{LoadDriver, LoadError, LoadRequest};
use crate::model::Measurement;
use crate::units::Nanos;

/// Runs oha, whose version Cargo.lock pins.
#[derive(Debug, Default)]
pub struct OhaLoad;

/// The version in Cargo.lock; a test compares the two.
const OHA_VERSION: &str = "1.16.0";
/// How long the pacer runs after the window, so that a late timer drops no request of the schedule.
/// Requests beyond the schedule are not counted.
const PACER_SLACK: Duration = Duration::from_millis(5);
/// The time limit for writing the record, after the deadline.
const WRITING_LIMIT: Duration = Duration::from_secs(120);
/// Additional time for writing the record of one request.
const WRITING: Duration = Duration::from_micros(20);
/// oha's messages for a request whose connection ended before or within its answer.
const CONNECTION_ENDED: [&str; 3] = [
    "connection closed before message completed",
    "error reading a body from connection",
    "end of file before message length reached",
];
/// The maximum length of a failure kind. Longer messages of oha are truncated.
const MAX_KIND_CHARS: usize = 120;

#[async_trait]
impl LoadDriver for OhaLoad {
    fn name(&self) -> String {
        format!("oha {OHA_VERSION}")
    }

    async fn drive(&mut self, request: &LoadRequest<'_>) -> Result<Measurement, LoadError> {
        let files = Files::within(request.scratch_dir);
        files.remove();
        let offered = request.target_rps.offered(request.duration);
        let offered = u32::try_from(offered).unwrap_or(u32::MAX);
        let slack = WRITING_LIMIT + WRITING * offered;
        let deadline = Deadline { after: drained_after(request), slack };
        let run = child::run(request, arguments(request, &files), deadline).await?;
        let mut answers = read_answers(&files.record)?;
        let unanswered = read_unanswered(&files)?;
        files.remove();
        Ok(run.complete(request, tally(request, &mut answers, &unanswered)))
    }
}

/// The files that the loader writes.
struct Files {
    record: PathBuf,
    summary: PathBuf,
    /// The number of requests in flight at the end of the drain; absent when there were none.
    unfinished: PathBuf,
}

impl Files {
    fn within(dir: &Path) -> Self {
        Self {
            record: dir.join("oha.sqlite"),
            summary: dir.join("oha.json"),
            unfinished: dir.join("oha.unfinished"),
        }
    }

    fn remove(&self) {
        // A file that does not exist needs no removal.
        let _ = std::fs::remove_file(&self.record);
        let _ = std::fs::remove_file(&self.summary);
        let _ = std::fs::remove_file(&self.unfinished);
    }
}

fn arguments(request: &LoadRequest<'_>, files: &Files) -> Vec<OsString> {
    let drained_after = format!("{}ms", drained_after(request).as_millis());
    let mut args: Vec<OsString> = vec!["loader".into(), "--drained-after".into()];
    args.extend([drained_after.into(), "--unfinished".into(), files.unfinished.clone().into()]);
    args.push("--".into());
    args.extend(oha_arguments(request).into_iter().map(OsString::from));
    args.extend(["--output".into(), files.summary.clone().into()]);
    args.extend(["--db-url".into(), files.record.clone().into()]);
    args
}

fn oha_arguments(request: &LoadRequest<'_>) -> Vec<String> {
    let millis = format!("{}ms", (request.duration + PACER_SLACK).as_millis());
    let rate = request.target_rps.to_string();
    let connections = request.connections.to_string();
    let threads = request.cpus.len().max(1).to_string();
    let with_values = [
        ("-z", millis.as_str()),
        ("-q", &rate),
        ("-c", &connections),
        ("--worker-threads", &threads),
        ("--redirect", "0"),
        ("--output-format", "json"),
    ];
    let mut args: Vec<String> = with_values
        .iter()
        .flat_map(|(flag, value)| [(*flag).to_owned(), (*value).to_owned()])
        .collect();
    args.extend(
        ["--latency-correction", "-w", "--no-tui", "--disable-compression", request.url]
            .map(str::to_owned),
    );
    args
}

/// The end of the drain, counted from the start of the load. oha's idle workers end with its pacer, at most
/// one interval of the schedule after the window. From then on, every open connection has a request in
/// flight.
fn drained_after(request: &LoadRequest<'_>) -> Duration {
    let interval = Duration::from_nanos(request.target_rps.planned_at(1).0);
    request.duration + PACER_SLACK + interval + DRAIN_LIMIT
}

/// The arguments of the hidden command `loader`.
#[derive(Debug)]
pub struct LoaderRequest {
    /// When the connections with requests in flight are closed, counted from the start.
    pub drained_after: Duration,
    /// The file for the number of those requests, if there are any.
    pub unfinished: PathBuf,
    /// oha's own arguments.
    pub args: Vec<OsString>,
}

/// Runs the loader: the hidden command `loader`.
///
/// # Errors
/// The error message of oha.
pub fn run_loader(request: LoaderRequest) -> Result<(), String> {
    let name = OsString::from("oha");
    let opts = oha::Opts::parse_from(std::iter::once(name).chain(request.args));
    std::thread::spawn(move || {
        std::thread::sleep(request.drained_after);
        end_connections(&request.unfinished);
    });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(opts.worker_threads.get())
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    runtime.block_on(oha::run(opts)).map_err(|error| error.to_string())
}

fn read_answers(record: &Path) -> Result<Vec<Answer>, LoadError> {
    let wrap = |source| LoadError::Record { source };
    let database =
        Connection::open_with_flags(record, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(wrap)?;
    let query = "SELECT coalesce(start_latency_correction, start), start, \"end\", status, len_bytes FROM oha";
    let mut statement = database.prepare(query).map_err(wrap)?;
    let answers = statement.query_map((), |row| {
        Ok(Answer {
            released: Nanos::from_secs_f64(row.get(0)?),
            sent: Nanos::from_secs_f64(row.get(1)?),
            ended: Nanos::from_secs_f64(row.get(2)?),
            status: row.get(3)?,
            bytes: row.get::<_, i64>(4)?.unsigned_abs(),
        })
    });
    answers.and_then(Iterator::collect).map_err(wrap)
}

/// The part of oha's summary that is not in its record.
#[derive(Deserialize)]
struct Summary {
    #[serde(rename = "errorDistribution")]
    errors: BTreeMap<String, u64>,
}

fn read_unanswered(files: &Files) -> Result<Unanswered, LoadError> {
    let wrap = |source| LoadError::Summary { source };
    let text = std::fs::read(&files.summary).map_err(wrap)?;
    let summary: Summary = serde_json::from_slice(&text).map_err(|error| wrap(error.into()))?;
    let in_flight = match std::fs::read_to_string(&files.unfinished) {
        Ok(count) => count.trim().parse().map_err(|error| wrap(std::io::Error::other(error)))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
        Err(error) => return Err(wrap(error)),
    };
    Ok(unanswered(summary.errors, in_flight))
}

/// Separates failed requests from the `in_flight` ones whose connections [`end_connections`] closed, since
/// oha reports both as errors.
fn unanswered(errors: BTreeMap<String, u64>, in_flight: u64) -> Unanswered {
    let mut unanswered = Unanswered::default();
    for (message, count) in errors {
        let kind = message.chars().take(MAX_KIND_CHARS).collect();
        *unanswered.failed.entry(kind).or_default() += count;
    }
    for kind in CONNECTION_ENDED {
        let Some(count) = unanswered.failed.get_mut(kind) else { continue };
        let own = (*count).min(in_flight - unanswered.in_flight);
        *count -= own;
        unanswered.in_flight += own;
    }
    unanswered.failed.retain(|_, count| *count > 0);
    unanswered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_named_version_is_the_locked_one() {
        let lock = include_str!("../../Cargo.lock");
        let package = format!("name = \"oha\"\nversion = \"{OHA_VERSION}\"");
        assert!(lock.contains(&package), "OHA_VERSION differs from Cargo.lock");
    }

    #[test]
    fn requests_in_flight_at_the_end_of_the_drain_did_not_fail() {
        let errors = |kinds: &[(&str, u64)]| -> BTreeMap<String, u64> {
            kinds.iter().map(|&(kind, count)| (kind.to_owned(), count)).collect()
        };
        let reset = "Connection reset by peer (os error 104)";
        let reported = errors(&[(CONNECTION_ENDED[0], 7), (reset, 2), (CONNECTION_ENDED[1], 1)]);
        let found = unanswered(reported.clone(), 0);
        assert_eq!((&found.failed, found.in_flight), (&reported, 0));
        let found = unanswered(reported.clone(), 5);
        let failed = errors(&[(CONNECTION_ENDED[0], 2), (reset, 2), (CONNECTION_ENDED[1], 1)]);
        assert_eq!((found.failed, found.in_flight), (failed, 5));
        // One was answered in the moment between counting and ending.
        let found = unanswered(reported, 9);
        assert_eq!((found.failed, found.in_flight), (errors(&[(reset, 2)]), 8));
    }
}
