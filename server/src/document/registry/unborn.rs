//! Documents that are about to be made by a change of many.
//!
//! Called by `vault`. Nobody can open one before it is written, and then it is loaded like any
//! other: so a change that is not written leaves nothing behind. Never enters the registry.

use sheaf_protocol::ids::{DocId, DocKey};

use super::{OpenError, Registry};
use crate::document::handle::{Handle, Name};
use crate::document::ledger::Account;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A document that is nowhere yet.
pub struct Unborn(Handle);

impl Registry {
    /// A document of this id that a change is about to make. Blocks the thread.
    ///
    /// # Errors
    /// `Failed`: the store does not tell who had the name before.
    pub fn unborn(
        &self,
        account: &Arc<Account>,
        name: &Name,
        doc: DocId,
    ) -> Result<Unborn, OpenError> {
        let (key, mut core) = self.create(account.number(), doc.0);
        debug_assert_eq!(key, DocKey { vault: account.number(), doc });
        core.set_past(self.past(key, &name.document)?);
        let shared = Arc::clone(&self.inner.shared);
        let handle = Handle::new(key, name.clone(), core, (shared, Arc::clone(account)));
        // It settles with the change that makes it.
        handle.is_queued.store(true, Ordering::Release);
        Ok(Unborn(handle))
    }
}

impl Unborn {
    /// To write into it.
    #[must_use]
    pub fn handle(&self) -> &Handle {
        &self.0
    }
}

impl Drop for Unborn {
    fn drop(&mut self) {
        self.0.drop_now();
    }
}
