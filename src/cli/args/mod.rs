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
    /// Go on with an interrupted run
    Resume(Resume),
    /// Show what a run would do: matrix, placement and time
    Plan(Plan),
    /// Measure one stack against itself: how small a difference this host can tell
    Calibrate(Run),
    /// Search for the highest rate that each stack sustains
    Capacity(Capacity),
    /// Tell what of this host can disturb a measurement, and what to do about it
    Doctor(Doctor),
    /// Measure two versions by turns in one run, and compare them
    Ab(Ab),
    /// Show a dataset as one HTML file, or compare two
    Report(Report),
    /// Measure a dataset again from what it recorded, and compare old with new
    Reproduce(Reproduce),
    /// Show a metric over all datasets that can be compared, and where it changed
    Trend(Trend),
    /// List, check, name, copy and remove datasets
    Results(Results),
    /// Show all datasets in a browser: reports, comparisons, SQL, and a run as it goes on
    Serve(Serve),
    /// Ask every dataset at hand in SQL
    Sql(Sql),
    /// Print every table, column and function that SQL knows
    Schema(Schema),
    /// Pin component folders in a bundle file
    Bundle(Bundle),
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
    /// Let loader, app and store share CPUs on a small host (implied by `quick`)
    #[arg(long, alias = "fit")]
    pub allow_shared_cpus: bool,
    /// Refuse a host that is too small, and let trials that cannot be ranked count as failed
    #[arg(long, conflicts_with = "allow_shared_cpus")]
    pub strict: bool,
    /// Where stacks run
    #[arg(long, value_enum, value_name = "LAUNCHER", default_value_t = LauncherChoice::Auto)]
    pub launcher: LauncherChoice,
    /// Load containers through a published port, as where their own addresses cannot be reached
    #[arg(long)]
    pub publish: bool,
    /// Forget what the loader was seen to drive here, and measure it
    #[arg(long)]
    pub remeasure: bool,
    /// The order in which trials are executed [default: randomised]
    #[arg(long, value_enum, value_name = "ORDER")]
    pub order: Option<OrderChoice>,
    /// Say nothing while the run goes on
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
    /// What has to be kept, such as `p99<50ms,errors<0.1%`; several searches share their trials
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
    /// Stack by stack with all its repetitions: what drifts meanwhile favours somebody
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
    /// In containers when the bundle has images and Docker answers, else as processes
    Auto,
    /// As processes of this machine
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
    /// The run, by the name of its folder in `journal`; the latest when not given
    #[arg(default_value = "latest")]
    pub run: String,
    /// Go on although program, components or host are not the same, and record that
    #[arg(long)]
    pub force: bool,
    /// Let trials that cannot be ranked count as failed
    #[arg(long)]
    pub strict: bool,
    /// Say nothing while the run goes on
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
    /// `quick`, `full`, or the path of a spec file
    pub spec: String,
    #[command(flatten)]
    pub factors: Factors,
    /// The bundle that pins the components
    #[arg(long, value_name = "FILE", env = "PERF_API_BUNDLE", default_value = "bundle.json")]
    pub bundle: PathBuf,
    /// Plan for another host: what `lscpu --parse=CPU,CORE,NODE,MAXMHZ` prints there
    #[arg(long, value_name = "FILE")]
    pub topology: Option<PathBuf>,
    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Doctor {
    /// The most connections that the loader will open
    #[arg(long, value_name = "COUNT", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    pub connections: u32,
    /// Forget what the loader was seen to drive here: the next run measures it
    #[arg(long)]
    pub remeasure: bool,
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
#[derive(Debug, Default, ClapArgs)]
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
    pub workers: Option<Vec<String>>,
    /// Connections that the loader keeps open
    #[arg(long, value_delimiter = ',', value_name = "COUNTS", allow_hyphen_values = true)]
    pub concurrency: Option<Vec<String>>,
    /// Target rates in requests per second, such as `0.5`, `1000` or `2.5k`
    #[arg(long, value_delimiter = ',', value_name = "RATES", allow_hyphen_values = true)]
    pub qps: Option<Vec<String>>,
    /// How often each case is measured
    #[arg(long, value_name = "COUNT", allow_hyphen_values = true)]
    pub repetitions: Option<String>,
    /// How long each trial offers load, such as `20s`
    #[arg(long, value_name = "TIME")]
    pub duration: Option<String>,
    /// Where the random order begins
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    pub seed: Option<String>,
    /// How often a trial that failed is repeated at the end of its block
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
    /// The bundle that pins the components
    #[arg(long, value_name = "FILE", env = "PERF_API_BUNDLE", default_value = "bundle.json")]
    pub bundle: PathBuf,
    /// Where datasets are: a folder, s3://BUCKET/PREFIX, gs://… or az://…
    #[arg(long, value_name = "PLACE", env = "PERF_API_RESULTS", default_value = "results")]
    pub results: String,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Report {
    /// The dataset: a tag, a prefix of its id with 6 digits or more, `latest`, or `latest~1`
    #[arg(default_value = "latest")]
    pub dataset: String,
    /// Compare two datasets: the one that is the measure, and the one that is judged
    #[arg(long, num_args = 2, value_names = ["BEFORE", "AFTER"], conflicts_with_all = ["dataset", "unverified"])]
    pub compare: Option<Vec<String>>,
    #[command(flatten)]
    pub judge: Judge,
    /// The file to write; `report.html` or `comparison.html` in the results folder when not given
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Open the page in a browser
    #[arg(long)]
    pub open: bool,
    /// Show the dataset without comparing it with its hashes; the report then says so
    #[arg(long)]
    pub unverified: bool,
    /// Where datasets are: a folder, s3://BUCKET/PREFIX, gs://… or az://…
    #[arg(long, value_name = "PLACE", env = "PERF_API_RESULTS", default_value = "results")]
    pub results: String,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Results {
    #[command(subcommand)]
    pub command: ResultsCommand,
    /// Where datasets are: a folder, s3://BUCKET/PREFIX, gs://… or az://…
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
    /// Every dataset, the latest first
    List {
        /// How to print it
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
    /// What a dataset's manifest says
    Show {
        #[arg(default_value = "latest")]
        dataset: String,
        /// How to print it
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
    /// Compare datasets with their hashes, their schema, and themselves
    Verify {
        #[arg(required_unless_present = "all")]
        datasets: Vec<String>,
        /// Check every dataset
        #[arg(long, conflicts_with = "datasets")]
        all: bool,
    },
    /// Give a dataset a name
    Tag {
        dataset: String,
        tag: String,
        /// Take the tag from another dataset
        #[arg(long)]
        force: bool,
    },
    /// Take a name away
    Untag { tag: String },
    /// Remove a dataset for good
    Remove {
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
        dataset: String,
        /// The file, such as `mine.tar.zst`
        file: PathBuf,
    },
    /// Check an exported dataset and add it
    Import { file: PathBuf },
    /// Copy a dataset to another place
    Push {
        dataset: String,
        /// A folder, s3://BUCKET/PREFIX, gs://… or az://…
        to: String,
    },
    /// Copy a dataset from another place
    Pull {
        /// A folder, s3://BUCKET/PREFIX, gs://… or az://…
        from: String,
        #[arg(default_value = "latest")]
        dataset: String,
    },
}

#[derive(Debug, ClapArgs)]
pub(super) struct Sql {
    /// The query; a prompt when neither a query, a file nor input is given
    #[arg(conflicts_with = "file", allow_hyphen_values = true)]
    pub query: Option<String>,
    /// The file of the query
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// How to print the answer
    #[arg(long, value_enum, default_value_t = AnswerFormat::Table)]
    pub format: AnswerFormat,
    /// Ask one dataset alone; its name as everywhere
    #[arg(long, value_name = "DATASET")]
    pub dataset: Option<String>,
    /// Do not compare datasets with their hashes, and leave out those without a manifest
    #[arg(long)]
    pub unverified: bool,
    /// Where datasets are: a folder, s3://BUCKET/PREFIX, gs://… or az://…
    #[arg(long, value_name = "PLACE", env = "PERF_API_RESULTS", default_value = "results")]
    pub results: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum AnswerFormat {
    /// For people
    Table,
    /// With a header; a text that begins with = + - @ gets a quote before it, so that no spreadsheet
    /// runs it. json and parquet have the raw text
    Csv,
    /// An object a line
    Json,
    /// One file, on standard output
    Parquet,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Schema {
    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Bundle {
    /// Component folders, each with a component.toml
    #[arg(required = true)]
    pub folders: Vec<PathBuf>,
    /// The file to write
    #[arg(short, long, value_name = "FILE", default_value = "bundle.json")]
    pub output: PathBuf,
    /// The folder of images that `tools/make-images` made
    #[arg(long, value_name = "FOLDER")]
    pub images: Option<PathBuf>,
    /// Who makes it
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
