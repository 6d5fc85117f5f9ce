//! A process and all its descendants, in any session or process group: its members, their resource use,
//! and how to end them.
//!
//! The root is a subreaper (`PR_SET_CHILD_SUBREAPER`): an orphan becomes a child of the root, so no process
//! leaves the tree by `setsid`, by forking twice, or by overwriting its environment.

use std::collections::BTreeMap;
use std::time::Duration;

use procfs::process::{Process, Stat};
use rustix::process::{Pid, Signal};

use crate::clock::Stopwatch;
use crate::units::Nanos;

/// The processes below a root.
#[derive(Clone, Copy, Debug)]
pub struct ProcessTree(pub(super) Pid);

/// The resource use of a component.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time in user and kernel mode since the start, of running and ended processes.
    pub cpu: Nanos,
    /// Current memory in bytes; shared pages are divided among their users (PSS).
    pub memory_bytes: u64,
    /// The time that a CPU quota throttled it; `None` without a quota.
    pub throttled: Option<Nanos>,
}

/// Samples the resource use of `tree` now and then every second, up to and including `window`.
///
/// A reliable list of members needs a scan of all processes of the system, and the kernel blocks a process
/// while it counts its shared pages (proc(5), `smaps_rollup`). So both happen only at the two ends. In
/// between, members come from the kernel's lists of children (proc(5), `children`), and memory is the first
/// value plus the growth of unshared pages (`statm`). CPU time is counted in ticks of 10 ms (`stat`).
///
/// Returns each sample with its time since the first. A tree whose root has ended yields no sample.
pub async fn sample_usage(tree: ProcessTree, window: Duration) -> Vec<(Nanos, Usage)> {
    let watch = Stopwatch::start();
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    let (mut shared, mut unshared_before) = (0, 0);
    let mut samples: Vec<(Nanos, Usage)> = Vec::new();
    loop {
        let left = window.saturating_sub(watch.elapsed());
        tokio::select! {
            _ = ticks.tick() => {}
            () = tokio::time::sleep(left) => {}
        }
        let offset = watch.elapsed();
        let is_end = samples.is_empty() || offset >= window;
        let members = if is_end { tree.members() } else { tree.listed_members() };
        if is_end {
            shared = members.iter().filter_map(proportional_memory).sum();
            unshared_before = members.iter().filter_map(unshared_memory).sum();
        }
        let unshared: u64 = members.iter().filter_map(unshared_memory).sum();
        let memory_bytes = (shared + unshared).saturating_sub(unshared_before);
        if let Some(cpu) = tree.cpu(&members) {
            samples.push((Nanos::from(offset), Usage { cpu, memory_bytes, throttled: None }));
        }
        if offset >= window {
            return samples;
        }
    }
}

impl ProcessTree {
    /// This process and all its descendants.
    pub(super) fn own() -> Self {
        Self(rustix::process::getpid())
    }

    /// Sends a signal to every descendant of the root. Returns their number.
    pub(super) fn signal(self, signal: Signal) -> usize {
        let members = self.members();
        for pid in members.iter().filter_map(|member| Pid::from_raw(member.pid)) {
            // Fails when the process has just ended.
            let _ = rustix::process::kill_process(pid, signal);
        }
        members.len()
    }

    /// The descendants of the root, each after its parent.
    pub(super) fn members(self) -> Vec<Process> {
        let mut children: BTreeMap<i32, Vec<Process>> = BTreeMap::new();
        for process in procfs::process::all_processes().into_iter().flatten().flatten() {
            // The process ended after it was listed.
            let Ok(stat) = process.stat() else { continue };
            children.entry(stat.ppid).or_default().push(process);
        }
        self.below(|parent| children.remove(&parent).unwrap_or_default())
    }

    /// Like [`Self::members`], but cheaper. The kernel may omit a process that is just being forked or
    /// reaped.
    fn listed_members(self) -> Vec<Process> {
        let children = |pid: i32| -> Option<Vec<u32>> {
            let tasks = Process::new(pid).and_then(|parent| parent.tasks()).ok()?;
            let lists: Option<Vec<_>> = tasks.flatten().map(|task| task.children().ok()).collect();
            Some(lists?.concat())
        };
        if children(self.0.as_raw_nonzero().get()).is_none() {
            // This kernel has no lists of children.
            return self.members();
        }
        self.below(|parent| {
            let pids = children(parent).unwrap_or_default().into_iter();
            pids.filter_map(|pid| Process::new(i32::try_from(pid).ok()?).ok()).collect()
        })
    }

