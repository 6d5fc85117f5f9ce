//! `perf-api doctor`: what of this host can disturb a measurement, and what to do about it.

use std::path::Path;
use std::process::ExitCode;

use bollard::Docker;

use crate::cli::args::{self, Format};
use crate::cli::docker;
use crate::cli::error::CliError;
use crate::cli::output::{print, table};
use crate::host::{Asked, examine, raise_open_file_limit};
use crate::launch::{connect, version};
use crate::load::{LoadDriver, OhaLoad};
use crate::model::Check;

pub(in crate::cli) async fn doctor(args: &args::Doctor) -> Result<ExitCode, CliError> {
    let engine = connect(&docker::hosts()).await.ok();
    let checks = look(args.connections, engine.as_ref()).await?;
    let text = match args.format {
        Format::Table => in_words(&checks),
        Format::Json => {
            let text = serde_json::to_string_pretty(&checks);
            text.map_err(|error| CliError::new(error.to_string()))? + "\n"
        }
    };
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// Looks at this host, which is to hold so many connections.
pub(in crate::cli) async fn look(
    connections: u32,
    engine: Option<&Docker>,
) -> Result<Vec<Check>, CliError> {
    let loader = OhaLoad.name();
    let (name, release) = loader.split_once(' ').unwrap_or((&loader, ""));
    let asked = Asked {
        open_files: raise_open_file_limit()?,
        connections,
        docker: match engine {
            Some(engine) => version(engine).await,
            None => None,
        },
        versions: vec![
            ("perf-api".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
            (name.to_owned(), release.to_owned()),
        ],
    };
    Ok(examine(Path::new("/"), &asked))
}

fn in_words(checks: &[Check]) -> String {
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
