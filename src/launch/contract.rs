//! The contract of a component before it is measured, and the report while it is not ready.

use std::fmt;
use std::time::Duration;

use crate::model::{Part, VALUE_BYTES};
use crate::units::HumanDuration;

/// A request during a start, with the answer that a component has to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contract {
    /// A store answers PING.
    Ping,
    /// A store answers INFO.
    Info,
    /// A store keeps the seeded value.
    Value,
    /// An app is ready.
    Ready,
    /// An app answers with its self-report.
    About,
    /// An app answers with the seeded value.
    Endpoint,
}

/// The expected answer, with its key in component.toml.
impl fmt::Display for Contract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ping => f.pad("an answer to PING"),
            Self::Info => f.pad("an answer to INFO"),
            Self::Value => f.pad("GET to return the value that SET stored"),
            Self::Ready => f.pad("status 200 from `http.ready`"),
            Self::About => f.pad("status 200 and a flat JSON object from `http.about`"),
            Self::Endpoint => {
                write!(f, "status 200 and the {VALUE_BYTES} stored bytes from `http.endpoint`")
            }
        }
    }
}

/// A component that is not ready yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Which part.
    pub part: Part,
    /// The component.
    pub name: String,
    /// The time since its start.
    pub waited: Duration,
    /// The time limit.
    pub limit: HumanDuration,
    /// The result of the last attempt.
    pub last: String,
}

/// `waiting for app \`fastapi\` (12 s of 2m): GET …`
impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { part, name, waited, limit, last } = self;
        write!(f, "waiting for {part} `{name}` ({} s of {limit}): {last}", waited.as_secs())
    }
}
