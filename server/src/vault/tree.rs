//! Changing the tree: deleting and moving files and whole folders, many of them as one change.
//!
//! Job: find out which documents a change is about, keep them as they are while it is written as
//! one record, and end them for whoever has them open. Called by the edges. Never does a part of a
//! change, and never loads a document only because its name changes.

mod bringing;
mod commit;
mod incoming;
mod plan;

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::Arc;

use sheaf_protocol::ids::{DocId, DocKey, VaultName};
use sheaf_protocol::stamp::Stamp;
use sheaf_protocol::vault::check_path;

use self::bringing::{Brought, Ready};
use self::commit::Shown;
use self::plan::{Plan, plan};
use super::book::Book;
use super::condition::{ANYHOW, When};
use super::error::Error;
use super::file::File;
use super::upload::{Upload, Uploaded};
use super::{SETTLES_MAX, Vaults, address};
use crate::document::author::Author;
use crate::document::handle::{Handle, Name};
use crate::document::registry::OpenError;
use crate::document::registry::holding::Held;
use crate::document::submission::Failure;
use sheaf_ground::task;
use sheaf_storage::journal::Appended;

/// Files that one change may be about: their names are looked at under the vault's lock, and what
/// is written of them is one record.
pub const FILES_MAX: usize = 10_000;

/// How often a change is begun again because files came or went while it was prepared.
const ATTEMPTS: usize = 64;

/// One step of a change. A path that ends with a slash is a folder: the live files under it.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// What it is about.
    pub path: &'a str,
    /// What happens to it.
    pub act: Act<'a>,
}

/// What a step does.
#[derive(Clone, Copy, Debug)]
pub enum Act<'a> {
    /// It goes.
    Delete {
        /// Only what was there at this version: a file that changed since lives.
        base: Option<u64>,
        /// How.
        asked: Asked<'a>,
    },
    /// It gets another path.
    Move {
        /// Of a folder the path of a folder.
        to: &'a str,
        /// How.
        asked: Asked<'a>,
    },
    /// A whole file comes in, as by `Vaults::upload`.
    Upload(&'a Upload<'a>),
}

/// How a deletion or a move is asked for.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// Its own stamp: one that comes again with it changes nothing.
    pub stamp: Option<Stamp>,
    /// On what it depends, unless it came before. Of a folder it is not asked.
    pub when: When<'a>,
}

impl Default for Asked<'_> {
    fn default() -> Self {
        Self { stamp: None, when: ANYHOW }
    }
}

impl fmt::Debug for Asked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked").field("stamp", &self.stamp).finish_non_exhaustive()
    }
}

impl<'a> Step<'a> {
    /// Whether it is about all files under a path.
    fn is_folder(&self) -> bool {
        self.path.ends_with('/')
    }

    /// How it is asked for.
    fn asked(&self) -> Asked<'a> {
        match self.act {
            Act::Delete { asked, .. } | Act::Move { asked, .. } => asked,
            Act::Upload(Upload { stamp, when, .. }) => Asked { stamp: *stamp, when: *when },
        }
    }
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
    /// What came of an upload.
    pub uploaded: Option<Uploaded>,
}

