//! What keeps a live document in order while nobody asks: checkpoints, and memory given back.
//!
//! Called by `registry` and `checkpoint`. Never writes of a document that was dropped.

use parking_lot::MutexGuard;

use super::checkpoint::Draft;
use super::handle::Handle;
use super::merge::Core;

impl Handle {
    /// Housekeeping: forgets presence of those who are gone. Returns how many ids are shown.
    pub fn tidy(&self) -> usize {
        let mut readers = self.readers.lock();
        readers.forget_gone();
        readers.shown()
    }

    /// Housekeeping: gives back memory that nobody has asked for lately.
    pub(super) fn rest(&self) {
        // Who has the lock is using it.
        if let Some(mut core) = self.core.try_lock() {
            // Should it break, it is dropped, and whoever comes next loads it again.
            let _ = self.look(&mut core, Core::rest);
        }
    }

    /// The state to write down as a checkpoint, if enough has changed since the last one. Never of
    /// a document that was dropped: what it holds is not trusted.
    pub(super) fn due_checkpoint(&self, is_forced: bool) -> Option<Draft> {
        let mut core = self.core();
        if self.is_dropped() {
            return None;
        }
        self.look(&mut core, |core| core.due_checkpoint(is_forced, self.end())).ok().flatten()
    }

    /// Held while a checkpoint is written, and by a load that follows this handle.
    pub(super) fn checkpointing(&self) -> MutexGuard<'_, ()> {
        self.checkpointing.lock()
    }

    /// The same, unless one is being written.
    pub(super) fn try_checkpointing(&self) -> Option<MutexGuard<'_, ()>> {
        self.checkpointing.try_lock()
    }

    /// Entries that a load would replay.
    pub(super) fn entries_since_checkpoint(&self) -> u64 {
        self.core().entries_since_checkpoint()
    }

    /// Bytes of updates that a load would replay.
    pub(super) fn bytes_since_checkpoint(&self) -> usize {
        self.core().bytes_since_checkpoint()
    }

    /// A checkpoint is in the store.
    pub(super) fn checkpointed(&self, draft: &Draft) {
        let mut core = self.core();
        core.checkpointed(draft);
        self.account.charge(self.key().doc, core.stored_bytes(), self.take_added());
        let _readers = self.readers.lock();
        if !self.is_dropped() {
            self.charge(core.state().live_bytes());
        }
    }
}
