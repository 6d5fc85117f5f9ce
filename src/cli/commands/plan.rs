//! `perf-api plan`: what a run would do.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;

use super::measure::Backend;
use super::run::{SMOKE_RUN, without};
use super::{experiment, missing, missing_words};
use crate::cli::args::{self, Format};
use crate::cli::error::CliError;
use crate::cli::output::{note, print, table};
use crate::host::{Topology, picture};
use crate::model::{Order, Placement, Plan, Stack, Trial, joined};
use crate::plan::{TrialTotal, estimate, stacks};
use crate::run::placement;
use crate::units::HumanDuration;

/// The spec of a command that measures two sides.
const TWO_SIDED: &str = "ab";

pub(in crate::cli) fn plan(args: &args::Plan) -> Result<ExitCode, CliError> {
    let bundle = crate::bundle::read(&args.bundle)?;
    let mut experiment = experiment(&args.spec, &args.factors, &bundle)?;
    let mut missing = missing(&experiment, &bundle, &Backend::Processes);
    // What has an image can be had in a container.
    missing.retain(|name| bundle.component(name).is_none_or(|one| one.container.is_none()));
    if args.spec == SMOKE_RUN {
        experiment = without(experiment, &missing, &bundle, &Backend::Processes, true)?;
    } else if !missing.is_empty() {
        note(&missing_words(&missing, &bundle, &Backend::Processes));
        note("the plan counts what is missing; `--allow-missing` measures the rest");
    }
    let plan = crate::plan::plan(&experiment, Order::RandomisedBlocks);
    let topology = match &args.topology {
        None => Topology::detect()?,
        Some(file) => recorded(file)?,
    };
    let sides = if args.spec == TWO_SIDED { 2 } else { 1 };
    match args.format {
        Format::Table => print(&for_people(&plan, sides, &topology))?,
        Format::Json => print(&for_programs(&plan, sides, &topology)?)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn recorded(file: &Path) -> Result<Topology, CliError> {
    let wrong = |reason: &dyn std::fmt::Display| {
        CliError::new(format!("{} is no topology: {reason}", file.display()))
            .hint("`lscpu --parse=CPU,CORE,NODE,MAXMHZ > FILE` writes one on the host in question")
    };
    let text = std::fs::read_to_string(file)
        .map_err(|error| CliError::new(format!("cannot read {}: {error}", file.display())))?;
    Topology::parse(&text).map_err(|reason| wrong(&reason))
}

fn for_people(plan: &Plan, sides: u32, topology: &Topology) -> String {
    let experiment = &plan.experiment;
    let factors = [
        ("apps", joined(&experiment.apps, ", ")),
        ("stores", joined(&experiment.stores, ", ")),
        ("workers", joined(&experiment.workers, ", ")),
        ("concurrency", joined(&experiment.concurrency, ", ")),
        ("qps", joined(&experiment.qps, ", ")),
        ("repetitions", experiment.repetitions.to_string()),
        ("duration", experiment.duration.to_string()),
        ("warm-up", experiment.warm_up.to_string()),
        ("seed", experiment.seed.to_string()),
    ]
    .map(|(name, values)| vec![name.to_owned(), values]);
    let placements: Vec<Vec<String>> = stacks(experiment)
        .iter()
        .map(|stack| {
            let placement = placement(topology, plan, stack);
            let shared = if placement.shared { "shared: too few CPUs" } else { "" };
            let cpus =
                [&placement.loader, &placement.app, &placement.store].map(ToString::to_string);
            let mut row = vec![stack.to_string()];
            row.extend(cpus);
            row.push(shared.to_owned());
            row
        })
        .collect();
    let minutes = Duration::from_secs((estimate(plan) * sides).as_secs().div_ceil(60) * 60);
    let all = stacks(experiment);
    let largest = all.iter().max_by_key(|stack| stack.workers);
    let drawn = largest.map_or(String::new(), |stack| {
        let drawn = picture(topology, &placement(topology, plan, stack));
        format!("{stack} (L loader, A app, S store; a core's CPUs stand below each other)\n{drawn}")
    });
    let on_sides = match sides {
        1 => String::new(),
        _ => format!(" ({} on each of {sides} sides)", plan.trials.len()),
    };
    format!(
        "{}\n{}\n{drawn}\n{} trials{on_sides}, about {}\n",
        table(&["factor", "values"], &factors, usize::MAX),
        table(&["stack", "loader CPUs", "app CPUs", "store CPUs", ""], &placements, usize::MAX),
        TrialTotal::of(plan, sides).count(),
        HumanDuration(minutes),
    )
}

/// The machine-readable form of a plan.
#[derive(Serialize)]
struct PlanDocument<'a> {
    experiment: &'a crate::model::Experiment,
    order: Order,
    /// How many versions are measured, each with every trial.
    sides: u32,
    estimated_s: f64,
    placements: Vec<StackPlacement>,
    trials: &'a [Trial],
}

#[derive(Serialize)]
struct StackPlacement {
    #[serde(flatten)]
    stack: Stack,
    placement: Placement,
}

fn for_programs(plan: &Plan, sides: u32, topology: &Topology) -> Result<String, CliError> {
    let placements = stacks(&plan.experiment)
        .into_iter()
        .map(|stack| StackPlacement { placement: placement(topology, plan, &stack), stack });
    let document = PlanDocument {
        experiment: &plan.experiment,
        order: plan.order,
        sides,
        estimated_s: (estimate(plan) * sides).as_secs_f64(),
        placements: placements.collect(),
        trials: &plan.trials,
    };
    let text = serde_json::to_string_pretty(&document);
    text.map(|text| text + "\n").map_err(|error| CliError::new(error.to_string()))
}
