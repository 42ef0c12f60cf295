//! What clients bring for documents that are deleted.
//!
//! Job: keep an edit of such a document where it belongs: in the document itself, brought back by
//! it. Called by sessions, whose own document it must not enter. Never brings one back that the
//! edit would not change, and never under a name that another has.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use sheaf_protocol::error::{Code, Refusal};
use sheaf_protocol::ids::{DocId, DocKey, VaultName};
use sheaf_protocol::plan::Source;
use sheaf_protocol::scan;
use sheaf_protocol::vault::conflict_of;

use super::blobs::Coming;
use super::book::{Book, Entry};
use super::condition::At;
use super::{Error, OPEN_ATTEMPTS, Vaults, address, made_by};
use crate::document::author::Author;
use crate::document::handle::Name;
use crate::document::submission::{Failure, Receipt, Submission};
use sheaf_ground::task;
use sheaf_storage::journal::Kind;
use sheaf_storage::store::{Item, Made};

/// Copies that are remembered to bring nothing: as many clients may come again and again.
const COPIES_MAX: usize = 1_024;

/// Where an edit of a deleted document is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// In the document, which has its name again.
    Back,
    /// In the document, beside what has its name now.
    At {
        /// Its name.
        path: Arc<str>,
        /// False: without what stands on edits that the document does not have.
        is_whole: bool,
    },
    /// Nowhere: it brings nothing that the document did not have, or that has been moved since.
    Nothing,
}

/// Copies of deleted documents that brought nothing when they came. What such a document has only
/// grows, so they never will.
#[derive(Debug, Default)]
pub(super) struct Copies {
    /// Hashes of document and copy, the latest at the end.
    stale: VecDeque<u64>,
    hash: RandomState,
}

impl Copies {
    /// The hash of a copy; none if it brought nothing before.
    fn unknown(&self, doc: DocId, copy: &[u8]) -> Option<u64> {
        let copy = self.hash.hash_one((doc, copy));
        (!self.stale.contains(&copy)).then_some(copy)
    }

    fn note(&mut self, copy: u64) {
        if self.stale.len() >= COPIES_MAX {
            self.stale.pop_front();
        }
        self.stale.push_back(copy);
    }
}

impl Vaults {
    /// Takes in what a client brings for a document that had the name `path` before; durable when
    /// it returns. A deleted document that it changes is back, under its name if that is free, else
    /// under one derived from it.
    ///
    /// # Errors
    /// `NoVault`; `Refused`; `Open`; `Failed`, and then nothing of it is taken.
    pub async fn keep_past(
        &self,
        (name, path): (&VaultName, &str),
        doc: DocId,
        update: &[u8],
        by: Author<'_>,
    ) -> Result<Kept, Error> {
        let book = self.live(name)?;
        let submission = Submission { source: Source::Step2, update: scan::update(update)? };
        for _ in 0..OPEN_ATTEMPTS {
            let Some(now) = book.account().path_of(doc) else {
                let Some(epoch) = self.news(&book, path, doc, &submission).await? else {
                    return Ok(Kept::Nothing);
                };
                self.clear(&book, path, by).await?;
                if let Some((item, _)) = self.revive(&book, path, (doc, epoch), (by, None))? {
                    tracing::info!(vault = %name, %doc, "an edit brought a deleted document back");
                    self.registry().expel(&address(name, &item.path));
                }
                continue;
            };
            if !is_derived(&now, path, doc) {
                return Ok(Kept::Nothing);
            }
            let entered = self.enter(name, &now, doc, (&submission, by)).await?;
            if let Some((end, is_whole)) = entered {
                self.durable(end).await?;
                self.publish(&book);
                let is_back = *now == *path;
                return Ok(if is_back { Kept::Back } else { Kept::At { path: now, is_whole } });
            }
        }
        Err(Failure::Dropped.into())
    }

    /// The path of a document that had this name before, if somebody has moved it. One that came
    /// back beside what has its name now was not moved.
    pub fn moved_to(&self, before: &Name, doc: DocId) -> Option<Arc<str>> {
        let now = self.registry().ledger().get(&before.vault)?.path_of(doc)?;
        (!is_derived(&now, &before.document, doc)).then_some(now)
    }

    /// The epoch of a deleted document that this would change. Answered from memory where the same
    /// copy brought nothing before: some clients come again ten times a second.
    async fn news(
        &self,
        book: &Book,
        path: &str,
        doc: DocId,
        submission: &Submission<'_>,
    ) -> Result<Option<u64>, Error> {
        let Some(_looking) = Looking::into(book, doc, path) else { return Ok(None) };
        let copies = &self.inner.copies;
        let unknown = copies.lock().unknown(doc, submission.update.bytes());
        let Some(copy) = unknown else { return Ok(None) };
        let news = {
            let _work = self.shared().work.begin().await;
            task::block(|| self.registry().recall(book.account(), doc))?.news(submission)?
        };
        if news.is_none() {
            copies.lock().note(copy);
        } else if book.account().is_over(submission.update.bytes().len()) {
            return Err(Failure::Quota.into());
        }
        Ok(news)
    }

