//! The program: see [`perf_api`].

use std::process::ExitCode;

fn main() -> ExitCode {
    perf_api::cli::main()
}
