//! Vaults: their files, and one feed of what changed.
//!
//! Job: say what is in a vault, create and delete vaults, move and delete files, settle bodies and
//! give each durable change its seq. Called by the edges and by services that follow the feed.
//! Never shows a change before it is durable, and never touches the CRDT library.

pub mod audience;
mod blobs;
mod book;
pub mod condition;
pub mod config;
pub mod devices;
mod error;
mod file;
pub mod operation;
mod past;
mod prune;
mod settle;
mod single;
mod thinning;
pub mod tree;
pub mod upload;
pub mod versions;

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use sheaf_protocol::ids::{Principal, VaultName, VaultNo};
use sheaf_protocol::vault::check_path;
use tokio::sync::watch;

pub use config::{Config, Terms};
pub use error::Error;
pub use file::{Change, Changes, Cursor, File, Kind, NotACursor, Page, Vault};
pub use past::Kept;

use crate::blob::Blobs;
use crate::document::handle::{Handle, Name, Shared};
use crate::document::ledger::Account;
use crate::document::registry::Registry;
use crate::document::submission::Failure;
use audience::Audience;
use book::Book;
use past::Copies;
use settle::Pending;
use sheaf_ground::task;
use sheaf_storage::store;

/// Most entries of a page.
pub const PAGE_MAX: usize = 1_000;

/// How often a document is opened again that leaves memory in the very moment.
const OPEN_ATTEMPTS: usize = 8;

/// How often a file is settled again that changes before it is moved or deleted: what is typed
/// still then is in its log, and in no version.
const SETTLES_MAX: usize = 4;

/// The vaults of a server. Clones share them.
#[derive(Clone)]
pub struct Vaults {
    inner: Arc<Inner>,
}

struct Inner {
    registry: Registry,
    books: RwLock<HashMap<VaultNo, Arc<Book>>>,
    pending: Mutex<Pending>,
    copies: Mutex<Copies>,
    /// A version is looked up and named, or versions go. The end of the last name's record.
    thinning: Mutex<u64>,
    audience: Audience,
    /// How long what was is kept.
    terms: Terms,
    /// Where the bytes of files are that are no text; without, they are taken on trust.
    blobs: Option<Blobs>,
}

