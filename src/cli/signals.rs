//! The signals that end a command.

use tokio::signal::unix::{SignalKind, signal};

use crate::process;

/// Waits for a signal; gives what it did, such as `interrupted`.
pub(super) async fn interrupted() -> &'static str {
    let kinds = [
        (SignalKind::interrupt(), "interrupted"),
        (SignalKind::terminate(), "terminated"),
        (SignalKind::hangup(), "hung up"),
    ];
    let [Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)] =
        kinds.map(|(kind, _)| signal(kind))
    else {
        // Without handlers the signals end the process at once, and the kernel its children.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => kinds[0].1,
        _ = terminate.recv() => kinds[1].1,
        _ = hangup.recv(), if !process::ignores_hangup() => kinds[2].1,
    }
}
