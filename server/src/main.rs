//! The `sheaf` binary.
//!
//! Started by people and supervisors. Never holds logic: it calls the command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    sheaf_server::cli::run()
}
