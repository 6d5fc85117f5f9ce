//! `perf-api capacity`: the highest rate that each stack sustains.

use std::process::ExitCode;

use crate::app::{AppError, CapacityRequest, capacity};
use crate::cli::args::RunArgs;
use crate::cli::conclusion::{Ending, conclude};
use crate::model::Slo;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Limits to keep, such as `p99<50ms,errors<0.1%`; may be repeated
    #[arg(long, required = true, value_name = "LIMITS")]
    pub slo: Vec<Slo>,
    #[command(flatten)]
    pub run: RunArgs,
}

pub(in crate::cli) async fn execute(args: &Args) -> Result<ExitCode, AppError> {
    let run = &args.run;
    let request = CapacityRequest { slos: args.slo.clone(), settings: run.settings()? };
    let measured = capacity(&request, &mut run.session.terminal()).await;
    let measured = measured.map_err(|error| run.places.with_resume_hint(error, run.strict))?;
    conclude(&measured, Ending::of(run))
}
