//! What a run would do: its trials, their time, and the CPUs of each stack.

use std::path::{Path, PathBuf};

use super::AppError;
use super::environment::Backend;
use super::event::Observer;
use super::experiment::{experiment, missing, missing_text, without};
use super::measure::SMOKE_RUN;
use crate::host::Topology;
use crate::model::{Order, Plan};
use crate::plan::Overrides;
use crate::run::Placements;

/// The spec of a use case that measures two sides.
const TWO_SIDED: &str = "ab";

/// What to plan, and for which host.
#[derive(Clone, Debug)]
pub struct PlanRequest {
    /// The name of a spec that is built in, or the path of a file.
    pub spec: String,
    /// Values that take the place of the spec's.
    pub overrides: Overrides,
    /// The file of the bundle that pins the components.
    pub bundle: PathBuf,
    /// The file with the topology of another host; `None` for this host.
    pub topology: Option<PathBuf>,
}

/// What a run would do.
#[derive(Clone, Debug)]
pub struct PlannedRun {
    /// The trials in their order.
    pub plan: Plan,
    /// How many versions are measured, each with every trial.
    pub sides: u32,
    /// The CPUs of the host.
    pub topology: Topology,
    /// The CPUs of each stack.
    pub placements: Placements,
}

/// Plans a run without measuring anything.
///
/// # Errors
/// When the spec, the bundle or the topology is wrong.
pub fn plan(request: &PlanRequest, observer: &mut dyn Observer) -> Result<PlannedRun, AppError> {
    let bundle = crate::bundle::read(&request.bundle)?;
    let mut experiment = experiment(&request.spec, &request.overrides, &bundle, observer)?;
    let backend = Backend::Processes;
    let mut missing = missing(&experiment, &bundle, &backend);
    // A component with an image can be had in a container.
    missing.retain(|name| bundle.component(name).is_none_or(|one| one.container.is_none()));
    if request.spec == SMOKE_RUN {
        experiment = without(experiment, &missing, &bundle, &backend, true, observer)?;
    } else if !missing.is_empty() {
        observer.note(&missing_text(&missing, &bundle, &backend));
        observer.note(
            "the plan includes the missing components; `--allow-missing` measures without them",
        );
    }
    let plan = crate::plan::plan(&experiment, Order::RandomisedBlocks);
    let topology = match &request.topology {
        None => Topology::detect()?,
        Some(file) => recorded(file)?,
    };
    let placements = Placements::of(&topology, &plan);
    let sides = if request.spec == TWO_SIDED { 2 } else { 1 };
    Ok(PlannedRun { plan, sides, topology, placements })
}

fn recorded(file: &Path) -> Result<Topology, AppError> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| AppError::new(format!("cannot read {}: {error}", file.display())))?;
    Topology::parse(&text).map_err(|reason| {
        AppError::new(format!("{} is not a topology: {reason}", file.display()))
            .hint("`lscpu --parse=CPU,CORE,NODE,MAXMHZ > FILE` writes one on that host")
    })
}
