//! Uploads: a whole file comes in, made of a version that its writer had.
//!
//! Job: merge a text with what others did since that version, settle it, and answer with the
//! version that holds it. Called by the edges. Never applies a stamped change twice, and never
//! answers with a version that does not have exactly the text it tells.

pub(super) mod again;
mod settled;

use std::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use sheaf_protocol::ids::{DocId, DocKey, VaultName};
use sheaf_protocol::stamp::Stamp;

pub use self::settled::Settled;
use super::book::Book;
use super::condition::{ANYHOW, Absent, At, When};
use super::error::Error;
use super::tree::Asked;
use super::versions::Dated;
use super::{OPEN_ATTEMPTS, Vaults};
use crate::document::author::{Author, OnlyIf, WriteError, Written};
use crate::document::draft::Manner;
use crate::document::edit::{Edit, Unit};
use crate::document::handle::Handle;
use crate::document::snapshot::Content;
use crate::document::submission::Failure;
use sheaf_ground::task;
use sheaf_storage::store::{Body, Item, Made};

/// How often a body is settled again that changes before its text is read.
const READS_MAX: usize = 4;

/// A whole file that somebody has written.
#[derive(Clone)]
pub struct Upload<'a> {
    /// What it holds.
    pub content: Upcoming<'a>,
    /// What it was made of.
    pub base: Base,
    /// The change's own stamp: one that comes again with it changes nothing.
    pub stamp: Option<Stamp>,
    /// When it was made by the client's own clock, in Unix milliseconds: shown, and nothing more.
    pub client_ms: Option<u64>,
    /// On what it depends, unless it came before.
    pub when: When<'a>,
    /// Where the file is by now that it was made of, if whoever brings it may write there.
    pub now_at: Option<&'a str>,
}

impl fmt::Debug for Upload<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Upload { content, base, stamp, client_ms, when: _, now_at } = self;
        let mut shown = f.debug_struct("Upload");
        shown.field("content", content).field("base", base);
        shown.field("stamp", stamp).field("client_ms", client_ms).field("now_at", now_at);
        shown.finish_non_exhaustive()
    }
}

impl<'a> Upload<'a> {
    /// It replaces what is there, whatever that is.
    #[must_use]
    pub fn of(content: Upcoming<'a>) -> Self {
        Self { content, base: Base::Now, stamp: None, client_ms: None, when: ANYHOW, now_at: None }
    }
}

/// What an uploaded file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upcoming<'a> {
    /// A text.
    Text(&'a str),
    /// Bytes that the server has, by their SHA-256.
    Blob {
        /// SHA-256.
        hash: [u8; 32],
        /// How many.
        size: u64,
    },
}

impl Upcoming<'_> {
    /// Whether a version holds the same.
    fn is_of(&self, item: &Item) -> bool {
        match item.body {
            Body::Empty => *self == Upcoming::Text(""),
            _ => item.hash == Some(self.hash()),
        }
    }

    /// SHA-256.
    pub(super) fn hash(&self) -> [u8; 32] {
        match self {
            Upcoming::Text(text) => Sha256::digest(text.as_bytes()).into(),
            Upcoming::Blob { hash, .. } => *hash,
        }
    }
}

/// Where an upload goes.
pub(super) enum To {
    /// There.
    Path(Arc<str>),
    /// Into this document, which is deleted and comes back.
    Back(DocId),
    /// Nowhere: the file is gone, and this is what it was made of.
    Nowhere(Box<Uploaded>),
}

/// What an upload was made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// Whatever is there now: it is replaced.
    Now,
    /// This version; 0 is the empty file that nobody has seen, so that what is there stays too.
    Version(u64),
}

/// What came of an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uploaded {
    /// Where the file is.
    pub path: Arc<str>,
    /// The file, at the version that has it.
    pub at: At,
    /// That version.
    pub version: u64,
    /// Bytes of that version.
    pub size: u64,
    /// SHA-256 of that version.
    pub hash: [u8; 32],
    /// That version is not exactly what was uploaded: others' changes are in it.
    pub is_merged: bool,
    /// It was made of another version than the present one, and only one of both could stay.
    pub is_conflict: bool,
    /// Something was written.
    pub has_changed: bool,
    /// There was no such file before.
    pub is_created: bool,
    /// The text of that version, where it is merged.
    pub content: Option<String>,
}

