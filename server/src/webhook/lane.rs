//! One vault's part of a webhook's queue: what was read of its feed and is not told.
//!
//! Driven by `queue`. Never has two deliveries of one document under way, and never holds an older
//! form of a document once a newer one was read.

use std::collections::BTreeMap;

use sheaf_protocol::ids::{DocId, VaultName};

use super::config::EventType;
use super::event::{self, Event};
use super::queue::{Timing, Tries};
use crate::vault::{Change, Cursor};
use sheaf_ground::time::Moment;
use sheaf_storage::store::keys::hooks::{OPEN_MAX, Open as Stored, Place};

/// What decides whether and when a change is told.
#[derive(Clone, Copy)]
pub(super) struct Rule<'a> {
    pub timing: &'a Timing,
    pub events: &'a [EventType],
    pub now: Moment,
}

/// A vault's part of the queue.
pub(super) struct Lane {
    /// The vault's.
    pub epoch: u64,
    /// Up to where its feed was read.
    pub seq: u64,
    /// Of a first reading that is not through: the horizon when it began.
    pub listing: Option<u64>,
    /// Documents made up to then are not new.
    pub known_until_ms: u64,
    /// Its place is not the stored one any more.
    pub is_unsaved: bool,
    open: BTreeMap<DocId, Open>,
}

/// A document of which there is something to tell.
struct Open {
    /// `None` after a restart, until the feed has given it back.
    change: Option<Change>,
    seq: u64,
    /// The receiver was never told of the document.
    is_new: bool,
    /// When the first change was read that is not told.
    begun: Moment,
    /// When to send it.
    due: Moment,
    tries: Tries,
    is_busy: bool,
    /// What was read while it was busy.
    next: Option<Change>,
}

/// What a told change was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// The first of its document.
    pub is_new: bool,
    /// The last.
    pub is_deleted: bool,
}

impl Lane {
    pub(super) fn at(place: &Place, is_unsaved: bool, now: Moment) -> Lane {
        let restore = |stored: &Stored| {
            let (failures, since_ms) = (stored.failures, stored.failing_since_ms);
            let open = Open {
                change: None,
                seq: stored.seq,
                is_new: stored.is_new,
                begun: now,
                due: now,
                tries: Tries { failures, since_ms, not_before: None },
                is_busy: false,
                next: None,
            };
            (stored.doc, open)
        };
        Lane {
            epoch: place.epoch,
            seq: place.seq,
            listing: None,
            known_until_ms: place.known_until_ms,
            is_unsaved,
            open: place.open.iter().map(restore).collect(),
        }
    }

    pub(super) fn place(&self) -> Place {
        let store = |(doc, open): (&DocId, &Open)| Stored {
            doc: *doc,
            // What was read while a delivery is under way is told after it, or instead of it.
            seq: open.next.as_ref().map_or(open.seq, |change| change.seq),
            is_new: open.is_new,
            failures: open.tries.failures,
            failing_since_ms: open.tries.since_ms,
        };
        Place {
            epoch: self.epoch,
            seq: self.seq,
            known_until_ms: self.known_until_ms,
            open: self.open.iter().map(store).collect(),
        }
    }

    /// Where to read on.
    pub(super) fn since(&self) -> Cursor {
        Cursor { listing: self.listing, ..Cursor::at(self.epoch, self.seq) }
    }

    /// Changes held.
    pub(super) fn held(&self) -> usize {
        self.open.len()
    }

    pub(super) fn advance(&mut self, seq: u64) {
        self.is_unsaved |= seq > self.seq;
        self.seq = self.seq.max(seq);
    }

    /// A change was read.
    pub(super) fn take_in(&mut self, change: Change, is_new: bool, rule: Rule<'_>) {
        self.advance(change.seq);
        let doc = change.file.id;
        match self.open.get_mut(&doc) {
            Some(open) if open.is_busy => open.next = Some(change),
            Some(_) => self.supersede(doc, change, rule),
            None => {
                if let Some(open) = Open::fresh(change, is_new, rule) {
                    self.open.insert(doc, open);
                }
            }
        }
    }

    /// A stored change is what it was when it was stored.
    pub(super) fn recall(&mut self, change: Change) {
        if let Some(open) = self.open.get_mut(&change.file.id)
            && open.change.is_none()
            && open.seq == change.seq
        {
            open.change = Some(change);
        }
    }

    /// Stored changes whose content is not known yet, by their place in the feed.
    pub(super) fn lost(&self) -> Vec<u64> {
        self.open.values().filter(|open| open.change.is_none()).map(|open| open.seq).collect()
    }

    pub(super) fn drop_lost(&mut self) {
        let before = self.open.len();
        self.open.retain(|_, open| open.change.is_some());
        self.is_unsaved |= self.open.len() != before;
    }

