//! Settling: a body that stands still for a moment takes a seq.
//!
//! Job: follow the queue of documents whose log moved, and settle each 250 ms after its last change
//! and 1 s after its first at most. Run by `app`. Never settles a body that did not change, and
//! never reads a large document on the reactor's own threads.

use std::collections::hash_map;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use sheaf_protocol::ids::{DocId, DocKey};
use tokio_util::sync::CancellationToken;

use super::Vaults;
use super::book::{Book, Entry};
use super::error::Error;
use crate::document::ending::{Mark, Writer};
use crate::document::handle::{Handle, Name};
use crate::document::registry::OpenError;
use crate::document::snapshot::Content;
use crate::document::submission::Failure;
use sheaf_ground::task;
use sheaf_storage::journal::Kind;
use sheaf_storage::store::{Body, Item, Made};

/// A body settles when it has not changed for this long …
const QUIET_MS: u64 = 250;
/// … or this long after its first change.
const LATEST_MS: u64 = 1_000;
/// What could not be settled is tried again after this long.
const RETRY_MS: u64 = 1_000;
/// Bodies settled before their commits are waited for and shown.
const BATCH: usize = 64;
/// How often a body is read again that changes while it is read.
const READS_MAX: usize = 4;

/// Documents that wait to settle.
#[derive(Debug, Default)]
pub(super) struct Pending {
    by_doc: HashMap<DocKey, (Name, u64)>,
    by_due: BTreeSet<(u64, DocKey)>,
}

impl Pending {
    /// Adds a document that changed at `now_ms`, unless it waits already.
    pub(super) fn add(&mut self, doc: DocKey, name: Name, (now_ms, due_ms): (u64, u64)) {
        if let hash_map::Entry::Vacant(entry) = self.by_doc.entry(doc) {
            entry.insert((name, now_ms));
            self.by_due.insert((due_ms, doc));
        }
    }

    pub(super) fn len(&self) -> usize {
        self.by_due.len()
    }

    /// How long until the next is due; `None` when none waits.
    fn wait_ms(&self, now_ms: u64) -> Option<u64> {
        // A clock that was set back must not make anyone wait longer.
        self.by_due.first().map(|(due, _)| due.saturating_sub(now_ms).min(LATEST_MS))
    }

    fn again(&mut self, doc: DocKey, (name, first_ms): (Name, u64), due_ms: u64) {
        self.by_doc.insert(doc, (name, first_ms));
        self.by_due.insert((due_ms, doc));
    }

    /// Takes out documents that are due, at most `BATCH`; all are if `is_all`.
    fn take_due(&mut self, now_ms: u64, is_all: bool) -> Vec<(DocKey, Name, u64)> {
        let mut due = Vec::new();
        while due.len() < BATCH {
            let Some((at, doc)) = self.by_due.first().copied() else { break };
            let is_due = at <= now_ms || at > now_ms + LATEST_MS;
            if !is_due && !is_all {
                break;
            }
            self.by_due.remove(&(at, doc));
            if let Some((name, first_ms)) = self.by_doc.remove(&doc) {
                due.push((doc, name, first_ms));
            }
        }
        due
    }
}

/// What came of an attempt to settle.
enum Settled {
    /// It has this seq, durable and shown when everything before the position is.
    Done { seq: u64, end: u64 },
    /// It is deleted, or its vault is.
    Gone,
    /// It left memory in the meantime: open it again.
    Again,
}

impl Vaults {
    /// Settles bodies until the server stops, and then what is unsettled.
    pub async fn run(self, stopping: CancellationToken) {
        let clock = self.shared().clock.clone();
        let ledger = self.registry().ledger().clone();
        loop {
            let wait_ms = self.take_changed();
            let work = async {
                match wait_ms {
                    None => ledger.wait_changed().await,
                    Some(0) => {}
                    Some(wait_ms) => clock.sleep(Duration::from_millis(wait_ms)).await,
                }
            };
            if stopping.run_until_cancelled(work).await.is_none() {
                break;
            }
            self.show_committed().await;
            self.settle_due(false).await;
        }
        self.show_committed().await;
        while self.take_changed().is_some() {
            if !self.settle_due(true).await {
                break;
            }
        }
    }

