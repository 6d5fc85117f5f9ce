//! `perf-api trend`: a metric over every dataset that can be compared, and where it changed.

use std::process::ExitCode;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde_json::json;

use crate::app::{self, AppError, Trend, TrendRequest};
use crate::cli::args::{Format, ResultsArgs};
use crate::cli::location;
use crate::cli::output::{note, print, table};
use crate::model::Metric;
use crate::report::value_text;
use crate::stats::Change;

/// Fewer datasets have no history.
const MIN_DATASETS: usize = 6;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
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
    #[command(flatten)]
    pub results: ResultsArgs,
}

/// The metrics, so that the help lists them.
fn metric_parser() -> impl TypedValueParser<Value = Metric> {
    PossibleValuesParser::new(Metric::ALL.map(Metric::as_str))
        .try_map(|name| name.parse::<Metric>())
}

pub(in crate::cli) async fn execute(args: &Args) -> Result<ExitCode, AppError> {
    let store = args.results.open()?;
    let baseline = location::find(&store, &args.baseline).await?;
    let (metric, condition) = (args.metric, args.condition.clone());
    let trend = app::trend(&store, &TrendRequest { metric, baseline, condition }).await?;
    if args.format == Format::Json {
        return in_json(metric, &trend);
    }
    let Trend { sides, levels, changes, left_out } = &trend;
    let rows: Vec<Vec<String>> = sides
        .iter()
        .zip(levels)
        .enumerate()
        .map(|(place, (side, level))| {
            vec![
                side.manifest.started.to_string(),
                side.dataset.short(),
                level.map_or("–".to_owned(), |level| value_text(metric, level)),
                mark(changes, place).to_owned(),
            ]
        })
        .collect();
    print(&table(&["measured", "dataset", metric.title(), ""], &rows, 2))?;
    for change in changes.iter().filter(|change| change.date().is_none()) {
        note(&format!(
            "a change has no date: any of {} datasets may be the first after it",
            change.candidates.len()
        ));
    }
    if *left_out > 0 {
        note(&format!(
            "{left_out} datasets are not comparable with {} and are ignored",
            baseline.short()
        ));
    }
    let known = trend.known();
    if known < MIN_DATASETS {
        note(&format!(
            "finding a change needs at least {MIN_DATASETS} datasets; there are {known}"
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// What a dataset is to the changes.
fn mark(changes: &[Change], place: usize) -> &'static str {
    let is_candidate = |change: &&Change| change.candidates.contains(&place);
    match changes.iter().find(is_candidate) {
        Some(change) if change.date().is_some() => "← changed here",
        Some(_) => "← may have changed here",
        None => "",
    }
}

fn in_json(metric: Metric, trend: &Trend) -> Result<ExitCode, AppError> {
    let Trend { sides, levels, changes, .. } = trend;
    let points: Vec<_> = sides
        .iter()
        .zip(levels)
        .enumerate()
        .map(|(place, (side, level))| {
            json!({
                "dataset": side.dataset,
                "started_ms": side.manifest.started,
                "value": level,
                "is_change": changes.iter().any(|change| change.date() == Some(place)),
                "may_be_change": changes.iter().any(|change| change.candidates.contains(&place)),
            })
        })
        .collect();
    let text = serde_json::to_string_pretty(&json!({ "metric": metric, "points": points }));
    print(&(text.map_err(|error| AppError::new(error.to_string()))? + "\n"))?;
    Ok(ExitCode::SUCCESS)
}
