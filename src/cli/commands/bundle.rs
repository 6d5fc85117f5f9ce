//! `perf-api bundle`: pin component folders.

use std::process::ExitCode;

use crate::cli::args;
use crate::cli::error::CliError;
use crate::cli::output::{note, print, table};

pub(in crate::cli) fn bundle(args: &args::Bundle) -> Result<ExitCode, CliError> {
    let bundle = crate::bundle::make(&args.provider, &args.folders, args.images.as_deref())?;
    crate::bundle::write(&bundle, &args.output)?;
    let rows: Vec<Vec<String>> = bundle
        .components
        .iter()
        .map(|component| {
            let state = match &component.unavailable {
                Some(unavailable) => format!("missing: {}", unavailable.reason),
                None => component.version.clone().unwrap_or_default(),
            };
            let image = component.container.as_ref();
            vec![
                component.name.to_string(),
                component.kind.to_string(),
                component.identity.short(),
                image.map_or_else(|| "–".to_owned(), |one| one.image.reference.clone()),
                state,
            ]
        })
        .collect();
    note(&table(&["component", "kind", "identity", "image", "version"], &rows, usize::MAX));
    print(&format!("{}\n", bundle.id))?;
    Ok(ExitCode::SUCCESS)
}
