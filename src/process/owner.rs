//! The owner mark: which runner started a process or a container, and whether that runner has ended.
//!
//! Processes carry the mark in their environment, containers and networks as a label. Whatever carries the
//! mark of a runner that has ended is an orphan, and the next run removes it.

use std::fmt;
use std::io;

use procfs::process::Process;

/// A runner: one process of one PID namespace of one boot of one machine.
///
/// A pid is meaningful only within its PID namespace and boot. So a runner counts as ended only when
/// machine, boot and PID namespace are ours and no process has its pid and start time. Everything else is
/// left alone: marks of another machine, of an earlier boot (two virtual machines made from one image can
/// share their machine id and a Docker Engine), of another PID namespace (a run in a container or in
/// `unshare`), and marks without a namespace, which an earlier version of this program wrote. `docker ps --all --filter label=perf-api.owner` lists the containers among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    machine: String,
    boot: String,
    /// The inode of the PID namespace.
    namespace: String,
    /// `pid:start`. Within one boot and namespace a pid and a start time are never used twice.
    process: String,
}

impl Owner {
    /// This process.
    ///
    /// # Errors
    /// When `/proc` cannot be read, or shows another PID namespace: its pids would then be of others.
    pub fn this() -> io::Result<Self> {
        let line = |path: &str| std::fs::read_to_string(path).map(|text| text.trim().to_owned());
        let own = Process::myself().and_then(|own| own.stat()).map_err(io::Error::other)?;
        if u32::try_from(own.pid) != Ok(std::process::id()) {
            return Err(io::Error::other(
                "/proc shows another PID namespace; mount it again (`unshare --pid --fork --mount-proc`)",
            ));
        }
        let host = || line("/proc/sys/kernel/hostname");
        let machine = line("/etc/machine-id").ok().filter(|id| !id.is_empty());
        // The link reads `pid:[4026531836]`.
        let namespace = std::fs::read_link("/proc/self/ns/pid")?.to_string_lossy().into_owned();
        Ok(Self {
            machine: machine.map_or_else(host, Ok)?,
            boot: line("/proc/sys/kernel/random/boot_id")?,
            namespace: namespace.chars().filter(char::is_ascii_digit).collect(),
            process: format!("{}:{}", own.pid, own.starttime),
        })
    }

    /// A short form that is unique within the PID namespace, for names.
    #[must_use]
    pub fn short(&self) -> String {
        self.process.replace(':', "-")
    }

    /// Whether `mark` belongs to a runner that has certainly ended.
    #[must_use]
    pub fn is_gone(&self, mark: &str) -> bool {
        let parts: Vec<&str> = mark.split('/').collect();
        let [machine, boot, namespace, process] = parts[..] else { return false };
        machine == self.machine
            && boot == self.boot
            && namespace == self.namespace
            && has_ended(process)
    }
}

/// Whether no process has the pid and the start time of `pid:start`.
fn has_ended(process: &str) -> bool {
    let Some((pid, start)) = process.split_once(':') else { return false };
    let (Ok(pid), Ok(start)) = (pid.parse(), start.parse::<u64>()) else { return false };
    let stat = Process::new(pid).and_then(|owner| owner.stat());
    !stat.is_ok_and(|stat| stat.starttime == start && stat.state != 'Z')
}

/// `machine/boot/namespace/pid:start`.
impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{}", self.machine, self.boot, self.namespace, self.process)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runner_is_gone_only_when_it_ended_in_our_own_pid_namespace() {
        let own = Owner::this().unwrap();
        assert!(!own.is_gone(&own.to_string()));
        let ended = Owner { process: "1:1".to_owned(), ..own.clone() };
        assert!(own.is_gone(&ended.to_string()));
        let other = || "other".to_owned();
        for alive in [
            Owner { machine: other(), ..ended.clone() },
            Owner { boot: other(), ..ended.clone() },
            Owner { namespace: other(), ..ended.clone() },
        ] {
            assert!(!own.is_gone(&alive.to_string()), "{alive}");
        }
    }

    #[test]
    fn a_mark_of_an_earlier_version_or_of_another_program_is_never_gone() {
        let own = Owner::this().unwrap();
        let Owner { machine, boot, namespace, .. } = &own;
        for mark in [
            "1:1".to_owned(),
            format!("{machine}/{boot}/1:1"),
            format!("{machine}/{boot}/{namespace}/1:1/more"),
            format!("{machine}/{boot}/{namespace}/one"),
            String::new(),
        ] {
            assert!(!own.is_gone(&mark), "{mark}");
        }
    }
}
