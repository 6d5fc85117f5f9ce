//! Searches for the highest rate that each stack sustains.

use std::time::Duration;

use super::AppError;
use super::environment::Machine;
use super::event::Observer;
use super::experiment::built_in;
use super::measure::{Job, Measured, execute};
use super::settings::RunSettings;
use crate::model::{
    Experiment, Limit, Order, QUANTILES, Quantile, Slo, is_supported, min_requests,
};
use crate::plan::{DURATION, MAX_REQUESTS, capacity_spec};
use crate::units::{HumanDuration, Rps};

/// How much higher each rate of the search is than the one below.
const STEP: f64 = 1.05;

/// What to search for, and how.
#[derive(Clone, Debug)]
pub struct CapacityRequest {
    /// The limits that have to be kept; several searches share their trials.
    pub slos: Vec<Slo>,
    /// How the run is made.
    pub settings: RunSettings,
}

/// Searches for the highest rate at which each stack keeps the limits.
///
/// # Errors
/// When the limits cannot be judged with such trials, or the run fails.
pub async fn capacity(
    request: &CapacityRequest,
    observer: &mut dyn Observer,
) -> Result<Measured, AppError> {
    let CapacityRequest { slos, settings } = request;
    let bundle = crate::bundle::read(&settings.bundle)?;
    if settings.order.is_some() || settings.overrides.retries.is_some() {
        return Err(AppError::new("a search chooses its own order and repetitions")
            .hint("leave out `--order` and `--retries`"));
    }
    let mut experiment = built_in(&capacity_spec(), &settings.overrides, &bundle, observer)?;
    if !experiment.profile.is_constant() {
        return Err(AppError::new("a search needs trials at a constant rate")
            .hint(format!("leave out `--profile {}`", experiment.profile.as_str())));
    }
    experiment.qps = ladder(&experiment.qps)?;
    experiment.slos.clone_from(slos);
    check_limits(&experiment)?;
    check_samples(&experiment)?;
    if experiment.trials().is_none() {
        return Err(AppError::new("the search is too large: too many stacks and rates")
            .hint("search fewer stacks, or a smaller range of rates: `--qps 1000,5000`"));
    }
    let machine = Machine::detect(settings.fake.as_ref())?;
    let job = Job { bundle: &bundle, experiment, order: Order::Search, machine: &machine };
    execute(job, settings, observer).await
}

/// Checks that a trial is long enough to tell whether a limit is kept, and to see a backlog grow.
fn check_limits(experiment: &Experiment) -> Result<(), AppError> {
    let most = experiment.duration.0 / SHORTEST;
    for slo in &experiment.slos {
        let too_long = slo
            .limits
            .iter()
            .any(|limit| matches!(limit, Limit::Latency { below, .. } if *below > most.into()));
        if too_long {
            return Err(AppError::new(format!(
                "trials of {} are too short to judge `{slo}`",
                experiment.duration
            ))
            .hint(format!("`--duration` has to be at least {SHORTEST} times the longest limit")));
        }
    }
    if experiment.repetitions < MIN_REPETITIONS {
        return Err(AppError::new(format!(
            "a search needs at least {MIN_REPETITIONS} repetitions of the deciding rates"
        ))
        .hint("leave out `--repetitions`, or raise it"));
    }
    Ok(())
}

/// Checks that the smallest trial has requests enough for each percentile that is limited: an SLO is
/// judged trial by trial.
fn check_samples(experiment: &Experiment) -> Result<(), AppError> {
    let (Some(&lowest), Some(&highest)) =
        (experiment.qps.iter().min(), experiment.qps.iter().max())
    else {
        return Ok(());
    };
    let duration = experiment.duration;
    let planned = lowest.offered(duration.0);
    let quantile = |figure: &str| QUANTILES.into_iter().find(|one| one.name == figure);
    for slo in &experiment.slos {
        for limit in &slo.limits {
            let Limit::Latency { figure, .. } = limit else { continue };
            let Some(Quantile { share: q, name, .. }) =
                quantile(figure).filter(|one| !is_supported(one.share, planned))
            else {
                continue;
            };
            let needed = min_requests(q);
            let longer = lowest.seconds_for(needed);
            let error = AppError::new(format!(
                "cannot judge `{slo}`: {} needs at least {needed} requests, and a trial of {duration} at {lowest} requests per second has {planned}: it would take {}",
                name.replace('_', "."),
                HumanDuration(longer),
            ));
            let hints = supporting(lowest, highest, duration.0, needed);
            return Err(hints.into_iter().fold(error, AppError::hint));
        }
    }
    Ok(())
}

