//! The door: the only place that prints, reads the environment, or decides an exit code.

mod args;
mod ceilings;
mod commands;
mod docker;
mod error;
mod floors;
mod help;
mod location;
mod open;
mod output;
mod query_output;
mod serve;
mod verdicts;

use std::process::ExitCode;

use clap::FromArgMatches;

use args::{Args, Command};
use error::CliError;

use crate::model::rules::Exit;

/// Runs the program as its arguments say.
#[must_use]
pub fn main() -> ExitCode {
    let matches = help::command().get_matches();
    let Args { command } = Args::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    // A panic has told its words by now, and what it unwound has ended its children.
    match std::panic::catch_unwind(|| dispatch(command)) {
        Err(_) => Exit::Defect.into(),
        Ok(Ok(code)) => code,
        Ok(Err(error)) => {
            error.print();
            error.code.into()
        }
    }
}

fn dispatch(command: Command) -> Result<ExitCode, CliError> {
    match command {
        Command::Run(args) => block_on(commands::run::run(&args.spec, &args.run)),
        Command::Quick(args) => block_on(commands::run::run("quick", &args)),
        Command::Full(args) => block_on(commands::run::run("full", &args)),
        Command::Resume(args) => block_on(commands::resume::resume(&args)),
        Command::Plan(args) => commands::plan::plan(&args),
        Command::Calibrate(args) => block_on(commands::calibrate::calibrate(&args)),
        Command::Capacity(args) => block_on(commands::capacity::capacity(&args)),
        Command::Doctor(args) => block_on(commands::doctor::doctor(&args)),
        Command::Ab(args) => block_on(commands::ab::ab(&args)),
        Command::Reproduce(args) => block_on(commands::reproduce::reproduce(&args)),
        Command::Trend(args) => block_on(commands::trend::trend(&args)),
        Command::Report(args) => block_on(commands::report::report(&args)),
        Command::Results(args) => block_on(commands::results::results(&args)),
        Command::Serve(args) => commands::serve::serve(&args),
        Command::Sql(args) => commands::sql::sql(&args),
        Command::Schema(args) => commands::schema::schema(&args),
        Command::Bundle(args) => commands::bundle::bundle(&args),
        Command::Completions(args) => commands::completions::completions(&args, help::command()),
        Command::Man(args) => commands::man::man(&args, help::command()),
        Command::Ask(args) => commands::ask::ask(&args),
        Command::Supervise(args) => Ok(ExitCode::from(crate::process::supervise(&args.into())?)),
        Command::Pin(args) => Err(crate::process::become_pinned(&args.into()).into()),
        Command::Target(args) => {
            let served = crate::load::serve(args.listen, (&args).into());
            let told = |error| CliError::new(format!("cannot serve at {}: {error}", args.listen));
            served.map_err(told).map(|()| ExitCode::SUCCESS)
        }
        Command::Loader(args) => match crate::load::run_loader(args.into()) {
            Ok(()) => Ok(ExitCode::SUCCESS),
            Err(words) => Err(CliError::new(words)),
        },
    }
}

/// Runs a future on this thread alone: children are bound to the thread that starts them, and the
/// runner must not wander over the CPUs that it measures.
fn block_on(
    future: impl Future<Output = Result<ExitCode, CliError>>,
) -> Result<ExitCode, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| CliError::new(format!("cannot start: {error}")))?;
    runtime.block_on(future)
}
