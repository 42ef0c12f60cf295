//! What one webhook still has to tell, and when: debouncing, order, retries. A pure function of
//! what is put in and the times given: no clock, no network, no store.
//!
//! Driven by `teller`. Never holds more of a vault than fits one stored place: the feed keeps the
//! rest, and has each document but once.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use rand::RngExt;
use rand::rngs::StdRng;
use sheaf_protocol::ids::{DocId, VaultName};
use sheaf_protocol::stamp::Stamp;

use super::config::{EventType, Hook};
use super::event::{self, Event};
use super::lane::{Lane, Rule};
use crate::vault::{Change, Cursor};
use sheaf_ground::time::Moment;
use sheaf_storage::store::HookNews;
use sheaf_storage::store::keys::hooks::{OPEN_MAX, Place};

/// The longest pause between two tries.
const PAUSE_MAX: Duration = Duration::from_secs(3600);
/// Changes that one hook holds over all vaults; beyond it feeds are not read on.
const HELD_MAX: usize = 4096;

/// How a try went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// 2xx.
    Taken,
    /// 410: the receiver wants no more.
    Gone,
    /// Anything else, with what a `Retry-After` asked for.
    Failed(Option<Duration>),
}

/// What became of an event by a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It was told.
    Told,
    /// It will be tried again.
    Again,
    /// It was tried for too long and is given up.
    Dead,
    /// It stays until the hook works again.
    Kept,
}

/// What an event is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// A document.
    Document(VaultName, DocId),
    /// The oldest session event.
    Session(Stamp),
}

/// An event that is due, taken out to be sent.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub about: About,
    pub event: Event,
    /// Whether it was tried before.
    pub is_retry: bool,
}

/// When things are told. Copied from the hook's configuration.
#[derive(Clone, Debug)]
pub(super) struct Timing {
    pub debounce: Duration,
    pub debounce_max: Duration,
    pub retry_for: Duration,
    pub parallel_max: usize,
    pub session_events_max: usize,
}

/// What a hook still has to tell.
pub(super) struct Queue {
    timing: Timing,
    events: Vec<EventType>,
    lanes: BTreeMap<VaultName, Lane>,
    sessions: VecDeque<(Stamp, Bytes)>,
    /// Tries of the oldest session event: it goes before the later ones.
    session: Tries,
    is_session_busy: bool,
    /// Tries in vain since the last good one, of whatever event: the receiver is down.
    failures: u32,
    not_before: Option<Moment>,
    in_flight: usize,
    is_disabled: bool,
    /// Beside the places of changed lanes, what is to be stored.
    unsaved: HookNews,
    jitter: StdRng,
}

/// Tries in vain of one event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tries {
    pub failures: u32,
    /// Milliseconds since 1970; 0 before the first.
    pub since_ms: u64,
    pub not_before: Option<Moment>,
}

impl Queue {
    pub(super) fn new(hook: &Hook, jitter: StdRng) -> Queue {
        let timing = Timing {
            debounce: hook.debounce,
            debounce_max: hook.debounce_max,
            retry_for: hook.retry_for,
            parallel_max: hook.parallel_max,
            session_events_max: hook.session_events_max,
        };
        Queue {
            timing,
            events: hook.events.clone(),
            lanes: BTreeMap::new(),
            sessions: VecDeque::new(),
            session: Tries::default(),
            is_session_busy: false,
            failures: 0,
            not_before: None,
            in_flight: 0,
            is_disabled: false,
            unsaved: HookNews::default(),
            jitter,
        }
    }

    /// Goes on where a vault's stored place is, or from a fresh one, which is then to be stored.
    pub(super) fn begin(&mut self, vault: &VaultName, place: &Place, is_fresh: bool, now: Moment) {
        self.lanes.insert(vault.clone(), Lane::at(place, is_fresh, now));
    }

    /// Forgets a vault that is no more.
    pub(super) fn end(&mut self, vault: &VaultName) {
        if self.lanes.remove(vault).is_some() {
            self.unsaved.told.retain(|(of, _)| of != vault);
            self.unsaved.forgotten.retain(|(of, _)| of != vault);
            self.unsaved.places.push((vault.clone(), None));
        }
    }

    /// The hook began.
    pub(super) fn begun(&mut self, now_ms: u64) {
        self.unsaved.begun_ms = Some(now_ms);
    }

    /// Up to where a vault's feed was read.
    pub(super) fn lane(&self, vault: &VaultName) -> Option<&Lane> {
        self.lanes.get(vault)
    }

    /// How many changes of a vault can be taken in.
    pub(super) fn room(&self, vault: &VaultName) -> usize {
        let held: usize = self.lanes.values().map(Lane::held).sum();
        let own = self.lanes.get(vault).map_or(0, Lane::held);
        OPEN_MAX.saturating_sub(own).min(HELD_MAX.saturating_sub(held))
    }

