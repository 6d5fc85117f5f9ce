//! What can be typed.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

use crate::exec::Pin;
use crate::plan::Overrides;
use crate::units::CpuSet;

/// A reproducible benchmark appliance for HTTP APIs.
///
/// Exit codes: 0 fine, 1 wrong input or a refusing system, 2 wrong usage, 3 trials failed,
/// 5 a corrupt dataset, 70 a defect of this program, 130 interrupted.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub(super) struct Args {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Measure what a spec says: `quick`, `full`, or a TOML file
    Run(RunSpec),
    /// Measure every app on every store once, in about half a minute
    Quick(Run),
    /// Measure the reference matrix: 960 trials, about 6 hours
    Full(Run),
    /// Show what a run would do: matrix, placement and time
    Plan(Plan),
    /// Show a dataset as one HTML file
    Report(Report),
    /// Pin component folders in a bundle file
    Bundle(Bundle),
    /// Become another program, pinned to CPUs
    #[command(hide = true)]
    Pin(PinArgs),
    /// Become the load generator
    #[command(hide = true)]
    Loader {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
}

#[derive(Debug, ClapArgs)]
pub(super) struct RunSpec {
    /// `quick`, `full`, or the path of a spec file
    pub spec: String,
    #[command(flatten)]
    pub run: Run,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Run {
    /// Measure the rest when a component cannot be had here (`quick` always does)
    #[arg(long)]
    pub allow_missing: bool,
    /// Say nothing while the run goes on
    #[arg(long)]
    pub no_progress: bool,
    /// Compute instead of measuring, on a simulated clock: for tests
    #[arg(long, hide = true)]
    pub fake: bool,
    #[command(flatten)]
    pub factors: Factors,
    #[command(flatten)]
    pub places: Places,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Plan {
    /// `quick`, `full`, or the path of a spec file
    pub spec: String,
    #[command(flatten)]
    pub factors: Factors,
    #[command(flatten)]
    pub places: Places,
    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people
    Table,
    /// For programs
    Json,
}

/// Values that take the place of the spec's.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Factors (in place of the spec's)")]
pub(super) struct Factors {
    /// Apps, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub apps: Option<Vec<String>>,
    /// Stores, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub stores: Option<Vec<String>>,
    /// Worker processes of the app
    #[arg(long, value_delimiter = ',', value_name = "COUNTS", allow_hyphen_values = true)]
    pub workers: Option<Vec<i64>>,
    /// Connections that the loader keeps open
    #[arg(long, value_delimiter = ',', value_name = "COUNTS", allow_hyphen_values = true)]
    pub concurrency: Option<Vec<i64>>,
    /// Target rates, requests per second
    #[arg(long, value_delimiter = ',', value_name = "RATES", allow_hyphen_values = true)]
    pub qps: Option<Vec<i64>>,
    /// How often each case is measured
    #[arg(long, value_name = "COUNT", allow_hyphen_values = true)]
    pub repetitions: Option<i64>,
    /// How long each trial offers load, such as `20s`
    #[arg(long, value_name = "TIME")]
    pub duration: Option<String>,
    /// Where the random order begins
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    pub seed: Option<i64>,
}

impl From<&Factors> for Overrides {
    fn from(factors: &Factors) -> Self {
        Self {
            apps: factors.apps.clone(),
            stores: factors.stores.clone(),
            workers: factors.workers.clone(),
            concurrency: factors.concurrency.clone(),
            qps: factors.qps.clone(),
            repetitions: factors.repetitions,
            duration: factors.duration.clone(),
            seed: factors.seed,
        }
    }
}

#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Places")]
pub(super) struct Places {
    /// The bundle that pins the components
    #[arg(long, value_name = "FILE", env = "PERF_API_BUNDLE", default_value = "bundle.json")]
    pub bundle: PathBuf,
    /// The folder of datasets
    #[arg(long, value_name = "FOLDER", env = "PERF_API_RESULTS", default_value = "results")]
    pub results: PathBuf,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Report {
    /// The dataset: a prefix of its id with 6 digits or more, `latest`, or `latest~1`
    #[arg(default_value = "latest")]
    pub dataset: String,
    /// The file to write; `report.html` in the results folder when not given
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// The folder of datasets
    #[arg(long, value_name = "FOLDER", env = "PERF_API_RESULTS", default_value = "results")]
    pub results: PathBuf,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Bundle {
    /// Component folders, each with a component.toml
    #[arg(required = true)]
    pub folders: Vec<PathBuf>,
    /// The file to write
    #[arg(short, long, value_name = "FILE", default_value = "bundle.json")]
    pub output: PathBuf,
    /// Who makes it
    #[arg(long, value_name = "NAME", default_value = "make")]
    pub provider: String,
}

#[derive(Debug, ClapArgs)]
pub(super) struct PinArgs {
    #[arg(long)]
    cpus: CpuSet,
    #[arg(long)]
    parent: u32,
    program: OsString,
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<OsString>,
}

impl From<PinArgs> for Pin {
    fn from(args: PinArgs) -> Self {
        Self { cpus: args.cpus, parent: args.parent, program: args.program, args: args.args }
    }
}
