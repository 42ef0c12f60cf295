//! Uploads that come again: known by their stamp, or by what they are.
//!
//! Job: remember what a stamped change came to, from the moment in which it is written, and answer
//! who comes again with it. Called by `upload`. Never lets two of one stamp be under way at once.

use std::sync::Arc;

use sha2::{Digest, Sha256};
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
use sheaf_storage::store::{Stamped, Version};

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
    fn before(path: Arc<str>, (doc, version): (DocId, u64), upload: &Upload<'_>) -> Self {
        let (size, hash) = match upload.content {
            Upcoming::Text(text) => (text.len() as u64, Sha256::digest(text.as_bytes()).into()),
            Upcoming::Blob { hash, size } => (size, hash),
        };
        let bytes = matches!(upload.content, Upcoming::Blob { .. }).then_some(hash);
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
    /// What a change came to that came before.
    pub(in crate::vault) async fn done_before(
        &self,
        (name, path): (&VaultName, &str),
        stamp: Stamp,
        (print, upload): (u64, &Upload<'_>),
    ) -> Result<Option<Uploaded>, Error> {
        let Ok(book) = self.live(name) else { return Ok(None) };
        let Some(Stamped { doc, seq, .. }) = self.came_to(&book, (stamp, print)).await? else {
            return Ok(None);
        };
        self.outcome((&book, path), (doc, seq, stamp), Some(upload)).await.map(Some)
    }

    /// What a stamped upload came to, whatever it brought: with the text that the version has.
    ///
    /// # Errors
    /// `StampReused` if it was no upload; `NoVersion`; `Damaged`; `Open`; `Failed`.
    pub async fn uploaded_before(
        &self,
        (name, path): (&VaultName, &str),
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
        self.outcome((&book, path), (doc, seq, stamp), None).await.map(Some)
    }

    /// What edits came to that came before.
    pub(super) async fn edited_before(
        &self,
        (name, path): (&VaultName, &str),
        stamped: (Stamp, u64),
    ) -> Result<Option<Uploaded>, Error> {
        let Ok(book) = self.live(name) else { return Ok(None) };
        let Some(Stamped { doc, seq, .. }) = self.came_to(&book, stamped).await? else {
            return Ok(None);
        };
        self.outcome((&book, path), (doc, seq, stamped.0), None).await.map(Some)
    }

    /// What an upload came to that came before; without it: with the text of the version.
    async fn outcome(
        &self,
        (book, path): (&Book, &str),
        (doc, seq, stamp): (DocId, u64, Stamp),
        upload: Option<&Upload<'_>>,
    ) -> Result<Uploaded, Error> {
        if seq == 0 {
            return self.unsettled((book, path), doc, upload).await;
        }
        let vault = book.account().number();
        let _work = self.shared().work.begin().await;
        task::block(|| {
            self.wait_stored()?;
            let dated = match (self.version_of(book, DocKey { vault, doc }, seq), upload) {
                // What it came to is not kept any more; that it was made is known.
                (Err(Error::NoVersion { .. }), Some(upload)) => {
                    let path = book.account().path_of(doc).unwrap_or_else(|| path.into());
                    return Ok(Uploaded::before(path, (doc, seq), upload));
                }
                (dated, _) => dated?,
            };
            let held = self.held(book, &dated)?;
            let Version { item, made, .. } = dated.version;
            // Bytes that were there already are no part of how they came there.
            let is_its = item.updated == stamp || made.restored > 0;
            let is_news =
                |text: &String| upload.is_none_or(|it| it.content != Upcoming::Text(text));
            let content = match held {
                Held::Text(text) => Some(text).filter(is_news),
                Held::Roots(_) | Held::Blob { .. } => None,
            };
            Ok(Uploaded {
                path: book.account().path_of(doc).unwrap_or(Arc::clone(&item.path)),
                at: At::of(doc, item.n, Some(&item)),
                version: item.seq,
                size: item.size,
                hash: item.hash.unwrap_or_default(),
                is_merged: content.is_some(),
                is_conflict: made.is_conflict && is_its,
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

    /// What a stamped change came to that was written, and whose answer nobody heard.
    async fn unsettled(
        &self,
        (book, path): (&Book, &str),
        doc: DocId,
        upload: Option<&Upload<'_>>,
    ) -> Result<Uploaded, Error> {
        let now = book.account().path_of(doc);
        let text = match upload.map(|upload| upload.content) {
            Some(Upcoming::Text(text)) => Some(text),
            Some(Upcoming::Blob { .. }) | None => None,
        };
        match (now, upload) {
            (Some(now), _) if text.is_some() || upload.is_none() => {
                self.uploaded((book.account().name(), &now), Written::default(), text).await
            }
            (now, Some(upload)) => {
                let (path, seq) = (now.unwrap_or_else(|| path.into()), book.state().visible());
                Ok(Uploaded::before(path, (doc, seq), upload))
            }
            (_, None) => Err(Error::NoFile),
        }
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

    /// Writes what a stamped change came to; the end of the record. A seq of 0 is still to come.
    pub(in crate::vault) fn note_stamp(
        &self,
        name: &VaultName,
        (stamp, fingerprint): (Stamp, u64),
        (doc, seq): (DocId, u64),
        by: Author<'_>,
    ) -> Result<u64, Error> {
        let book = self.live(name)?;
        let received_ms = self.shared().clock.now_ms();
        let came_to = Stamped { doc, seq, fingerprint, received_ms, count: 0 };
        let mut bytes = Vec::new();
        payload::Stamped { stamp, came_to }.encode(&mut bytes);
        let doc = DocKey { vault: book.account().number(), doc };
        let (kind, author) = (Kind::Stamped, by.principal.name());
        let now = self.registry().stamp();
        let record = Record { doc, n: 0, kind, stamp: now, author, payload: &bytes };
        let mut state = book.state();
        let appended = book::append(self.registry(), &[record])?;
        let folded = self.shared().journal.folded();
        state.set_stamped(stamp, came_to, (appended.end, folded));
        Ok(appended.end)
    }

    /// Whether this text was put into the very file before, by one who heard no answer.
    pub(in crate::vault) fn has_uploaded(
        &self,
        (name, path): (&VaultName, &str),
        base: Base,
        print: u64,
    ) -> bool {
        // To join what is there already changes nothing by itself.
        let (Base::Version(1..), Ok(book)) = (base, self.live(name)) else { return false };
        let found = book.account().find(path);
        found.is_some_and(|(_, doc)| book.state().has_uploaded(doc, print))
    }
}
