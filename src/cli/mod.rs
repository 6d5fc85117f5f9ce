//! The command line: the only place that prints, reads environment variables, or decides an exit code.

mod args;
mod commands;
mod comparison;
mod conclusion;
mod environment;
mod error;
mod location;
mod output;
mod pages;
mod progress;
mod query_output;
mod signals;
mod verdicts;

use std::process::ExitCode;

use clap::Parser;

use commands::Args;

/// Runs the program as its arguments say.
#[must_use]
pub fn main() -> ExitCode {
    let command = Args::parse().command;
    // The message of a panic is on the terminal by now, and what it unwound has ended its children.
    match std::panic::catch_unwind(|| commands::execute(command)) {
        Err(_) => ExitCode::from(error::DEFECT),
        Ok(Ok(code)) => code,
        Ok(Err(error)) => {
            error::print_error(&error);
            ExitCode::from(error::error_code(&error))
        }
    }
}
