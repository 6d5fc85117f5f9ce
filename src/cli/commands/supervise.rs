//! `perf-api supervise`: start a component and stay as its parent.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::app::AppError;
use crate::process::{Supervised, supervise};
use crate::units::CpuSet;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[arg(long)]
    cpus: CpuSet,
    #[arg(long)]
    log: PathBuf,
    program: OsString,
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<OsString>,
}

impl From<Args> for Supervised {
    fn from(args: Args) -> Self {
        Self { cpus: args.cpus, log: args.log, program: args.program, args: args.args }
    }
}

pub(in crate::cli) fn execute(args: Args) -> Result<ExitCode, AppError> {
    Ok(ExitCode::from(supervise(&args.into())?))
}
