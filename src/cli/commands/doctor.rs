//! `perf-api doctor`: what of this host can disturb a measurement, and what to do about it.

use std::process::ExitCode;

use crate::app::{self, AppError, DoctorRequest};
use crate::cli::args::Format;
use crate::cli::environment::host_settings;
use crate::cli::output::{print, table};
use crate::model::Check;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Largest number of connections that the loader will open
    #[arg(long, value_name = "COUNT", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    pub connections: u32,
    /// Let the next run measure again which rate the loader can drive
    #[arg(long)]
    pub remeasure: bool,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

pub(in crate::cli) async fn execute(args: &Args) -> Result<ExitCode, AppError> {
    let (connections, remeasure) = (args.connections, args.remeasure);
    let request = DoctorRequest { connections, remeasure, host: host_settings() };
    let checks = app::doctor(&request).await?;
    let text = match args.format {
        Format::Table => as_text(&checks),
        Format::Json => {
            let text = serde_json::to_string_pretty(&checks);
            text.map_err(|error| AppError::new(error.to_string()))? + "\n"
        }
    };
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn as_text(checks: &[Check]) -> String {
    let row = |check: &Check| {
        vec![check.state.as_str().to_owned(), check.name.clone(), check.found.clone()]
    };
    let mut text =
        table(&["", "", "found"], &checks.iter().map(row).collect::<Vec<_>>(), usize::MAX);
    let doubtful = checks.iter().filter(|check| check.state.is_doubtful());
    for check in doubtful {
        text.push_str(&format!("\n{}: {}\n", check.name, check.why));
        if let Some(fix) = &check.fix {
            text.push_str(&format!("  {fix}\n"));
        }
    }
    text
}
