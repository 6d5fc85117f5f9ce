//! `perf-api doctor`: what of this host can disturb a measurement, and what to do about it.

use std::path::Path;
use std::process::ExitCode;

use bollard::Docker;

use crate::cli::args::{self, Format};
use crate::cli::docker;
use crate::cli::error::CliError;
use crate::cli::floors::{Floor, Floors, Setting, forget};
use crate::cli::output::{print, table};
use crate::clock::Clock;
use crate::host::{CheckInput, Topology, examine, fingerprint, raise_open_file_limit};
use crate::launch::{connect, version};
use crate::load::{LoadDriver, OhaLoad};
use crate::model::{Check, State};

pub(in crate::cli) async fn doctor(args: &args::Doctor) -> Result<ExitCode, CliError> {
    if args.remeasure {
        forget()?;
    }
    let engine = connect(&docker::hosts()).await.ok();
    let mut checks = look(args.connections, engine.as_ref()).await?;
    checks.extend(loader_rates()?);
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
    let asked = CheckInput {
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

/// What the loader was seen to drive on this host, by connections and CPUs.
fn loader_rates() -> Result<Vec<Check>, CliError> {
    let host = fingerprint(&Topology::detect()?)?;
    let floors = Floors::read(Clock::System.now());
    let known = floors.of_host(&host.class(), &OhaLoad.name());
    let check = |state, found| Check {
        name: "loader rate".to_owned(),
        state,
        found,
        why: "above what the loader can drive, a trial measures the loader".to_owned(),
        fix: None,
    };
    if known.is_empty() {
        return Ok(vec![check(State::Unknown, "not known: the next run measures it".to_owned())]);
    }
    let found = |floor: &&Floor| {
        let Setting { connections, loader, app, .. } = &floor.setting;
        let connections = counted_connections(*connections);
        format!(
            "at least {} requests/s with {connections}, loader on CPUs {loader}, app on CPUs {app}",
            floor.rps
        )
    };
    Ok(known.iter().map(|floor| check(State::Ok, found(floor))).collect())
}

fn counted_connections(count: u32) -> String {
    if count == 1 { "1 connection".to_owned() } else { format!("{count} connections") }
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
