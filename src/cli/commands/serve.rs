//! `perf-api serve`: all datasets in a browser.

use std::net::SocketAddr;
use std::process::ExitCode;

use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::app::AppError;
use crate::cli::args::ResultsArgs;
use crate::cli::output::print;
use crate::cli::pages::open_in_browser;
use crate::server::{Shared, parse_host, serve_until};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Loopback address to listen at; port 0 selects a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8321")]
    pub listen: SocketAddr,
    /// Additional host name to accept, as behind a proxy
    #[arg(long, value_name = "NAME", value_parser = parse_host)]
    pub allow_host: Vec<String>,
    /// Open the page in a browser
    #[arg(long)]
    pub open: bool,
    #[command(flatten)]
    pub results: ResultsArgs,
}

pub(in crate::cli) fn execute(args: &Args) -> Result<ExitCode, AppError> {
    if !args.listen.ip().is_loopback() {
        return Err(AppError::new(format!(
            "{} is not a loopback address: anyone who reaches this host could read the results",
            args.listen
        ))
        .hint("`--listen 127.0.0.1:8321`")
        .hint("from another machine: `ssh -L 8321:127.0.0.1:8321 HOST`"));
    }
    let store = args.results.open()?;
    // Questions have threads of their own, so that none of them keeps the server from answering.
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let (web, work) = (runtime(1)?, runtime(cpus)?);
    let served = web.block_on(async {
        // Installed before the address is printed, so that a signal always ends the server.
        let (interrupted, terminated) =
            (on(SignalKind::interrupt())?, on(SignalKind::terminate())?);
        let listener = listen(args.listen).await?;
        let unknown = |error| AppError::new(format!("cannot read the address: {error}"));
        let address = listener.local_addr().map_err(unknown)?;
        print(&format!("serving results at http://{address}/ – Ctrl-C ends it\n"))?;
        if args.open {
            open_in_browser(&format!("http://{address}/"));
        }
        let hosts = args.allow_host.clone();
        let shared = Shared::new(store, args.results.results.clone(), hosts, work.handle().clone());
        serve_until(listener, shared, either(interrupted, terminated)).await
    });
    // A question that is still being answered is nobody's any more.
    web.shutdown_background();
    work.shutdown_background();
    served.map(|()| ExitCode::SUCCESS)
}

fn runtime(threads: usize) -> Result<Runtime, AppError> {
    let runtime = Builder::new_multi_thread().worker_threads(threads).enable_all().build();
    runtime.map_err(|error| AppError::new(format!("cannot start: {error}")))
}

fn on(kind: SignalKind) -> Result<Signal, AppError> {
    signal(kind).map_err(|error| AppError::new(format!("cannot be interrupted: {error}")))
}

async fn either(mut one: Signal, mut other: Signal) {
    tokio::select! {
        _ = one.recv() => {}
        _ = other.recv() => {}
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, AppError> {
    TcpListener::bind(address).await.map_err(|error| {
        let failed = AppError::new(format!("cannot listen at {address}: {error}"));
        match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                failed.hint("`--listen 127.0.0.1:0` selects a free port")
            }
            std::io::ErrorKind::PermissionDenied => {
                failed.hint("ports below 1024 need privileges: `--listen 127.0.0.1:8321`")
            }
            _ => failed,
        }
    })
}
