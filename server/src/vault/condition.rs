//! Writing a document only as long as it is what its writer takes it for.
//!
//! Job: say at which state a file is, and write into it while nobody else does. Called by the
//! vault's own parts and by the edges. Never looks at a condition before the moment in which it
//! counts, and never makes a file that a condition keeps out.

use std::fmt;
use std::sync::Arc;

use sheaf_protocol::ids::{DocId, DocKey, VaultName};

use super::book::{Book, State};
use super::error::Error;
use super::file::File;
use super::{Kind, OPEN_ATTEMPTS, Vaults, address};
use crate::blob::Hash;
use crate::document::author::{Author, OnlyIf, WriteError, Written};
use crate::document::handle::Handle;
use crate::document::submission::Failure;
use sheaf_ground::task;
use sheaf_storage::store::{Body, Item};

/// A state of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// The document; another one of the same path has another id.
    pub doc: DocId,
    /// Its count of entries.
    pub n: u64,
    /// SHA-256 of the file's bytes, where these and not the document are its content.
    pub bytes: Option<[u8; 32]>,
}

/// Whether a file may be changed that is at a state, or is not there; `Stale` if not. `Some`: it
/// must not change until it is written.
pub type When<'a> = &'a (dyn Fn(Option<At>) -> Result<Option<OnlyIf>, Error> + Send + Sync);

/// Whatever is there.
pub const ANYHOW: When<'static> = &|_| Ok(None);

/// What writes into a document; what it is given is to be looked at under the lock under which it
/// writes.
pub type Write<'a> =
    &'a (dyn Fn(&Handle, Option<OnlyIf>) -> Result<Written, WriteError> + Send + Sync);

/// What a write does where there is no file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    /// It makes one, by the rules of paths.
    Made,
    /// It makes one of any name, as a session does.
    Room,
    /// It fails.
    Missed,
}

/// Names it among all states of all files.
impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.bytes {
            Some(hash) => write!(f, "{}", Hash(hash)),
            None => write!(f, "{}-{}", self.doc, self.n),
        }
    }
}

impl At {
    /// The state that a document of so many entries has as an item.
    pub(super) fn of(doc: DocId, n: u64, item: Option<&Item>) -> At {
        let bytes = item.filter(|item| item.body == Body::Blob && !item.is_deleted);
        At { doc, n, bytes: bytes.and_then(|item| item.hash) }
    }
}

impl File {
    /// The state that it is shown at.
    #[must_use]
    pub fn at(&self) -> At {
        let is_bytes = self.kind == Kind::Blob;
        At { doc: self.id, n: self.n, bytes: self.hash.filter(|_| is_bytes) }
    }
}

impl Vaults {
    /// Writes into the document of a path, in turn; durable when it has settled.
    ///
    /// # Errors
    /// `Stale`; `NoVault`; `NoFile` of one that may not be made; `BadPath`; `PathTaken`; `Open`;
    /// those of the write.
    pub async fn write(
        &self,
        (name, path): (&VaultName, &str),
        (absent, when): (Absent, When<'_>),
        write: Write<'_>,
    ) -> Result<(Arc<Handle>, Written), Error> {
        for _ in 0..OPEN_ATTEMPTS {
            let handle = match self.open(name, path).await {
                Err(Error::NoFile | Error::NoVault) if absent != Absent::Missed => {
                    when(None)?;
                    match absent {
                        Absent::Room => self.open_room(name, path).await?,
                        _ => self.open_or_create(name, path).await?,
                    }
                }
                opened => opened?,
            };
            self.settle_over_bytes((name, path), &handle).await?;
            let written = {
                let _turn = handle.turn().await?;
                let only_if = when(self.at(name, &handle)?)?;
                task::block(|| write(&handle, only_if))
            };
            match written {
                Ok(written) => return Ok((handle, written)),
                Err(WriteError::Failed(Failure::Dropped)) => {}
                Err(WriteError::Stale { .. }) => {
                    return Err(Error::Stale { now: self.at(name, &handle)? });
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(Failure::Dropped.into())
    }

    /// The state of a file.
    ///
    /// # Errors
    /// `NoVault`; `NoFile`; `Open`; `Failed`.
    pub async fn state(&self, name: &VaultName, path: &str) -> Result<At, Error> {
        let handle = self.open(name, path).await?;
        self.settle_over_bytes((name, path), &handle).await?;
        self.at(name, &handle)?.ok_or(Error::NoFile)
    }

    /// The state of a document that is open; none if nobody has written it yet.
    pub(super) fn at(&self, name: &VaultName, handle: &Handle) -> Result<Option<At>, Error> {
        if !handle.is_created() {
            return Ok(None);
        }
        let (book, doc) = (self.live(name)?, handle.key().doc);
        let (n, state) = (handle.n(), book.state());
        Ok(Some(At::of(doc, n, state.current(doc))))
    }

    /// Settles a file whose log is beyond what it shows, without opening one that is not.
    ///
    /// # Errors
    /// `NoVault`; `NoFile`; `Open`; `Failed`.
    pub async fn settle_if_behind(&self, name: &VaultName, path: &str) -> Result<(), Error> {
        let (book, of) = (self.live(name)?, address(name, path));
        let (_, doc) = book.account().find(path).ok_or(Error::NoFile)?;
        if self.is_unsettled(&book, (doc, &of)) {
            self.settle_now(&of).await?;
        }
        Ok(())
    }

    /// A text was put into a document. Where bytes are its file's content it is that from now on;
    /// true then, and it settles also should nobody wait for that.
    pub(super) fn set_text(
        &self,
        (book, state): (&Book, &mut State),
        doc: DocId,
        by: Author<'_>,
    ) -> bool {
        let is_over = state.set_text(doc, self.signed(by));
        if let (true, Some(path)) = (is_over, book.account().path_of(doc)) {
            let key = DocKey { vault: book.account().number(), doc };
            self.registry().ledger().changed(key, &address(book.account().name(), &path));
        }
        is_over
    }

    /// What was typed over bytes is the file's content from now on.
    pub(super) async fn settle_over_bytes(
        &self,
        (name, path): (&VaultName, &str),
        handle: &Handle,
    ) -> Result<(), Error> {
        let Ok(book) = self.live(name) else { return Ok(()) };
        let is_over = |item: &Item| item.body == Body::Blob && item.n < handle.n();
        if book.state().current(handle.key().doc).is_some_and(is_over) {
            self.settle_now(&address(name, path)).await?;
        }
        Ok(())
    }
}