    /// Sets the gauges; called before they are read.
    pub fn refresh(&self) {
        let all = self.registry().ledger().all();
        let metrics = &self.shared().metrics.vault;
        metrics.vaults.set(all.len() as i64);
        metrics.files.set(all.iter().map(|account| account.documents() as i64).sum());
        let waiting = self.pending().lock().len();
        metrics.unsettled.set(waiting as i64);
        for (gauge, count) in metrics.devices.iter().zip(self.count_devices()) {
            gauge.set(count);
        }
    }

    /// Moves what changed into what waits; how long until the next is due.
    fn take_changed(&self) -> Option<u64> {
        let now_ms = self.shared().clock.now_ms();
        let mut pending = self.pending().lock();
        for (doc, name) in self.registry().ledger().take_changed() {
            pending.add(doc, name, (now_ms, now_ms + QUIET_MS));
        }
        pending.wait_ms(now_ms)
    }

    /// Shows what was committed, should those who did it not wait any more.
    async fn show_committed(&self) {
        let committed = self.registry().ledger().take_committed();
        let books: Vec<Arc<Book>> = {
            let books = self.inner.books.read();
            committed.iter().filter_map(|vault| books.get(vault).cloned()).collect()
        };
        let end = books.iter().map(|book| book.state().staged_end()).max().unwrap_or(0);
        if self.durable(end).await.is_ok() {
            books.iter().for_each(|book| self.publish(book));
        }
    }

    /// Settles a batch of what is due, and shows it. False: nothing could be settled.
    async fn settle_due(&self, is_all: bool) -> bool {
        let now_ms = self.shared().clock.now_ms();
        let due = self.pending().lock().take_due(now_ms, is_all);
        let (mut end, mut is_any) = (0, false);
        let mut books: HashMap<u32, Arc<Book>> = HashMap::new();
        for (doc, name, first_ms) in due {
            if !is_all && let Some(due_ms) = self.is_moving(&name, first_ms, now_ms) {
                self.pending().lock().again(doc, (name, first_ms), due_ms);
                continue;
            }
            match self.settle_document(doc, &name).await {
                Ok(Some((book, at))) => {
                    end = end.max(at);
                    books.insert(doc.vault.0, book);
                    is_any = true;
                }
                Ok(None) => is_any = true,
                Err(error) => {
                    tracing::warn!(%doc, %error, "a body did not settle yet");
                    let due_ms = now_ms + RETRY_MS;
                    self.pending().lock().again(doc, (name, first_ms), due_ms);
                }
            }
        }
        if self.durable(end).await.is_ok() {
            books.values().for_each(|book| self.publish(book));
        }
        is_any
    }

    /// When to look again at a document that still changes.
    fn is_moving(&self, name: &Name, first_ms: u64, now_ms: u64) -> Option<u64> {
        let handle = self.registry().in_memory(name)?;
        let due_ms = (handle.changed_ms() + QUIET_MS).min(first_ms + LATEST_MS);
        (now_ms < due_ms && due_ms < now_ms + LATEST_MS).then_some(due_ms)
    }