    /// Takes in what was read of a vault's feed: changes in order, each with whether its document
    /// is new to the hook, and up to where that was.
    pub(super) fn read(
        &mut self,
        vault: &VaultName,
        changes: Vec<(Change, bool)>,
        upto: Cursor,
        now: Moment,
    ) {
        let Some(lane) = self.lanes.get_mut(vault) else { return };
        let rule = Rule { timing: &self.timing, events: &self.events, now };
        let knows_new = self.events.contains(&EventType::Created);
        for (change, is_new) in changes {
            lane.take_in(change, is_new && knows_new, rule);
        }
        lane.advance(upto.seq);
        lane.listing = upto.listing;
    }

    /// Gives a stored open change its content back, if it has not changed since.
    pub(super) fn recall(&mut self, vault: &VaultName, change: Change) {
        if let Some(lane) = self.lanes.get_mut(vault) {
            lane.recall(change);
        }
    }

    /// The feed was read to its end: what is still without content is gone from it.
    pub(super) fn drop_lost(&mut self, vault: &VaultName) {
        if let Some(lane) = self.lanes.get_mut(vault) {
            lane.drop_lost();
        }
    }

    /// Takes in a session's event, already stored. Says how many old ones had to go for it.
    pub(super) fn push_session(&mut self, stamp: Stamp, body: Bytes) -> u64 {
        self.sessions.push_back((stamp, body));
        let mut dropped = 0;
        while self.sessions.len() > self.timing.session_events_max {
            // The first may be on its way.
            let Some((stamp, _)) = self.sessions.remove(usize::from(self.is_session_busy)) else {
                break;
            };
            if !self.is_session_busy {
                self.session = Tries::default();
            }
            self.unsaved.gone.push(stamp);
            dropped += 1;
        }
        dropped
    }

    /// The next event that is due, if one may be sent now.
    pub(super) fn take(&mut self, now: Moment) -> Option<Job> {
        if !self.is_open(now) {
            return None;
        }
        let lanes = self.lanes.iter().filter_map(|(vault, lane)| {
            let (due, doc) = lane.first()?;
            Some((due, About::Document(vault.clone(), doc)))
        });
        let session = self.session_due(now).map(|(due, stamp)| (due, About::Session(stamp)));
        let due = lanes.chain(session).filter(|(due, _)| *due <= now);
        let (_, about) = due.min_by_key(|(due, _)| *due)?;
        self.in_flight += 1;
        match &about {
            About::Document(vault, doc) => {
                let lane = self.lanes.get_mut(vault).expect("it was found there");
                let (event, is_retry) = lane.start(vault, *doc);
                Some(Job { event, is_retry, about })
            }
            About::Session(stamp) => {
                self.is_session_busy = true;
                let body = self.sessions.front().expect("it was found there").1.clone();
                let event = Event { id: event::id_of_session(*stamp), body };
                Some(Job { event, is_retry: self.session.failures > 0, about })
            }
        }
    }

    /// What became of a job.
    pub(super) fn done(
        &mut self,
        job: &Job,
        outcome: Outcome,
        now: Moment,
        now_ms: u64,
    ) -> Verdict {
        self.in_flight -= 1;
        match outcome {
            Outcome::Taken => {
                self.failures = 0;
                self.not_before = None;
            }
            Outcome::Gone => self.is_disabled = true,
            // Others that were under way when the first one failed say nothing new.
            Outcome::Failed(wanted) if self.not_before.is_none_or(|moment| moment <= now) => {
                self.failures += 1;
                let pause = pause(self.failures, &mut self.jitter);
                self.not_before = Some(now + pause.max(wanted.unwrap_or_default().min(PAUSE_MAX)));
            }
            Outcome::Failed(_) => {}
        }
        match &job.about {
            About::Document(vault, doc) => self.document_done((vault, *doc), outcome, now, now_ms),
            About::Session(stamp) => self.session_done(*stamp, outcome, now, now_ms),
        }
    }

    fn document_done(
        &mut self,
        (vault, doc): (&VaultName, DocId),
        outcome: Outcome,
        now: Moment,
        now_ms: u64,
    ) -> Verdict {
        // Its vault may have gone meanwhile.
        let Some(lane) = self.lanes.get_mut(vault) else { return Verdict::Told };
        let rule = Rule { timing: &self.timing, events: &self.events, now };
        match outcome {
            Outcome::Taken => {
                let told = lane.told(doc, rule);
                let entry = (vault.clone(), doc);
                if told.is_deleted {
                    self.unsaved.told.retain(|told| *told != entry);
                    self.unsaved.forgotten.push(entry);
                } else if told.is_new {
                    self.unsaved.told.push(entry);
                }
                Verdict::Told
            }
            Outcome::Gone => {
                lane.keep(doc, rule);
                Verdict::Kept
            }
            Outcome::Failed(_) => {
                let Some(tries) = lane.fail(doc, now_ms, rule) else { return Verdict::Dead };
                if is_dead(tries, self.timing.retry_for, now_ms) {
                    lane.give_up(doc);
                    return Verdict::Dead;
                }
                lane.postpone(doc, now + pause(tries.failures, &mut self.jitter));
                Verdict::Again
            }
        }
    }

