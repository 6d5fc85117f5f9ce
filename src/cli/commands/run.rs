//! `perf-api run`, `quick` and `full`: measure.

use std::process::ExitCode;

use crate::app::{AppError, MeasureRequest, measure};
use crate::cli::args::RunArgs;
use crate::cli::conclusion::{Ending, conclude};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Spec: `quick`, `full`, or the path of a TOML file
    pub spec: String,
    #[command(flatten)]
    pub run: RunArgs,
}

/// Measures what a spec says, and shows what came of it.
pub(in crate::cli) async fn execute(spec: &str, args: &RunArgs) -> Result<ExitCode, AppError> {
    let request = MeasureRequest { spec: spec.to_owned(), settings: args.settings()? };
    let measured = measure(&request, &mut args.session.terminal()).await;
    let measured = measured.map_err(|error| args.places.with_resume_hint(error, args.strict))?;
    conclude(&measured, Ending::of(args))
}
