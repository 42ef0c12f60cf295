//! The `sheaf-loadtest` binary: puts a load on any server that speaks y-websocket and reports what
//! came of it, without flattering anybody.

mod fan_out;
mod load;
mod process;
mod progress;
mod reader;
mod report;
mod token;
mod wire;
mod writer;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};

/// Puts a load on a y-websocket server and measures it.
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
    scenario: Scenario,
    /// Also write the report as JSON to this file; `-` is standard output, instead of the table.
    #[arg(long, global = true, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Scenario {
    FanOut(fan_out::Plan),
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(report) if report.is_clean() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(1), // the report says what was lost or differs
        Err(reason) => {
            // Nobody is left to tell if this fails.
            let _ = writeln!(io::stderr(), "sheaf-loadtest: {reason:#}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<report::Report> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting the runtime")?;
    let Scenario::FanOut(plan) = &arguments.scenario;
    let report = tokio::task::LocalSet::new().block_on(&runtime, fan_out::run(plan))?;
    let mut out = io::stdout().lock();
    match &arguments.json {
        Some(file) if file.as_os_str() == "-" => writeln!(out, "{}", report.json()?)?,
        Some(file) => {
            std::fs::write(file, report.json()?)
                .with_context(|| format!("writing {}", file.display()))?;
            write!(out, "{report}")?;
        }
        None => write!(out, "{report}")?,
    }
    Ok(report)
}
