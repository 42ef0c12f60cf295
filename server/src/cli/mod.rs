//! The command line: one flag, one place.
//!
//! `main` calls [`run`]. Every subcommand is a wrapper around one function of the library. Never
//! holds logic that a test could want without a process.

mod dump;
mod place;
mod repair;
mod serve;
mod verify;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{app, config};

/// Exit code for wrong arguments, which clap uses too, and a wrong configuration.
const WRONG_USE: u8 = 2;
/// Exit code when damage was found.
const DAMAGED: u8 = 3;

const EXIT_CODES: &str = "Exit codes: 0 all is well; 1 it failed; 2 wrong arguments or \
    configuration; 3 `verify` or `dump` found damage; 130 `serve` was ended by a second signal.";

/// A server for documents that several people write at once.
#[derive(Debug, Parser)]
#[command(name = "sheaf", version, after_help = EXIT_CODES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve documents until told to stop
    Serve(serve::Arguments),
    /// Check everything that a stopped server has kept
    Verify(verify::Arguments),
    /// Show what a stopped server has kept: vaults, documents, entries, never their content
    Dump(dump::Arguments),
    /// Make what is left of a damaged data directory usable, and say what is lost
    Repair(repair::Arguments),
}

/// Reads the arguments of the process and does what they say.
#[must_use]
pub fn run() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Dump(arguments) => dump::run(&arguments),
        Command::Repair(arguments) => repair::run(&arguments),
    };
    done.unwrap_or_else(|error| {
        // Not the whole chain: our messages name their causes already.
        let _ = writeln!(io::stderr(), "sheaf: {error}");
        let is_wrong_use = error.is::<config::Error>()
            || matches!(error.downcast_ref(), Some(app::Error::Config(_) | app::Error::Auth(_)));
        if is_wrong_use { ExitCode::from(WRONG_USE) } else { ExitCode::FAILURE }
    })
}

/// The variables of the process; those that are not text are none of ours.
fn environment() -> Vec<(String, String)> {
    let utf8 = |(key, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((key.into_string().ok()?, value.into_string().ok()?))
    };
    std::env::vars_os().filter_map(utf8).collect()
}

#[cfg(test)]
mod tests;