impl From<Uploaded> for Done {
    fn from(uploaded: Uploaded) -> Done {
        let (seq, id) = (uploaded.version, Some(uploaded.at.doc));
        Done { seq, id, uploaded: Some(uploaded), ..Done::default() }
    }
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

impl Subjects {
    fn new(held: Held) -> Subjects {
        let (handles, absent, targets) = Default::default();
        Subjects { held, handles, absent, targets }
    }
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
    /// With the step: `NoFile`; `EditWins`; `PathTaken`; `BadPath`; `BadMove`; `BadStep`; those of
    /// an upload. Without: `NoVault`; `BatchTooLarge`; `Open`; `Failed`. Everything is as before
    /// then.
    pub async fn change(
        &self,
        name: &VaultName,
        steps: &[Step<'_>],
        by: Author<'_>,
    ) -> Result<Vec<Done>, Undone> {
        let book = self.live_or_new(name, steps)?;
        let _turn = book.turn.lock().await;
        let mut brought = self.bring(&book, steps).await?;
        match self.carry_out(&book, (steps, &brought), by).await {
            Ok(shown) => self.show(&book, (steps, brought.take_known()), shown).await,
            Err(undone) => Err(self.with_file(&book, undone).await),
        }
    }

    /// The vault; one that a first upload makes, if it may.
    fn live_or_new(&self, name: &VaultName, steps: &[Step<'_>]) -> Result<Arc<Book>, Error> {
        match self.live(name) {
            Err(Error::NoVault) if steps.iter().any(|step| matches!(step.act, Act::Upload(_))) => {
                Ok(self.book(&self.registry().account(name)?))
            }
            found => found,
        }
    }

    /// Writes a change; nothing is kept from anybody when it returns.
    async fn carry_out(
        &self,
        book: &Book,
        (steps, brought): (&[Step<'_>], &Brought),
        by: Author<'_>,
    ) -> Result<(Shown, Option<Appended>), Undone> {
        let mut subjects = Subjects::new(self.registry().hold());
        for attempt in 0..ATTEMPTS {
            let draft = self.draft(book, steps, brought)?;
            if !draft.written.is_empty() {
                // What is written is opened, which must not wait for what is held.
                subjects = Subjects::new(self.registry().hold());
            }
            self.settle_those(book, &draft, &subjects).await?;
            let Some(ready) = self.prepare(book, &draft, steps).await? else { continue };
            self.gather(book, (&draft, &ready), &mut subjects).await?;
            let _work = self.shared().work.begin().await;
            let is_patient = attempt < SETTLES_MAX;
            let write = || {
                let all = (&subjects, &ready, is_patient);
                self.write_change(book, (steps, brought), all, by)
            };
            let written = task::block(write);
            match written {
                Ok(written) => return Ok(written),
                Err(Stop::Again) => {}
                Err(Stop::Wait(handle)) => task::block(|| handle.wait_checkpoint()),
                Err(Stop::Undone(undone)) => return Err(undone),
            }
        }
        Err(Failure::Busy.into())
    }

    /// What the steps would do now, as far as names tell.
    fn draft(&self, book: &Book, steps: &[Step<'_>], brought: &Brought) -> Result<Plan, Undone> {
        let state = book.state();
        let is_edited = |doc: DocId, base: u64| state.is_later(doc, base);
        let bring = |step: usize| brought.made(step);
        book.account().try_out(|names| plan(steps, names, &is_edited, &bring))
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

    pub(super) fn is_unsettled(&self, book: &Book, (doc, name): (DocId, &Name)) -> bool {
        let n = self.registry().in_memory(name).map(|handle| handle.n());
        let key = DocKey { vault: book.account().number(), doc };
        let n = n.unwrap_or_else(|| self.registry().store().last_n(key));
        book.state().is_behind(doc, n)
    }

    /// Finds the documents of a draft in memory, or keeps them out of it.
    async fn gather(
        &self,
        book: &Book,
        (draft, ready): (&Plan, &BTreeMap<usize, Ready>),
        subjects: &mut Subjects,
    ) -> Result<(), Error> {
        let vault = book.account().name();
        let open = ready.values().filter_map(Ready::open);
        subjects.handles = open.map(|handle| (handle.key().doc, Arc::clone(handle))).collect();
        for (doc, path) in &draft.before {
            if subjects.handles.contains_key(doc) {
                continue;
            }
            match subjects.held.add(&address(vault, path)).await? {
                None => drop(subjects.absent.insert(*doc)),
                Some(handle) if handle.key().doc == *doc => {
                    subjects.handles.insert(*doc, handle);
                }
                // The name is another's by now, or was nobody's when it was opened.
                Some(_) => self.registry().expel(&address(vault, path)),
            }
        }
        let made = draft.written.iter().filter(|one| one.is_new).map(|one| Arc::clone(&one.path));
        for path in draft.after().into_values().flatten().chain(made) {
            subjects.held.add(&address(vault, &path)).await?;
            subjects.targets.insert(path);
        }
        Ok(())
    }

    /// Waits until a change is durable, shows it and tells what its steps came to.
    async fn show(
        &self,
        book: &Book,
        (steps, done_again): (&[Step<'_>], Vec<(usize, Done)>),
        (shown, appended): (Shown, Option<Appended>),
    ) -> Result<Vec<Done>, Undone> {
        let Shown { plan, first, last, uploaded, .. } = shown;
        // What it found done may be somebody's who still waits.
        let end = appended.map_or_else(|| book.state().staged_end(), |it| it.end);
        self.durable(end).await?;
        self.publish(book);
        let mut done = vec![Done { seq: last, ..Done::default() }; steps.len()];
        for (part, seq) in plan.parts.iter().zip(first..) {
            let done = &mut done[part.step];
            (done.seq, done.count) = (seq, done.count + 1);
            done.id = Some(part.doc).filter(|_| !steps[part.step].is_folder());
        }
        done_again.into_iter().for_each(|(at, known)| done[at] = known);
        for (at, uploaded) in uploaded {
            done[at] = uploaded.into();
        }
        for (at, doc) in &plan.idle {
            if !steps[*at].is_folder() {
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

/// Whether it is in a folder: a room whose name is no path is in none.
fn is_file(path: &str) -> bool {
    check_path(path).is_ok()
}

#[cfg(test)]
mod tests;
