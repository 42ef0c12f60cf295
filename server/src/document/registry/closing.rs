//! Ending documents for what was done to their names: moved upon, or deleted with their vault.
//!
//! Called by `vault`. Never decides that: the ledger and the journal know already.

use std::sync::Arc;

use sheaf_protocol::ids::VaultName;

use super::Registry;
use crate::document::handle::{Handle, Name};

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

    fn handles_of(&self, vault: &VaultName) -> Vec<Arc<Handle>> {
        let mut handles = self.handles();
        handles.retain(|handle| handle.name().vault == *vault);
        handles
    }
}
