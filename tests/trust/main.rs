//! Robustness of datasets: killed runs, flipped bytes, hostile files, and large numbers of datasets.
//!
//! Each test does a small part of its work in `cargo test`, and all of it with `PERF_API_THOROUGH`, which
//! targets of the Makefile set. It then takes minutes and prints its counts.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking and prints its counts"
)]

mod crash;
#[path = "../cli/env.rs"]
#[expect(dead_code, reason = "shared with the tests of the command line")]
mod env;
mod flip;
mod fuzz;
#[path = "../cli/journal.rs"]
mod journal;
mod loader;
mod scale;

use std::path::Path;

use perf_api::id::DatasetId;
use perf_api::store::{Location, Manifest, Store, StoreError};

/// The amount of work: `few`, or `many` with `PERF_API_THOROUGH`.
fn amount<T>(few: T, many: T) -> T {
    if std::env::var_os("PERF_API_THOROUGH").is_some() { many } else { few }
}

/// Runs a future to its end.
fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.unwrap().block_on(future)
}

fn store(results: &Path) -> Store {
    Store::create(&Location::Folder(results.to_owned())).unwrap()
}

fn verify(store: &Store, id: DatasetId) -> Result<Manifest, StoreError> {
    Ok(wait(perf_api::query::verify(store, id))?.manifest)
}

fn datasets(store: &Store) -> Vec<DatasetId> {
    wait(store.names()).unwrap().ids().to_vec()
}
