//! `perf-api loader`: become the load generator.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::app::AppError;
use crate::load::{LoaderRequest, run_loader};
use crate::units::HumanDuration;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// When requests in flight are given up, from the start
    #[arg(long, value_name = "TIME")]
    pub drained_after: HumanDuration,
    /// The file that gets their number, if there are any
    #[arg(long, value_name = "FILE")]
    pub unfinished: PathBuf,
    /// oha's arguments
    #[arg(last = true)]
    pub args: Vec<OsString>,
}

impl From<Args> for LoaderRequest {
    fn from(args: Args) -> Self {
        let Args { drained_after, unfinished, args } = args;
        Self { drained_after: drained_after.0, unfinished, args }
    }
}

pub(in crate::cli) fn execute(args: Args) -> Result<ExitCode, AppError> {
    run_loader(args.into()).map_err(AppError::new)?;
    Ok(ExitCode::SUCCESS)
}
