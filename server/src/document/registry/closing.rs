//! Ending documents for what was done to their names: moved upon, deleted with their vault, or
//! never written while their vault's place is wanted.
//!
//! Called by `vault` and `registry`. Never decides that: the ledger and the journal know already.

use std::sync::Arc;

use sheaf_protocol::ids::VaultName;

use super::Registry;
use crate::document::handle::{Handle, Name};
use crate::document::ledger::Account;

impl Registry {
    /// Ends a handle that stands for no document: one of another name has taken its name.
    pub fn expel(&self, name: &Name) {
        if let Some(handle) = self.in_memory(name).filter(|handle| !handle.is_created()) {
            handle.drop_now();
        }
    }

    /// Returns when no write of a closed vault is under way: later ones see that it is closed.
    pub fn wait_writes(&self, vault: &VaultName) {
        self.handles_of(vault).iter().for_each(|handle| handle.wait_writes());
    }

    /// Ends all documents of a vault that is gone, and tells their sessions.
    pub fn drop_vault(&self, vault: &VaultName) {
        for handle in self.handles_of(vault).iter().filter(|handle| handle.is_dropped()) {
            handle.drop_now();
            self.remove(handle);
        }
    }

    /// A place for a new vault; if need be, that of one that was only asked for.
    pub fn place(&self, vault: &VaultName) -> Option<Arc<Account>> {
        let new = || self.ledger().get_or_new(vault);
        new().or_else(|| {
            // Documents that nobody has written or reads any more hold theirs until they are idle
            // for long.
            let is_unused = |handle: &Arc<Handle>| {
                !handle.is_created() && !handle.is_dropped() && handle.reader_count() == 0
            };
            self.handles().iter().filter(|handle| is_unused(handle)).for_each(|handle| {
                self.unload(handle);
            });
            new()
        })
    }

    fn handles_of(&self, vault: &VaultName) -> Vec<Arc<Handle>> {
        let mut handles = self.handles();
        handles.retain(|handle| handle.name().vault == *vault);
        handles
    }
}