impl Vaults {
    /// Takes a whole file in; durable when it returns.
    ///
    /// # Errors
    /// `NoVault`; `BadPath`; `PathTaken`; `Stale`; `BaseGone`; `Moved`; `StampReused`;
    /// `ClockDrift`; `NotText`; `BlobMissing`; `Refused`; `Open`; `Failed`.
    pub async fn upload(
        &self,
        name: &VaultName,
        path: &str,
        by: Author<'_>,
        upload: Upload<'_>,
    ) -> Result<Uploaded, Error> {
        let print = fingerprint(path, &upload);
        let _one = upload.stamp.map(|stamp| self.claim(name, stamp)).transpose()?;
        if let Some(done) = self.done_before((name, path), (print, &upload)).await? {
            return Ok(done);
        }
        if let Some(stamp) = upload.stamp {
            self.observe(stamp)?;
        }
        let by = Author { stamped: upload.stamp.map(|stamp| (stamp, print)), ..by };
        match upload.content {
            Upcoming::Text(text) => {
                self.upload_text((name, path), by, (text, &upload, print)).await
            }
            Upcoming::Blob { hash, size } => {
                self.upload_blob((name, path), by, (hash, size, &upload, print)).await
            }
        }
    }

    /// As [`Vaults::upload`]; of a file that was moved since, there, if the caller `may` write it.
    ///
    /// # Errors
    /// As [`Vaults::upload`].
    pub async fn upload_or_follow<F>(
        &self,
        (name, path): (&VaultName, &str),
        by: Author<'_>,
        upload: Upload<'_>,
        may: impl FnOnce(Arc<str>) -> F,
    ) -> Result<Uploaded, Error>
    where
        F: Future<Output = bool>,
    {
        let uploaded = self.upload(name, path, by, upload.clone()).await;
        let Err(Error::Moved { path: now }) = &uploaded else { return uploaded };
        if !may(Arc::clone(now)).await {
            return uploaded;
        }
        self.upload(name, path, by, Upload { now_at: Some(now), ..upload }).await
    }

    /// Edits part of a text at the one state that is asked for; durable when it returns. Edits
    /// that come again are answered with all of the text that they came to.
    ///
    /// # Errors
    /// As [`Vaults::upload`]; `NoFile`; `BadEdit`; `NoVersion` of what came before.
    pub async fn edit(
        &self,
        place: (&VaultName, &str),
        by: Author<'_>,
        (edits, unit): (&[Edit], Unit),
        Asked { stamp, when }: Asked<'_>,
    ) -> Result<Uploaded, Error> {
        let print = fingerprint_of_edits(place.1, edits, unit);
        let _one = stamp.map(|stamp| self.claim(place.0, stamp)).transpose()?;
        if let Some(stamp) = stamp {
            if let Some(done) = self.edited_before(place.0, (stamp, print)).await? {
                return Ok(done);
            }
            self.observe(stamp)?;
        }
        let by = Author { stamped: stamp.map(|stamp| (stamp, print)), ..by };
        let write = |on: &Handle, only_if: Option<OnlyIf>| match only_if {
            Some(OnlyIf::At(n)) => on.patch_text(by, edits, unit, n),
            _ => Err(WriteError::Stale { n: on.n() }),
        };
        let (handle, mut written) = self.write(place, (Absent::Missed, when), &write).await?;
        let (book, doc) = (self.live(place.0)?, handle.key().doc);
        drop(handle);
        {
            let mut state = book.state();
            self.has_noted(&mut state, by, (doc, written));
            written.has_changed |= self.set_text((&book, &mut state), doc, by);
        }
        let edited = self.uploaded(&book, doc, (written, None)).await?;
        self.note(place.0, by, &edited).await?;
        Ok(edited)
    }

