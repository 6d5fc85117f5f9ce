//! `perf-api doctor`: what of this host can disturb a measurement, and what to do about it.

use std::path::Path;
use std::process::ExitCode;

use crate::cli::args::{self, Format};
use crate::cli::docker;
use crate::cli::error::CliError;
use crate::cli::output::{print, table};
use crate::host::{Asked, Check, State, examine, raise_open_file_limit, worst};
use crate::launch::{connect, version};
use crate::load::{LoadDriver, OhaLoad};

pub(in crate::cli) async fn doctor(args: &args::Doctor) -> Result<ExitCode, CliError> {
    let checks = examine(Path::new("/"), &asked(args.connections).await?);
    let text = match args.format {
        Format::Table => in_words(&checks),
        Format::Json => {
            let text = serde_json::to_string_pretty(&checks);
            text.map_err(|error| CliError::new(error.to_string()))? + "\n"
        }
    };
    print(&text)?;
    Ok(match worst(&checks) {
        State::Bad => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    })
}

/// What no file tells.
async fn asked(connections: u32) -> Result<Asked, CliError> {
    let docker = match connect(&docker::hosts()).await {
        Ok(engine) => version(&engine).await,
        Err(_) => None,
    };
    let loader = OhaLoad.name();
    let (name, release) = loader.split_once(' ').unwrap_or((&loader, ""));
    Ok(Asked {
        open_files: raise_open_file_limit()?,
        connections,
        docker,
        versions: vec![
            ("perf-api".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
            (name.to_owned(), release.to_owned()),
        ],
    })
}

fn in_words(checks: &[Check]) -> String {
    let row = |check: &Check| {
        vec![check.state.as_str().to_owned(), check.name.clone(), check.found.clone()]
    };
    let mut text =
        table(&["", "", "found"], &checks.iter().map(row).collect::<Vec<_>>(), usize::MAX);
    let doubtful = checks.iter().filter(|check| matches!(check.state, State::Warn | State::Bad));
    for check in doubtful {
        text.push_str(&format!("\n{}: {}\n", check.name, check.why));
        if let Some(fix) = &check.fix {
            text.push_str(&format!("  {fix}\n"));
        }
    }
    text
}
