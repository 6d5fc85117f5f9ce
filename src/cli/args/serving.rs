//! What can be typed to show results in a browser.

use std::net::SocketAddr;

use clap::Args as ClapArgs;

use crate::cli::serve::parse_host;

#[derive(Debug, ClapArgs)]
pub(in crate::cli) struct Serve {
    /// Loopback address to listen at; port 0 selects a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8321")]
    pub listen: SocketAddr,
    /// Additional host name to accept, as behind a proxy
    #[arg(long, value_name = "NAME", value_parser = parse_host)]
    pub allow_host: Vec<String>,
    /// Open the page in a browser
    #[arg(long)]
    pub open: bool,
    /// Dataset store: a folder, s3://BUCKET/PREFIX, gs://… or az://…
    #[arg(long, value_name = "PLACE", env = "PERF_API_RESULTS", default_value = "results")]
    pub results: String,
}

#[derive(Debug, ClapArgs)]
pub(in crate::cli) struct Ask {
    #[arg(long)]
    pub results: String,
}
