//! `sheaf serve`.
//!
//! Called by `cli`. Never prints to stdout but the address to open, so that scripts can read it.

use std::io::{self, Write};
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use super::reload;
use super::settings::Settings;
use super::supervisor::Supervisor;
use crate::app::telemetry::Telemetry;
use crate::app::{Ambient, App, Stopped};
use crate::config::watch::Watch;
use crate::config::{self, Config, Log, Sources, keys};
use crate::relay::listen::Kind;
use sheaf_ground::task;

/// 128 + SIGINT, as shells count.
const SECOND_SIGNAL: i32 = 130;

const ABOUT_KEYS: &str = "\
Configuration: flags win over environment variables, those over the file, that over defaults.
The environment variable of a key is SHEAF_ and the key in capitals, two underscores for a dot:
SHEAF_LIMITS__CONNECTIONS_MAX=500. `sheaf config check` looks at all of it without serving.
";

#[derive(Debug, clap::Args)]
#[command(after_long_help = help())]
pub(super) struct Arguments {
    #[command(flatten)]
    settings: Settings,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    serve(&arguments.settings.sources())
}

/// Serves what these sources say, until told to stop.
pub(super) fn serve(sources: &Sources) -> anyhow::Result<ExitCode> {
    let reload::Watched { config, watch } = reload::Watched::load(sources)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let filter = filter(&config.log)?;
    let telemetry =
        Telemetry::start(&config.telemetry, filter, config.log.format, runtime.handle())?;
    task::log_panics_without_message();
    raise_descriptor_limit(config.limits.connections_max);
    let done = runtime.block_on(until_told(config, sources, watch));
    telemetry.end();
    done?;
    Ok(ExitCode::SUCCESS)
}

/// Every key with its default and the first sentence about it.
fn help() -> String {
    let mut help = ABOUT_KEYS.to_owned();
    for key in keys::all() {
        let default = key.default.map_or_else(String::new, |default| format!(" = {default}"));
        let (first, _) = key.meaning.split_once(". ").unwrap_or((&key.meaning, ""));
        let first = first.trim_end_matches('.');
        help += &format!("\n  {}{default}\n      {first}", key.name);
    }
    help
}

async fn until_told(config: Config, sources: &Sources, watch: Option<Watch>) -> anyhow::Result<()> {
    // Before anything starts: a signal during the start must not be lost.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let ambient = Ambient::system();
    let clock = ambient.clock.clone();
    let app = App::start(config, ambient).await?;
    announce(&app)?;
    let supervisor = Supervisor::of_process();
    supervisor.ready();
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        () = supervisor.feed(&clock) => {}
        () = reload::follow(&app, sources, watch, &clock, &supervisor) => {}
    }
    supervisor.stopping();
    tracing::info!("stopping; a second signal ends it at once");
    let stopped = tokio::select! {
        stopped = app.stop() => stopped,
        _ = interrupt.recv() => std::process::exit(SECOND_SIGNAL),
        _ = terminate.recv() => std::process::exit(SECOND_SIGNAL),
    };
    tracing::info!(in_time = stopped == Stopped::Complete, "stopped");
    Ok(())
}

/// Tells where to go: one line on stdout for each address, the rest in the log.
fn announce(app: &App) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for door in app.doors() {
        match door.kind {
            Kind::Public | Kind::Unix => writeln!(out, "{door}")?,
            Kind::Admin => tracing::info!(%door, "metrics and administration"),
        }
    }
    out.flush()?;
    let version = env!("CARGO_PKG_VERSION");
    if app.is_open() {
        tracing::warn!(version, "serving; open to everyone who can connect, without a token");
    } else {
        tracing::info!(version, "serving; a token is needed");
    }
    Ok(())
}

/// What `log.level` lets through.
pub(super) fn filter(log: &Log) -> Result<EnvFilter, config::Error> {
    let wrong = |_| config::Error::Wrong(format!("log.level {:?} is none; try info", log.level));
    EnvFilter::try_new(&log.level).map_err(wrong)
}

/// Each connection is a file descriptor, and shells give out 1,024.
fn raise_descriptor_limit(connections_max: usize) {
    // Files of the store, segments of the journal, listeners.
    let wanted = connections_max as u64 + 256;
    match rlimit::increase_nofile_limit(wanted) {
        Ok(limit) if limit < wanted => {
            tracing::warn!(limit, wanted, "too few file descriptors for limits.connections_max");
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "cannot ask for more file descriptors"),
    }
}

#[cfg(test)]
mod tests;
