//! Documents that a name had before, and what is still known of them.
//!
//! Called by `registry` when it loads, and by `vault` before it brings one back. Never opens one
//! for sessions: it has no name, and whoever brings it back gives it one.

use std::panic::{AssertUnwindSafe, catch_unwind};

use sheaf_protocol::error::{Code, Refusal};
use sheaf_protocol::ids::{DocId, DocKey};
use sheaf_storage::store::Retired;

use super::{OpenError, Registry, failed};
use crate::document::ledger::Account;
use crate::document::merge::Core;
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

    /// A deleted document as it was. Blocks the thread.
    ///
    /// # Errors
    /// `Damaged`; `Failed`.
    pub fn recall(&self, account: &Account, doc: DocId) -> Result<Recalled, OpenError> {
        let folded = self.inner.shared.journal.wait_folded(account.fence());
        folded.map_err(|_| OpenError::Failed)?;
        let key = DocKey { vault: account.number(), doc };
        Ok(Recalled(self.load_known(key, false)?.1))
    }
}

/// A document that has no name.
pub struct Recalled(Core);

impl Recalled {
    /// The client ids of its history, as they are kept with its former name.
    #[must_use]
    pub fn clients(&self) -> Vec<u64> {
        self.0.clients()
    }

    /// Its epoch, if an update would change it.
    ///
    /// # Errors
    /// The update is refused, or stands on what the document does not have.
    pub fn news(mut self, submission: &Submission<'_>) -> Result<Option<u64>, Refusal> {
        let news = catch_unwind(AssertUnwindSafe(|| self.0.news(submission)));
        let what = "the update breaks the document";
        let news = news.map_err(|_| Refusal { code: Code::Internal, at: 0, what })??;
        match news {
            Some((true, _)) => Ok(Some(self.0.mark().epoch)),
            Some((false, false)) => Ok(None),
            Some((false, true)) | None => {
                let what = "the copy stands on what the document does not have";
                Err(Refusal { code: Code::GapLeftOpen, at: 0, what })
            }
        }
    }
}
