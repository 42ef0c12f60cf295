//! The `sheaf-loadtest` binary: puts a load on any server of Yjs documents and reports what came of
//! it, without flattering anybody.

mod bot;
mod edits;
mod floor;
mod flow;
mod latency;
mod load;
mod measure;
mod outcome;
mod progress;
mod report;
mod scenario;
mod series;
mod target;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};
use tokio::runtime::{Builder, Runtime};
use tokio::task::LocalSet;

use outcome::{Dialect, Outcome};
use progress::Progress;
use scenario::Scenario;
use target::Target;

/// Puts a load on a server of Yjs documents and measures it.
///
/// The rig runs on one thread. On a machine with few cores give the server and the rig one each,
/// for example: `taskset -c 0 sheaf serve` and `taskset -c 1 sheaf-loadtest fan-out`. Build both
/// with `--release`. CPU time per delivery (with `--server-pid`) is the firmest figure: it does not
/// move when a neighbour is busy, and it stays true when the rig itself is the bottleneck, which is
/// said.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// The server, and a path before the document's name if there is one.
    #[arg(long, global = true, default_value = "ws://127.0.0.1:1234", value_name = "URL")]
    url: String,
    /// The server's process id, for its CPU time and memory (Linux).
    #[arg(long, global = true, value_name = "PID")]
    server_pid: Option<u32>,
    /// The framing that the server speaks.
    #[arg(long, global = true, default_value = "y-websocket")]
    dialect: Dialect,
    /// Also write each run as a line of JSON to this file; `-` is standard output, instead of the
    /// table.
    #[arg(long, global = true, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(flatten)]
    Run(Scenario),
    Floor(floor::Plan),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let is_clean = match &arguments.command {
        Command::Run(scenario) => run(&arguments, scenario).map(|outcome| outcome.is_clean()),
        Command::Floor(plan) => serve(plan).map(|()| true),
    };
    match is_clean {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1), // the report says what was lost or differs
        Err(reason) => {
            // Nobody is left to tell if this fails.
            let _ = writeln!(io::stderr(), "sheaf-loadtest: {reason:#}");
            ExitCode::from(2)
        }
    }
}

fn runtime() -> anyhow::Result<Runtime> {
    Builder::new_current_thread().enable_all().build().context("starting the runtime")
}

/// The rig's own relay, until the process is ended.
fn serve(plan: &floor::Plan) -> anyhow::Result<()> {
    let serving = async {
        let floor = floor::Floor::bind(plan)?;
        writeln!(io::stdout(), "listening on ws://{}", floor.address()?)?;
        floor.run().await
    };
    LocalSet::new().block_on(&runtime()?, serving)
}

fn run(arguments: &Arguments, scenario: &Scenario) -> anyhow::Result<Outcome> {
    let target = Target::attached(&arguments.url, arguments.server_pid, arguments.dialect);
    let progress = Progress::new(scenario.name());
    let running = scenario.run(&target, &progress);
    let outcome = LocalSet::new().block_on(&runtime()?, running)?;
    drop(progress);
    let mut out = io::stdout().lock();
    let json = || serde_json::to_string(&outcome);
    match &arguments.json {
        Some(file) if file.as_os_str() == "-" => writeln!(out, "{}", json()?)?,
        Some(file) => {
            std::fs::write(file, json()? + "\n")
                .with_context(|| format!("writing {}", file.display()))?;
            report::table::write(&mut out, &outcome)?;
        }
        None => report::table::write(&mut out, &outcome)?,
    }
    Ok(outcome)
}
