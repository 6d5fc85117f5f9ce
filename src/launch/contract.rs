//! What a component has to do until it is measured, and the wait for it.

use std::fmt;
use std::time::Duration;

use crate::model::{Part, VALUE_BYTES};
use crate::units::HumanDuration;

/// A step of a start that a component has to answer as expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contract {
    /// A store answers PING.
    Ping,
    /// A store reports on itself.
    Info,
    /// A store keeps the value.
    Value,
    /// An app is ready.
    Ready,
    /// An app reports on itself.
    About,
    /// An app answers the value.
    Endpoint,
}

/// What is expected, and by which key of component.toml.
impl fmt::Display for Contract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ping => f.pad("an answer to PING"),
            Self::Info => f.pad("an answer to INFO"),
            Self::Value => f.pad("that GET gives back what SET stored"),
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
    /// For how long it has been waited for.
    pub waited: Duration,
    /// How long it may take.
    pub limit: HumanDuration,
    /// What the last attempt gave.
    pub last: String,
}

/// `waiting for app \`fastapi\` (12 s of 2m): GET …`
impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { part, name, waited, limit, last } = self;
        write!(f, "waiting for {part} `{name}` ({} s of {limit}): {last}", waited.as_secs())
    }
}
