//! The host: its fingerprint, its checks, and the placement of a trial on its CPUs.

mod doctor;
mod interference;
mod placement;
mod reservation;
mod topology;

pub use doctor::{CheckInput, examine};
pub use interference::{HostActivity, sample_host};
pub use placement::{Demand, picture, place};
pub use reservation::{Claim, Reservation, Sharing, reservations_dir, reserve};
pub use topology::{Cpu, HostError, Topology};

use crate::model::Fingerprint;

/// The properties of this host that can change a measurement.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn fingerprint(topology: &Topology) -> Result<Fingerprint, HostError> {
    let read = |path: &str| {
        let wrap = |source| HostError::Read { path: path.into(), source };
        std::fs::read_to_string(path).map_err(wrap)
    };
    let cpu_info = read("/proc/cpuinfo")?;
    let memory = read("/proc/meminfo")?;
    let system = rustix::system::uname();
    Ok(Fingerprint {
        // ARM kernels report no model; the field `arch` remains.
        cpu_model: field(&cpu_info, "model name").unwrap_or("unknown").to_owned(),
        cpus: u32::try_from(topology.cpus.len()).unwrap_or(u32::MAX),
        cores: u32::try_from(topology.cores()).unwrap_or(u32::MAX),
        memory_bytes: field(&memory, "MemTotal").and_then(kibibytes).unwrap_or(0),
        os: os_name(),
        kernel: system.release().to_string_lossy().into_owned(),
        arch: system.machine().to_string_lossy().into_owned(),
    })
}

/// A simulated host with 16 cores, for runs whose results are computed.
#[must_use]
pub fn imaginary() -> (Topology, Fingerprint) {
    let cpus = (0..16).map(|id| Cpu { id, core: id, node: 0, speed: 0 }).collect();
    let fingerprint = Fingerprint {
        cpu_model: "imaginary".to_owned(),
        cpus: 16,
        cores: 16,
        memory_bytes: 64 << 30,
        os: "none".to_owned(),
        kernel: "0".to_owned(),
        arch: "none".to_owned(),
    };
    (Topology { cpus }, fingerprint)
}

/// Raises the limit of open files of this process and its children to the maximum. Returns it.
///
/// # Errors
/// When the limit cannot be set.
pub fn raise_open_file_limit() -> Result<u64, HostError> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum;
    setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most })
        .map_err(|errno| HostError::OpenFiles { source: errno.into() })?;
    Ok(most.unwrap_or(u64::MAX))
}

/// The number of ports for connections to one address; `None` when the system does not report it.
#[must_use]
pub fn ephemeral_ports() -> Option<u32> {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
    let mut ends = text.split_ascii_whitespace().map(str::parse::<u32>);
    let (first, last) = (ends.next()?.ok()?, ends.next()?.ok()?);
    Some(last.checked_sub(first)? + 1)
}

fn field<'text>(text: &'text str, name: &str) -> Option<&'text str> {
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    lines.find_map(|(key, value)| (key.trim() == name).then(|| value.trim()))
}

fn kibibytes(value: &str) -> Option<u64> {
    Some(value.strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

fn os_name() -> String {
    let text = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let pretty = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    pretty.map_or_else(|| std::env::consts::OS.to_owned(), |name| name.trim_matches('"').to_owned())
}
