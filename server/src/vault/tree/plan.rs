//! What the steps of a change do to the names of a vault, one after the other.
//!
//! Called by `tree`, first to learn which documents are meant and again under all locks. Never
//! writes, and never looks into a document.

use std::collections::HashMap;
use std::sync::Arc;

use sheaf_protocol::ids::DocId;
use sheaf_protocol::vault::check_path;

use super::super::error::Error;
use super::super::upload::Base;
use super::{Act, FILES_MAX, Step, Undone, is_file};
use crate::document::ledger::arranging::Arrangement;
use crate::document::submission::Failure;

/// One document's part of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) step: usize,
    pub(super) doc: DocId,
    pub(super) from: Arc<str>,
    /// Its name from now on; none: it is deleted.
    pub(super) to: Option<Arc<str>>,
}

/// A file that comes in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Incoming {
    pub(super) step: usize,
    pub(super) doc: DocId,
    pub(super) path: Arc<str>,
    /// The change makes it.
    pub(super) is_new: bool,
}

/// What a change does.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// In order.
    pub(super) parts: Vec<Part>,
    /// What comes in, behind them.
    pub(super) written: Vec<Incoming>,
    /// What an edit keeps where a folder is deleted.
    pub(super) kept: Vec<(usize, DocId)>,
    /// Steps that leave a file where it is.
    pub(super) idle: Vec<(usize, DocId)>,
    /// The names of all documents that are looked at, from before the change.
    pub(super) before: HashMap<DocId, Arc<str>>,
}

impl Plan {
    /// Where documents are after it; none where they are deleted.
    pub(super) fn after(&self) -> HashMap<DocId, Option<Arc<str>>> {
        self.parts.iter().map(|part| (part.doc, part.to.clone())).collect()
    }
}

