//! Which deleted documents of a vault are not to be forgotten now, and which just were.
//!
//! Called by `prune`, and by whoever looks into a deleted document. Never says that the store has
//! forgotten one before it has.

use sheaf_protocol::ids::DocId;
use sheaf_storage::store::Item;

use super::State;

/// Why a deleted document is not to be forgotten now.
#[derive(Clone, Copy, Default)]
pub(super) struct Busy {
    /// How many look into it.
    readers: usize,
    /// End of the record that names a version of it.
    named: u64,
}

impl State {
    /// A deleted document is not to be forgotten now.
    pub(in crate::vault) fn is_busy(&self, doc: DocId) -> bool {
        self.ahead.contains_key(&doc) || self.wrong.contains(&doc) || self.busy.contains_key(&doc)
    }

    /// Keeps a document from being forgotten until `set_read`.
    pub(in crate::vault) fn set_reading(&mut self, doc: DocId) {
        self.busy.entry(doc).or_default().readers += 1;
    }

    /// The reverse of `set_reading`.
    pub(in crate::vault) fn set_read(&mut self, doc: DocId) {
        self.busy.entry(doc).or_default().readers -= 1;
        self.busy.retain(|_, busy| busy.readers > 0 || busy.named > 0);
    }

    /// A version is named by the record that ends here.
    pub(in crate::vault) fn set_named(&mut self, doc: DocId, end: u64) {
        self.busy.entry(doc).or_default().named = end;
    }

    /// The store has every record before `folded`.
    pub(in crate::vault) fn set_folded(&mut self, folded: u64) {
        self.forgotten.retain(|_, end| *end > folded);
        self.busy.retain(|_, busy| busy.readers > 0 || busy.named > folded);
    }

    /// Forgets a document, by the record that ends here. The item it had.
    pub(in crate::vault) fn forget(&mut self, doc: DocId, end: u64) -> Option<Item> {
        let item = self.items.remove(&doc)?;
        self.rows.remove(&item.seq);
        self.notes.remove(&doc);
        self.forgotten.insert(doc, end);
        Some(item)
    }

    /// A document is forgotten, and the store may not know yet.
    pub(in crate::vault) fn is_forgotten(&self, doc: DocId) -> bool {
        self.forgotten.contains_key(&doc)
    }
}
