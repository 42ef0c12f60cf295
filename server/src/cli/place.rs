//! Which data directory a command for operators works on.
//!
//! Used by `verify` and `dump`, on a server that is stopped. Never makes or changes a directory.

use std::io;
use std::path::PathBuf;

use figment::value::Value;
use tracing::level_filters::LevelFilter;

use super::environment;
use crate::config::{Config, Error, Sources};
use sheaf_ground::task;

#[derive(Debug, clap::Args)]
pub(super) struct Place {
    /// The data directory of a stopped server [default: as `serve` would take it]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Configuration file that may name it
    #[arg(long, value_name = "FILE", env = "SHEAF_CONFIG")]
    config: Option<PathBuf>,
}

impl Place {
    /// The directory `serve` would use with the same arguments.
    pub(super) fn dir(&self) -> Result<PathBuf, Error> {
        let data = self.data.iter();
        let flags = data.map(|dir| ("data", Value::from(dir.to_string_lossy().into_owned())));
        let (file, environment) = (self.config.clone(), environment());
        Config::load(&Sources { file, environment, flags: flags.collect() })?.data_dir()
    }
}

/// Warnings go to stderr; stdout is the command's answer. sled panics on damaged files, which the
/// store catches: only the place of such a panic is worth a line.
pub(super) fn start_log() {
    tracing_subscriber::fmt().with_max_level(LevelFilter::WARN).with_writer(io::stderr).init();
    task::log_panics_without_message();
}
