//! Checks of this host for what can disturb a measurement: what was found, why it matters, how to fix it.
//!
//! The checks read only kernel files, all below a root folder, so that a test can simulate any host. Other
//! values come in as [`CheckInput`].

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::field;
use crate::model::{Check, State};
use crate::units::CpuSet;

/// A check with its result; unknown without one.
fn check(name: &str, why: &str, seen: Option<Seen>) -> Check {
    let unknown = || (State::Unknown, "not reported by this kernel".to_owned());
    let (state, found) = seen.unwrap_or_else(unknown);
    Check { name: name.to_owned(), state, found, why: why.to_owned(), fix: None }
}

/// Values that the kernel files do not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckInput {
    /// Files that one process may have open.
    pub open_files: u64,
    /// Connections that the loader will open.
    pub connections: u32,
    /// The version of the Docker Engine; `None` when no engine answers.
    pub docker: Option<String>,
    /// Programs and their versions.
    pub versions: Vec<(String, String)>,
}

/// Checks the host whose files are below `root` (`/` for this host).
///
/// A value that cannot be read is [`State::Unknown`], never an error.
#[must_use]
pub fn examine(root: &Path, input: &CheckInput) -> Vec<Check> {
    let mut checks = vec![
        cpu_model(root),
        topology(root),
        smt(root),
        cpu_limit(root),
        governor(root),
        turbo(root),
        frequency(root),
        idle_states(root),
        huge_pages(root),
        aslr(root),
        swap(root),
        memory(root),
        load(root),
        steal(root),
        virtualisation(root),
        clock_source(root),
        kernel(root),
        mitigations(root),
        open_files(input),
        ports(root, input),
        listen_queue(root, input),
        temperature(root),
        docker(input),
    ];
    checks.extend(input.versions.iter().map(|(program, version)| {
        check(program, SAME_ON_BOTH_SIDES, Some((State::Ok, version.clone())))
    }));
    checks
}

/// A state, and what was found, as text.
type Seen = (State, String);

const CPU: &str = "sys/devices/system/cpu";
const SAME_ON_BOTH_SIDES: &str = "both sides of a comparison need the same";

/// Product names of virtual machines. Only ARM needs them: x86 has a CPU flag.
const VIRTUAL_PRODUCTS: [&str; 5] =
    ["Alibaba Cloud ECS", "Google Compute Engine", "KVM", "Virtual Machine", "vServer"];

fn cpu_model(root: &Path) -> Check {
    let text = read(root, "proc/cpuinfo").unwrap_or_default();
    let seen = field(&text, "model name").map(|model| (State::Ok, model.to_owned()));
    check("cpu model", SAME_ON_BOTH_SIDES, seen)
}

fn topology(root: &Path) -> Check {
    let seen = online(root).map(|cpus| {
        let path = |cpu: usize| format!("{CPU}/cpu{cpu}/topology/thread_siblings_list");
        // A CPU without a list of siblings counts as a core.
        let core_of = |cpu: usize| read(root, &path(cpu)).unwrap_or_else(|| cpu.to_string());
        let cores: BTreeSet<String> = cpus.iter().map(core_of).collect();
        let sets = cores.iter().filter_map(|core| core.parse::<CpuSet>().ok());
        let threads = sets.map(|set| set.len()).max().unwrap_or(1);
        let nodes = cpu_list(read(root, "sys/devices/system/node/online").as_deref());
        let found = [
            counted(cpus.len(), "CPU"),
            counted(cores.len(), "core"),
            format!("{} per core", counted(threads, "thread")),
            // A kernel that was built without NUMA has no such file.
            counted(nodes.map_or(1, |nodes| nodes.len()), "NUMA node"),
        ];
        (State::Ok, found.join(", "))
    });
    check("cpus", "loader, app and store need separate cores", seen)
}

fn smt(root: &Path) -> Check {
    let active = number(root, "sys/devices/system/cpu/smt/active");
    check(
        "smt",
        "sibling threads share the units of one core",
        active.map(|on| off_is_better(on != 0)),
    )
    .fixed_by("echo off > /sys/devices/system/cpu/smt/control")
}

