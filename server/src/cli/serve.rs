//! `sheaf serve`.
//!
//! Called by `cli`. Never prints to stdout but the address to open, so that scripts can read it.

use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use figment::value::Value;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use super::environment;
use crate::app::{Ambient, App, Stopped};
use crate::config::{self, Config, Log, LogFormat, Sources};
use crate::task;

/// 128 + SIGINT, as shells count.
const SECOND_SIGNAL: i32 = 130;

const KEYS: &str = "\
Configuration: flags win over environment variables, those over the file, that over defaults.
The environment variable of a key is SHEAF_ and the key in capitals, two underscores for a dot:
SHEAF_LIMITS__CONNECTIONS_MAX=500.

  listen                              addresses [\"127.0.0.1:1234\", \"[::1]:1234\"]
  data                                directory for everything that is kept
  hosts                               host names, besides loopback, by which we may be addressed
  origins                             origins whose pages may connect: [\"https://app.example\"]
  allow_anonymous                     let requests without a token read and write [false]
  principals                          tables of name, token and role (read or write)
  log.format                          text or json [text]
  log.level                           error, warn, info, debug, trace, or directives [info]
  limits.connections_max              connections in all [10000]
  limits.connections_per_address_max  from one address, not applied on loopback [256]
  limits.message_bytes_max            one message, at most 16 MiB [16777216]
  limits.pending_bytes_max            messages read and not yet applied [268435456]
  limits.header_timeout_s             for a request's head to arrive [5]
  limits.ping_idle_s                  silence before a session is asked whether it is there [20]
  limits.session_idle_s               silence before it is ended [40]
  limits.documents_bytes_max          memory for all documents [536870912]
  limits.unload_idle_s                before an unused document leaves memory [60]
  limits.stop_timeout_s               for draining sessions at the end [10]";

#[derive(Debug, clap::Args)]
#[command(after_long_help = KEYS)]
pub(super) struct Arguments {
    /// Address to listen on, for example 127.0.0.1:1234; may be given more than once
    #[arg(long, value_name = "ADDR")]
    listen: Vec<SocketAddr>,
    /// Directory for everything that is kept [default: the user's data home]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Configuration file, TOML; --help lists its keys
    #[arg(long, value_name = "FILE", env = "SHEAF_CONFIG")]
    config: Option<PathBuf>,
    /// Let everyone who can reach the address read and write
    #[arg(long)]
    allow_anonymous: bool,
    /// What to log: error, warn, info, debug, trace, or directives [default: info]
    #[arg(long, value_name = "LEVEL")]
    log: Option<String>,
    /// The form of log lines
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<LogFormat>,
}

impl Arguments {
    fn flags(&self) -> Vec<(&'static str, Value)> {
        let mut flags = Vec::new();
        if !self.listen.is_empty() {
            let listen: Vec<_> = self.listen.iter().map(ToString::to_string).collect();
            flags.push(("listen", Value::from(listen)));
        }
        if let Some(data) = &self.data {
            flags.push(("data", Value::from(data.to_string_lossy().into_owned())));
        }
        if self.allow_anonymous {
            flags.push(("allow_anonymous", Value::from(true)));
        }
        if let Some(level) = &self.log {
            flags.push(("log.level", Value::from(level.as_str())));
        }
        if let Some(format) = self.log_format {
            let format = if format == LogFormat::Json { "json" } else { "text" };
            flags.push(("log.format", Value::from(format)));
        }
        flags
    }
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let config = Config::load(&Sources {
        file: arguments.config.clone(),
        environment: environment(),
        flags: arguments.flags(),
    })?;
    start_log(&config.log)?;
    task::log_panics_without_message();
    raise_descriptor_limit(config.limits.connections_max);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(until_told(config))?;
    Ok(ExitCode::SUCCESS)
}

async fn until_told(config: Config) -> anyhow::Result<()> {
    // Before anything starts: a signal during the start must not be lost.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let app = App::start(config, Ambient::system()).await?;
    announce(&app)?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
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
    for address in app.addresses() {
        writeln!(out, "http://{address}/")?;
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

fn start_log(log: &Log) -> Result<(), config::Error> {
    let wrong = |_| config::Error::Wrong(format!("log.level {:?} is none; try info", log.level));
    let filter = EnvFilter::try_new(&log.level).map_err(wrong)?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    match log.format {
        LogFormat::Text => lines.with_ansi(io::stderr().is_terminal()).init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
    Ok(())
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
