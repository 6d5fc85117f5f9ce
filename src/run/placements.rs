//! The CPUs of each stack of a run, computed once.

use crate::host::{Demand, Topology, place};
use crate::model::{Placement, Plan, Stack};
use crate::plan::stacks;
use crate::units::{CpuSet, Rps};

/// The CPUs that each stack of a plan gets on a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placements(Vec<(Stack, Placement)>);

impl Placements {
    /// Places each stack of `plan` on the CPUs of a host.
    #[must_use]
    pub fn of(topology: &Topology, plan: &Plan) -> Self {
        let placed = |stack: Stack| {
            let placement = place(topology, demand(plan, &stack));
            (stack, placement)
        };
        Self(stacks(&plan.experiment).into_iter().map(placed).collect())
    }

    /// The CPUs of a stack; `None` for a stack that the plan does not have.
    #[must_use]
    pub fn get(&self, stack: &Stack) -> Option<&Placement> {
        let mut all = self.0.iter();
        all.find_map(|(own, placement)| (own == stack).then_some(placement))
    }

    /// Each stack with its CPUs, in the order of the plan's factors.
    pub fn iter(&self) -> impl Iterator<Item = (&Stack, &Placement)> {
        self.0.iter().map(|(stack, placement)| (stack, placement))
    }

    /// The CPUs that any part of any stack uses.
    #[must_use]
    pub fn cpus(&self) -> CpuSet {
        let used = self.0.iter().map(|(_, placement)| placement.all());
        used.flat_map(|cpus| cpus.iter().collect::<Vec<_>>()).collect()
    }
}

/// The CPUs that each part of a stack wants, for the loads of `plan`.
#[must_use]
pub fn demand(plan: &Plan, stack: &Stack) -> Demand {
    let rates = plan.experiment.qps.iter().copied();
    Demand::of(stack.workers, rates.max().unwrap_or(Rps::MIN))
}
