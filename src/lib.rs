//! perf-api: a reproducible benchmark appliance for HTTP APIs.
//!
//! # Bird's-eye view
//!
//! A spec file says what to measure. `plan` turns it into trials in a seeded order. For each stack
//! (an app on a store, with a worker count) `launch` starts both, pinned to CPUs that `host` chose;
//! `load` offers requests on a schedule and tells what became of each; every outcome is a line in a
//! journal, which `store` seals into a dataset whose name is its hash. `query` asks datasets in
//! SQL, `analysis` says what one of them shows and `compare` turns two into verdicts, and `report` turns
//! answers into pages.
//!
//! # Entry points
//!
//! [`cli::main`] reads the arguments. [`run::run`] is the one orchestrator: to follow a measurement
//! from start to end, read it first.
//!
//! # Code map
//!
//! A module imports only from layers above its own in this list, and siblings do not import each
//! other; `tests/tidy.rs` checks that.
//!
//! | layer | modules |
//! | --- | --- |
//! | 0 foundation | [`units`], [`id`], [`clock`], [`file`], [`process`] (which uses those before it) |
//! | 1 model | [`model`] |
//! | 2 domain | [`plan`], [`host`], [`bundle`], [`launch`], [`load`], [`store`], [`stats`] |
//! | 3 engines | [`run`], [`query`], [`analysis`], [`compare`] |
//! | 4 presentation | [`report`] |
//! | 5 interface | [`cli`] |
//!
//! # Invariants
//!
//! - `plan`, `stats`, `analysis` and `compare` do no I/O and read no clock; the same inputs give the same bytes.
//! - What is written under a hash never changes; what is hashed has a canonical byte form.
//! - Nothing of a dataset is used before it was compared with its hash, unless somebody insists.
//! - A failed trial is data, stored with its stage and reason. Nothing is dropped in silence.
//! - Distributions are kept, statistics are recomputed from them, percentiles are never averaged.
//! - `planned = completed + failed + censored`, for every trial.
//! - Every child process is stopped: by `stop`, by `Drop`, by its supervisor, or by the next start.

pub mod analysis;
pub mod app;
pub mod bundle;
pub mod cli;
pub mod clock;
pub mod compare;
pub mod file;
pub mod host;
pub mod id;
pub mod launch;
pub mod load;
pub mod model;
pub mod plan;
pub mod process;
pub mod query;
pub mod report;
pub mod run;
pub mod server;
pub mod stats;
pub mod store;
pub mod units;
