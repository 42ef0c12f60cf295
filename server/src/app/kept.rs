//! What is kept in a data directory, opened without an edge: for commands on a stopped server.
//!
//! Used by `cli`. Never listens, and holds the lock of the directory, so no server runs beside it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::core::Core;
use super::{Ambient, Error};
use crate::config::{Config, data};
use crate::metrics::Metrics;
use crate::vault::Vaults;
use sheaf_ground::task;
use sheaf_ground::time::Clock;

/// An opened data directory. To be closed with [`Kept::close`], or the next start folds the rest.
pub struct Kept {
    core: Core,
    clock: Clock,
    stop_time_max: Duration,
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").field("core", &self.core).finish_non_exhaustive()
    }
}

impl Kept {
    /// Opens the data directory of a configuration, made if there is none.
    ///
    /// # Errors
    /// `Config` if it cannot be used; `Kept` if a server runs on it or it is damaged.
    pub fn open(config: &Config, ambient: &Ambient) -> Result<Kept, Error> {
        let Ambient { clock, seed } = ambient;
        let dir = config.data_dir()?;
        data::prepare(&dir)?;
        let metrics = Arc::new(Metrics::new());
        let core = task::block(|| Core::open(&dir, config, clock, seed, &metrics))?;
        let stop_time_max = Duration::from_secs(config.limits.stop_timeout_s);
        Ok(Kept { core, clock: clock.clone(), stop_time_max })
    }

    /// Everything that is kept.
    #[must_use]
    pub fn vaults(&self) -> &Vaults {
        &self.core.vaults
    }

    /// Settles, syncs and folds.
    pub async fn close(self) {
        self.core.drain(&self.clock, self.stop_time_max).await;
        task::block(|| self.core.close());
    }
}
