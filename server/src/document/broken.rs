//! What becomes of a document that breaks on something it holds.
//!
//! Job: keep the update that did it, tell who is to be told, and drop the document: it is loaded
//! again without it. Called by `handle` and by those who look at the content, under the state's
//! lock. Never goes on with a state that failed, and never lets a panic out.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;

use sheaf_protocol::error::Refusal;
use sheaf_storage::journal::payload::Refused;
use sheaf_storage::journal::{Kind, Record};

use super::handle::Handle;
use super::merge::{Core, Taken};
use super::owners::Submitter;
use super::submission::{Failure, Receipt};

impl Handle {
    /// Looks at the content.
    ///
    /// # Errors
    /// It broke: open the document again.
    pub(super) fn look<R>(
        &self,
        core: &mut Core,
        look: impl FnOnce(&mut Core) -> R,
    ) -> Result<R, Failure> {
        let looked = catch_unwind(AssertUnwindSafe(|| look(core)));
        match looked {
            Ok(looked) if core.state().broken().is_none() => Ok(looked),
            _ => Err(self.broke(core)),
        }
    }

    /// Looking at the content broke it. The next load looks for the entry that did it and skips it.
    pub(super) fn broke(&self, core: &mut Core) -> Failure {
        tracing::error!(doc = %self.key(), "the content broke, document dropped");
        if let Some(culprit) = core.state().broken().map(<[u8]>::to_vec) {
            self.lay_aside(core, None, &culprit);
        }
        self.drop_suspect();
        Failure::Dropped
    }

    /// The document broke on an update of this batch, of which nobody has seen anything and the
    /// journal has nothing; or on one that was accepted before, and then its sender is not known.
    /// What is in memory is not trusted any more.
    pub(super) fn quarantine(
        &self,
        core: &mut Core,
        by: Submitter<'_>,
        bytes: &[u8],
    ) -> Result<Receipt, Failure> {
        if core.state().broken().is_some() {
            return Err(self.broke(core));
        }
        self.lay_aside(core, by.author.principal.name(), bytes);
        self.drop_suspect();
        let refusal = Refusal::malformed(0, "the update broke the document");
        Ok(Receipt { refusal: Some(refusal), ..Receipt::default() })
    }

    /// Once it is loaded again nothing waits: who sends such an update is found.
    pub(super) fn drop_suspect(&self) {
        self.is_suspect.store(true, Ordering::Release);
        self.drop_now();
    }

    fn lay_aside(&self, core: &mut Core, author: Option<&str>, bytes: &[u8]) {
        let (doc, bytes_len) = (self.key(), bytes.len());
        tracing::error!(%doc, bytes = bytes_len, "update quarantined");
        self.shared.metrics.document.quarantined.inc();
        let reason = "the document broke on it";
        let mut payload = Vec::with_capacity(bytes.len() + 64);
        Refused { reason, bytes }.encode(&mut payload);
        let notes = core.notes(self.name(), &Taken::default());
        let now_ms = self.shared.clock.now_ms();
        let mut records = notes.created_record(doc, core.stamp(now_ms));
        let (n, stamp, kind) = (core.n(), core.stamp(now_ms), Kind::Quarantined);
        records.push(Record { doc, n, kind, stamp, author, payload: &payload });
        match self.shared.journal.append(&records) {
            Ok(appended) => {
                self.end.store(appended.end, Ordering::Release);
                self.note_written(0, now_ms);
            }
            Err(error) => tracing::error!(%doc, %error, "quarantine not written"),
        }
    }
}