/// Carries steps out on the names. `is_edited`: whether a document changed since a version, or an
/// error if that never was.
/// `bring`: the id that the file of a step gets if it is made; none: the step came before.
pub(super) fn plan(
    steps: &[Step<'_>],
    names: &mut Arrangement<'_>,
    is_edited: &dyn Fn(DocId, u64) -> Result<bool, Error>,
    bring: &dyn Fn(usize) -> Option<DocId>,
) -> Result<Plan, Undone> {
    let (plan, busy) = (Plan::default(), HashMap::new());
    let mut planner = Planner { names, is_edited, bring, busy, plan };
    for (at, step) in steps.iter().enumerate() {
        planner.step(at, step).map_err(|error| Undone { step: Some(at), error })?;
        let count = planner.plan.before.len() + planner.plan.written.len();
        if count > FILES_MAX {
            return Err(Error::BatchTooLarge { max: FILES_MAX, what: "files" }.into());
        }
    }
    Ok(planner.plan)
}

struct Planner<'a, 'n> {
    names: &'a mut Arrangement<'n>,
    is_edited: &'a dyn Fn(DocId, u64) -> Result<bool, Error>,
    bring: &'a dyn Fn(usize) -> Option<DocId>,
    /// Documents that an earlier step is about, and whether it writes into them.
    busy: HashMap<DocId, bool>,
    plan: Plan,
}

impl Planner<'_, '_> {
    fn step(&mut self, at: usize, step: &Step<'_>) -> Result<(), Error> {
        let Some(made) = (self.bring)(at) else { return Ok(()) };
        let is_folder = step.is_folder();
        match step.act {
            Act::Delete { base, .. } if is_folder => self.delete_folder(at, step.path, base),
            Act::Delete { base, .. } => self.delete(at, step.path, base),
            Act::Move { to, .. } if is_folder => self.move_folder(at, step.path, to),
            Act::Move { to, .. } => self.relocate(at, step.path, to),
            Act::Upload(_) if is_folder => Ok(check_path(step.path)?),
            Act::Upload(upload) => self.bring((at, made), step.path, upload.base),
        }
    }

    fn bring(&mut self, (at, made): (usize, DocId), path: &str, base: Base) -> Result<(), Error> {
        if let Some((path, doc)) = self.names.find(path) {
            if let Base::Version(seq) = base {
                (self.is_edited)(doc, seq)?;
            }
            if self.busy.insert(doc, true).is_some() {
                return Err(Error::BadStep("an earlier step of this change moves or writes it"));
            }
            self.look_at(&path, doc);
            self.plan.written.push(Incoming { step: at, doc, path, is_new: false });
            return Ok(());
        }
        if matches!(base, Base::Version(1..)) {
            let what = "an edit of a file that is gone brings it back as a change of its own";
            return Err(Error::BadStep(what));
        }
        check_path(path)?;
        let (path, doc): (Arc<str>, _) = (path.into(), made);
        self.names.create(doc, &path).map_err(|taken| match taken {
            Some(path) => Error::PathTaken { path },
            None => Failure::Quota.into(),
        })?;
        self.busy.insert(doc, true);
        self.plan.written.push(Incoming { step: at, doc, path, is_new: true });
        Ok(())
    }

    fn delete(&mut self, at: usize, path: &str, base: Option<u64>) -> Result<(), Error> {
        let (from, doc) = self.find(path)?;
        if self.is_edited(doc, base)? {
            return Err(Error::EditWins { doc, file: None });
        }
        self.free(at, (from, doc), None)
    }

    fn delete_folder(&mut self, at: usize, path: &str, base: Option<u64>) -> Result<(), Error> {
        for (from, doc) in self.files(path)? {
            if self.is_edited(doc, base)? {
                self.look_at(&from, doc);
                self.plan.kept.push((at, doc));
            } else {
                self.free(at, (from, doc), None)?;
            }
        }
        Ok(())
    }

    fn relocate(&mut self, at: usize, path: &str, to: &str) -> Result<(), Error> {
        check_path(to)?;
        let (from, doc) = self.find(path)?;
        if path == to {
            self.look_at(&from, doc);
            self.plan.idle.push((at, doc));
            return Ok(());
        }
        let to: Arc<str> = to.into();
        self.free(at, (from, doc), Some(Arc::clone(&to)))?;
        self.take(doc, &to)
    }

    fn move_folder(&mut self, at: usize, path: &str, to: &str) -> Result<(), Error> {
        let Some(folder) = to.strip_suffix('/') else {
            return Err(Error::BadMove("the new path of a folder ends with a slash, too"));
        };
        check_path(folder)?;
        if to != path && to.starts_with(path) {
            return Err(Error::BadMove("a folder does not move into itself"));
        }
        let files = self.files(path)?;
        if to == path {
            self.plan.idle.extend(files.iter().map(|(_, doc)| (at, *doc)));
            files.iter().for_each(|(from, doc)| self.look_at(from, *doc));
            return Ok(());
        }
        // All of them leave before the first arrives: a folder's name may change in its case.
        let mut moved = Vec::with_capacity(files.len());
        for (from, doc) in files {
            let target: Arc<str> = format!("{to}{}", &from[path.len()..]).into();
            check_path(&target)?;
            self.free(at, (from, doc), Some(Arc::clone(&target)))?;
            moved.push((doc, target));
        }
        moved.iter().try_for_each(|(doc, target)| self.take(*doc, target))
    }

    fn is_edited(&self, doc: DocId, base: Option<u64>) -> Result<bool, Error> {
        base.map_or(Ok(false), |base| (self.is_edited)(doc, base))
    }

    fn find(&self, path: &str) -> Result<(Arc<str>, DocId), Error> {
        self.names.find(path).ok_or(Error::NoFile)
    }

    fn files(&self, path: &str) -> Result<Vec<(Arc<str>, DocId)>, Error> {
        let files = self.names.under(path).filter(|(path, _)| is_file(path));
        let files: Vec<_> = files.take(FILES_MAX + 1).collect();
        if files.is_empty() { Err(Error::NoFile) } else { Ok(files) }
    }

    fn free(
        &mut self,
        step: usize,
        (from, doc): (Arc<str>, DocId),
        to: Option<Arc<str>>,
    ) -> Result<(), Error> {
        if self.busy.insert(doc, false) == Some(true) {
            return Err(Error::BadStep("an earlier step of this change writes it"));
        }
        self.look_at(&from, doc);
        self.names.free(&from);
        self.plan.parts.push(Part { step, doc, from, to });
        Ok(())
    }

    fn look_at(&mut self, path: &Arc<str>, doc: DocId) {
        self.plan.before.entry(doc).or_insert_with(|| Arc::clone(path));
    }

    fn take(&mut self, doc: DocId, path: &Arc<str>) -> Result<(), Error> {
        self.names.take(doc, path).map_err(|path| Error::PathTaken { path })
    }
}
