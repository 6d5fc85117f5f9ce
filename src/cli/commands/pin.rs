//! `perf-api pin`: become another program, bound to the life of the parent.

use std::ffi::OsString;
use std::process::ExitCode;

use crate::app::AppError;
use crate::process::{Pin, become_pinned};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[arg(long)]
    parent: u32,
    program: OsString,
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<OsString>,
}

impl From<Args> for Pin {
    fn from(args: Args) -> Self {
        Self { parent: args.parent, program: args.program, args: args.args }
    }
}

pub(in crate::cli) fn execute(args: Args) -> Result<ExitCode, AppError> {
    Err(become_pinned(&args.into()).into())
}
