//! `perf-api ab`: two versions interleaved in one run, and the verdict on them.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::app::{AbOutcome, AbRequest, AppError, ab};
use crate::cli::args::{ComparisonArgs, RunArgs};
use crate::cli::comparison_formats::show_comparison;
use crate::cli::conclusion::{conclude_side, first_failure};
use crate::cli::output::note;
use crate::units::HumanDuration;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Bundle file, or component folder that replaces the one of its name
    pub before: PathBuf,
    /// Bundle file or component folder to compare it with
    pub after: PathBuf,
    /// Spec: `ab`, `quick`, `full`, or the path of a TOML file
    #[arg(long, default_value = "ab")]
    pub spec: String,
    /// End as soon as every group of cases has a verdict
    #[arg(long)]
    pub until_decided: bool,
    /// Longest time that `--until-decided` may take
    #[arg(
        long,
        alias = "max",
        value_name = "TIME",
        default_value = "1h",
        requires = "until_decided"
    )]
    pub max_duration: HumanDuration,
    #[command(flatten)]
    pub comparison: ComparisonArgs,
    /// File to write [default: comparison.html with the datasets]
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
        until_decided: args.until_decided.then_some(args.max_duration),
        comparison: args.comparison.settings(),
        settings: run.settings()?,
    };
    let AbOutcome { store, sides, interrupted, comparison } =
        ab(&request, &mut run.session.terminal()).await?;
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
