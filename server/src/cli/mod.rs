//! The command line: one flag, one place.
//!
//! `main` calls [`run`]. Every subcommand is a wrapper around one function of the library. Never
//! holds logic that a test could want without a process.

mod completions;
mod config;
mod doc;
mod dump;
mod import;
mod man;
mod paint;
mod place;
mod reload;
mod repair;
mod serve;
mod server;
mod settings;
mod status;
mod supervisor;
mod token;
mod verify;
mod ysweet;

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::app;

/// Exit code for wrong arguments, which clap uses too, and a wrong configuration.
const WRONG_USE: u8 = 2;
/// Exit code when damage was found, or something had to be left out.
const INCOMPLETE: u8 = 3;

const EXIT_CODES: &str = "\
Exit codes:
  0    all is well
  1    it failed, or `status` found a server that cannot make writes durable
  2    wrong arguments or configuration
  3    `verify` or `dump` found damage, or `doc` or `import` had to skip something and
       says what
  130  `serve` was ended by a second signal

`sheaf COMMAND --help` tells more, with examples.";

/// The commands as `--help` groups them. A test holds that each stands in one group.
const GROUPS: [(&str, &[&str]); 5] = [
    ("Serve", &["serve", "config", "token", "status"]),
    ("Documents, on a server or in a data directory", &["doc"]),
    ("Data directory of a stopped server", &["verify", "dump", "repair"]),
    ("In place of another server", &["import", "ysweet"]),
    ("Shell", &["completions", "man"]),
];

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
    /// Check, print or describe the configuration
    Config(config::Arguments),
    /// Watch a running server: documents, sessions, rates, lag, disk
    Status(status::Arguments),
    /// List, read, write, import, export and delete documents
    Doc(doc::Arguments),
    /// Check everything that a stopped server has kept
    Verify(verify::Arguments),
    /// Show what a stopped server has kept: vaults, documents, entries, never their content
    Dump(dump::Arguments),
    /// Make what is left of a damaged data directory usable, and say what is lost
    Repair(repair::Arguments),
    /// Make a token for a user, or the hash of one
    Token(token::Arguments),
    /// Bring what another server has stored into a vault: Hocuspocus, Y-Sweet, y-websocket
    Import(import::Arguments),
    /// Serve by the flags of a Y-Sweet server, and make its keys
    Ysweet(ysweet::Arguments),
    /// Print a script that completes command lines in a shell
    Completions(completions::Arguments),
    /// Print the manual page, or write one for each command
    Man(man::Arguments),
}

/// What was asked for makes no sense as it stands; the message says what would.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct WrongUse(String);

/// Reads the arguments of the process and does what they say.
#[must_use]
pub fn run() -> ExitCode {
    let matches = command().get_matches();
    let arguments = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let done = match arguments.command {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Config(arguments) => config::run(&arguments),
        Command::Status(arguments) => status::run(&arguments),
        Command::Doc(arguments) => doc::run(&arguments),
        Command::Token(arguments) => token::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Dump(arguments) => dump::run(&arguments),
        Command::Repair(arguments) => repair::run(&arguments),
        Command::Import(arguments) => import::run(&arguments),
        Command::Ysweet(arguments) => ysweet::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments, command()),
        Command::Man(arguments) => man::run(&arguments, Arguments::command()),
    };
    done.unwrap_or_else(|error| {
        // Not the whole chain: our messages name their causes already.
        let _ = writeln!(anstream::stderr(), "{}: {error}", paint::bad("sheaf"));
        let is_wrong_use = error.is::<crate::config::Error>()
            || error.is::<WrongUse>()
            || error.is::<app::telemetry::Error>()
            || matches!(
                error.downcast_ref(),
                Some(app::Error::Config(_) | app::Error::Auth(_) | app::Error::Hook(_))
            );
        if is_wrong_use { ExitCode::from(WRONG_USE) } else { ExitCode::FAILURE }
    })
}

/// The command line with its commands in groups, which clap has no words for.
fn command() -> clap::Command {
    let command = Arguments::command();
    let heading = *command.get_styles().get_header();
    let literal = *command.get_styles().get_literal();
    let mut groups = String::new();
    for (title, names) in GROUPS {
        groups += &format!("{heading}{title}:{heading:#}\n");
        for name in names {
            let about = command.find_subcommand(name).and_then(clap::Command::get_about);
            let about = about.map(ToString::to_string).unwrap_or_default();
            groups += &format!("  {literal}{name:<12}{literal:#} {about}\n");
        }
        groups.push('\n');
    }
    let template = format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{groups}\
         {heading}Options:{heading:#}\n{{options}}{{after-help}}\n"
    );
    command.help_template(template)
}

/// The variables of the process; those that are not text are none of ours.
fn environment() -> Vec<(String, String)> {
    let utf8 = |(key, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((key.into_string().ok()?, value.into_string().ok()?))
    };
    std::env::vars_os().filter_map(utf8).collect()
}

/// What there is of each kind, as in "3 created, 2 skipped"; none if there is nothing of any.
fn counted(counts: &[(usize, &str)]) -> Option<String> {
    let some = counts.iter().filter(|(count, _)| *count > 0);
    let some: Vec<_> = some.map(|(count, what)| format!("{count} {what}")).collect();
    (!some.is_empty()).then(|| some.join(", "))
}

/// Whoever reads our output has seen enough, as in `sheaf … | head`: that is no failure.
fn or_closed(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

#[cfg(test)]
mod tests;
