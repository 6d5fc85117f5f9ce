//! What to do when another run measures on the same CPUs.

use std::path::PathBuf;

use clap::Args as ClapArgs;

#[derive(Clone, Debug, ClapArgs)]
pub(in crate::cli) struct Neighbours {
    /// Wait while another run uses the same CPUs
    #[arg(long)]
    pub wait: bool,
    /// Measure beside another run, and mark trials of both `host_busy`
    #[arg(long, conflicts_with = "wait")]
    pub allow_busy: bool,
    /// The folder in which runs of this machine reserve their CPUs
    #[arg(long, hide = true, value_name = "FOLDER", env = "PERF_API_RESERVATIONS")]
    pub reservations: Option<PathBuf>,
}
