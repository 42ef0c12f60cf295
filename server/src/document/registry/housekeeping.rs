//! What is done about documents while nobody asks: once a second, by the registry's own task.
//!
//! Job: checkpoints, memory given back, unloading, presence that is gone. Called by `registry`.
//! Never makes a checkpoint of a busy document more than twice a minute: each costs as much as
//! thousands of its entries, and the next one takes its place.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures::FutureExt;
use sheaf_protocol::ids::{DocId, DocKey, VaultNo};
use sheaf_protocol::stamp::Stamp;
use sheaf_storage::journal::payload::Presence;
use sheaf_storage::journal::{Kind, Record};

use super::{Inner, Registry, Slot};
use crate::document::checkpoint;
use crate::document::handle::Handle;

/// Every so many looks, one a second, documents are checked for a due checkpoint.
const CHECKPOINT_LOOKS: u64 = 30;

/// So many bytes of entries do not wait for that: a load would be slow.
const CHECKPOINT_URGENT_BYTES: usize = 4 * 1024 * 1024;

impl Registry {
    pub(super) fn tidy(&self) {
        self.raise_awareness_ceiling();
        let looks = self.inner.looks.fetch_add(1, Ordering::Relaxed);
        let is_look = looks % CHECKPOINT_LOOKS == CHECKPOINT_LOOKS - 1;
        let (mut shown, mut loaded) = (0, 0);
        let now_ms = self.inner.shared.clock.now_ms();
        let idle_ms = self.inner.config.unload_idle.as_millis() as u64;
        self.settle_loaded();
        for handle in &self.handles() {
            if handle.is_dropped() {
                self.forget(handle);
                continue;
            }
            shown += handle.tidy();
            handle.rest();
            if is_look || handle.bytes_since_checkpoint() >= CHECKPOINT_URGENT_BYTES {
                self.checkpoint(handle, false);
            }
            let is_idle = handle.reader_count() == 0 && now_ms >= handle.used_ms() + idle_ms;
            loaded += i64::from(!(is_idle && self.unload(handle)));
        }
        // What cannot be unloaded now is tried again at the next look.
        let _ = self.make_room();
        let metrics = &self.inner.shared.metrics.document;
        metrics.bytes.set(self.live_bytes() as u64);
        metrics.loaded.set(loaded);
        metrics.awareness_entries.set(shown as i64);
    }

    /// Takes in documents whose load is over, should nobody wait for them any more.
    fn settle_loaded(&self) {
        let loading = self.inner.slots.iter().filter_map(|slot| match slot.value() {
            Slot::Loading(opening, generation, _) => {
                Some((slot.key().clone(), opening.clone(), *generation))
            }
            Slot::Ready(_) => None,
        });
        let loading: Vec<_> = loading.collect();
        for (name, opening, generation) in loading {
            if let Some(opened) = opening.now_or_never() {
                self.settle(&name, generation, &opened);
            }
        }
    }

    /// Unloads what nobody reads, however short a time ago it was used.
    #[cfg(test)]
    pub(crate) fn unload_all(&self) {
        for handle in self.handles().iter().filter(|handle| handle.reader_count() == 0) {
            self.unload(handle);
        }
    }

    /// Lets go of a handle that was dropped, when the store has all of it: nobody may come back.
    fn forget(&self, handle: &Arc<Handle>) {
        let is_folded = self.inner.shared.journal.folded() >= handle.end();
        if let Some(_alone) = handle.try_checkpointing().filter(|_| is_folded)
            && !handle.is_suspect()
        {
            self.remove(handle);
        }
    }

    pub(super) fn checkpoint(&self, handle: &Handle, is_forced: bool) {
        let Inner { store, shared, .. } = &*self.inner;
        match checkpoint::write(handle, store, &shared.journal, is_forced) {
            Ok(false) => {}
            Ok(true) => drop(shared.metrics.document.checkpoints.inc()),
            Err(error) => tracing::warn!(doc = %handle.key(), %error, "no checkpoint"),
        }
    }

    pub(super) fn raise_awareness_ceiling(&self) {
        let shared = &self.inner.shared;
        let Some(ceiling) = shared.awareness.to_raise() else { return };
        let record = Record {
            doc: DocKey { vault: VaultNo(0), doc: DocId(Stamp::ZERO) },
            n: 0,
            kind: Kind::Presence,
            stamp: self.stamp(),
            author: None,
            payload: &Presence { clock: u64::from(ceiling) }.encode(),
        };
        match shared.journal.append(&[record]) {
            Ok(_) => shared.awareness.raised(ceiling),
            Err(error) => tracing::warn!(%error, "awareness ceiling not written"),
        }
    }
}
