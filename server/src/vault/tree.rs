//! Changing the tree: deleting and moving files and whole folders, many of them as one change.
//!
//! Job: find out which documents a change is about, keep them as they are while it is written as
//! one record, and end them for whoever has them open. Called by the edges. Never does a part of a
//! change, and never loads a document only because its name changes.

mod plan;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use sheaf_protocol::ids::{DocId, DocKey, VaultName};
use sheaf_protocol::vault::check_path;

use self::plan::{Part, Plan, plan};
use super::book::{Book, Entry, State};
use super::error::Error;
use super::file::File;
use super::settle::tombstone;
use super::{Vaults, address, made_by};
use crate::document::author::Author;
use crate::document::ending::{Ending, WouldWait};
use crate::document::handle::{Handle, Name};
use crate::document::ledger::arranging::Place;
use crate::document::registry::OpenError;
use crate::document::registry::holding::Held;
use crate::document::submission::Failure;
use sheaf_ground::task;
use sheaf_storage::journal::{Appended, Kind};
use sheaf_storage::store::{Body, Item};

/// Files that one change may be about: their names are looked at under the vault's lock, and what
/// is written of them is one record.
pub const FILES_MAX: usize = 10_000;

/// How often a change is begun again because files came or went while it was prepared.
const ATTEMPTS: usize = 64;

/// One step of a change. A path that ends with a slash is a folder: the live files under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step<'a> {
    /// What it is about.
    pub path: &'a str,
    /// What happens to it.
    pub act: Act<'a>,
}

/// What a step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act<'a> {
    /// It goes.
    Delete {
        /// Only what was there at this version: a file that changed since lives.
        base: Option<u64>,
    },
    /// It gets another path.
    Move {
        /// Of a folder the path of a folder.
        to: &'a str,
    },
}

/// What a step came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// The seq of its last change; where nothing changed, of the vault.
    pub seq: u64,
    /// Files that were deleted or moved.
    pub count: usize,
    /// Files that changed since the base and live, by path.
    pub kept: Vec<File>,
    /// The file, where it is one.
    pub id: Option<DocId>,
}

/// Why nothing of a change was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undone {
    /// The step that cannot be done; none where that has another reason.
    pub step: Option<usize>,
    /// Why.
    pub error: Error,
}

impl From<Error> for Undone {
    fn from(error: Error) -> Undone {
        Undone { step: None, error }
    }
}

impl From<Failure> for Undone {
    fn from(failure: Failure) -> Undone {
        Error::from(failure).into()
    }
}

/// The documents of a change, kept as they are.
struct Subjects {
    held: Held,
    /// Those in memory, in the order in which they are locked.
    handles: BTreeMap<DocId, Arc<Handle>>,
    /// Those that are not.
    absent: HashSet<DocId>,
    /// The names that documents get.
    targets: HashSet<Arc<str>>,
}

/// What a document's log is like.
struct Facts {
    n: u64,
    bytes: Option<u64>,
    epoch: u64,
    clients: Option<Vec<u64>>,
}

/// Why a change is not written yet.
enum Stop {
    /// Files came or went.
    Again,
    /// A document is being written down.
    Wait(Arc<Handle>),
    /// It will not be.
    Undone(Undone),
}

impl From<Undone> for Stop {
    fn from(undone: Undone) -> Stop {
        Stop::Undone(undone)
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Stop {
        Stop::Undone(failure.into())
    }
}

impl Vaults {
    /// Whether there is a file under this path, which ends with a slash.
    ///
    /// # Errors
    /// `NoVault`.
    pub fn has_folder(&self, name: &VaultName, path: &str) -> Result<bool, Error> {
        let book = self.live(name)?;
        Ok(book.account().has_under(path, is_file))
    }

