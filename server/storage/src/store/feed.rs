//! Vaults, their items and their feeds: what a fold does to them, reading them at start, checking
//! them, and clearing away what a deleted vault leaves. Called by the journal's fold, by `vault` at
//! start, by `verify` and by `repair`.
//! Never takes a feed's word for what a document holds: an item that is wrong is settled again.

use std::collections::{BTreeMap, HashMap};

use sheaf_protocol::ids::{DocId, DocKey, VaultName, VaultNo};

use super::engine::{Batch, Pair};
use super::keys::meta::{self, Facts};
use super::keys::{self, Key, feed, heads, items, paths, vaults};
use super::window::{Window, digest};
use super::{Error, Head, Item, Made, Store, value};

/// Keys of a deleted vault that one batch removes.
const PURGE_KEYS: usize = 1_000;

/// Pairs read by one engine call.
const SCAN_PAIRS: usize = 1_000;

/// A change of an item, as the journal has it.
#[derive(Debug, Clone, Copy)]
pub struct ItemChange<'a> {
    /// The row of the feed it replaces; 0 for none.
    pub prev_seq: u64,
    /// The item from now on.
    pub item: &'a Item,
    /// How it came about.
    pub made: &'a Made,
    /// What else it does to the document.
    pub renamed: Option<Renamed<'a>>,
}

/// A document that gets another name, or loses its name because it is deleted.
#[derive(Debug, Clone, Copy)]
pub struct Renamed<'a> {
    /// The name that is free now.
    pub from: &'a str,
    /// The document's epoch, for its head.
    pub epoch: u64,
}

/// What is stored of a vault's feed.
#[derive(Debug, Default)]
pub struct Feed {
    /// Facts of the vault; none when they are lost, or not folded yet.
    pub facts: Option<Facts>,
    /// The highest seq that anything knows of.
    pub seq: u64,
    /// Whole items by document.
    pub items: Vec<(DocId, Item)>,
    /// Rows of the feed by seq.
    pub rows: BTreeMap<u64, DocId>,
    /// The witness knows the facts, too.
    pub is_witnessed: bool,
    /// Values that could not be read.
    pub damaged: usize,
}

impl Window {
    /// Takes the explicit creation of a vault, or new facts of one.
    ///
    /// # Errors
    /// None in practice: a number fits a value.
    pub fn vault_created(
        &mut self,
        vault: VaultNo,
        position: u64,
        facts: &Facts,
    ) -> Result<(), Error> {
        if position >= self.engine_from {
            let key = vaults::key(&facts.name);
            value::put_one(&mut self.batch, &key, &vaults::encode(vault))?;
            self.facts.insert(vault, facts.clone());
        }
        if position >= self.witness_from {
            let known = self.vault(vault, &facts.name);
            (known.epoch, known.seq) = (facts.epoch, known.seq.max(facts.seq));
        }
        Ok(())
    }

    /// Takes the end of a vault. What it leaves in the engine is cleared away after the commit.
    ///
    /// # Errors
    /// What the engine reports.
    pub fn vault_dropped(
        &mut self,
        store: &Store,
        vault: VaultNo,
        (position, name): (u64, &VaultName),
    ) -> Result<(), Error> {
        self.docs.retain(|doc, _| doc.vault != vault);
        self.facts.remove(&vault);
        if position >= self.engine_from {
            self.batch.delete(vaults::key(name));
            value::put_one(&mut self.batch, &meta::dropped_key(vault), &[])?;
            let last = store.stored_last_vault()?.max(vault);
            let last = self.last_dropped.max(last);
            self.last_dropped = last;
            let key = meta::key(meta::LAST_VAULT);
            value::put_one(&mut self.batch, &key, &vaults::encode(last))?;
            self.has_dropped = true;
        }
        if position >= self.witness_from {
            self.vaults.remove(&vault);
            self.dropped.push(vault);
        }
        Ok(())
    }

