//! Who is present in a document, as the server knows it.
//!
//! Job: one entry per client id, owned by the reader that showed it, stamped with the server's own
//! clocks; the latest value only. Called by `readers`, under its lock. Never stores a state beyond
//! the reader that owns it, never repeats a clock, also not over a restart, never touches the
//! journal.
//!
//! The stock client keeps the clocks of those it saw but drops their states when its socket closes,
//! and then ignores a state with a clock it knows: seconds of blank presence. Hence clocks of our
//! own, raised also when a late joiner is sent what others already have.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use sheaf_protocol::limits;
use sheaf_protocol::scan::AwarenessEntry;

use super::readers::ReaderId;

/// How far ahead of use the ceiling is written down.
const CEILING_STEP: u32 = 65_536;

/// The server-wide source of awareness clocks, above all that earlier runs used.
#[derive(Debug)]
pub struct Clocks {
    high: AtomicU32,
    ceiling: AtomicU32,
}

impl Clocks {
    /// Starts above a ceiling read from the store.
    pub fn above(ceiling: u32) -> Self {
        Self { high: AtomicU32::new(ceiling), ceiling: AtomicU32::new(ceiling) }
    }

    /// The ceiling to write down now, if half of the step is used up. The caller journals it and
    /// then calls [`Clocks::raised`].
    pub fn to_raise(&self) -> Option<u32> {
        let (high, ceiling) =
            (self.high.load(Ordering::Relaxed), self.ceiling.load(Ordering::Relaxed));
        (high.saturating_add(CEILING_STEP / 2) >= ceiling)
            .then(|| high.saturating_add(CEILING_STEP))
    }

    /// A ceiling has been written down.
    pub fn raised(&self, ceiling: u32) {
        self.ceiling.fetch_max(ceiling, Ordering::Relaxed);
    }

    fn after(&self, last: Option<u32>) -> u32 {
        match last {
            None => self.high.fetch_add(1, Ordering::Relaxed) + 1,
            Some(last) => {
                self.high.fetch_max(last + 1, Ordering::Relaxed);
                last + 1
            }
        }
    }
}

/// One entry as it goes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The client id.
    pub client: u64,
    /// The server's clock for it.
    pub clock: u32,
    /// JSON text, or `None` for one that is gone.
    pub state: Option<Arc<str>>,
}

#[derive(Debug)]
struct Entry {
    holder: ReaderId,
    /// The client's own clock, to ignore repeats and echoes.
    inbound: Option<u32>,
    clock: u32,
    state: Option<Arc<str>>,
    version: u64,
    /// Who held the id before the present holder took it, and what they showed.
    contest: Option<(ReaderId, Option<Arc<str>>)>,
}

/// What came of a frame.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Something is to be shown to the others.
    pub has_changed: bool,
    /// Someone else held the claimed id: they are to be pinged.
    pub challenged: Option<ReaderId>,
}

/// The presence table of one document.
#[derive(Debug)]
pub struct Awareness {
    clocks: Arc<Clocks>,
    entries: HashMap<u64, Entry>,
    version: u64,
}

impl Awareness {
    /// An empty table that stamps with `clocks`.
    pub fn new(clocks: Arc<Clocks>) -> Self {
        Self { clocks, entries: HashMap::new(), version: 0 }
    }

    /// The number that rises with every change.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// How many client ids are shown.
    pub fn len(&self) -> usize {
        self.entries.values().filter(|entry| entry.state.is_some()).count()
    }

    /// True if nobody is shown.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Makes `holder` the owner of a client id. One that held it is to be challenged.
    pub fn claim(&mut self, holder: ReaderId, client: u64) -> Option<ReaderId> {
        match self.entries.get_mut(&client) {
            None => {
                if self.entries.len() >= limits::AWARENESS_IDS_MAX {
                    return None;
                }
                let clock = self.clocks.after(None);
                let entry =
                    Entry { holder, inbound: None, clock, state: None, version: 0, contest: None };
                self.entries.insert(client, entry);
                None
            }
            Some(entry) if entry.holder == holder => None,
            Some(entry) => {
                let before = std::mem::replace(&mut entry.holder, holder);
                entry.inbound = None;
                let is_live = entry.state.is_some();
                entry.contest = is_live.then(|| (before, entry.state.clone()));
                is_live.then_some(before)
            }
        }
    }

