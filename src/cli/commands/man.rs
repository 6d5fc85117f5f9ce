//! `perf-api man`: manual pages.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Command;

use crate::app::AppError;
use crate::cli::output::print;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Folder to write a page for each command to [default: print the main page]
    #[arg(value_name = "FOLDER")]
    pub folder: Option<PathBuf>,
}

pub(in crate::cli) fn execute(args: &Args, command: Command) -> Result<ExitCode, AppError> {
    match &args.folder {
        Some(folder) => write(folder, command).map_err(|error| {
            AppError::new(format!("cannot write manual pages to {}: {error}", folder.display()))
        })?,
        None => {
            let mut page = Vec::new();
            let made = clap_mangen::Man::new(command).render(&mut page);
            made.map_err(|error| AppError::new(format!("cannot make the manual page: {error}")))?;
            print(&String::from_utf8_lossy(&page))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn write(folder: &Path, command: Command) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    clap_mangen::generate_to(command, folder)
}
