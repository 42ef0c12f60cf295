//! One vault's items and feed in memory, and the one way in which they change.
//!
//! Job: give the next seq, write the journal's record, and show the change once that is durable.
//! Called by `Vaults`. Never shows a seq before all seqs below it, never gives one out twice, and
//! takes no document's lock while it holds its own.

mod commit;
mod forgetting;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use sheaf_protocol::ids::{DocId, DocKey, Principal};
use sheaf_protocol::stamp::Stamp;
use tokio::sync::{broadcast, watch};

pub(super) use commit::{Entry, append};

use self::forgetting::Busy;
use super::devices::{Devices, HAPPENINGS_MAX, Happening};
use super::error::Error;
use super::file::{Change, Changes, Cursor, File, Vault};
use crate::document::ledger::Account;
use crate::document::registry::{Registry, epoch};
use crate::document::submission::Failure;
use sheaf_storage::journal::payload::{VaultCreated, VaultDropped};
use sheaf_storage::journal::{Appended, Kind, Record};
use sheaf_storage::store::{Body, Feed, Item, Made, Stamped};

/// A vault in memory.
pub(super) struct Book {
    account: Arc<Account>,
    epoch: u64,
    created: Stamp,
    state: Mutex<State>,
    seen: watch::Sender<u64>,
    /// Who changes several files at once, one at a time: they would wait for each other.
    pub(super) turn: tokio::sync::Mutex<()>,
    /// What happens to devices.
    happenings: broadcast::Sender<Happening>,
}

/// Who changed a file, and when.
pub(super) struct Signed {
    pub(super) at: Stamp,
    pub(super) author: Option<Arc<str>>,
    pub(super) device: u64,
}

/// What changes with every commit.
pub(super) struct State {
    /// The journal has the vault's facts.
    is_recorded: bool,
    is_gone: bool,
    /// The highest seq given out.
    last: u64,
    /// The highest seq that is shown.
    visible: u64,
    /// Items as shown.
    items: HashMap<DocId, Item>,
    /// Their rows, as shown.
    rows: BTreeMap<u64, DocId>,
    /// Written, and not durable yet: the end of the record, and the item.
    staged: VecDeque<(u64, DocId, Item)>,
    /// The latest of them by document.
    ahead: HashMap<DocId, Item>,
    /// Items that are not right, although their n is.
    wrong: HashSet<DocId>,
    /// Of these, who put a text over bytes.
    signed: HashMap<DocId, Signed>,
    /// Rows in the store of documents whose item is lost.
    stray_rows: HashMap<DocId, u64>,
    /// What is known of bodies that are about to settle.
    notes: HashMap<DocId, (u64, Made)>,
    /// Stamped changes that the store may not have yet, with the ends of their records.
    stamped: HashMap<Stamp, (Stamped, u64)>,
    /// Stamped changes that are under way.
    pub(super) stamping: HashSet<Stamp>,
    /// Fingerprints of the latest uploads: one that comes again, though two have changed the same
    /// words since, is in the text already.
    uploads: VecDeque<(DocId, u64)>,
    pub(super) devices: Devices,
    /// The highest seq whose change is forgotten.
    pub(super) horizon: u64,
    /// Documents that the store may not know yet to be forgotten, with the ends of their records.
    forgotten: HashMap<DocId, u64>,
    /// Documents that are not to be forgotten now: somebody names a version, or looks into them.
    busy: HashMap<DocId, Busy>,
}

/// Uploads that are remembered, for clients that try again and stamp nothing.
const UPLOADS_MAX: usize = 1_024;

impl State {
    /// The item as of the last commit, shown or not.
    pub(super) fn current(&self, doc: DocId) -> Option<&Item> {
        self.ahead.get(&doc).or_else(|| self.items.get(&doc))
    }

    /// Whether an item is of a later version than the one that somebody has.
    ///
    /// # Errors
    /// `BaseGone`: the vault never was at that, so it is of another life of it.
    pub(super) fn is_later(&self, doc: DocId, base: u64) -> Result<bool, Error> {
        if base > self.last {
            return Err(self.base_gone(doc));
        }
        Ok(self.current(doc).map_or(0, |item| item.seq) > base)
    }

    /// What somebody is told whose version is not there, with what is.
    pub(super) fn base_gone(&self, doc: DocId) -> Error {
        let current = self.current(doc);
        let (seq, hash) = current.map_or((0, None), |item| (item.seq, item.hash));
        Error::BaseGone { seq, hash }
    }

    /// Whether a body of this n is to be settled.
    pub(super) fn is_behind(&self, doc: DocId, n: u64) -> bool {
        self.wrong.contains(&doc) || self.current(doc).is_none_or(|item| item.n < n)
    }

