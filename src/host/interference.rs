//! Interference during a trial: CPU time of other processes and machines, lower frequencies, and swapping.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::clock::Stopwatch;
use crate::model::Disturbance;
use crate::units::{CpuSet, Nanos};

/// What some CPUs did during a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostActivity {
    before: State,
    after: State,
    /// Mean frequency of the CPUs at each reading, in kHz.
    frequencies_khz: Vec<u64>,
    max_temperature_millic: Option<u64>,
}

/// Samples what `cpus` do during a window. `None` when the kernel does not report it.
pub async fn sample_host(cpus: CpuSet, window: Duration) -> Option<HostActivity> {
    let root = Path::new("/");
    let watch = Stopwatch::start();
    let before = State::read(root, &cpus)?;
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    let (mut frequencies_khz, mut max_temperature_millic) = (Vec::new(), None);
    while watch.elapsed() < window {
        let left = window.saturating_sub(watch.elapsed());
        tokio::select! {
            _ = ticks.tick() => {}
            () = tokio::time::sleep(left) => {}
        }
        frequencies_khz.extend(frequency_khz(root, &cpus));
        max_temperature_millic = max_temperature_millic.max(temperature_millic(root));
    }
    let after = State::read(root, &cpus)?;
    Some(HostActivity { before, after, frequencies_khz, max_temperature_millic })
}

impl HostActivity {
    /// The part that the trial did not cause. The loader ran on the CPUs `loader`, and the parts of the
    /// trial used `own` CPU time.
    #[must_use]
    pub fn disturbance(&self, loader: &CpuSet, own: Nanos) -> Disturbance {
        let (before, after) = (&self.before, &self.after);
        let spent = |cpu: &usize| {
            let then = before.cpus.get(cpu).copied().unwrap_or_default();
            let now = after.cpus.get(cpu).copied().unwrap_or_default();
            (now.busy.0.saturating_sub(then.busy.0), now.steal.0.saturating_sub(then.steal.0))
        };
        let grown = |now: Option<u64>, then: Option<u64>| Some(now?.saturating_sub(then?));
        let (busy, steal) =
            after.cpus.keys().map(spent).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        Disturbance {
            // Ticks are coarse, so `own` can exceed `busy`.
            foreign: Nanos(busy.saturating_sub(own.0)),
            steal: Nanos(steal),
            busiest_loader_cpu: loader.iter().map(|cpu| Nanos(spent(&cpu).0)).max(),
            swapped_bytes: grown(after.swapped_pages, before.swapped_pages)
                .map(|pages| pages.saturating_mul(procfs::page_size())),
            frequency_kept_permille: frequency_kept_permille(&self.frequencies_khz),
            thermal_throttles: grown(after.throttles, before.throttles),
            max_temperature_c: self
                .max_temperature_millic
                .and_then(|millic| u32::try_from(millic / 1000).ok()),
            is_beside_another_run: false,
        }
    }
}

/// The mean of the second half divided by that of the first, in thousandths; `None` with fewer than four
/// readings.
fn frequency_kept_permille(frequencies_khz: &[u64]) -> Option<u32> {
    let half = frequencies_khz.len() / 2;
    if half < 2 {
        return None;
    }
    let sum = |part: &[u64]| part.iter().sum::<u64>();
    let first = sum(&frequencies_khz[..half]);
    let second = sum(&frequencies_khz[frequencies_khz.len() - half..]);
    u32::try_from(second.saturating_mul(1000).checked_div(first)?).ok()
}

/// Kernel counters since boot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct State {
    cpus: BTreeMap<usize, CpuTimes>,
    swapped_pages: Option<u64>,
    throttles: Option<u64>,
}

/// The times of a CPU since boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct CpuTimes {
    /// In processes, in user and kernel mode.
    busy: Nanos,
    /// Taken by the hypervisor for other machines.
    steal: Nanos,
}

impl State {
    /// Reads `stat` and `vmstat` (proc(5)) and the count of thermal interrupts below `root`.
    fn read(root: &Path, cpus: &CpuSet) -> Option<Self> {
        let text = std::fs::read_to_string(root.join("proc/stat")).ok()?;
        let throttles: Vec<u64> = cpus
            .iter()
            .filter_map(|cpu| number(&cpu_file(root, cpu, "thermal_throttle/core_throttle_count")))
            .collect();
        Some(Self {
            cpus: cpu_times(&text, cpus, procfs::ticks_per_second()),
            swapped_pages: swapped_pages(root),
            throttles: (!throttles.is_empty()).then(|| throttles.iter().sum()),
        })
    }
}

fn swapped_pages(root: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(root.join("proc/vmstat")).ok()?;
    let count = |name: &str| {
        let mut lines = text.lines().filter_map(|line| line.split_once(' '));
        lines.find(|(field, _)| *field == name)?.1.trim().parse::<u64>().ok()
    };
    Some(count("pswpin")? + count("pswpout")?)
}

/// The mean frequency of CPUs; `None` when none reports it.
fn frequency_khz(root: &Path, cpus: &CpuSet) -> Option<u64> {
    let reported: Vec<u64> = cpus
        .iter()
        .filter_map(|cpu| number(&cpu_file(root, cpu, "cpufreq/scaling_cur_freq")))
        .collect();
    reported.iter().sum::<u64>().checked_div(reported.len() as u64)
}

