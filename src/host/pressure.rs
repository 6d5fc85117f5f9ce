//! Who else uses the CPUs of a trial.

use std::path::Path;

use crate::model::Disturbance;
use crate::units::{CpuSet, Nanos};

/// What some CPUs had done up to a moment, added up over them since the boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTimes {
    /// For processes, in user and kernel mode.
    busy: Nanos,
    /// For other machines of the hypervisor.
    steal: Nanos,
}

impl CpuTimes {
    /// What `cpus` have done (source: proc(5), `stat`); `None` where the kernel does not tell.
    #[must_use]
    pub fn now(cpus: &CpuSet) -> Option<Self> {
        let text = std::fs::read_to_string(Path::new("/proc/stat")).ok()?;
        Some(parse(&text, cpus, procfs::ticks_per_second()))
    }

    /// What others did since `before`, of which `own` was done for the trial itself.
    #[must_use]
    pub fn since(self, before: Self, own: Nanos) -> Disturbance {
        let busy = self.busy.0.saturating_sub(before.busy.0);
        Disturbance {
            foreign: Nanos(busy.saturating_sub(own.0)),
            steal: Nanos(self.steal.0.saturating_sub(before.steal.0)),
        }
    }
}

/// Interrupts are left out: those of the network are the trial's own, and no process's.
fn parse(text: &str, cpus: &CpuSet, ticks_per_second: u64) -> CpuTimes {
    let tick = 1_000_000_000 / ticks_per_second.max(1);
    let mut times = CpuTimes::default();
    for line in text.lines() {
        let mut fields = line.split_ascii_whitespace();
        let id = fields.next().and_then(|name| name.strip_prefix("cpu")?.parse::<usize>().ok());
        if !id.is_some_and(|id| cpus.iter().any(|cpu| cpu == id)) {
            continue;
        }
        let ticks: Vec<u64> = fields.map(|field| field.parse().unwrap_or(0)).collect();
        let field = |index: usize| ticks.get(index).copied().unwrap_or(0);
        // user, nice, system, idle, iowait, irq, softirq, steal
        times.busy.0 += (field(0) + field(1) + field(2)) * tick;
        times.steal.0 += field(7) * tick;
    }
    times
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "cpu  300 0 300 9 9 9 9 9 0 0\n\
        cpu0 100 10 50 1000 5 7 9 3 0 0\n\
        cpu1 200 0 100 1000 5 7 9 4 0 0\n\
        intr 1 2 3\n";

    #[test]
    fn what_is_not_the_trials_own_is_foreign() {
        let cpus: CpuSet = "1".parse().unwrap();
        let after = parse(STAT, &cpus, 100);
        assert_eq!(after, CpuTimes { busy: Nanos(3_000_000_000), steal: Nanos(40_000_000) });
        let both = parse(STAT, &"0-1".parse().unwrap(), 100);
        assert_eq!(both.busy, Nanos(4_600_000_000));
        let told = after.since(CpuTimes::default(), Nanos(2_500_000_000));
        assert_eq!(told.foreign, Nanos(500_000_000));
        // Ticks are coarse: what is less than nothing is nothing.
        assert_eq!(after.since(after, Nanos(1)).foreign, Nanos(0));
    }
}
