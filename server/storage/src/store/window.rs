//! A window of the journal on its way into the engine and the witness. Filled by the journal's
//! fold, record by record, and committed as one batch.
//! Never changes anything before `Store::commit`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use sheaf_protocol::ids::{DocKey, VaultName, VaultNo};
use sheaf_protocol::stamp::Stamp;

use super::engine::Batch;
use super::keys::floors::Floor;
use super::keys::log::Group;
use super::keys::meta::{self, Facts, Folded};
use super::keys::{aside, floors, heads, log, lost, owners, paths, vaults};
use super::witness::{Known, KnownVault, Mark, News};
use super::{Aside, Error, Head, Owner, Place, Store, value};

/// A group is closed at this size: about what one load step decodes at once.
const GROUP_BYTES_MAX: usize = 1024 * 1024;

/// What one fold is going to commit. Records must come in order of position.
#[derive(Debug)]
pub struct Window {
    pub(super) batch: Batch,
    pub(super) docs: BTreeMap<DocKey, Open>,
    pub(super) vaults: BTreeMap<VaultNo, KnownVault>,
    /// Facts of vaults that change.
    pub(super) facts: BTreeMap<VaultNo, Facts>,
    /// Vaults that were deleted, for the witness.
    pub(super) dropped: Vec<VaultNo>,
    /// A vault was deleted whose keys are still to go.
    pub(super) has_dropped: bool,
    /// Documents that are forgotten, for the witness.
    pub(super) gone: Vec<DocKey>,
    /// Documents are forgotten whose keys are still to go.
    pub(super) has_gone: bool,
    /// The highest number among the vaults that were deleted, and before.
    pub(super) last_dropped: VaultNo,
    /// Rows that were put of documents that had a name, by what the keys of that name begin with.
    pub(super) retired: BTreeMap<Vec<u8>, BTreeSet<Vec<u8>>>,
    /// The engine has everything below; records there are for the witness alone.
    pub(super) engine_from: u64,
    /// The witness has everything below; records there are for the engine alone.
    pub(super) witness_from: u64,
    presence: u64,
    /// The highest stamp.
    stamp: Stamp,
    /// Gaps in a document's entries are written down as accepted losses.
    is_repair: bool,
    strays: Vec<Stray>,
    scratch: Vec<u8>,
}

/// An entry that does not follow the one before it in its document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stray {
    /// The document.
    pub doc: DocKey,
    /// Its name, as far as known.
    pub name: String,
    /// Where the entry stands in the journal.
    pub position: u64,
    /// Its n.
    pub n: u64,
    /// The n that was due.
    pub due_n: u64,
}

impl fmt::Display for Stray {
    /// What happened to the document's entries, without its name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (n, due_n) = (self.n, self.due_n);
        if n < due_n {
            write!(f, "entry {n} at position {} came twice and was laid aside", self.position)
        } else if n == due_n + 1 {
            write!(f, "entry {due_n} is missing")
        } else {
            write!(f, "entries {due_n} to {} are missing", n - 1)
        }
    }
}

#[derive(Debug)]
pub(super) struct Open {
    pub(super) known: Known,
    /// The witness is to hear of it.
    pub(super) is_news: bool,
    group: Group,
}

impl Store {
    /// A window that begins where engine and witness are, whichever is behind.
    ///
    /// # Errors
    /// As `folded`.
    pub fn window(&self, is_repair: bool) -> Result<Window, Error> {
        let (engine, witness) = (self.folded()?, self.witnessed());
        Ok(Window {
            batch: Batch::default(),
            docs: BTreeMap::new(),
            vaults: BTreeMap::new(),
            facts: BTreeMap::new(),
            dropped: Vec::new(),
            has_dropped: false,
            gone: Vec::new(),
            has_gone: false,
            last_dropped: VaultNo(0),
            retired: BTreeMap::new(),
            engine_from: engine.position,
            witness_from: witness.position,
            presence: engine.presence.max(witness.presence),
            stamp: engine.stamp,
            is_repair,
            strays: Vec::new(),
            scratch: Vec::new(),
        })
    }

