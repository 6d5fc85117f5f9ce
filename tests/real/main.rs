//! The real thing: real stores, gunicorn and node, started from the bundle that `make setup` made.
//!
//! A part that is missing fails the test; nothing is skipped. The tests take turns, since each of
//! them uses the whole machine. They hold on a busy host: what needs a quiet one is in `tests/quiet`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod cache;
mod contract;
mod descendants;
mod drain;
mod environment;
mod logs;
mod measured;
mod neighbours;
mod owners;
mod parity;
mod runs;
mod searches;
mod system;
mod wrapped;
