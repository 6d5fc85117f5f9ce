//! `perf-api completions`: what a shell needs to complete commands and options.

use std::process::ExitCode;

use clap::Command;
use clap_complete::{Shell, generate};

use crate::app::AppError;
use crate::cli::output::print;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Shell to print completions for
    pub shell: Shell,
}

pub(in crate::cli) fn execute(args: &Args, command: &Command) -> Result<ExitCode, AppError> {
    // Shells would offer hidden commands.
    let visible = command.get_subcommands().filter(|one| !one.is_hide_set()).cloned();
    let mut command = Command::new("perf-api").version("").subcommands(visible);
    let mut script = Vec::new();
    generate(args.shell, &mut command, "perf-api", &mut script);
    // clap_complete 4.6 gives a program with a hyphen in its name two spellings in bash.
    let script = String::from_utf8_lossy(&script).replace("perf__subcmd__api", "perf__api");
    print(&script)?;
    Ok(ExitCode::SUCCESS)
}