    /// Puts a window into the engine, syncs it, and only then tells the witness. `folded` is the
    /// end of the window. Entries that did not follow their predecessors are returned.
    ///
    /// # Errors
    /// What engine and witness report. Nothing is lost by a failure: the same window, or a longer
    /// one, can be committed again.
    pub fn commit(&self, mut window: Window, folded: Folded) -> Result<Vec<Stray>, Error> {
        let docs: Vec<DocKey> = window.docs.keys().copied().collect();
        for doc in &docs {
            window.close_group(*doc)?;
        }
        let presence = window.presence.max(folded.presence);
        let folded = Folded { presence, stamp: window.stamp, ..folded };
        if folded.position > window.engine_from {
            for (vault, facts) in &window.facts {
                let key = meta::facts_key(*vault);
                value::put_one(&mut window.batch, &key, &facts.encode())?;
            }
            self.trim_retired(&mut window)?;
            let key = meta::key(meta::FOLDED);
            value::put_one(&mut window.batch, &key, &folded.encode())?;
            self.engine().apply(&window.batch)?;
        }
        // Also when the engine had it all: a sync that failed before may be why we are here again.
        self.engine().sync()?;
        if folded.position > window.witness_from {
            self.witness_window(&mut window, folded)?;
        }
        if window.has_dropped || window.has_gone {
            self.purge()?;
        }
        Ok(window.strays)
    }

    fn witness_window(&self, window: &mut Window, folded: Folded) -> Result<(), Error> {
        let mut witness = self.inner.witness.lock();
        let docs = std::mem::take(&mut window.docs);
        let docs = docs.into_iter().filter(|(_, open)| open.is_news).map(|(doc, open)| {
            let mut known = open.known;
            // A checkpoint may have been witnessed since the window was begun.
            if let Some(now) = witness.known(doc) {
                known.mark.ckpt_n = now.mark.ckpt_n;
                known.mark.ckpt_digest = now.mark.ckpt_digest;
            }
            (doc, known)
        });
        let docs = docs.collect();
        let vaults = std::mem::take(&mut window.vaults).into_values().collect();
        let dropped = std::mem::take(&mut window.dropped);
        let last_vault = dropped.iter().copied().max().unwrap_or(VaultNo(0));
        let gone = std::mem::take(&mut window.gone);
        witness.append(News { folded, docs, gone, vaults, dropped, last_vault })
    }
}

impl Window {
    /// Takes an entry of a document's log.
    ///
    /// # Errors
    /// What reading the document's place in the engine reports.
    pub fn entry(
        &mut self,
        store: &Store,
        doc: DocKey,
        place: Place<'_>,
        bytes: &[u8],
    ) -> Result<(), Error> {
        let (engine_from, witness_from) = (self.engine_from, self.witness_from);
        let mut scratch = std::mem::take(&mut self.scratch);
        let open = self.open(store, doc);
        let mut stray = None;
        if place.position >= witness_from {
            let due_n = open.known.mark.last_n + 1;
            if place.n != due_n {
                stray = Some(due_n);
            }
            if place.n >= due_n {
                open.known.mark.log.push_entry(&mut scratch, place, bytes);
                open.known.mark.last_n = place.n;
            }
            open.known.mark.last_position = place.position;
            open.is_news = true;
        }
        self.scratch = scratch;
        if let Some(due_n) = stray {
            self.stray(doc, place, due_n, bytes)?;
            if place.n < due_n {
                return Ok(());
            }
        }
        if place.position >= engine_from {
            let open = self.open(store, doc);
            if open.group.len() >= GROUP_BYTES_MAX || !open.group.push(place, bytes) {
                self.close_group(doc)?;
                self.open(store, doc).group.push(place, bytes);
            }
        }
        Ok(())
    }

    /// Takes the creation of a document, and of its vault when it is the first in it.
    ///
    /// # Errors
    /// `TooLarge` for a name that no check let through.
    pub fn created(
        &mut self,
        store: &Store,
        doc: DocKey,
        position: u64,
        (vault, head): (&VaultName, &Head),
    ) -> Result<(), Error> {
        if position >= self.engine_from {
            let vault_key = vaults::key(vault);
            value::put_one(&mut self.batch, &vault_key, &vaults::encode(doc.vault))?;
            let path = paths::key(doc.vault, &head.name);
            value::put_one(&mut self.batch, &path, &paths::encode(doc.doc))?;
            value::put_one(&mut self.batch, &heads::key(doc), &head.encode())?;
            value::put_one(&mut self.batch, &floors::key(doc), &Floor::default().encode())?;
        }
        if position >= self.witness_from {
            self.vault(doc.vault, vault);
            let open = self.open(store, doc);
            open.is_news = true;
            let known = &mut open.known;
            known.name = head.name.as_str().into();
            known.mark.head_digest = digest(&head.encode());
            known.mark.last_position = position;
        }
        Ok(())
    }

