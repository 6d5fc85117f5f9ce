//! The placement of loader, app and store: disjoint CPUs, whole cores first, one NUMA node if possible.

use std::collections::BTreeMap;

use super::topology::{Cpu, Topology};
use crate::model::Placement;
use crate::units::{CpuSet, Rps};

/// The number of CPUs that each part of a trial needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// For the loader: one for every 10,000 requests per second.
    pub loader: usize,
    /// For the app: one for each worker.
    pub app: usize,
    /// For the store: two, as in the reference experiment.
    pub store: usize,
}

impl Demand {
    /// The demand of a stack with `workers` at a highest rate of `target_rps`.
    ///
    /// One pinned core drives about 15,000 requests per second before the loader lags, so one core
    /// is planned for every 10,000.
    #[must_use]
    pub fn of(workers: u32, target_rps: Rps) -> Self {
        let count = |value: u32| usize::try_from(value).unwrap_or(usize::MAX);
        let loaders = target_rps.milli().div_ceil(10_000_000);
        let loader = usize::try_from(loaders).unwrap_or(usize::MAX);
        Self { loader, app: count(workers), store: 2 }
    }
}

/// Divides the CPUs of a host.
///
/// Each part gets whole cores, so that no two parts share one through SMT. Sibling threads stay idle if
/// there are enough cores. All cores are on one NUMA node and of the fastest kind if possible, and the core
/// of CPU 0, which handles much kernel work, is avoided. On a host that is too small the loader comes
/// first, since a slowed loader makes every number wrong; app and store share the rest, and the result is
/// marked `shared`.
#[must_use]
pub fn place(topology: &Topology, demand: Demand) -> Placement {
    let ids = |cpus: &[Cpu]| cpus.iter().map(|cpu| cpu.id).collect::<CpuSet>();
    let wanted = [demand.loader, demand.app, demand.store];
    let pools = pools(topology);
    if let Some([loader, app, store]) = pools.iter().find_map(|pool| from_pool(pool, wanted)) {
        return Placement {
            loader: ids(&loader),
            app: ids(&app),
            store: ids(&store),
            shared: false,
        };
    }
    let cpus: Vec<Cpu> = pools.last().map(|everything| everything.concat()).unwrap_or_default();
    let rest_of_loader = cpus.len().saturating_sub(demand.app + demand.store);
    let loader_count = rest_of_loader.clamp(1, demand.loader).min(cpus.len());
    let (loader, rest) = cpus.split_at(loader_count);
    // A single CPU is shared by all three.
    let rest = if rest.is_empty() { loader } else { rest };
    let (app, store) = rest.split_at(demand.app.min(rest.len()));
    // The store gets the CPUs after the app's, or shares the app's.
    let store = if store.is_empty() { app } else { &store[..demand.store.min(store.len())] };
    Placement { loader: ids(loader), app: ids(app), store: ids(store), shared: true }
}

/// A core, as its CPUs.
type Core = Vec<Cpu>;

/// The sets of cores to take CPUs from, in order of preference: the fastest cores of one node, the fastest
/// of all nodes, one node, all cores.
fn pools(topology: &Topology) -> Vec<Vec<Core>> {
    let mut nodes: BTreeMap<usize, BTreeMap<usize, Core>> = BTreeMap::new();
    for &cpu in &topology.cpus {
        nodes.entry(cpu.node).or_default().entry(cpu.core).or_default().push(cpu);
    }
    let mut nodes: Vec<Vec<Core>> =
        nodes.into_values().map(|cores| cores.into_values().collect()).collect();
    nodes.sort_by_key(|cores| std::cmp::Reverse(cores.len()));
    let fastest = topology.cpus.iter().map(|cpu| cpu.speed).max().unwrap_or(0);
    let is_fast =
        |core: &&Core| core.iter().all(|cpu| cpu.speed >= fastest - fastest / SPEED_TOLERANCE);
    let mut everything = nodes.concat();
    // Fast cores are taken first.
    everything.sort_by_key(|core| !is_fast(&core));
    let fast = |cores: &Vec<Core>| cores.iter().filter(is_fast).cloned().collect::<Vec<_>>();
    let mut wanted: Vec<Vec<Core>> = nodes.iter().map(fast).collect();
    wanted.push(fast(&everything));
    wanted.extend(nodes);
    wanted.push(everything);
    wanted
}

