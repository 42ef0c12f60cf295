//! Versions of files: listing, reading, comparing, restoring, naming, thinning.
//!
//! Job: find the document that a path had, and the version that was current at a seq, and read it
//! from `history`. Called by the edges. Never gives another text than the version's own: its
//! SHA-256 is compared.

use std::sync::Arc;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use sheaf_protocol::ids::{DocId, DocKey, Principal, VaultName};

use super::book::{Book, file};
use super::condition::{Absent, When};
use super::error::Error;
use super::file::{File, Page};
use super::upload::{Uploaded, is_still};
use super::{OPEN_ATTEMPTS, PAGE_MAX, Vaults, address};
use crate::document::author::{Author, Written};
use crate::document::handle::Handle;
use crate::document::snapshot::Content;
use crate::document::state::State;
use crate::document::submission::Failure;
use crate::history;
use crate::history::blame::Piece;
use sheaf_ground::task;
use sheaf_protocol::error::Refusal;
use sheaf_storage::journal::payload::Named;
use sheaf_storage::journal::{Kind, Record};
use sheaf_storage::store::{Body, Label, Made, Version};

/// Bytes of a version's name.
pub const LABEL_BYTES_MAX: usize = 256;

/// A version with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dated {
    /// Which document's.
    pub doc: DocId,
    /// The version.
    pub version: Version,
    /// Its name, if it has one.
    pub label: Option<Label>,
}

/// A version, and what it held.
#[derive(Clone, Debug, PartialEq)]
pub struct Read {
    /// The version.
    pub dated: Dated,
    /// What it held.
    pub held: Held,
}

/// What a version held.
#[derive(Clone, Debug, PartialEq)]
pub enum Held {
    /// A text; that of an empty document has nothing in it.
    Text(String),
    /// Root types that are no text, as JSON.
    Roots(Map<String, Value>),
    /// Bytes that are kept outside the document, by their SHA-256.
    Blob {
        /// SHA-256.
        hash: [u8; 32],
        /// How many.
        size: u64,
    },
}

impl Vaults {
    /// Versions of the file that has or had a path, newest first, those below `before`, at most
    /// `limit` (1,000). Blocks the thread.
    ///
    /// # Errors
    /// `NoVault`; `NoFile`; `Damaged`.
    pub fn versions(
        &self,
        name: &VaultName,
        path: &str,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Page<Dated, u64>, Error> {
        let book = self.live(name)?;
        let doc = self.had(&book, path).ok_or(Error::NoFile)?;
        self.wait_stored()?;
        let limit = limit.clamp(1, PAGE_MAX);
        let store = self.registry().store();
        let mut found = store.versions(doc, before, limit + 1)?;
        let has_more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| has_more).map(|version| version.item.seq);
        let labels = store.labels(doc)?;
        let dated = |version: Version| {
            let label = labels.iter().find(|(seq, _)| *seq == version.item.seq);
            Dated { doc: doc.doc, label: label.map(|(_, label)| label.clone()), version }
        };
        Ok(Page { items: found.into_iter().map(dated).collect(), next })
    }

    /// What happened in a vault, newest first, below `before`, at most `limit` (1,000): the
    /// versions of all its files. Blocks the thread.
    ///
    /// # Errors
    /// `NoVault`; `Damaged`.
    pub fn activity(
        &self,
        name: &VaultName,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Page<Dated, u64>, Error> {
        let book = self.live(name)?;
        self.wait_stored()?;
        let limit = limit.clamp(1, PAGE_MAX);
        let store = self.registry().store();
        let mut found = store.activity(book.account().number(), before, limit + 1)?;
        let has_more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| has_more).map(|(seq, _)| *seq);
        let mut items = Vec::with_capacity(found.len());
        for (seq, doc) in found {
            let key = DocKey { vault: book.account().number(), doc };
            // It may have been thinned since.
            if let Some(version) = store.version(key, seq)? {
                items.push(Dated { doc, version, label: store.label(key, seq)? });
            }
        }
        Ok(Page { items, next })
    }

