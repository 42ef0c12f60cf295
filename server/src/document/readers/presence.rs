//! What readers show of themselves, and how the others are told.
//!
//! Job: who may show what, and one frame for all who are to see the same. Called by `handle`, under
//! the readers' lock. Never tells a document's readers more than about thirty times a second: a
//! caret moves with every keystroke of everyone, and only where it is last matters.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sheaf_ground::time::Moment;
use sheaf_protocol::scan;

use super::{DIRECT_READERS_MAX, ReaderId, Readers};
use crate::document::awareness::Shown;
use crate::document::fanout::{Fanout, Frames, Framing, Piece};

/// Least time between two tellings. A person sees no difference to at once.
const TELLING_INTERVAL: Duration = Duration::from_millis(33);

/// What the readers of a document were last told of those who are present.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// The version that everyone who was idle has seen.
    version: u64,
    at: Option<Moment>,
    /// Somebody has promised to call [`Readers::tell`].
    pub(super) is_due: bool,
}

/// What is to be done after a reader showed something.
#[derive(Debug)]
pub enum Telling {
    /// Nothing: it was no news, or somebody else sees to it.
    Nothing,
    /// This, now.
    Now(Fanout),
    /// [`Readers::tell`], then.
    At(Moment),
}

/// Presence that many readers are sent.
#[derive(Debug)]
struct News {
    shown: Vec<Shown>,
    frames: Frames,
}

impl Piece for News {
    fn framed(&self, framing: &dyn Framing) -> Cow<'_, Bytes> {
        self.frames.of(framing, |out| framing.frame_presence(&self.shown, out))
    }

    fn updates(&self) -> usize {
        0
    }
}

impl Readers {
    /// How many client ids are shown.
    pub fn shown(&self) -> usize {
        self.awareness.len()
    }

    /// Everyone who is shown, by client id.
    pub fn present(&self) -> Vec<Shown> {
        self.awareness.shown()
    }

    /// Makes the reader be shown everyone again.
    pub fn show_again(&mut self, id: ReaderId) {
        if let Some(reader) = self.get(id) {
            reader.seen = 0;
        }
    }

    /// The first client id that an awareness frame of this reader would claim, if it has none.
    pub fn claimable(&mut self, id: ReaderId, frame: &scan::Awareness<'_>) -> Option<u64> {
        let reader = self.get(id)?;
        if reader.shows.is_some() || reader.is_refused {
            return None;
        }
        let mut entries = frame.entries();
        match (entries.next(), entries.next()) {
            (Some(entry), None) if !entry.is_gone() => Some(entry.client),
            _ => None,
        }
    }

    /// Binds a client id to the reader; one who held it is challenged.
    pub fn claim(&mut self, id: ReaderId, client: u64) {
        let challenged = self.awareness.claim(id, client);
        if let Some(reader) = self.get(id) {
            reader.shows = Some(client);
        }
        if let Some(reader) = challenged.and_then(|holder| self.get(holder)) {
            reader.notices.is_challenged = true;
            reader.wake();
        }
    }

    /// Takes the entry of an awareness frame that the reader owns; all others are echoes.
    pub fn show(&mut self, id: ReaderId, frame: &scan::Awareness<'_>, now: Moment) -> Telling {
        let Some(own) = self.get(id).and_then(|reader| reader.shows) else {
            return Telling::Nothing;
        };
        let mut has_changed = false;
        for entry in frame.entries().filter(|entry| entry.client == own) {
            has_changed |= self.awareness.receive(id, &entry);
        }
        if !has_changed || self.told.is_due {
            return Telling::Nothing;
        }
        match self.told.at.map(|at| at + TELLING_INTERVAL) {
            Some(next) if next > now => {
                self.told.is_due = true;
                Telling::At(next)
            }
            _ => Telling::Now(self.tell(now)),
        }
    }

    /// Tells everyone what they have not seen of the others: those who are idle and lack the same
    /// by one frame, the others when they gather.
    pub fn tell(&mut self, now: Moment) -> Fanout {
        let (version, end) = (self.awareness.version(), self.tail.end());
        let before =
            std::mem::replace(&mut self.told, Told { version, at: Some(now), is_due: false });
        let (holders, shown): (Vec<_>, Vec<_>) = self.awareness.news(before.version).unzip();
        let is_direct = self.slab.len() <= DIRECT_READERS_MAX;
        let mut to = std::mem::take(&mut self.spare);
        for (slot, reader) in &mut self.slab {
            let id = ReaderId { slot, serial: reader.serial };
            // A new reader has seen nothing: it is shown everyone, with clocks of its own.
            let lacks_the_news = reader.seen == before.version && reader.seen > 0;
            if lacks_the_news && holders.iter().all(|holder| *holder == id) {
                reader.seen = version;
                continue;
            }
            let is_idle = reader.is_armed && reader.cursor == end && !reader.has_news();
            let is_plain = is_idle && lacks_the_news && !holders.contains(&id);
            if is_direct && is_plain && reader.outlet.reserve() {
                reader.seen = version;
                reader.is_armed = false;
                to.push((id, Arc::clone(&reader.outlet)));
            } else if reader.seen < version {
                reader.wake();
            }
        }
        Fanout { piece: Arc::new(News { shown, frames: Frames::default() }), to }
    }

    /// The client id that a reader shows itself by.
    pub fn shown_by(&mut self, id: ReaderId) -> Option<u64> {
        self.get(id)?.shows
    }

    /// A challenged reader answered: it gets its id back and the claimant is refused.
    pub fn answer_challenge(&mut self, id: ReaderId) {
        let Some(own) = self.get(id).and_then(|reader| reader.shows) else { return };
        let Some(claimant) = self.awareness.reclaim(own, id) else { return };
        if let Some(reader) = self.get(claimant) {
            reader.shows = None;
            reader.is_refused = true;
        }
        self.wake_others(id);
    }

    /// Forgets presence that every reader has seen go.
    pub fn forget_gone(&mut self) {
        let version = self.awareness.version();
        let seen = self.slab.iter().map(|(_, reader)| reader.seen).min().unwrap_or(version);
        self.awareness.forget(seen);
    }
}
