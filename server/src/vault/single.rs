//! One document by itself: deleted, or given another path, whatever its name.
//!
//! Called by HTTP for rooms whose names are no paths, and by what ends a document inside the vault.
//! Never shows what it did before it is durable.

use std::sync::Arc;

use sheaf_protocol::ids::{DocKey, VaultName};
use sheaf_protocol::vault::check_path;

use super::book::{Book, Entry, Signed};
use super::condition::{At, When};
use super::settle::tombstone;
use super::{Error, OPEN_ATTEMPTS, SETTLES_MAX, Vaults, address, made_by};
use crate::document::author::Author;
use crate::document::ending::Mark;
use crate::document::handle::Name;
use crate::document::submission::Failure;
use sheaf_ground::task;
use sheaf_storage::journal::{self, Appended};
use sheaf_storage::store;

impl Vaults {
    /// Deletes a file; durable when it returns its seq. Its sessions are closed with 4404.
    /// `when`: only if the path is still at a state for which this says so.
    ///
    /// # Errors
    /// `NoVault`; `NoFile`; `Stale`; `Open`; `Failed`, and then everything is as before.
    pub async fn delete_file(
        &self,
        name: &VaultName,
        path: &str,
        by: Author<'_>,
        when: When<'_>,
    ) -> Result<u64, Error> {
        // What was written last is a version before the deletion.
        self.settle_last(&address(name, path)).await?;
        self.bury((name, path), by, when, Failure::Deleted).await
    }

    /// Deletes a file and tells its sessions `why`.
    pub(super) async fn bury(
        &self,
        (name, path): (&VaultName, &str),
        by: Author<'_>,
        when: When<'_>,
        why: Failure,
    ) -> Result<u64, Error> {
        let book = self.live(name)?;
        let name = address(name, path);
        let commit = |doc: DocKey, mark: &Mark, clients: &[u64]| {
            let mut state = book.state();
            let current = state.current(doc.doc);
            when(Some(At::of(doc.doc, mark.n, current)))?;
            // Of bytes that are no text the log tells nothing.
            let is_blob = current.is_some_and(|item| item.body == store::Body::Blob);
            let mut item = tombstone(current, (Arc::clone(&name.document), doc.doc));
            item.n = mark.n;
            if !is_blob {
                item.bytes = mark.bytes;
            }
            let bytes = item.bytes;
            self.sign(&mut item, by);
            let (kind, renamed) = (journal::Kind::Deleted, Some((path, mark.epoch)));
            let (retired, made) = ((mark.n > 0).then_some(clients), made_by(by.principal));
            let by = by.principal.name();
            let entry = Entry { kind, doc: doc.doc, item, made, renamed, retired, by };
            let committed = book.commit(&mut state, self.registry(), entry)?;
            book.account().raise_fence(committed.1.end);
            book.account().bury(doc.doc, path, bytes);
            Ok(committed)
        };
        let seq = self.end_document(&book, (&name, why), commit).await?;
        tracing::debug!(vault = %name.vault, seq, "file deleted");
        Ok(seq)
    }

    /// Gives a file another path; durable when it returns the seq. The id stays, and sessions of
    /// the old path are closed with 1012. `when` as for `delete_file`.
    ///
    /// # Errors
    /// As `delete_file`; `BadPath`; `PathTaken`.
    pub async fn move_file(
        &self,
        name: &VaultName,
        from: &str,
        to: &str,
        by: Author<'_>,
        when: When<'_>,
    ) -> Result<u64, Error> {
        let book = self.live(name)?;
        check_path(to)?;
        let (name, target) = (address(name, from), address(name, to));
        if from == to {
            let handle = self.open_existing(&name).await?;
            when(self.at(&name.vault, &handle)?)?;
            return self.settle_now(&name).await;
        }
        let made = made_by(by.principal);
        // What was written before the move is in its item: it gets no other change.
        self.settle_now(&name).await?;
        let commit = |doc: DocKey, mark: &Mark, clients: &[u64]| {
            let mut state = book.state();
            let mut item = state.current(doc.doc).cloned().ok_or(Error::NoFile)?;
            when(Some(At::of(doc.doc, mark.n, Some(&item))))?;
            item.path = Arc::clone(&target.document);
            item.from = Some(from.into());
            self.sign(&mut item, by);
            let (kind, renamed) = (journal::Kind::Moved, Some((from, mark.epoch)));
            let retired = (mark.n > 0).then_some(clients);
            let (made, by) = (made.clone(), by.principal.name());
            let entry = Entry { kind, doc: doc.doc, item, made, renamed, retired, by };
            let names = (doc.doc, from, &target.document);
            let renamed = book.account().rename(names, || {
                let committed = book.commit(&mut state, self.registry(), entry)?;
                book.account().raise_fence(committed.1.end);
                Ok(committed)
            });
            renamed.map_err(|refused: Result<_, Failure>| match refused {
                Ok(path) => Error::PathTaken { path },
                Err(failure) => failure.into(),
            })
        };
        let seq = self.end_document(&book, (&name, Failure::Moved), commit).await?;
        self.registry().expel(&target);
        Ok(seq)
    }

    pub(super) fn sign(&self, item: &mut store::Item, by: Author<'_>) {
        let Signed { at, author, device } = self.signed(by);
        (item.updated, item.author, item.device) = (at, author, device);
    }

    /// Who changes something now.
    pub(super) fn signed(&self, by: Author<'_>) -> Signed {
        let author = by.principal.name().map(Arc::from);
        Signed { at: self.registry().stamp(), author, device: by.device }
    }

    /// Ends a document with a commit, and shows that when it is durable.
    pub(super) async fn end_document(
        &self,
        book: &Book,
        (name, why): (&Name, Failure),
        commit: impl Fn(DocKey, &Mark, &[u64]) -> Result<(u64, Appended), Error>,
    ) -> Result<u64, Error> {
        for attempt in 0..OPEN_ATTEMPTS {
            let handle = self.open_existing(name).await?;
            let (mut committed, mut is_behind) = (0, false);
            let work = self.shared().work.begin().await;
            let is_ended = task::block(|| {
                handle.end_as(why, |mark, clients| {
                    is_behind = book.state().is_behind(handle.key().doc, mark.n);
                    if is_behind && attempt < SETTLES_MAX {
                        return Err(Failure::Dropped.into());
                    }
                    let (seq, appended) = commit(handle.key(), mark, clients)?;
                    committed = seq;
                    Ok::<_, Error>(appended)
                })
            });
            drop(work);
            if is_ended.is_err() && is_behind && attempt < SETTLES_MAX {
                // What was typed last is a version of its own.
                self.settle_last(name).await?;
                continue;
            }
            if is_ended? {
                self.durable(handle.end()).await?;
                self.publish(book);
                return Ok(committed);
            }
        }
        Err(Failure::Dropped.into())
    }
}