    /// Carries out steps, one after the other, as one change: durable when it returns what each
    /// came to, and seen by nobody in parts. Sessions of what is deleted are closed with 4404, of
    /// what is moved with 1012.
    ///
    /// # Errors
    /// With the step: `NoFile`; `EditWins`; `PathTaken`; `BadPath`; `BadMove`. Without: `NoVault`;
    /// `BatchTooLarge`; `Open`; `Failed`. Everything is as before then.
    pub async fn change(
        &self,
        name: &VaultName,
        steps: &[Step<'_>],
        by: Author<'_>,
    ) -> Result<Vec<Done>, Undone> {
        let book = self.live(name)?;
        let _turn = book.turn.lock().await;
        match self.carry_out(&book, steps, by).await {
            Ok(shown) => self.show(&book, steps, shown).await,
            Err(undone) => Err(self.with_file(&book, undone).await),
        }
    }

    /// Writes a change; nothing is kept from anybody when it returns.
    async fn carry_out(
        &self,
        book: &Book,
        steps: &[Step<'_>],
        by: Author<'_>,
    ) -> Result<(Shown, Option<Appended>), Undone> {
        let mut subjects = Subjects {
            held: self.registry().hold(),
            handles: BTreeMap::new(),
            absent: HashSet::new(),
            targets: HashSet::new(),
        };
        for _ in 0..ATTEMPTS {
            let draft = self.draft(book, steps)?;
            self.settle_those(book, &draft, &subjects).await?;
            self.gather(book, &draft, &mut subjects).await?;
            let _work = self.shared().work.begin().await;
            match task::block(|| self.write_change(book, steps, (&subjects, by))) {
                Ok(written) => return Ok(written),
                Err(Stop::Again) => {}
                Err(Stop::Wait(handle)) => task::block(|| handle.wait_checkpoint()),
                Err(Stop::Undone(undone)) => return Err(undone),
            }
        }
        Err(Failure::Busy.into())
    }

    /// What the steps would do now, as far as names tell.
    fn draft(&self, book: &Book, steps: &[Step<'_>]) -> Result<Plan, Undone> {
        let state = book.state();
        let is_edited = |doc: DocId, base: u64| state.current(doc).is_some_and(|it| it.seq > base);
        book.account().try_out(|names| plan(steps, names, &is_edited))
    }

    /// Settles what changed last: it is in the item then, and gets no other change.
    async fn settle_those(
        &self,
        book: &Book,
        draft: &Plan,
        subjects: &Subjects,
    ) -> Result<(), Error> {
        let mut end = 0;
        for (doc, path) in &draft.before {
            let name = address(book.account().name(), path);
            // One that is held waits for us.
            if subjects.held.has(&name) || !self.is_unsettled(book, (*doc, &name)) {
                continue;
            }
            let handle = match self.registry().open_existing(&name).await {
                Ok(Some(handle)) => handle,
                // It went, or keeps its last settled body.
                Ok(None) | Err(OpenError::Damaged) => continue,
                Err(error) => return Err(error.into()),
            };
            let _work = self.shared().work.begin().await;
            end = end.max(self.settle_open(book, &handle)?);
        }
        self.durable(end).await?;
        self.publish(book);
        Ok(())
    }

    fn is_unsettled(&self, book: &Book, (doc, name): (DocId, &Name)) -> bool {
        let n = self.registry().in_memory(name).map(|handle| handle.n());
        let key = DocKey { vault: book.account().number(), doc };
        let n = n.unwrap_or_else(|| self.registry().store().last_n(key));
        book.state().is_behind(doc, n)
    }

    /// Finds the documents of a draft in memory, or keeps them out of it.
    async fn gather(
        &self,
        book: &Book,
        draft: &Plan,
        subjects: &mut Subjects,
    ) -> Result<(), Error> {
        let vault = book.account().name();
        subjects.handles.clear();
        for (doc, path) in &draft.before {
            match subjects.held.add(&address(vault, path)).await? {
                None => drop(subjects.absent.insert(*doc)),
                Some(handle) if handle.key().doc == *doc => {
                    subjects.handles.insert(*doc, handle);
                }
                // The name is another's by now.
                Some(_) => {}
            }
        }
        for path in draft.after().into_values().flatten() {
            subjects.held.add(&address(vault, &path)).await?;
            subjects.targets.insert(path);
        }
        Ok(())
    }

    /// Writes the change under all locks: of the documents, of the book and of the names.
    fn write_change(
        &self,
        book: &Book,
        steps: &[Step<'_>],
        (subjects, by): (&Subjects, Author<'_>),
    ) -> Result<(Shown, Option<Appended>), Stop> {
        let mut facts = self.stored_facts(book, subjects)?;
        let mut endings = lock(subjects)?;
        for (doc, ending) in &endings {
            let mark = ending.mark();
            let (n, bytes, clients) = (mark.n, Some(mark.bytes), Some(ending.clients()));
            facts.insert(*doc, Facts { n, bytes, epoch: mark.epoch, clients });
        }
        let mut state = book.state();
        let written = book.account().rearrange(|names| {
            let is_edited = |doc: DocId, base: u64| {
                let seq = state.current(doc).map_or(0, |item| item.seq);
                seq > base || facts.get(&doc).is_some_and(|facts| state.is_behind(doc, facts.n))
            };
            let plan = plan(steps, names, &is_edited)?;
            let after = plan.after();
            let is_known = plan.before.keys().all(|doc| facts.contains_key(doc))
                && after.values().flatten().all(|path| subjects.targets.contains(path));
            if !is_known {
                return Err(Stop::Again);
            }
            let appended = self.commit_plan(book, &mut state, (&plan, &facts), by)?;
            let place = |(doc, path): (DocId, Option<Arc<str>>)| match path {
                Some(path) => (doc, Place::At(path)),
                None => (doc, Place::Buried(state.current(doc).map_or(0, |item| item.bytes))),
            };
            let places = after.into_iter().map(place).collect();
            let last = appended.map_or(state.visible(), |_| state.last());
            Ok(((Shown { plan, last }, appended), places))
        });
        drop(state);
        let (shown, appended) = written?;
        let Some(appended) = appended else { return Ok((shown, None)) };
        for (doc, path) in shown.plan.after() {
            if let Some(ending) = endings.remove(&doc) {
                let why = if path.is_some() { Failure::Moved } else { Failure::Deleted };
                ending.end(why, appended.end);
            }
            if let Some(path) = path {
                self.registry().expel(&address(book.account().name(), &path));
            }
        }
        Ok((shown, Some(appended)))
    }

    /// What the store has of the documents that are not in memory.
    fn stored_facts(
        &self,
        book: &Book,
        subjects: &Subjects,
    ) -> Result<HashMap<DocId, Facts>, Stop> {
        if subjects.absent.is_empty() {
            return Ok(HashMap::new());
        }
        let (store, account) = (self.registry().store(), book.account());
        let end = account.fence().max(subjects.held.end());
        self.shared().journal.wait_folded(end).map_err(|_| Failure::ReadOnly)?;
        let mut facts = HashMap::new();
        for doc in &subjects.absent {
            let key = DocKey { vault: account.number(), doc: *doc };
            let head = store.head(key).map_err(Error::from).map_err(Undone::from)?;
            // It was named, and is not written yet.
            let Some(head) = head else { return Err(Stop::Again) };
            let (n, epoch) = (store.last_n(key), head.epoch);
            facts.insert(*doc, Facts { n, bytes: None, epoch, clients: None });
        }
        Ok(facts)
    }

    fn commit_plan(
        &self,
        book: &Book,
        state: &mut State,
        (plan, facts): (&Plan, &HashMap<DocId, Facts>),
        by: Author<'_>,
    ) -> Result<Option<Appended>, Stop> {
        let mut items: HashMap<DocId, Item> = HashMap::new();
        let mut entries = Vec::with_capacity(plan.parts.len());
        for Part { step, doc, from, to } in &plan.parts {
            let facts = facts.get(doc).ok_or(Stop::Again)?;
            let current = items.get(doc).or_else(|| state.current(*doc));
            let mut item = match to {
                Some(to) => {
                    let damaged = || Error::Open(OpenError::Damaged);
                    let undone = || Undone { step: Some(*step), error: damaged() };
                    let current = current.ok_or_else(undone)?;
                    let from = Some(Arc::clone(from));
                    Item { path: Arc::clone(to), from, ..current.clone() }
                }
                None => {
                    // Of bytes the log tells nothing.
                    let is_blob = current.is_some_and(|item| item.body == Body::Blob);
                    let buried = tombstone(current, (Arc::clone(from), *doc));
                    let bytes = facts.bytes.filter(|_| !is_blob).unwrap_or(buried.bytes);
                    Item { n: facts.n, bytes, ..buried }
                }
            };
            self.sign(&mut item, by);
            items.insert(*doc, item.clone());
            let made = made_by(by.principal);
            let kind = if to.is_some() { Kind::Moved } else { Kind::Deleted };
            let retired = facts.clients.as_deref().filter(|_| facts.n > 0);
            let (renamed, by) = (Some((&**from, facts.epoch)), by.principal.name());
            entries.push(Entry { kind, doc: *doc, item, made, renamed, retired, by });
        }
        if entries.is_empty() {
            return Ok(None);
        }
        match book.commit_together(state, self.registry(), entries)? {
            Some(appended) => {
                book.account().raise_fence(appended.end);
                Ok(Some(appended))
            }
            None => {
                let error = Error::BatchTooLarge { max: FILES_MAX, what: "files of long paths" };
                Err(Undone::from(error).into())
            }
        }
    }

    /// Waits until a change is durable, shows it and tells what its steps came to.
    async fn show(
        &self,
        book: &Book,
        steps: &[Step<'_>],
        (Shown { plan, last }, appended): (Shown, Option<Appended>),
    ) -> Result<Vec<Done>, Undone> {
        if let Some(appended) = appended {
            self.durable(appended.end).await?;
            self.publish(book);
        }
        let mut done = vec![Done { seq: last, ..Done::default() }; steps.len()];
        let first = last + 1 - plan.parts.len() as u64;
        for (part, seq) in plan.parts.iter().zip(first..) {
            let done = &mut done[part.step];
            (done.seq, done.count) = (seq, done.count + 1);
            done.id = Some(part.doc).filter(|_| !steps[part.step].path.ends_with('/'));
        }
        for (at, doc) in &plan.idle {
            if !steps[*at].path.ends_with('/') {
                done[*at].id = Some(*doc);
                done[*at].seq = book.state().current(*doc).map_or(last, |item| item.seq);
            }
        }
        for (at, doc) in &plan.kept {
            done[*at].kept.extend(self.kept(book, *doc).await?);
        }
        done.iter_mut().for_each(|done| done.kept.sort_by(|one, two| one.path.cmp(&two.path)));
        tracing::debug!(vault = %book.account().name(), last, parts = plan.parts.len(), "changed");
        Ok(done)
    }

    /// A file that lives because it was edited, with that edit; none if it went meanwhile.
    async fn kept(&self, book: &Book, doc: DocId) -> Result<Option<File>, Error> {
        let Some(path) = book.account().path_of(doc) else { return Ok(None) };
        let name = address(book.account().name(), &path);
        if self.is_unsettled(book, (doc, &name)) {
            self.settle_last(&name).await?;
        }
        Ok(book.files(vec![(path, doc)]).pop())
    }

    /// Tells of the file whose edit won.
    async fn with_file(&self, book: &Book, undone: Undone) -> Undone {
        let Undone { step, error: Error::EditWins { doc, .. } } = undone else { return undone };
        match self.kept(book, doc).await {
            Ok(file) => Undone { step, error: Error::EditWins { doc, file: file.map(Box::new) } },
            Err(error) => Undone { step, error },
        }
    }
}

/// A change that is written.
struct Shown {
    plan: Plan,
    /// The seq of its last part.
    last: u64,
}

/// Locks the documents that are in memory, for their last commit.
fn lock(subjects: &Subjects) -> Result<BTreeMap<DocId, Ending<'_>>, Stop> {
    let mut endings = BTreeMap::new();
    for (doc, handle) in &subjects.handles {
        match handle.try_ending() {
            Ok(Some(ending)) => drop(endings.insert(*doc, ending)),
            Ok(None) => return Err(Stop::Again),
            Err(WouldWait) => return Err(Stop::Wait(Arc::clone(handle))),
        }
    }
    Ok(endings)
}

/// Whether it is in a folder: a room whose name is no path is in none.
fn is_file(path: &str) -> bool {
    check_path(path).is_ok()
}

#[cfg(test)]
mod tests;
