//! `perf-api calibrate`: how small a difference this host can tell.

use std::process::ExitCode;

use super::experiment;
use super::measure::conclude;
use super::run::execute;
use crate::cli::args;
use crate::cli::error::CliError;
use crate::cli::output::{print, table};
use crate::model::Case;
use crate::query::{Dataset, METRICS, TrialFigures, Trust};
use crate::stats::smallest_ratio;

/// For comparisons of as many repetitions on each side.
const REPETITIONS: u32 = 5;

pub(in crate::cli) async fn calibrate(args: &args::Run) -> Result<ExitCode, CliError> {
    let bundle = crate::bundle::read(&args.places.bundle)?;
    let experiment = experiment("calibrate", &args.factors, &bundle)?;
    let (store, summary) = execute(&bundle, experiment, args.order.into(), args, false).await?;
    let id = summary.dataset;
    let code = conclude(&store, summary, args.strict).await?;
    let dataset = Dataset::open(&store, id, Trust::Verify).await?;
    print(&noise_table(&dataset.figures().await?))?;
    Ok(code)
}

/// The smallest change of each metric that can be told, by case.
fn noise_table(figures: &[(Case, TrialFigures)]) -> String {
    let mut header = vec!["case", "trials"];
    header.extend(METRICS.map(|(_, title)| title));
    let rows = figures.chunk_by(|a, b| a.0 == b.0).map(|own| {
        let mut row = vec![own[0].0.to_string(), own.len().to_string()];
        row.extend((0..METRICS.len()).map(|metric| {
            let samples: Option<Vec<f64>> =
                own.iter().map(|(_, figures)| figures[metric]).collect();
            let ratio = samples.and_then(|samples| smallest_ratio(&samples, REPETITIONS));
            ratio.map_or("–".to_owned(), |ratio| format!("{:.1} %", (ratio - 1.0) * 100.0))
        }));
        row
    });
    format!(
        "\nThe smallest change that {REPETITIONS} repetitions against {REPETITIONS} can tell on this host, four times in five:\n{}",
        table(&header, &rows.collect::<Vec<_>>(), 1)
    )
}