fn cpu_limit(root: &Path) -> Check {
    let signs = ["cgroup.controllers", "cpu.max", "cpu"];
    let is_known = signs.iter().any(|sign| root.join("sys/fs/cgroup").join(sign).exists());
    let status = read(root, "proc/self/status").unwrap_or_default();
    let allowed = cpu_list(field(&status, "Cpus_allowed_list")).or_else(|| online(root));
    let quota = smallest_quota(root);
    let seen = allowed.filter(|_| is_known).map(|cpus| match &quota {
        Some((share, _)) => {
            let whole = u64::try_from(cpus.len()).unwrap_or(u64::MAX).saturating_mul(100);
            let found = format!("a quota of {} CPUs, on CPUs {cpus}", hundredths(*share));
            (grade(*share < whole, false), found)
        }
        None => (State::Ok, format!("no limit, on CPUs {cpus}")),
    });
    let why = "a process over its quota is throttled until the next period";
    check("cpu limit", why, seen).fixed_by(quota.unwrap_or_default().1)
}

fn governor(root: &Path) -> Check {
    let governors = each_cpu(root, "cpufreq/scaling_governor");
    let seen = if governors.is_empty() {
        (State::Unknown, "not reported (virtual machine?)".to_owned())
    } else {
        let is_other = governors.iter().any(|governor| governor != "performance");
        (grade(false, is_other), Vec::from_iter(governors).join(", "))
    };
    check("governor", "a frequency that rises only under load is low at the start", Some(seen))
        .fixed_by("cpupower frequency-set --governor performance")
}

fn turbo(root: &Path) -> Check {
    let intel = number(root, "sys/devices/system/cpu/intel_pstate/no_turbo").map(|off| off == 0);
    let command = match intel {
        Some(_) => "echo 1 > /sys/devices/system/cpu/intel_pstate/no_turbo",
        None => "echo 0 > /sys/devices/system/cpu/cpufreq/boost",
    };
    let others = || number(root, "sys/devices/system/cpu/cpufreq/boost").map(|on| on != 0);
    let why = "the frequency then depends on temperature and on the load of other cores";
    check("turbo", why, intel.or_else(others).map(off_is_better)).fixed_by(command)
}

fn frequency(root: &Path) -> Check {
    let values = |file: &str| -> BTreeSet<u64> {
        each_cpu(root, file).iter().filter_map(|khz| khz.parse().ok()).collect()
    };
    let lowest = values("cpufreq/cpuinfo_min_freq");
    let highest = values("cpufreq/cpuinfo_max_freq");
    let differs = highest.len() > 1;
    let seen = lowest.first().zip(highest.last()).map(|(low, high)| {
        let note = if differs { ", different between CPUs" } else { "" };
        (grade(false, differs), format!("{} to {} MHz{note}", low / 1000, high / 1000))
    });
    check("frequency", "with different cores a result depends on its placement", seen)
}

fn idle_states(root: &Path) -> Check {
    let states = numbered(root, CPU, "cpu")
        .into_iter()
        .flat_map(|cpu| numbered(root, &format!("{cpu}/cpuidle"), "state"))
        .filter(|state| number(root, &format!("{state}/disable")).is_none_or(|off| off == 0));
    let deepest = states.filter_map(|state| number(root, &format!("{state}/latency"))).max();
    let seen = deepest.map(|us| (grade(false, us > 100), format!("up to {us} µs to wake up")));
    check("idle states", "an idle core wakes up late, which adds latency at low rates", seen)
        .fixed_by("cpupower idle-set --disable-by-latency 101")
}

fn huge_pages(root: &Path) -> Check {
    let text = read(root, "sys/kernel/mm/transparent_hugepage/enabled");
    let chosen = text.as_deref().and_then(|text| Some(text.split_once('[')?.1.split_once(']')?.0));
    let seen = chosen.map(|mode| (grade(false, mode == "always"), mode.to_owned()));
    check("huge pages", "copying a huge page stalls Redis", seen)
        .fixed_by("echo madvise > /sys/kernel/mm/transparent_hugepage/enabled")
}

fn aslr(root: &Path) -> Check {
    let level = number(root, "proc/sys/kernel/randomize_va_space");
    let seen = level.map(|level| (grade(false, level < 2), format!("level {level} of 2")));
    check("aslr", "one fixed memory layout can favour one side; random layouts average out", seen)
        .fixed_by("sysctl -w kernel.randomize_va_space=2")
}

fn swap(root: &Path) -> Check {
    let sizes = memory_kib(root, "SwapTotal").zip(memory_kib(root, "SwapFree"));
    let seen = sizes.map(|(total, free)| match total.saturating_sub(free) {
        _ if total == 0 => (State::Ok, "none".to_owned()),
        0 => (State::Ok, format!("none of {} used", size(total))),
        used => (State::Warn, format!("{} of {} used", size(used), size(total))),
    });
    check("swap", "reading swapped memory from disk adds latency", seen).fixed_by("swapoff -a")
}

