//! Writing a change of the tree: under all locks, as one record.
//!
//! Called by `tree` with what it has gathered. Never writes a part of it, and shows nobody a text
//! before it is written.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use sheaf_protocol::error::Code;
use sheaf_protocol::ids::{DocId, DocKey};
use sheaf_protocol::stamp::Stamp;

use super::super::book::{Book, Entry, State};
use super::super::condition::At;
use super::super::error::Error;
use super::super::settle::tombstone;
use super::super::upload::Uploaded;
use super::super::upload::again::stamp_payload;
use super::super::{Vaults, address, made_by};
use super::bringing::{Brought, Ready};
use super::incoming::Writer;
use super::plan::{Incoming, Part, Plan, plan};
use super::{FILES_MAX, Step, Stop, Subjects, Undone};
use crate::document::author::{Author, WriteError};
use crate::document::draft::Merged;
use crate::document::ending::{Ending, WouldWait};
use crate::document::ledger::arranging::Place;
use crate::document::registry::OpenError;
use crate::document::submission::Failure;
use sheaf_storage::journal::record::PAYLOAD_BYTES_MAX;
use sheaf_storage::journal::{Appended, Kind};
use sheaf_storage::store::{Body, Item, Stamped};

/// What the records of a file that comes in have beside its update and its path.
const RECORDS_BYTES: usize = 1_024;

/// What a document's log is like.
pub(super) struct Facts {
    pub(super) n: u64,
    pub(super) bytes: Option<u64>,
    epoch: u64,
    clients: Option<Vec<u64>>,
}

/// A change that is written.
pub(super) struct Shown {
    pub(super) plan: Plan,
    /// The seq of its first part.
    pub(super) first: u64,
    /// The seq of its last one; where nothing changed, of the vault.
    pub(super) last: u64,
    /// What came of the uploads, by step.
    pub(super) uploaded: Vec<(usize, Uploaded)>,
    /// What its stamped steps came to.
    stamped: Vec<(Stamp, Stamped)>,
}

/// A change, where it is written, and what documents took in for it.
type Written<'r> = (Shown, Option<Appended>, Vec<(DocId, Merged<'r>)>);

