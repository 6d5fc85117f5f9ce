//! Tests with real stores, gunicorn and node, started from the bundle of `make setup`.
//!
//! A missing part fails the test; nothing is skipped. The tests run one at a time, since each uses the whole
//! machine. They pass on a busy host; tests that need a quiet host are in `tests/quiet`.

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
