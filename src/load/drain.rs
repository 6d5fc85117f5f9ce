//! The end of a drain: requests that are still in flight are given up.
//!
//! oha's library waits for its requests as long as they take, and what it has recorded is lost with
//! its process. So the loader's process ends the connections instead: each request in flight then
//! fails, and oha writes its record. By then oha's idle workers have closed theirs, so that the open
//! connections are the unfinished requests.

use std::fs::{read_dir, read_link};
use std::net::{Shutdown, TcpStream};
use std::os::fd::RawFd;
use std::path::Path;
use std::time::Duration;

use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};

/// How long requests that are in flight at the end of the window are waited for.
pub(super) const DRAIN_LIMIT: Duration = Duration::from_secs(10);

/// Ends every TCP connection of this process, and writes to `unfinished` how many there were.
pub(super) fn end_connections(unfinished: &Path) {
    let connections = connections();
    // Written first: the process ends as soon as oha has seen its connections end.
    if !connections.is_empty() && std::fs::write(unfinished, connections.len().to_string()).is_ok()
    {
        for connection in &connections {
            // One that was closed in this moment is answered.
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

/// The TCP connections of this process, each as a handle of its own.
fn connections() -> Vec<TcpStream> {
    // Linux gives a second handle of a descriptor by its number through a pidfd alone (5.6); before
    // that the loader is ended by its parent, and its trial fails.
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
