//! Datasets under attack: killed runs, flipped bytes, hostile files, and very many of them.
//!
//! Each test takes minutes and is started by its own target of the Makefile, which shows what it
//! counted.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and tells"
)]

mod crash;
#[path = "../cli/env.rs"]
#[expect(dead_code, reason = "shared with the tests of the command line")]
mod env;
mod flip;
mod fuzz;
#[path = "../cli/journal.rs"]
mod journal;
mod scale;

use std::path::Path;

use perf_api::id::DatasetId;
use perf_api::store::{Location, Manifest, Store, StoreError};

/// Waits for an answer.
fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.unwrap().block_on(future)
}

fn store(results: &Path) -> Store {
    Store::create(&Location::Folder(results.to_owned())).unwrap()
}

fn verify(store: &Store, id: DatasetId) -> Result<Manifest, StoreError> {
    wait(perf_api::query::verify(store, id))
}

fn datasets(store: &Store) -> Vec<DatasetId> {
    wait(store.names()).unwrap().ids().to_vec()
}
