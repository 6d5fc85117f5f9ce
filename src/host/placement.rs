//! Which CPUs loader, app and store get: disjoint, whole cores first, one NUMA node where it fits.

use std::collections::BTreeMap;

use super::topology::{Cpu, Topology};
use crate::model::Placement;
use crate::units::CpuSet;

/// How many CPUs each part of a stack wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// The loader: one for every 10,000 requests per second.
    pub loader: usize,
    /// The app: one for each worker.
    pub app: usize,
    /// The store: two, as in the reference.
    pub store: usize,
}

impl Demand {
    /// What a stack with `workers` wants when `target_rps` is the highest rate it will see.
    ///
    /// One pinned core drives about 15,000 requests per second before the loader itself lags, so
    /// a core is counted for every 10,000.
    #[must_use]
    pub fn of(workers: u32, target_rps: u32) -> Self {
        let count = |value: u32| usize::try_from(value).unwrap_or(usize::MAX);
        Self { loader: count(target_rps.div_ceil(10_000)).max(1), app: count(workers), store: 2 }
    }
}

/// Divides the CPUs of a host.
///
/// Each part gets whole cores, so that no two parts share one through SMT; spare siblings stay
/// idle while there is room. On a host that is too small the loader is served first, since a
/// disturbed loader makes every number wrong, and app and store share what is left; the result
/// is then marked `shared`.
#[must_use]
pub fn place(topology: &Topology, demand: Demand) -> Placement {
    let ids = |cpus: &[Cpu]| cpus.iter().map(|cpu| cpu.id).collect::<CpuSet>();
    let wanted = [demand.loader, demand.app, demand.store];
    let order = cores_in_order(topology);
    if let Some([loader, app, store]) = whole_cores(&order, wanted) {
        return Placement {
            loader: ids(&loader),
            app: ids(&app),
            store: ids(&store),
            shared: false,
        };
    }
    let cpus: Vec<Cpu> = order.concat();
    let rest_of_loader = cpus.len().saturating_sub(demand.app + demand.store);
    let loader_count = rest_of_loader.clamp(1, demand.loader).min(cpus.len());
    let (loader, rest) = cpus.split_at(loader_count);
    // With a single CPU all three share it.
    let rest = if rest.is_empty() { loader } else { rest };
    let (app, store) = rest.split_at(demand.app.min(rest.len()));
    // The store takes what the app leaves, or else shares the app's.
    let store = if store.is_empty() { app } else { &store[..demand.store.min(store.len())] };
    Placement { loader: ids(loader), app: ids(app), store: ids(store), shared: true }
}

/// The cores, each as its CPUs: node by node, the largest node first.
fn cores_in_order(topology: &Topology) -> Vec<Vec<Cpu>> {
    let mut nodes: BTreeMap<usize, BTreeMap<usize, Vec<Cpu>>> = BTreeMap::new();
    for &cpu in &topology.cpus {
        nodes.entry(cpu.node).or_default().entry(cpu.core).or_default().push(cpu);
    }
    let mut nodes: Vec<_> = nodes.into_values().collect();
    nodes.sort_by_key(|cores| std::cmp::Reverse(cores.len()));
    nodes.into_iter().flat_map(BTreeMap::into_values).collect()
}

/// Takes whole cores for each part: first one CPU a core, then all siblings of a core.
fn whole_cores(cores: &[Vec<Cpu>], wanted: [usize; 3]) -> Option<[Vec<Cpu>; 3]> {
    [true, false].into_iter().find_map(|one_cpu_a_core| {
        let mut cores = cores.iter();
        let mut parts: [Vec<Cpu>; 3] = [vec![], vec![], vec![]];
        for (part, count) in parts.iter_mut().zip(wanted) {
            while part.len() < count {
                let siblings = cores.next()?;
                let take = if one_cpu_a_core { 1 } else { count - part.len() };
                part.extend(siblings.iter().take(take));
            }
        }
        Some(parts)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A host with `nodes` × `cores` × `threads` CPUs, numbered as Linux does: first every
    /// core's first thread, then every core's second.
    fn host(nodes: usize, cores: usize, threads: usize) -> Topology {
        let all = nodes * cores;
        let cpu = |id| Cpu { id, core: id % all, node: id % all / cores };
        Topology { cpus: (0..all * threads).map(cpu).collect() }
    }

    fn picture(topology: &Topology, workers: u32, qps: u32) -> String {
        let place = place(topology, Demand::of(workers, qps));
        let shared = if place.shared { " shared" } else { "" };
        format!("loader {} app {} store {}{shared}", place.loader, place.app, place.store)
    }

    #[test]
    fn parts_get_disjoint_cores_where_there_is_room() {
        assert_eq!(picture(&host(1, 8, 1), 4, 10_000), "loader 0 app 1-4 store 5-6");
        assert_eq!(picture(&host(1, 8, 2), 4, 20_000), "loader 0-1 app 2-5 store 6-7");
        // Not enough cores for a CPU each: siblings are used, but never across parts.
        assert_eq!(picture(&host(1, 4, 2), 4, 10_000), "loader 0 app 1-2,5-6 store 3,7");
        assert_eq!(picture(&host(2, 32, 1), 4, 10_000), "loader 0 app 1-4 store 5-6");
    }

    #[test]
    fn a_small_host_serves_the_loader_first_and_says_so() {
        assert_eq!(picture(&host(1, 1, 1), 1, 1000), "loader 0 app 0 store 0 shared");
        assert_eq!(picture(&host(1, 2, 1), 1, 1000), "loader 0 app 1 store 1 shared");
        assert_eq!(picture(&host(1, 3, 1), 1, 1000), "loader 0 app 1 store 2 shared");
        assert_eq!(picture(&host(1, 4, 1), 4, 20_000), "loader 0 app 1-3 store 1-3 shared");
    }

    proptest! {
        #[test]
        fn an_unshared_placement_is_disjoint_in_cores_and_complete(
            nodes in 1_usize..3, cores in 1_usize..16, threads in 1_usize..3,
            workers in 1_u32..16, qps in 1_u32..50_000,
        ) {
            let topology = host(nodes, cores, threads);
            let demand = Demand::of(workers, qps);
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
