//! How a document ends while sessions have it open: deleted, moved, its vault deleted.
//!
//! Job: let a commit be the last one of a handle, under the lock that every write takes, and tell
//! the sessions why. Called by `vault` through `registry`. Never ends a document whose last commit
//! failed, and never lets a write come after one that succeeded.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::MutexGuard;
use sheaf_protocol::stamp::Stamp;

use super::handle::Handle;
use super::merge::Core;
use super::submission::Failure;
use sheaf_storage::journal::Appended;

/// Where a document's log is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Its count of entries.
    pub n: u64,
    /// Its bytes as stored.
    pub bytes: u64,
    /// Its epoch.
    pub epoch: u64,
    /// When the last entry was written, where that is known.
    pub last: Option<Stamp>,
    /// Who wrote since the document was loaded, the latest last.
    pub writers: Vec<Writer>,
}

/// Somebody who wrote in a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Writer {
    /// Who; none is nobody in particular.
    pub name: Option<Arc<str>>,
    /// The device of their last entry; 0 where none is named, or the log alone tells of it.
    pub device: u64,
    /// Their last entry.
    pub n: u64,
}

/// Writers that a document remembers: more do not write within a second.
const WRITERS_MAX: usize = 64;

/// Notes that somebody wrote the entry `n`.
pub(super) fn wrote(writers: &mut Vec<Writer>, (name, device): (Option<&Arc<str>>, u64), n: u64) {
    let is_them = |writer: &Writer| writer.name.as_deref() == name.map(|name| &**name);
    if let Some(last) = writers.last_mut().filter(|last| is_them(last)) {
        (last.device, last.n) = (device, n);
        return;
    }
    if writers.len() == WRITERS_MAX {
        writers.remove(0);
    }
    writers.retain(|writer| !is_them(writer));
    writers.push(Writer { name: name.cloned(), device, n });
}

/// A document that waits for a commit together with others, with its locks; most often for its
/// last one. Dropped, it goes on.
pub struct Ending<'a> {
    pub(super) handle: &'a Handle,
    pub(super) core: MutexGuard<'a, Core>,
    /// Something is merged that the journal does not have: what is in memory is not to be trusted.
    pub(super) is_ahead: bool,
    _alone: MutexGuard<'a, ()>,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        if self.is_ahead {
            self.handle.drop_suspect();
        }
    }
}

/// A lock is held by somebody who may wait for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WouldWait;

impl Ending<'_> {
    /// Which document.
    #[must_use]
    pub fn handle(&self) -> &Handle {
        self.handle
    }

    /// Where its log is.
    #[must_use]
    pub fn mark(&self) -> Mark {
        self.core.mark()
    }

    /// The client ids of its history.
    #[must_use]
    pub fn clients(&self) -> Vec<u64> {
        self.core.clients()
    }

    /// Its last commit is written, up to `end` in the journal: it is over, for this reason.
    pub fn end(self, why: Failure, end: u64) {
        let handle = self.handle;
        handle.end.store(end, Ordering::Release);
        let why = match why {
            Failure::Deleted => DELETED,
            Failure::Moved => MOVED,
            _ => 0,
        };
        handle.ended.store(why, Ordering::Release);
        handle.drop_now();
    }
}

impl Handle {
    /// Where its log is.
    #[must_use]
    pub fn mark(&self) -> Mark {
        self.core().mark()
    }

    /// When its log last moved, in Unix milliseconds.
    #[must_use]
    pub fn changed_ms(&self) -> u64 {
        self.changed_ms.load(Ordering::Acquire)
    }

    /// What changes from now on is queued again.
    pub fn unqueue(&self) {
        self.is_queued.store(false, Ordering::Release);
    }

    /// The store or the journal knows the document.
    #[must_use]
    pub fn is_created(&self) -> bool {
        self.is_created.load(Ordering::Acquire)
    }

    /// Should it be created, then as a file: no other may have a path that a disk takes for its.
    pub fn set_file(&self) {
        self.is_file.store(true, Ordering::Release);
    }

    /// Why it serves nobody any more.
    #[must_use]
    pub fn ended(&self) -> Failure {
        if self.account.is_gone() {
            return Failure::VaultDeleted;
        }
        match self.ended.load(Ordering::Acquire) {
            DELETED => Failure::Deleted,
            MOVED => Failure::Moved,
            _ => Failure::Dropped,
        }
    }

    /// Lets `commit` write the document's last record, and ends the handle. `commit` is told where
    /// the log is and the client ids of the history. False: it had ended before, or there is no
    /// document.
    ///
    /// # Errors
    /// Those of `commit`; the document goes on then.
    pub fn end_as<E>(
        &self,
        why: Failure,
        commit: impl FnOnce(&Mark, &[u64]) -> Result<Appended, E>,
    ) -> Result<bool, E> {
        // The next load is under another name and cannot wait for a checkpoint of this handle.
        let alone = self.checkpointing();
        let Some(ending) = self.last_commit(alone) else { return Ok(false) };
        let appended = commit(&ending.mark(), &ending.clients())?;
        ending.end(why, appended.end);
        Ok(true)
    }

    /// The same for a commit of several documents: nothing of this one changes until what is
    /// returned is gone. `None`: as `false` there.
    ///
    /// # Errors
    /// `WouldWait` while it is being written down or loaded: who holds another document waits for
    /// that only when he has let go of it.
    pub fn try_ending(&self) -> Result<Option<Ending<'_>>, WouldWait> {
        let alone = self.try_checkpointing().ok_or(WouldWait)?;
        Ok(self.last_commit(alone))
    }

    /// The same for one that a commit makes. `None`: it is over.
    ///
    /// # Errors
    /// As [`Handle::try_ending`].
    pub fn try_beginning(&self) -> Result<Option<Ending<'_>>, WouldWait> {
        let alone = self.try_checkpointing().ok_or(WouldWait)?;
        let core = self.core();
        let begun = || Ending { handle: self, core, is_ahead: false, _alone: alone };
        Ok((!self.is_dropped()).then(begun))
    }

    /// Returns when it is not being written down or loaded.
    pub fn wait_checkpoint(&self) {
        drop(self.checkpointing());
    }

    fn last_commit<'a>(&'a self, alone: MutexGuard<'a, ()>) -> Option<Ending<'a>> {
        let core = self.core();
        let is_here = !self.is_dropped() && self.is_created();
        is_here.then_some(Ending { handle: self, core, is_ahead: false, _alone: alone })
    }

    /// Ends it for everyone: sessions close with a transient code, the next open loads it again.
    pub(super) fn drop_now(&self) {
        let mut readers = self.readers.lock();
        self.is_dropped.store(true, Ordering::Release);
        self.settle_charge();
        self.charge(0);
        readers.drop_all();
    }

    /// Leaves memory if nobody reads it and the store has all of it. True if it did.
    pub fn retire(&self) -> bool {
        // Whoever writes without being a reader is not cut off between its look and its append.
        let Some(_core) = self.core.try_lock() else { return false };
        let readers = self.readers.lock();
        let is_idle = readers.is_empty() && self.shared.journal.folded() >= self.end();
        if is_idle {
            self.is_dropped.store(true, Ordering::Release);
            self.settle_charge();
            self.charge(0);
        }
        is_idle
    }

    /// Returns when no write is under way.
    pub(super) fn wait_writes(&self) {
        drop(self.core());
    }
}

const DELETED: u8 = 1;
const MOVED: u8 = 2;
