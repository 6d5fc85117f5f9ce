//! `perf-api plan`: what a run would do.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;

use crate::app::{self, AppError, PlanRequest, PlannedRun};
use crate::cli::args::{FactorArgs, Format};
use crate::cli::output::{print, table};
use crate::cli::progress::Terminal;
use crate::host::picture;
use crate::model::{Order, Placement, Stack, Trial, joined};
use crate::plan::{Overrides, TrialTotal, estimate};
use crate::units::HumanDuration;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Spec: `quick`, `full`, or the path of a TOML file
    pub spec: String,
    #[command(flatten)]
    pub factors: FactorArgs,
    /// Bundle that pins the components
    #[arg(long, value_name = "FILE", env = "PERF_API_BUNDLE", default_value = "bundle.json")]
    pub bundle: PathBuf,
    /// Topology of another host: output of `lscpu --parse=CPU,CORE,NODE,MAXMHZ`
    #[arg(long, value_name = "FILE")]
    pub topology: Option<PathBuf>,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

pub(in crate::cli) fn execute(args: &Args) -> Result<ExitCode, AppError> {
    let request = PlanRequest {
        spec: args.spec.clone(),
        overrides: Overrides::from(&args.factors),
        bundle: args.bundle.clone(),
        topology: args.topology.clone(),
    };
    let planned = app::plan(&request, &mut Terminal::new(true))?;
    print(&match args.format {
        Format::Table => for_people(&planned),
        Format::Json => for_programs(&planned)?,
    })?;
    Ok(ExitCode::SUCCESS)
}

fn for_people(planned: &PlannedRun) -> String {
    let PlannedRun { plan, sides, topology, placements } = planned;
    let sides = *sides;
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
    let rows: Vec<Vec<String>> = placements
        .iter()
        .map(|(stack, placement)| {
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
    let largest = placements.iter().max_by_key(|(stack, _)| stack.workers);
    let drawn = largest.map_or(String::new(), |(stack, placement)| {
        let drawn = picture(topology, placement);
        format!("{stack} (L loader, A app, S store; a core's CPUs stand below each other)\n{drawn}")
    });
    let on_sides = match sides {
        1 => String::new(),
        _ => format!(" ({} on each of {sides} sides)", plan.trials.len()),
    };
    format!(
        "{}\n{}\n{drawn}\n{} trials{on_sides}, about {}\n",
        table(&["factor", "values"], &factors, usize::MAX),
        table(&["stack", "loader CPUs", "app CPUs", "store CPUs", ""], &rows, usize::MAX),
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
    placements: Vec<StackPlacement<'a>>,
    trials: &'a [Trial],
}

#[derive(Serialize)]
struct StackPlacement<'a> {
    #[serde(flatten)]
    stack: &'a Stack,
    placement: &'a Placement,
}

fn for_programs(planned: &PlannedRun) -> Result<String, AppError> {
    let PlannedRun { plan, sides, placements, .. } = planned;
    let document = PlanDocument {
        experiment: &plan.experiment,
        order: plan.order,
        sides: *sides,
        estimated_s: (estimate(plan) * *sides).as_secs_f64(),
        placements: placements
            .iter()
            .map(|(stack, placement)| StackPlacement { stack, placement })
            .collect(),
        trials: &plan.trials,
    };
    let text = serde_json::to_string_pretty(&document);
    text.map(|text| text + "\n").map_err(|error| AppError::new(error.to_string()))
}
