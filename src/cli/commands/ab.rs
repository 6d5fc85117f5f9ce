//! `perf-api ab`: two versions interleaved in one run, and the verdict on them.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::app::{AbOutcome, AbRequest, AppError, ab};
use crate::cli::args::{ComparisonArgs, RunArgs};
use crate::cli::comparison::show_comparison;
use crate::cli::conclusion::{conclude_side, first_failure};
use crate::cli::output::note;
use crate::cli::progress::Terminal;
use crate::units::HumanDuration;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// A bundle file, or a component folder that takes the place of the one of its name
    pub before: PathBuf,
    /// What it is compared with: a bundle file or a component folder as well
    pub after: PathBuf,
    /// What to measure: `ab`, `quick`, `full`, or the path of a spec file
    #[arg(long, default_value = "ab")]
    pub spec: String,
    /// End as soon as every group of cases has a verdict, and at the latest after `--max`
    #[arg(long)]
    pub until_decided: bool,
    /// The most time for that
    #[arg(long, value_name = "TIME", default_value = "1h", requires = "until_decided")]
    pub max: HumanDuration,
    #[command(flatten)]
    pub comparison: ComparisonArgs,
    /// The file to write; by default `comparison.html` in the results folder
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    #[command(flatten)]
    pub run: RunArgs,
}

pub(in crate::cli) async fn execute(args: &Args) -> Result<ExitCode, AppError> {
    let run = &args.run;
    let request = AbRequest {
        before: args.before.clone(),
        after: args.after.clone(),
        spec: args.spec.clone(),
        until_decided: args.until_decided.then_some(args.max),
        comparison: args.comparison.settings(),
        settings: run.settings()?,
    };
    let AbOutcome { store, sides, interrupted, comparison } =
        ab(&request, &mut Terminal::new(run.no_progress)).await?;
    if let Some(reason) = interrupted {
        note(&format!("{reason}: complete blocks are kept and compared"));
    }
    let [(before, trials_before), (after, trials_after)] = &sides;
    let channel = args.comparison.channel();
    channel.print(&format!("dataset {before} (before)\ndataset {after} (after)\n\n"))?;
    let (format, output) = (args.comparison.format, args.output.as_deref());
    let verdict = show_comparison(&store, &comparison?, format, output)?.code;
    let before = conclude_side(trials_before, "before", run.strict);
    let after = conclude_side(trials_after, "after", run.strict);
    // Failed trials are worse than a verdict.
    Ok(first_failure(&[before, after, verdict]))
}
