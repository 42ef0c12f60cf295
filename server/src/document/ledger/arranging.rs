//! Changing many names of a vault as one.
//!
//! Called by `vault` for folders and for changes that are made together. Nobody sees the names in
//! between. Never leaves part of a change that failed.

use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use sheaf_protocol::ids::DocId;

use super::{Account, Names, TOMBSTONE_BYTES};
use crate::document::submission::Failure;

/// The live names of a vault while they are being changed.
pub struct Arrangement<'a> {
    account: &'a Account,
    names: &'a mut Names,
    done: Vec<Done>,
}

/// What was done to a name, to be undone.
enum Done {
    Freed(Arc<str>, DocId),
    Taken(Arc<str>),
}

/// Where a document is after a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// It has this name.
    At(Arc<str>),
    /// It is made, and has this name.
    New(Arc<str>),
    /// It has none any more, and this many bytes stored.
    Buried(u64),
}

impl Arrangement<'_> {
    /// The document of this name.
    #[must_use]
    pub fn find(&self, path: &str) -> Option<(Arc<str>, DocId)> {
        self.names.paths.get_key_value(path).map(|(path, doc)| (Arc::clone(path), *doc))
    }

    /// Documents whose name begins with `prefix`, by name.
    pub fn under<'s>(
        &'s self,
        prefix: &'s str,
    ) -> impl Iterator<Item = (Arc<str>, DocId)> + use<'s> {
        let names: &'s Names = self.names;
        names.under(prefix, Bound::Included(prefix))
    }

    /// Frees a name.
    pub fn free(&mut self, path: &Arc<str>) {
        if let Some(doc) = self.names.paths.get(path).copied() {
            self.names.forget(path);
            self.done.push(Done::Freed(Arc::clone(path), doc));
        }
    }

    /// Gives a document whose name was freed this one.
    ///
    /// # Errors
    /// The name that is in the way.
    pub fn take(&mut self, doc: DocId, path: &Arc<str>) -> Result<(), Arc<str>> {
        if let Some(taken) = self.names.conflict(path, None) {
            return Err(taken);
        }
        self.names.take(doc, Arc::clone(path));
        self.done.push(Done::Taken(Arc::clone(path)));
        Ok(())
    }

    /// Gives a document that is about to be made a name.
    ///
    /// # Errors
    /// The name that is in the way; none where it would be one document too many.
    pub fn create(&mut self, doc: DocId, path: &Arc<str>) -> Result<(), Option<Arc<str>>> {
        self.take(doc, path).map_err(Some)?;
        let max = self.account.quota.vault_documents_max;
        if max > 0 && self.names.paths.len() as u64 > max {
            self.account.note_refused(Failure::Quota);
            return Err(None);
        }
        Ok(())
    }

    fn undo(&mut self) {
        while let Some(done) = self.done.pop() {
            match done {
                Done::Freed(path, doc) => self.names.take(doc, path),
                Done::Taken(path) => self.names.forget(&path),
            }
        }
    }
}

impl Account {
    /// Changes names while `change` succeeds; it tells where each document that it touched is then.
    /// The bytes of one that is buried stay charged, as by `bury`.
    ///
    /// # Errors
    /// Those of `change`; every name is as before then.
    pub fn rearrange<T, E>(
        &self,
        change: impl FnOnce(&mut Arrangement<'_>) -> Result<(T, Vec<(DocId, Place)>), E>,
    ) -> Result<T, E> {
        let mut names = self.names.lock();
        let mut arrangement = Arrangement { account: self, names: &mut names, done: Vec::new() };
        let (done, places) = match change(&mut arrangement) {
            Ok(done) => done,
            Err(error) => {
                arrangement.undo();
                return Err(error);
            }
        };
        for (doc, place) in places {
            match place {
                Place::At(path) => {
                    if let Some((own, _)) = names.documents.get_mut(&doc) {
                        *own = path;
                    }
                }
                Place::New(path) => drop(names.documents.insert(doc, (path, 0))),
                Place::Buried(bytes) => {
                    let charged = names.documents.remove(&doc).map_or(0, |(_, charged)| charged);
                    let added = (bytes + TOMBSTONE_BYTES).wrapping_sub(charged);
                    self.bytes.fetch_add(added, Ordering::Relaxed);
                }
            }
        }
        Ok(done)
    }
    /// What `look` makes of the names; every name is as before then.
    pub fn try_out<T>(&self, look: impl FnOnce(&mut Arrangement<'_>) -> T) -> T {
        let mut names = self.names.lock();
        let mut arrangement = Arrangement { account: self, names: &mut names, done: Vec::new() };
        let found = look(&mut arrangement);
        arrangement.undo();
        found
    }

    /// Whether a live document has a name that begins with `prefix` and is wanted.
    pub fn has_under(&self, prefix: &str, wanted: impl Fn(&str) -> bool) -> bool {
        let names = self.names.lock();
        names.under(prefix, Bound::Included(prefix)).any(|(path, _)| wanted(&path))
    }
}
