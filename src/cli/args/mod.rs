//! What can be typed.

mod comparing;
mod neighbours;
mod serving;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

pub(super) use comparing::{Ab, Judge, ReportFormat, Reproduce, Share, Trend};
pub(super) use neighbours::Neighbours;
pub(super) use serving::{Ask, Serve};

use super::commands::completions::Completions;
use super::commands::man::Man;
use crate::load::{Behaviour, Distribution, LoaderRequest, Stall};
use crate::model::{ComponentName, Order, Slo};
use crate::plan::Overrides;
use crate::process::{Pin, Supervised};
use crate::units::{CpuSet, HumanDuration};

/// A reproducible benchmark appliance for HTTP APIs
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
    /// Continue an interrupted run
    Resume(Resume),
    /// Show what a run would do: matrix, placement and time
    Plan(Plan),
    /// Measure how small a change this host can detect
    Calibrate(Run),
    /// Search for the highest rate that each stack sustains
    Capacity(Capacity),
    /// Check this host for what can disturb a measurement
    Doctor(Doctor),
    /// Measure two versions interleaved in one run, and compare them
    Ab(Ab),
    /// Show a dataset as one HTML page, or compare two
    Report(Report),
    /// Measure a dataset again from what it recorded, and compare old with new
    Reproduce(Reproduce),
    /// Show a metric over all comparable datasets, and where it changed
    Trend(Trend),
    /// List, check, name, copy and remove datasets
    Results(Results),
    /// Serve reports, comparisons, SQL and the current run to a browser
    Serve(Serve),
    /// Query all datasets in SQL
    Sql(Sql),
    /// List the tables, columns and functions of SQL
    Schema(Schema),
    /// Pin component folders in a bundle file
    Bundle(Bundle),
    /// Print completions for a shell
    Completions(Completions),
    /// Print the manual page, or write one for each command
    Man(Man),
    /// Answer one question of the console in a browser
    #[command(hide = true)]
    Ask(Ask),
    /// Start a component and stay as its parent
    #[command(hide = true)]
    Supervise(SuperviseArgs),
    /// Become another program, bound to the life of the parent
    #[command(hide = true)]
    Pin(PinArgs),
    /// Become a server of known behaviour
    #[command(hide = true)]
    Target(TargetArgs),
    /// Become the load generator
    #[command(hide = true)]
    Loader(LoaderArgs),
}

#[derive(Debug, ClapArgs)]
pub(super) struct LoaderArgs {
    /// When requests in flight are given up, from the start
    #[arg(long, value_name = "TIME")]
    pub drained_after: HumanDuration,
    /// The file that gets their number, if there are any
    #[arg(long, value_name = "FILE")]
    pub unfinished: PathBuf,
    /// oha's arguments
    #[arg(last = true)]
    pub args: Vec<OsString>,
}

impl From<LoaderArgs> for LoaderRequest {
    fn from(args: LoaderArgs) -> Self {
        let LoaderArgs { drained_after, unfinished, args } = args;
        Self { drained_after: drained_after.0, unfinished, args }
    }
}