fn cpu_file(root: &Path, cpu: usize, name: &str) -> std::path::PathBuf {
    root.join(format!("sys/devices/system/cpu/cpu{cpu}/{name}"))
}

/// The highest temperature of the CPU sensors, in thousandths of a degree Celsius.
fn temperature_millic(root: &Path) -> Option<u64> {
    let folders = |path: &str| {
        let entries = root.join(path).read_dir().into_iter().flatten().flatten();
        entries.map(|entry| entry.path())
    };
    let name = |path: &Path| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let zones = folders("sys/class/thermal")
        .filter(|zone| {
            let kind = name(&zone.join("type"));
            kind == "x86_pkg_temp" || kind.contains("cpu")
        })
        .map(|zone| zone.join("temp"));
    let sensors = folders("sys/class/hwmon")
        .filter(|sensor| ["coretemp", "k10temp"].contains(&name(&sensor.join("name")).as_str()))
        .map(|sensor| sensor.join("temp1_input"));
    zones.chain(sensors).filter_map(|path| number(&path)).max()
}

fn number(path: &Path) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// Parses `/proc/stat`. Interrupts are left out: those of the network belong to the trial.
fn cpu_times(text: &str, cpus: &CpuSet, ticks_per_second: u64) -> BTreeMap<usize, CpuTimes> {
    let tick = 1_000_000_000 / ticks_per_second.max(1);
    let mut times = BTreeMap::new();
    for line in text.lines() {
        let mut fields = line.split_ascii_whitespace();
        let id = fields.next().and_then(|name| name.strip_prefix("cpu")?.parse::<usize>().ok());
        let Some(id) = id.filter(|&id| cpus.iter().any(|cpu| cpu == id)) else { continue };
        let ticks: Vec<u64> = fields.map(|field| field.parse().unwrap_or(0)).collect();
        let field = |index: usize| ticks.get(index).copied().unwrap_or(0);
        // user, nice, system, idle, iowait, irq, softirq, steal
        let busy = Nanos((field(0) + field(1) + field(2)) * tick);
        times.insert(id, CpuTimes { busy, steal: Nanos(field(7) * tick) });
    }
    times
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// Writes the files of a host with two CPUs.
    fn write(root: &Path, busy: [u64; 2], steal: u64, swapped: u64, throttles: u64) {
        let put = |name: &str, text: String| {
            let path = root.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let ticks = procfs::ticks_per_second();
        let [first, second] = busy.map(|seconds| seconds * ticks);
        put(
            "proc/stat",
            format!(
                "cpu  9 9 9\ncpu0 {first} 0 0 9 9 9 9 {} 0\ncpu1 0 0 {second} 9 9 9 9 0 0\nintr 1\n",
                steal * ticks
            ),
        );
        put("proc/vmstat", format!("pgpgin 5\npswpin {swapped}\npswpout 2\n"));
        for cpu in 0..2 {
            let file = |name: &str| format!("sys/devices/system/cpu/cpu{cpu}/{name}");
            put(&file("thermal_throttle/core_throttle_count"), format!("{throttles}\n"));
            put(&file("cpufreq/scaling_cur_freq"), format!("{}\n", 1_000_000 * (cpu + 1)));
        }
        put("sys/class/thermal/thermal_zone0/type", "acpitz\n".to_owned());
        put("sys/class/thermal/thermal_zone0/temp", "99000\n".to_owned());
        put("sys/class/thermal/thermal_zone1/type", "x86_pkg_temp\n".to_owned());
        put("sys/class/thermal/thermal_zone1/temp", "61000\n".to_owned());
    }

    #[test]
    fn interference_is_what_the_trial_did_not_cause() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let cpus: CpuSet = "0-1".parse().unwrap();
        assert_eq!(State::read(root, &cpus), None);
        write(root, [10, 20], 1, 7, 3);
        let before = State::read(root, &cpus).unwrap();
        write(root, [14, 21], 2, 9, 4);
        let after = State::read(root, &cpus).unwrap();
        assert_eq!(frequency_khz(root, &cpus), Some(1_500_000));
        let activity = HostActivity {
            before,
            after,
            frequencies_khz: vec![1000, 1000, 9999, 900, 800],
            max_temperature_millic: temperature_millic(root),
        };
        let found = activity.disturbance(&cpus, Nanos(2 * SECOND));
        let expected = Disturbance {
            foreign: Nanos(3 * SECOND),
            steal: Nanos(SECOND),
            busiest_loader_cpu: Some(Nanos(4 * SECOND)),
            swapped_bytes: Some(2 * procfs::page_size()),
            frequency_kept_permille: Some(850),
            thermal_throttles: Some(2),
            max_temperature_c: Some(61),
            is_beside_another_run: false,
        };
        assert_eq!(found, expected);
        // Coarse ticks can report more own time than busy time.
        assert_eq!(activity.disturbance(&cpus, Nanos(9 * SECOND)).foreign, Nanos(0));
        assert_eq!(frequency_kept_permille(&[1000, 1000, 900]), None);
    }
}
