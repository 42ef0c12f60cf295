//! Writes that come from no session: whole texts, lists of edits, updates.
//!
//! Job: edit a fork of the document under a client id of the author's own and submit the
//! difference like any other update, so that everyone who reads the document sees an edit. Called
//! by HTTP, inside `task::block`. Never edits the document itself, never uses a client id from
//! before a restart.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use bytes::Bytes;
use rand::Rng as _;
use rand::rngs::StdRng;
use sheaf_protocol::error::{Code, Refusal};
use sheaf_protocol::ids::{DocKey, Principal};
use sheaf_protocol::limits::MESSAGE_BYTES_MAX;
use sheaf_protocol::plan::Source;
use sheaf_protocol::scan;
use sheaf_protocol::stamp::Stamp;

use super::diff::{self, PLACES_MAX, Until};
use super::edit::{self, BadEdit, Edit, Step, Unit};
use super::handle::Handle;
use super::merge::{Core, Taken};
use super::owners::Submitter;
use super::reconcile::reconcile;
use super::snapshot::Content;
use super::state::fork::Fork;
use super::state::revert::revert;
use super::submission::{Failure, Submission};
use sheaf_ground::time::Seed;

/// How long to look for fewer edits in a text that is put; over it the edits get coarser.
pub(super) const DIFF_TIME_MAX: Duration = Duration::from_millis(100);

/// Client ids remembered per document; when they are more, all authors get new ones.
const AUTHORS_MAX: usize = 1024;

/// Client ids tried when others take them: one in four thousand million does.
const DRAWS_MAX: usize = 4;

/// What a frame adds to an update that is sent in it.
const FRAME_BYTES_MAX: usize = 16;

/// Who writes.
#[derive(Clone, Copy, Debug)]
pub struct Author<'a> {
    /// The principal.
    pub principal: &'a Principal,
    /// May relay any principal's client ids (admins, imports, peers).
    pub may_relay: bool,
    /// The device; 0 where none is named.
    pub device: u64,
    /// The stamp of what is written and what tells it from others: noted in the same append, so
    /// that who is killed or cut off in between comes again and finds it done.
    pub stamped: Option<(Stamp, u64)>,
}

impl<'a> Author<'a> {
    /// Somebody who writes in nobody else's name, by no device in particular.
    #[must_use]
    pub const fn of(principal: &'a Principal) -> Self {
        Self { principal, may_relay: false, device: 0, stamped: None }
    }

    /// As one that submits. Nobody waits here for an owner's session: it counts as asked.
    pub fn submitter(self) -> Submitter<'a> {
        Submitter { author: self, asked: None }
    }
}

/// On what a write depends; looked at under the lock under which it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnlyIf {
    /// The document does not exist yet. One that was made empty has no entries and exists.
    New,
    /// It has so many entries.
    At(u64),
}

/// What a write came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// The document's count of entries after it.
    pub n: u64,
    /// The write is durable when everything before this journal position is.
    pub end: u64,
    /// Something was written.
    pub has_changed: bool,
    /// There was no document before it.
    pub is_created: bool,
}

/// Why a write changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The document is at another count of entries than the write was made for.
    #[error("the document is at {n}")]
    Stale {
        /// Where it is.
        n: u64,
    },
    /// The document's content is no text.
    #[error("the content is no text")]
    NotText {
        /// The roots that have content, with commas.
        root: String,
    },
    /// An edit does not fit the text.
    #[error("edit {index}: {why}")]
    BadEdit {
        /// Its place in the list.
        index: usize,
        /// What is wrong with it.
        why: &'static str,
    },
    /// What was to be written was refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The document cannot be written now.
    #[error(transparent)]
    Failed(#[from] Failure),
}

impl From<BadEdit> for WriteError {
    fn from(BadEdit { index, why }: BadEdit) -> Self {
        WriteError::BadEdit { index, why }
    }
}

/// The client ids under which those without a session write into one document, for as long as it
/// is in memory.
#[derive(Debug)]
pub(super) struct Authors {
    ids: HashMap<Principal, u32>,
    draws: StdRng,
}

impl Authors {
    /// None yet; those of another process or another document are others.
    pub(super) fn new(doc: DocKey, seed: &Seed) -> Self {
        Self { ids: HashMap::new(), draws: seed.generator(&format!("author {doc}")) }
    }