/// What to type so that every trial has so many requests.
fn supporting(lowest: Rps, highest: Rps, duration: Duration, needed: u64) -> Vec<String> {
    let longer = lowest.seconds_for(needed);
    let mut hints = Vec::new();
    if DURATION.contains(&longer) && highest.offered(longer) <= MAX_REQUESTS {
        hints.push(format!("`--duration {}s` makes trials long enough", longer.as_secs()));
    }
    if let Some(higher) = lowest_rate(needed, duration).filter(|higher| *higher < highest) {
        hints.push(format!("`--qps {higher},{highest}` leaves out the rates that are too low"));
    }
    if hints.is_empty() {
        hints.push(match lowest_rate(needed, *DURATION.end()) {
            Some(rate) => format!(
                "limit a lower percentile, or search from {rate} requests per second upwards with `--duration {}s`",
                DURATION.end().as_secs()
            ),
            None => "limit a lower percentile".to_owned(),
        });
    }
    hints
}

/// The lowest whole rate with so many requests in a duration.
fn lowest_rate(needed: u64, duration: Duration) -> Option<Rps> {
    let rate = (u128::from(needed) * 1_000_000_000).checked_div(duration.as_nanos())?;
    let rate = u32::try_from(rate).ok()?;
    let rates = [rate, rate.saturating_add(1)].map(Rps::whole);
    rates.into_iter().find(|rate| rate.offered(duration) >= needed)
}

/// A trial has to be so many times as long as a latency that it is to judge.
const SHORTEST: u32 = 2;
/// A single short trial may be wrong: two of three decide.
const MIN_REPETITIONS: u32 = 3;

/// The rates between the lowest and the highest, each by a step above the one below.
fn ladder(ends: &[Rps]) -> Result<Vec<Rps>, AppError> {
    let (Some(&lowest), Some(&highest)) = (ends.iter().min(), ends.iter().max()) else {
        return Err(AppError::new("expected two rates to search between, found none"));
    };
    if lowest == highest {
        return Err(AppError::new("expected two rates to search between, found one")
            .hint("`--qps 400,20000` searches between these"));
    }
    // Between whole rates every rate is whole, and between others a multiple of 0.1/s.
    let is_whole = lowest.as_whole().is_some() && highest.as_whole().is_some();
    let unit = if is_whole { 1000 } else { 100 };
    let mut rates = vec![lowest];
    #[expect(clippy::cast_precision_loss, reason = "at most 10^8")]
    let (mut units, end) =
        (lowest.milli() as f64 / unit as f64, highest.milli() as f64 / unit as f64);
    while units < end {
        units = (units * STEP).max(units + 1.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "at most the highest rate, and then a step"
        )]
        let rate = Rps::from_milli(units.round() as u64 * unit);
        rates.push(rate.min(highest));
    }
    rates.dedup();
    Ok(rates)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::joined;

    #[test]
    fn the_ladder_climbs_by_steps_from_end_to_end() {
        let rates = |ends: &[&str]| {
            let ends: Vec<Rps> = ends.iter().map(|rate| rate.parse().unwrap()).collect();
            ladder(&ends).map(|rates| joined(&rates, ", "))
        };
        assert_eq!(rates(&["120", "100"]).unwrap(), "100, 105, 110, 116, 120");
        assert_eq!(rates(&["1", "4"]).unwrap(), "1, 2, 3, 4");
        assert_eq!(rates(&["0.5", "1"]).unwrap(), "0.5, 0.6, 0.7, 0.8, 0.9, 1");
        assert_eq!(rates(&["2", "2.25"]).unwrap(), "2, 2.1, 2.2, 2.25");
        assert!(rates(&["5"]).is_err());
    }
}
