//! Whole texts that are written together with other changes.
//!
//! Job: prepare what makes a text of a document without touching it, take it in under the
//! document's lock, give its records to whoever writes them with others, and show it to the readers
//! when that is done. Called by `vault`. Never shows what the journal does not have: a document
//! that took in what was not written after all is loaded again.

use std::panic::{AssertUnwindSafe, catch_unwind};

use sheaf_protocol::error::{Code, Refusal};
use sheaf_protocol::plan::Source;
use sheaf_protocol::scan;

use super::author::{Author, DIFF_TIME_MAX, WriteError, check_size};
use super::diff::{self, Until};
use super::ending::Ending;
use super::handle::Handle;
use super::merge::{Core, Notes, Taken};
use super::reconcile::reconcile;
use super::snapshot::Content;
use super::state::fork::Fork;
use super::submission::{Failure, Submission};
use sheaf_storage::journal::{Appended, Record};

/// How a text comes into a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Manner {
    /// As [`Handle::put_text`].
    Put,
    /// As [`Handle::add_text`].
    Add,
    /// As [`Handle::merge_text`]: made of this state, its text's root and its text.
    Merge {
        /// The state, encoded.
        state: Vec<u8>,
        /// The root of its text, if it had one.
        root: Option<String>,
        /// Its text.
        was: String,
    },
}

/// What is to be written, made for a document at one count of entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The count of entries.
    pub n: u64,
    /// The change; none if the text is so already.
    pub update: Option<Vec<u8>>,
    /// The text with it.
    pub text: String,
    /// There is nothing in the document with it, in any root.
    pub is_empty: bool,
}

/// What a document has taken in and the journal does not have yet.
pub struct Merged<'u> {
    taken: Taken<'u>,
    notes: Notes,
    now_ms: u64,
}

impl Handle {
    /// Prepares what makes the document's text this one. Blocks the thread.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub fn draft_text(&self, manner: &Manner, text: &str) -> Result<Draft, WriteError> {
        check_size(text.len())?;
        let until = self.shared.clock.now() + DIFF_TIME_MAX;
        let until = Until::new(&self.shared.clock, until);
        let (n, client, state) = {
            let mut authors = self.authors();
            let mut core = self.core();
            self.check(&core, None)?;
            // One of its own: others may write while this one waits for the rest of its change.
            let client = authors.fresh(&core);
            (core.n(), client, self.look(&mut core, Core::whole)?)
        };
        let root = &self.shared.text_root;
        let made = catch_unwind(AssertUnwindSafe(|| {
            let now = Fork::of(&state, client)?;
            let before = now.content(root);
            let (root, old) = text_of(&before, root)?;
            let change = change(now, (root, old), (manner, text, client), until)?;
            let after = match &change {
                Some(update) => Fork::with(&state, update)?.content(root),
                None => before.clone(),
            };
            // What is taken out may be gone since the version that it is taken out of, and what is
            // put in there too.
            let update = change.filter(|_| after != before);
            let is_empty = after == Content::Empty;
            Ok::<_, WriteError>((update, text_of(&after, root)?.1.to_owned(), is_empty))
        }));
        let (update, text, is_empty) = made.map_err(|_| self.broke(&mut self.core()))??;
        check_size(update.as_ref().map_or(0, Vec::len))?;
        Ok(Draft { n, update, text, is_empty })
    }
}

/// The change that makes the text; none if there is none.
fn change(
    now: Fork,
    (root, old): (&str, &str),
    (manner, text, client): (&Manner, &str, u32),
    until: Until<'_>,
) -> Result<Option<Vec<u8>>, WriteError> {
    let (fork, root, steps) = match manner {
        Manner::Put => (now, root, diff::steps(old, text, until)),
        Manner::Add => (now, root, diff::union(old, text, until)),
        Manner::Merge { state, root: own, was } => {
            let (theirs, mine) = (diff::steps(was, old, until), diff::steps(was, text, until));
            let root = own.as_deref().unwrap_or(root);
            (Fork::of(state, client)?, root, reconcile(was, &theirs, &mine))
        }
    };
    Ok((!steps.is_empty()).then(|| fork.edit(root, &steps)))
}

fn text_of<'c>(content: &'c Content, text_root: &'c str) -> Result<(&'c str, &'c str), WriteError> {
    match content {
        Content::Empty => Ok((text_root, "")),
        Content::Text { root, text } => Ok((root, text)),
        Content::Other { root } => Err(WriteError::NotText { root: root.clone() }),
    }
}

impl Ending<'_> {
    /// Takes an update in, or nothing but the document itself; it must be written before this is
    /// dropped, or the document is loaded again.
    ///
    /// # Errors
    /// `Refused`: the document does not take it. `Failed`: it does not take it now.
    pub fn merge<'u>(
        &mut self,
        by: Author<'_>,
        update: Option<&'u [u8]>,
    ) -> Result<Merged<'u>, WriteError> {
        let mut taken = Taken::default();
        if let Some(update) = update {
            let submission = Submission { source: Source::Update, update: scan::update(update)? };
            self.is_ahead = true;
            let by = by.submitter();
            let core = &mut *self.core;
            let merged = catch_unwind(AssertUnwindSafe(|| {
                core.merge(&[submission], by, &mut taken, |_, _| None);
            }));
            if merged.is_err() || taken.broken.is_some() {
                let what = "the update broke the document";
                return Err(Refusal { code: Code::Malformed, at: 0, what }.into());
            }
            if let Some(refusal) = taken.receipt.refusal.take() {
                return Err(refusal.into());
            }
            // Somebody has the client id by now, or the copy was of another document.
            if taken.receipt.has_stopped() || taken.updates.is_empty() {
                return Err(Failure::Dropped.into());
            }
            taken.receipt.changed = taken.updates.len();
        }
        let notes = self.core.notes(self.handle.name(), &taken);
        Ok(Merged { taken, notes, now_ms: self.handle.shared.clock.now_ms() })
    }

    /// The records of what was taken in.
    pub fn records<'r>(&mut self, by: Author<'r>, merged: &'r Merged<'_>) -> Vec<Record<'r>> {
        let Merged { taken, notes, now_ms } = merged;
        self.core.records(self.handle.key(), by.principal, taken, notes, *now_ms)
    }

    /// They are written: readers are shown what came.
    pub fn wrote(&mut self, by: Author<'_>, merged: Merged<'_>, appended: Appended) {
        let Merged { mut taken, now_ms, .. } = merged;
        self.handle.wrote(&mut self.core, by, &taken, (appended, now_ms));
        self.is_ahead = false;
        let fanout = self.handle.publish(None, by.submitter(), &mut taken);
        self.handle.charge(self.core.state().live_bytes());
        self.handle.deliver(fanout);
        self.handle.count(1, taken.receipt.changed, &taken.receipt);
    }
}
