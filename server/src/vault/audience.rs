//! How many clients each vault's channel has, and the lines of the log that say so.
//!
//! Job: tell an operator what whole files came in and how many hear of a change. Called by the
//! channel and by HTTP. Never holds who the clients are: that is the list of sessions.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use sheaf_protocol::ids::VaultName;

use super::Vaults;
use super::upload::Uploaded;

/// The clients of all channels, counted. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Audience(Arc<Mutex<HashMap<VaultName, usize>>>);

/// One client's place; it leaves when this is dropped.
#[derive(Debug)]
pub struct Place {
    audience: Audience,
    vault: VaultName,
}

/// Where a change comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// One of the clients of the vault's channel.
    Client,
    /// Anywhere else.
    Elsewhere,
}

impl Audience {
    /// Another client of a vault.
    #[must_use]
    pub fn enter(&self, vault: &VaultName) -> Place {
        *self.0.lock().entry(vault.clone()).or_default() += 1;
        Place { audience: self.clone(), vault: vault.clone() }
    }

    /// Says that a whole file came in, which was at version `before`.
    pub fn uploaded(
        &self,
        vault: &VaultName,
        (before, uploaded): (u64, &Uploaded),
        (from, device): (From, u64),
    ) {
        self.took_in(vault, (before, uploaded), device);
        self.changed(vault, from);
    }

    /// The same of one that came in with other changes, which are told of once.
    pub fn took_in(&self, vault: &VaultName, (before, uploaded): (u64, &Uploaded), device: u64) {
        let Uploaded { path, version, is_merged, is_conflict, has_changed, .. } = uploaded;
        let device = (device != 0).then(|| format!("{device:016x}"));
        tracing::info!(%vault, device, "Upload: {path} (v{before} -> v{version})");
        if (*is_merged || *is_conflict) && *has_changed {
            tracing::info!(%vault, version, "Conflict resolved: {path} (v{version})");
        }
    }

    /// Says how many hear of a change, besides the one who made it.
    pub fn changed(&self, vault: &VaultName, from: From) {
        let count = self.0.lock().get(vault).copied().unwrap_or_default();
        let clients = count.saturating_sub(usize::from(from == From::Client));
        tracing::info!(%vault, "Broadcast to {clients} clients");
    }
}

impl Vaults {
    /// Who hears of changes.
    #[must_use]
    pub fn audience(&self) -> &Audience {
        &self.inner.audience
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.audience.0.lock();
        if let Some(count) = counts.get_mut(&self.vault) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.vault);
            }
        }
    }
}
