//! `perf-api ask`: one query of the console of `perf-api serve`, in a process of its own.

use std::io::Read;
use std::process::ExitCode;

use crate::app::{AppError, Unanswered, ask};
use crate::cli::location::location;
use crate::cli::output::print;
use crate::model::rules::Exit;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[arg(long)]
    pub results: String,
}

/// Answers the question on standard input, as JSON on standard output.
pub(in crate::cli) fn execute(args: &Args) -> Result<ExitCode, AppError> {
    let mut question = String::new();
    let read = std::io::stdin().read_to_string(&mut question);
    read.map_err(|error| AppError::new(format!("cannot read the question: {error}")))?;
    let answer = location(&args.results).and_then(|location| ask(location, question));
    let (json, code) = match answer {
        Ok(answer) => (serde_json::to_string(&answer), ExitCode::SUCCESS),
        Err(error) => (serde_json::to_string(&Unanswered::from(&error)), Exit::Error.into()),
    };
    print(&json.map_err(|error| AppError::new(error.to_string()))?)?;
    Ok(code)
}
