//! `perf-api calibrate`: how small a difference this host can tell.

use std::process::ExitCode;

use super::compare::calibration;
use super::experiment;
use super::measure::conclude;
use super::run::execute;
use crate::cli::args;
use crate::cli::error::CliError;
use crate::cli::output::{print, table};
use crate::compare::{Calibration, LEAST_SESSIONS};
use crate::model::{Case, Metric};
use crate::query::{Dataset, METRICS, TrialFigures, Trust};
use crate::stats::{smallest_ratio, t_quantile};

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
    let known = calibration(&store, &store.manifest(id).await?, &[]).await?;
    print(&between_runs(known.as_ref()))?;
    Ok(code)
}

/// By how much two separate runs differ although nothing changed.
fn between_runs(known: Option<&Calibration>) -> String {
    let sessions = known.map_or(0, Calibration::sessions);
    let repetitions = usize::try_from(REPETITIONS).unwrap_or(usize::MAX);
    let swings: Vec<String> = known
        .into_iter()
        .flat_map(|known| {
            Metric::ALL.map(|metric| (metric, known.between_runs(metric, repetitions)))
        })
        .filter_map(|(metric, scatter)| {
            let scatter = scatter?;
            let most = (scatter.variance.sqrt() * t_quantile(0.975, scatter.df)).exp_m1();
            Some(format!("{metric} {:.1} %", most * 100.0))
        })
        .collect();
    match swings.is_empty() {
        true => format!(
            "\nThis host has been calibrated {sessions} of {LEAST_SESSIONS} times. With the others, on other days, comparisons of separate runs know by how much such runs differ although nothing changed.\n"
        ),
        false => format!(
            "\nFrom {sessions} calibrations of this host: although nothing changed, two separate runs of {REPETITIONS} repetitions differ by up to (19 times in 20)\n  {}\n",
            swings.join(", ")
        ),
    }
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
