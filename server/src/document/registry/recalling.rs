//! Documents that a name had before, and what is still known of them.
//!
//! Called by `registry` when it loads, and by `vault` before it brings one back. Never opens one
//! for sessions: it has no name, and whoever brings it back gives it one.

use sheaf_protocol::ids::{DocId, DocKey};
use sheaf_storage::store::Retired;

use super::{OpenError, Registry, failed};
use crate::document::ledger::Account;
use crate::document::past::Past;
use crate::document::submission::Submission;

impl Registry {
    /// Who had a document's name before it.
    pub(super) fn past(&self, key: DocKey, name: &str) -> Result<Past, OpenError> {
        let stored = self.inner.store.retired(key.vault, name);
        let mut retired = stored.map_err(|error| failed(&error))?;
        retired.retain(|one| one.doc != key.doc);
        for Retired { doc, clients } in &mut retired {
            if clients.is_empty() {
                let key = DocKey { vault: key.vault, doc: *doc };
                // One that cannot be read any more must not keep its name's next from its readers.
                *clients = self.load_known(key, false).map_or(Vec::new(), |(_, it)| it.clients());
            }
        }
        Ok(Past::new(retired))
    }

    /// The epoch of a deleted document, if an update would change it. Blocks the thread.
    ///
    /// # Errors
    /// `Damaged`; `Failed`.
    pub fn has_news(
        &self,
        account: &Account,
        doc: DocId,
        submission: &Submission<'_>,
    ) -> Result<Option<u64>, OpenError> {
        let folded = self.inner.shared.journal.wait_folded(account.fence());
        folded.map_err(|_| OpenError::Failed)?;
        let key = DocKey { vault: account.number(), doc };
        let (_, mut core) = self.load_known(key, false)?;
        Ok(core.would_change(submission).then(|| core.mark().epoch))
    }
}
