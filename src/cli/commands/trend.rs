//! `perf-api trend`: a metric over every dataset that can be compared, and where it changed.

use std::process::ExitCode;

use serde_json::json;

use super::compare::side;
use crate::cli::error::CliError;
use crate::cli::output::{note, print, table};
use crate::cli::{args, location};
use crate::compare::{Side, is_comparable, levels, noted};
use crate::model::Metric;
use crate::model::rules::ALPHA;
use crate::report::value_text;
use crate::stats::{Change, change_dates, change_points};

/// Fewer datasets have no history.
const MIN_DATASETS: usize = 6;

pub(in crate::cli) async fn trend(args: &args::Trend) -> Result<ExitCode, CliError> {
    let store = location::open(&args.results)?;
    let baseline = location::find(&store, &args.baseline).await?;
    let baseline = side(&store, baseline, args.condition.as_deref()).await?;
    let mut sides: Vec<Side> = Vec::new();
    let mut left_out = 0;
    for listed in store.list().await? {
        if listed.manifest.is_err() {
            left_out += 1;
            continue;
        }
        let is_of_a_pair = listed.manifest.as_ref().is_ok_and(|one| one.interleaved.is_some());
        if is_of_a_pair && listed.id != baseline.dataset {
            left_out += 1;
            continue;
        }
        let one = side(&store, listed.id, args.condition.as_deref()).await?;
        match is_comparable(&noted(&one, &baseline)) {
            true => sides.push(one),
            false => left_out += 1,
        }
    }
    sides.sort_by_key(|side| (side.manifest.started, side.dataset));
    let levels = levels(&sides, &baseline, args.metric);
    let known: Vec<(usize, f64)> =
        levels.iter().enumerate().filter_map(|(place, level)| Some((place, (*level)?))).collect();
    // Changes are ratios; of shares that may be zero, differences.
    let scaled = |level: f64| if args.metric == Metric::Errors { level } else { level.ln() };
    let series: Vec<f64> = known.iter().map(|(_, level)| scaled(*level)).collect();
    let found = change_dates(&series, &change_points(&series, ALPHA, 1));
    let in_sides = |change: &Change| Change {
        candidates: change.candidates.iter().map(|&place| known[place].0).collect(),
    };
    let changes: Vec<Change> = found.iter().map(in_sides).collect();
    if args.format == args::Format::Json {
        return in_json(args, &sides, &levels, &changes);
    }
    let rows: Vec<Vec<String>> = sides
        .iter()
        .zip(&levels)
        .enumerate()
        .map(|(place, (side, level))| {
            vec![
                side.manifest.started.to_string(),
                side.dataset.short(),
                level.map_or("–".to_owned(), |level| value_text(args.metric, level)),
                mark(&changes, place).to_owned(),
            ]
        })
        .collect();
    print(&table(&["measured", "dataset", args.metric.title(), ""], &rows, 2))?;
    for change in changes.iter().filter(|change| change.date().is_none()) {
        note(&format!(
            "a change has no date: {} datasets fit equally well as the first after it",
            change.candidates.len()
        ));
    }
    if left_out > 0 {
        note(&format!(
            "{left_out} datasets cannot be compared with {} and are left out",
            baseline.dataset.short()
        ));
    }
    if known.len() < MIN_DATASETS {
        note(&format!(
            "a change is looked for in {MIN_DATASETS} datasets or more, and there are {}",
            known.len()
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

fn in_json(
    args: &args::Trend,
    sides: &[Side],
    levels: &[Option<f64>],
    changes: &[Change],
) -> Result<ExitCode, CliError> {
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
    let text = serde_json::to_string_pretty(&json!({ "metric": args.metric, "points": points }));
    print(&(text.map_err(|error| CliError::new(error.to_string()))? + "\n"))?;
    Ok(ExitCode::SUCCESS)
}
