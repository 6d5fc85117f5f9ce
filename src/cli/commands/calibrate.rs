//! `perf-api calibrate`: how small a difference this host can show.

use std::process::ExitCode;

use crate::app::{AppError, CALIBRATED_REPETITIONS, Calibrated, calibrate};
use crate::cli::args::RunArgs;
use crate::cli::conclusion::{Ending, conclude};
use crate::cli::output::{print, table};
use crate::compare::MIN_SESSIONS;

pub(in crate::cli) async fn execute(args: &RunArgs) -> Result<ExitCode, AppError> {
    let calibrated = calibrate(&args.settings()?, &mut args.session.terminal()).await;
    let calibrated =
        calibrated.map_err(|error| args.places.with_resume_hint(error, args.strict))?;
    let code = conclude(&calibrated.measured, Ending::of(args))?;
    print(&noise_table(&calibrated))?;
    print(&between_runs(&calibrated))?;
    Ok(code)
}

/// By how much two separate runs differ although nothing changed.
fn between_runs(calibrated: &Calibrated) -> String {
    let sessions = calibrated.sessions;
    let spreads = calibrated.between_runs.iter();
    let spreads: Vec<String> =
        spreads.map(|(metric, share)| format!("{metric} {:.1} %", share * 100.0)).collect();
    match spreads.is_empty() {
        true => format!(
            "\nThis host has been calibrated {sessions} of {MIN_SESSIONS} times. With the others, on other days, comparisons of separate runs know by how much such runs differ although nothing changed.\n"
        ),
        false => format!(
            "\nFrom {sessions} calibrations of this host: although nothing changed, two separate runs of {CALIBRATED_REPETITIONS} repetitions differ by up to (19 times in 20)\n  {}\n",
            spreads.join(", ")
        ),
    }
}

/// The smallest change of each metric that can be shown, by case.
fn noise_table(calibrated: &Calibrated) -> String {
    let metrics = calibrated.noise.first().map_or(&[][..], |case| &case.floors);
    let mut header = vec!["case", "trials"];
    header.extend(metrics.iter().map(|(metric, _)| metric.as_str()));
    let rows = calibrated.noise.iter().map(|one| {
        let mut row = vec![one.case.to_string(), one.valid.to_string()];
        row.extend(one.floors.iter().map(|(_, floor)| {
            floor.map_or("–".to_owned(), |share| format!("{:.1} %", share * 100.0))
        }));
        row
    });
    format!(
        "\nThe smallest change that {CALIBRATED_REPETITIONS} repetitions against {CALIBRATED_REPETITIONS} can tell on this host, four times in five:\n{}",
        table(&header, &rows.collect::<Vec<_>>(), 1)
    )
}
