//! What `--help` says beside the arguments.

use clap::{Command, CommandFactory};

use super::args::Args;
use crate::model::rules::Exit;

/// The whole command line, with its help.
pub(super) fn command() -> Command {
    Args::command().after_long_help(exit_codes())
}

fn exit_codes() -> String {
    let lines = Exit::ALL.map(|exit| format!("  {:>3}  {}\n", exit.number(), exit.meaning()));
    format!("Exit codes:\n{}", lines.concat())
}
