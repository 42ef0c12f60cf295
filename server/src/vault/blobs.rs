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

/// Versions that are looked at together.
const VERSIONS: usize = 64;

/// Bytes that become a file's content.
#[derive(Clone, Copy)]
pub(super) struct Coming {
    pub(super) hash: [u8; 32],
    pub(super) size: u64,
    /// When they were made.
    pub(super) stamp: Stamp,
    pub(super) base: Base,
}

impl Coming {
    /// Makes them the content of an item.
    pub(super) fn put_into(&self, item: &mut Item) {
        (item.body, item.hash, item.updated) = (Body::Blob, Some(self.hash), self.stamp);
        (item.size, item.bytes) = (self.size, self.size);
    }
}

/// The content that a file has by now, for bytes that were made of an earlier version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rival {
    /// The seq of the file when it was looked at.
    pub(super) seen: u64,
    /// When its content came; none: those who made the bytes have seen it, or there is none.
    pub(super) came: Option<Stamp>,
}

impl Vaults {
    /// Whether a file has another content by now than at a version, and since when: to move it
    /// makes no content. Blocks the thread.
    pub(super) fn rival(&self, book: &Book, doc: DocId, base: Base) -> Result<Rival, Error> {
        let now = book.state().current(doc).filter(|item| !item.is_deleted).cloned();
        let Some(now) = now else { return Ok(Rival { seen: 0, came: None }) };
        let none = Rival { seen: now.seq, came: None };
        let base = match base {
            Base::Version(base) if base < now.seq => base,
            Base::Version(_) | Base::Now => return Ok(none),
        };
        self.wait_stored()?;
        let key = DocKey { vault: book.account().number(), doc };
        // What is no text has no hash, and is told apart by its log.
        let n = |item: &Item| if item.body == Body::Other { item.n } else { 0 };
        let content = |item: &Item| (item.body, item.hash, n(item));
        let is_same = |item: &Item| content(item) == content(&now) && !item.is_deleted;
        match self.version_of(book, key, base) {
            Ok(dated) if is_same(&dated.version.item) => return Ok(none),
            Ok(_) | Err(Error::NoVersion { .. }) => {}
            Err(error) => return Err(error),
        }
        let (mut came, mut before) = (now.updated, None);
        loop {
            let page = self.registry().store().versions(key, before, VERSIONS)?;
            for version in &page {
                if !is_same(&version.item) {
                    return Ok(Rival { came: Some(came), ..none });
                }
                if version.item.seq <= base {
                    return Ok(none);
                }
                came = version.item.updated;
            }
            before = page.last().map(|version| version.item.seq);
            if page.len() < VERSIONS {
                return Ok(Rival { came: Some(came), ..none });
            }
        }
    }

