//! The addresses on which processes listen, for messages about a component that does not answer.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use procfs::net::{TcpNetEntry, TcpState};
use procfs::process::{FDTarget, Process};

use super::tree::ProcessTree;

/// The address of Docker's name server inside a container.
const DOCKER_DNS: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 11));

impl ProcessTree {
    /// The TCP addresses on which its processes listen.
    #[must_use]
    pub fn listening(self) -> BTreeSet<SocketAddr> {
        let members = self.members();
        let sockets: BTreeSet<u64> = members.iter().flat_map(sockets).collect();
        let entries = members.first().map(entries).unwrap_or_default();
        let own = entries.into_iter().filter(|entry| sockets.contains(&entry.inode));
        own.map(|entry| entry.local_address).collect()
    }
}

/// The TCP addresses on which anything listens in the network namespace of a process, such as the first
/// process of a container. Empty without the permission to read it.
#[must_use]
pub fn listening_in_namespace_of(pid: i32) -> BTreeSet<SocketAddr> {
    let entries = Process::new(pid).map(|process| entries(&process)).unwrap_or_default();
    let addresses = entries.into_iter().map(|entry| entry.local_address);
    addresses.filter(|address| address.ip() != DOCKER_DNS).collect()
}

/// The listening sockets in a process's network namespace.
fn entries(process: &Process) -> Vec<TcpNetEntry> {
    let tables = [process.tcp(), process.tcp6()];
    let entries = tables.into_iter().flatten().flatten();
    entries.filter(|entry| entry.state == TcpState::Listen).collect()
}

/// The inodes of a process's sockets.
fn sockets(process: &Process) -> Vec<u64> {
    let descriptors = process.fd().into_iter().flatten().flatten();
    let sockets = descriptors.filter_map(|descriptor| match descriptor.target {
        FDTarget::Socket(inode) => Some(inode),
        _ => None,
    });
    sockets.collect()
}
