//! A loader that runs as a child process, pinned to its CPUs.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

use tokio::task::JoinSet;

use super::{LoadError, LoadRequest};
use crate::clock::Stopwatch;
use crate::model::{Measurement, Part, ResourceSample};
use crate::process::{Child, ChildSpec, Usage, own_program, sample_usage};
use crate::units::Nanos;

/// When a loader has to have ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    /// When its drain is over at the latest, from its start.
    pub after: Duration,
    /// How long it may take beyond that, to write down what it measured.
    pub slack: Duration,
}

/// A loader's process that ended well.
#[derive(Debug)]
pub(super) struct Ended {
    watch: Stopwatch,
    readings: Vec<(Nanos, Usage)>,
}

/// Runs this executable with arguments on the CPUs of the loader, and waits until it ends.
pub(super) async fn run(
    request: &LoadRequest<'_>,
    args: Vec<OsString>,
    deadline: Deadline,
) -> Result<Ended, LoadError> {
    let program = own_program().map_err(|source| LoadError::Summary { source })?;
    let watch = Stopwatch::start();
    let mut child = Child::spawn(&ChildSpec {
        program,
        args,
        env: BTreeMap::new(),
        dir: request.scratch_dir.to_owned(),
        cpus: request.cpus.clone(),
        log: request.scratch_dir.join("loader.log"),
    })?;
    let mut usage = JoinSet::new();
    usage.spawn(sample_usage(child.tree(), request.duration));
    let limit = deadline.after + deadline.slack;
    let Ok(status) = tokio::time::timeout(limit, child.wait()).await else {
        return Err(LoadError::Late { waited: deadline.slack });
    };
    let status = status?;
    if !status.success() {
        let message = child.log_tail(3).join("; ");
        return Err(LoadError::Ended { status: status.to_string(), message });
    }
    let readings = usage.join_next().await.and_then(Result::ok).unwrap_or_default();
    Ok(Ended { watch, readings })
}

impl Ended {
    /// Adds what the process used, and how long its result took to read.
    pub fn complete(self, request: &LoadRequest<'_>, mut measurement: Measurement) -> Measurement {
        let loaded = Nanos::from(request.duration).0.saturating_add(measurement.drain.0);
        let ingest = Nanos::from(self.watch.elapsed()).0.saturating_sub(loaded);
        measurement.ingest = Some(Nanos(ingest));
        measurement.resources = ResourceSample::series(Part::Loader, &self.readings);
        measurement
    }
}