    pub(super) async fn upload_blob(
        &self,
        (name, path): (&VaultName, &str),
        by: Author<'_>,
        (hash, size, upload, print): ([u8; 32], u64, &Upload<'_>, u64),
    ) -> Result<Uploaded, Error> {
        let stamp = upload.stamp.unwrap_or_else(|| self.registry().stamp());
        let coming = Coming { hash, size, stamp, base: upload.base };
        let taken_ms = upload.stamp.map(|_| self.shared().clock.now_ms());
        let made = Made { client_ms: upload.client_ms, taken_ms, ..made_by(by.principal) };
        let (path, back) = match self.path_for((name, path), upload).await? {
            To::Path(path) => (path, None),
            To::Back(doc) => {
                (path.into(), self.revive_blob((name, path, doc), by, (coming, &made)).await?)
            }
            To::Nowhere(uploaded) => return Ok(*uploaded),
        };
        let taken = match back {
            Some(back) => back,
            None => self.take_blob((name, &path), by, (coming, upload.when), made).await?,
        };
        if taken.has_changed {
            self.live(name)?.state().set_uploaded(taken.at.doc, print);
        }
        Ok(taken)
    }

    /// Makes a file's content what it was, as a version of its own: where it is, and its seq.
    pub(super) async fn restore_blob(
        &self,
        (name, path, doc): (&VaultName, &str, DocId),
        (hash, size): ([u8; 32], u64),
        (by, when): (Author<'_>, When<'_>),
        made: Made,
    ) -> Result<(Arc<str>, u64), Error> {
        let stamp = self.registry().stamp();
        let coming = Coming { hash, size, stamp, base: Base::Now };
        let authors = made_by(by.principal).authors;
        let made = Made { authors, ..made };
        let restored = match self.revive_blob((name, path, doc), by, (coming, &made)).await? {
            Some(back) => back,
            None => {
                let now = self.live(name)?.account().path_of(doc).ok_or(Error::NoFile)?;
                self.take_blob((name, &now), by, (coming, when), made).await?
            }
        };
        Ok((restored.path, restored.version))
    }

    /// Brings a deleted file back with bytes, as one record. `None`: it is there.
    async fn revive_blob(
        &self,
        (name, path, doc): (&VaultName, &str, DocId),
        by: Author<'_>,
        (coming, made): (Coming, &Made),
    ) -> Result<Option<Uploaded>, Error> {
        let book = self.live(name)?;
        if book.account().path_of(doc).is_some() {
            return Ok(None);
        }
        let key = DocKey { vault: book.account().number(), doc };
        let (coming, _hold) = self.held_back(key.vault, coming)?;
        book.account().check_bytes(coming.size)?;
        let head = task::block(|| self.registry().store().head(key))?.ok_or(Error::NoFile)?;
        let bytes = (by, Some((coming, made)));
        let Some((item, end)) = self.revive(&book, path, (doc, head.epoch), bytes)? else {
            return Ok(None);
        };
        self.durable(end).await?;
        self.publish(&book);
        Ok(Some(answer(doc, item, Taken::Plainly, false)))
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
            book.account().check_bytes(coming.size)?;
            let is_created = !handle.is_created();
            let taken = if is_created {
                task::block(|| self.make_blob(&book, &handle, by, (coming, &made)))?
            } else {
                // What was typed before is a version before it.
                let (doc, n) = (handle.key().doc, handle.n());
                if n > 0 && book.state().is_behind(doc, n) {
                    self.settle_now(&address(name, path)).await?;
                }
                let rival = task::block(|| self.rival(&book, doc, coming.base))?;
                // Texts that depend on a state are written in turn, too.
                let _turn = handle.turn().await?;
                let mut state = book.state();
                if state.current(doc).map_or(0, |item| item.seq) != rival.seen {
                    continue;
                }
                when(Some(At::of(doc, handle.n(), state.current(doc))))?;
                let coming = (coming, &made, rival.came);
                match self.commit_blob(&book, &mut state, (doc, by), coming) {
                    Err(Error::NoFile) => None,
                    taken => Some(taken?),
                }
            };
            // Somebody else has made it, or it is gone.
            let Some((item, end, how)) = taken else { continue };
            self.durable(end).await?;
            self.publish(&book);
            return Ok(answer(handle.key().doc, item, how, is_created));
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
        let (mut versions, how) = versions(None, (Arc::clone(&path), by), (coming, made, None));
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

    /// Whether a vault's quota has room for so many bytes that somebody brings.
    ///
    /// # Errors
    /// `Full`; `Failed` with `Quota`.
    pub fn check_quota(&self, name: &VaultName, bytes: u64) -> Result<(), Error> {
        let account = self.registry().place(name).ok_or(Error::Full)?;
        Ok(account.check_bytes(bytes)?)
    }

    /// Keeps bytes for a file that is to be; their hash and size. They stay for a day, or until a
    /// version refers to them. Blocks the thread.
    ///
    /// # Errors
    /// `Full`; `NoVault`; those of the blobs.
    pub fn put_bytes(&self, name: &VaultName, bytes: &[u8]) -> Result<([u8; 32], u64), Error> {
        let account = self.registry().place(name).ok_or(Error::Full)?;
        let size = bytes.len() as u64;
        self.check_quota(name, size)?;
        let Some(blobs) = &self.inner.blobs else { return Ok((Hash::of(bytes).0, size)) };
        Ok((blobs.put(account.number(), bytes)?.hold.hash().0, size))
    }

    /// As [`Vaults::put_bytes`], of `announced` bytes at least that come one after the other.
    ///
    /// # Errors
    /// `Full`; `Unavailable` where no bytes are kept; those of the blobs.
    pub fn gather_bytes(&self, name: &VaultName, announced: u64) -> Result<Gathering, Error> {
        let account = self.registry().place(name).ok_or(Error::Full)?;
        self.check_quota(name, announced)?;
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
        (coming, made, rival): (Coming, &Made, Option<Stamp>),
    ) -> Result<(Item, u64, Taken), Error> {
        let Some(path) = book.account().path_of(doc) else { return Err(Error::NoFile) };
        if let Base::Version(seq) = coming.base {
            state.is_later(doc, seq)?;
        }
        let current = state.current(doc).filter(|item| !item.is_deleted);
        let (versions, how) = versions(current, (path, by), (coming, made, rival));
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

/// What came of bytes, as the answer to who brought them.
fn answer(doc: DocId, item: Item, how: Taken, is_created: bool) -> Uploaded {
    Uploaded {
        at: At::of(doc, item.n, Some(&item)),
        version: item.seq,
        size: item.size,
        hash: item.hash.unwrap_or_default(),
        path: item.path,
        is_merged: false,
        is_conflict: matches!(how, Taken::Won | Taken::Lost),
        has_changed: how != Taken::Held,
        is_created,
        content: None,
    }
}

/// The versions that bytes make of a file, the last of which it is then, and what becomes of them.
/// `rival`: when the present content came, where those who made the bytes have not seen it.
pub(super) fn versions(
    current: Option<&Item>,
    (path, by): (Arc<str>, Author<'_>),
    (coming, made, rival): (Coming, &Made, Option<Stamp>),
) -> (Vec<(Item, Made)>, Taken) {
    let is_same = |item: &&Item| (item.body, item.hash) == (Body::Blob, Some(coming.hash));
    if current.filter(is_same).is_some() {
        return (Vec::new(), Taken::Held);
    }
    let mut item = Item {
        seq: 0,
        n: current.map_or(0, |item| item.n),
        body: Body::Blob,
        is_deleted: false,
        size: 0,
        bytes: 0,
        hash: None,
        updated: coming.stamp,
        author: by.principal.name().map(Arc::from),
        device: by.device,
        path,
        from: None,
    };
    coming.put_into(&mut item);
    let mut versions = vec![(item, Made { is_conflict: rival.is_some(), ..made.clone() })];
    let Some((winner, rival)) = current.zip(rival.filter(|rival| *rival > coming.stamp)) else {
        return (versions, if rival.is_some() { Taken::Won } else { Taken::Plainly });
    };
    // It is a version, and what was there before is the file again.
    let (authors, restored) = (vec![winner.author.clone()], winner.seq);
    let (is_conflict, client_ms, taken_ms) = (true, None, made.taken_ms);
    let made = Made { authors, restored, is_conflict, client_ms, taken_ms };
    // Of its own time, and not of a move since.
    versions.push((Item { updated: rival, ..winner.clone() }, made));
    (versions, Taken::Lost)
}

impl InUse for Vaults {
    /// Those of all versions that are kept, and of what is about to be one.
    fn mark(&self, vault: VaultNo, mark: &mut dyn FnMut(Hash)) -> bool {
        let Some(book) = self.inner.books.read().get(&vault).map(Arc::clone) else {
            // A deletion that is not on disk may not be after a restart.
            return self.shared().journal.is_writable();
        };
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
