//! What a write must pass before it is merged, and what it is charged with after.
//!
//! Job: quotas, the name of a new document, the queue of what changed. Called by `handle` under
//! the state's lock. Never lets a document be created under a name that is taken.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;

use super::handle::Handle;
use super::merge::Core;
use super::submission::{Failure, Submission};

impl Handle {
    /// Why nothing can be written now, if so.
    pub(super) fn prevented(&self, batch: &[Submission<'_>]) -> Option<Failure> {
        if !self.shared.journal.is_writable() || self.account.is_closed() {
            return Some(Failure::ReadOnly);
        }
        let is_over = self.account.has_bytes_max() && {
            let bytes = batch.iter().map(|submission| submission.update.bytes().len()).sum();
            self.account.is_over(bytes)
        };
        is_over.then_some(Failure::Quota)
    }

    /// Takes the document's name in its vault, if this batch will create the document. True if so.
    pub(super) fn admit(&self, core: &mut Core, batch: &[Submission<'_>]) -> Result<bool, Failure> {
        if core.is_created() {
            return Ok(false);
        }
        // One that panics here panics again where it is caught for good.
        let creates = catch_unwind(AssertUnwindSafe(|| {
            batch.iter().any(|submission| core.would_change(submission))
        }));
        if !creates.unwrap_or(true) {
            return Ok(false);
        }
        self.admit_new().map(|()| true)
    }

    /// Takes the document's name in its vault: the document is about to be created.
    pub(super) fn admit_new(&self) -> Result<(), Failure> {
        let is_file = self.is_file.load(Ordering::Acquire);
        let admitted = self.account.admit(self.key().doc, &self.name().document, is_file);
        if admitted == Err(Failure::Dropped) {
            // Another document has the name by now: the next open finds that one.
            self.drop_now();
        }
        admitted
    }

    /// Gives the name back: nothing was written.
    pub(super) fn withdraw(&self, is_admitted: bool) {
        if is_admitted {
            self.account.remove(self.key().doc, &self.name().document);
        }
    }

    /// The journal has a commit with so many bytes of updates.
    pub(super) fn note_written(&self, bytes: usize, now_ms: u64) {
        if !self.is_created.swap(true, Ordering::AcqRel) {
            self.account.begin();
        } else if bytes == 0 {
            return;
        }
        self.account.add(bytes as u64);
        self.added.fetch_add(bytes as u64, Ordering::Relaxed);
        self.changed_ms.store(now_ms, Ordering::Release);
        if !self.is_queued.swap(true, Ordering::AcqRel) {
            self.shared.ledger.changed(self.key(), self.name());
        }
    }

    /// What was charged with `Account::add` since the last time.
    pub(super) fn take_added(&self) -> u64 {
        self.added.swap(0, Ordering::AcqRel)
    }

    /// Tells the vault how many of its bytes are this document's, when it leaves memory.
    pub(super) fn settle_charge(&self) {
        self.account.keep(self.key().doc, self.take_added());
    }
}
