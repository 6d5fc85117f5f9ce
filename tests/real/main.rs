//! The real thing: real stores, gunicorn and node, started from the bundle that `make setup` made.
//!
//! A part that is missing fails the test; nothing is skipped. The tests take turns, since each of
//! them uses the whole machine.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod parity;
mod runs;
mod system;
