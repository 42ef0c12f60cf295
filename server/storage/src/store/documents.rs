//! Finding documents, and what a checkpoint changes. Called by `document::registry` and
//! `document::checkpoint`.
//! Never says that a document does not exist when the witness knows it.

use std::collections::HashSet;

use sheaf_protocol::ids::{DocId, DocKey, VaultName, VaultNo};

use super::engine::Batch;
use super::keys::floors::Floor;
use super::keys::{self, Key, authors, ckpt, floors, log, paths, vaults};
use super::load::{damaged, push};
use super::window::digest;
use super::witness::{Chain, Known, News};
use super::{Aside, Authored, Error, Head, LogEntry, Store, value};

/// A document that exists, without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Its key.
    pub key: DocKey,
    /// Its name within the vault.
    pub name: String,
    /// Deleted: the name is free, the log is kept.
    pub is_deleted: bool,
    /// n of its last entry.
    pub last_n: u64,
    /// n of its newest checkpoint; 0 for none.
    pub checkpoint_n: u64,
    /// Position of its last record.
    pub last_position: u64,
}

impl Store {
    /// The document of that name.
    ///
    /// # Errors
    /// `Damaged` when the witness knows one that the engine has lost; what the engine reports.
    pub fn find(&self, vault: VaultNo, name: &str) -> Result<Option<DocId>, Error> {
        let witnessed = {
            let witness = self.inner.witness.lock();
            witness.find(vault, name).and_then(|doc| Some((doc, witness.known(doc)?.clone())))
        };
        let stored = match value::get_one(self.engine(), &paths::key(vault, name)) {
            Ok(stored) => stored.as_deref().and_then(paths::decode),
            Err(Error::Corrupt { .. }) if witnessed.is_some() => None,
            Err(other) => return Err(other),
        };
        match witnessed {
            Some((doc, known)) if stored != Some(doc.doc) => {
                Err(damaged(doc, &known, 0, "its name is lost"))
            }
            _ => Ok(stored),
        }
    }

    /// A document's head.
    ///
    /// # Errors
    /// `Damaged` when the witness knows the document and its head is gone or is not the one that
    /// was stored; what the engine reports.
    pub fn head(&self, doc: DocKey) -> Result<Option<Head>, Error> {
        let known = self.inner.witness.lock().known(doc).cloned();
        let head = match (self.stored_head(doc), &known) {
            (Err(Error::Corrupt { what, .. }), Some(known)) => {
                return Err(damaged(doc, known, 0, what));
            }
            (head, _) => head?,
        };
        match known {
            Some(known)
                if head.as_ref().map(|head| digest(&head.encode()))
                    != Some(known.mark.head_digest) =>
            {
                Err(damaged(doc, &known, 0, "its head is lost"))
            }
            _ => Ok(head),
        }
    }

    /// n of a document's last entry; 0 for one that the witness does not know.
    #[must_use]
    pub fn last_n(&self, doc: DocKey) -> u64 {
        self.inner.witness.lock().known(doc).map_or(0, |known| known.mark.last_n)
    }

    /// All vaults, by name.
    ///
    /// # Errors
    /// `Corrupt` when the engine has lost one that the witness knows; what the engine reports.
    pub fn vaults(&self) -> Result<Vec<(VaultName, VaultNo)>, Error> {
        let mut all = Vec::new();
        for (key, _) in self.engine().scan(&vaults::prefix(), None, usize::MAX)? {
            let bytes = value::get_one(self.engine(), &key)?.unwrap_or_default();
            let vault = vaults::name(&key).zip(vaults::decode(&bytes));
            all.push(vault.ok_or_else(|| Error::corrupt(&key, "vault"))?);
        }
        let found: HashSet<VaultNo> = all.iter().map(|(_, number)| *number).collect();
        for vault in self.inner.witness.lock().vaults() {
            if !found.contains(&vault.number) {
                return Err(Error::corrupt(&vaults::key(&vault.name), "the vault is lost"));
            }
        }
        Ok(all)
    }

