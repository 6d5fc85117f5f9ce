//! `perf-api reproduce`: measure a dataset again from what it recorded, and compare old with new.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::app::{AppError, ReproduceRequest, Reproduced, reproduce};
use crate::cli::args::{ComparisonArgs, PlaceArgs, SessionArgs};
use crate::cli::comparison_formats::show_comparison;
use crate::cli::conclusion::{Ending, conclude, first_failure};
use crate::cli::environment::host_settings;
use crate::cli::location;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Dataset: a tag, 6 or more digits of its id, `latest` or `latest~1`
    #[arg(default_value = "latest")]
    pub dataset: String,
    /// Let loader, app and store share CPUs; implied where the dataset's did
    #[arg(long, alias = "fit")]
    pub allow_shared_cpus: bool,
    #[command(flatten)]
    pub session: SessionArgs,
    #[command(flatten)]
    pub comparison: ComparisonArgs,
    /// File to write [default: comparison.html with the datasets]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    #[command(flatten)]
    pub places: PlaceArgs,
}

pub(in crate::cli) async fn execute(args: &Args) -> Result<ExitCode, AppError> {
    let store = location::open(&args.places.results)?;
    let recorded = location::find(&store, &args.dataset).await?;
    let request = ReproduceRequest {
        dataset: recorded,
        bundle: args.places.bundle.clone(),
        share_cpus: args.allow_shared_cpus,
        comparison: args.comparison.settings(),
        neighbours: args.session.neighbours.settings(),
        host: host_settings(),
        fake: args.session.fake.settings(),
    };
    let reproduced = reproduce(&store, &request, &mut args.session.terminal()).await;
    let Reproduced { measured, comparison } =
        reproduced.map_err(|error| args.places.with_resume_hint(error, false))?;
    let channel = args.comparison.channel();
    let ending = Ending { is_strict: false, channel, results: &args.places.results };
    let code = conclude(&measured, ending)?;
    let Some(comparison) = comparison else {
        channel.print("the new dataset has the same bytes: there is nothing to compare\n")?;
        return Ok(code);
    };
    let again = measured.report.dataset.short();
    channel.print(&format!("\n{} → {again}\n", recorded.short()))?;
    let (format, output) = (args.comparison.format, args.output.as_deref());
    let verdict = show_comparison(&store, &comparison?, format, output)?.code;
    // Failed trials are worse than a verdict.
    Ok(first_failure(&[code, verdict]))
}
