//! The application layer: the use cases of the program.
//!
//! Each use case has a file. It takes a plain request struct, reports progress as events, and returns plain
//! data. Nothing here parses arguments, prints, reads environment variables or decides an exit code.
//!
//! Shared by the use cases: [`RunSettings`] and [`Observer`] come from the caller, `experiment` turns a spec
//! into what can be measured here, `environment` finds and prepares the host, and `session` executes one run
//! on it.

mod ab;
mod ask;
mod calibrate;
mod capacity;
mod compare;
mod doctor;
mod environment;
mod error;
mod event;
mod experiment;
mod measure;
mod plan;
mod report;
mod reproduce;
mod resume;
mod session;
mod settings;
mod sides;
mod trend;

pub use ab::{AbOutcome, AbRequest, ab};
pub use ask::{Answer, MAX_ANSWER_ROWS, MAX_ANSWER_TIME, Question, Unanswered, ask, too_long};
pub use calibrate::{CALIBRATED_REPETITIONS, Calibrated, CaseNoise, calibrate};
pub use capacity::{CapacityRequest, capacity};
pub use compare::{
    ComparisonReport, ComparisonSettings, DistributionPair, Margin, compare, refusal,
};
pub use doctor::{DoctorRequest, doctor};
pub use error::{AppError, ErrorKind};
pub use event::{Event, Observer};
pub use measure::{MeasureRequest, Measured, measure};
pub use plan::{PlanRequest, PlannedRun, plan};
pub use report::{Report, report};
pub use reproduce::{ReproduceRequest, Reproduced, reproduce};
pub use resume::{ResumeOutcome, ResumeRequest, resume};
pub use settings::{
    DockerSettings, Fake, HostSettings, LauncherChoice, NeighbourPolicy, Neighbours, RunSettings,
};
pub use sides::SideTrials;
pub use trend::{Trend, TrendRequest, trend};
