//! Arguments that several commands share.

use std::path::PathBuf;
use std::str::FromStr;

use clap::ValueEnum;

use super::environment::host_settings;
use super::location::{self, location};
use super::output::Channel;
use super::progress::Terminal;
use crate::app::{
    self, AppError, ComparisonSettings, LauncherChoice, Margin, NeighbourPolicy, RunSettings,
};
use crate::compare::Verdict;
use crate::model::{ComponentName, Metric, Order};
use crate::plan::Overrides;
use crate::store::Store;

/// How a run is made.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct RunArgs {
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
    #[arg(long, value_enum, value_name = "LAUNCHER", default_value_t = LauncherName::Auto)]
    pub launcher: LauncherName,
    /// Load containers through a published port
    #[arg(long)]
    pub publish: bool,
    /// Measure again which rate the loader can drive on this host
    #[arg(long)]
    pub remeasure: bool,
    /// Order of trials [default: randomised]
    #[arg(long, value_enum, value_name = "ORDER")]
    pub order: Option<OrderName>,
    #[command(flatten)]
    pub session: SessionArgs,
    #[command(flatten)]
    pub factors: FactorArgs,
    #[command(flatten)]
    pub places: PlaceArgs,
}

impl RunArgs {
    /// The settings for the use case.
    pub(in crate::cli) fn settings(&self) -> Result<RunSettings, AppError> {
        Ok(RunSettings {
            bundle: self.places.bundle.clone(),
            results: location(&self.places.results)?,
            overrides: Overrides::from(&self.factors),
            order: self.order.map(Order::from),
            launcher: self.launcher.into(),
            publish: self.publish,
            allow_missing: self.allow_missing,
            share_cpus: self.allow_shared_cpus,
            is_strict: self.strict,
            remeasure: self.remeasure,
            neighbours: self.session.neighbours.settings(),
            host: host_settings(),
            fake: self.session.fake.settings(),
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum OrderName {
    /// Blocks of one repetition each, stacks and load points shuffled in each
    Randomised,
    /// Blocks of one repetition each, in the order of the spec
    Blocked,
    /// Stack by stack with all its repetitions; drift then favours some stacks
    Sequential,
}

impl From<OrderName> for Order {
    fn from(choice: OrderName) -> Self {
        match choice {
            OrderName::Randomised => Self::RandomisedBlocks,
            OrderName::Blocked => Self::Blocked,
            OrderName::Sequential => Self::Sequential,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum LauncherName {
    /// In containers where bundle and Docker allow it, else as processes
    Auto,
    /// As processes of this host
    Process,
    /// In containers of a Docker Engine
    Docker,
}

impl From<LauncherName> for LauncherChoice {
    fn from(name: LauncherName) -> Self {
        match name {
            LauncherName::Auto => Self::Auto,
            LauncherName::Process => Self::Process,
            LauncherName::Docker => Self::Docker,
        }
    }
}

/// What each command that measures accepts.
#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct SessionArgs {
    /// Hide progress
    #[arg(long)]
    pub no_progress: bool,
    #[command(flatten)]
    pub neighbours: NeighbourArgs,
    #[command(flatten)]
    pub fake: FakeArgs,
}

impl SessionArgs {
    /// The terminal that shows the progress.
    pub(in crate::cli) fn terminal(&self) -> Terminal {
        Terminal::new(self.no_progress)
    }
}

/// For tests.
#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct FakeArgs {
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

impl FakeArgs {
    /// The settings for the use case; `None` for a run that is measured.
    pub(in crate::cli) fn settings(&self) -> Option<app::Fake> {
        self.fake.then(|| app::Fake {
            has_fixed_clock: self.fixed_clock,
            slowdown: self.fake_slowdown,
            is_busy: self.fake_busy,
            broken: self.fake_broken.clone(),
        })
    }
}

/// What to do when another run measures on the same CPUs.
#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct NeighbourArgs {
    /// Wait while another run uses the same CPUs
    #[arg(long)]
    pub wait: bool,
    /// Measure beside another run, and mark trials of both `host_busy`
    #[arg(long, conflicts_with = "wait")]
    pub allow_busy: bool,
    /// The folder in which runs of this machine reserve their CPUs
    #[arg(long, hide = true, value_name = "FOLDER", env = "PERF_API_RESERVATIONS")]
    pub reservations: Option<PathBuf>,
}

impl NeighbourArgs {
    /// The settings for the use case.
    pub(in crate::cli) fn settings(&self) -> app::Neighbours {
        let policy = match (self.wait, self.allow_busy) {
            (true, _) => NeighbourPolicy::Wait,
            (false, true) => NeighbourPolicy::Measure,
            (false, false) => NeighbourPolicy::Refuse,
        };
        app::Neighbours { policy, reservations: self.reservations.clone() }
    }
}

/// Values that take the place of the spec's.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Factors (in place of the spec's)")]
pub(in crate::cli) struct FactorArgs {
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
    /// What offers the load: `oha` or `built-in`
    #[arg(long, value_name = "LOADER")]
    pub loader: Option<String>,
    /// How requests follow each other: `even` or `poisson` (built-in loader)
    #[arg(long, value_name = "ARRIVALS")]
    pub arrivals: Option<String>,
    /// How the rate moves: `constant`, `ramp`, `steps` or `spike` (built-in loader)
    #[arg(long, value_name = "PROFILE")]
    pub profile: Option<String>,
}

impl From<&FactorArgs> for Overrides {
    fn from(factors: &FactorArgs) -> Self {
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
            loader: factors.loader.clone(),
            arrivals: factors.arrivals.clone(),
            profile: factors.profile.clone(),
        }
    }
}

/// Where a run finds its components and puts its dataset.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Places")]
pub(in crate::cli) struct PlaceArgs {
    /// Bundle that pins the components
    #[arg(long, value_name = "FILE", env = "PERF_API_BUNDLE", default_value = "bundle.json")]
    pub bundle: PathBuf,
    /// Dataset store: a folder, s3://BUCKET/PREFIX, gs://… or az://…
    #[arg(long, value_name = "PLACE", env = "PERF_API_RESULTS", default_value = "results")]
    pub results: String,
}

impl PlaceArgs {
    /// An error with the command that resumes its run in the same places, as strictly.
    pub(in crate::cli) fn with_resume_hint(&self, error: AppError, is_strict: bool) -> AppError {
        let Some(run) = error.resumable.clone() else { return error };
        let bundle = place_flag("bundle", &self.bundle.to_string_lossy());
        let results = place_flag("results", &self.results);
        let strict = if is_strict { " --strict" } else { "" };
        error.hint(format!(
            "`perf-api resume {run}{bundle}{results}{strict}` continues the run: measured trials are kept"
        ))
    }
}

/// ` --results 'VALUE'` to type in a shell; nothing for the default value.
pub(in crate::cli) fn place_flag(flag: &str, value: &str) -> String {
    let default = if flag == "bundle" { "bundle.json" } else { "results" };
    match value == default {
        true => String::new(),
        false => format!(" --{flag} '{}'", value.replace('\'', "'\\''")),
    }
}

/// Where datasets are read.
#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct ResultsArgs {
    /// Dataset store: a folder, s3://BUCKET/PREFIX, gs://… or az://…
    #[arg(long, value_name = "PLACE", env = "PERF_API_RESULTS", default_value = "results")]
    pub results: String,
}

impl ResultsArgs {
    /// The dataset store, which has to exist.
    pub(in crate::cli) fn open(&self) -> Result<Store, AppError> {
        location::open(&self.results)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Format {
    /// For people
    Table,
    /// For programs
    Json,
}

/// How two datasets are compared.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Comparing")]
pub(in crate::cli) struct ComparisonArgs {
    /// Metrics to compare, such as `p95,p99` [default: all]
    #[arg(long, alias = "only", value_name = "METRICS")]
    pub metrics: Vec<MetricList>,
    /// SQL condition on cases, such as `workers = 4 AND app = 'express'`
    #[arg(long = "where", value_name = "CONDITION")]
    pub condition: Option<String>,
    /// Smallest change that matters
    #[arg(long, value_name = "SHARE", default_value_t)]
    pub margin: Margin,
    /// Verdicts that make the command fail
    #[arg(long, value_enum, value_name = "VERDICTS", value_delimiter = ',')]
    pub fail_on: Vec<FailOn>,
    /// Compare although more differs than the components under test
    #[arg(long)]
    pub force: bool,
    /// Output format [default: a page; of a comparison, text as well]
    #[arg(long, value_enum)]
    pub format: Option<ReportFormat>,
}

impl ComparisonArgs {
    /// The settings for the use case.
    pub(in crate::cli) fn settings(&self) -> ComparisonSettings {
        let is_named = |metric: &Metric| self.metrics.iter().any(|list| list.0.contains(metric));
        let named = || Metric::ALL.into_iter().filter(is_named).collect();
        ComparisonSettings {
            metrics: (!self.metrics.is_empty()).then(named),
            condition: self.condition.clone(),
            margin: self.margin,
            fail_on: self.fail_on.iter().map(|choice| choice.verdict()).collect(),
            force: self.force,
        }
    }

    /// Where everything but the comparison goes.
    pub(in crate::cli) fn channel(&self) -> Channel {
        match self.format {
            None | Some(ReportFormat::Text) => Channel::Output,
            Some(_) => Channel::Notes,
        }
    }

    /// Whether no option of a comparison was given, but for the format.
    pub(in crate::cli) fn is_default(&self) -> bool {
        self.metrics.is_empty()
            && self.condition.is_none()
            && self.fail_on.is_empty()
            && !self.force
            && self.margin == Margin::default()
    }
}

/// Metrics separated by commas; `--only` had `metric=` before them.
#[derive(Clone, Debug)]
pub(in crate::cli) struct MetricList(pub Vec<Metric>);

impl FromStr for MetricList {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let names = text.strip_prefix("metric=").unwrap_or(text);
        names.split(',').map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum FailOn {
    Regressed,
    Improved,
    Inconclusive,
}

impl FailOn {
    /// The verdict that is meant.
    pub(in crate::cli) fn verdict(self) -> Verdict {
        match self {
            Self::Regressed => Verdict::Regressed,
            Self::Improved => Verdict::Improved,
            Self::Inconclusive => Verdict::Inconclusive,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum ReportFormat {
    /// For people, on the terminal
    Text,
    /// One page
    Html,
    /// For a pull request
    Md,
    /// For programs: docs/comparison.schema.json
    Json,
    /// For a continuous integration server
    Junit,
}
