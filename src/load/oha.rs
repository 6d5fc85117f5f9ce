//! oha as the loader: our own executable, run again as a pinned child process.
//!
//! oha drops what its deadline cuts off from every figure of its own, so none of them is used:
//! counts and latencies come from its record of single requests and from the schedule.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use clap::Parser;
use rusqlite::{Connection, OpenFlags};
use serde::Deserialize;
use tokio::task::JoinSet;

use super::tally::{Answer, Unanswered, tally};
use super::{LoadDriver, LoadError, LoadRequest};
use crate::clock::Stopwatch;
use crate::exec::{Child, ChildSpec, own_program, sample_usage};
use crate::model::{Measurement, Part, ResourceSample};
use crate::units::Nanos;

/// Runs oha, whose version Cargo.lock pins.
#[derive(Debug, Default)]
pub struct OhaLoad;

/// The version that Cargo.toml asks for; a test keeps the two equal.
const OHA_VERSION: &str = "1.16.0";
/// How long the loader may write down what it saw, after its deadline.
const WRITING_LIMIT: Duration = Duration::from_secs(120);
/// How long one request may take to be written down.
const WRITING: Duration = Duration::from_micros(20);
/// What oha calls a connection that the deadline cut off.
const CUT_OFF: &str = "aborted due to deadline";
/// Longer words of oha's are cut: they name a kind of failure, and kinds are counted.
const MOST_KIND_CHARS: usize = 120;

#[async_trait]
impl LoadDriver for OhaLoad {
    fn name(&self) -> String {
        format!("oha {OHA_VERSION}")
    }

    async fn drive(&mut self, request: &LoadRequest<'_>) -> Result<Measurement, LoadError> {
        let files = Files::within(request.scratch_dir);
        files.remove();
        let seconds = u32::try_from(request.duration.as_secs()).unwrap_or(u32::MAX);
        let watch = Stopwatch::start();
        let mut child = Child::spawn(&child_spec(request, &files)?)?;
        let mut usage = JoinSet::new();
        usage.spawn(sample_usage(child.group(), request.duration));
        let limit = request.duration + WRITING_LIMIT + WRITING * request.target_rps * seconds;
        let Ok(status) = tokio::time::timeout(limit, child.wait()).await else {
            return Err(LoadError::Late { waited: WRITING_LIMIT });
        };
        let status = status?;
        if !status.success() {
            let words = child.log_tail(3).join("; ");
            return Err(LoadError::Ended { status: status.to_string(), words });
        }
        let mut answers = read_answers(&files.record)?;
        let unanswered = read_unanswered(&files.summary)?;
        files.remove();
        let mut measurement = tally(request, &mut answers, &unanswered);
        let readings = usage.join_next().await.and_then(Result::ok).unwrap_or_default();
        measurement.ingest = Some(Nanos::from(watch.elapsed().saturating_sub(request.duration)));
        measurement.resources = ResourceSample::series(Part::Loader, &readings);
        Ok(measurement)
    }
}

/// What the loader leaves behind.
struct Files {
    record: PathBuf,
    summary: PathBuf,
    log: PathBuf,
}

impl Files {
    fn within(dir: &Path) -> Self {
        Self {
            record: dir.join("oha.sqlite"),
            summary: dir.join("oha.json"),
            log: dir.join("loader.log"),
        }
    }

    fn remove(&self) {
        // A file that is not there is as good as removed.
        let _ = std::fs::remove_file(&self.record);
        let _ = std::fs::remove_file(&self.summary);
    }
}

fn child_spec(request: &LoadRequest<'_>, files: &Files) -> Result<ChildSpec, LoadError> {
    let program = own_program().map_err(|source| LoadError::Summary { source })?;
    let mut args: Vec<OsString> = vec!["loader".into()];
    args.extend(oha_arguments(request).into_iter().map(OsString::from));
    args.extend(["--output".into(), files.summary.clone().into()]);
    args.extend(["--db-url".into(), files.record.clone().into()]);
    Ok(ChildSpec {
        program,
        args,
        env: BTreeMap::new(),
        dir: request.scratch_dir.to_owned(),
        cpus: request.cpus.clone(),
        log: files.log.clone(),
    })
}

fn oha_arguments(request: &LoadRequest<'_>) -> Vec<String> {
    let millis = format!("{}ms", request.duration.as_millis());
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
        ["--latency-correction", "--no-tui", "--disable-compression", request.url]
            .map(str::to_owned),
    );
    args
}

/// Becomes the loader: what the hidden command `loader` does.
///
/// # Errors
/// What oha fails with, in its words.
pub fn run_loader(args: Vec<OsString>) -> Result<(), String> {
    let name = OsString::from("oha");
    let opts = oha::Opts::parse_from(std::iter::once(name).chain(args));
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

/// The part of oha's summary that its record does not have.
#[derive(Deserialize)]
struct Summary {
    #[serde(rename = "errorDistribution")]
    errors: BTreeMap<String, u64>,
}

fn read_unanswered(summary: &Path) -> Result<Unanswered, LoadError> {
    let wrap = |source| LoadError::Summary { source };
    let text = std::fs::read(summary).map_err(wrap)?;
    let summary: Summary = serde_json::from_slice(&text).map_err(|error| wrap(error.into()))?;
    let mut unanswered = Unanswered::default();
    for (words, count) in summary.errors {
        if words == CUT_OFF {
            unanswered.cut_off = count;
        } else {
            let kind = words.chars().take(MOST_KIND_CHARS).collect();
            *unanswered.failed.entry(kind).or_default() += count;
        }
    }
    Ok(unanswered)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_named_version_is_the_locked_one() {
        let lock = include_str!("../../Cargo.lock");
        let package = format!("name = \"oha\"\nversion = \"{OHA_VERSION}\"");
        assert!(lock.contains(&package), "OHA_VERSION is not what Cargo.lock pins");
    }
}