impl Vaults {
    /// Writes the change under all locks: of the documents, of the book and of the names.
    pub(super) fn write_change(
        &self,
        book: &Book,
        (steps, brought): (&[Step<'_>], &Brought),
        (subjects, ready, is_patient): (&Subjects, &BTreeMap<usize, Ready>, bool),
        by: Author<'_>,
    ) -> Result<(Shown, Option<Appended>), Stop> {
        let mut facts = self.stored_facts(book, subjects)?;
        let mut endings = lock(subjects, ready)?;
        for (doc, ending) in &endings {
            let mark = ending.mark();
            let (n, bytes, clients) = (mark.n, Some(mark.bytes), Some(ending.clients()));
            facts.insert(*doc, Facts { n, bytes, epoch: mark.epoch, clients });
        }
        let mut state = book.state();
        let written = book.account().rearrange(|names| {
            let is_edited = |doc: DocId, base: u64| {
                let is_later = state.is_later(doc, base)?;
                let is_behind = |facts: &Facts| state.is_behind(doc, facts.n);
                Ok(is_later || facts.get(&doc).is_some_and(is_behind))
            };
            let bring = |step: usize| brought.made(step);
            let plan = plan(steps, names, &is_edited, &bring)?;
            let after = plan.after();
            let new = plan.written.iter().filter(|one| one.is_new);
            let targets = after.values().flatten().chain(new.map(|one| &one.path));
            let is_known = plan.before.keys().all(|doc| facts.contains_key(doc))
                && targets.into_iter().all(|path| subjects.targets.contains(path));
            let is_moving =
                |doc: &DocId| facts.get(doc).is_some_and(|it| state.is_behind(*doc, it.n));
            if !is_known || (is_patient && plan.parts.iter().any(|part| is_moving(&part.doc))) {
                return Err(Stop::Again);
            }
            check_ready(&plan, (ready, &facts), &state)?;
            check_conditions(&plan, steps, (&facts, &state))?;
            self.check_room(book, (&plan, ready), brought)?;
            let writer = Writer { book, brought, ready, facts: &facts, by };
            let (shown, appended, merged) =
                self.commit_plan(&writer, &mut state, plan, &mut endings)?;
            let places = places(&shown.plan, after, &state);
            Ok(((shown, appended, merged), places))
        });
        drop(state);
        let (shown, appended, merged) = written?;
        let Some(appended) = appended else { return Ok((shown, None)) };
        for (doc, merged) in merged {
            if let Some(ending) = endings.get_mut(&doc) {
                ending.wrote(by, merged, appended);
            }
        }
        for (doc, path) in shown.plan.after() {
            if let Some(ending) = endings.remove(&doc) {
                let why = if path.is_some() { Failure::Moved } else { Failure::Deleted };
                ending.end(why, appended.end);
            }
        }
        let new = shown.plan.written.iter().filter(|one| one.is_new).map(|one| &one.path);
        for path in shown.plan.after().values().flatten().chain(new) {
            self.registry().expel(&address(book.account().name(), path));
        }
        self.wrote(book, (&shown, brought), appended);
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

    /// Writes all of it as one record: what the uploads bring to the logs, and the items.
    fn commit_plan<'r>(
        &self,
        writer: &Writer<'r>,
        state: &mut State,
        plan: Plan,
        endings: &mut BTreeMap<DocId, Ending<'_>>,
    ) -> Result<Written<'r>, Stop> {
        let Writer { book, brought, ready, by, .. } = writer;
        let mut entries = self.entries(writer, state, &plan)?;
        let mut merged = Vec::with_capacity(plan.written.len());
        for one in &plan.written {
            let update = ready.get(&one.step).and_then(Ready::update);
            if (one.is_new || update.is_some())
                && let Some(ending) = endings.get_mut(&one.doc)
            {
                let took = ending.merge(*by, update).map_err(|error| refused(one.step, &error))?;
                merged.push((one.doc, took));
            }
        }
        let mut records = Vec::new();
        for (doc, merged) in &merged {
            if let Some(ending) = endings.get_mut(doc) {
                records.extend(ending.records(*by, merged));
            }
        }
        let first = state.last() + 1;
        let mut uploaded = Vec::with_capacity(plan.written.len());
        for one in &plan.written {
            let last = records.iter().rfind(|record| record.doc.doc == one.doc);
            let written = last.map(|record| record.stamp);
            let next = first + entries.len() as u64;
            let made = writer.incoming(self, state, (one, written), next);
            entries.extend(made.versions.into_iter().map(|(item, made)| {
                let (kind, doc, by) = (Kind::Settled, one.doc, by.principal.name());
                Entry { kind, doc, item, made, renamed: None, retired: None, by }
            }));
            uploaded.push((one.step, made.uploaded));
        }
        let stamped = self.stamped_steps(brought, (&plan, first), &uploaded);
        let payloads = stamped.iter().map(|(stamp, came_to)| stamp_payload(*stamp, *came_to));
        let payloads: Vec<_> = payloads.collect();
        records.extend(stamped.iter().zip(&payloads).map(|((_, came_to), payload)| {
            let doc = DocKey { vault: book.account().number(), doc: came_to.doc };
            self.stamp_record(doc, *by, payload)
        }));
        if entries.is_empty() && records.is_empty() {
            let last = state.visible();
            let shown = Shown { plan, first, last, uploaded, stamped };
            return Ok((shown, None, Vec::new()));
        }
        let written = book.commit_together(state, self.registry(), entries, &records)?;
        let Some(appended) = written else { return Err(too_large(&plan).into()) };
        book.account().raise_fence(appended.end);
        drop(records);
        let last = state.last();
        Ok((Shown { plan, first, last, uploaded, stamped }, Some(appended), merged))
    }

    /// What the stamped steps of a change came to whose first part has the seq `first`. One that
    /// changes nothing is not remembered: it may come again.
    fn stamped_steps(
        &self,
        brought: &Brought,
        (plan, first): (&Plan, u64),
        uploaded: &[(usize, Uploaded)],
    ) -> Vec<(Stamp, Stamped)> {
        let mut steps: BTreeMap<usize, (DocId, u64, u32)> = BTreeMap::new();
        for (part, seq) in plan.parts.iter().zip(first..) {
            let count = steps.get(&part.step).map_or(0, |(.., count)| *count);
            steps.insert(part.step, (part.doc, seq, count + 1));
        }
        steps.extend(uploaded.iter().map(|(step, it)| (*step, (it.at.doc, it.version, 0))));
        let received_ms = self.shared().clock.now_ms();
        let came_to = |(step, (doc, seq, count))| {
            let (stamp, fingerprint) = brought.stamp(step)?;
            Some((stamp, Stamped { doc, seq, fingerprint, received_ms, count }))
        };
        steps.into_iter().filter_map(came_to).collect()
    }

    /// Whether the vault and one record have room for what comes in.
    fn check_room(
        &self,
        book: &Book,
        (plan, ready): (&Plan, &BTreeMap<usize, Ready>),
        brought: &Brought,
    ) -> Result<(), Undone> {
        if plan.written.is_empty() {
            return Ok(());
        }
        if !self.shared().journal.is_writable() || book.account().is_closed() {
            return Err(Failure::ReadOnly.into());
        }
        let (mut stored, mut record) = (0, 0);
        for one in &plan.written {
            let update = ready.get(&one.step).and_then(Ready::update).map_or(0, <[u8]>::len);
            let bytes = brought.blob(one.step).map_or(0, |coming| coming.size);
            stored += update + usize::try_from(bytes).unwrap_or(usize::MAX / 2);
            record += update + one.path.len() * 2 + RECORDS_BYTES;
            if stored > 0 && book.account().is_over(stored) {
                return Err(Undone { step: Some(one.step), error: Failure::Quota.into() });
            }
        }
        // Before anything is taken in: what is in a document's memory is not taken back.
        let parts = plan.parts.iter().map(|part| part.from.len() * 3 + RECORDS_BYTES);
        let is_over = record + parts.sum::<usize>() > PAYLOAD_BYTES_MAX;
        if is_over { Err(too_large(plan)) } else { Ok(()) }
    }

    /// It is written: what is kept in memory of uploads and bytes.
    fn wrote(&self, book: &Book, (shown, brought): (&Shown, &Brought), appended: Appended) {
        let mut state = book.state();
        let folded = self.shared().journal.folded();
        for (stamp, came_to) in &shown.stamped {
            state.set_stamped(*stamp, *came_to, (appended.end, folded));
        }
        let mut charged = Vec::new();
        for (step, uploaded) in &shown.uploaded {
            let Uploaded { at: At { doc, .. }, has_changed, .. } = *uploaded;
            if has_changed {
                state.set_uploaded(doc, brought.print(*step));
            }
            if has_changed && brought.blob(*step).is_some() {
                charged.extend(state.current(doc).map(|item| (doc, item.bytes)));
            }
        }
        drop(state);
        charged.into_iter().for_each(|(doc, bytes)| book.account().charge(doc, bytes, 0));
    }

    /// What deletions and moves make of items.
    fn entries<'r>(
        &self,
        Writer { facts, by, .. }: &Writer<'r>,
        state: &State,
        plan: &'r Plan,
    ) -> Result<Vec<Entry<'r>>, Stop> {
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
            self.sign(&mut item, *by);
            items.insert(*doc, item.clone());
            let made = made_by(by.principal);
            let kind = if to.is_some() { Kind::Moved } else { Kind::Deleted };
            let retired = facts.clients.as_deref().filter(|_| facts.n > 0);
            let (renamed, by) = (Some((&**from, facts.epoch)), by.principal.name());
            entries.push(Entry { kind, doc: *doc, item, made, renamed, retired, by });
        }
        Ok(entries)
    }
}

