//! `perf-api serve`: all datasets in a browser.

use std::net::SocketAddr;
use std::process::ExitCode;

use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cli::error::CliError;
use crate::cli::open::open_in_browser;
use crate::cli::output::print;
use crate::cli::serve::{Shared, serve_until};
use crate::cli::{args, location};

pub(in crate::cli) fn serve(args: &args::Serve) -> Result<ExitCode, CliError> {
    if !args.listen.ip().is_loopback() {
        return Err(CliError::new(format!(
            "{} is no loopback address: whoever reaches this machine could ask its results",
            args.listen
        ))
        .hint("`--listen 127.0.0.1:8321`")
        .hint("from another machine: `ssh -L 8321:127.0.0.1:8321 HOST`"));
    }
    let store = location::open(&args.results)?;
    // Questions have threads of their own, so that none of them keeps the server from answering.
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let (web, work) = (runtime(1)?, runtime(cpus)?);
    let served = web.block_on(async {
        // Before anybody is told that it can be ended.
        let (interrupted, terminated) =
            (on(SignalKind::interrupt())?, on(SignalKind::terminate())?);
        let listener = listen(args.listen).await?;
        let unknown = |error| CliError::new(format!("cannot tell the address: {error}"));
        let address = listener.local_addr().map_err(unknown)?;
        print(&format!("serving results at http://{address}/ – Ctrl-C ends it\n"))?;
        if args.open {
            open_in_browser(&format!("http://{address}/"));
        }
        let hosts = args.allow_host.clone();
        let shared = Shared::new(store, args.results.clone(), hosts, work.handle().clone());
        serve_until(listener, shared, either(interrupted, terminated)).await
    });
    // A question that is still being answered is nobody's any more.
    web.shutdown_background();
    work.shutdown_background();
    served.map(|()| ExitCode::SUCCESS)
}

fn runtime(threads: usize) -> Result<Runtime, CliError> {
    let runtime = Builder::new_multi_thread().worker_threads(threads).enable_all().build();
    runtime.map_err(|error| CliError::new(format!("cannot start: {error}")))
}

fn on(kind: SignalKind) -> Result<Signal, CliError> {
    signal(kind).map_err(|error| CliError::new(format!("cannot be interrupted: {error}")))
}

async fn either(mut one: Signal, mut other: Signal) {
    tokio::select! {
        _ = one.recv() => {}
        _ = other.recv() => {}
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, CliError> {
    TcpListener::bind(address).await.map_err(|error| {
        let told = CliError::new(format!("cannot listen at {address}: {error}"));
        match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                told.hint("`--listen 127.0.0.1:0` takes a port that is free")
            }
            std::io::ErrorKind::PermissionDenied => {
                told.hint("ports below 1024 are the system's: `--listen 127.0.0.1:8321`")
            }
            _ => told,
        }
    })
}
