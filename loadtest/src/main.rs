//! The `sheaf-loadtest` binary: puts a load on any server of Yjs documents and reports what came of
//! it, without flattering anybody.

mod bench;
mod bot;
mod cli;
mod compare;
mod crew;
mod crowd;
mod edits;
mod floor;
mod flow;
mod latency;
mod load;
mod machine;
mod measure;
mod outcome;
mod pace;
mod people;
mod progress;
mod report;
mod scenario;
mod series;
mod target;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match cli::run(&cli::Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1), // the report says what was lost or differs
        Err(reason) => {
            // Nobody is left to tell if this fails.
            let _ = writeln!(io::stderr(), "sheaf-loadtest: {reason:#}");
            ExitCode::from(2)
        }
    }
}