/// Whether what was prepared is still what the plan is about.
fn check_ready(
    plan: &Plan,
    (ready, facts): (&BTreeMap<usize, Ready>, &HashMap<DocId, Facts>),
    state: &State,
) -> Result<(), Stop> {
    let is_ready = |one: &Incoming| {
        let Some(ready) = ready.get(&one.step) else { return false };
        let facts = facts.get(&one.doc);
        let n = facts.map_or(0, |facts| facts.n);
        // What others wrote before is a version of its own.
        let is_settled = one.is_new || !state.is_behind(one.doc, n);
        let is_right = ready.is_new() == one.is_new && ready.doc == one.doc;
        let seq = state.current(one.doc).map_or(0, |item| item.seq);
        let is_settled = is_settled && ready.rival().is_none_or(|rival| rival.seen == seq);
        is_right && is_settled && ready.draft().is_none_or(|draft| draft.n == n)
    };
    if plan.written.iter().all(is_ready) { Ok(()) } else { Err(Stop::Again) }
}

/// Whether what steps depend on is as they want it. Nobody else writes until they are written.
fn check_conditions(
    plan: &Plan,
    steps: &[Step<'_>],
    (facts, state): (&HashMap<DocId, Facts>, &State),
) -> Result<(), Undone> {
    let written = plan.written.iter().map(|one| (one.step, one.doc, one.is_new));
    let parts = plan.parts.iter().map(|part| (part.step, part.doc, false));
    let idle = plan.idle.iter().map(|(step, doc)| (*step, *doc, false));
    for (step, doc, is_new) in parts.chain(idle).chain(written) {
        if steps[step].is_folder() {
            continue;
        }
        let n = facts.get(&doc).map_or(0, |facts| facts.n);
        let at = (!is_new).then(|| At::of(doc, n, state.current(doc)));
        (steps[step].asked().when)(at).map_err(|error| Undone { step: Some(step), error })?;
    }
    Ok(())
}

/// Where documents are from now on.
fn places(
    plan: &Plan,
    after: HashMap<DocId, Option<Arc<str>>>,
    state: &State,
) -> Vec<(DocId, Place)> {
    let place = |(doc, path): (DocId, Option<Arc<str>>)| match path {
        Some(path) => (doc, Place::At(path)),
        None => (doc, Place::Buried(state.current(doc).map_or(0, |item| item.bytes))),
    };
    let new = plan.written.iter().filter(|one| one.is_new);
    let new = new.map(|one| (one.doc, Place::New(Arc::clone(&one.path))));
    after.into_iter().map(place).chain(new).collect()
}

/// An update that a document does not take.
fn refused(step: usize, error: &WriteError) -> Stop {
    match error {
        WriteError::Refused(refusal) if refusal.code != Code::ForeignId => {
            Stop::Undone(Undone { step: Some(step), error: Error::Refused(*refusal) })
        }
        _ => Stop::Again,
    }
}

fn too_large(plan: &Plan) -> Undone {
    let error = match plan.written.is_empty() {
        true => Error::BatchTooLarge { max: FILES_MAX, what: "files of long paths" },
        false => Error::BatchTooLarge { max: PAYLOAD_BYTES_MAX, what: "bytes" },
    };
    error.into()
}

/// Locks the documents that are in memory or about to be made, for a commit of all of them.
fn lock<'a>(
    subjects: &'a Subjects,
    ready: &'a BTreeMap<usize, Ready>,
) -> Result<BTreeMap<DocId, Ending<'a>>, Stop> {
    let mut endings = BTreeMap::new();
    for (doc, handle) in &subjects.handles {
        match handle.try_ending() {
            Ok(Some(ending)) => drop(endings.insert(*doc, ending)),
            Ok(None) => return Err(Stop::Again),
            Err(WouldWait) => return Err(Stop::Wait(Arc::clone(handle))),
        }
    }
    for handle in ready.values().filter_map(Ready::unborn) {
        let Ok(Some(ending)) = handle.try_beginning() else { return Err(Stop::Again) };
        endings.insert(handle.key().doc, ending);
    }
    Ok(endings)
}
