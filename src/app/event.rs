//! The events of a use case, and the trait of its caller.

use futures::future::LocalBoxFuture;

use crate::model::Plan;
use crate::run;

/// Something that happened in a use case.
#[derive(Debug)]
pub enum Event<'app> {
    /// A message to the user.
    Note(&'app str),
    /// A part of an image has been fetched.
    Fetching {
        /// The image.
        image: &'app str,
        /// Bytes that have been fetched.
        done_bytes: u64,
        /// The size of the image, in bytes.
        total_bytes: u64,
    },
    /// The image has been fetched, or fetching it has failed.
    Fetched,
    /// A run begins.
    RunStarted {
        /// The plan: its trials.
        plan: &'app Plan,
        /// The number of sides on which the plan is executed.
        sides: u32,
        /// Whether the run may end before all its trials are over.
        may_end_early: bool,
    },
    /// Something happened in a run.
    Run {
        /// The side, of an interleaved run.
        side: Option<&'static str>,
        /// What happened.
        event: &'app run::Event<'app>,
    },
    /// No more trials are executed.
    RunEnded,
}

/// The caller of a use case: it follows the progress, and can stop the use case.
pub trait Observer: Send {
    /// Handles an event.
    fn on_event(&mut self, event: &Event<'_>);

    /// Completes when the use case has to stop; gives the reason, such as `interrupted`.
    fn stop_requested(&self) -> LocalBoxFuture<'static, &'static str>;

    /// Handles a message.
    fn note(&mut self, text: &str) {
        self.on_event(&Event::Note(text));
    }
}
