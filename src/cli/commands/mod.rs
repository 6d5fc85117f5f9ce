//! One file a command: its arguments, and what it does with them.

mod ab;
mod ask;
mod built_in_loader;
mod bundle;
mod calibrate;
mod capacity;
mod completions;
mod doctor;
mod loader;
mod man;
mod pin;
mod plan;
mod report;
mod reproduce;
mod results;
mod resume;
mod run;
mod schema;
mod serve;
mod sql;
mod supervise;
mod target;
mod trend;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use super::args::RunArgs;
use crate::app::AppError;

/// A reproducible benchmark appliance for HTTP APIs
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub(in crate::cli) struct Args {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Command {
    /// Measure what a spec says: `quick`, `full`, or a TOML file
    Run(run::Args),
    /// Measure every app on every store once, in about half a minute
    Quick(RunArgs),
    /// Measure the reference matrix: 960 trials, about 6 hours
    Full(RunArgs),
    /// Continue an interrupted run
    Resume(resume::Args),
    /// Show what a run would do: matrix, placement and time
    Plan(plan::Args),
    /// Measure how small a change this host can detect
    Calibrate(RunArgs),
    /// Search for the highest rate that each stack sustains
    Capacity(capacity::Args),
    /// Check this host for what can disturb a measurement
    Doctor(doctor::Args),
    /// Measure two versions interleaved in one run, and compare them
    Ab(ab::Args),
    /// Show a dataset as one HTML page, or compare two
    Report(report::Args),
    /// Measure a dataset again from what it recorded, and compare old with new
    Reproduce(reproduce::Args),
    /// Show a metric over all comparable datasets, and where it changed
    Trend(trend::Args),
    /// List, check, name, copy and remove datasets
    Results(results::Args),
    /// Serve reports, comparisons, SQL and the current run to a browser
    Serve(serve::Args),
    /// Query all datasets in SQL
    Sql(sql::Args),
    /// List the tables, columns and functions of SQL
    Schema(schema::Args),
    /// Pin component folders in a bundle file
    Bundle(bundle::Args),
    /// Print completions for a shell
    Completions(completions::Args),
    /// Print the manual page, or write one for each command
    Man(man::Args),
    /// Answer one question of the console in a browser
    #[command(hide = true)]
    Ask(ask::Args),
    /// Start a component and stay as its parent
    #[command(hide = true)]
    Supervise(supervise::Args),
    /// Become another program, bound to the life of the parent
    #[command(hide = true)]
    Pin(pin::Args),
    /// Become a server of known behaviour
    #[command(hide = true)]
    Target(target::Args),
    /// Become the load generator
    #[command(hide = true)]
    Loader(loader::Args),
    /// Become the built-in loader
    #[command(hide = true)]
    BuiltInLoader(built_in_loader::Args),
}

/// Executes a command; `help` is the whole command line with its help.
pub(super) fn execute(command: Command, help: clap::Command) -> Result<ExitCode, AppError> {
    match command {
        Command::Run(args) => block_on(run::execute(&args.spec, &args.run)),
        Command::Quick(args) => block_on(run::execute("quick", &args)),
        Command::Full(args) => block_on(run::execute("full", &args)),
        Command::Resume(args) => block_on(resume::execute(&args)),
        Command::Plan(args) => plan::execute(&args),
        Command::Calibrate(args) => block_on(calibrate::execute(&args)),
        Command::Capacity(args) => block_on(capacity::execute(&args)),
        Command::Doctor(args) => block_on(doctor::execute(&args)),
        Command::Ab(args) => block_on(ab::execute(&args)),
        Command::Reproduce(args) => block_on(reproduce::execute(&args)),
        Command::Trend(args) => block_on(trend::execute(&args)),
        Command::Report(args) => block_on(report::execute(&args)),
        Command::Results(args) => block_on(results::execute(&args)),
        Command::Serve(args) => serve::execute(&args),
        Command::Sql(args) => sql::execute(&args),
        Command::Schema(args) => schema::execute(&args),
        Command::Bundle(args) => bundle::execute(&args),
        Command::Completions(args) => completions::execute(&args, &help),
        Command::Man(args) => man::execute(&args, help),
        Command::Ask(args) => ask::execute(&args),
        Command::Supervise(args) => supervise::execute(args),
        Command::Pin(args) => pin::execute(args),
        Command::Target(args) => target::execute(&args),
        Command::Loader(args) => loader::execute(args),
        Command::BuiltInLoader(args) => built_in_loader::execute(&args),
    }
}

/// Runs a future on this thread alone: children are bound to the thread that starts them, and the
/// runner must not wander over the CPUs that it measures.
fn block_on(
    future: impl Future<Output = Result<ExitCode, AppError>>,
) -> Result<ExitCode, AppError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| AppError::new(format!("cannot start: {error}")))?;
    runtime.block_on(future)
}