    /// Keeps how the version comes about that has a document's entry `n`, as far as its log does
    /// not say.
    pub(super) fn set_note(&mut self, doc: DocId, n: u64, made: Made) {
        self.notes.insert(doc, (n, made));
    }

    /// How the next version of a document comes about, as far as its log does not say.
    pub(super) fn note(&mut self, doc: DocId) -> Made {
        let settled_n = self.current(doc).map_or(0, |item| item.n);
        let is_wrong = self.wrong.contains(&doc);
        let note = self.notes.remove(&doc);
        // One of a version that came before is too late.
        note.filter(|(n, _)| *n > settled_n || is_wrong).map(|(_, made)| made).unwrap_or_default()
    }

    /// What a stamped change came to that the store may not have yet.
    pub(super) fn stamped(&self, stamp: Stamp) -> Option<Stamped> {
        self.stamped.get(&stamp).map(|(came_to, _)| *came_to)
    }

    /// Keeps what a stamped change came to until the store has its record, which ends at `end`; it
    /// has all before `folded`.
    pub(super) fn set_stamped(
        &mut self,
        stamp: Stamp,
        came_to: Stamped,
        (end, folded): (u64, u64),
    ) {
        self.stamped.retain(|_, (_, end)| *end > folded);
        self.stamped.insert(stamp, (came_to, end));
    }

    /// Gives every item, and those that are about to be shown.
    pub(super) fn each(&self, take: &mut dyn FnMut(&Item)) {
        self.items.values().for_each(&mut *take);
        self.staged.iter().for_each(|(_, _, item)| take(item));
    }

    /// The highest seq that is shown.
    pub(super) fn visible_seq(&self) -> u64 {
        self.visible
    }

    /// The vault is deleted.
    pub(super) fn is_gone(&self) -> bool {
        self.is_gone
    }

    /// Items as they are shown, beyond a seq.
    pub(super) fn shown_after(&self, seq: u64) -> impl Iterator<Item = (u64, DocId, &Item)> {
        let rows = self.rows.range((Bound::Excluded(seq), Bound::Unbounded));
        rows.filter_map(|(seq, doc)| Some((*seq, *doc, self.items.get(doc)?)))
    }

    /// Whether this upload has been made to this document already, as far back as is remembered.
    pub(super) fn has_uploaded(&self, doc: DocId, fingerprint: u64) -> bool {
        self.uploads.contains(&(doc, fingerprint))
    }

    /// Whether it has been made to any document.
    pub(super) fn has_print(&self, fingerprint: u64) -> bool {
        self.uploads.iter().any(|(_, known)| *known == fingerprint)
    }

    /// Remembers an upload.
    pub(super) fn set_uploaded(&mut self, doc: DocId, fingerprint: u64) {
        if self.uploads.len() == UPLOADS_MAX {
            self.uploads.pop_front();
        }
        self.uploads.push_back((doc, fingerprint));
    }

    /// A text was put into a document. Where bytes are its file's content it is that from now on,
    /// though the document may have had it before them; true then. `signed`: by whom it was put.
    pub(super) fn set_text(&mut self, doc: DocId, signed: Signed) -> bool {
        let is_bytes = |item: &Item| item.body == Body::Blob && !item.is_deleted;
        let was_bytes = self.current(doc).is_some_and(is_bytes);
        if was_bytes {
            self.wrong.insert(doc);
            self.signed.insert(doc, signed);
        }
        was_bytes
    }

    /// Who put a document's text over its file's bytes, though its log does not say: it may have
    /// had that text before them.
    pub(super) fn signed(&self, doc: DocId) -> Option<&Signed> {
        self.signed.get(&doc)
    }

    /// Deleted documents whose last path was this, the latest first.
    pub(super) fn tombstones(&self, path: &str) -> Vec<DocId> {
        let is_it = |item: &Item| item.is_deleted && *item.path == *path;
        let ahead = self.ahead.iter().filter(|(_, item)| is_it(item));
        let shown =
            self.items.iter().filter(|(doc, item)| is_it(item) && !self.ahead.contains_key(*doc));
        let mut found: Vec<_> = ahead.chain(shown).map(|(doc, item)| (item.seq, *doc)).collect();
        found.sort_unstable_by(|one, other| other.cmp(one));
        found.into_iter().map(|(_, doc)| doc).collect()
    }

    /// The highest seq given out.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// The highest seq that is shown.
    pub(super) fn visible(&self) -> u64 {
        self.visible
    }