    /// Submits to a live document. `None`: the name has another by now, or it left memory.
    async fn enter(
        &self,
        name: &VaultName,
        path: &str,
        doc: DocId,
        (submission, by): (&Submission<'_>, Author<'_>),
    ) -> Result<Option<(u64, bool)>, Error> {
        let found = self.registry().open_existing(&address(name, path)).await?;
        let Some(handle) = found.filter(|handle| handle.key().doc == doc) else { return Ok(None) };
        let by = by.submitter();
        let _work = self.shared().work.begin().await;
        match task::block(|| handle.submit(None, by, std::slice::from_ref(submission))) {
            Err(Failure::Dropped | Failure::Deleted | Failure::Moved) => Ok(None),
            Err(failure) => Err(failure.into()),
            Ok(Receipt { refusal: Some(refusal), .. }) => Err(refusal.into()),
            // Of yet another one, too: nobody can tell them apart again.
            Ok(Receipt { past: Some(_), .. }) => {
                let what = "the update is of two documents that had this name before";
                Err(Refusal { code: Code::EpochChanged, at: 0, what }.into())
            }
            Ok(receipt) => Ok(Some((handle.end(), !receipt.has_gap))),
        }
    }

    /// Frees a name whose document nobody has written in: Y-Sweet's programs make one whenever they
    /// let somebody in. Its sessions come again.
    async fn clear(&self, book: &Book, path: &str, by: Author<'_>) -> Result<(), Error> {
        let Some((_, doc)) = book.account().find(path) else { return Ok(()) };
        let name = book.account().name();
        let unwritten = |now: Option<At>| match now {
            Some(At { doc: of, n: 0, .. }) if of == doc => Ok(None),
            now => Err(Error::Stale { now }),
        };
        match self.bury((name, path), by, &unwritten, Failure::Moved).await {
            Ok(_) | Err(Error::Stale { .. } | Error::NoFile) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Gives a deleted document a name again, with the bytes that its file holds from now on, if
    /// it is to hold any: the item, and the end of its record. `None`: somebody else just did.
    pub(super) fn revive(
        &self,
        book: &Book,
        path: &str,
        (doc, epoch): (DocId, u64),
        (by, bytes): (Author<'_>, Option<(Coming, &Made)>),
    ) -> Result<Option<(Item, u64)>, Error> {
        let mut state = book.state();
        let tombstone = state.current(doc).filter(|item| item.is_deleted).cloned();
        let Some(tombstone) = tombstone else { return Ok(None) };
        let key = DocKey { vault: book.account().number(), doc };
        let mut taken = Arc::from(path);
        for name in names(path, doc) {
            let name: Arc<str> = name.into();
            let mut item = tombstone.clone();
            (item.path, item.is_deleted) = (Arc::clone(&name), false);
            self.sign(&mut item, by);
            let made = match bytes {
                Some((coming, made)) => {
                    coming.put_into(&mut item);
                    made.clone()
                }
                None => {
                    // Of no entry yet: its body settles anew, also after a crash.
                    item.n = 0;
                    made_by(by.principal)
                }
            };
            // A move from nowhere: no name gets free.
            let (kind, renamed, retired) = (Kind::Moved, Some((&*name, epoch)), None);
            let revived = book.account().unbury((doc, &name, tombstone.bytes), || {
                let stamped = bytes.and_then(|_| self.stamp_of(by, (doc, state.last() + 1)));
                let logs: Vec<_> =
                    stamped.iter().map(|(.., it)| self.stamp_record(key, by, it)).collect();
                let (item, by) = (item.clone(), by.principal.name());
                let entry = Entry { kind, doc, item, made, renamed, retired, by };
                let written =
                    book.commit_together(&mut state, self.registry(), vec![entry], &logs)?;
                let end = written.ok_or(Failure::ReadOnly)?.end;
                self.keep_stamp(&mut state, stamped.as_ref(), end);
                book.account().raise_fence(end);
                Ok(end)
            });
            match revived {
                Ok(end) if bytes.is_some() => {
                    self.registry().expel(&address(book.account().name(), &name));
                    book.account().charge(doc, item.bytes, 0);
                    return Ok(Some((Item { seq: state.last(), ..item }, end)));
                }
                Ok(end) => {
                    // Shown with its body, also should the edit not come after all.
                    let now_ms = self.shared().clock.now_ms();
                    let address = address(book.account().name(), &name);
                    self.registry().expel(&address);
                    self.pending().lock().add(key, address, (now_ms, now_ms));
                    return Ok(Some((Item { seq: state.last(), ..item }, end)));
                }
                Err(Ok(other)) => taken = other,
                Err(Err(failure)) => return Err(failure.into()),
            }
        }
        Err(Error::PathTaken { path: taken })
    }
}

/// Somebody looks into a deleted document: it is not forgotten meanwhile.
struct Looking<'a> {
    book: &'a Book,
    doc: DocId,
}

impl<'a> Looking<'a> {
    /// `None`: it had another name last, or is forgotten.
    fn into(book: &'a Book, doc: DocId, path: &str) -> Option<Looking<'a>> {
        let mut state = book.state();
        let last = state.current(doc).map(|item| Arc::clone(&item.path))?;
        is_derived(&last, path, doc).then(|| {
            state.set_reading(doc);
            Looking { book, doc }
        })
    }
}

impl Drop for Looking<'_> {
    fn drop(&mut self) {
        self.book.state().set_read(self.doc);
    }
}

/// The names a document may come back under, the best first.
fn names(path: &str, doc: DocId) -> [String; 3] {
    [path.to_owned(), conflict_of(path, doc, false), conflict_of(path, doc, true)]
}

/// False for a document that somebody has moved: who could write where it was may not where it is.
pub(super) fn is_derived(now: &str, path: &str, doc: DocId) -> bool {
    names(path, doc).iter().any(|name| name == now)
}

#[cfg(test)]
mod tests;
