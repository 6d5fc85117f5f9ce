//! The end of a drain: requests that are still in flight become unfinished.
//!
//! oha waits for its requests without a limit, and its record is lost when its process is killed. So the
//! loader's process closes the connections: each request in flight then fails, and oha writes its record.
//! By then oha's idle workers have closed theirs, so each open connection is one unfinished request.

use std::fs::{read_dir, read_link};
use std::net::{Shutdown, TcpStream};
use std::os::fd::RawFd;
use std::path::Path;
use std::time::Duration;

use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};

/// The time limit for requests that are in flight at the end of the window.
pub(super) const DRAIN_LIMIT: Duration = Duration::from_secs(10);

/// Closes every TCP connection of this process, and writes their number to `unfinished`.
pub(super) fn end_connections(unfinished: &Path) {
    let connections = connections();
    // Written first: the process ends as soon as oha sees the connections close.
    if !connections.is_empty() && std::fs::write(unfinished, connections.len().to_string()).is_ok()
    {
        for connection in &connections {
            // Fails when the request has just been answered.
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

/// The TCP connections of this process, each as a handle of its own.
fn connections() -> Vec<TcpStream> {
    // Only a pidfd (Linux 5.6) duplicates a descriptor by its number. On older kernels the parent kills
    // the loader, and the trial fails.
    let Ok(own) = pidfd_open(getpid(), PidfdFlags::empty()) else { return vec![] };
    let is_socket = |fd: &RawFd| {
        let target = read_link(format!("/proc/self/fd/{fd}")).unwrap_or_default();
        target.to_string_lossy().starts_with("socket:")
    };
    let fds = read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let fds = fds.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(is_socket);
    let handles = fds.filter_map(|fd| pidfd_getfd(&own, fd, PidfdGetfdFlags::empty()).ok());
    handles.map(TcpStream::from).filter(|stream| stream.peer_addr().is_ok()).collect()
}
