//! The `portcullis` program: parse the arguments, run one command, return its exit code.

use std::process::ExitCode;

/// Allocation is the largest single item in a proxied request's profile.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    portcullis::cli::run(portcullis::cli::Arguments::typed())
}