    fn session_done(
        &mut self,
        stamp: Stamp,
        outcome: Outcome,
        now: Moment,
        now_ms: u64,
    ) -> Verdict {
        self.is_session_busy = false;
        let verdict = match outcome {
            Outcome::Taken => Verdict::Told,
            Outcome::Gone => return Verdict::Kept,
            Outcome::Failed(_) => {
                self.session.failures += 1;
                self.session.not_before =
                    Some(now + pause(self.session.failures, &mut self.jitter));
                // Its own time, so that restarts do not prolong it.
                let tries = Tries { since_ms: stamp.ms(), ..self.session };
                if !is_dead(tries, self.timing.retry_for, now_ms) {
                    return Verdict::Again;
                }
                Verdict::Dead
            }
        };
        self.session = Tries::default();
        self.sessions.retain(|(other, _)| *other != stamp);
        self.unsaved.gone.push(stamp);
        verdict
    }

    /// When there may be something to send; `None` while only an outcome or news can change that.
    pub(super) fn next(&self, now: Moment) -> Option<Moment> {
        if self.is_disabled || self.in_flight >= self.limit() {
            return None;
        }
        let lanes = self.lanes.values().filter_map(|lane| Some(lane.first()?.0));
        let due = lanes.chain(self.session_due(now).map(|(due, _)| due)).min()?;
        Some(self.not_before.map_or(due, |moment| moment.max(due)))
    }

    /// Events read or stored, and not told.
    pub(super) fn pending(&self) -> usize {
        self.lanes.values().map(Lane::held).sum::<usize>() + self.sessions.len()
    }

    /// The time of the oldest of them, in milliseconds since 1970.
    pub(super) fn oldest_ms(&self) -> Option<u64> {
        let session = self.sessions.front().map(|(stamp, _)| stamp.ms());
        self.lanes.values().filter_map(Lane::oldest_ms).chain(session).min()
    }

    pub(super) fn is_disabled(&self) -> bool {
        self.is_disabled
    }

    /// Whether something is to be stored.
    pub(super) fn is_unsaved(&self) -> bool {
        !self.unsaved.is_empty() || self.lanes.values().any(|lane| lane.is_unsaved)
    }

    /// What is to be stored.
    pub(super) fn news(&self) -> HookNews {
        let mut news = self.unsaved.clone();
        let changed = self.lanes.iter().filter(|(_, lane)| lane.is_unsaved);
        news.places.extend(changed.map(|(vault, lane)| (vault.clone(), Some(lane.place()))));
        news
    }

    /// It is stored.
    pub(super) fn saved(&mut self) {
        self.unsaved = HookNews::default();
        for lane in self.lanes.values_mut() {
            lane.is_unsaved = false;
        }
    }

    /// Whether a document's first telling is done and not stored yet.
    pub(super) fn has_just_told(&self, vault: &VaultName, doc: DocId) -> bool {
        self.unsaved.told.iter().any(|(of, told)| of == vault && *told == doc)
    }

    fn is_open(&self, now: Moment) -> bool {
        !self.is_disabled
            && self.in_flight < self.limit()
            && self.not_before.is_none_or(|moment| moment <= now)
    }

    /// A receiver that fails gets one delivery at a time, to find out whether it is back.
    fn limit(&self) -> usize {
        if self.failures > 0 { 1 } else { self.timing.parallel_max }
    }

    fn session_due(&self, now: Moment) -> Option<(Moment, Stamp)> {
        if self.is_session_busy {
            return None;
        }
        let (stamp, _) = self.sessions.front()?;
        Some((self.session.not_before.unwrap_or(now), *stamp))
    }
}

fn is_dead(tries: Tries, retry_for: Duration, now_ms: u64) -> bool {
    let failing_ms = now_ms.saturating_sub(tries.since_ms);
    tries.since_ms > 0 && failing_ms >= retry_for.as_millis() as u64
}

/// From 1 s to 1 h: doubled with each failure, the upper half of it drawn.
fn pause(failures: u32, jitter: &mut StdRng) -> Duration {
    let whole = Duration::from_secs(1 << failures.clamp(1, 12)).min(PAUSE_MAX);
    whole.mul_f64(jitter.random_range(0.5..=1.0))
}

#[cfg(test)]
mod tests;