    /// The challenged reader answered: the id is theirs again. Returns the refused claimant.
    pub fn reclaim(&mut self, client: u64, answered: ReaderId) -> Option<ReaderId> {
        let entry = self.entries.get_mut(&client)?;
        let (_, state) = entry.contest.take_if(|(before, _)| *before == answered)?;
        let claimant = std::mem::replace(&mut entry.holder, answered);
        entry.inbound = None;
        self.show(client, state);
        Some(claimant)
    }

    /// Takes what the holder of an id shows of it. False for a repeat, or for one who does not
    /// hold it.
    pub fn receive(&mut self, holder: ReaderId, entry: &AwarenessEntry<'_>) -> bool {
        let Some(known) = self.entries.get_mut(&entry.client) else { return false };
        let is_gone = entry.is_gone();
        let is_news = match known.inbound {
            None => true,
            Some(last) => entry.clock > last || (entry.clock == last && is_gone),
        };
        if known.holder != holder || !is_news {
            return false;
        }
        known.inbound = Some(entry.clock);
        if is_gone && known.state.is_none() {
            return false;
        }
        self.show(entry.client, (!is_gone).then(|| Arc::from(entry.state)));
        true
    }

    fn show(&mut self, client: u64, state: Option<Arc<str>>) {
        self.version += 1;
        if let Some(entry) = self.entries.get_mut(&client) {
            entry.clock = self.clocks.after(Some(entry.clock));
            entry.state = state;
            entry.version = self.version;
        }
    }

    /// A reader has left: what it showed is gone for the others. True if it showed anything.
    pub fn leave(&mut self, holder: ReaderId) -> bool {
        let mut given_back = Vec::new();
        for (client, entry) in &mut self.entries {
            entry.contest.take_if(|(before, _)| *before == holder);
            // A claimant that goes before the challenged one answered leaves the id to that one.
            if entry.holder == holder
                && let Some((before, state)) = entry.contest.take()
            {
                entry.holder = before;
                entry.inbound = None;
                given_back.push((*client, state));
            }
        }
        let has_given_back = !given_back.is_empty();
        given_back.into_iter().for_each(|(client, state)| self.show(client, state));
        // A null that others have not gathered yet stays, until `forget`.
        self.entries.retain(|_, entry| entry.holder != holder || entry.version > 0);
        let is_shown = |entry: &Entry| entry.holder == holder && entry.state.is_some();
        let shown = self.entries.iter().filter(|(_, entry)| is_shown(entry));
        let clients: Vec<u64> = shown.map(|(client, _)| *client).collect();
        clients.iter().for_each(|client| self.show(*client, None));
        has_given_back || !clients.is_empty()
    }

    /// What a reader that has seen `seen` is to be shown, without its own. With `seen` 0 the reader
    /// is new, and every clock is raised.
    pub fn since(&mut self, seen: u64, reader: ReaderId, out: &mut Vec<Shown>) {
        for (&client, entry) in &mut self.entries {
            if entry.holder == reader || entry.version <= seen {
                continue;
            }
            if seen == 0 {
                if entry.state.is_none() {
                    continue;
                }
                entry.clock = self.clocks.after(Some(entry.clock));
            }
            out.push(Shown { client, clock: entry.clock, state: entry.state.clone() });
        }
    }

    /// What has changed after a version, with who holds it.
    pub fn news(&self, after: u64) -> impl Iterator<Item = (ReaderId, Shown)> {
        let news = self.entries.iter().filter(move |(_, entry)| entry.version > after);
        news.map(|(&client, entry)| {
            let (clock, state) = (entry.clock, entry.state.clone());
            (entry.holder, Shown { client, clock, state })
        })
    }

    /// Everyone who is shown, by client id.
    pub fn shown(&self) -> Vec<Shown> {
        let live = self.entries.iter().filter(|(_, entry)| entry.state.is_some());
        let mut shown: Vec<_> = live
            .map(|(&client, entry)| Shown {
                client,
                clock: entry.clock,
                state: entry.state.clone(),
            })
            .collect();
        shown.sort_unstable_by_key(|one| one.client);
        shown
    }

    /// Forgets those who are gone, once every reader has seen up to `seen`.
    pub fn forget(&mut self, seen: u64) {
        self.entries
            .retain(|_, entry| entry.state.is_some() || entry.version == 0 || entry.version > seen);
    }
}