    /// Every document the witness knows, ordered by key.
    #[must_use]
    pub fn documents(&self) -> Vec<Document> {
        let witness = self.inner.witness.lock();
        let docs = witness.docs();
        docs.into_iter()
            .filter_map(|key| witness.known(key).map(|known| document(key, known)))
            .collect()
    }

    /// What was laid aside of a document: quarantined and kept bytes, in order of position.
    ///
    /// # Errors
    /// `Damaged` when it is not what the witness knows of; what the engine reports.
    pub fn asides(&self, doc: DocKey) -> Result<Vec<Aside>, Error> {
        let known = self.inner.witness.lock().known(doc).cloned().ok_or(Error::Unknown(doc))?;
        let fail = |what: &str| damaged(doc, &known, known.mark.last_position, what);
        match self.stored_asides(doc) {
            Ok((asides, chain)) if chain == known.mark.aside => Ok(asides),
            Ok(_) => Err(fail("what was laid aside is not what was stored")),
            Err(Error::Corrupt { what, .. }) => Err(fail(what)),
            Err(other) => Err(other),
        }
    }

    pub(super) fn stored_asides(&self, doc: DocKey) -> Result<(Vec<Aside>, Chain), Error> {
        let (mut asides, mut chain, mut scratch) = (Vec::new(), Chain::default(), Vec::new());
        let prefix = keys::doc_prefix(doc, Key::Aside);
        value::each_chunked(self.engine(), &prefix, None, |key, bytes| {
            let position = keys::number_of(key).unwrap_or_default();
            chain.push(&mut scratch, position, &bytes);
            let aside = Aside::decode(position, &bytes);
            asides.push(aside.ok_or_else(|| Error::corrupt(key, "aside"))?);
            Ok(true)
        })?;
        Ok((asides, chain))
    }

    /// Stores a merged state of the entries up to `n`, the last of them at `position`; on disk and
    /// witnessed when it returns. Older ones go when the log is thinned. Of no effect at or below
    /// the present one.
    ///
    /// The caller has proved that the state is right: the store cannot.
    ///
    /// # Errors
    /// `NotFolded` when the engine does not have the entries yet; `Damaged`; `TooLarge`; what
    /// engine and witness report.
    pub fn put_checkpoint(
        &self,
        doc: DocKey,
        n: u64,
        position: u64,
        state: &[u8],
    ) -> Result<(), Error> {
        let _alone = self.inner.thinning.lock();
        let known = self.inner.witness.lock().known(doc).cloned().ok_or(Error::Unknown(doc))?;
        if n <= known.mark.ckpt_n {
            return Ok(());
        }
        if n > known.mark.last_n {
            return Err(Error::NotFolded { doc, n, folded_n: known.mark.last_n });
        }
        let digest_at_n = self.digest_at(doc, &known, n)?;
        let mut batch = Batch::default();
        let body = ckpt::encode(position, digest_at_n, state);
        value::put_chunked(&mut batch, &ckpt::key(doc, n), &body)?;
        self.engine().apply(&batch)?;
        self.engine().sync()?;
        {
            let mut witness = self.inner.witness.lock();
            let mut now = witness.known(doc).cloned().ok_or(Error::Unknown(doc))?;
            now.mark.ckpt_n = n;
            now.mark.ckpt_digest = digest(state);
            let folded = witness.folded();
            witness.append(News { folded, docs: vec![(doc, now)], ..News::default() })
        }
    }

