//! Vaults: their files, and one feed of what changed.
//!
//! Job: say what is in a vault, create and delete vaults, move and delete files, settle bodies and
//! give each durable change its seq. Called by the edges and by services that follow the feed. Never
//! shows a change before it is durable, and never touches the CRDT library.

mod error;
mod file;

use std::sync::Arc;

use sheaf_protocol::ids::{Principal, VaultName};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use error::Error;
pub use file::{Change, Changes, Cursor, File, Kind, NotACursor, Page, Vault};

use crate::document::handle::{Handle, Name};
use crate::document::registry::Registry;
use crate::document::submission::Failure;

/// The vaults of a server. Clones share them.
#[derive(Clone)]
pub struct Vaults {
    registry: Registry,
}

impl Vaults {
    /// Over a registry.
    #[must_use]
    pub fn new(registry: Registry) -> Self {
        Self { registry }
    }

    /// All vaults, by name.
    #[must_use]
    pub fn list(&self) -> Vec<Vault> {
        Vec::new()
    }

    /// The vault of this name.
    #[must_use]
    pub fn get(&self, _name: &VaultName) -> Option<Vault> {
        None
    }

    /// Creates a vault; durable when it returns. False if there was one.
    ///
    /// # Errors
    /// `Full`; `Failed` when the journal takes no writes.
    pub async fn create(&self, _name: &VaultName, _by: &Principal) -> Result<bool, Error> {
        Err(Failure::ReadOnly.into())
    }

    /// Deletes a vault with everything in it; durable when it returns. Its sessions are closed.
    ///
    /// # Errors
    /// `NoVault`; `Failed`, and then everything is as before.
    pub async fn delete(&self, _name: &VaultName, _by: &Principal) -> Result<(), Error> {
        Err(Failure::ReadOnly.into())
    }

    /// Live files whose path begins with `prefix`, by path, those after `after`, at most 1,000.
    /// A document whose first body has not settled yet is there with n and seq 0.
    ///
    /// # Errors
    /// `NoVault`.
    pub fn files(
        &self,
        _name: &VaultName,
        _prefix: &str,
        _after: Option<&str>,
        _limit: usize,
    ) -> Result<Page<File, Arc<str>>, Error> {
        Err(Error::NoVault)
    }

    /// The live file at a path.
    ///
    /// # Errors
    /// `NoVault`; `NoFile`.
    pub fn file(&self, _name: &VaultName, _path: &str) -> Result<File, Error> {
        Err(Error::NoVault)
    }

    /// The document of a live file.
    ///
    /// # Errors
    /// `NoVault`; `NoFile`; `Open`.
    pub async fn open(&self, name: &VaultName, path: &str) -> Result<Arc<Handle>, Error> {
        let name = Name { vault: name.clone(), document: path.into() };
        Ok(self.registry.open(&name).await?)
    }

    /// The document of a file, or one that becomes it with its first write. A path that has no file
    /// yet must follow the rules of paths and be no alias of another.
    ///
    /// # Errors
    /// `NoVault` where vaults are only created explicitly; `BadPath`; `PathTaken`; `Quota`; `Open`.
    pub async fn open_or_create(&self, name: &VaultName, path: &str) -> Result<Arc<Handle>, Error> {
        self.open(name, path).await
    }

    /// Deletes a file; durable when it returns its seq. Its sessions are closed with 4404.
    /// `if_n`: only if the document's count of entries is this.
    ///
    /// # Errors
    /// `NoVault`; `NoFile`; `Stale`; `Open`; `Failed`, and then everything is as before.
    pub async fn delete_file(
        &self,
        _name: &VaultName,
        _path: &str,
        _by: &Principal,
        _if_n: Option<u64>,
    ) -> Result<u64, Error> {
        Err(Failure::ReadOnly.into())
    }

    /// Gives a file another path; durable when it returns the seq. The id stays, and sessions of
    /// the old path are closed with 1012. `if_n` as for `delete_file`.
    ///
    /// # Errors
    /// As `delete_file`; `BadPath`; `PathTaken`.
    pub async fn move_file(
        &self,
        _name: &VaultName,
        _from: &str,
        _to: &str,
        _by: &Principal,
        _if_n: Option<u64>,
    ) -> Result<u64, Error> {
        Err(Failure::ReadOnly.into())
    }

    /// Settles a file's body now; durable when it returns the seq of its last change.
    ///
    /// # Errors
    /// `NoVault`; `NoFile`; `Open`; `Failed`.
    pub async fn settle(&self, _name: &VaultName, _path: &str) -> Result<u64, Error> {
        Err(Failure::ReadOnly.into())
    }

    /// What changed after a cursor, by seq, at most `limit` (1,000): durable changes alone, each
    /// item once and in its current form, deletions only where the cursor is beyond the beginning.
    ///
    /// # Errors
    /// `NoVault`; `CursorExpired`.
    pub fn changes(
        &self,
        _name: &VaultName,
        _since: Cursor,
        _limit: usize,
    ) -> Result<Changes, Error> {
        Err(Error::NoVault)
    }

    /// Follows the highest visible seq; closed when the vault is deleted.
    ///
    /// # Errors
    /// `NoVault`.
    pub fn watch(&self, _name: &VaultName) -> Result<watch::Receiver<u64>, Error> {
        Err(Error::NoVault)
    }

    /// Settles bodies until the server stops, and what is unsettled then.
    pub async fn run(self, stopping: CancellationToken) {
        stopping.cancelled().await;
    }
}
