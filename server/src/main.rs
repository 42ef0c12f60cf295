//! The `sheaf` binary.
//!
//! Started by people and supervisors. Never holds logic: it calls the command line.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    sheaf_server::cli::run()
}
