//! `perf-api completions`: what a shell needs to complete commands and options.

use std::process::ExitCode;

use clap::Command;
use clap_complete::{Shell, generate};

use crate::cli::error::CliError;
use crate::cli::output::print;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Completions {
    /// Shell to print completions for
    pub shell: Shell,
}

pub(in crate::cli) fn completions(
    args: &Completions,
    mut command: Command,
) -> Result<ExitCode, CliError> {
    let mut script = Vec::new();
    generate(args.shell, &mut command, "perf-api", &mut script);
    print(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}
