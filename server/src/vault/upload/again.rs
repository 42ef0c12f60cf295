//! Uploads that come again: known by their stamp, or by what they are.
//!
//! Job: remember what a stamped change came to, from the moment in which it is written, and answer
//! who comes again with it. Called by `upload`. Never lets two of one stamp be under way at once.

use std::sync::Arc;

use sheaf_protocol::ids::{DocId, DocKey, VaultName};
use sheaf_protocol::stamp::Stamp;

use super::{Base, Upcoming, Upload, Uploaded};
use crate::document::author::{Author, Written};
use crate::document::submission::Failure;
use crate::vault::Vaults;
use crate::vault::book::{self, Book};
use crate::vault::condition::At;
use crate::vault::error::Error;
use crate::vault::versions::Held;
use sheaf_ground::task;
use sheaf_storage::journal::{Kind, Record, payload};
use sheaf_storage::store::{Body, Stamped, Version};

/// A stamped change that is under way; dropped, it is not.
pub(in crate::vault) struct Claim {
    book: Arc<Book>,
    stamp: Stamp,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.book.state().stamping.remove(&self.stamp);
    }
}

impl Uploaded {
    /// Of one whose version is not kept any more: what it brought.
    fn before(path: Arc<str>, (doc, version): (DocId, u64), content: Upcoming<'_>) -> Self {
        let (size, bytes) = match content {
            Upcoming::Text(text) => (text.len() as u64, None),
            Upcoming::Blob { hash, size } => (size, Some(hash)),
        };
        let hash = content.hash();
        Self {
            path,
            at: At { doc, n: 0, bytes },
            version,
            size,
            hash,
            is_merged: false,
            is_conflict: false,
            has_changed: false,
            is_created: false,
            content: None,
        }
    }
}

