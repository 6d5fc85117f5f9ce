//! `perf-api resume`: go on with an interrupted run.

use std::process::ExitCode;

use crate::app::{AppError, ResumeOutcome, ResumeRequest, SideTrials, resume};
use crate::cli::args::{PlaceArgs, SessionArgs};
use crate::cli::conclusion::{Ending, conclude, conclude_side, first_failure};
use crate::cli::environment::host_settings;
use crate::cli::location::location;
use crate::cli::output::{Channel, note, print};
use crate::id::DatasetId;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Run, by the name of its folder in `journal`
    #[arg(default_value = "latest")]
    pub run: String,
    /// Continue although program, components or host differ, and record that
    #[arg(long)]
    pub force: bool,
    /// Count trials that are not ranked as failed
    #[arg(long)]
    pub strict: bool,
    #[command(flatten)]
    pub session: SessionArgs,
    #[command(flatten)]
    pub places: PlaceArgs,
}

pub(in crate::cli) async fn execute(args: &Args) -> Result<ExitCode, AppError> {
    let request = ResumeRequest {
        run: args.run.clone(),
        bundle: args.places.bundle.clone(),
        results: location(&args.places.results)?,
        force: args.force,
        neighbours: args.session.neighbours.settings(),
        host: host_settings(),
        fake: args.session.fake.settings(),
    };
    let outcome = resume(&request, &mut args.session.terminal()).await;
    let outcome = outcome.map_err(|error| args.places.with_resume_hint(error, args.strict))?;
    let (is_strict, results) = (args.strict, &*args.places.results);
    match outcome {
        ResumeOutcome::Completed(measured) => {
            conclude(&measured, Ending { is_strict, channel: Channel::Output, results })
        }
        ResumeOutcome::Sealed(sides) => conclude_sides(&sides, is_strict),
    }
}

/// Shows what is left of an interrupted comparison.
fn conclude_sides(
    sides: &[(DatasetId, SideTrials)],
    is_strict: bool,
) -> Result<ExitCode, AppError> {
    for (dataset, _) in sides {
        print(&format!("dataset {dataset}\n"))?;
    }
    match sides {
        [] => note("no block was completed on both sides: there is nothing to keep"),
        [(before, _), (after, _)] => note(&format!(
            "`perf-api report --compare {} {}` compares them",
            before.short(),
            after.short()
        )),
        _ => note("the other side has no unfinished run: it was sealed before, or never started"),
    }
    let conclude = |(_, trials): &(DatasetId, SideTrials)| {
        conclude_side(trials, "of an interrupted comparison", is_strict)
    };
    let codes: Vec<ExitCode> = sides.iter().map(conclude).collect();
    Ok(first_failure(&codes))
}
