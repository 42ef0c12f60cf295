//! Uploads: a whole file comes in, made of a version that its writer had.
//!
//! Job: merge a text with what others did since that version, settle it, and answer with the
//! version that holds it. Called by the edges. Never applies a stamped change twice, and never
//! answers with a version that does not have exactly the text it tells.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use sheaf_protocol::ids::{DocId, DocKey, VaultName};
use sheaf_protocol::stamp::Stamp;

use super::book::{self, Book, Note};
use super::error::Error;
use super::versions::Held;
use super::{OPEN_ATTEMPTS, Vaults};
use crate::document::author::{Author, WriteError, Written};
use crate::document::draft::Manner;
use crate::document::handle::Handle;
use crate::document::snapshot::Content;
use crate::document::submission::Failure;
use sheaf_ground::task;
use sheaf_storage::journal::{Kind, Record, payload};
use sheaf_storage::store::{Body, Made, Stamped};

/// How often a body is settled again that changes before its text is read.
const READS_MAX: usize = 4;

/// A whole file that somebody has written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload<'a> {
    /// What it holds.
    pub content: Upcoming<'a>,
    /// What it was made of.
    pub base: Base,
    /// The change's own stamp: one that comes again with it changes nothing.
    pub stamp: Option<Stamp>,
    /// The device it comes from; 0 where none is named.
    pub device: u64,
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
    /// The file's id.
    pub id: DocId,
    /// The version that has it.
    pub version: u64,
    /// The file's count of entries at that version.
    pub n: u64,
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
    /// `NoVault`; `BadPath`; `PathTaken`; `BaseGone`; `NoVersion` of the base; `StampReused`;
    /// `ClockDrift`; `NotText`; `Refused`; `Open`; `Failed`.
    pub async fn upload(
        &self,
        name: &VaultName,
        path: &str,
        by: Author<'_>,
        upload: Upload<'_>,
    ) -> Result<Uploaded, Error> {
        let print = fingerprint(path, &upload);
        if let Some(stamp) = upload.stamp {
            if let Some(done) = self.done_before(name, stamp, (print, &upload)).await? {
                return Ok(done);
            }
            if self.registry().observe(stamp).is_err() {
                return Err(Error::ClockDrift { now_ms: self.shared().clock.now_ms() });
            }
        }
        let uploaded = match upload.content {
            Upcoming::Text(text) => {
                self.upload_text((name, path), by, (text, &upload, print)).await?
            }
            Upcoming::Blob { hash, size } => {
                self.upload_blob((name, path), by, (hash, size, &upload)).await?
            }
        };
        if let Some(stamp) = upload.stamp {
            let came_to = Stamped { doc: uploaded.id, seq: uploaded.version, fingerprint: print };
            self.note_stamp(name, (stamp, came_to), by).await?;
        }
        if uploaded.is_merged && uploaded.has_changed {
            let version = uploaded.version;
            tracing::info!(vault = %name, version, "Conflict resolved: {path} (v{version})");
        }
        Ok(uploaded)
    }

    /// What a change came to that came before.
    pub(super) async fn done_before(
        &self,
        name: &VaultName,
        stamp: Stamp,
        (print, upload): (u64, &Upload<'_>),
    ) -> Result<Option<Uploaded>, Error> {
        let Ok(book) = self.live(name) else { return Ok(None) };
        let vault = book.account().number();
        let recent = book.state().stamped(stamp);
        let stored = || task::block(|| self.registry().store().stamped(vault, stamp));
        let Some(Stamped { doc, seq, fingerprint }) =
            recent.map_or_else(stored, |it| Ok(Some(it)))?
        else {
            return Ok(None);
        };
        if fingerprint != print {
            return Err(Error::StampReused);
        }
        let _work = self.shared().work.begin().await;
        task::block(|| {
            self.wait_stored()?;
            let dated = self.version_of(&book, DocKey { vault, doc }, seq)?;
            let held = self.held(&book, &dated)?;
            let item = dated.version.item;
            let is_text = |text: &String| upload.content != Upcoming::Text(text);
            let content = match held {
                Held::Text(text) => Some(text).filter(is_text),
                Held::Roots(_) | Held::Blob { .. } => None,
            };
            Ok(Some(Uploaded {
                id: doc,
                version: item.seq,
                n: item.n,
                size: item.size,
                hash: item.hash.unwrap_or_default(),
                is_merged: content.is_some(),
                is_conflict: dated.version.made.is_conflict,
                has_changed: false,
                is_created: false,
                content,
            }))
        })
    }

    /// The seq of a change that was stamped; none if it is not known.
    ///
    /// # Errors
    /// `NoVault`; `Damaged`.
    pub fn seq_of(&self, name: &VaultName, stamp: Stamp) -> Result<Option<u64>, Error> {
        let book = self.live(name)?;
        let recent = book.state().stamped(stamp);
        let stored =
            || task::block(|| self.registry().store().stamped(book.account().number(), stamp));
        let came_to = recent.map_or_else(stored, |came_to| Ok(Some(came_to)))?;
        Ok(came_to.map(|came_to| came_to.seq))
    }

    async fn note_stamp(
        &self,
        name: &VaultName,
        (stamp, came_to): (Stamp, Stamped),
        by: Author<'_>,
    ) -> Result<(), Error> {
        let book = self.live(name)?;
        let mut bytes = Vec::new();
        payload::Stamped { stamp, came_to }.encode(&mut bytes);
        let doc = DocKey { vault: book.account().number(), doc: came_to.doc };
        let (kind, author) = (Kind::Stamped, by.principal.name());
        let now = self.registry().stamp();
        let record = Record { doc, n: 0, kind, stamp: now, author, payload: &bytes };
        let appended = {
            let mut state = book.state();
            let appended = book::append(self.registry(), &[record])?;
            let folded = self.shared().journal.folded();
            state.set_stamped(stamp, came_to, (appended.end, folded));
            appended
        };
        self.durable(appended.end).await?;
        Ok(())
    }

    async fn upload_text(
        &self,
        (name, path): (&VaultName, &str),
        by: Author<'_>,
        (text, upload, print): (&str, &Upload<'_>, u64),
    ) -> Result<Uploaded, Error> {
        let path = self.path_for((name, path), by, upload.base)?;
        let made_before = self.live(name).is_ok_and(|book| book.state().has_uploaded(print));
        let (handle, written) = match upload.base {
            Base::Version(_) if made_before => {
                let handle = self.open(name, &path).await?;
                let (n, end) = (handle.n(), handle.end());
                (handle, Written { n, end, has_changed: false, is_created: false })
            }
            Base::Now => self.write_text((name, &path), by, text).await?,
            Base::Version(0) => {
                let write = |handle: &Handle| handle.add_text(by, text);
                self.write((name, &path), &write).await?
            }
            Base::Version(seq) => self.merge_text((name, &path), by, (text, seq)).await?,
        };
        let doc = handle.key().doc;
        if written.has_changed {
            let note = Note { device: upload.device, made: Made::default() };
            let book = self.live(name)?;
            let mut state = book.state();
            state.set_note(doc, note);
            state.set_uploaded(print);
        }
        let (version, n, now) = self.settled_text(name, &path).await?;
        let is_merged = now != text;
        Ok(Uploaded {
            id: doc,
            version,
            n,
            size: now.len() as u64,
            hash: Sha256::digest(now.as_bytes()).into(),
            is_merged,
            is_conflict: false,
            has_changed: written.has_changed,
            is_created: written.is_created,
            content: is_merged.then_some(now),
        })
    }

    /// The path to write at. An edit of a version wins over a deletion: the file is back.
    pub(super) fn path_for(
        &self,
        (name, path): (&VaultName, &str),
        by: Author<'_>,
        base: Base,
    ) -> Result<Arc<str>, Error> {
        let (Base::Version(seq @ 1..), Ok(book)) = (base, self.live(name)) else {
            return Ok(path.into());
        };
        if book.account().find(path).is_some() {
            return Ok(path.into());
        }
        match task::block(|| self.version_at(&book, path, seq)) {
            Ok(dated) => self.bring_back((name, path), dated.doc, by),
            Err(Error::NoFile | Error::NoVersion { .. }) => Ok(path.into()),
            Err(error) => Err(error),
        }
    }

    async fn merge_text(
        &self,
        (name, path): (&VaultName, &str),
        by: Author<'_>,
        (text, seq): (&str, u64),
    ) -> Result<(Arc<Handle>, Written), Error> {
        let handle = self.open_or_create(name, path).await?;
        let book = self.live(name)?;
        let manner = self.manner(&book, (handle.key(), handle.n()), Base::Version(seq)).await?;
        drop(handle);
        let Manner::Merge { state, root, was } = manner else {
            return self.write_text((name, path), by, text).await;
        };
        let base = (&*state, root.as_deref(), &*was);
        let write = |handle: &Handle| handle.merge_text(by, base, text);
        self.write((name, path), &write).await
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
        let current = book.state().current(doc.doc).cloned();
        if current.as_ref().is_some_and(|item| item.seq == seq && item.n == n) {
            return Ok(Manner::Put);
        }
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
                let (seq, hash) = current.map_or((0, None), |item| (item.seq, item.hash));
                return Err(Error::BaseGone { seq, hash });
            }
            Err(error) => return Err(error),
        };
        let (root, was) = match base.content(&self.shared().text_root) {
            Content::Text { root, text } => (Some(root), text),
            Content::Empty => (None, String::new()),
            Content::Other { root } => return Err(Error::NotText { root }),
        };
        Ok(Manner::Merge { state: base.encode(), root, was })
    }

    /// Makes a file's text this one. It is durable when it has settled.
    pub(super) async fn write_text(
        &self,
        place: (&VaultName, &str),
        by: Author<'_>,
        text: &str,
    ) -> Result<(Arc<Handle>, Written), Error> {
        self.write(place, &|handle: &Handle| handle.put_text(by, text, None)).await
    }

    /// Writes into a file, or into one that it becomes. It is durable when it has settled.
    pub(super) async fn write(
        &self,
        (name, path): (&VaultName, &str),
        write: &(dyn Fn(&Handle) -> Result<Written, WriteError> + Sync),
    ) -> Result<(Arc<Handle>, Written), Error> {
        for _ in 0..OPEN_ATTEMPTS {
            let handle = self.open_or_create(name, path).await?;
            let written = {
                let _turn = handle.turn().await?;
                task::block(|| write(&handle))
            };
            match written {
                Ok(written) => return Ok((handle, written)),
                Err(WriteError::Failed(Failure::Dropped)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Failure::Dropped.into())
    }

    /// Settles a file and reads exactly the text that has the seq it gives.
    async fn settled_text(
        &self,
        name: &VaultName,
        path: &str,
    ) -> Result<(u64, u64, String), Error> {
        let book = self.live(name)?;
        for _ in 0..READS_MAX {
            let seq = self.settle(name, path).await?;
            let handle = self.open(name, path).await?;
            let _work = handle.work().await;
            let snapshot = task::block(|| handle.snapshot())?;
            let item = book.state().current(handle.key().doc).cloned();
            if let Some(item) = item.filter(|item| item.seq == seq && item.n == snapshot.n) {
                return match snapshot.content {
                    Content::Text { text, .. } => Ok((seq, item.n, text)),
                    Content::Empty => Ok((seq, item.n, String::new())),
                    Content::Other { root } => Err(Error::NotText { root }),
                };
            }
        }
        // One that never stands still is read from what is stored.
        let read = self.read_at(name, path, None).await?;
        match read.held {
            Held::Text(text) => Ok((read.dated.version.item.seq, read.dated.version.item.n, text)),
            Held::Roots(roots) => Err(Error::NotText {
                root: roots.keys().map(String::as_str).collect::<Vec<_>>().join(", "),
            }),
            Held::Blob { .. } => Err(Error::NotText { root: String::new() }),
        }
    }
}

/// What tells one change from another with the same stamp.
pub(super) fn fingerprint(path: &str, upload: &Upload<'_>) -> u64 {
    let mut hash = blake3::Hasher::new();
    hash.update(path.as_bytes()).update(&[0]);
    hash.update(&match upload.base {
        Base::Now => u64::MAX.to_le_bytes(),
        Base::Version(seq) => seq.to_le_bytes(),
    });
    match upload.content {
        Upcoming::Text(text) => hash.update(&[1]).update(text.as_bytes()),
        Upcoming::Blob { hash: blob, .. } => hash.update(&[2]).update(&blob),
    };
    let hash = hash.finalize();
    u64::from_le_bytes(*hash.as_bytes().first_chunk().expect("a hash has 32 bytes"))
}

#[cfg(test)]
mod tests;