    /// Settles one document by name. `None`: there is nothing to settle any more.
    async fn settle_document(
        &self,
        doc: DocKey,
        name: &Name,
    ) -> Result<Option<(Arc<Book>, u64)>, Error> {
        let Some(account) = self.registry().ledger().get(&name.vault) else { return Ok(None) };
        let book = self.book(&account);
        let Some(document) = account.path_of(doc.doc) else {
            return Ok(self.restore_tombstone(&book, doc)?.map(|end| (book, end)));
        };
        // It may have moved since it was queued.
        let name = Name { vault: name.vault.clone(), document };
        for _ in 0..READS_MAX {
            let handle = match self.registry().open_existing(&name).await {
                Ok(Some(handle)) => handle,
                Ok(None) | Err(OpenError::NoVault) => return Ok(None),
                Err(OpenError::Damaged) => {
                    tracing::error!(%doc, "a damaged document keeps its last settled body");
                    return Ok(None);
                }
                Err(error) => return Err(error.into()),
            };
            match self.settle_handle(&book, &handle)? {
                Settled::Done { end, .. } => return Ok(Some((book, end))),
                Settled::Gone => return Ok(None),
                Settled::Again => {}
            }
        }
        Err(Failure::Dropped.into())
    }

    /// Settles a body now; its seq when that is durable and shown.
    pub(super) async fn settle_now(&self, name: &Name) -> Result<u64, Error> {
        let book = self.live(&name.vault)?;
        for _ in 0..READS_MAX {
            let handle = self.registry().open_existing(name).await?.ok_or(Error::NoFile)?;
            let settled = {
                let _work = self.shared().work.begin().await;
                self.settle_handle(&book, &handle)?
            };
            match settled {
                Settled::Done { seq, end } => {
                    self.durable(end).await?;
                    self.publish(&book);
                    return Ok(seq);
                }
                Settled::Gone => return Err(Error::NoFile),
                Settled::Again => {}
            }
        }
        Err(Failure::Dropped.into())
    }