    /// The id of a principal; a new one is one that the document does not know.
    fn id(&mut self, who: &Principal, core: &Core) -> u32 {
        if let Some(id) = self.ids.get(who) {
            return *id;
        }
        if self.ids.len() >= AUTHORS_MAX {
            self.ids.clear();
        }
        let id = self.fresh(core);
        self.ids.insert(who.clone(), id);
        id
    }

    /// An id that the document does not know.
    pub(super) fn fresh(&mut self, core: &Core) -> u32 {
        loop {
            let id = self.draws.next_u32();
            if !core.knows(u64::from(id)) {
                return id;
            }
        }
    }
}

/// The moment of a document that a fork is made of.
struct Base {
    state: Bytes,
    client: u32,
    /// Where the client id's clock stands.
    clock: u32,
}

impl Handle {
    /// Makes the document's text this one, by the edits that lead from what it is to it; what
    /// others typed meanwhile stays. A document that nobody has written yet exists afterwards, also
    /// with an empty text. Blocks the thread.
    ///
    /// # Errors
    /// See [`WriteError`]; nothing has changed then.
    pub fn put_text(
        &self,
        by: Author<'_>,
        text: &str,
        only_if: Option<OnlyIf>,
    ) -> Result<Written, WriteError> {
        check_size(text.len())?;
        let until = self.shared.clock.now() + DIFF_TIME_MAX;
        let until = Until::new(&self.shared.clock, until);
        self.edit(by, only_if, &|old| Ok(diff::steps(old, text, until)))
    }

    /// Brings into the document's text the lines of this one that it lacks, and takes nothing out:
    /// for who has never seen it. Blocks the thread.
    ///
    /// # Errors
    /// See [`WriteError`]; nothing has changed then.
    pub fn add_text(
        &self,
        by: Author<'_>,
        text: &str,
        only_if: Option<OnlyIf>,
    ) -> Result<Written, WriteError> {
        check_size(text.len())?;
        let until = self.shared.clock.now() + DIFF_TIME_MAX;
        let until = Until::new(&self.shared.clock, until);
        self.edit(by, only_if, &|old| Ok(diff::union(old, text, until)))
    }