impl Vaults {
    /// What an upload came to that came before: known by its stamp or, without one, by what it
    /// brings to which version of which file.
    pub(in crate::vault) async fn done_before(
        &self,
        (name, path): (&VaultName, &str),
        (print, upload): (u64, &Upload<'_>),
    ) -> Result<Option<Uploaded>, Error> {
        let Ok(book) = self.live(name) else { return Ok(None) };
        let content = Some(upload.content);
        let Some(stamp) = upload.stamp else {
            let doc = task::block(|| self.uploaded_to(&book, path, (print, upload.base)))?;
            let Some(doc) = doc else { return Ok(None) };
            return self.outcome(&book, (doc, 0), (None, content)).await.map(Some);
        };
        let Some(Stamped { doc, seq, .. }) = self.came_to(&book, (stamp, print)).await? else {
            return Ok(None);
        };
        self.outcome(&book, (doc, seq), (Some(stamp), content)).await.map(Some)
    }

    /// The document that this upload was put into before, by one who heard no answer; it may be
    /// gone by now.
    fn uploaded_to(
        &self,
        book: &Book,
        path: &str,
        (print, base): (u64, Base),
    ) -> Result<Option<DocId>, Error> {
        // To join what is there already changes nothing by itself.
        let Base::Version(seq @ 1..) = base else { return Ok(None) };
        let live = book.account().find(path).map(|(_, doc)| doc);
        let doc = match live {
            Some(doc) => doc,
            None if !book.state().has_print(print) => return Ok(None),
            None => match self.version_at(book, path, seq) {
                Ok(dated) => dated.doc,
                Err(Error::NoFile | Error::NoVersion { .. }) => return Ok(None),
                Err(error) => return Err(error),
            },
        };
        Ok(Some(doc).filter(|doc| book.state().has_uploaded(*doc, print)))
    }

    /// What a stamped upload came to, whatever it brought: with the text that the version has.
    ///
    /// # Errors
    /// `StampReused` if it was no upload; `NoVersion`; `Damaged`; `Open`; `Failed`.
    pub async fn uploaded_before(
        &self,
        name: &VaultName,
        stamp: Stamp,
    ) -> Result<Option<Uploaded>, Error> {
        let Ok(book) = self.live(name) else { return Ok(None) };
        let _one = self.claim(name, stamp)?;
        let Some(Stamped { doc, seq, fingerprint, count, .. }) = self.stamped(&book, stamp)? else {
            return Ok(None);
        };
        if count > 0 {
            return Err(Error::StampReused);
        }
        self.came_to(&book, (stamp, fingerprint)).await?;
        self.outcome(&book, (doc, seq), (Some(stamp), None)).await.map(Some)
    }

    /// What edits came to that came before.
    pub(super) async fn edited_before(
        &self,
        name: &VaultName,
        stamped: (Stamp, u64),
    ) -> Result<Option<Uploaded>, Error> {
        let Ok(book) = self.live(name) else { return Ok(None) };
        let Some(Stamped { doc, seq, .. }) = self.came_to(&book, stamped).await? else {
            return Ok(None);
        };
        self.outcome(&book, (doc, seq), (Some(stamped.0), None)).await.map(Some)
    }

    /// What a change came to that came before, and what it brought; without that: with the text of
    /// the version. A seq of 0: it is not known which that is.
    async fn outcome(
        &self,
        book: &Book,
        (doc, seq): (DocId, u64),
        (stamp, content): (Option<Stamp>, Option<Upcoming<'_>>),
    ) -> Result<Uploaded, Error> {
        if seq > 0 {
            return self.told(book, (doc, seq), (stamp, content)).await;
        }
        let is_live = book.account().path_of(doc).is_some();
        let bytes_now = book.state().current(doc).filter(|item| item.body == Body::Blob).cloned();
        match (content, bytes_now) {
            (Some(_), _) if !is_live => self.last_of(book, doc, content).await,
            (Some(brought), Some(now)) => {
                let told = self.told(book, (doc, now.seq), (stamp, content)).await?;
                Ok(Uploaded { is_conflict: told.hash != brought.hash(), ..told })
            }
            (Some(Upcoming::Text(text)), None) => {
                self.uploaded(book, doc, (Written::default(), Some(text))).await
            }
            (Some(Upcoming::Blob { .. }), None) => {
                let told = self.uploaded(book, doc, (Written::default(), None)).await?;
                Ok(Uploaded { is_merged: false, is_conflict: true, content: None, ..told })
            }
            (None, _) => self.uploaded(book, doc, (Written::default(), None)).await,
        }
    }

    /// The last version of a file that is gone.
    pub(in crate::vault) async fn last_of(
        &self,
        book: &Book,
        doc: DocId,
        content: Option<Upcoming<'_>>,
    ) -> Result<Uploaded, Error> {
        let gone = book.state().current(doc).map(|item| item.seq);
        let before = gone.ok_or(Error::NoFile)?.saturating_sub(1);
        self.told(book, (doc, before), (None, content)).await
    }

    /// A version as the answer to who brought something to it, and what that was.
    pub(super) async fn told(
        &self,
        book: &Book,
        (doc, seq): (DocId, u64),
        (stamp, content): (Option<Stamp>, Option<Upcoming<'_>>),
    ) -> Result<Uploaded, Error> {
        let vault = book.account().number();
        let _work = self.shared().work.begin().await;
        task::block(|| {
            self.wait_stored()?;
            let path = || {
                let last = || book.state().current(doc).map(|item| Arc::clone(&item.path));
                book.account().path_of(doc).or_else(last).ok_or(Error::NoFile)
            };
            let dated = match (self.version_of(book, DocKey { vault, doc }, seq), content) {
                // What it came to is not kept any more; that it was made is known.
                (Err(Error::NoVersion { .. }), Some(content)) => {
                    return Ok(Uploaded::before(path()?, (doc, seq), content));
                }
                (dated, _) => dated?,
            };
            let held = self.held(book, &dated)?;
            let Version { item, made, .. } = dated.version;
            let is_conflict = match content {
                // Bytes that were there already are no part of how they came there.
                Some(Upcoming::Blob { hash, .. }) if item.hash == Some(hash) => {
                    made.is_conflict && Some(item.updated) == stamp
                }
                Some(Upcoming::Blob { .. }) => true,
                Some(Upcoming::Text(_)) | None => false,
            };
            let is_news = |text: &String| match content {
                Some(Upcoming::Text(brought)) => brought != text,
                Some(Upcoming::Blob { .. }) => false,
                None => true,
            };
            let content = match held {
                Held::Text(text) => Some(text).filter(is_news),
                Held::Roots(_) | Held::Blob { .. } => None,
            };
            Ok(Uploaded {
                path: path()?,
                at: At::of(doc, item.n, Some(&item)),
                version: item.seq,
                size: item.size,
                hash: item.hash.unwrap_or_default(),
                is_merged: content.is_some(),
                is_conflict,
                has_changed: false,
                is_created: false,
                content,
            })
        })
    }

    /// What a stamped change came to, if it is known; durable and shown then.
    ///
    /// # Errors
    /// `StampReused` if it was another one; `Damaged`.
    pub(in crate::vault) async fn came_to(
        &self,
        book: &Book,
        (stamp, print): (Stamp, u64),
    ) -> Result<Option<Stamped>, Error> {
        let Some(came_to) = self.stamped(book, stamp)? else { return Ok(None) };
        if came_to.fingerprint != print {
            return Err(Error::StampReused);
        }
        // Whoever made it may have gone before it was.
        let end = book.state().staged_end();
        self.durable(end).await?;
        self.publish(book);
        Ok(Some(came_to))
    }

    fn stamped(&self, book: &Book, stamp: Stamp) -> Result<Option<Stamped>, Error> {
        let recent = book.state().stamped(stamp);
        let stored =
            || task::block(|| self.registry().store().stamped(book.account().number(), stamp));
        Ok(recent.map_or_else(stored, |came_to| Ok(Some(came_to)))?)
    }

    /// Takes note of the time in a stamp.
    ///
    /// # Errors
    /// `ClockDrift`.
    pub(in crate::vault) fn observe(&self, stamp: Stamp) -> Result<(), Error> {
        let now_ms = self.shared().clock.now_ms();
        self.registry().observe(stamp).map_err(|_| Error::ClockDrift { now_ms })
    }

    /// The seq of a change that was stamped; none if it is not known.
    ///
    /// # Errors
    /// `NoVault`; `Damaged`.
    pub fn seq_of(&self, name: &VaultName, stamp: Stamp) -> Result<Option<u64>, Error> {
        let book = self.live(name)?;
        let came_to = self.stamped(&book, stamp)?;
        Ok(came_to.map(|came_to| came_to.seq).filter(|seq| *seq != 0))
    }

    /// One change of a stamp at a time: of two that are under way neither knows of the other.
    pub(in crate::vault) fn claim(
        &self,
        name: &VaultName,
        stamp: Stamp,
    ) -> Result<Option<Claim>, Error> {
        let Ok(book) = self.live(name) else { return Ok(None) };
        if !book.state().stamping.insert(stamp) {
            return Err(Failure::Busy.into());
        }
        Ok(Some(Claim { book, stamp }))
    }

    /// Keeps what a stamped change is until its version is known, where it was noted with what it
    /// wrote.
    pub(super) fn has_noted(
        &self,
        state: &mut book::State,
        by: Author<'_>,
        (doc, written): (DocId, Written),
    ) {
        let stamped = self.stamp_of(by, (doc, 0)).filter(|_| written.has_changed);
        self.keep_stamp(state, stamped.as_ref(), written.end);
    }

    /// Writes what a stamped upload came to; durable when it returns.
    pub(super) async fn note(
        &self,
        name: &VaultName,
        by: Author<'_>,
        uploaded: &Uploaded,
    ) -> Result<(), Error> {
        let (doc, seq) = (uploaded.at.doc, uploaded.version);
        let Some(stamped) = self.stamp_of(by, (doc, seq)) else { return Ok(()) };
        let end = {
            let book = self.live(name)?;
            let key = DocKey { vault: book.account().number(), doc };
            let mut state = book.state();
            let record = self.stamp_record(key, by, &stamped.2);
            let end = book::append(self.registry(), &[record])?.end;
            self.keep_stamp(&mut state, Some(&stamped), end);
            end
        };
        Ok(self.durable(end).await?)
    }

    /// What a stamped change comes to that is about to be written, and the payload of its record.
    pub(in crate::vault) fn stamp_of(
        &self,
        by: Author<'_>,
        (doc, seq): (DocId, u64),
    ) -> Option<(Stamp, Stamped, Vec<u8>)> {
        let (stamp, fingerprint) = by.stamped?;
        let received_ms = self.shared().clock.now_ms();
        let came_to = Stamped { doc, seq, fingerprint, received_ms, count: 0 };
        Some((stamp, came_to, stamp_payload(stamp, came_to)))
    }

    /// Keeps it in memory: its record ends at `end`.
    pub(in crate::vault) fn keep_stamp(
        &self,
        state: &mut book::State,
        stamped: Option<&(Stamp, Stamped, Vec<u8>)>,
        end: u64,
    ) {
        let Some((stamp, came_to, _)) = stamped else { return };
        state.set_stamped(*stamp, *came_to, (end, self.shared().journal.folded()));
    }

    /// The record of what a stamped change came to.
    pub(in crate::vault) fn stamp_record<'r>(
        &self,
        doc: DocKey,
        by: Author<'r>,
        payload: &'r [u8],
    ) -> Record<'r> {
        let (stamp, author) = (self.registry().stamp(), by.principal.name());
        Record { doc, n: 0, kind: Kind::Stamped, stamp, author, payload }
    }
}

/// What the record of a stamped change has.
pub(in crate::vault) fn stamp_payload(stamp: Stamp, came_to: Stamped) -> Vec<u8> {
    let mut bytes = Vec::new();
    payload::Stamped { stamp, came_to }.encode(&mut bytes);
    bytes
}
