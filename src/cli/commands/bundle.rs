//! `perf-api bundle`: pin component folders.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::app::AppError;
use crate::cli::output::{note, print, table};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Component folders, each with a component.toml
    #[arg(required = true)]
    pub folders: Vec<PathBuf>,
    /// File to write
    #[arg(short, long, value_name = "FILE", default_value = "bundle.json")]
    pub output: PathBuf,
    /// Folder of images that `tools/make-images` made
    #[arg(long, value_name = "FOLDER")]
    pub images: Option<PathBuf>,
    /// Name of the tool that makes the bundle
    #[arg(long, value_name = "NAME", default_value = "make")]
    pub provider: String,
}

pub(in crate::cli) fn execute(args: &Args) -> Result<ExitCode, AppError> {
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
