//! What can be typed to compare datasets.

use std::path::PathBuf;
use std::str::FromStr;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args as ClapArgs, ValueEnum};

use super::{Factors, Fake, Format, LauncherChoice, Neighbours, Places, Run};
use crate::cli::output::Channel;
use crate::compare::Verdict;
use crate::model::Metric;
use crate::model::rules::DEFAULT_MARGIN;
use crate::units::{HumanDuration, percent};

/// How two datasets are compared.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Comparing")]
pub(in crate::cli) struct Judge {
    /// Metrics to compare, such as `p95,p99` [default: all]
    #[arg(long, alias = "only", value_name = "METRICS")]
    pub metrics: Vec<MetricList>,
    /// SQL condition on cases, such as `workers = 4 AND app = 'express'`
    #[arg(long = "where", value_name = "CONDITION")]
    pub condition: Option<String>,
    /// Smallest change that matters
    #[arg(long, value_name = "SHARE", default_value_t)]
    pub margin: Share,
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

impl Judge {
    /// Where everything but the comparison goes.
    pub(in crate::cli) fn channel(&self) -> Channel {
        match self.format {
            None | Some(ReportFormat::Text) => Channel::Output,
            Some(_) => Channel::Notes,
        }
    }

    /// What is to be compared: what was named, or everything.
    pub(in crate::cli) fn metrics(&self) -> Vec<Metric> {
        let is_named = |metric: &Metric| {
            self.metrics.is_empty() || self.metrics.iter().any(|list| list.0.contains(metric))
        };
        Metric::ALL.into_iter().filter(is_named).collect()
    }

    /// Whether nothing was asked of it.
    pub(in crate::cli) fn is_untouched(&self) -> bool {
        self.metrics.is_empty()
            && self.condition.is_none()
            && self.fail_on.is_empty()
            && !self.force
            && self.margin == Share::default()
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

/// The metrics, so that the help lists them.
fn metric_parser() -> impl TypedValueParser<Value = Metric> {
    PossibleValuesParser::new(Metric::ALL.map(Metric::as_str))
        .try_map(|name| name.parse::<Metric>())
}

/// A share between nothing and all, as `5%`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::cli) struct Share(pub f64);

impl Default for Share {
    fn default() -> Self {
        Self(DEFAULT_MARGIN)
    }
}

impl std::fmt::Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}%", percent(self.0))
    }
}

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let percent = text.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
        percent
            .filter(|percent| (0.1..=100.0).contains(percent))
            .map(|percent| Self(percent / 100.0))
            .ok_or_else(|| "a share is written `5%`, from 0.1% to 100%".to_owned())
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

#[derive(Debug, ClapArgs)]
pub(in crate::cli) struct Ab {
    /// Bundle file, or component folder that replaces the one of its name
    pub before: PathBuf,
    /// Bundle file or component folder to compare it with
    pub after: PathBuf,
    /// Spec: `ab`, `quick`, `full`, or the path of a TOML file
    #[arg(long, default_value = "ab")]
    pub spec: String,
    /// End as soon as every group of cases has a verdict
    #[arg(long)]
    pub until_decided: bool,
    /// Longest time that `--until-decided` may take
    #[arg(
        long,
        alias = "max",
        value_name = "TIME",
        default_value = "1h",
        requires = "until_decided"
    )]
    pub max_duration: HumanDuration,
    #[command(flatten)]
    pub judge: Judge,
    /// File to write [default: comparison.html with the datasets]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    #[command(flatten)]
    pub run: Run,
}

#[derive(Debug, ClapArgs)]
pub(in crate::cli) struct Reproduce {
    /// Dataset: a tag, 6 or more digits of its id, `latest` or `latest~1`
    #[arg(default_value = "latest")]
    pub dataset: String,
    /// Let loader, app and store share CPUs; implied where the dataset's did
    #[arg(long, alias = "fit")]
    pub allow_shared_cpus: bool,
    /// Hide progress
    #[arg(long)]
    pub no_progress: bool,
    #[command(flatten)]
    pub neighbours: Neighbours,
    #[command(flatten)]
    pub fake: Fake,
    #[command(flatten)]
    pub judge: Judge,
    /// File to write [default: comparison.html with the datasets]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    #[command(flatten)]
    pub places: Places,
}

impl Reproduce {
    /// The same as a run: with nothing in place of what was recorded.
    pub(in crate::cli) fn as_run(&self, launcher: &str, may_share: bool, publish: bool) -> Run {
        Run {
            remeasure: false,
            allow_missing: false,
            allow_shared_cpus: self.allow_shared_cpus || may_share,
            strict: false,
            launcher: match launcher {
                "docker" => LauncherChoice::Docker,
                _ => LauncherChoice::Process,
            },
            publish,
            order: None,
            no_progress: self.no_progress,
            neighbours: self.neighbours.clone(),
            fake: self.fake.clone(),
            factors: Factors::default(),
            places: self.places.clone(),
        }
    }
}

#[derive(Debug, ClapArgs)]
pub(in crate::cli) struct Trend {
    /// Metric to show
    #[arg(value_parser = metric_parser())]
    pub metric: Metric,
    /// SQL condition on cases, such as `app = 'express'`
    #[arg(long = "where", value_name = "CONDITION")]
    pub condition: Option<String>,
    /// Dataset that the others have to be comparable with
    #[arg(long, alias = "like", value_name = "DATASET", default_value = "latest")]
    pub baseline: String,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
    /// Dataset store: a folder, s3://BUCKET/PREFIX, gs://… or az://…
    #[arg(long, value_name = "PLACE", env = "PERF_API_RESULTS", default_value = "results")]
    pub results: String,
}
