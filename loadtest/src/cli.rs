//! The command line: read here, and one function called.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Parser, Subcommand, value_parser};

use crate::bench;
use crate::compare::Comparison;
use crate::compare::summary::summaries;
use crate::floor;
use crate::machine::Machine;
use crate::outcome::{Dialect, Outcome};
use crate::progress::Overall;
use crate::report::{self, JsonLines};
use crate::scenario::Scenario;
use crate::target::cores::Cores;
use crate::target::spec::{Spec, named};

/// Rounds of a comparison, unless told.
const ROUNDS: u32 = 3;

/// Puts a load on a server of Yjs documents and measures it, alone or beside others.
///
/// A server is named by its address (--url) or by the command that starts it (--start); without
/// either, the `sheaf` beside this program is started. --floor adds the rig's own relay, --vs other
/// servers; they take turns, round by round, each run with a server started for it and an empty
/// data folder.
///
/// The rig runs on one thread. Give it and the server a core each (--server-core 0 --rig-core 1),
/// and measure release builds. CPU time per delivery is the firmest figure: it does not move when a
/// neighbour is busy, and it stays true when the rig itself is the bottleneck, which is said.
///
/// Exit status: 0 when every check passed, 1 when one failed, 2 when nothing could be measured.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    shared: Shared,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(flatten)]
    Scenario(Scenario),
    Floor(floor::Plan),
    Bench(bench::Plan),
}

/// What scenarios have in common.
#[derive(Debug, Args)]
#[command(next_help_heading = "Servers and reports")]
pub(crate) struct Shared {
    /// A server that runs already: its address, with a path before the document's name if there is
    /// one.
    #[arg(long, global = true, value_name = "URL", conflicts_with = "start")]
    url: Option<String>,
    /// The process id of the server at --url, for its CPU time and memory (Linux).
    #[arg(long, global = true, value_name = "PID", requires = "url")]
    server_pid: Option<u32>,
    /// The command that starts the server, without a shell. `{port}` becomes a free port, which the
    /// environment variable PORT has too, `{dir}` an empty folder.
    #[arg(long, global = true, value_name = "COMMAND")]
    start: Option<String>,
    /// The framing that the server of --url or --start speaks.
    #[arg(long, global = true, default_value = "y-websocket")]
    dialect: Dialect,
    /// Also measure the rig's own relay (no documents, no disk), so that figures are ratios.
    #[arg(long, global = true)]
    floor: bool,
    /// Also measure another server, started by this command; may be given more than once.
    #[arg(long, global = true, value_name = "NAME=COMMAND", value_parser = named)]
    vs: Vec<(String, String)>,
    /// The framing that a server of --vs speaks: NAME=y-websocket, =hocuspocus or =y-sweet.
    #[arg(long, global = true, value_name = "NAME=DIALECT", value_parser = named)]
    vs_dialect: Vec<(String, String)>,
    /// How often each server is measured, in turns; 3 when there are several, else 1.
    #[arg(long, global = true, value_name = "COUNT", value_parser = value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    /// The core that servers are started on, counted from 0; any if not given.
    #[arg(long, global = true, value_name = "CORE")]
    server_core: Option<usize>,
    /// The core that the rig runs on, counted from 0; any if not given.
    #[arg(long, global = true, value_name = "CORE")]
    rig_core: Option<usize>,
    /// Where the servers' data folders are made; on the disk that is to be measured. The system's
    /// folder for temporary files if not given.
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Also write each run as a line of JSON to this file; `-` is standard output, instead of the
    /// table.
    #[arg(long, global = true, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Also write a page with plots to this file: HTML that needs nothing else.
    #[arg(long, global = true, value_name = "FILE")]
    html: Option<PathBuf>,
}

impl Shared {
    fn servers(&self) -> anyhow::Result<Vec<Spec>> {
        let first = match (&self.url, &self.start) {
            (Some(url), _) => Spec::running(url, self.server_pid, self.dialect),
            (None, Some(command)) => Spec::command("server", command, self.dialect)?,
            (None, None) => Spec::sheaf()?,
        };
        let mut servers = vec![first];
        if self.floor {
            servers.push(Spec::floor()?);
        }
        for (name, command) in &self.vs {
            servers.push(Spec::command(name, command, self.dialect_of(name)?)?);
        }
        for (at, server) in servers.iter().enumerate() {
            let is_new = servers[..at].iter().all(|other| other.name != server.name);
            anyhow::ensure!(is_new, "two servers are called {}", server.name);
        }
        Ok(servers)
    }

