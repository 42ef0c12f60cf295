//! Takes a changed configuration into a running server.
//!
//! Used by `serve`: on SIGHUP, and when a file of the configuration has other content. Never ends
//! the server: a configuration that is wrong is told, and the old one stays.

use std::future::pending;
use std::path::PathBuf;

use tokio::signal::unix::{SignalKind, signal};

use super::supervisor::Supervisor;
use crate::app::App;
use crate::config::watch::Watch;
use crate::config::{self, Config, Sources};
use crate::relay::tls;
use sheaf_ground::time::Clock;

/// Rounds of watching what the configuration names, while it names other files each time.
const ROUNDS_MAX: usize = 3;

/// A configuration, with its files watched since before they were read: no change is missed.
pub(super) struct Watched {
    pub(super) config: Config,
    pub(super) watch: Option<Watch>,
}

impl Watched {
    /// Watches, then reads; again where what was read names other files.
    pub(super) fn load(sources: &Sources) -> Result<Watched, config::Error> {
        let mut files: Vec<_> = sources.file.iter().cloned().collect();
        let mut round = 0;
        loop {
            let watch = watch(files.clone());
            let config = Config::load(sources)?;
            let named = named(&config, sources);
            round += 1;
            if named == files || round == ROUNDS_MAX {
                return Ok(Watched { config, watch });
            }
            files = named;
        }
    }
}

/// Follows the configuration for as long as it is polled. `watch` is of the one that is in force.
pub(super) async fn follow(
    app: &App,
    sources: &Sources,
    mut watch: Option<Watch>,
    clock: &Clock,
    supervisor: &Supervisor,
) {
    let Ok(mut hangup) = signal(SignalKind::hangup()) else { return pending().await };
    loop {
        let changed = async {
            match &mut watch {
                Some(watch) => watch.changed(clock).await,
                None => pending().await,
            }
        };
        tokio::select! {
            _ = hangup.recv() => {}
            () = changed => {}
        }
        supervisor.reloading();
        match Watched::load(sources) {
            Ok(read) => match app.reload(read.config) {
                Ok(()) => watch = read.watch,
                Err(error) => {
                    tracing::error!(%error, "the configuration was not taken: the old one stays");
                }
            },
            Err(error) => {
                tracing::error!(%error, "the configuration was not read again: the old one stays");
            }
        }
        supervisor.ready();
    }
}

/// Every file that a configuration is made of.
fn named(config: &Config, sources: &Sources) -> Vec<PathBuf> {
    let certificate = config.tls.iter().flat_map(tls::Config::files);
    sources.file.iter().chain(config.jwt.files()).chain(certificate).cloned().collect()
}

fn watch(files: Vec<PathBuf>) -> Option<Watch> {
    if files.is_empty() {
        return None;
    }
    let watch = Watch::new(files);
    watch
        .inspect_err(|error| {
            tracing::warn!(%error, "files are not watched: send SIGHUP after a change");
        })
        .ok()
}

#[cfg(test)]
mod tests;