    /// Takes a change of an item: a settled body, a move, a deletion.
    ///
    /// # Errors
    /// What the engine reports.
    pub fn item(
        &mut self,
        store: &Store,
        doc: DocKey,
        (position, vault): (u64, &VaultName),
        change: ItemChange<'_>,
    ) -> Result<(), Error> {
        let ItemChange { prev_seq, item, made, renamed } = change;
        let head = renamed.map(|renamed| {
            let (name, created) = (item.path.to_string(), doc.doc.0);
            Head { name, epoch: renamed.epoch, created, is_deleted: item.is_deleted }
        });
        if position >= self.engine_from {
            value::put_one(&mut self.batch, &items::key(doc), &item.encode())?;
            if prev_seq != 0 && prev_seq != item.seq {
                self.batch.delete(feed::key(doc.vault, prev_seq));
            }
            let row = feed::key(doc.vault, item.seq);
            value::put_one(&mut self.batch, &row, &feed::encode(doc.doc))?;
            self.version(doc, (prev_seq, item, made))?;
            self.raise_seq(store, doc.vault, item.seq)?;
            if let (Some(renamed), Some(head)) = (renamed, &head) {
                self.batch.delete(paths::key(doc.vault, renamed.from));
                value::put_one(&mut self.batch, &heads::key(doc), &head.encode())?;
                if item.n > 0 {
                    // Its client ids are in the next record; if that was lost, in its log.
                    self.retired(doc, position, (renamed.from, &[]))?;
                }
                if !item.is_deleted {
                    let path = paths::key(doc.vault, &item.path);
                    value::put_one(&mut self.batch, &path, &paths::encode(doc.doc))?;
                }
            }
        }
        if position >= self.witness_from {
            let known = self.vault(doc.vault, vault);
            known.seq = known.seq.max(item.seq);
            if let Some(head) = head {
                let open = self.open(store, doc);
                open.is_news = true;
                open.known.name = head.name.as_str().into();
                open.known.is_deleted = head.is_deleted;
                open.known.mark.head_digest = digest(&head.encode());
                open.known.mark.last_position = position;
            }
        }
        Ok(())
    }

    fn raise_seq(&mut self, store: &Store, vault: VaultNo, seq: u64) -> Result<(), Error> {
        if let Some(facts) = self.facts.get_mut(&vault) {
            facts.seq = facts.seq.max(seq);
            return Ok(());
        }
        match store.stored_facts(vault) {
            Ok(Some(mut facts)) => {
                facts.seq = facts.seq.max(seq);
                self.facts.insert(vault, facts);
                Ok(())
            }
            // Found at the next start, which then gives the vault another epoch.
            Ok(None) | Err(Error::Corrupt { .. }) => Ok(()),
            Err(other) => Err(other),
        }
    }
}

impl Store {
    /// What is known of a vault; `None` when nothing is.
    ///
    /// # Errors
    /// `Corrupt` when it is not what the witness knows; what the engine reports.
    pub fn facts(&self, vault: VaultNo) -> Result<Option<Facts>, Error> {
        let facts = self.stored_facts(vault)?;
        let known = self.inner.witness.lock().vault(vault).cloned();
        match (facts, known) {
            (Some(facts), Some(known))
                if known.epoch != 0 && (facts.epoch != known.epoch || facts.seq < known.seq) =>
            {
                Err(Error::corrupt(&meta::facts_key(vault), "not what was stored"))
            }
            (None, Some(known)) if known.epoch != 0 => {
                Err(Error::corrupt(&meta::facts_key(vault), "the facts of a vault are lost"))
            }
            (facts, _) => Ok(facts),
        }
    }

    fn stored_facts(&self, vault: VaultNo) -> Result<Option<Facts>, Error> {
        let key = meta::facts_key(vault);
        let Some(bytes) = value::get_one(self.engine(), &key)? else { return Ok(None) };
        Facts::decode(&bytes).map(Some).ok_or_else(|| Error::corrupt(&key, "facts of a vault"))
    }

    /// The highest number that a vault has or had.
    ///
    /// # Errors
    /// What the engine reports.
    pub fn last_vault(&self) -> Result<VaultNo, Error> {
        Ok(self.stored_last_vault()?.max(self.inner.witness.lock().last_vault()))
    }

    fn stored_last_vault(&self) -> Result<VaultNo, Error> {
        let bytes = value::get_one(self.engine(), &meta::key(meta::LAST_VAULT))?;
        Ok(bytes.and_then(|bytes| vaults::decode(&bytes)).unwrap_or(VaultNo(0)))
    }

    /// Everything that is stored of a vault's feed. What cannot be read is counted and left out:
    /// the documents know better, and settle again.
    ///
    /// # Errors
    /// What the engine reports other than damage.
    pub fn feed(&self, vault: VaultNo) -> Result<Feed, Error> {
        let mut found = Feed::default();
        match self.facts(vault) {
            Ok(facts) => found.facts = facts,
            Err(Error::Corrupt { .. }) => found.damaged += 1,
            Err(other) => return Err(other),
        }
        let known = self.inner.witness.lock().vault(vault).cloned();
        found.is_witnessed = known.as_ref().is_some_and(|known| known.epoch != 0);
        let known = known.map_or(0, |known| known.seq);
        found.seq = found.facts.as_ref().map_or(0, |facts| facts.seq).max(known);
        self.each_pair(&keys::vault_prefix(vault, Key::Items), |pair| {
            let item = value::body(pair).ok().and_then(Item::decode);
            match item.zip(keys::doc_of(&pair.0)) {
                Some((item, doc)) => found.items.push((doc.doc, item)),
                None => found.damaged += 1,
            }
        })?;
        self.each_pair(&keys::vault_prefix(vault, Key::Feed), |pair| {
            let row = value::body(pair).ok().and_then(feed::decode);
            match feed::seq(&pair.0).zip(row) {
                Some((seq, doc)) => drop(found.rows.insert(seq, doc)),
                None => found.damaged += 1,
            }
        })?;
        let items = found.items.iter().map(|(_, item)| item.seq).max().unwrap_or(0);
        let rows = found.rows.keys().next_back().copied().unwrap_or(0);
        found.seq = found.seq.max(items).max(rows);
        Ok(found)
    }