    fn dialect_of(&self, server: &str) -> anyhow::Result<Dialect> {
        let named = self.vs_dialect.iter().find(|(name, _)| name == server);
        let Some((_, dialect)) = named else { return Ok(Dialect::YWebsocket) };
        clap::ValueEnum::from_str(dialect, false)
            .map_err(|_| anyhow::anyhow!("there is no dialect called {dialect}"))
    }

    fn comparison(&self) -> anyhow::Result<Comparison> {
        let servers = self.servers()?;
        let rounds = self.rounds.unwrap_or(if servers.len() > 1 { ROUNDS } else { 1 });
        let cores = Cores::new(self.server_core, self.rig_core)?;
        Ok(Comparison { servers, rounds, time_max: None, cores, data: self.data() })
    }

    fn data(&self) -> PathBuf {
        self.data.clone().unwrap_or_else(std::env::temp_dir)
    }

    /// Not where standard output is for machines.
    fn has_tables(&self) -> bool {
        self.json.as_ref().is_none_or(|file| file.as_os_str() != "-")
    }

    fn write_page(&self, outcomes: &[Outcome]) -> anyhow::Result<()> {
        let Some(file) = &self.html else { return Ok(()) };
        let page = report::html::page(outcomes, &Machine::here());
        std::fs::write(file, page).with_context(|| format!("writing {}", file.display()))
    }
}

/// Does what was asked. Returns whether every check passed.
///
/// # Errors
/// When nothing could be measured.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting the runtime")?;
    let doing = async {
        match &arguments.command {
            Command::Scenario(scenario) => compare(scenario, &arguments.shared).await,
            Command::Bench(plan) => benchmark(plan, &arguments.shared).await,
            Command::Floor(plan) => serve(plan).await.map(|()| true),
        }
    };
    let interrupted = async {
        tokio::select! {
            doing = doing => doing,
            // Falls out of the work, so that servers are ended and their folders go.
            () = told_to_stop() => anyhow::bail!("told to stop"),
        }
    };
    tokio::task::LocalSet::new().block_on(&runtime, interrupted)
}

async fn compare(scenario: &Scenario, shared: &Shared) -> anyhow::Result<bool> {
    let comparison = shared.comparison()?;
    let mut json = shared.json.as_deref().map(JsonLines::create).transpose()?;
    let overall = Overall::new(comparison.runs());
    let keep = |outcome: &_| json.as_mut().map_or(Ok(()), |json| json.keep(outcome));
    let outcomes = comparison.run(scenario, &overall, keep).await?;
    if outcomes.iter().all(|outcome| outcome.figures.is_empty()) {
        let reason = outcomes.iter().flat_map(|outcome| &outcome.checks).next();
        anyhow::bail!("{}", reason.map_or("nothing was measured", |check| &check.note));
    }
    if shared.has_tables() {
        report::table::write(&mut io::stdout().lock(), &summaries(&outcomes))?;
    }
    shared.write_page(&outcomes)?;
    Ok(outcomes.iter().all(Outcome::is_clean))
}

async fn benchmark(plan: &bench::Plan, shared: &Shared) -> anyhow::Result<bool> {
    let has_own = shared.url.is_some() || shared.start.is_some() || shared.floor;
    anyhow::ensure!(!has_own && shared.vs.is_empty(), "bench has its own servers: see --servers");
    let mut json = shared.json.as_deref().map(JsonLines::create).transpose()?;
    let cores = match (shared.server_core, shared.rig_core) {
        (None, None) => Cores::apart()?,
        (server, rig) => Cores::new(server, rig)?,
    };
    let (rounds, data, has_tables) = (shared.rounds, shared.data(), shared.has_tables());
    let setting = bench::Setting { rounds, cores, data, has_tables };
    let keep = |outcome: &_| json.as_mut().map_or(Ok(()), |json| json.keep(outcome));
    let outcomes = bench::run(plan, &setting, keep).await?;
    shared.write_page(&outcomes)?;
    Ok(bench::is_clean(&outcomes))
}

/// The rig's own relay, until the process is ended.
async fn serve(plan: &floor::Plan) -> anyhow::Result<()> {
    let floor = floor::Floor::bind(plan)?;
    writeln!(io::stdout(), "listening on ws://{}", floor.address()?)?;
    floor.run().await
}

async fn told_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    match (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) {
        (Ok(mut interrupt), Ok(mut terminate)) => {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        }
        // Without handlers a signal ends the process as ever.
        _ => std::future::pending().await,
    }
}
