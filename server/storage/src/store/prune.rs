//! Forgetting deleted documents: what the fold does to their keys, and the horizon. Called by the
//! journal's fold and by `vault`.
//! Never removes what the journal does not say is forgotten, and never forgets a horizon.

use sheaf_protocol::ids::{DocId, DocKey, VaultNo};

use super::engine::Batch;
use super::keys::{self, Key, activity, feed, items, meta, retired};
use super::window::Window;
use super::{Error, Store, value};

/// Keys that one batch removes.
const PURGE_KEYS: usize = 1_000;

/// Documents whose markers are read at a time.
const PURGE_DOCS: usize = 256;

/// Kinds of keys that are of one document, and go with it.
const KINDS: [Key; 13] = [
    Key::Items,
    Key::Marks,
    Key::Labels,
    Key::Heads,
    Key::Owners,
    Key::Log,
    Key::Ckpt,
    Key::Aside,
    Key::Floors,
    Key::Lost,
    Key::Past,
    Key::Anchors,
    Key::Authors,
];

/// What is forgotten, as the journal has it.
#[derive(Debug, Clone, Copy)]
pub struct Pruned<'a> {
    /// The highest seq whose change is forgotten, now and before.
    pub horizon: u64,
    /// Deleted documents that are forgotten, with the seqs of their deletions.
    pub documents: &'a [(DocId, u64)],
    /// Documents whose former names are forgotten.
    pub names: &'a [(DocId, String)],
}

impl Window {
    /// Takes what is forgotten. The other keys of the documents are cleared away after the commit.
    ///
    /// # Errors
    /// None in practice: a number fits a value.
    pub fn pruned(
        &mut self,
        vault: VaultNo,
        position: u64,
        pruned: Pruned<'_>,
    ) -> Result<(), Error> {
        let of = |doc: DocId| DocKey { vault, doc };
        for (doc, _) in pruned.documents {
            self.docs.remove(&of(*doc));
        }
        if position >= self.engine_from {
            let horizon = pruned.horizon.to_le_bytes();
            value::put_one(&mut self.batch, &meta::horizon_key(vault), &horizon)?;
            for (doc, seq) in pruned.documents {
                self.batch.delete(items::key(of(*doc)));
                self.batch.delete(feed::key(vault, *seq));
                value::put_one(&mut self.batch, &meta::pruned_key(of(*doc)), &[])?;
                self.has_gone = true;
            }
            for (doc, name) in pruned.names {
                self.batch.delete(retired::key(of(*doc), name));
            }
        }
        if position >= self.witness_from {
            self.gone.extend(pruned.documents.iter().map(|(doc, _)| of(*doc)));
        }
        Ok(())
    }
}

impl Store {
    /// The highest seq of a vault whose change is forgotten; 0 for none.
    ///
    /// # Errors
    /// `Corrupt` when it cannot be read; what the engine reports.
    pub fn horizon(&self, vault: VaultNo) -> Result<u64, Error> {
        let key = meta::horizon_key(vault);
        let Some(bytes) = value::get_one(self.engine(), &key)? else { return Ok(0) };
        let bytes = bytes.try_into().map_err(|_| Error::corrupt(&key, "horizon"))?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// Former names in a vault, with the documents that had them, by name.
    ///
    /// # Errors
    /// What the engine reports.
    pub fn former_names(&self, vault: VaultNo) -> Result<Vec<(String, DocId)>, Error> {
        let prefix = keys::vault_prefix(vault, Key::Retired);
        let (mut found, mut from) = (Vec::new(), None::<Vec<u8>>);
        loop {
            let pairs = self.engine().scan(&prefix, from.as_deref(), PURGE_KEYS)?;
            found.extend(pairs.iter().filter_map(|(key, _)| {
                let name = retired::name(key)?.to_owned();
                Some((name, retired::doc(key)?.doc))
            }));
            match pairs.into_iter().next_back() {
                Some((key, _)) => from = Some(key),
                None => return Ok(found),
            }
        }
    }

    /// Removes what forgotten documents left in the engine, in bounded batches. A crash in between
    /// is harmless: the next start goes on. The caller sees to it that nothing is thinned.
    pub(super) fn purge_pruned(&self) -> Result<(), Error> {
        loop {
            let markers = self.engine().scan(&meta::key(meta::PRUNED), None, PURGE_DOCS)?;
            if markers.is_empty() {
                return Ok(());
            }
            let mut done = Batch::default();
            for (marker, _) in markers {
                if let Some(doc) = meta::pruned_doc(&marker) {
                    self.purge_document(doc)?;
                }
                done.delete(marker);
            }
            // A marker goes when what it stands for is gone for good.
            self.engine().sync()?;
            self.engine().apply(&done)?;
        }
    }

    fn purge_document(&self, doc: DocKey) -> Result<(), Error> {
        for kind in KINDS {
            loop {
                let pairs = self.engine().scan(&keys::doc_prefix(doc, kind), None, PURGE_KEYS)?;
                if pairs.is_empty() {
                    break;
                }
                let mut batch = Batch::default();
                for (key, _) in pairs {
                    if let (Key::Marks, Some(seq)) = (kind, keys::number_of(&key)) {
                        batch.delete(activity::key(doc.vault, seq));
                    }
                    batch.delete(key);
                }
                self.engine().apply(&batch)?;
            }
        }
        Ok(())
    }

    /// Whether a document is forgotten and its keys may still be here.
    pub(super) fn is_pruned(&self, doc: DocKey) -> Result<bool, Error> {
        Ok(self.engine().get(&meta::pruned_key(doc))?.is_some())
    }
}

#[cfg(test)]
mod tests;
