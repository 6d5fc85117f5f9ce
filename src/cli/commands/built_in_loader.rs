//! `perf-api built-in-loader`: become the built-in loader.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::app::AppError;
use crate::load::run_built_in;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The file that describes the load
    pub assignment: PathBuf,
    /// The file that gets the measurement
    pub measurement: PathBuf,
}

pub(in crate::cli) fn execute(args: &Args) -> Result<ExitCode, AppError> {
    run_built_in(&args.assignment, &args.measurement)
        .map_err(|error| AppError::new(error.to_string()))?;
    Ok(ExitCode::SUCCESS)
}