    /// End of the last record that is not shown yet; 0 for none.
    pub(super) fn staged_end(&self) -> u64 {
        self.staged.back().map_or(0, |(end, ..)| *end)
    }
}

impl Book {
    /// A vault that is new, or whose feed is not known any more.
    pub(super) fn new(account: Arc<Account>, created: Stamp) -> Self {
        Self::load(account, created, Feed::default())
    }

    /// A vault as stored. `now` gives an epoch to one that has none.
    pub(super) fn load(account: Arc<Account>, now: Stamp, feed: Feed) -> Self {
        let is_recorded = feed.facts.is_some() && feed.is_witnessed;
        let facts = feed.facts.map(|facts| (facts.epoch, facts.created));
        let (epoch, created) = facts.unwrap_or((epoch(now), now));
        let state = State {
            is_recorded,
            is_gone: account.is_gone(),
            last: feed.seq,
            visible: feed.seq,
            items: HashMap::new(),
            rows: BTreeMap::new(),
            staged: VecDeque::new(),
            ahead: HashMap::new(),
            wrong: HashSet::new(),
            signed: HashMap::new(),
            stray_rows: HashMap::new(),
            notes: HashMap::new(),
            stamped: HashMap::new(),
            stamping: HashSet::new(),
            uploads: VecDeque::new(),
            devices: Devices::default(),
            horizon: 0,
            forgotten: HashMap::new(),
            busy: HashMap::new(),
        };
        let seen = watch::Sender::new(feed.seq);
        let happenings = broadcast::Sender::new(HAPPENINGS_MAX);
        let (state, turn) = (Mutex::new(state), tokio::sync::Mutex::new(()));
        let book = Self { account, epoch, created, state, seen, turn, happenings };
        book.take_in(feed.items, feed.rows);
        book
    }

    fn take_in(&self, items: Vec<(DocId, Item)>, rows: BTreeMap<u64, DocId>) {
        let mut state = self.state.lock();
        for (doc, mut item) in items {
            // One copy of a path for ledger and item.
            if let Some((path, _)) = self.account.find(&item.path) {
                item.path = path;
            }
            let is_right = rows.get(&item.seq) == Some(&doc) && !state.rows.contains_key(&item.seq);
            if is_right {
                state.rows.insert(item.seq, doc);
            } else {
                state.wrong.insert(doc);
            }
            state.items.insert(doc, item);
        }
        for (seq, doc) in rows {
            if !state.rows.contains_key(&seq) && !state.items.contains_key(&doc) {
                state.stray_rows.insert(doc, seq);
            }
        }
    }

    /// Compares a stored document with its item. True if it is to be settled.
    pub(super) fn check(&self, doc: DocId, (name, last_n): (&str, u64), is_deleted: bool) -> bool {
        let mut state = self.state.lock();
        let Some(item) = state.items.get(&doc) else { return true };
        let is_right = item.is_deleted == is_deleted && *item.path == *name && item.n <= last_n;
        let is_current = item.n == last_n || is_deleted;
        if !is_right {
            state.wrong.insert(doc);
        }
        !is_current || state.wrong.contains(&doc)
    }

    /// Charges the vault with the bytes of all items, deleted ones too.
    pub(super) fn charge_all(&self) {
        let state = self.state.lock();
        for (doc, item) in &state.items {
            match item.is_deleted {
                true => self.account.charge_buried(item.bytes),
                false => self.account.charge(*doc, item.bytes, 0),
            }
        }
    }