fn memory(root: &Path) -> Check {
    let seen = memory_kib(root, "MemAvailable")
        .map(|kib| (grade(kib < 256 << 10, kib < 1 << 20), format!("{} available", size(kib))));
    check("memory", "without free memory the kernel kills or swaps out processes", seen)
}

fn load(root: &Path) -> Check {
    let text = read(root, "proc/loadavg").unwrap_or_default();
    let load = text.split_whitespace().next().and_then(|load| load.parse::<f64>().ok());
    let cpus = online(root).and_then(|cpus| u32::try_from(cpus.len()).ok());
    let seen = load.filter(|load| load.is_finite()).zip(cpus).map(|(load, cpus)| {
        let each = load / f64::from(cpus);
        (grade(each > 1.0, each > 0.5), format!("{load:.2}, {each:.2} per CPU"))
    });
    check("load average", "other processes take CPU time from the benchmark", seen)
}

fn steal(root: &Path) -> Check {
    let text = read(root, "proc/stat");
    let seen = text.as_deref().and_then(stolen_ticks).map(|(stolen, all)| {
        let percent = stolen.saturating_mul(100);
        let found = hundredths(stolen.saturating_mul(10_000) / all);
        let state = grade(percent > all.saturating_mul(5), percent > all);
        (state, format!("{found} % since boot"))
    });
    check("steal time", "the hypervisor gave CPU time to other machines", seen)
}

fn virtualisation(root: &Path) -> Check {
    let cpu_info = read(root, "proc/cpuinfo").unwrap_or_default();
    let flags = field(&cpu_info, "flags");
    let is_flag = |flags: &str| flags.split_whitespace().any(|flag| flag == "hypervisor");
    let hypervisor = read(root, "sys/hypervisor/type");
    let product = read(root, "sys/class/dmi/id/product_name");
    let vendor = read(root, "sys/class/dmi/id/sys_vendor");
    // ARM machines of Amazon have no flag; their product name is their size.
    let is_amazon = vendor.as_deref() == Some("Amazon EC2");
    let is_product = |product: &str| {
        (is_amazon && !product.contains(".metal"))
            || VIRTUAL_PRODUCTS.iter().any(|name| product.contains(name))
    };
    let is_known = hypervisor.is_some() || product.as_deref().is_some_and(is_product);
    let is_virtual = is_known || flags.is_some_and(is_flag);
    let seen = if is_virtual {
        let name = hypervisor.or(product).map(|name| format!(" ({name})")).unwrap_or_default();
        Some((State::Warn, format!("virtual machine{name}")))
    } else {
        (flags.is_some() || product.is_some()).then(|| (State::Ok, "none found".to_owned()))
    };
    check("virtualisation", "another virtual machine can take CPU time", seen)
}

fn clock_source(root: &Path) -> Check {
    let folder = "sys/devices/system/clocksource/clocksource0";
    let seen = read(root, &format!("{folder}/current_clocksource")).map(|name| {
        let state = match name.as_str() {
            "tsc" | "kvm-clock" | "arch_sys_counter" => State::Ok,
            "hpet" | "acpi_pm" | "jiffies" => State::Bad,
            _ => State::Warn,
        };
        (state, name)
    });
    let clock = check("clock source", "each reading of a slow clock adds to the latency", seen);
    let available = read(root, &format!("{folder}/available_clocksource")).unwrap_or_default();
    if available.split_whitespace().any(|name| name == "tsc") {
        return clock.fixed_by(format!("echo tsc > /{folder}/current_clocksource"));
    }
    clock
}

fn kernel(root: &Path) -> Check {
    let seen = read(root, "proc/sys/kernel/osrelease").map(|release| (State::Ok, release));
    check("kernel", SAME_ON_BOTH_SIDES, seen)
}

fn mitigations(root: &Path) -> Check {
    let files = fs::read_dir(root.join(CPU).join("vulnerabilities")).into_iter().flatten();
    let texts: Vec<String> =
        files.flatten().filter_map(|file| fs::read_to_string(file.path()).ok()).collect();
    let count = |start: &str| texts.iter().filter(|text| text.starts_with(start)).count();
    let found = || format!("{} mitigated, {} vulnerable", count("Mitigation"), count("Vulnerable"));
    let seen = (!texts.is_empty()).then(|| (State::Ok, found()));
    check("mitigations", "they cost time; both sides of a comparison need the same", seen)
}