impl Vaults {
    /// Over a registry: reads all items, and finds the documents whose body is to be settled.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn new(registry: Registry) -> Result<Self, store::Error> {
        Self::keeping(registry, Terms::default(), None)
    }

    /// As [`Vaults::new`], keeping what was so long, and bytes that are no text there.
    ///
    /// # Errors
    /// As [`Vaults::new`].
    pub fn keeping(
        registry: Registry,
        terms: Terms,
        blobs: Option<Blobs>,
    ) -> Result<Self, store::Error> {
        let (books, pending, copies, thinning) = Default::default();
        let audience = Audience::default();
        let inner = Inner { registry, books, pending, copies, thinning, audience, terms, blobs };
        let vaults = Self { inner: Arc::new(inner) };
        vaults.load()?;
        Ok(vaults)
    }

    fn load(&self) -> Result<(), store::Error> {
        let Inner { registry, books, pending, .. } = &*self.inner;
        let (store, ledger) = (registry.store(), registry.ledger());
        let (mut books, mut pending) = (books.write(), pending.lock());
        for account in ledger.all() {
            let feed = store.feed(account.number())?;
            if feed.damaged > 0 {
                let (vault, values) = (account.name(), feed.damaged);
                tracing::error!(%vault, values, "parts of the feed are damaged and made anew");
            }
            let book = Book::load(Arc::clone(&account), registry.stamp(), feed);
            book.charge_all();
            book.take_devices(store)?;
            books.insert(account.number(), Arc::new(book));
        }
        for document in store.documents() {
            let Some(book) = books.get(&document.key.vault) else { continue };
            let (doc, facts) = (document.key.doc, (&*document.name, document.last_n));
            if book.check(doc, facts, document.is_deleted) {
                let vault = book.account().name().clone();
                let name = Name { vault, document: document.name.as_str().into() };
                pending.add(document.key, name, (0, 0));
            }
        }
        Ok(())
    }

    fn registry(&self) -> &Registry {
        &self.inner.registry
    }

    fn shared(&self) -> &Shared {
        self.registry().shared()
    }

    fn pending(&self) -> &Mutex<Pending> {
        &self.inner.pending
    }

    /// The vault's book; a new one where a first write made the vault.
    fn book(&self, account: &Arc<Account>) -> Arc<Book> {
        if let Some(book) = self.inner.books.read().get(&account.number()) {
            return Arc::clone(book);
        }
        let mut books = self.inner.books.write();
        let new = || Arc::new(Book::new(Arc::clone(account), self.registry().stamp()));
        if account.is_gone() {
            // Deleted since it was looked up: nothing is kept, and nothing of it is written.
            return new();
        }
        Arc::clone(books.entry(account.number()).or_insert_with(new))
    }

    fn live(&self, name: &VaultName) -> Result<Arc<Book>, Error> {
        let account = self.registry().ledger().get(name).filter(|account| account.is_live());
        Ok(self.book(&account.ok_or(Error::NoVault)?))
    }

    async fn durable(&self, end: u64) -> Result<(), Failure> {
        let journal = &self.shared().journal;
        poll_fn(|cx| journal.poll_durable(cx, end)).await.map_err(|_| Failure::ReadOnly)
    }

    fn publish(&self, book: &Book) {
        let shown = book.publish(self.shared().journal.durable());
        self.shared().metrics.vault.commits.inc_by(shown);
    }

    /// All vaults, by name.
    #[must_use]
    pub fn list(&self) -> Vec<Vault> {
        self.registry().ledger().all().iter().map(|account| self.book(account).show()).collect()
    }

    /// The vault of this name.
    #[must_use]
    pub fn get(&self, name: &VaultName) -> Option<Vault> {
        self.live(name).ok().map(|book| book.show())
    }

    /// The vault of this name; made where there is none, the caller may write and a first write
    /// would make it.
    ///
    /// # Errors
    /// `NoVault`, and those of [`Vaults::create`].
    pub async fn get_or_create(
        &self,
        name: &VaultName,
        by: &Principal,
        can_write: bool,
    ) -> Result<Vault, Error> {
        if let Some(vault) = self.get(name) {
            return Ok(vault);
        }
        if can_write && self.registry().makes_vaults() {
            self.create(name, by).await?;
        }
        self.get(name).ok_or(Error::NoVault)
    }

    /// The number of a live vault, which no other ever has: blobs are kept under it.
    ///
    /// # Errors
    /// `NoVault`.
    pub fn number(&self, name: &VaultName) -> Result<VaultNo, Error> {
        self.live(name).map(|book| book.account().number())
    }

    /// Creates a vault; durable when it returns. False if there was one.
    ///
    /// # Errors
    /// `Full`; `NoVault` while one of this name is being deleted; `Failed` when the journal takes
    /// no writes.
    pub async fn create(&self, name: &VaultName, by: &Principal) -> Result<bool, Error> {
        let account = self.registry().place(name).ok_or(Error::Full)?;
        if account.is_closed() {
            return Err(Error::NoVault);
        }
        let is_new = !account.is_live();
        let appended = self.book(&account).record(self.registry(), by)?;
        account.begin();
        let end = appended.map_or_else(|| self.shared().journal.written(), |place| place.end);
        self.durable(end).await?;
        Ok(is_new)
    }

    /// Deletes a vault with everything in it; durable when it returns. Its sessions are closed
    /// with 4404, and its number is never given again.
    ///
    /// # Errors
    /// `NoVault`; `Failed`, and then everything is as before.
    pub async fn delete(&self, name: &VaultName, by: &Principal) -> Result<(), Error> {
        let book = self.live(name)?;
        let (registry, account) = (self.registry(), book.account());
        if !account.close() {
            return Err(Error::NoVault);
        }
        let ended = task::block(|| {
            registry.wait_writes(name);
            book.end(registry, by)
        });
        let appended = match ended {
            Ok(appended) => appended,
            Err(failure) => {
                account.reopen();
                return Err(failure.into());
            }
        };
        registry.ledger().forget(account);
        task::block(|| registry.drop_vault(name));
        self.inner.books.write().remove(&account.number());
        tracing::info!(vault = %name, "vault deleted");
        self.durable(appended.end).await?;
        Ok(())
    }

    /// Live files whose path begins with `prefix`, by path, those after `after`, at most 1,000.
    /// A document whose first body has not settled yet is there with n and seq 0.
    ///
    /// # Errors
    /// `NoVault`.
    pub fn files(
        &self,
        name: &VaultName,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<File, Arc<str>>, Error> {
        let book = self.live(name)?;
        let limit = limit.clamp(1, PAGE_MAX);
        let mut names = book.account().page(prefix, after, limit + 1);
        let has_more = names.len() > limit;
        names.truncate(limit);
        let next = names.last().filter(|_| has_more).map(|(path, _)| Arc::clone(path));
        Ok(Page { items: book.files(names), next })
    }

    /// The live file at a path.
    ///
    /// # Errors
    /// `NoVault`; `NoFile`.
    pub fn file(&self, name: &VaultName, path: &str) -> Result<File, Error> {
        let book = self.live(name)?;
        let found = book.account().find(path).ok_or(Error::NoFile)?;
        book.files(vec![found]).pop().ok_or(Error::NoFile)
    }

    /// The document of a live file.
    ///
    /// # Errors
    /// `NoVault`; `NoFile`; `Open`.
    pub async fn open(&self, name: &VaultName, path: &str) -> Result<Arc<Handle>, Error> {
        self.live(name)?;
        self.open_existing(&address(name, path)).await
    }

    async fn open_existing(&self, name: &Name) -> Result<Arc<Handle>, Error> {
        self.registry().open_existing(name).await?.ok_or(Error::NoFile)
    }

    /// The document of a file, or one that becomes it with its first write. A path that has no file
    /// yet must follow the rules of paths and be no alias of another.
    ///
    /// # Errors
    /// `NoVault` where vaults are only created explicitly; `BadPath`; `PathTaken`; `Open`.
    pub async fn open_or_create(&self, name: &VaultName, path: &str) -> Result<Arc<Handle>, Error> {
        let name = address(name, path);
        if let Some(handle) = self.registry().open_existing(&name).await? {
            return Ok(handle);
        }
        check_path(path)?;
        let account = self.registry().ledger().get(&name.vault);
        let taken = account.and_then(|account| account.conflict(path));
        if let Some(taken) = taken.filter(|taken| **taken != *path) {
            return Err(Error::PathTaken { path: taken });
        }
        let handle = self.registry().open(&name).await?;
        if !handle.is_created() {
            // Others may create files until this one is: it is looked at again then.
            handle.set_file();
        }
        Ok(handle)
    }

    /// The document of any name, or one that becomes it with its first write: for a room no rule of
    /// paths holds.
    ///
    /// # Errors
    /// `NoVault` where vaults are only created explicitly; `Open`.
    pub async fn open_room(&self, name: &VaultName, room: &str) -> Result<Arc<Handle>, Error> {
        Ok(self.registry().open(&address(name, room)).await?)
    }

    /// Settles a file's body now; durable when it returns the seq of its last change.
    ///
    /// # Errors
    /// `NoVault`; `NoFile`; `Open`; `Failed`.
    pub async fn settle(&self, name: &VaultName, path: &str) -> Result<u64, Error> {
        self.settle_now(&address(name, path)).await
    }

    /// What changed after a cursor, by seq, at most `limit` (1,000): durable changes alone, each
    /// item once and in its current form, deletions only where the cursor is beyond the beginning.
    ///
    /// # Errors
    /// `NoVault`; `CursorExpired`.
    pub fn changes(&self, name: &VaultName, since: Cursor, limit: usize) -> Result<Changes, Error> {
        self.live(name)?.changes(since, limit.clamp(1, PAGE_MAX))
    }

    /// Follows the highest visible seq; closed when the vault is deleted.
    ///
    /// # Errors
    /// `NoVault`.
    pub fn watch(&self, name: &VaultName) -> Result<watch::Receiver<u64>, Error> {
        Ok(self.live(name)?.watch())
    }
}

/// A version that one person made.
fn made_by(by: &Principal) -> store::Made {
    store::Made { authors: vec![by.name().map(Arc::from)], ..store::Made::default() }
}

fn address(vault: &VaultName, path: &str) -> Name {
    Name { vault: vault.clone(), document: path.into() }
}

#[cfg(test)]
pub(crate) mod tests;
