//! Which CPUs there are, and which of them share a core or a NUMA node.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use crate::units::CpuSet;

/// What goes wrong when the host is looked at.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// A file of the kernel's could not be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The allowed CPUs could not be asked for.
    #[error("cannot ask which CPUs may be used")]
    Affinity {
        /// Why not.
        source: io::Error,
    },
    /// The limit of open files could not be raised.
    #[error("cannot raise the limit of open files")]
    OpenFiles {
        /// Why not.
        source: io::Error,
    },
}

/// One logical CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpu {
    /// Its number.
    pub id: usize,
    /// The lowest-numbered CPU of its physical core.
    pub core: usize,
    /// Its NUMA node.
    pub node: usize,
}

/// The logical CPUs that this process may use, in ascending order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    /// The CPUs.
    pub cpus: Vec<Cpu>,
}

impl Topology {
    /// Looks at this host: allowed CPUs, core siblings and NUMA nodes.
    ///
    /// # Errors
    /// When the allowed CPUs cannot be asked for.
    pub fn detect() -> Result<Self, HostError> {
        let allowed = rustix::thread::sched_getaffinity(None)
            .map_err(|errno| HostError::Affinity { source: errno.into() })?;
        let ids = (0..rustix::thread::CpuSet::MAX_CPU).filter(|&cpu| allowed.is_set(cpu));
        let cpus = ids.map(|id| Cpu { id, core: core_of(id), node: node_of(id) }).collect();
        Ok(Self { cpus })
    }

    /// How many physical cores.
    #[must_use]
    pub fn cores(&self) -> usize {
        self.cpus.iter().map(|cpu| cpu.core).collect::<BTreeSet<_>>().len()
    }
}

/// The lowest sibling of a CPU; the CPU itself where the kernel does not tell.
fn core_of(cpu: usize) -> usize {
    let path = format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
    let siblings = std::fs::read_to_string(path).ok();
    let siblings = siblings.and_then(|text| text.parse::<CpuSet>().ok());
    siblings.and_then(|set| set.iter().next()).unwrap_or(cpu)
}

/// The NUMA node of a CPU; node 0 where the kernel does not tell.
fn node_of(cpu: usize) -> usize {
    let path = format!("/sys/devices/system/cpu/cpu{cpu}");
    let entries = std::fs::read_dir(Path::new(&path)).into_iter().flatten().flatten();
    let mut names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.find_map(|name| name.strip_prefix("node")?.parse().ok()).unwrap_or(0)
}
