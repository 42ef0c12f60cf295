//! The flags that stand for keys of the configuration.
//!
//! Shared by `serve` and by `config check` and `print`, so that these see what `serve` would. Never
//! holds a flag without a key.

use std::path::PathBuf;

use figment::value::Value;

use super::environment;
use crate::config::{Config, Error, LogFormat, Sources};
use crate::relay::address::Address;

#[derive(Debug, clap::Args)]
pub(super) struct Settings {
    /// Address to listen on, 127.0.0.1:1234 or unix:/run/sheaf.sock; may be given more than once
    #[arg(long, value_name = "ADDR")]
    listen: Vec<Address>,
    /// Directory for everything that is kept [default: the user's data home]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Configuration file, TOML; `sheaf serve --help` lists its keys
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

impl Settings {
    /// Flags, environment and file, as `serve` reads them.
    pub(super) fn sources(&self) -> Sources {
        let (file, flags) = (self.config.clone(), self.flags());
        Sources { file, environment: environment(), flags }
    }

    /// The configuration of all sources together.
    pub(super) fn load(&self) -> Result<Config, Error> {
        Config::load(&self.sources())
    }

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

#[cfg(test)]
mod tests;
