//! Stacks in containers of a real Docker Engine, from the images that `make images` made.
//!
//! `make docker-test` starts a daemon of its own and tells where it is with `DOCKER_HOST`. The tests
//! take turns, since each of them uses the whole machine.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "prints what each fault led to")]

mod containers;
mod engine;
mod faults;
mod images;
mod registry;
#[path = "../real/system.rs"]
#[expect(dead_code, reason = "shared with the tests of processes")]
mod system;
mod network_path;
