//! `perf-api calibrate`: how small a difference this host can tell.

use std::process::ExitCode;

use super::compare::{calibration, side};
use super::conclude::conclude;
use super::experiment;
use super::run::execute;
use crate::cli::args;
use crate::cli::error::CliError;
use crate::cli::output::{print, table};
use crate::compare::{Calibration, MIN_SESSIONS, Side};
use crate::model::rules::ALPHA;
use crate::model::{Experiment, Metric};
use crate::stats::t_quantile;

/// For comparisons of as many repetitions on each side.
const REPETITIONS: usize = 5;

pub(in crate::cli) async fn calibrate(args: &args::Run) -> Result<ExitCode, CliError> {
    let bundle = crate::bundle::read(&args.places.bundle)?;
    let experiment =
        Experiment { is_calibration: true, ..experiment("calibrate", &args.factors, &bundle)? };
    let (store, summary) = execute(&bundle, experiment, args.order(), args, false).await?;
    let id = summary.dataset;
    let code = conclude(&store, summary, args.ending()).await?;
    let side = side(&store, id, None).await?;
    print(&noise_table(&side))?;
    let known = calibration(&store, &side.manifest, &[]).await?;
    print(&between_runs(known.as_ref()))?;
    Ok(code)
}

/// By how much two separate runs differ although nothing changed.
fn between_runs(known: Option<&Calibration>) -> String {
    let sessions = known.map_or(0, Calibration::sessions);
    let swings: Vec<String> = known
        .into_iter()
        .flat_map(|known| {
            Metric::ALL.map(|metric| (metric, known.between_runs(metric, REPETITIONS)))
        })
        .filter_map(|(metric, scatter)| {
            let scatter = scatter?;
            let most =
                (scatter.variance.sqrt() * t_quantile(1.0 - ALPHA / 2.0, scatter.df)).exp_m1();
            Some(format!("{metric} {:.1} %", most * 100.0))
        })
        .collect();
    match swings.is_empty() {
        true => format!(
            "\nThis host has been calibrated {sessions} of {MIN_SESSIONS} times. With the others, on other days, comparisons of separate runs know by how much such runs differ although nothing changed.\n"
        ),
        false => format!(
            "\nFrom {sessions} calibrations of this host: although nothing changed, two separate runs of {REPETITIONS} repetitions differ by up to (19 times in 20)\n  {}\n",
            swings.join(", ")
        ),
    }
}

/// The smallest change of each metric that can be told, by case.
fn noise_table(side: &Side) -> String {
    let metrics = Metric::ALL.into_iter().filter(|metric| *metric != Metric::Errors);
    let mut header = vec!["case", "trials"];
    header.extend(metrics.clone().map(Metric::as_str));
    let rows = side.samples.chunk_by(|a, b| a.case == b.case).map(|own| {
        let case = &own[0].case;
        let alone = Side { samples: own.to_vec(), ..side.clone() };
        let noise = Calibration::of(&[alone]);
        let floor = |metric| noise.as_ref()?.floor(metric, case.target_rps, REPETITIONS);
        let valid = own.iter().filter(|sample| sample.is_valid).count();
        let mut row = vec![case.to_string(), valid.to_string()];
        row.extend(metrics.clone().map(|metric| {
            floor(metric)
                .map_or("–".to_owned(), |ratio| format!("{:.1} %", (ratio - 1.0) * 100.0))
        }));
        row
    });
    format!(
        "\nThe smallest change that {REPETITIONS} repetitions against {REPETITIONS} can tell on this host, four times in five:\n{}",
        table(&header, &rows.collect::<Vec<_>>(), 1)
    )
}