    /// What the file that has or had a path was at a seq; without one, what it is now, settled
    /// first.
    ///
    /// # Errors
    /// `NoVault`; `NoFile`; `NoVersion`; `Damaged`; `Open`; `Failed`.
    pub async fn read_at(
        &self,
        name: &VaultName,
        path: &str,
        seq: Option<u64>,
    ) -> Result<Read, Error> {
        let seq = match seq {
            Some(seq) => seq,
            None => self.settle(name, path).await?,
        };
        let book = self.live(name)?;
        let _work = self.shared().work.begin().await;
        task::block(|| {
            let dated = self.version_at(&book, path, seq)?;
            let held = self.held(&book, &dated)?;
            Ok(Read { dated, held })
        })
    }

    /// Makes a file's content what it was at a seq, as an edit that those who have it open see;
    /// durable when it returns where it is and the new seq. A deleted file is back with it.
    ///
    /// # Errors
    /// As [`Vaults::read_at`]; `Stale`; `NotText`; `PathTaken`; `Refused`.
    pub async fn restore(
        &self,
        name: &VaultName,
        path: &str,
        seq: u64,
        (by, when): (Author<'_>, When<'_>),
    ) -> Result<(Arc<str>, u64), Error> {
        let Read { dated, held } = self.read_at(name, path, Some(seq)).await?;
        let made = Made { restored: dated.version.item.seq, ..Made::default() };
        if self.file(name, path).is_err() {
            when(None)?;
        }
        if let Held::Blob { hash, size } = held {
            let place = (name, path, dated.doc);
            return self.restore_blob(place, (hash, size), (by, when), made).await;
        }
        let mut again = 1..OPEN_ATTEMPTS;
        let (handle, written) = loop {
            match self.put_back((name, path), by, (&dated, &held, when)).await {
                // The file went since it was looked for, or another has its path.
                Err(Error::Failed(Failure::Moved | Failure::Deleted)) if again.next().is_some() => {
                }
                written => break written?,
            }
        };
        let (book, doc) = (self.live(name)?, handle.key().doc);
        drop(handle);
        {
            let mut state = book.state();
            if self.set_text((&book, &mut state), doc, by) || written.has_changed {
                state.set_note(doc, written.n, made);
            }
        }
        self.settle_doc(&book, doc).await
    }

