//! The benchmark: every line of the table over Sheaf, the floor and the peers, written down in
//! `docs/benchmarks.md` with the bars beside what was reached.

mod bars;
mod kept;
mod page;
mod peers;
mod rows;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Parser};
use serde::Serialize;
use tempfile::TempDir;

use crate::compare::Comparison;
use crate::compare::summary::summaries;
use crate::edits::trace::Trace;
use crate::machine::{Machine, said};
use crate::outcome::Outcome;
use crate::progress::Overall;
use crate::report::table;
use crate::scenario::Scenario;
use crate::target::cores::Cores;
use crate::target::spec::Spec;
use kept::Kept;
use peers::Peer;
use rows::Row;

/// Keys of the document that people join, as many as the longest recorded trace has.
const HISTORY_KEYS: usize = 260_000;
const ROUNDS: u32 = 3;
/// The longest line takes one minute on a server that keeps up.
const RUN_TIME_MAX: Duration = Duration::from_secs(150);

/// Measures Sheaf, the floor and the peers that are installed, line by line, and writes
/// docs/benchmarks.md.
///
/// Takes about three quarters of an hour with all servers. Lines that are measured again replace
/// their old figures, those of servers that are left out too; the other lines stay. `make peers`
/// installs the peers.
#[derive(Debug, Clone, Args, Serialize)]
pub(crate) struct Plan {
    /// Lines to measure, with commas between; all if not given.
    #[arg(long, value_name = "LINES", value_delimiter = ',')]
    only: Vec<String>,
    /// Servers to measure, with commas between: sheaf, floor, y-websocket, y-websocket-leveldb,
    /// hocuspocus, y-sweet, yrs-warp; all if not given.
    #[arg(long, value_name = "SERVERS", value_delimiter = ',')]
    servers: Vec<String>,
    /// Load that is measured in each run, of lines that last as long as told.
    #[arg(long, default_value_t = 3.0, value_name = "SECONDS")]
    seconds: f64,
    /// The document that people join is what was recorded in this file (JSON of editing-traces,
    /// gzipped or not; one author) instead of something made up.
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Where npm installed the peers.
    #[arg(long, default_value = "loadtest/peers", value_name = "DIR")]
    packages: PathBuf,
    /// Where cargo installed the peers; `peers/bin` beside this program's folder if not given.
    #[arg(long, value_name = "DIR")]
    programs: Option<PathBuf>,
    /// Where benchmarks.md and the folder benchmarks are written.
    #[arg(long, default_value = "docs", value_name = "DIR")]
    docs: PathBuf,
}

/// What the command line says besides the plan.
pub(crate) struct Setting {
    pub(crate) rounds: Option<u32>,
    pub(crate) cores: Cores,
    pub(crate) data: PathBuf,
    /// Whether each line's table is printed when it is done.
    pub(crate) has_tables: bool,
}

/// A line's words are read as a command line of its own.
#[derive(Debug, Parser)]
#[command(no_binary_name = true)]
struct Line {
    #[command(subcommand)]
    scenario: Scenario,
}

/// Measures and writes down; hands every outcome to `keep`. Returns all outcomes of this time.
///
/// # Errors
/// When a line or server is not known, or nothing can be written.
pub(crate) async fn run(
    plan: &Plan,
    setting: &Setting,
    mut keep: impl FnMut(&Outcome) -> anyhow::Result<()>,
) -> anyhow::Result<Vec<Outcome>> {
    let rows = rows::chosen(&plan.only)?;
    let (servers, missing) = servers(plan)?;
    let history = history(plan, &rows)?;
    let machine = Machine::here();
    let commit = said("git", &["describe", "--always", "--dirty"]);
    let file = history.as_ref().map(|history| history.file.as_path());
    let lines = rows.iter().map(|row| (*row, line(row, plan.seconds, file)));
    let lines: Vec<(&Row, anyhow::Result<Scenario>)> = lines.collect();
    let comparisons: Vec<Comparison> =
        rows.iter().map(|row| comparison(row, &servers, setting)).collect();
    let known = lines.iter().zip(&comparisons).filter(|((_, scenario), _)| scenario.is_ok());
    let overall = Overall::new(known.map(|(_, comparison)| comparison.runs()).sum());
    let (mut all, mut not_run) = (Vec::new(), missing);
    for ((row, scenario), comparison) in lines.iter().zip(&comparisons) {
        let scenario = match scenario {
            Ok(scenario) => scenario,
            Err(reason) => {
                not_run.push((row.name.to_owned(), format!("{reason:#}")));
                continue;
            }
        };
        let outcomes = comparison.run(scenario, &overall, &mut keep).await?;
        let arguments = row.arguments.replace("{seconds}", &plan.seconds.to_string());
        let measured = Kept::of(&outcomes, &machine, &commit, &arguments);
        kept::write(&plan.docs, row.name, &measured)?;
        if setting.has_tables {
            let mut out = io::stdout().lock();
            writeln!(out, "{}", row.title)?;
            table::write(&mut out, &summaries(&outcomes))?;
            writeln!(out)?;
        }
        all.extend(outcomes);
    }
    let run = page::Run { machine: &machine, commit: &commit, rows: &rows, not_run: &not_run };
    page::write(&plan.docs, &run)?;
    Ok(all)
}