    fn each_pair(&self, prefix: &[u8], mut visit: impl FnMut(&Pair)) -> Result<(), Error> {
        let mut from: Option<Vec<u8>> = None;
        loop {
            let pairs = self.engine().scan(prefix, from.as_deref(), SCAN_PAIRS)?;
            pairs.iter().for_each(&mut visit);
            match pairs.into_iter().next_back() {
                Some((key, _)) => from = Some(key),
                None => return Ok(()),
            }
        }
    }

    /// What is wrong with the feeds: rows and items that do not belong together.
    pub(super) fn verify_feeds(&self) -> Result<Vec<(VaultNo, String)>, Error> {
        let mut wrong = Vec::new();
        let numbers: Vec<VaultNo> = {
            let witness = self.inner.witness.lock();
            witness.vaults().map(|vault| vault.number).collect()
        };
        for vault in numbers {
            if let Err(error) = self.facts(vault) {
                wrong.push((vault, error.to_string()));
            }
            let feed = self.feed(vault)?;
            let mut items: HashMap<DocId, &Item> = HashMap::new();
            for (doc, item) in &feed.items {
                items.insert(*doc, item);
                if feed.rows.get(&item.seq) != Some(doc) {
                    wrong.push((vault, format!("item {doc} is not in the feed at {}", item.seq)));
                }
            }
            for (seq, doc) in &feed.rows {
                if items.get(doc).is_none_or(|item| item.seq != *seq) {
                    wrong.push((vault, format!("the feed at {seq} names item {doc}, wrongly")));
                }
            }
        }
        Ok(wrong)
    }

    /// Removes rows and items that do not belong together or cannot be read, so that the next start
    /// settles them again. How many went.
    ///
    /// # Errors
    /// What the engine reports.
    pub fn mend_feeds(&self) -> Result<usize, Error> {
        let mut batch = Batch::default();
        for (_, vault) in self.vaults()? {
            if let Err(Error::Corrupt { .. }) = self.stored_facts(vault) {
                batch.delete(meta::facts_key(vault));
            }
            let feed = self.feed(vault)?;
            let whole: HashMap<DocId, u64> = feed
                .items
                .iter()
                .filter(|(doc, item)| feed.rows.get(&item.seq) == Some(doc))
                .map(|(doc, item)| (*doc, item.seq))
                .collect();
            self.each_pair(&keys::vault_prefix(vault, Key::Items), |(key, _)| {
                if keys::doc_of(key).is_none_or(|doc| !whole.contains_key(&doc.doc)) {
                    batch.delete(key.as_slice());
                }
            })?;
            self.each_pair(&keys::vault_prefix(vault, Key::Feed), |(key, _)| {
                let seq = feed::seq(key);
                let doc = seq.and_then(|seq| feed.rows.get(&seq));
                if doc.and_then(|doc| whole.get(doc)).copied() != seq {
                    batch.delete(key.as_slice());
                }
            })?;
        }
        let count = batch.changes().len();
        if count > 0 {
            self.engine().apply(&batch)?;
            self.engine().sync()?;
        }
        Ok(count)
    }

    /// Removes what deleted vaults and forgotten documents left in the engine, in bounded batches.
    /// A crash in between is harmless: the next start goes on.
    ///
    /// # Errors
    /// What the engine reports.
    pub fn purge(&self) -> Result<(), Error> {
        // A checkpoint that is being put would leave its keys behind.
        let _alone = self.inner.thinning.lock();
        let markers = self.engine().scan(&meta::key(meta::DROPPED), None, usize::MAX)?;
        for (marker, _) in markers {
            let Some(vault) = meta::dropped_vault(&marker) else { continue };
            loop {
                let prefix = vault.0.to_be_bytes();
                let pairs = self.engine().scan(&prefix, None, PURGE_KEYS)?;
                if pairs.is_empty() {
                    break;
                }
                let mut batch = Batch::default();
                pairs.into_iter().for_each(|(key, _)| batch.delete(key));
                self.engine().apply(&batch)?;
            }
            self.engine().sync()?;
            let mut batch = Batch::default();
            batch.delete(marker);
            self.engine().apply(&batch)?;
        }
        self.purge_pruned()
    }

    /// Whether a vault was deleted and its keys may still be here.
    pub(super) fn is_dropped(&self, vault: VaultNo) -> Result<bool, Error> {
        Ok(self.engine().get(&meta::dropped_key(vault))?.is_some())
    }
}

#[cfg(test)]
mod tests;