fn open_files(input: &CheckInput) -> Check {
    // A socket at each end, and 1024 for other files.
    let wanted = u64::from(input.connections).saturating_mul(2).saturating_add(1024);
    let state = grade(input.open_files < wanted, false);
    let seen = (state, format!("{} allowed, {wanted} needed", input.open_files));
    check("open files", "each connection is an open file", Some(seen))
        .fixed_by(format!("ulimit -n {wanted}"))
}

fn ports(root: &Path, input: &CheckInput) -> Check {
    let text = read(root, "proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let ends: Vec<u64> = text.split_whitespace().filter_map(|end| end.parse().ok()).collect();
    let steps = ends.get(1).and_then(|last| last.checked_sub(*ends.first()?));
    let seen = steps.map(|steps| {
        let count = steps.saturating_add(1);
        (grade(count < u64::from(input.connections), count < 10_000), count.to_string())
    });
    // The fix leaves the lower ports to servers.
    check("ports", "each connection needs a port, which stays reserved after it closes", seen)
        .fixed_by("sysctl -w net.ipv4.ip_local_port_range='10240 65535'")
}

fn listen_queue(root: &Path, input: &CheckInput) -> Check {
    let seen = number(root, "proc/sys/net/core/somaxconn").map(|most| {
        let is_short = most < u64::from(input.connections);
        (grade(false, is_short), format!("up to {most} waiting connections"))
    });
    check("listen queue", "further connections are retried only after a second", seen)
        .fixed_by(format!("sysctl -w net.core.somaxconn={}", input.connections.max(4096)))
}

fn temperature(root: &Path) -> Check {
    let zones = numbered(root, "sys/class/thermal", "thermal_zone");
    let texts = zones.iter().filter_map(|zone| read(root, &format!("{zone}/temp")));
    let hottest = texts.filter_map(|text| text.parse::<i64>().ok()).max();
    let seen = hottest.map(|heat| (grade(false, heat >= 85_000), format!("{} °C", heat / 1000)));
    check("temperature", "a hot processor lowers its frequency", seen)
}

fn docker(input: &CheckInput) -> Check {
    let seen = match &input.docker {
        Some(version) => (State::Ok, version.clone()),
        None => (State::Warn, "no engine answers".to_owned()),
    };
    check("docker", "stacks in containers need an engine", Some(seen))
        .fixed_by("systemctl start docker")
}

/// The trimmed content of a file; `None` when it is empty or cannot be read.
fn read(root: &Path, path: &str) -> Option<String> {
    let text = fs::read_to_string(root.join(path)).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn number(root: &Path, path: &str) -> Option<u64> {
    read(root, path)?.parse().ok()
}

/// The entries of a folder named `prefix` plus a number, as paths below the root.
fn numbered(root: &Path, folder: &str, prefix: &str) -> Vec<String> {
    let entries = fs::read_dir(root.join(folder)).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let is_number = |rest: &str| rest.parse::<u32>().is_ok();
    names
        .filter(|name| name.strip_prefix(prefix).is_some_and(is_number))
        .map(|name| format!("{folder}/{name}"))
        .collect()
}

/// The different values of a file that every CPU has.
fn each_cpu(root: &Path, file: &str) -> BTreeSet<String> {
    let cpus = numbered(root, CPU, "cpu");
    cpus.iter().filter_map(|cpu| read(root, &format!("{cpu}/{file}"))).collect()
}

fn online(root: &Path) -> Option<CpuSet> {
    cpu_list(read(root, "sys/devices/system/cpu/online").as_deref())
}

fn cpu_list(text: Option<&str>) -> Option<CpuSet> {
    text?.parse::<CpuSet>().ok().filter(|cpus| !cpus.is_empty())
}

/// The smallest CPU quota of this process's cgroup and its ancestors, in hundredths of a CPU, and the
/// command that removes it.
fn smallest_quota(root: &Path) -> Option<(u64, String)> {
    let own = read(root, "proc/self/cgroup").unwrap_or_default();
    let version_2 = cgroup_folders(&own, "", "sys/fs/cgroup").into_iter().filter_map(|folder| {
        let text = read(root, &format!("{folder}/cpu.max"))?;
        let (quota, period) = text.split_once(' ')?;
        Some((cpu_share(quota, period)?, format!("echo max > /{folder}/cpu.max")))
    });
    let folders = cgroup_folders(&own, "cpu", "sys/fs/cgroup/cpu");
    let version_1 = folders.into_iter().filter_map(|folder| {
        let quota = read(root, &format!("{folder}/cpu.cfs_quota_us"))?;
        let period = read(root, &format!("{folder}/cpu.cfs_period_us"))?;
        Some((cpu_share(&quota, &period)?, format!("echo -1 > /{folder}/cpu.cfs_quota_us")))
    });
    version_2.chain(version_1).min()
}

/// The folders of this process's cgroup and its ancestors; version 2 has no controller name.
fn cgroup_folders(own: &str, controller: &str, mount: &str) -> Vec<String> {
    let mut lines = own.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
    let line = lines.find(|(names, _)| names.split(',').any(|name| name == controller));
    // A cgroup outside of the container's view begins with `/..`; only the mount can be read then.
    let path = line.map(|(_, path)| path).filter(|path| !path.contains("..")).unwrap_or("/");
    let above = Path::new(path).ancestors().map(|path| format!("{mount}{}", path.display()));
    above.map(|path| path.trim_end_matches('/').to_owned()).collect()
}

/// Hundredths of a CPU; none where the quota is no number: `max` and `-1` are no limit.
fn cpu_share(quota: &str, period: &str) -> Option<u64> {
    quota.parse::<u64>().ok()?.saturating_mul(100).checked_div(period.parse().ok()?)
}

fn memory_kib(root: &Path, name: &str) -> Option<u64> {
    let text = read(root, "proc/meminfo")?;
    field(&text, name)?.strip_suffix("kB")?.trim().parse().ok()
}

/// Clock ticks that were stolen since boot, and all ticks (never 0).
fn stolen_ticks(stat: &str) -> Option<(u64, u64)> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    // The eighth is steal; guests' time, which follows, is part of the first two.
    let ticks = line.split_whitespace().take(8).map(str::parse::<u64>);
    let ticks = ticks.collect::<Result<Vec<_>, _>>().ok()?;
    let all = ticks.iter().fold(0_u64, |sum, tick| sum.saturating_add(*tick));
    let stolen = *ticks.get(7)?;
    (all > 0).then_some((stolen, all))
}

fn grade(is_bad: bool, is_doubtful: bool) -> State {
    match (is_bad, is_doubtful) {
        (true, _) => State::Bad,
        (false, true) => State::Warn,
        (false, false) => State::Ok,
    }
}

fn off_is_better(is_on: bool) -> Seen {
    (grade(false, is_on), if is_on { "on" } else { "off" }.to_owned())
}

fn counted(count: usize, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

fn hundredths(value: u64) -> String {
    format!("{}.{:02}", value / 100, value % 100)
}

fn size(kib: u64) -> String {
    match kib.saturating_mul(10) >> 20 {
        0..10 => format!("{} MiB", kib.div_ceil(1024)),
        tenths => format!("{}.{} GiB", tenths / 10, tenths % 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each file of a host: its content on a quiet host, and on one where every check fails.
    const FILES: &str = "
        proc/cpuinfo | model name : Xeon ; flags : fpu | model name : Xeon ; flags : fpu hypervisor
        proc/loadavg | 0.20 0.10 0.10 1/99 7 | 3.00 2.00 1.00 9/99 7
        proc/meminfo | MemAvailable: 8388608 kB ; SwapTotal: 0 kB ; SwapFree: 0 kB | MemAvailable: 131072 kB ; SwapTotal: 2097152 kB ; SwapFree: 1048576 kB
        proc/self/cgroup | 0::/a/b | 0::/a/b
        proc/self/status | Cpus_allowed_list:\t0-1 | Cpus_allowed_list:\t0-1
        proc/stat | cpu  500 0 100 9400 0 0 0 0 0 0 | cpu  500 0 100 8400 0 0 0 1000 0 0
        proc/sys/kernel/osrelease | 6.18.5 | 6.18.5
        proc/sys/kernel/randomize_va_space | 2 | 0
        proc/sys/net/core/somaxconn | 4096 | 128
        proc/sys/net/ipv4/ip_local_port_range | 32768 60999 | 60000 60099
        sys/class/dmi/id/product_name | PowerEdge | KVM
        sys/class/thermal/thermal_zone0/temp | 41000 | 91500
        sys/devices/system/clocksource/clocksource0/available_clocksource | tsc hpet | tsc hpet
        sys/devices/system/clocksource/clocksource0/current_clocksource | tsc | hpet
        sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq | 3500000 | 3500000
        sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_min_freq | 800000 | 800000
        sys/devices/system/cpu/cpu0/cpuidle/state1/latency | 2 | 133
        sys/devices/system/cpu/cpu0/cpuidle/state2/disable | 1 | 1
        sys/devices/system/cpu/cpu0/cpuidle/state2/latency | 500 | 500
        sys/devices/system/cpu/cpu0/topology/thread_siblings_list | 0 | 0
        sys/devices/system/cpu/cpu1/cpufreq/cpuinfo_max_freq | 3500000 | 2500000
        sys/devices/system/cpu/cpu1/cpufreq/scaling_governor | performance | powersave
        sys/devices/system/cpu/intel_pstate/no_turbo | 1 | 0
        sys/devices/system/cpu/online | 0-1 | 0-1
        sys/devices/system/cpu/smt/active | 0 | 1
        sys/devices/system/cpu/vulnerabilities/l1tf | Mitigation: PTE | Vulnerable
        sys/fs/cgroup/a/cpu.max | max 100000 | 150000 100000
        sys/fs/cgroup/cgroup.controllers | cpu | cpu
        sys/kernel/mm/transparent_hugepage/enabled | always [madvise] never | [always] never";

    /// The checks of a host whose files have the content that `pick` makes of the columns of [`FILES`].
    fn examined(open_files: u64, pick: impl Fn(&[&str]) -> String) -> Vec<Check> {
        let root = tempfile::tempdir().unwrap();
        for line in FILES.lines().filter(|line| !line.is_empty()) {
            let columns: Vec<&str> = line.trim().split(" | ").collect();
            let path = root.path().join(columns[0]);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, pick(&columns).replace(" ; ", "\n")).unwrap();
        }
        let docker = (open_files > 0).then(|| "29.1".to_owned());
        let versions = vec![("redis".to_owned(), "8.2".to_owned())];
        examine(root.path(), &CheckInput { open_files, connections: 256, docker, versions })
    }

    fn named(checks: &[Check], state: State) -> String {
        let checks = checks.iter().filter(|check| check.state == state);
        checks.map(|check| check.name.as_str()).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn a_quiet_host_is_ok_and_each_problem_is_reported() {
        let quiet = examined(65_536, |columns| columns[1].to_owned());
        assert!(quiet.iter().all(|check| check.state == State::Ok), "{quiet:#?}");
        assert_eq!(quiet[1].found, "2 CPUs, 2 cores, 1 thread per core, 1 NUMA node");
        assert_eq!(quiet[3].found, "no limit, on CPUs 0-1");
        let troubled = examined(0, |columns| columns[2].to_owned());
        let bad = "cpu limit, memory, load average, steal time, clock source, open files, ports";
        assert_eq!(named(&troubled, State::Bad), bad);
        let warned = "smt, governor, turbo, frequency, idle states, huge pages, aslr, swap, \
             virtualisation, listen queue, temperature, docker";
        assert_eq!(named(&troubled, State::Warn), warned);
        assert_eq!(named(&troubled, State::Ok), "cpu model, cpus, kernel, mitigations, redis");
        assert_eq!(troubled[3].found, "a quota of 1.50 CPUs, on CPUs 0-1");
        assert_eq!(troubled[3].fix.as_deref(), Some("echo max > /sys/fs/cgroup/a/cpu.max"));
        assert_eq!(troubled[13].found, "10.00 % since boot");
        assert!(troubled[15].fix.as_deref().unwrap().starts_with("echo tsc > /sys/"));
    }

    #[test]
    fn missing_or_invalid_files_never_panic() {
        let root = tempfile::tempdir().unwrap();
        let input = CheckInput { open_files: 0, connections: 0, docker: None, versions: vec![] };
        let empty = examine(root.path(), &input);
        let known = empty.iter().filter(|check| check.state != State::Unknown);
        assert_eq!(known.map(|check| &check.name).collect::<Vec<_>>(), ["open files", "docker"]);
        let huge = format!("cpu {}", " 18446744073709551615".repeat(8));
        let memory = format!("SwapTotal: {0} kB ; SwapFree: 0 kB ; MemAvailable: {0} kB", u64::MAX);
        for text in ["", "-1", "nonsense", "[", "18446744073709551615 0", "nan", &huge, &memory] {
            assert_eq!(examined(1, |_| text.to_owned()).len(), empty.len() + 1, "{text}");
        }
        let lines = "4:cpu,cpuacct:/d/x\n0::/../y";
        assert_eq!(cgroup_folders(lines, "cpu", "m"), ["m/d/x", "m/d", "m"]);
        assert_eq!(cgroup_folders(lines, "", "m"), ["m"]);
    }
}