/// Takes CPUs for each part from a set of cores. It prefers one CPU per core to siblings, and then avoids
/// the core of CPU 0.
fn from_pool(pool: &[Core], wanted: [usize; 3]) -> Option<[Vec<Cpu>; 3]> {
    let is_first = |core: &Core| core.iter().any(|cpu| cpu.id == 0);
    let without_first: Vec<Core> = pool.iter().filter(|core| !is_first(core)).cloned().collect();
    [true, false].into_iter().find_map(|one_cpu_per_core| {
        let take = |cores: &[Core]| whole_cores(cores, wanted, one_cpu_per_core);
        take(&without_first).or_else(|| take(pool))
    })
}

/// Cores whose speeds differ by less than one part in this number are of one kind, since some cores boost
/// a little higher than others of their kind.
const SPEED_TOLERANCE: u32 = 8;

/// Takes whole cores for each part: one CPU of each core, or all its siblings.
fn whole_cores(
    cores: &[Core],
    wanted: [usize; 3],
    one_cpu_per_core: bool,
) -> Option<[Vec<Cpu>; 3]> {
    let mut cores = cores.iter();
    let mut parts: [Vec<Cpu>; 3] = [vec![], vec![], vec![]];
    for (part, count) in parts.iter_mut().zip(wanted) {
        while part.len() < count {
            let siblings = cores.next()?;
            let take = if one_cpu_per_core { 1 } else { count - part.len() };
            part.extend(siblings.iter().take(take));
        }
    }
    Some(parts)
}

/// Cores per line of a picture.
const CORES_PER_LINE: usize = 16;

