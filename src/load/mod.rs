//! Offering load: the seam between the runner and what sends requests.
//!
//! A [`LoadDriver`] offers requests on a schedule for a fixed window, waits a bounded time for those
//! in flight at its end (the drain), and gives what became of each: completed, failed, or unfinished.

mod ceiling;
mod drain;
mod fake;
mod histogram;
mod oha;
mod tally;
mod target;

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;

pub use ceiling::{CEILING_WINDOW, CeilingRequest, LoaderTarget};
pub use fake::FakeLoad;
pub use histogram::Recorder;
pub use oha::{LoaderRequest, OhaLoad, run_loader};
pub use target::{Behaviour, Distribution, Stall, serve};

use crate::id::TrialId;
use crate::model::Measurement;
use crate::process::ProcessError;
use crate::units::{CpuSet, Rps};

/// The load of one trial.
#[derive(Clone, Copy, Debug)]
pub struct LoadRequest<'run> {
    /// Which trial it is for.
    pub trial: TrialId,
    /// What to request.
    pub url: &'run str,
    /// Connections to keep open.
    pub connections: u32,
    /// Requests per second to offer.
    pub target_rps: Rps,
    /// For how long.
    pub duration: Duration,
    /// The CPUs that the loader may use.
    pub cpus: &'run CpuSet,
    /// The status that every answer must have.
    pub answer_status: u16,
    /// The length that every answer must have, in bytes.
    pub answer_bytes: u64,
    /// A folder for files that are needed only while the load goes on.
    pub scratch_dir: &'run Path,
}

/// Something that can offer load.
#[async_trait]
pub trait LoadDriver: Send {
    /// The driver's name and version in datasets.
    fn name(&self) -> String;

    /// Offers a load and measures it. Resources are those of the loader alone.
    ///
    /// # Errors
    /// When the loader itself fails; a server that fails is a measurement.
    async fn drive(&mut self, request: &LoadRequest<'_>) -> Result<Measurement, LoadError>;
}

/// Why the loader gave no measurement.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Its process could not be started or ended.
    #[error(transparent)]
    Exec(#[from] ProcessError),
    /// It ended with an error.
    #[error("the loader ended with {status}: {words}")]
    Ended {
        /// How it ended.
        status: String,
        /// What it wrote last.
        words: String,
    },
    /// It did not end in time.
    #[error("the loader had not ended {} s after its deadline", waited.as_secs())]
    Late {
        /// How long it was waited for.
        waited: Duration,
    },
    /// The target for the loader's ceiling does not serve.
    #[error("cannot run the target that the loader is tried on")]
    Target {
        /// Why not.
        source: std::io::Error,
    },
    /// Its summary could not be read.
    #[error("cannot read the loader's summary")]
    Summary {
        /// Why not.
        source: std::io::Error,
    },
    /// Its record of requests could not be read.
    #[error("cannot read the loader's record of requests")]
    Record {
        /// Why not.
        source: rusqlite::Error,
    },
}
