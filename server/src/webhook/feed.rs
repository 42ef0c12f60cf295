//! What webhooks need of the vaults, as a trait, so that tests can be the vaults.
//!
//! `Vaults` is the one implementation of the server. Never reads the journal: the feed is what is
//! durable and visible.

use sheaf_protocol::ids::VaultName;
use tokio::sync::watch;

use crate::vault::{Changes, Cursor, Error, Vault, Vaults};

/// Vaults and their feeds.
pub trait Feed: Send + Sync + 'static {
    /// All vaults.
    fn list(&self) -> Vec<Vault>;
    /// The vault of this name.
    fn get(&self, name: &VaultName) -> Option<Vault>;
    /// What changed after a cursor, at most `limit`.
    ///
    /// # Errors
    /// As `Vaults::changes`.
    fn changes(&self, name: &VaultName, since: Cursor, limit: usize) -> Result<Changes, Error>;
    /// Follows the highest visible seq; closed when the vault is deleted.
    ///
    /// # Errors
    /// `NoVault`.
    fn watch(&self, name: &VaultName) -> Result<watch::Receiver<u64>, Error>;
}

impl Feed for Vaults {
    fn list(&self) -> Vec<Vault> {
        Vaults::list(self)
    }

    fn get(&self, name: &VaultName) -> Option<Vault> {
        Vaults::get(self, name)
    }

    fn changes(&self, name: &VaultName, since: Cursor, limit: usize) -> Result<Changes, Error> {
        Vaults::changes(self, name, since, limit)
    }

    fn watch(&self, name: &VaultName) -> Result<watch::Receiver<u64>, Error> {
        Vaults::watch(self, name)
    }
}