    fn below(self, mut children: impl FnMut(i32) -> Vec<Process>) -> Vec<Process> {
        let mut members = children(self.0.as_raw_nonzero().get());
        let mut next = 0;
        while let Some(member) = members.get(next) {
            let pid = member.pid;
            members.extend(children(pid));
            next += 1;
        }
        members
    }

    /// CPU time of the members and of all ended descendants; `None` when the root has ended.
    ///
    /// A running process reports its own time. An ended one is in the total of the ancestor that reaped
    /// it. Ancestors are read first, so nothing is counted twice. A process that is reaped between two
    /// readings is in neither, so the larger of two sums is taken.
    fn cpu(self, members: &[Process]) -> Option<Nanos> {
        let sum = || {
            let root = Process::new(self.0.as_raw_nonzero().get()).and_then(|root| root.stat());
            let of_members = |sum: u64, stat: Stat| sum + own_ticks(&stat) + reaped_ticks(&stat);
            let stats = || members.iter().filter_map(|member| member.stat().ok());
            // The root is the supervisor, whose own time does not count.
            root.ok().map(|root| stats().fold(reaped_ticks(&root), of_members))
        };
        let ticks = sum().max(sum())?;
        Some(Nanos(ticks * (1_000_000_000 / procfs::ticks_per_second())))
    }
}

fn own_ticks(stat: &Stat) -> u64 {
    stat.utime + stat.stime
}

fn reaped_ticks(stat: &Stat) -> u64 {
    u64::try_from(stat.cutime + stat.cstime).unwrap_or(0)
}

fn proportional_memory(process: &Process) -> Option<u64> {
    let rollup = process.smaps_rollup().ok()?;
    let maps = rollup.memory_map_rollup;
    Some(maps.iter().filter_map(|map| map.extension.map.get("Pss")).sum())
}

/// Memory that is not shared, in bytes.
fn unshared_memory(process: &Process) -> Option<u64> {
    let pages = process.statm().ok()?;
    Some(pages.resident.saturating_sub(pages.shared) * procfs::page_size())
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::path::Path;
    use std::process::Stdio;

    use super::*;
    use crate::process::bare_command;

    /// A shell script that uses CPU in itself, in children, grandchildren and an orphan, and then prints the
    /// total (`times`, POSIX).
    const SCRIPT: &str = "burn() { i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; }
        burn; (burn); (burn; (burn); burn) & wait
        times; read line";

    #[test]
    fn the_time_of_ended_processes_is_counted_once() {
        let mut command = bare_command(Path::new("sh"));
        command.args(["-c", SCRIPT]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut shell = command.spawn().unwrap();
        let output = BufReader::new(shell.stdout.take().unwrap());
        let lines: Vec<String> = output.lines().take(2).map(Result::unwrap).collect();
        let seconds = |text: &str| -> f64 {
            let (minutes, seconds) = text.trim_end_matches('s').split_once('m').unwrap();
            minutes.parse::<f64>().unwrap() * 60.0 + seconds.parse::<f64>().unwrap()
        };
        let expected: f64 = lines.join(" ").split(' ').map(seconds).sum();
        // The shell is a member of the tree of this process; its root's own time does not count.
        let tree = ProcessTree::own();
        let is_shell = |process: &Process| u32::try_from(process.pid) == Ok(shell.id());
        let shells: Vec<Process> = tree.members().into_iter().filter(is_shell).collect();
        assert!(tree.listed_members().iter().any(is_shell));
        let before = tree.cpu(&[]).unwrap();
        let measured = Nanos(tree.cpu(&shells).unwrap().0 - before.0).as_secs_f64();
        // Four figures, each a whole number of ticks.
        assert!((measured - expected).abs() < 0.05, "{measured} s of {expected} s");
        assert!(expected > 0.05, "{expected}");
        drop(shell.stdin.take());
        shell.wait().unwrap();
    }

    #[test]
    fn a_tree_whose_root_has_ended_has_no_cpu_time() {
        let mut child = bare_command(Path::new("sh")).args(["-c", ":"]).spawn().unwrap();
        let tree = ProcessTree(Pid::from_child(&child));
        child.wait().unwrap();
        assert_eq!(tree.cpu(&[]), None);
    }
}
