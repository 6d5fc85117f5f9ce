//! `perf-api capacity`: the highest rate that each stack sustains.

use std::process::ExitCode;

use super::checked;
use super::measure::conclude;
use super::run::execute;
use crate::cli::args::{self, OrderChoice};
use crate::cli::error::CliError;
use crate::model::{Experiment, Limit, Order};
use crate::plan::capacity_spec;

/// How much higher each rate of the search is than the one below.
const STEP: f64 = 1.05;

pub(in crate::cli) async fn capacity(args: &args::Capacity) -> Result<ExitCode, CliError> {
    let run = &args.run;
    let bundle = crate::bundle::read(&run.places.bundle)?;
    if run.order != OrderChoice::Randomised || run.factors.retries.is_some() {
        return Err(CliError::new("a search has its own order, and repeats what it has to")
            .hint("leave out `--order` and `--retries`"));
    }
    let mut experiment = checked(&capacity_spec(), &run.factors, &bundle)?;
    experiment.qps = ladder(&experiment.qps)?;
    experiment.slos.clone_from(&args.slo);
    check_limits(&experiment)?;
    if experiment.trials().is_none() {
        return Err(CliError::new("so many stacks and rates make too large a search")
            .hint("search fewer stacks, or between rates that are closer: `--qps 1000,5000`"));
    }
    let (store, summary) = execute(&bundle, experiment, Order::Search, run, false).await?;
    conclude(&store, summary, run.strict).await
}

/// Checks that a trial is long enough to tell whether a limit is kept, and to see a backlog grow.
fn check_limits(experiment: &Experiment) -> Result<(), CliError> {
    let most = experiment.duration.0 / SHORTEST;
    for slo in &experiment.slos {
        let too_long = slo
            .limits
            .iter()
            .any(|limit| matches!(limit, Limit::Latency { below, .. } if *below > most.into()));
        if too_long {
            return Err(CliError::new(format!(
                "trials of {} cannot tell whether `{slo}` is kept",
                experiment.duration
            ))
            .hint(format!("`--duration` has to be {SHORTEST} times the longest limit, or more")));
        }
    }
    if experiment.repetitions < LEAST_REPETITIONS {
        return Err(CliError::new(format!(
            "what stands at the ends of an answer is tried up to {LEAST_REPETITIONS} times"
        ))
        .hint("leave out `--repetitions`, or give more"));
    }
    Ok(())
}

/// A trial has to be so many times as long as a latency that it is to judge.
const SHORTEST: u32 = 2;
/// A single short trial may be wrong: two of three decide.
const LEAST_REPETITIONS: u32 = 3;

/// The rates between the lowest and the highest, each by a step above the one below.
fn ladder(ends: &[u32]) -> Result<Vec<u32>, CliError> {
    let (Some(&lowest), Some(&highest)) = (ends.iter().min(), ends.iter().max()) else {
        return Err(CliError::new("there is no rate to search between"));
    };
    if lowest == highest {
        return Err(CliError::new("a search goes from one rate to another, and there is one only")
            .hint("`--qps 100,20000` searches between these"));
    }
    let mut rates = vec![lowest];
    let mut rate = f64::from(lowest);
    while rate < f64::from(highest) {
        rate = (rate * STEP).max(rate + 1.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "at most the highest rate"
        )]
        rates.push(rate.min(f64::from(highest)).round() as u32);
    }
    rates.dedup();
    Ok(rates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ladder_climbs_by_steps_from_end_to_end() {
        assert_eq!(ladder(&[120, 100]).unwrap(), [100, 105, 110, 116, 120]);
        assert_eq!(ladder(&[1, 4]).unwrap(), [1, 2, 3, 4]);
        assert!(ladder(&[5]).is_err());
    }
}