    /// Writes what a document was into it, where it is by now.
    async fn put_back(
        &self,
        (name, path): (&VaultName, &str),
        by: Author<'_>,
        (dated, held, when): (&Dated, &Held, When<'_>),
    ) -> Result<(Arc<Handle>, Written), Error> {
        let path = self.bring_back((name, path), dated.doc, by)?;
        let (place, how) = ((name, &*path), (Absent::Made, when));
        let doc = DocKey { vault: self.number(name)?, doc: dated.doc };
        let written = match held {
            Held::Text(text) => {
                let put = |on: &Handle, when| {
                    is_still(on, doc)?;
                    on.put_text(by, text, when)
                };
                self.write(place, how, &put).await
            }
            _ => Err(Error::NotText { root: String::new() }),
        };
        match written {
            // Then or now it is something else: all that came since is taken back.
            Err(Error::NotText { .. }) => {
                let was = task::block(|| self.state_at(doc, dated.version.item.n))?.encode();
                let revert = |on: &Handle, when| {
                    is_still(on, doc)?;
                    on.revert(by, &was, when)
                };
                self.write(place, how, &revert).await
            }
            other => other,
        }
    }

    /// Settles a document wherever it is by now: its path and seq; of one that is gone, its last.
    async fn settle_doc(&self, book: &Book, doc: DocId) -> Result<(Arc<str>, u64), Error> {
        for _ in 0..OPEN_ATTEMPTS {
            let Some(path) = book.account().path_of(doc) else {
                let Uploaded { path, version, .. } = self.last_of(book, doc, None).await?;
                return Ok((path, version));
            };
            let settled = self.settle_now(&address(book.account().name(), &path)).await;
            let is_it = book.account().path_of(doc).as_ref() == Some(&path);
            match settled {
                Ok(seq) if is_it => return Ok((path, seq)),
                Ok(_) | Err(Error::NoFile) => {}
                Err(error) => return Err(error),
            }
        }
        Err(Failure::Busy.into())
    }

    /// The path of a document; a deleted one gets one again.
    pub(super) fn bring_back(
        &self,
        (name, path): (&VaultName, &str),
        doc: DocId,
        by: Author<'_>,
    ) -> Result<Arc<str>, Error> {
        let book = self.live(name)?;
        if let Some(path) = book.account().path_of(doc) {
            return Ok(path);
        }
        let key = DocKey { vault: book.account().number(), doc };
        let head = task::block(|| self.registry().store().head(key))?.ok_or(Error::NoFile)?;
        let revived = self.revive(&book, path, (doc, head.epoch), (by, None))?;
        let path = revived.map(|(item, _)| item.path);
        path.or_else(|| book.account().path_of(doc)).ok_or(Error::NoFile)
    }

    /// Gives a version a name, or takes it away; durable when it returns its seq. Without a seq the
    /// present one, settled first. A named version is kept for ever.
    ///
    /// # Errors
    /// As [`Vaults::read_at`]; `Refused` for a name of more than 256 bytes.
    pub async fn label(
        &self,
        name: &VaultName,
        path: &str,
        seq: Option<u64>,
        (label, by): (Option<&str>, &Principal),
    ) -> Result<u64, Error> {
        if label.is_some_and(|label| label.len() > LABEL_BYTES_MAX) {
            return Err(Refusal::too_large(0, "the name of a version has at most 256 bytes").into());
        }
        let seq = match seq {
            Some(seq) => seq,
            None => self.settle(name, path).await?,
        };
        let book = self.live(name)?;
        let (seq, end) = task::block(|| self.set_label(&book, (path, seq), (label, by)))?;
        self.durable(end).await?;
        Ok(seq)
    }

    /// Writes a version's name: that version's seq, and the end of the record. Blocks the thread.
    fn set_label(
        &self,
        book: &Book,
        (path, seq): (&str, u64),
        (label, by): (Option<&str>, &Principal),
    ) -> Result<(u64, u64), Error> {
        // What is thinned now, is gone when the version is looked up; what is later, has its name.
        let mut named = self.inner.thinning.lock();
        let dated = self.version_at(book, path, seq)?;
        let seq = dated.version.item.seq;
        let mut payload = Vec::new();
        Named { seq, name: label.map(str::to_owned) }.encode(&mut payload);
        let doc = DocKey { vault: book.account().number(), doc: dated.doc };
        let (n, stamp, author) = (dated.version.item.n, self.registry().stamp(), by.name());
        let record = Record { doc, n, kind: Kind::Named, stamp, author, payload: &payload };
        let mut state = book.state();
        // Forgotten since it was looked up.
        state.current(doc.doc).ok_or(Error::NoFile)?;
        let end = super::book::append(self.registry(), &[record])?.end;
        *named = end;
        state.set_named(doc.doc, end);
        Ok((seq, end))
    }

    /// The text of a file, settled first, in pieces by who wrote them; and its version.
    ///
    /// # Errors
    /// As [`Vaults::read_at`]; `NotText`.
    pub async fn blame(&self, name: &VaultName, path: &str) -> Result<(u64, Vec<Piece>), Error> {
        let seq = self.settle(name, path).await?;
        let book = self.live(name)?;
        let _work = self.shared().work.begin().await;
        task::block(|| {
            let dated = self.version_at(&book, path, seq)?;
            let doc = DocKey { vault: book.account().number(), doc: dated.doc };
            let (n, text_root) = (dated.version.item.n, &*self.shared().text_root);
            let pieces = match dated.version.item.body {
                Body::Blob => None,
                _ => history::blame::blame(self.registry().store(), doc, (n, text_root))?,
            };
            let root = String::new();
            Ok((dated.version.item.seq, pieces.ok_or(Error::NotText { root })?))
        })
    }

    /// The document that has a path, or the last deleted one that had it.
    fn had(&self, book: &Book, path: &str) -> Option<DocKey> {
        let vault = book.account().number();
        let live = book.account().find(path).map(|(_, doc)| doc);
        let doc = live.or_else(|| book.state().tombstones(path).first().copied())?;
        Some(DocKey { vault, doc })
    }

    /// The version that was current at a seq. Blocks the thread.
    pub(super) fn version_at(&self, book: &Book, path: &str, seq: u64) -> Result<Dated, Error> {
        self.wait_stored()?;
        let (vault, mut missed) = (book.account().number(), None);
        let live = book.account().find(path).map(|(_, doc)| doc);
        // Those that are deleted are looked for only where the live one does not have it.
        let gone = std::iter::once_with(|| book.state().tombstones(path)).flatten();
        for doc in live.into_iter().chain(gone).map(|doc| DocKey { vault, doc }) {
            let unknown = Error::NoVersion { before: 0, after: 0 };
            missed.get_or_insert(unknown);
            match self.version_of(book, doc, seq) {
                Ok(dated) if !dated.version.item.is_deleted => return Ok(dated),
                Ok(_) | Err(Error::NoVersion { before: 0, after: 0 }) => {}
                Err(error @ Error::NoVersion { .. }) => missed = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(missed.unwrap_or(Error::NoFile))
    }

    /// The version of a document that was current at a seq: what was stored must be waited for.
    pub(super) fn version_of(&self, book: &Book, doc: DocKey, seq: u64) -> Result<Dated, Error> {
        let store = self.registry().store();
        let newest = book.show().seq;
        let below = seq.checked_add(1);
        let before = store.versions(doc, below, 1)?.into_iter().next();
        let after = store.version_after(doc, seq)?;
        let seq_of = |version: &Option<Version>| version.as_ref().map_or(0, |it| it.item.seq);
        let missed = Error::NoVersion { before: seq_of(&before), after: seq_of(&after) };
        let Some(version) = before.filter(|_| seq <= newest) else { return Err(missed) };
        // Between two that are kept there may have been others.
        let is_next = after.is_none_or(|after| after.prev_seq == version.item.seq);
        if version.item.seq != seq && !is_next {
            return Err(missed);
        }
        let label = store.label(doc, version.item.seq)?;
        Ok(Dated { doc: doc.doc, version, label })
    }

    /// What a version held. Blocks the thread.
    pub(super) fn held(&self, book: &Book, dated: &Dated) -> Result<Held, Error> {
        let item = &dated.version.item;
        let (body, size) = (item.body, item.size);
        if let (Body::Blob, Some(hash)) = (body, item.hash) {
            return Ok(Held::Blob { hash, size });
        }
        if body == Body::Empty {
            return Ok(Held::Text(String::new()));
        }
        let doc = DocKey { vault: book.account().number(), doc: dated.doc };
        let mut state = self.state_at(doc, item.n)?;
        match state.content(&self.shared().text_root) {
            Content::Text { text, .. } => {
                let hash: [u8; 32] = Sha256::digest(text.as_bytes()).into();
                match item.hash {
                    Some(due) if due != hash => {
                        tracing::error!(%doc, seq = item.seq, "a version has another text");
                        Err(Error::Damaged)
                    }
                    _ => Ok(Held::Text(text)),
                }
            }
            Content::Empty => Ok(Held::Text(String::new())),
            Content::Other { .. } => Ok(Held::Roots(state.roots())),
        }
    }

    /// A document as it was at an entry. Blocks the thread.
    pub(super) fn state_at(&self, doc: DocKey, n: u64) -> Result<State, Error> {
        Ok(history::state_at(self.registry().store(), doc, n)?)
    }

    /// A file that a change left at a path; where it went on meanwhile, as its version of that seq
    /// tells.
    ///
    /// # Errors
    /// `NoVault`; `NoFile` if that is not kept; `Damaged`; `Failed`.
    pub fn file_as_of(
        &self,
        name: &VaultName,
        path: &str,
        (doc, seq): (DocId, u64),
    ) -> Result<File, Error> {
        let book = self.live(name)?;
        if let Some(found) = book.account().find(path).filter(|(_, live)| *live == doc) {
            return book.files(vec![found]).pop().ok_or(Error::NoFile);
        }
        self.wait_stored()?;
        let key = DocKey { vault: book.account().number(), doc };
        let version = self.registry().store().version(key, seq)?.ok_or(Error::NoFile)?;
        Ok(file(doc, Arc::clone(&version.item.path), Some(&version.item)))
    }

    /// Returns when the store has everything that is shown.
    pub(super) fn wait_stored(&self) -> Result<(), Error> {
        let journal = &self.shared().journal;
        let durable = journal.durable();
        if journal.folded() >= durable {
            return Ok(());
        }
        journal.wait_folded(durable).map_err(|_| Failure::ReadOnly.into())
    }
}

#[cfg(test)]
mod tests;
