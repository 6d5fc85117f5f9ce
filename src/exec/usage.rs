//! What processes use, read so seldom and so lightly that it does not disturb them.

use std::time::Duration;

use procfs::process::{Process, Stat};
use rustix::process::Pid;

use crate::clock::Stopwatch;
use crate::units::Nanos;

/// The processes that share a process group.
#[derive(Clone, Copy, Debug)]
pub struct ProcessGroup(pub(super) Pid);

/// What a process group has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time in user and kernel mode since the start, of members and of children they reaped.
    pub cpu: Nanos,
    /// Memory now, shared pages divided among their users (PSS), in bytes.
    pub memory_bytes: u64,
    /// How long a quota has kept it from a CPU; `None` without one.
    pub throttled: Option<Nanos>,
}

/// Reads `group` at once and then every second, up to and including `window`.
///
/// Finding the members means reading every process of the system, and the kernel counts shared pages
/// (proc(5), `smaps_rollup`) while the process waits: both are done at the two ends alone. In between,
/// memory is what it was at the beginning and what unshared pages (`statm`) have grown by since. CPU
/// time is counted in ticks of 10 ms (`stat`).
///
/// Gives the time of each reading since the first, and what it read.
pub async fn sample_usage(group: ProcessGroup, window: Duration) -> Vec<(Nanos, Usage)> {
    let watch = Stopwatch::start();
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    let mut members = Vec::new();
    let (mut shared, mut unshared_before) = (0, 0);
    let mut samples = Vec::new();
    loop {
        let left = window.saturating_sub(watch.elapsed());
        tokio::select! {
            _ = ticks.tick() => {}
            () = tokio::time::sleep(left) => {}
        }
        let offset = watch.elapsed();
        let is_end = samples.is_empty() || offset >= window;
        if is_end {
            members = group.members();
            shared = members.iter().filter_map(proportional_memory).sum();
            unshared_before = members.iter().filter_map(unshared_memory).sum();
        }
        let unshared: u64 = members.iter().filter_map(unshared_memory).sum();
        let memory_bytes = (shared + unshared).saturating_sub(unshared_before);
        let cpu = members.iter().filter_map(|member| member.stat().ok()).map(|stat| used(&stat));
        let usage = Usage { cpu: Nanos(cpu.sum()), memory_bytes, throttled: None };
        samples.push((Nanos::from(offset), usage));
        if offset >= window {
            return samples;
        }
    }
}

impl ProcessGroup {
    fn members(self) -> Vec<Process> {
        let group = self.0.as_raw_nonzero().get();
        let all = procfs::process::all_processes().into_iter().flatten().flatten();
        // A process that ended between the listing and the reading has nothing to add.
        all.filter(|process| process.stat().is_ok_and(|stat| stat.pgrp == group)).collect()
    }
}

/// CPU time of a process and of the children that it reaped, in nanoseconds.
fn used(stat: &Stat) -> u64 {
    let reaped = u64::try_from(stat.cutime + stat.cstime).unwrap_or(0);
    (stat.utime + stat.stime + reaped) * (1_000_000_000 / procfs::ticks_per_second())
}

fn proportional_memory(process: &Process) -> Option<u64> {
    let rollup = process.smaps_rollup().ok()?;
    let maps = rollup.memory_map_rollup;
    Some(maps.iter().filter_map(|map| map.extension.map.get("Pss")).sum())
}

/// Memory that no file backs, in bytes.
fn unshared_memory(process: &Process) -> Option<u64> {
    let pages = process.statm().ok()?;
    Some(pages.resident.saturating_sub(pages.shared) * procfs::page_size())
}
