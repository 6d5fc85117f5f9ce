//! perf-api: a reproducible benchmark appliance for HTTP APIs.
//!
//! # Bird's-eye view
//!
//! A spec file says what to measure. `plan` turns it into trials in a seeded order. For each stack
//! (an app on a store, with a worker count) `launch` starts both, pinned to CPUs that `host` chose;
//! `load` offers requests on a schedule and tells what became of each; every outcome is a line in a
//! journal, which `store` seals into a dataset whose name is its hash. `query` asks datasets in
//! SQL, `analysis` says what one of them shows and `compare` turns two into verdicts. `app` has one file for
//! each use case, `report` turns what comes of it into pages, and `cli` and `server` ask for use cases.
//!
//! # Entry points
//!
//! [`cli::main`] reads the arguments, and each command calls one use case: [`app::measure`] for a run.
//! [`run::run`] executes the trials: to follow a measurement from start to end, read these two first.
//!
//! # Code map
//!
//! A module imports only from layers above its own in this list, and siblings do not import each
//! other; `tests/tidy.rs` checks that, and that no files use each other in a circle.
//!
//! | layer | modules |
//! | --- | --- |
//! | 0 foundation | [`units`], [`id`], [`clock`], [`file`], [`process`] (which uses those before it) |
//! | 1 model | [`model`] |
//! | 2 domain | [`plan`], [`host`], [`bundle`], [`launch`], [`load`], [`store`], [`stats`] |
//! | 3 engines | [`run`], [`query`], [`analysis`], [`compare`] |
//! | 4 application | [`app`] |
//! | 5 presentation | [`report`] |
//! | 6 interface | [`cli`], [`server`] (which the command `serve` starts) |
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

// Foundation.
pub mod clock;
pub mod file;
pub mod id;
pub mod process;
pub mod units;

// Model.
pub mod model;

// Domain.
pub mod bundle;
pub mod host;
pub mod launch;
pub mod load;
pub mod plan;
pub mod stats;
pub mod store;

// Engines.
pub mod analysis;
pub mod compare;
pub mod query;
pub mod run;

// Application.
pub mod app;

// Presentation.
pub mod report;

// Interface.
pub mod cli;
pub mod server;