#[derive(Debug, ClapArgs)]
pub(super) struct RunSpec {
    /// Spec: `quick`, `full`, or the path of a TOML file
    pub spec: String,
    #[command(flatten)]
    pub run: Run,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Run {
    /// Measure without components that this host lacks (implied by `quick`)
    #[arg(long)]
    pub allow_missing: bool,
    /// Let loader, app and store share CPUs on a small host (implied by `quick`)
    #[arg(long, alias = "fit")]
    pub allow_shared_cpus: bool,
    /// Refuse a small host, and count trials that are not ranked as failed
    #[arg(long, conflicts_with = "allow_shared_cpus")]
    pub strict: bool,
    /// How stacks are started
    #[arg(long, value_enum, value_name = "LAUNCHER", default_value_t = LauncherChoice::Auto)]
    pub launcher: LauncherChoice,
    /// Load containers through a published port
    #[arg(long)]
    pub publish: bool,
    /// Measure again which rate the loader can drive on this host
    #[arg(long)]
    pub remeasure: bool,
    /// Order of trials [default: randomised]
    #[arg(long, value_enum, value_name = "ORDER")]
    pub order: Option<OrderChoice>,
    /// Hide progress
    #[arg(long)]
    pub no_progress: bool,
    #[command(flatten)]
    pub neighbours: Neighbours,
    #[command(flatten)]
    pub fake: Fake,
    #[command(flatten)]
    pub factors: Factors,
    #[command(flatten)]
    pub places: Places,
}

impl Run {
    /// The order of trials.
    pub(super) fn order(&self) -> Order {
        self.order.map_or(Order::RandomisedBlocks, Order::from)
    }
}

#[derive(Debug, ClapArgs)]
pub(super) struct Capacity {
    /// Limits to keep, such as `p99<50ms,errors<0.1%`; may be repeated
    #[arg(long, required = true, value_name = "LIMITS")]
    pub slo: Vec<Slo>,
    #[command(flatten)]
    pub run: Run,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum OrderChoice {
    /// Blocks of one repetition each, stacks and load points shuffled in each
    Randomised,
    /// Blocks of one repetition each, in the order of the spec
    Blocked,
    /// Stack by stack with all its repetitions; drift then favours some stacks
    Sequential,
}

impl From<OrderChoice> for Order {
    fn from(choice: OrderChoice) -> Self {
        match choice {
            OrderChoice::Randomised => Self::RandomisedBlocks,
            OrderChoice::Blocked => Self::Blocked,
            OrderChoice::Sequential => Self::Sequential,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum LauncherChoice {
    /// In containers where bundle and Docker allow it, else as processes
    Auto,
    /// As processes of this host
    Process,
    /// In containers of a Docker Engine
    Docker,
}

/// For tests.
#[derive(Clone, Debug, ClapArgs)]
pub(super) struct Fake {
    /// Compute instead of measuring, on a simulated clock
    #[arg(long, hide = true)]
    pub fake: bool,
    /// Let the simulated clock stand still
    #[arg(long, hide = true, requires = "fake")]
    pub fixed_clock: bool,
    /// Let each answer take so many times as long
    #[arg(long, hide = true, requires = "fake", default_value_t = 1.0)]
    pub fake_slowdown: f64,
    /// Let other processes use the CPUs of each trial
    #[arg(long, hide = true, requires = "fake")]
    pub fake_busy: bool,
    /// Components that break their contract
    #[arg(long, hide = true, requires = "fake", value_delimiter = ',')]
    pub fake_broken: Vec<ComponentName>,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Resume {
    /// Run, by the name of its folder in `journal`
    #[arg(default_value = "latest")]
    pub run: String,
    /// Continue although program, components or host differ, and record that
    #[arg(long)]
    pub force: bool,
    /// Count trials that are not ranked as failed
    #[arg(long)]
    pub strict: bool,
    /// Hide progress
    #[arg(long)]
    pub no_progress: bool,
    #[command(flatten)]
    pub neighbours: Neighbours,
    #[command(flatten)]
    pub fake: Fake,
    #[command(flatten)]
    pub places: Places,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Plan {
    /// Spec: `quick`, `full`, or the path of a TOML file
    pub spec: String,
    #[command(flatten)]
    pub factors: Factors,
    /// Bundle that pins the components
    #[arg(long, value_name = "FILE", env = "PERF_API_BUNDLE", default_value = "bundle.json")]
    pub bundle: PathBuf,
    /// Topology of another host: output of `lscpu --parse=CPU,CORE,NODE,MAXMHZ`
    #[arg(long, value_name = "FILE")]
    pub topology: Option<PathBuf>,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Doctor {
    /// Largest number of connections that the loader will open
    #[arg(long, value_name = "COUNT", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    pub connections: u32,
    /// Let the next run measure again which rate the loader can drive
    #[arg(long)]
    pub remeasure: bool,
    /// Output format
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
#[derive(Debug, Default, ClapArgs)]
#[command(next_help_heading = "Factors (in place of the spec's)")]
pub(super) struct Factors {
    /// Apps, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub apps: Option<Vec<String>>,
    /// Stores, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub stores: Option<Vec<String>>,
    /// Worker processes of the app, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "COUNTS", allow_hyphen_values = true)]
    pub workers: Option<Vec<String>>,
    /// Connections of the loader, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "COUNTS", allow_hyphen_values = true)]
    pub concurrency: Option<Vec<String>>,
    /// Target rates in requests per second, such as `0.5`, `1000` or `2.5k`
    #[arg(long, value_delimiter = ',', value_name = "RATES", allow_hyphen_values = true)]
    pub qps: Option<Vec<String>>,
    /// Repetitions of each case
    #[arg(long, value_name = "COUNT", allow_hyphen_values = true)]
    pub repetitions: Option<String>,
    /// Duration of each trial, such as `20s`
    #[arg(long, value_name = "TIME")]
    pub duration: Option<String>,
    /// Seed of the random order
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    pub seed: Option<String>,
    /// Repetitions of a failed trial, at the end of its block
    #[arg(long, value_name = "COUNT", allow_hyphen_values = true)]
    pub retries: Option<String>,
}

impl From<&Factors> for Overrides {
    fn from(factors: &Factors) -> Self {
        Self {
            apps: factors.apps.clone(),
            stores: factors.stores.clone(),
            workers: factors.workers.clone(),
            concurrency: factors.concurrency.clone(),
            qps: factors.qps.clone(),
            repetitions: factors.repetitions.clone(),
            duration: factors.duration.clone(),
            seed: factors.seed.clone(),
            retries: factors.retries.clone(),
        }
    }
}

#[derive(Clone, Debug, ClapArgs)]
#[command(next_help_heading = "Places")]
pub(super) struct Places {
    /// Bundle that pins the components
    #[arg(long, value_name = "FILE", env = "PERF_API_BUNDLE", default_value = "bundle.json")]
    pub bundle: PathBuf,
    /// Dataset store: a folder, s3://BUCKET/PREFIX, gs://… or az://…
    #[arg(long, value_name = "PLACE", env = "PERF_API_RESULTS", default_value = "results")]
    pub results: String,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Report {
    /// Dataset: a tag, 6 or more digits of its id, `latest` or `latest~1`
    #[arg(default_value = "latest")]
    pub dataset: String,
    /// Compare two datasets: the baseline, and the one that is judged
    #[arg(long, num_args = 2, value_names = ["BEFORE", "AFTER"], conflicts_with_all = ["dataset", "unverified"])]
    pub compare: Option<Vec<String>>,
    #[command(flatten)]
    pub judge: Judge,
    /// File to write [default: report.html or comparison.html with the datasets]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Open the page in a browser
    #[arg(long)]
    pub open: bool,
    /// Show the dataset without verifying its hashes; the report says so
    #[arg(long)]
    pub unverified: bool,
    /// Dataset store: a folder, s3://BUCKET/PREFIX, gs://… or az://…
    #[arg(long, value_name = "PLACE", env = "PERF_API_RESULTS", default_value = "results")]
    pub results: String,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Results {
    #[command(subcommand)]
    pub command: ResultsCommand,
    /// Dataset store: a folder, s3://BUCKET/PREFIX, gs://… or az://…
    #[arg(
        long,
        value_name = "PLACE",
        env = "PERF_API_RESULTS",
        default_value = "results",
        global = true
    )]
    pub results: String,
}

/// A dataset is named by a tag, a prefix of its id with 6 digits or more, `latest`, or `latest~1`.
#[derive(Debug, Subcommand)]
pub(super) enum ResultsCommand {
    /// List datasets, the latest first
    List {
        /// Output format
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
    /// Show the manifest of a dataset
    Show {
        /// Dataset
        #[arg(default_value = "latest")]
        dataset: String,
        /// Output format
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
    /// Check hashes, schema and figures of datasets
    Verify {
        /// Datasets to check
        #[arg(required_unless_present = "all")]
        datasets: Vec<String>,
        /// Check every dataset
        #[arg(long, conflicts_with = "datasets")]
        all: bool,
    },
    /// Give a dataset a name
    Tag {
        /// Dataset
        dataset: String,
        /// Name
        tag: String,
        /// Move the tag from another dataset
        #[arg(long)]
        force: bool,
    },
    /// Remove a name
    Untag {
        /// Name
        tag: String,
    },
    /// Remove a dataset for good
    Remove {
        /// Dataset
        dataset: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
        /// Remove it although it has a tag
        #[arg(long)]
        force: bool,
    },
    /// Write a dataset to one file
    Export {
        /// Dataset
        dataset: String,
        /// File to write, such as `mine.tar.zst`
        file: PathBuf,
    },
    /// Check an exported dataset and add it
    Import {
        /// File that `export` wrote
        file: PathBuf,
    },
    /// Copy a dataset to another dataset store
    Push {
        /// Dataset
        dataset: String,
        /// Dataset store: a folder, s3://BUCKET/PREFIX, gs://… or az://…
        to: String,
    },
    /// Copy a dataset from another dataset store
    Pull {
        /// Dataset store: a folder, s3://BUCKET/PREFIX, gs://… or az://…
        from: String,
        /// Dataset
        #[arg(default_value = "latest")]
        dataset: String,
    },
}

#[derive(Debug, ClapArgs)]
pub(super) struct Sql {
    /// Query [default: standard input, or a prompt]
    #[arg(conflicts_with = "file", allow_hyphen_values = true)]
    pub query: Option<String>,
    /// File that holds the query
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Output format
    #[arg(long, value_enum, default_value_t = AnswerFormat::Table)]
    pub format: AnswerFormat,
    /// Query one dataset alone
    #[arg(long, value_name = "DATASET")]
    pub dataset: Option<String>,
    /// Query without verifying hashes; datasets without a manifest are left out
    #[arg(long)]
    pub unverified: bool,
    /// Dataset store: a folder, s3://BUCKET/PREFIX, gs://… or az://…
    #[arg(long, value_name = "PLACE", env = "PERF_API_RESULTS", default_value = "results")]
    pub results: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum AnswerFormat {
    /// For people
    Table,
    /// With a header; a quote before text that a spreadsheet would run
    Csv,
    /// One object a line
    Json,
    /// One file, on standard output
    Parquet,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Schema {
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Bundle {
    /// Component folders, each with a component.toml
    #[arg(required = true)]
    pub folders: Vec<PathBuf>,
    /// File to write
    #[arg(short, long, value_name = "FILE", default_value = "bundle.json")]
    pub output: PathBuf,
    /// Folder of images that `tools/make-images` made
    #[arg(long, value_name = "FOLDER")]
    pub images: Option<PathBuf>,
    /// Name of the tool that makes the bundle
    #[arg(long, value_name = "NAME", default_value = "make")]
    pub provider: String,
}

#[derive(Debug, ClapArgs)]
pub(super) struct TargetArgs {
    #[arg(long)]
    pub listen: SocketAddr,
    #[arg(long, default_value = "0s")]
    service: HumanDuration,
    #[arg(long, value_enum, default_value_t = ServiceTimes::Fixed)]
    distribution: ServiceTimes,
    #[arg(long, default_value_t = 0)]
    servers: usize,
    #[arg(long, requires = "stall_every")]
    stall: Option<HumanDuration>,
    #[arg(long, requires = "stall")]
    stall_every: Option<HumanDuration>,
    #[arg(long, default_value_t = 0.0)]
    errors: f64,
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ServiceTimes {
    Fixed,
    Exponential,
}

impl From<&TargetArgs> for Behaviour {
    fn from(args: &TargetArgs) -> Self {
        let stall = args.stall.zip(args.stall_every);
        Self {
            service: args.service.0,
            distribution: match args.distribution {
                ServiceTimes::Fixed => Distribution::Fixed,
                ServiceTimes::Exponential => Distribution::Exponential,
            },
            servers: args.servers,
            stall: stall.map(|(length, every)| Stall { length: length.0, every: every.0 }),
            errors: args.errors,
            seed: args.seed,
        }
    }
}

#[derive(Debug, ClapArgs)]
pub(super) struct SuperviseArgs {
    #[arg(long)]
    cpus: CpuSet,
    #[arg(long)]
    log: PathBuf,
    program: OsString,
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<OsString>,
}

impl From<SuperviseArgs> for Supervised {
    fn from(args: SuperviseArgs) -> Self {
        Self { cpus: args.cpus, log: args.log, program: args.program, args: args.args }
    }
}

#[derive(Debug, ClapArgs)]
pub(super) struct PinArgs {
    #[arg(long)]
    parent: u32,
    program: OsString,
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<OsString>,
}

impl From<PinArgs> for Pin {
    fn from(args: PinArgs) -> Self {
        Self { parent: args.parent, program: args.program, args: args.args }
    }
}
