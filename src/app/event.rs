//! What happens in a use case, for whoever asked for it.

use futures::future::LocalBoxFuture;

use crate::model::Plan;
use crate::run;

/// Something that happened in a use case.
#[derive(Debug)]
pub enum Event<'app> {
    /// A message for the person who waits.
    Note(&'app str),
    /// So many bytes of an image have been fetched.
    Fetching {
        /// The image.
        image: &'app str,
        /// Bytes that are there.
        done_bytes: u64,
        /// All bytes.
        total_bytes: u64,
    },
    /// An image is not being fetched any more.
    Fetched,
    /// A run begins.
    RunStarted {
        /// Its trials.
        plan: &'app Plan,
        /// On how many sides the plan is executed.
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
    /// Takes note of an event.
    fn on_event(&mut self, event: &Event<'_>);

    /// Completes when the use case has to stop; gives the reason, such as `interrupted`.
    fn stop_requested(&self) -> LocalBoxFuture<'static, &'static str>;

    /// Takes note of a message.
    fn note(&mut self, text: &str) {
        self.on_event(&Event::Note(text));
    }
}