/// What was not run, and why.
type NotRun = Vec<(String, String)>;

/// The servers that are there, and the others with the reason.
fn servers(plan: &Plan) -> anyhow::Result<(Vec<Spec>, NotRun)> {
    let own = std::env::current_exe().context("finding this program")?;
    let beside = own.parent().and_then(Path::parent).unwrap_or(Path::new("."));
    let programs = plan.programs.clone().unwrap_or_else(|| beside.join("peers/bin"));
    let peers = peers::all(&plan.packages, &programs);
    for name in &plan.servers {
        let is_known = peers.iter().any(|peer| peer.name == name);
        anyhow::ensure!(is_known, "there is no server {name}");
    }
    let (mut servers, mut missing) = (Vec::new(), Vec::new());
    for Peer { name, spec } in peers {
        let is_asked = plan.servers.is_empty() || plan.servers.iter().any(|asked| asked == name);
        match spec {
            _ if !is_asked => missing.push((name.to_owned(), "not asked for".to_owned())),
            Ok(spec) => servers.push(spec),
            Err(reason) => missing.push((name.to_owned(), format!("{reason:#}"))),
        }
    }
    anyhow::ensure!(!servers.is_empty(), "none of the servers is there");
    Ok((servers, missing))
}

/// The state of a document with a history, in a file whose name tells what it is.
struct History {
    file: PathBuf,
    /// Goes away with it.
    _folder: TempDir,
}

/// Makes it, once for all runs.
fn history(plan: &Plan, rows: &[&Row]) -> anyhow::Result<Option<History>> {
    if !rows.iter().any(|row| row.arguments.contains("{history}")) {
        return Ok(None);
    }
    // Where there is no bar yet, the seconds that this takes would be a riddle.
    writeln!(io::stderr(), "making a document of {HISTORY_KEYS} edits")?;
    let (name, state) = match &plan.trace {
        Some(file) => {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            let name = name.split('.').next().unwrap_or_default().to_owned();
            (name, Trace::read(file)?.state(1)?)
        }
        None => (format!("{HISTORY_KEYS}-keys"), Trace::made_up(1, HISTORY_KEYS).state(1)?),
    };
    let folder = tempfile::tempdir().context("making a folder")?;
    let file = folder.path().join(name);
    fs::write(&file, state)?;
    Ok(Some(History { file, _folder: folder }))
}

fn line(row: &Row, seconds: f64, history: Option<&Path>) -> anyhow::Result<Scenario> {
    let history = history.unwrap_or(Path::new("")).to_string_lossy();
    let words = row.arguments.split(' ').map(|word| match word {
        "{seconds}" => seconds.to_string(),
        "{history}" => history.to_string(),
        word => word.to_owned(),
    });
    let line = Line::try_parse_from(words).map_err(|reason| {
        // The first line says it; the rest is about usage.
        anyhow::anyhow!("{}", reason.to_string().lines().next().unwrap_or_default().to_owned())
    })?;
    Ok(line.scenario)
}

fn comparison(row: &Row, servers: &[Spec], setting: &Setting) -> Comparison {
    let is_asked = |spec: &&Spec| row.has_floor || !spec.is_floor;
    Comparison {
        servers: servers.iter().filter(is_asked).cloned().collect(),
        rounds: setting.rounds.unwrap_or(ROUNDS).min(row.rounds_max),
        time_max: Some(RUN_TIME_MAX),
        cores: setting.cores,
        data: setting.data.clone(),
    }
}

/// Whether Sheaf kept its promises; a peer that loses something is what was to be found out.
pub(crate) fn is_clean(outcomes: &[Outcome]) -> bool {
    let ours = |outcome: &&Outcome| outcome.server.name == bars::OURS;
    outcomes.iter().filter(ours).all(Outcome::is_clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_that_can_be_run_is_read() {
        for row in rows::chosen(&[]).unwrap() {
            let name = row.arguments.split(' ').next().unwrap();
            let scenarios = <Line as clap::CommandFactory>::command();
            if scenarios.find_subcommand(name).is_none() {
                continue;
            }
            let read = line(row, 3.0, Some(Path::new("a")));
            assert!(read.is_ok(), "{}: {}", row.name, read.unwrap_err());
        }
        assert!(rows::chosen(&["no-such".to_owned()]).is_err());
    }
}