    /// Brings in what makes `text` of an earlier state of the document, beside what others did
    /// since; see `reconcile`. Of that state the second argument has its bytes, the root of its
    /// text if it had one, and the text. Blocks the thread.
    ///
    /// # Errors
    /// See [`WriteError`]; nothing has changed then.
    pub fn merge_text(
        &self,
        by: Author<'_>,
        (state, root, was): (&[u8], Option<&str>, &str),
        text: &str,
        only_if: Option<OnlyIf>,
    ) -> Result<Written, WriteError> {
        check_size(text.len())?;
        let until = self.shared.clock.now() + DIFF_TIME_MAX;
        let until = Until::new(&self.shared.clock, until);
        let mine = diff::steps(was, text, until);
        let mut authors = self.authors();
        for tries in 1.. {
            let (n, client, now_root, now) = {
                let mut core = self.core();
                self.check(&core, only_if)?;
                let client = authors.fresh(&core);
                let text_root = &self.shared.text_root;
                let content = self.look(&mut core, |core| core.state_mut().content(text_root))?;
                match content {
                    Content::Empty => (core.n(), client, text_root.to_string(), String::new()),
                    Content::Text { root, text } => (core.n(), client, root, text),
                    Content::Other { root } => return Err(WriteError::NotText { root }),
                }
            };
            let theirs = diff::steps(was, &now, until);
            let steps = reconcile(was, &theirs, &mine);
            let root = root.unwrap_or(&now_root);
            let edited = catch_unwind(AssertUnwindSafe(|| {
                let fork = || Fork::of(state, client).map(|fork| fork.edit(root, &steps));
                (!steps.is_empty()).then(fork).transpose()
            }));
            let update = edited.map_err(|_| self.broke(&mut self.core()))??;
            // What others typed meanwhile merges as well; their words are looked at once more.
            let now = (tries < DRAWS_MAX).then_some(OnlyIf::At(n)).or(only_if);
            let base = Base { state: Bytes::new(), client, clock: 0 };
            match self.submit_fork(by, &base, update.as_deref(), now) {
                Ok(Some(written)) => return Ok(written),
                Ok(None) if tries >= DRAWS_MAX => break,
                Ok(None) | Err(WriteError::Stale { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let what = "no client id was free";
        Err(Refusal { code: Code::Internal, at: 0, what }.into())
    }

    /// Makes the document again what it was at an earlier state of it, whatever it holds. Blocks
    /// the thread.
    ///
    /// # Errors
    /// See [`WriteError`]; `NotText` also where that cannot be done. Nothing has changed then.
    pub fn revert(
        &self,
        by: Author<'_>,
        was: &[u8],
        only_if: Option<OnlyIf>,
    ) -> Result<Written, WriteError> {
        let mut authors = self.authors();
        for _ in 0..DRAWS_MAX {
            let (state, client, n) = {
                let mut core = self.core();
                self.check(&core, only_if)?;
                let client = authors.fresh(&core);
                (self.look(&mut core, Core::whole)?, client, core.n())
            };
            let reverted = catch_unwind(AssertUnwindSafe(|| revert(was, &state, client)));
            let update = reverted.map_err(|_| self.broke(&mut self.core()))??;
            let base = Base { state, client, clock: 0 };
            match self.submit_fork(by, &base, update.as_deref(), Some(OnlyIf::At(n))) {
                Ok(Some(written)) => return Ok(written),
                Ok(None) | Err(WriteError::Stale { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Err(Failure::Dropped.into())
    }

    /// Applies edits to the text, all or none, if it has exactly `if_n` entries. Blocks the thread.
    ///
    /// # Errors
    /// See [`WriteError`]; nothing has changed then.
    pub fn patch_text(
        &self,
        by: Author<'_>,
        edits: &[Edit],
        unit: Unit,
        if_n: u64,
    ) -> Result<Written, WriteError> {
        check_size(edits.iter().map(Edit::text).map(str::len).sum())?;
        if edits.len() > PLACES_MAX {
            return Err(Refusal::too_large(0, "too many edits at once").into());
        }
        let only_if = Some(OnlyIf::At(if_n));
        self.edit(by, only_if, &|old| edit::steps(old, edits, unit).map_err(WriteError::from))
    }

    /// Makes the document known, empty; one that is there already stays as it is. Blocks the
    /// thread.
    ///
    /// # Errors
    /// See [`WriteError`]; nothing has changed then.
    pub fn make(&self, by: Author<'_>) -> Result<Written, WriteError> {
        let mut core = self.core();
        self.check(&core, None)?;
        self.create(&mut core, by)
    }

    /// Submits an update as it is: the whole of it is taken, or nothing. An empty one makes the
    /// document known. Blocks the thread.
    ///
    /// # Errors
    /// See [`WriteError`]; nothing has changed then.
    pub fn post_update(
        &self,
        by: Author<'_>,
        update: &[u8],
        only_if: Option<OnlyIf>,
    ) -> Result<Written, WriteError> {
        check_size(update.len())?;
        let update = scan::update(update)?;
        let mut core = self.core();
        self.check(&core, only_if)?;
        if update.is_empty() {
            return self.create(&mut core, by);
        }
        // It may hold other people's blocks too, as an answer to a state vector does.
        let source = Source::Step2;
        let plan = core.state().plan(&update, source)?;
        if plan.is_none_or(|plan| plan.has_gap) {
            let what = "the update builds on blocks that the document does not have";
            return Err(Refusal { code: Code::GapLeftOpen, at: 0, what }.into());
        }
        self.submit_alone(&mut core, by, Submission { source, update })
    }

    /// Edits the text in a fork and submits the difference.
    fn edit<'t>(
        &self,
        by: Author<'_>,
        only_if: Option<OnlyIf>,
        steps: &dyn Fn(&str) -> Result<Vec<Step<'t>>, WriteError>,
    ) -> Result<Written, WriteError> {
        let mut authors = self.authors();
        for _ in 0..DRAWS_MAX {
            let base = self.base(&mut authors, by.principal, only_if)?;
            let edited = catch_unwind(AssertUnwindSafe(|| self.edit_fork(&base, steps)));
            let update = edited.map_err(|_| self.broke(&mut self.core()))??;
            if let Some(written) = self.submit_fork(by, &base, update.as_deref(), only_if)? {
                return Ok(written);
            }
            authors.ids.remove(by.principal);
        }
        let what = "no client id was free";
        Err(Refusal { code: Code::Internal, at: 0, what }.into())
    }

    /// The difference that the steps make, if they make any.
    fn edit_fork<'t>(
        &self,
        base: &Base,
        steps: &dyn Fn(&str) -> Result<Vec<Step<'t>>, WriteError>,
    ) -> Result<Option<Vec<u8>>, WriteError> {
        let fork = Fork::of(&base.state, base.client)?;
        let (root, old) = match fork.content(&self.shared.text_root) {
            Content::Empty => (self.shared.text_root.to_string(), String::new()),
            Content::Text { root, text } => (root, text),
            Content::Other { root } => return Err(WriteError::NotText { root }),
        };
        let steps = steps(&old)?;
        Ok((!steps.is_empty()).then(|| fork.edit(&root, &steps)))
    }

    fn base(
        &self,
        authors: &mut Authors,
        who: &Principal,
        only_if: Option<OnlyIf>,
    ) -> Result<Base, WriteError> {
        let mut core = self.core();
        self.check(&core, only_if)?;
        let client = authors.id(who, &core);
        let clock = core.clock(u64::from(client));
        let state = self.look(&mut core, Core::whole)?;
        self.touch();
        Ok(Base { state, client, clock })
    }

    pub(super) fn check(&self, core: &Core, only_if: Option<OnlyIf>) -> Result<(), WriteError> {
        if self.is_dropped() {
            return Err(self.ended().into());
        }
        let is_met = match only_if {
            None => true,
            Some(OnlyIf::New) => !core.is_created(),
            Some(OnlyIf::At(n)) => n == core.n(),
        };
        if is_met { Ok(()) } else { Err(WriteError::Stale { n: core.n() }) }
    }

    /// Hands in what was edited in a fork. `None`: somebody else has taken the client id.
    fn submit_fork(
        &self,
        by: Author<'_>,
        base: &Base,
        update: Option<&[u8]>,
        only_if: Option<OnlyIf>,
    ) -> Result<Option<Written>, WriteError> {
        let mut core = self.core();
        self.check(&core, only_if)?;
        let Some(update) = update else { return self.create(&mut core, by).map(Some) };
        if core.clock(u64::from(base.client)) != base.clock {
            return Ok(None);
        }
        check_size(update.len())?;
        let submission = Submission { source: Source::Update, update: scan::update(update)? };
        match self.submit_alone(&mut core, by, submission) {
            Ok(written) => Ok(Some(written)),
            Err(WriteError::Refused(refusal)) if refusal.code == Code::ForeignId => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes the document known although there is nothing in it.
    fn create(&self, core: &mut Core, by: Author<'_>) -> Result<Written, WriteError> {
        let is_new = !core.is_created();
        if is_new {
            if let Some(failure) = self.prevented(&[]) {
                return Err(failure.into());
            }
            self.admit_new()?;
            self.write(core, by, &Taken::default())?;
        }
        Ok(Written { n: core.n(), end: self.end(), has_changed: is_new, is_created: is_new })
    }

    fn submit_alone(
        &self,
        core: &mut Core,
        by: Author<'_>,
        submission: Submission<'_>,
    ) -> Result<Written, WriteError> {
        let (before, was_created) = (core.n(), core.is_created());
        let (receipt, fanout) = self.commit(core, None, by.submitter(), &[submission])?;
        self.deliver(fanout);
        self.count(1, receipt.changed, &receipt);
        if let Some(refusal) = receipt.refusal {
            return Err(refusal.into());
        }
        if receipt.has_gap {
            let what = "the edit builds on blocks that the document does not have";
            return Err(Refusal { code: Code::GapLeftOpen, at: 0, what }.into());
        }
        if receipt.past.is_some() {
            let what = "the update is of a document that had this name before";
            return Err(Refusal { code: Code::EpochChanged, at: 0, what }.into());
        }
        let n = core.n();
        let is_created = !was_created && core.is_created();
        Ok(Written { n, end: self.end(), has_changed: n > before, is_created })
    }
}

pub(super) fn check_size(bytes: usize) -> Result<(), Refusal> {
    if bytes > MESSAGE_BYTES_MAX - FRAME_BYTES_MAX {
        return Err(Refusal::too_large(0, "more than one message can carry"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
