//! The CPUs of this host, their cores and NUMA nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use crate::units::CpuSet;

/// A failure to read or change the state of the host.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// A kernel file could not be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The CPU affinity could not be read.
    #[error("cannot read the CPU affinity of this process")]
    Affinity {
        /// The cause.
        source: io::Error,
    },
    /// The CPUs of a run could not be reserved.
    #[error("cannot reserve CPUs in {dir}")]
    Reserve {
        /// The folder of reservations.
        dir: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The limit of open files could not be raised.
    #[error("cannot raise the limit of open files")]
    OpenFiles {
        /// The cause.
        source: io::Error,
    },
}

/// The highest number that a CPU may have.
const MAX_CPU: usize = 65_535;

/// One logical CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpu {
    /// Its number.
    pub id: usize,
    /// The lowest-numbered CPU of its physical core.
    pub core: usize,
    /// Its NUMA node.
    pub node: usize,
    /// Its relative speed, to distinguish kinds of cores: the highest frequency, or the kernel's capacity
    /// value; 0 when the kernel reports neither.
    pub speed: u32,
}

/// The logical CPUs that this process may use, in ascending order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    /// The CPUs.
    pub cpus: Vec<Cpu>,
}

impl Topology {
    /// Reads the topology of this host: allowed CPUs, core siblings and NUMA nodes.
    ///
    /// # Errors
    /// When the CPU affinity cannot be read.
    pub fn detect() -> Result<Self, HostError> {
        let allowed = rustix::thread::sched_getaffinity(None)
            .map_err(|errno| HostError::Affinity { source: errno.into() })?;
        let ids = (0..rustix::thread::CpuSet::MAX_CPU).filter(|&cpu| allowed.is_set(cpu));
        let cpus = ids
            .map(|id| Cpu { id, core: core_of(id), node: node_of(id), speed: speed_of(id) })
            .collect();
        Ok(Self { cpus })
    }

    /// Parses the output of `lscpu --parse=CPU,CORE,NODE,MAXMHZ` of any host.
    ///
    /// # Errors
    /// A message about the first invalid line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut first_of_core: BTreeMap<String, usize> = BTreeMap::new();
        let mut cpus = Vec::new();
        for (line, number) in text.lines().zip(1..) {
            if line.starts_with('#') || line.is_empty() {
                continue;
            }
            let wrong =
                || format!("line {number} is `{line}`: expected `CPU,CORE,NODE,MAXMHZ` as numbers");
            let fields: Vec<&str> = line.split(',').collect();
            let [cpu, core, node, speed] = fields[..] else { return Err(wrong()) };
            let id: usize = cpu.parse().map_err(|_| wrong())?;
            let own = first_of_core.entry(format!("{node}/{core}")).or_insert(id);
            // Empty on a machine without NUMA nodes or frequencies.
            let node = if node.is_empty() { 0 } else { node.parse().map_err(|_| wrong())? };
            let whole = speed.split('.').next().unwrap_or_default();
            let speed = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| wrong())? };
            cpus.push(Cpu { id, core: *own, node, speed });
        }
        cpus.sort_by_key(|cpu: &Cpu| cpu.id);
        if let Some(pair) = cpus.windows(2).find(|pair| pair[0].id == pair[1].id) {
            return Err(format!("it lists CPU {} twice", pair[0].id));
        }
        match cpus.last() {
            None => Err("it lists no CPU".to_owned()),
            Some(last) if last.id > MAX_CPU => {
                Err(format!("CPU {} is out of range: expected 0 to {MAX_CPU}", last.id))
            }
            Some(_) => Ok(Self { cpus }),
        }
    }

    /// The number of physical cores.
    #[must_use]
    pub fn cores(&self) -> usize {
        self.cpus.iter().map(|cpu| cpu.core).collect::<BTreeSet<_>>().len()
    }
}

/// The lowest sibling of a CPU; the CPU itself when the kernel does not report siblings.
fn core_of(cpu: usize) -> usize {
    let path = format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
    let siblings = std::fs::read_to_string(path).ok();
    let siblings = siblings.and_then(|text| text.parse::<CpuSet>().ok());
    siblings.and_then(|set| set.iter().next()).unwrap_or(cpu)
}

/// The NUMA node of a CPU; node 0 when the kernel does not report it.
fn node_of(cpu: usize) -> usize {
    let path = format!("/sys/devices/system/cpu/cpu{cpu}");
    let entries = std::fs::read_dir(Path::new(&path)).into_iter().flatten().flatten();
    let mut names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.find_map(|name| name.strip_prefix("node")?.parse().ok()).unwrap_or(0)
}

fn speed_of(cpu: usize) -> u32 {
    let folder = format!("/sys/devices/system/cpu/cpu{cpu}");
    let number = |file: &str| {
        let text = std::fs::read_to_string(format!("{folder}/{file}")).ok()?;
        text.trim().parse().ok()
    };
    number("cpu_capacity").or_else(|| number("cpufreq/cpuinfo_max_freq")).unwrap_or(0)
}
