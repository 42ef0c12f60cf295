//! Takes a changed configuration into a running server.
//!
//! Used by `serve`: on SIGHUP, and when a file of the configuration has other content. Never ends
//! the server: a configuration that is wrong is told, and the old one stays.

use std::future::pending;

use tokio::signal::unix::{SignalKind, signal};

use super::supervisor::Supervisor;
use crate::app::App;
use crate::config::watch::Watch;
use crate::config::{Config, Sources};
use crate::relay::tls;
use crate::time::Clock;

/// Follows the configuration for as long as it is polled.
pub(super) async fn follow(app: &App, sources: &Sources, clock: &Clock, supervisor: &Supervisor) {
    let Ok(mut hangup) = signal(SignalKind::hangup()) else { return pending().await };
    let mut watch = watch(&app.config(), sources);
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
        match Config::load(sources).map(|config| app.reload(config)) {
            Ok(Ok(())) => watch = self::watch(&app.config(), sources),
            Ok(Err(error)) => {
                tracing::error!(%error, "the configuration was not taken: the old one stays");
            }
            Err(error) => {
                tracing::error!(%error, "the configuration was not read again: the old one stays");
            }
        }
        supervisor.ready();
    }
}

fn watch(config: &Config, sources: &Sources) -> Option<Watch> {
    let certificate = config.tls.iter().flat_map(tls::Config::files);
    let files = sources.file.iter().chain(config.jwt.files()).chain(certificate);
    let files: Vec<_> = files.cloned().collect();
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
