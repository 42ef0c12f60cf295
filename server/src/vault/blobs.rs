//! Files whose content is bytes of any kind.
//!
//! Job: make bytes that the server has a file's content, the newest stamp winning where two were
//! made of one version. Called by `upload` and `versions`. Never loses the other: it is a version.

use std::sync::Arc;

use sheaf_protocol::error::{Code, Refusal};
use sheaf_protocol::ids::{DocId, DocKey, VaultName, VaultNo};
use sheaf_protocol::stamp::Stamp;

use super::book::{Book, Entry, State};
use super::condition::{At, When};
use super::error::Error;
use super::upload::{Base, To, Upload, Uploaded};
use super::{OPEN_ATTEMPTS, Vaults, address, made_by};
use crate::blob::{Gathering, Hash, Hold, InUse};
use crate::document::author::Author;
use crate::document::ending::WouldWait;
use crate::document::handle::Handle;
use crate::document::ledger::arranging::Place;
use crate::document::submission::Failure;
use sheaf_ground::task;
use sheaf_storage::journal::Kind;
use sheaf_storage::store::{Body, Item, Made};

/// Bytes that become a file's content.
#[derive(Clone, Copy)]
pub(super) struct Coming {
    pub(super) hash: [u8; 32],
    pub(super) size: u64,
    /// When they were made.
    pub(super) stamp: Stamp,
    pub(super) base: Base,
}

