//! The built-in loader: this executable, run again as a pinned child process.
//!
//! Its load is open: every request has a planned moment, which no answer delays. Each request is known by
//! its place in the schedule from its release to its end, so that planned = completed + failed +
//! unfinished holds by construction, and every body is compared with the expected one. One thread runs on
//! each CPU of the loader; threads share nothing while the load goes on.

mod answer;
mod assignment;
mod connection;
mod engine;
#[cfg(test)]
mod hostile;
mod opening;
mod pacer;
mod record;
mod schedule;
mod thread;
mod tls;

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;

use self::assignment::{Connections, Expected, Pacing, Pool};
use self::schedule::Schedule;
use super::child::{self, Deadline};
use super::drain::DRAIN_LIMIT;
use super::{LoadDriver, LoadError, LoadRequest};
use crate::model::Measurement;
use crate::units::Nanos;

pub use assignment::Assignment;

/// The built-in loader.
#[derive(Debug, Default)]
pub struct BuiltIn;

/// The version in datasets: it rises when measurements of it cannot be compared with earlier ones.
const VERSION: u32 = 1;

/// The time limit for opening connections, and for writing the measurement.
const MAX_EXTRA: Duration = Duration::from_secs(10);

#[async_trait]
impl LoadDriver for BuiltIn {
    fn name(&self) -> String {
        format!("built-in {VERSION}")
    }

    fn compares_bodies(&self) -> bool {
        true
    }

    async fn drive(&mut self, request: &LoadRequest<'_>) -> Result<Measurement, LoadError> {
        let wrap = |source| LoadError::Summary { source };
        let task = request.scratch_dir.join("load.json");
        let result = request.scratch_dir.join("measurement.json");
        // One of an earlier load, which is not to be read again. It may not exist.
        let _ = std::fs::remove_file(&result);
        let text = serde_json::to_vec(&assignment(request)).map_err(|error| wrap(error.into()))?;
        std::fs::write(&task, text).map_err(wrap)?;
        let args = ["built-in-loader".into(), task.clone().into(), result.clone().into()];
        let deadline = Deadline { after: request.duration + DRAIN_LIMIT, slack: MAX_EXTRA };
        let run = child::run(request, args.to_vec(), deadline).await?;
        let text = std::fs::read(&result).map_err(wrap)?;
        let measurement = serde_json::from_slice(&text).map_err(|error| wrap(error.into()))?;
        // Files that are needed only during the load.
        let _ = std::fs::remove_file(&task);
        let _ = std::fs::remove_file(&result);
        Ok(run.complete(request, measurement))
    }
}

fn assignment(request: &LoadRequest<'_>) -> Assignment {
    Assignment {
        url: request.url.to_owned(),
        ca: None,
        schedule: Schedule {
            rate: request.target_rps,
            profile: request.profile,
            duration: request.duration.into(),
            arrivals: request.arrivals,
            seed: request.seed,
        },
        connections: Connections {
            limit: request.connections,
            pool: Pool::Fixed,
            is_kept_alive: true,
        },
        expected: Expected {
            status: request.answer_status,
            length: request.answer_bytes,
            body: request.answer_body.map(<[u8]>::to_vec),
            content_type: None,
        },
        drain_limit: Nanos::from(DRAIN_LIMIT),
        cpus: request.cpus.clone(),
        pacing: if request.has_own_cpus { Pacing::Spin } else { Pacing::Sleep },
    }
}

/// Offers the load that a file describes from this process, and writes its measurement to another one.
///
/// # Errors
/// When a file cannot be read or written, or the load cannot be offered.
pub fn run_built_in(assignment: &Path, measurement: &Path) -> std::io::Result<()> {
    let load: Assignment = serde_json::from_slice(&std::fs::read(assignment)?)?;
    let measured = engine::offer(&load)?;
    std::fs::write(measurement, serde_json::to_vec(&measured)?)
}