    /// The document that is due first, and when. A full lane does not wait for quiet.
    pub(super) fn first(&self) -> Option<(Moment, DocId)> {
        let is_full = self.open.len() >= OPEN_MAX;
        let ready = self.open.iter().filter(|(_, open)| !open.is_busy && open.change.is_some());
        let moment = |open: &Open| {
            let due = if is_full { open.begun } else { open.due };
            open.tries.not_before.map_or(due, |moment| moment.max(due))
        };
        ready.map(|(doc, open)| (moment(open), *doc)).min()
    }

    /// A delivery begins. Says whether it was tried before.
    pub(super) fn start(&mut self, vault: &VaultName, doc: DocId) -> (Event, bool) {
        let open = self.open.get_mut(&doc).expect("what is started is open");
        open.is_busy = true;
        let change = open.change.as_ref().expect("what is started has content");
        let event = event::of_document(vault, self.epoch, change, type_of(change, open.is_new));
        (event, open.tries.failures > 0)
    }

    /// It was taken.
    pub(super) fn told(&mut self, doc: DocId, rule: Rule<'_>) -> Told {
        self.is_unsaved = true;
        let Some(open) = self.open.remove(&doc) else {
            return Told { is_new: false, is_deleted: false };
        };
        let is_deleted = open.change.is_some_and(|change| change.file.is_deleted);
        if let Some(next) = open.next.and_then(|next| Open::fresh(next, false, rule)) {
            self.open.insert(doc, next);
        }
        Told { is_new: open.is_new, is_deleted }
    }

    /// It was not taken, which is nobody's failure.
    pub(super) fn keep(&mut self, doc: DocId, rule: Rule<'_>) {
        self.is_unsaved = true;
        let Some(open) = self.open.get_mut(&doc) else { return };
        open.is_busy = false;
        if let Some(next) = open.next.take() {
            self.supersede(doc, next, rule);
        }
    }

    /// It failed. `None` when there is nothing left to try: what it had become meanwhile is not
    /// wanted.
    pub(super) fn fail(&mut self, doc: DocId, now_ms: u64, rule: Rule<'_>) -> Option<Tries> {
        let open = self.open.get_mut(&doc)?;
        open.tries.failures += 1;
        if open.tries.since_ms == 0 {
            open.tries.since_ms = now_ms;
        }
        self.keep(doc, rule);
        self.open.get(&doc).map(|open| open.tries)
    }

    pub(super) fn postpone(&mut self, doc: DocId, moment: Moment) {
        if let Some(open) = self.open.get_mut(&doc) {
            open.tries.not_before = Some(moment);
        }
    }

    /// It is not tried any more.
    pub(super) fn give_up(&mut self, doc: DocId) {
        self.is_unsaved = true;
        self.open.remove(&doc);
    }

    /// When the oldest change that is not told was made, in milliseconds since 1970.
    pub(super) fn oldest_ms(&self) -> Option<u64> {
        let changes = self.open.values().filter_map(|open| open.change.as_ref());
        changes.map(|change| change.file.updated.ms()).min()
    }

    /// A newer form takes the place of one that is open.
    fn supersede(&mut self, doc: DocId, change: Change, rule: Rule<'_>) {
        let Some(open) = self.open.remove(&doc) else { return };
        let Some(mut newer) = Open::fresh(change, open.is_new, rule) else { return };
        // Debouncing ends where the first change put its end.
        newer.begun = open.begun;
        newer.due = newer.due.min(open.begun + rule.timing.debounce_max);
        // A receiver that fails is not tried more often because somebody types; but the newer form
        // was never tried, so its time begins anew.
        newer.tries = Tries { since_ms: 0, ..open.tries };
        self.open.insert(doc, newer);
    }
}

impl Open {
    /// `None` when the hook does not want to know.
    fn fresh(change: Change, is_new: bool, rule: Rule<'_>) -> Option<Open> {
        let event = type_of(&change, is_new);
        // Who never heard of a document need not hear that it is gone.
        let is_unknown = event == EventType::Deleted && is_new;
        if !rule.events.contains(&event) || is_unknown {
            return None;
        }
        let wait = if event == EventType::Changed { Some(rule.timing.debounce) } else { None };
        Some(Open {
            seq: change.seq,
            change: Some(change),
            is_new,
            begun: rule.now,
            due: wait.map_or(rule.now, |wait| rule.now + wait),
            tries: Tries::default(),
            is_busy: false,
            next: None,
        })
    }
}

fn type_of(change: &Change, is_new: bool) -> EventType {
    match (change.file.is_deleted, is_new) {
        (true, _) => EventType::Deleted,
        (false, true) => EventType::Created,
        (false, false) => EventType::Changed,
    }
}