    /// Settles what is there still, and whole.
    pub(super) async fn settle_last(&self, name: &Name) -> Result<(), Error> {
        match self.settle_now(name).await {
            Ok(_) | Err(Error::NoFile | Error::Open(OpenError::Damaged)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Settles what is open; the end of what is to be durable before it is shown.
    pub(super) fn settle_open(&self, book: &Book, handle: &Handle) -> Result<u64, Failure> {
        match self.settle_handle(book, handle)? {
            Settled::Done { end, .. } => Ok(end),
            Settled::Gone | Settled::Again => Ok(0),
        }
    }

    fn settle_handle(&self, book: &Book, handle: &Handle) -> Result<Settled, Failure> {
        let begun = self.shared().clock.now();
        handle.unqueue();
        let settled = task::block(|| {
            let doc = handle.key().doc;
            let mark = handle.mark();
            {
                // Most are found settled here, before their text is looked at.
                let state = book.state();
                if !state.is_behind(doc, mark.n) {
                    let seq = state.current(doc).map_or(0, |item| item.seq);
                    return Ok(Settled::Done { seq, end: state.staged_end() });
                }
            }
            let Some((mark, read)) = read(handle, mark) else { return Ok(Settled::Again) };
            self.commit_body(book, doc, (&mark, read))
        });
        let took = self.shared().clock.now().since(begun);
        self.shared().metrics.vault.settle_seconds.observe(took.as_secs_f64());
        settled
    }

    fn commit_body(
        &self,
        book: &Book,
        doc: DocId,
        (mark, read): (&Mark, Read),
    ) -> Result<Settled, Failure> {
        let mut state = book.state();
        let current = state.current(doc);
        if !state.is_behind(doc, mark.n) {
            let seq = current.map_or(0, |item| item.seq);
            return Ok(Settled::Done { seq, end: state.staged_end() });
        }
        let Some(path) = book.account().path_of(doc) else { return Ok(Settled::Gone) };
        let settled_n = current.map_or(0, |item| item.n);
        let before = current.map(|item| (item.updated, item.author.clone(), 0));
        let by = |writer: &Writer, at| (at, writer.name.clone(), writer.device);
        let last = mark.writers.last().zip(mark.last).map(|(writer, at)| by(writer, at));
        let signed = state.signed(doc).filter(|_| mark.n <= settled_n);
        let signed = signed.map(|it| (it.at, it.author.clone(), it.device));
        let (updated, author, device) = signed.or(last).or(before).unwrap_or((doc.0, None, 0));
        let wrote = mark.writers.iter().filter(|writer| writer.n > settled_n);
        let mut authors: Vec<_> = wrote.map(|writer| writer.name.clone()).collect();
        if authors.is_empty() {
            authors.push(author.clone());
        }
        let Read { body, size, hash } = read;
        let (n, bytes) = (mark.n, mark.bytes);
        let by = author.clone();
        let (seq, is_deleted) = (0, false);
        let made = state.note(doc);
        let item = Item {
            seq,
            n,
            body,
            is_deleted,
            size,
            bytes,
            hash,
            updated,
            author,
            device,
            path,
            from: None,
        };
        let (kind, renamed) = (Kind::Settled, None);
        let made = Made { authors, ..made };
        let entry = Entry { kind, doc, item, made, renamed, retired: None, by: by.as_deref() };
        match book.commit(&mut state, self.registry(), entry) {
            Ok((seq, appended)) => Ok(Settled::Done { seq, end: appended.end }),
            Err(Failure::VaultDeleted) => Ok(Settled::Gone),
            Err(failure) => Err(failure),
        }
    }

    /// A document that the store knows as deleted and whose tombstone is lost gets one again.
    fn restore_tombstone(&self, book: &Book, doc: DocKey) -> Result<Option<u64>, Failure> {
        let Ok(Some(head)) = self.registry().store().head(doc) else { return Ok(None) };
        let mut state = book.state();
        let is_right = state.current(doc.doc).is_some_and(|item| item.is_deleted);
        // It may have come back since it was looked for.
        let is_live = book.account().path_of(doc.doc).is_some();
        if state.is_forgotten(doc.doc) {
            return Ok(None);
        }
        if !head.is_deleted || is_live || (is_right && !state.is_behind(doc.doc, 0)) {
            return Ok(None);
        }
        let item = tombstone(state.current(doc.doc), (head.name.into(), doc.doc));
        let (kind, renamed) = (Kind::Settled, None);
        let bytes = item.bytes;
        let made = Made::default();
        let entry = Entry { kind, doc: doc.doc, item, made, renamed, retired: None, by: None };
        let (_, appended) = book.commit(&mut state, self.registry(), entry)?;
        if !is_right {
            book.account().charge_buried(bytes);
        }
        Ok(Some(appended.end))
    }
}

/// What a deleted file shows: nothing but that it was there.
pub(super) fn tombstone(before: Option<&Item>, (path, doc): (Arc<str>, DocId)) -> Item {
    Item {
        seq: 0,
        n: before.map_or(0, |item| item.n),
        body: Body::Empty,
        is_deleted: true,
        size: 0,
        bytes: before.map_or(0, |item| item.bytes),
        hash: None,
        updated: before.map_or(doc.0, |item| item.updated),
        author: None,
        device: 0,
        path,
        from: None,
    }
}

/// What a body is.
struct Read {
    body: Body,
    size: u64,
    hash: Option<[u8; 32]>,
}

/// Reads a body and where the log was then. `None`: the document left memory.
fn read(handle: &Handle, mut mark: Mark) -> Option<(Mark, Read)> {
    let mut snapshot = handle.snapshot().ok()?;
    for _ in 0..READS_MAX {
        if snapshot.n == mark.n {
            break;
        }
        mark = handle.mark();
        snapshot = handle.snapshot().ok()?;
    }
    // One that never stands still is shown as it was read; its last author may be the next one's.
    mark.n = snapshot.n;
    let read = match snapshot.content {
        Content::Empty => Read { body: Body::Empty, size: 0, hash: None },
        Content::Other { .. } => Read { body: Body::Other, size: mark.bytes, hash: None },
        Content::Text { text, .. } => {
            let hash = Some(Sha256::digest(text.as_bytes()).into());
            Read { body: Body::Text, size: text.len() as u64, hash }
        }
    };
    Some((mark, read))
}