/// A placement as a text picture: a row of cores for each node, with the CPUs of a core in one column.
#[must_use]
pub fn picture(topology: &Topology, placement: &Placement) -> String {
    let letter = |cpu: &Cpu| {
        let parts = [(&placement.loader, 'L'), (&placement.app, 'A'), (&placement.store, 'S')];
        let own: String = parts
            .iter()
            .filter(|(cpus, _)| cpus.iter().any(|id| id == cpu.id))
            .map(|(_, letter)| letter)
            .collect();
        format!("{}{}", cpu.id, if own.is_empty() { "·".to_owned() } else { own })
    };
    let mut nodes: BTreeMap<usize, BTreeMap<usize, Vec<String>>> = BTreeMap::new();
    for cpu in &topology.cpus {
        nodes.entry(cpu.node).or_default().entry(cpu.core).or_default().push(letter(cpu));
    }
    let mut text = String::new();
    for (node, cores) in nodes {
        let cores: Vec<Vec<String>> = cores.into_values().collect();
        for line in cores.chunks(CORES_PER_LINE) {
            let threads = line.iter().map(Vec::len).max().unwrap_or(0);
            for thread in 0..threads {
                let cells = line.iter().map(|core| core.get(thread).map_or("", String::as_str));
                let cells: String = cells.map(|cell| format!(" {cell:>6}")).collect();
                text.push_str(format!("node {node}{cells}").trim_end());
                text.push('\n');
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A host with `nodes` × `cores` × `threads` CPUs, numbered as Linux does: first every
    /// core's first thread, then every core's second.
    fn host(nodes: usize, cores: usize, threads: usize) -> Topology {
        let all = nodes * cores;
        let cpu = |id| Cpu { id, core: id % all, node: id % all / cores, speed: 0 };
        Topology { cpus: (0..all * threads).map(cpu).collect() }
    }

    fn placed(topology: &Topology, workers: u32, qps: u32) -> String {
        let place = place(topology, Demand::of(workers, Rps::whole(qps)));
        let shared = if place.shared { " shared" } else { "" };
        format!("loader {} app {} store {}{shared}", place.loader, place.app, place.store)
    }

    #[test]
    fn parts_get_disjoint_cores_where_there_is_room() {
        // The core of CPU 0 is left to the kernel where that can be.
        assert_eq!(placed(&host(1, 8, 1), 4, 10_000), "loader 1 app 2-5 store 6-7");
        assert_eq!(placed(&host(1, 7, 1), 4, 10_000), "loader 0 app 1-4 store 5-6");
        // Not enough cores for a CPU each: siblings are used, but never across parts.
        assert_eq!(placed(&host(1, 4, 2), 4, 10_000), "loader 0 app 1-2,5-6 store 3,7");
        assert_eq!(placed(&host(2, 32, 1), 4, 10_000), "loader 1 app 2-5 store 6-7");
        // One node with siblings comes before two nodes.
        assert_eq!(placed(&host(2, 4, 2), 4, 10_000), "loader 0 app 1-2,9-10 store 3,11");
    }

    /// What `lscpu --parse=CPU,CORE,NODE,MAXMHZ` printed, or would print, on five hosts.
    #[test]
    fn recorded_hosts_are_divided_as_drawn() {
        let hosts = ["vm-2", "desktop-8", "desktop-16-smt", "server-64-two-sockets", "hybrid-20"];
        let drawn = hosts.map(|name| {
            let path = format!("{}/tests/fixtures/topology/{name}.txt", env!("CARGO_MANIFEST_DIR"));
            let topology = Topology::parse(&std::fs::read_to_string(path).unwrap()).unwrap();
            let stacks = [(1, 1000), (4, 20_000)].map(|(workers, qps)| {
                let placement = place(&topology, Demand::of(workers, Rps::whole(qps)));
                let sets = placed(&topology, workers, qps);
                format!("{workers} workers, {qps} QPS: {sets}\n{}", picture(&topology, &placement))
            });
            format!("{name}\n{}", stacks.join(""))
        });
        insta::assert_snapshot!(drawn.join("\n"));
    }

    #[test]
    fn a_small_host_serves_the_loader_first_and_says_so() {
        assert_eq!(placed(&host(1, 1, 1), 1, 1000), "loader 0 app 0 store 0 shared");
        assert_eq!(placed(&host(1, 2, 1), 1, 1000), "loader 0 app 1 store 1 shared");
        assert_eq!(placed(&host(1, 3, 1), 1, 1000), "loader 0 app 1 store 2 shared");
        assert_eq!(placed(&host(1, 4, 1), 4, 20_000), "loader 0 app 1-3 store 1-3 shared");
    }

    proptest! {
        #[test]
        fn an_unshared_placement_is_disjoint_in_cores_and_complete(
            nodes in 1_usize..3, cores in 1_usize..16, threads in 1_usize..3,
            workers in 1_u32..16, qps in 1_u32..50_000,
        ) {
            let topology = host(nodes, cores, threads);
            let demand = Demand::of(workers, Rps::whole(qps));
            let placement = place(&topology, demand);
            let core_sets = [&placement.loader, &placement.app, &placement.store]
                .map(|set| set.iter().map(|cpu| cpu % (nodes * cores)).collect::<CpuSet>());
            prop_assert!(core_sets.iter().all(|set| !set.is_empty()));
            if !placement.shared {
                let sizes = [placement.loader.len(), placement.app.len(), placement.store.len()];
                prop_assert_eq!(sizes, [demand.loader, demand.app, demand.store]);
                prop_assert!(core_sets[0].is_disjoint(&core_sets[1]));
                prop_assert!(core_sets[0].is_disjoint(&core_sets[2]));
                prop_assert!(core_sets[1].is_disjoint(&core_sets[2]));
            }
        }
    }
}
