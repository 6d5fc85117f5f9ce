//! What a loader process gets to do.

use serde::{Deserialize, Serialize};

use super::schedule::Schedule;
use crate::units::{CpuSet, Nanos};

/// A load, as the file that the loader process reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Assignment {
    /// The URL of every request.
    pub url: String,
    /// The certificates, in PEM, of the CA that has signed the certificate of an https server.
    #[serde(default)]
    pub ca: Option<String>,
    /// When requests are sent.
    pub schedule: Schedule,
    /// Which connections carry them.
    pub connections: Connections,
    /// What every answer must be.
    pub expected: Expected,
    /// How long to wait for requests that are in flight at the end of the schedule.
    pub drain_limit: Nanos,
    /// One thread runs on each of these CPUs.
    pub cpus: CpuSet,
    /// How threads wait for the next planned moment.
    pub pacing: Pacing,
}

/// The connections of a load. Each carries one request at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub struct Connections {
    /// The number of connections, or the largest number.
    pub limit: u32,
    /// When they are opened.
    pub pool: Pool,
    /// Whether a connection is used again after an answer.
    pub is_kept_alive: bool,
}

/// When connections are opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pool {
    /// All of them before the load. Requests wait for a free one.
    Fixed,
    /// When a request finds none that is free, so that a stalled server does not delay arrivals.
    Open,
}

/// What an answer must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expected {
    /// Its status.
    pub status: u16,
    /// Its length, in bytes.
    pub length: u64,
    /// Its body; `None` where only the length is known.
    pub body: Option<Vec<u8>>,
    /// Its content type, of which the media type is compared; `None` for any.
    #[serde(default)]
    pub content_type: Option<String>,
}

/// How a thread waits for the next planned moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pacing {
    /// It sleeps until shortly before and then polls the clock. For CPUs that the loader has alone.
    Spin,
    /// It sleeps until then. For CPUs that others need as well.
    Sleep,
}
