//! Offering load: the interface between the runner and a loader.
//!
//! A [`LoadDriver`] offers requests on a schedule for a fixed window, waits a bounded time for those that are
//! in flight at its end (the drain), and reports each as completed, failed, or unfinished.

mod built_in;
mod ceiling;
mod child;
mod drain;
mod fake;
mod histogram;
mod oha;
mod tally;
mod target;

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;

pub use built_in::{BuiltIn, run_built_in};
pub use ceiling::{CEILING_WINDOW, CeilingRequest, LoaderTarget};
pub use fake::FakeLoad;
pub use histogram::Recorder;
pub use oha::{LoaderRequest, OhaLoad, run_loader};
pub use target::{Behaviour, Distribution, Stall, serve};

use crate::id::TrialId;
use crate::model::{Arrivals, Loader, Measurement, Profile};
use crate::process::ProcessError;
use crate::units::{CpuSet, Rps};

/// The load of one trial.
#[derive(Clone, Copy, Debug)]
pub struct LoadRequest<'run> {
    /// The trial.
    pub trial: TrialId,
    /// The URL to request.
    pub url: &'run str,
    /// Connections to keep open.
    pub connections: u32,
    /// Requests per second to offer.
    pub target_rps: Rps,
    /// How the rate moves around the target.
    pub profile: Profile,
    /// How requests follow each other.
    pub arrivals: Arrivals,
    /// The seed of random arrivals.
    pub seed: u64,
    /// The length of the window.
    pub duration: Duration,
    /// The CPUs that the loader may use.
    pub cpus: &'run CpuSet,
    /// The status that every answer must have.
    pub answer_status: u16,
    /// The length that every answer must have, in bytes.
    pub answer_bytes: u64,
    /// The body that every answer must have; `None` where only its length is known.
    pub answer_body: Option<&'run [u8]>,
    /// Whether no other part of the trial runs on the loader's CPUs.
    pub has_own_cpus: bool,
    /// A folder for files that are needed only during the load.
    pub scratch_dir: &'run Path,
}

/// A loader.
#[async_trait]
pub trait LoadDriver: Send {
    /// The driver's name and version in datasets.
    fn name(&self) -> String;

    /// Whether it compares the body of every answer with the expected one.
    fn compares_bodies(&self) -> bool {
        false
    }

    /// Offers a load and measures it. The result has only the loader's own resource use.
    ///
    /// # Errors
    /// When the loader itself fails. A failing server is a valid measurement.
    async fn drive(&mut self, request: &LoadRequest<'_>) -> Result<Measurement, LoadError>;
}

/// The driver of a loader.
#[must_use]
pub fn driver(loader: Loader) -> Box<dyn LoadDriver> {
    match loader {
        Loader::Oha => Box::new(OhaLoad),
        Loader::BuiltIn => Box::new(BuiltIn),
    }
}

/// Why there is no measurement.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Its process could not be started or ended.
    #[error(transparent)]
    Exec(#[from] ProcessError),
    /// It ended with an error.
    #[error("the loader ended with {status}: {message}")]
    Ended {
        /// How it ended.
        status: String,
        /// Its last log lines.
        message: String,
    },
    /// It did not end in time.
    #[error("the loader still runs {} s after its deadline", waited.as_secs())]
    Late {
        /// The time since the deadline.
        waited: Duration,
    },
    /// The server for measuring the loader's ceiling did not start.
    #[error("cannot start the server for measuring the loader's ceiling")]
    Target {
        /// The cause.
        source: std::io::Error,
    },
    /// Its summary could not be read.
    #[error("cannot read the loader's summary")]
    Summary {
        /// The cause.
        source: std::io::Error,
    },
    /// Its record of requests could not be read.
    #[error("cannot read the loader's record of requests")]
    Record {
        /// The cause.
        source: rusqlite::Error,
    },
}
