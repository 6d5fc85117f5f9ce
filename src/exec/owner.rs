//! Whose a thing is that outlives its process: containers and networks are known by this mark.

use std::fmt;
use std::io;

use procfs::process::Process;

/// A process, told apart from any other on any machine at any time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The machine, and its boot.
    machine: String,
    boot: String,
    /// The process's pid and its start time, which together are never used twice in a boot.
    process: String,
}

impl Owner {
    /// This process.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn this() -> io::Result<Self> {
        let line = |path: &str| std::fs::read_to_string(path).map(|text| text.trim().to_owned());
        let own = Process::myself().and_then(|own| own.stat()).map_err(io::Error::other)?;
        let host = || line("/proc/sys/kernel/hostname");
        let machine = line("/etc/machine-id").ok().filter(|id| !id.is_empty());
        Ok(Self {
            machine: machine.map_or_else(host, Ok)?,
            boot: line("/proc/sys/kernel/random/boot_id")?,
            process: format!("{}:{}", own.pid, own.starttime),
        })
    }

    /// What tells it from others on this machine, for names.
    #[must_use]
    pub fn short(&self) -> String {
        self.process.replace(':', "-")
    }

    /// Whether a mark is of a process of this machine that has ended. Of another machine's processes
    /// nothing is known, and so they have not.
    #[must_use]
    pub fn is_gone(&self, mark: &str) -> bool {
        let mut parts = mark.split('/');
        let (Some(machine), Some(boot), Some(process), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return false;
        };
        machine == self.machine && (boot != self.boot || super::owner_is_gone(process))
    }
}

/// `machine/boot/pid:start`.
impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.machine, self.boot, self.process)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_ended_process_of_this_machine_is_gone() {
        let own = Owner::this().unwrap();
        assert!(!own.is_gone(&own.to_string()));
        let before_the_boot = Owner { boot: "before".to_owned(), ..own.clone() };
        assert!(own.is_gone(&before_the_boot.to_string()));
        let ended = Owner { process: "1:1".to_owned(), ..own.clone() };
        assert!(own.is_gone(&ended.to_string()));
        let elsewhere = Owner { machine: "other".to_owned(), ..ended };
        assert!(!own.is_gone(&elsewhere.to_string()));
        for strange in ["", "a", "a/b/c/d", &format!("{}/x", own.machine)] {
            assert!(!own.is_gone(strange), "{strange}");
        }
    }
}
