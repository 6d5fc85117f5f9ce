//! The command line: the only place that prints, reads environment variables, or decides an exit code.

mod args;
mod commands;
mod comparison_formats;
mod conclusion;
mod environment;
mod error;
mod help;
mod location;
mod output;
mod pages;
mod progress;
mod query_output;
mod signals;
mod verdicts;

use std::process::ExitCode;

use clap::FromArgMatches;

use commands::Args;

use crate::model::rules::Exit;

/// Runs the program as its arguments say.
#[must_use]
pub fn main() -> ExitCode {
    let matches = help::command().get_matches();
    let Args { command } = Args::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    // The message of a panic is on the terminal by now, and what it unwound has ended its children.
    match std::panic::catch_unwind(|| commands::execute(command, help::command())) {
        Err(_) => Exit::Defect.into(),
        Ok(Ok(code)) => code,
        Ok(Err(error)) => {
            error::print_error(&error);
            error::error_code(&error).into()
        }
    }
}