impl Vaults {
    pub(super) async fn upload_blob(
        &self,
        (name, path): (&VaultName, &str),
        by: Author<'_>,
        (hash, size, upload, print): ([u8; 32], u64, &Upload<'_>, u64),
    ) -> Result<Uploaded, Error> {
        let stamp = upload.stamp.unwrap_or_else(|| self.registry().stamp());
        let coming = Coming { hash, size, stamp, base: upload.base };
        let made = Made { client_ms: upload.client_ms, ..made_by(by.principal) };
        let path = match self.path_for((name, path), by, upload).await? {
            To::Path(path) => path,
            To::Nowhere(uploaded) => return Ok(*uploaded),
        };
        let taken = self.take_blob((name, &path), by, (coming, upload.when), made).await?;
        if taken.has_changed {
            self.live(name)?.state().set_uploaded(taken.at.doc, print);
        }
        Ok(taken)
    }

    /// Makes a file's content what it was, as a version of its own.
    pub(super) async fn restore_blob(
        &self,
        (name, path): (&VaultName, &str),
        (hash, size): ([u8; 32], u64),
        (by, when): (Author<'_>, When<'_>),
        made: Made,
    ) -> Result<u64, Error> {
        let stamp = self.registry().stamp();
        let coming = Coming { hash, size, stamp, base: Base::Now };
        let authors = made_by(by.principal).authors;
        let made = Made { authors, ..made };
        Ok(self.take_blob((name, path), by, (coming, when), made).await?.version)
    }

    async fn take_blob(
        &self,
        (name, path): (&VaultName, &str),
        by: Author<'_>,
        (coming, when): (Coming, When<'_>),
        made: Made,
    ) -> Result<Uploaded, Error> {
        for _ in 0..OPEN_ATTEMPTS {
            if self.file(name, path).is_err() {
                when(None)?;
                if let Base::Version(1..) = coming.base {
                    return Err(Error::BaseGone { seq: 0, hash: None });
                }
            }
            let handle = self.open_or_create(name, path).await?;
            let book = self.book(&self.registry().account(name)?);
            let (coming, _hold) = self.held_back(handle.key().vault, coming)?;
            let size = usize::try_from(coming.size).unwrap_or(usize::MAX);
            if book.account().is_over(size) {
                return Err(Failure::Quota.into());
            }
            let is_created = !handle.is_created();
            let taken = if is_created {
                task::block(|| self.make_blob(&book, &handle, by, (coming, &made)))?
            } else {
                // What was typed before is a version before it.
                let doc = handle.key().doc;
                if book.state().current(doc).is_some_and(|item| item.n < handle.n()) {
                    self.settle_now(&address(name, path)).await?;
                }
                // Texts that depend on a state are written in turn, too.
                let _turn = handle.turn().await?;
                let mut state = book.state();
                when(Some(At::of(doc, handle.n(), state.current(doc))))?;
                match self.commit_blob(&book, &mut state, (doc, by), (coming, &made)) {
                    Err(Error::NoFile) => None,
                    taken => Some(taken?),
                }
            };
            // Somebody else has made it, or it is gone.
            let Some((item, end, how)) = taken else { continue };
            self.durable(end).await?;
            self.publish(&book);
            return Ok(Uploaded {
                path: Arc::clone(&item.path),
                at: At::of(handle.key().doc, item.n, Some(&item)),
                version: item.seq,
                size: item.size,
                hash: item.hash.unwrap_or_default(),
                is_merged: false,
                is_conflict: matches!(how, Taken::Won | Taken::Lost),
                has_changed: how != Taken::Held,
                is_created,
                content: None,
            });
        }
        Err(Failure::Dropped.into())
    }

    /// Makes a file of bytes: its document, its first version and its stamp are one record, so
    /// nobody ever finds the file without them. `None`: it is there by now. Blocks the thread.
    fn make_blob(
        &self,
        book: &Book,
        handle: &Handle,
        by: Author<'_>,
        (coming, made): (Coming, &Made),
    ) -> Result<Option<(Item, u64, Taken)>, Error> {
        let mut beginning = loop {
            match handle.try_beginning() {
                Ok(Some(beginning)) => break beginning,
                Ok(None) => return Ok(None),
                Err(WouldWait) => handle.wait_checkpoint(),
            }
        };
        if handle.is_created() {
            return Ok(None);
        }
        if !self.shared().journal.is_writable() || book.account().is_closed() {
            return Err(Failure::ReadOnly.into());
        }
        let (key, path) = (handle.key(), Arc::clone(&handle.name().document));
        let (mut versions, how) = versions(None, (Arc::clone(&path), by), coming, made);
        let Some((item, made)) = versions.pop() else { return Ok(None) };
        let merged = beginning.merge(by, None)?;
        let mut state = book.state();
        let (item, appended) = book.account().rearrange(|names| {
            names.create(key.doc, &path).map_err(|taken| match taken {
                Some(path) => Error::PathTaken { path },
                None => Failure::Quota.into(),
            })?;
            let mut logs = beginning.records(by, &merged);
            let stamped = self.stamp_of(by, (key.doc, state.last() + 1));
            logs.extend(stamped.as_ref().map(|(.., it)| self.stamp_record(key, by, it)));
            let (kind, doc, by) = (Kind::Settled, key.doc, by.principal.name());
            let (renamed, retired) = (None, None);
            let entry = Entry { kind, doc, item: item.clone(), made, renamed, retired, by };
            let written = book.commit_together(&mut state, self.registry(), vec![entry], &logs)?;
            let appended = written.ok_or(Failure::ReadOnly)?;
            self.keep_stamp(&mut state, stamped.as_ref(), appended.end);
            let item = Item { seq: state.last(), ..item };
            Ok::<_, Error>(((item, appended), vec![(key.doc, Place::New(Arc::clone(&path)))]))
        })?;
        drop(state);
        beginning.wrote(by, merged, appended);
        book.account().charge(key.doc, item.bytes, 0);
        Ok(Some((item, appended.end, how)))
    }

    /// What is coming, with its size, and what makes its bytes stay until a version refers to them.
    pub(super) fn held_back(
        &self,
        vault: VaultNo,
        coming: Coming,
    ) -> Result<(Coming, Option<Hold>), Error> {
        let Some(blobs) = &self.inner.blobs else { return Ok((coming, None)) };
        let hash = Hash(coming.hash);
        let hold = task::block(|| blobs.hold(vault, &hash))?.ok_or(Error::BlobMissing(hash))?;
        Ok((Coming { size: hold.size(), ..coming }, Some(hold)))
    }

    /// Keeps bytes for a file that is to be; their hash and size. They stay for a day, or until a
    /// version refers to them. Blocks the thread.
    ///
    /// # Errors
    /// `Full`; `NoVault`; those of the blobs.
    pub fn put_bytes(&self, name: &VaultName, bytes: &[u8]) -> Result<([u8; 32], u64), Error> {
        let account = self.registry().place(name).ok_or(Error::Full)?;
        let size = bytes.len() as u64;
        let Some(blobs) = &self.inner.blobs else { return Ok((Hash::of(bytes).0, size)) };
        Ok((blobs.put(account.number(), bytes)?.hold.hash().0, size))
    }

    /// As [`Vaults::put_bytes`], of bytes that come one after the other.
    ///
    /// # Errors
    /// `Full`; `Unavailable` where no bytes are kept; those of the blobs.
    pub fn gather_bytes(&self, name: &VaultName) -> Result<Gathering, Error> {
        let account = self.registry().place(name).ok_or(Error::Full)?;
        let what = "no bytes are kept here";
        let none = Refusal { code: Code::Unavailable, at: 0, what };
        let blobs = self.inner.blobs.as_ref().ok_or(none)?;
        Ok(blobs.gather(account.number())?)
    }

    /// The item from now on, where the journal has it, and whether the bytes became it.
    fn commit_blob(
        &self,
        book: &Book,
        state: &mut State,
        (doc, by): (DocId, Author<'_>),
        (coming, made): (Coming, &Made),
    ) -> Result<(Item, u64, Taken), Error> {
        let Some(path) = book.account().path_of(doc) else { return Err(Error::NoFile) };
        if let Base::Version(seq) = coming.base {
            state.is_later(doc, seq)?;
        }
        let current = state.current(doc).filter(|item| !item.is_deleted);
        let (versions, how) = versions(current, (path, by), coming, made);
        let last = versions.last().map(|(item, _)| item).or(current);
        let last = last.cloned().ok_or(Error::NoFile)?;
        let seq = match versions.len() as u64 {
            0 => last.seq,
            count => state.last() + count,
        };
        let stamped = self.stamp_of(by, (doc, seq));
        let key = DocKey { vault: book.account().number(), doc };
        let logs: Vec<_> =
            stamped.iter().map(|(.., payload)| self.stamp_record(key, by, payload)).collect();
        let authors: Vec<_> = versions.iter().map(|(item, _)| item.author.clone()).collect();
        let entries = versions.into_iter().zip(&authors).map(|((item, made), by)| {
            let (kind, renamed, retired) = (Kind::Settled, None, None);
            Entry { kind, doc, item, made, renamed, retired, by: by.as_deref() }
        });
        let entries: Vec<_> = entries.collect();
        if entries.is_empty() && logs.is_empty() {
            return Ok((last, state.staged_end(), how));
        }
        let written = book.commit_together(state, self.registry(), entries, &logs)?;
        let end = written.ok_or(Failure::ReadOnly)?.end;
        drop(logs);
        self.keep_stamp(state, stamped.as_ref(), end);
        if matches!(how, Taken::Plainly | Taken::Won) {
            book.account().charge(doc, last.bytes, 0);
        }
        Ok((Item { seq, ..last }, end, how))
    }
}

/// The versions that bytes make of a file, the last of which it is then, and what becomes of them.
pub(super) fn versions(
    current: Option<&Item>,
    (path, by): (Arc<str>, Author<'_>),
    coming: Coming,
    made: &Made,
) -> (Vec<(Item, Made)>, Taken) {
    let is_same = |item: &&Item| (item.body, item.hash) == (Body::Blob, Some(coming.hash));
    if current.filter(is_same).is_some() {
        return (Vec::new(), Taken::Held);
    }
    let (n, before) = current.map_or((0, 0), |item| (item.n, item.seq));
    let item = Item {
        seq: 0,
        n,
        body: Body::Blob,
        is_deleted: false,
        size: coming.size,
        bytes: coming.size,
        hash: Some(coming.hash),
        updated: coming.stamp,
        author: by.principal.name().map(Arc::from),
        device: by.device,
        path,
        from: None,
    };
    // A document that was only just made for it is nobody's version.
    let is_stale = match coming.base {
        Base::Now => false,
        Base::Version(seq) => seq < before,
    };
    let mut versions = vec![(item, Made { is_conflict: is_stale, ..made.clone() })];
    let winner = current.filter(|current| is_stale && current.updated > coming.stamp);
    let Some(winner) = winner else {
        return (versions, if is_stale { Taken::Won } else { Taken::Plainly });
    };
    // It is a version, and what was there before is the file again.
    let authors = vec![winner.author.clone()];
    let made = Made { authors, restored: winner.seq, is_conflict: true, client_ms: None };
    versions.push((winner.clone(), made));
    (versions, Taken::Lost)
}

impl InUse for Vaults {
    /// Those of all versions that are kept, and of what is about to be one.
    fn mark(&self, vault: VaultNo, mark: &mut dyn FnMut(Hash)) -> bool {
        let Some(book) = self.inner.books.read().get(&vault).map(Arc::clone) else { return true };
        if self.wait_stored().is_err() {
            return false;
        }
        let mut take = |item: &Item| {
            if let (Body::Blob, Some(hash)) = (item.body, item.hash) {
                mark(Hash(hash));
            }
        };
        book.state().each(&mut take);
        let all = self.registry().store().each_version(vault, |version| take(&version.item));
        all.is_ok()
    }
}

/// What became of bytes that were brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// They are the file's content.
    Plainly,
    /// They are the file's content, and were made of another version than the one before.
    Won,
    /// They are a version, and something newer is the file's content.
    Lost,
    /// They were the file's content already.
    Held,
}
