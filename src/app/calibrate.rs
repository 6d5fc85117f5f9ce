//! Measures one stack against itself: how small a difference this host can show.

use super::AppError;
use super::compare::{calibration, side};
use super::environment::Machine;
use super::event::Observer;
use super::experiment::experiment;
use super::measure::{Job, Measured, execute};
use super::settings::RunSettings;
use crate::compare::{Calibration, Side};
use crate::model::rules::ALPHA;
use crate::model::{Case, Experiment, Metric};
use crate::stats::t_quantile;

/// The noise is given for comparisons of as many repetitions on each side.
pub const CALIBRATED_REPETITIONS: usize = 5;

/// What came of a calibration.
#[derive(Debug)]
pub struct Calibrated {
    /// The run.
    pub measured: Measured,
    /// The noise of each case.
    pub noise: Vec<CaseNoise>,
    /// How often this host has been calibrated.
    pub sessions: usize,
    /// By what share two separate runs differ, 19 times in 20, although nothing changed; for each metric
    /// for which that is known.
    pub between_runs: Vec<(Metric, f64)>,
}

/// The smallest changes that can be shown in one case.
#[derive(Clone, Debug)]
pub struct CaseNoise {
    /// The case.
    pub case: Case,
    /// Its valid trials.
    pub valid: usize,
    /// The smallest change of each metric, as a share; `None` where it is unknown.
    pub floors: Vec<(Metric, Option<f64>)>,
}

/// Measures the noise of this host.
///
/// # Errors
/// When the run fails, or its dataset cannot be read.
pub async fn calibrate(
    settings: &RunSettings,
    observer: &mut dyn Observer,
) -> Result<Calibrated, AppError> {
    let bundle = crate::bundle::read(&settings.bundle)?;
    let experiment = experiment("calibrate", &settings.overrides, &bundle, observer)?;
    let experiment = Experiment { is_calibration: true, ..experiment };
    let machine = Machine::detect(settings.fake.as_ref())?;
    let job = Job { bundle: &bundle, experiment, order: settings.order(), machine: &machine };
    let measured = execute(job, settings, observer).await?;
    let side = side(&measured.store, measured.report.dataset, None).await?;
    let known = calibration(&measured.store, &side.manifest, &[]).await?;
    Ok(Calibrated {
        noise: noise(&side),
        sessions: known.as_ref().map_or(0, Calibration::sessions),
        between_runs: known.as_ref().map_or_else(Vec::new, between_runs),
        measured,
    })
}

fn between_runs(known: &Calibration) -> Vec<(Metric, f64)> {
    let spread = |metric| {
        let scatter = known.between_runs(metric, CALIBRATED_REPETITIONS)?;
        let share = (scatter.variance.sqrt() * t_quantile(1.0 - ALPHA / 2.0, scatter.df)).exp_m1();
        Some((metric, share))
    };
    Metric::ALL.into_iter().filter_map(spread).collect()
}

fn noise(side: &Side) -> Vec<CaseNoise> {
    let cases = side.samples.chunk_by(|a, b| a.case == b.case);
    let noise_of_case = |own: &[crate::model::Sample]| {
        let case = own[0].case.clone();
        let alone = Side { samples: own.to_vec(), ..side.clone() };
        let noise = Calibration::of(&[alone]);
        let floor = |metric| {
            let ratio = noise.as_ref()?.floor(metric, case.target_rps, CALIBRATED_REPETITIONS)?;
            Some(ratio - 1.0)
        };
        let metrics = Metric::ALL.into_iter().filter(|metric| *metric != Metric::Errors);
        CaseNoise {
            valid: own.iter().filter(|sample| sample.is_valid).count(),
            floors: metrics.map(|metric| (metric, floor(metric))).collect(),
            case,
        }
    };
    cases.map(noise_of_case).collect()
}
