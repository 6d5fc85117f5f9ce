//! The whole program, from the outside: what it prints, writes and exits with. Loads are computed
//! on a simulated clock, so every byte is known.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod compare;
mod env;
mod errors;
mod failures;
mod help;
mod interleaved;
mod journal;
mod own_bundle;
mod plan;
mod report;
mod reproduce;
mod results;
mod resume;
mod rules;
mod run;
mod serve;
mod sql;
mod stop;
