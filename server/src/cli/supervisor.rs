//! What a service manager is told: that we serve, that we stop, that we are still alive.
//!
//! Used by `serve`. Speaks to whoever set `NOTIFY_SOCKET` (systemd's protocol) and is silent
//! without one. Never fails: a supervisor that does not listen must not end the server.

use std::future;
use std::time::Duration;

use sd_notify::NotifyState;

use sheaf_ground::time::Clock;

/// The shortest time between two signs of life, however short the watchdog's patience.
const FEED_INTERVAL_MIN: Duration = Duration::from_millis(10);

/// The service manager of this process.
pub(super) struct Supervisor {
    /// After so much silence it takes us for dead.
    patience: Option<Duration>,
}

impl Supervisor {
    /// As the environment names it.
    pub(super) fn of_process() -> Supervisor {
        Supervisor { patience: sd_notify::watchdog_enabled() }
    }

    /// We accept connections.
    pub(super) fn ready(&self) {
        tell(&[NotifyState::Ready, NotifyState::Status("serving")]);
    }

    /// We read the configuration again; [`Supervisor::ready`] follows.
    pub(super) fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => tell(&[NotifyState::Reloading, now]),
            Err(error) => tracing::warn!(%error, "no monotonic clock for the service manager"),
        }
    }

    /// We accept no more.
    pub(super) fn stopping(&self) {
        tell(&[NotifyState::Stopping, NotifyState::Status("letting sessions drain")]);
    }

    /// Gives signs of life, twice in the time the watchdog waits, and never ends. It runs on the
    /// runtime that serves: when that stands still, the signs stop.
    pub(super) async fn feed(&self, clock: &Clock) {
        let Some(patience) = self.patience else { return future::pending().await };
        loop {
            tell(&[NotifyState::Watchdog]);
            clock.sleep((patience / 2).max(FEED_INTERVAL_MIN)).await;
        }
    }
}

fn tell(states: &[NotifyState]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager was not told");
    }
}