    pub(super) fn account(&self) -> &Arc<Account> {
        &self.account
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    fn facts(&self, seq: u64) -> Vec<u8> {
        let mut payload = Vec::new();
        let name = self.account.name().clone();
        VaultCreated { name, epoch: self.epoch, seq }.encode(&mut payload);
        payload
    }

    /// The key of records that are about the vault and no document.
    pub(super) fn nil(&self) -> DocKey {
        DocKey { vault: self.account.number(), doc: DocId(Stamp::ZERO) }
    }

    /// Writes the vault's creation. `None`: it is written.
    pub(super) fn record(
        &self,
        registry: &Registry,
        by: &Principal,
    ) -> Result<Option<Appended>, Failure> {
        let mut state = self.state.lock();
        if state.is_recorded {
            return Ok(None);
        }
        let (payload, stamp, author) = (self.facts(state.last), self.created, by.name());
        let kind = Kind::VaultCreated;
        let record = Record { doc: self.nil(), n: 0, kind, stamp, author, payload: &payload };
        let appended = append(registry, &[record])?;
        state.is_recorded = true;
        Ok(Some(appended))
    }

    /// Writes the vault's end; nothing is committed or shown after it.
    pub(super) fn end(&self, registry: &Registry, by: &Principal) -> Result<Appended, Failure> {
        let mut state = self.state.lock();
        let mut payload = Vec::new();
        VaultDropped { name: self.account.name().clone() }.encode(&mut payload);
        let (stamp, author) = (registry.stamp(), by.name());
        let kind = Kind::VaultDropped;
        let record = Record { doc: self.nil(), n: 0, kind, stamp, author, payload: &payload };
        let appended = append(registry, &[record])?;
        state.is_gone = true;
        state.staged.clear();
        Ok(appended)
    }

    /// Shows what is durable by now, in order. How many commits.
    pub(super) fn publish(&self, durable: u64) -> u64 {
        let mut state = self.state.lock();
        let mut shown = 0;
        while state.staged.front().is_some_and(|(end, ..)| *end <= durable) {
            let Some((_, doc, item)) = state.staged.pop_front() else { break };
            let seq = item.seq;
            if state.ahead.get(&doc).is_some_and(|ahead| ahead.seq == seq) {
                state.ahead.remove(&doc);
            }
            if let Some(before) = state.items.insert(doc, item) {
                state.rows.remove(&before.seq);
            }
            state.rows.insert(seq, doc);
            state.visible = seq;
            shown += 1;
        }
        if shown > 0 {
            self.seen.send_replace(state.visible);
        }
        shown
    }

    pub(super) fn watch(&self) -> watch::Receiver<u64> {
        self.seen.subscribe()
    }

    pub(super) fn happenings(&self) -> &broadcast::Sender<Happening> {
        &self.happenings
    }

    pub(super) fn show(&self) -> Vault {
        let state = self.state.lock();
        Vault {
            name: self.account.name().clone(),
            epoch: self.epoch,
            created_ms: self.created.ms(),
            files: self.account.documents(),
            bytes: self.account.bytes(),
            seq: state.visible,
            horizon: state.horizon,
        }
    }

    /// Live files as shown, with the names they have now.
    pub(super) fn files(&self, names: Vec<(Arc<str>, DocId)>) -> Vec<File> {
        let state = self.state.lock();
        names.into_iter().map(|(path, doc)| file(doc, path, state.items.get(&doc))).collect()
    }

    /// Whether everything after a cursor is known.
    pub(super) fn check_cursor(&self, state: &State, since: Cursor) -> Result<(), Error> {
        let State { visible: seq, horizon, .. } = *state;
        let epoch = self.epoch;
        let is_beginning = since == Cursor::default();
        let is_listing = since.listing == Some(horizon);
        let is_forgotten = 0 < since.seq && since.seq < horizon && !is_listing;
        if !is_beginning && (since.epoch != epoch || since.seq > seq || is_forgotten) {
            return Err(Error::CursorExpired { epoch, horizon, seq });
        }
        Ok(())
    }

    pub(super) fn changes(&self, since: Cursor, limit: usize) -> Result<Changes, Error> {
        let state = self.state.lock();
        self.check_cursor(&state, since)?;
        let (epoch, seq) = (self.epoch, state.visible);
        let all = state.shown_after(since.seq);
        let mut wanted = all.filter(|(_, _, item)| since.seq > 0 || !item.is_deleted);
        let items: Vec<Change> = wanted
            .by_ref()
            .take(limit)
            .map(|(seq, doc, item)| {
                let file = file(doc, Arc::clone(&item.path), Some(item));
                Change { seq, file }
            })
            .collect();
        let has_more = wanted.next().is_some();
        let last = items.last().map(|change| change.seq).filter(|_| has_more);
        let listing = if since.seq == 0 { Some(state.horizon) } else { since.listing };
        let cursor = Cursor::within(epoch, last.unwrap_or(seq), listing);
        Ok(Changes { items, cursor, listing, has_more })
    }
}

/// A file as its item tells.
pub(super) fn file(id: DocId, path: Arc<str>, item: Option<&Item>) -> File {
    let created_ms = id.0.ms();
    match item {
        None => File {
            id,
            path,
            n: 0,
            seq: 0,
            kind: Body::Empty,
            size: 0,
            hash: None,
            created_ms,
            updated: id.0,
            by: None,
            device: 0,
            from: None,
            is_deleted: false,
        },
        Some(item) => File {
            id,
            path,
            n: item.n,
            seq: item.seq,
            kind: item.body,
            size: item.size,
            hash: item.hash,
            created_ms,
            updated: item.updated,
            by: item.author.clone(),
            device: item.device,
            from: item.from.clone(),
            is_deleted: item.is_deleted,
        },
    }
}
