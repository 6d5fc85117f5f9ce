//! Stacks in containers of a real Docker Engine, from the images that `make images` made.
//!
//! `make docker-test` starts its own daemon and sets `DOCKER_HOST`. The tests run one at a time, since each
//! uses the whole machine.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "prints what each fault led to")]

mod containers;
mod engine;
mod faults;
mod images;
mod network_path;
mod registry;
#[path = "../real/system.rs"]
#[expect(dead_code, reason = "shared with the tests of processes")]
mod system;