    async fn upload_text(
        &self,
        (name, path): (&VaultName, &str),
        by: Author<'_>,
        (text, upload, print): (&str, &Upload<'_>, u64),
    ) -> Result<Uploaded, Error> {
        let mut again = 1..OPEN_ATTEMPTS;
        let (handle, mut written) = loop {
            let path = match self.path_for((name, path), upload).await? {
                To::Path(path) => path,
                To::Back(doc) => {
                    self.check_quota(name, text.len() as u64)?;
                    self.bring_back((name, path), doc, by)?
                }
                To::Nowhere(uploaded) => return Ok(*uploaded),
            };
            let (place, how) = ((name, &*path), (Absent::Made, upload.when));
            let put = match upload.base {
                Base::Now => self.write(place, how, &|on, when| on.put_text(by, text, when)).await,
                Base::Version(0) => {
                    self.write(place, how, &|on, when| on.add_text(by, text, when)).await
                }
                Base::Version(seq) => self.merge_text(place, by, (text, seq, upload.when)).await,
            };
            match put {
                // The file went since it was looked for, or another has its path.
                Err(Error::Failed(Failure::Moved | Failure::Deleted)) if again.next().is_some() => {
                }
                put => break put?,
            }
        };
        let (book, doc) = (self.live(name)?, handle.key().doc);
        drop(handle);
        {
            let mut state = book.state();
            self.has_noted(&mut state, by, (doc, written));
            written.has_changed |= self.set_text((&book, &mut state), doc, by);
            if written.has_changed {
                state.set_uploaded(doc, print);
                state.set_note(
                    doc,
                    written.n,
                    Made { client_ms: upload.client_ms, ..Made::default() },
                );
            }
        }
        let uploaded = self.uploaded(&book, doc, (written, Some(text))).await?;
        self.note(name, by, &uploaded).await?;
        Ok(uploaded)
    }

    /// What came of a text that was written, when it has settled, wherever the file is by then.
    /// Without the text: of edits.
    pub(super) async fn uploaded(
        &self,
        book: &Book,
        doc: DocId,
        (written, text): (Written, Option<&str>),
    ) -> Result<Uploaded, Error> {
        let Some((path, settled)) = self.text_of(book, doc).await? else {
            self.durable(written.end).await?;
            let told = self.last_of(book, doc, text.map(Upcoming::Text)).await?;
            let Written { has_changed, is_created, .. } = written;
            return Ok(Uploaded { has_changed, is_created, ..told });
        };
        let Settled { at, version, text: now } = settled;
        let is_merged = text.map_or(at.n != written.n, |text| now != text);
        Ok(Uploaded {
            path,
            at,
            version,
            size: now.len() as u64,
            hash: Sha256::digest(now.as_bytes()).into(),
            is_merged,
            is_conflict: false,
            has_changed: written.has_changed,
            is_created: written.is_created,
            content: is_merged.then_some(now),
        })
    }

    /// The path to write at. An edit of a version wins over a deletion: the file is back, unless
    /// nothing in it was edited. One of a file that was moved since goes where that is.
    pub(super) async fn path_for(
        &self,
        (name, path): (&VaultName, &str),
        upload: &Upload<'_>,
    ) -> Result<To, Error> {
        let (Base::Version(seq @ 1..), Ok(book)) = (upload.base, self.live(name)) else {
            return Ok(To::Path(path.into()));
        };
        if book.account().find(path).is_some() {
            return Ok(To::Path(path.into()));
        }
        (upload.when)(None)?;
        match task::block(|| self.version_at(&book, path, seq)) {
            Ok(Dated { doc, version, .. }) if upload.content.is_of(&version.item) => {
                let told = self.told(&book, (doc, seq), (None, Some(upload.content))).await;
                told.map(|uploaded| To::Nowhere(Box::new(uploaded)))
            }
            // No text is made of bytes: what cannot be done brings nothing back.
            Ok(Dated { doc, version, .. })
                if matches!(upload.content, Upcoming::Text(_))
                    && version.item.body == Body::Blob =>
            {
                Err(book.state().base_gone(doc))
            }
            Ok(dated) => Ok(To::Back(dated.doc)),
            Err(Error::NoFile | Error::NoVersion { .. }) => {
                let moved = task::block(|| self.moved(&book, path, seq))?;
                match moved.filter(|now| upload.now_at != Some(now)) {
                    Some(path) => Err(Error::Moved { path }),
                    None => Ok(To::Path(upload.now_at.unwrap_or(path).into())),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// Where the file is that had a path at this version of it, if it lives.
    fn moved(&self, book: &Book, path: &str, seq: u64) -> Result<Option<Arc<str>>, Error> {
        let (vault, store) = (book.account().number(), self.registry().store());
        let Some(above) = seq.checked_add(1) else { return Ok(None) };
        let found = store.activity(vault, Some(above), 1)?;
        let Some(&(_, doc)) = found.first().filter(|(of, _)| *of == seq) else { return Ok(None) };
        let version = store.version(DocKey { vault, doc }, seq)?;
        let is_it = version.is_some_and(|it| *it.item.path == *path && !it.item.is_deleted);
        Ok(book.account().path_of(doc).filter(|_| is_it))
    }

    async fn merge_text(
        &self,
        (name, path): (&VaultName, &str),
        by: Author<'_>,
        (text, seq, when): (&str, u64, When<'_>),
    ) -> Result<(Arc<Handle>, Written), Error> {
        let handle = self.open_or_create(name, path).await?;
        let book = self.live(name)?;
        let (doc, n, how) = (handle.key(), handle.n(), (Absent::Made, when));
        drop(handle);
        let manner = match self.manner(&book, (doc, n), Base::Version(seq)).await? {
            Manner::Merge { state, root, was } => (state, root, was),
            Manner::Put | Manner::Add => {
                // Others may write before it is our turn; then it is an older version.
                let at = Some(OnlyIf::At(n));
                let write = |on: &Handle, when: Option<OnlyIf>| {
                    is_still(on, doc)?;
                    on.put_text(by, text, when.or(at))
                };
                match self.write((name, path), how, &write).await {
                    Err(Error::Stale { .. }) => self.version_to_merge(&book, doc, seq).await?,
                    written => return written,
                }
            }
        };
        let (state, root, was) = &manner;
        let base = (&**state, root.as_deref(), &**was);
        let write = |on: &Handle, when| {
            is_still(on, doc)?;
            on.merge_text(by, base, text, when)
        };
        self.write((name, path), how, &write).await
    }

    /// How a text comes into a document of so many entries, by what it was made of.
    pub(super) async fn manner(
        &self,
        book: &Book,
        (doc, n): (DocKey, u64),
        base: Base,
    ) -> Result<Manner, Error> {
        let seq = match base {
            Base::Now => return Ok(Manner::Put),
            Base::Version(0) => return Ok(Manner::Add),
            Base::Version(seq) => seq,
        };
        let is_it = |item: &Item| item.seq == seq && item.n == n;
        if book.state().current(doc.doc).is_some_and(is_it) {
            return Ok(Manner::Put);
        }
        let (state, root, was) = self.version_to_merge(book, doc, seq).await?;
        Ok(Manner::Merge { state, root, was })
    }

    /// A version that a text was made of: its state, the root of its text, and the text.
    async fn version_to_merge(
        &self,
        book: &Book,
        doc: DocKey,
        seq: u64,
    ) -> Result<(Vec<u8>, Option<String>, String), Error> {
        let base = {
            let _work = self.shared().work.begin().await;
            task::block(|| {
                self.wait_stored()?;
                let dated = self.version_of(book, doc, seq)?;
                let item = dated.version.item;
                match item.body {
                    Body::Text | Body::Empty if !item.is_deleted => self.state_at(doc, item.n),
                    _ => Err(Error::NoVersion { before: 0, after: 0 }),
                }
            })
        };
        let mut base = match base {
            Ok(base) => base,
            Err(Error::NoVersion { .. }) => {
                return Err(book.state().base_gone(doc.doc));
            }
            Err(error) => return Err(error),
        };
        let (root, was) = match base.content(&self.shared().text_root) {
            Content::Text { root, text } => (Some(root), text),
            Content::Empty => (None, String::new()),
            Content::Other { root } => return Err(Error::NotText { root }),
        };
        Ok((base.encode(), root, was))
    }
}

/// It is this document that is written, and not another that has its path by now.
pub(super) fn is_still(on: &Handle, doc: DocKey) -> Result<(), WriteError> {
    if on.key() == doc { Ok(()) } else { Err(Failure::Moved.into()) }
}

/// What tells one change from another with the same stamp.
pub(super) fn fingerprint(path: &str, upload: &Upload<'_>) -> u64 {
    let base = match upload.base {
        Base::Now => u64::MAX.to_le_bytes(),
        Base::Version(seq) => seq.to_le_bytes(),
    };
    let (kind, content) = match &upload.content {
        Upcoming::Text(text) => (1, text.as_bytes()),
        Upcoming::Blob { hash, .. } => (2, &hash[..]),
    };
    print(&[path.as_bytes(), &[0], &base, &[kind], content])
}

/// What tells edits from others with the same stamp.
fn fingerprint_of_edits(path: &str, edits: &[Edit], unit: Unit) -> u64 {
    let edits = serde_json::to_vec(&(unit, edits)).expect("edits are JSON");
    print(&[path.as_bytes(), &[0], &u64::MAX.to_le_bytes(), &[5], &edits])
}

/// A short hash of parts, one behind the other.
pub(super) fn print(parts: &[&[u8]]) -> u64 {
    let mut hash = blake3::Hasher::new();
    for part in parts {
        hash.update(part);
    }
    let hash = hash.finalize();
    u64::from_le_bytes(*hash.as_bytes().first_chunk().expect("a hash has 32 bytes"))
}

#[cfg(test)]
mod tests;