    /// Takes claims of client ids.
    ///
    /// # Errors
    /// `TooLarge` for more claims than a record of the journal can hold.
    pub fn claim(
        &mut self,
        store: &Store,
        doc: DocKey,
        position: u64,
        claims: &[Owner],
    ) -> Result<(), Error> {
        let mut bytes = Vec::new();
        owners::encode(&mut bytes, claims);
        if position >= self.engine_from {
            value::put_chunked(&mut self.batch, &owners::key(doc, position), &bytes)?;
        }
        if position >= self.witness_from {
            let mut scratch = std::mem::take(&mut self.scratch);
            let mark = self.news(store, doc);
            mark.claims.push(&mut scratch, position, &bytes);
            mark.last_position = position;
            self.scratch = scratch;
        }
        Ok(())
    }

    /// Takes bytes that are laid aside.
    ///
    /// # Errors
    /// `TooLarge` for more bytes than a record of the journal can hold.
    pub fn lay_aside(&mut self, store: &Store, doc: DocKey, aside: &Aside) -> Result<(), Error> {
        let bytes = aside.encode();
        let position = aside.position;
        if position >= self.engine_from {
            value::put_chunked(&mut self.batch, &aside::key(doc, position), &bytes)?;
        }
        if position >= self.witness_from {
            let mut scratch = std::mem::take(&mut self.scratch);
            let mark = self.news(store, doc);
            mark.aside.push(&mut scratch, position, &bytes);
            mark.last_position = position;
            self.scratch = scratch;
        }
        Ok(())
    }

    /// Takes the stamp of a record, of whatever kind; the highest one is kept.
    pub fn stamp(&mut self, stamp: Stamp) {
        self.stamp = self.stamp.max(stamp);
    }

    /// Takes a presence clock; the highest one is kept.
    pub fn presence(&mut self, clock: u64) {
        self.presence = self.presence.max(clock);
    }

    /// What the witness is to say of a vault.
    pub(super) fn vault(&mut self, number: VaultNo, name: &VaultName) -> &mut KnownVault {
        let new = || KnownVault { name: name.clone(), number, epoch: 0, seq: 0 };
        self.vaults.entry(number).or_insert_with(new)
    }

    fn news(&mut self, store: &Store, doc: DocKey) -> &mut Mark {
        let open = self.open(store, doc);
        open.is_news = true;
        &mut open.known.mark
    }

    pub(super) fn open(&mut self, store: &Store, doc: DocKey) -> &mut Open {
        self.docs.entry(doc).or_insert_with(|| {
            let known = store.inner.witness.lock().known(doc).cloned().unwrap_or_default();
            Open { known, is_news: false, group: Group::default() }
        })
    }

    fn close_group(&mut self, doc: DocKey) -> Result<(), Error> {
        let Some(open) = self.docs.get_mut(&doc) else { return Ok(()) };
        if open.group.is_empty() {
            return Ok(());
        }
        let group = std::mem::take(&mut open.group);
        value::put_chunked(&mut self.batch, &log::key(doc, group.last_n()), &group.encode())
    }

    /// An entry out of order is never dropped: a gap shows at every load until it is accepted, and
    /// a second entry of one n is laid aside.
    fn stray(
        &mut self,
        doc: DocKey,
        place: Place<'_>,
        due_n: u64,
        bytes: &[u8],
    ) -> Result<(), Error> {
        let name = self.docs.get(&doc).map_or_else(String::new, |open| open.known.name.to_string());
        let stray = Stray { doc, name, position: place.position, n: place.n, due_n };
        self.strays.push(stray);
        if place.n > due_n {
            if self.is_repair {
                let value = lost::encode(place.n - 1);
                value::put_one(&mut self.batch, &lost::key(doc, due_n), &value)?;
            }
            return Ok(());
        }
        let aside = Aside {
            position: place.position,
            why: super::Why::Quarantined,
            n: place.n,
            stamp: place.stamp,
            author: place.author.map(Into::into),
            payload: bytes.to_vec(),
        };
        let bytes = aside.encode();
        value::put_chunked(&mut self.batch, &aside::key(doc, place.position), &bytes)?;
        if let Some(open) = self.docs.get_mut(&doc) {
            open.known.mark.aside.push(&mut self.scratch, place.position, &bytes);
        }
        Ok(())
    }
}

/// First 8 bytes of BLAKE3.
pub(super) fn digest(bytes: &[u8]) -> u64 {
    let hash = blake3::hash(bytes);
    u64::from_le_bytes(*hash.as_bytes().first_chunk().expect("a hash has 32 bytes"))
}