    /// Moves the entries up to `up_to_n` into the past, in whole groups: one that goes further
    /// stays. Checkpoints before the newest go, or stay as states to read the past from. `note` is
    /// shown every entry that moves, and says at the end who wrote what.
    ///
    /// # Errors
    /// `NotCheckpointed` when no checkpoint covers them; `Damaged`; what the engine reports.
    pub fn thin_log(
        &self,
        doc: DocKey,
        up_to_n: u64,
        note: &mut dyn FnMut(Option<&LogEntry>) -> Vec<Authored>,
    ) -> Result<(), Error> {
        let _alone = self.inner.thinning.lock();
        let known = self.inner.witness.lock().known(doc).cloned().ok_or(Error::Unknown(doc))?;
        if up_to_n > known.mark.ckpt_n {
            return Err(Error::NotCheckpointed { doc, n: up_to_n, ckpt_n: known.mark.ckpt_n });
        }
        let mut floor = self.floor(doc)?;
        let mut chain = Chain { count: 0, digest: floor.digest };
        let mut scratch = Vec::new();
        let prefix = keys::doc_prefix(doc, Key::Log);
        let mut entries = Vec::new();
        let mut batch = Batch::default();
        let mut packer = self.packer(&mut batch, doc)?;
        let newest = known.mark.ckpt_n;
        self.keep_older(&mut batch, doc, (newest, &mut floor.unanchored))?;
        value::each_chunked(self.engine(), &prefix, None, |key, group| {
            if keys::number_of(key).is_none_or(|last_n| last_n > up_to_n) {
                return Ok(false);
            }
            entries.clear();
            log::decode(group, &mut entries).ok_or_else(|| Error::corrupt(key, "group"))?;
            for entry in &entries {
                if entry.n > floor.n {
                    push(&mut chain, &mut scratch, entry);
                    packer.push(&mut batch, doc, entry)?;
                    note(Some(entry));
                    floor.n = entry.n;
                    floor.unanchored += entry.bytes.len() as u64;
                }
            }
            Ok(true)
        })?;
        packer.close(&mut batch, doc)?;
        let authored = note(None);
        if !authored.is_empty() {
            let key = authors::key(doc, floor.n);
            value::put_chunked(&mut batch, &key, &authors::encode(&authored))?;
        }
        floor.digest = chain.digest;
        value::delete_through(self.engine(), &mut batch, &prefix, &log::key(doc, floor.n))?;
        value::put_one(&mut batch, &floors::key(doc), &floor.encode())?;
        self.engine().apply(&batch)
    }

    pub(super) fn floor(&self, doc: DocKey) -> Result<Floor, Error> {
        let key = floors::key(doc);
        let bytes = value::get_one(self.engine(), &key)?;
        bytes
            .and_then(|bytes| Floor::decode(&bytes))
            .ok_or_else(|| Error::corrupt(&key, "the beginning of the log is not known"))
    }

    /// Digest of all entries up to `n`, computed from the checkpoint before it.
    fn digest_at(&self, doc: DocKey, known: &Known, n: u64) -> Result<[u8; 16], Error> {
        let run = || {
            let (from_n, digest) = match self.checkpoint(doc, known.mark.ckpt_n)? {
                Some((checkpoint, digest)) => (checkpoint.n, digest),
                None if known.mark.ckpt_n == 0 => (0, [0; 16]),
                None => return Err(Error::corrupt(&ckpt::key(doc, n), "checkpoint missing")),
            };
            let mut chain = Chain { count: 0, digest };
            let mut scratch = Vec::new();
            let entries = self.entries(doc, from_n, n, &mut 0)?;
            for entry in &entries {
                push(&mut chain, &mut scratch, entry);
            }
            if entries.last().is_none_or(|entry| entry.n != n) {
                return Err(Error::corrupt(&log::key(doc, n), "entry missing"));
            }
            Ok(chain.digest)
        };
        run().map_err(|error| match error {
            Error::Corrupt { what, .. } => damaged(doc, known, 0, what),
            other => other,
        })
    }
}

fn document(key: DocKey, known: &Known) -> Document {
    Document {
        key,
        name: known.name.to_string(),
        is_deleted: known.is_deleted,
        last_n: known.mark.last_n,
        checkpoint_n: known.mark.ckpt_n,
        last_position: known.mark.last_position,
    }
}
