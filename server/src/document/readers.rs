//! The sessions that read a document: cursors, wake-ups, presence.
//!
//! Job: under one lock, publish a chunk to all readers, hand a reader all it has not seen, and keep
//! the presence table. Called by `handle`. Never waits, never writes to a socket itself: what goes
//! to idle readers at once is handed back as a `Fanout`.

pub mod presence;

use std::collections::HashMap;
use std::sync::Arc;

use sheaf_protocol::ids::Principal;
use slab::Slab;

use super::awareness::{Awareness, Clocks, Shown};
use super::fanout::{Fanout, Outlet, Piece as _};
use super::tail::{Chunk, Firsts, Tail};

/// Readers that a publisher writes to itself, at most: more are a millisecond of its own session,
/// and with a wake-up each they are spread over the machine's cores.
const DIRECT_READERS_MAX: usize = 128;

/// A reader's place in its document; never used again while the reader lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReaderId {
    slot: usize,
    /// Told apart from an earlier reader in the same slot.
    serial: u64,
}

/// What happened to a reader beside updates and presence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notices {
    /// The server wants the reader's blocks: send a state vector.
    pub is_asked: bool,
    /// Another session claims the reader's client id: ping.
    pub is_challenged: bool,
    /// An owner answered what this reader's submission waits for.
    pub is_answered: bool,
    /// The document is gone from memory: end the session with a transient close.
    pub is_dropped: bool,
}

/// All that a reader has not seen.
#[derive(Debug, Default)]
pub struct Gathered {
    /// Chunks in order.
    pub chunks: Vec<Arc<Chunk>>,
    /// Presence to show.
    pub shown: Vec<Shown>,
    /// The reader fell behind the tail: first clock missed, per client id.
    pub missed: Option<HashMap<u64, u32>>,
    /// What else happened.
    pub notices: Notices,
}

impl Gathered {
    /// Empties it for the next use.
    pub fn clear(&mut self) {
        self.chunks.clear();
        self.shown.clear();
        self.missed = None;
        self.notices = Notices::default();
    }
}

struct Reader {
    serial: u64,
    outlet: Arc<dyn Outlet>,
    principal: Principal,
    /// It may send blocks, so it can be asked for them.
    can_write: bool,
    cursor: u64,
    seen: u64,
    /// Its state vector was answered: updates go on from there. Before, they would stand on what
    /// it has not, and be kept aside by its client.
    is_following: bool,
    /// The reader gathered everything and waits to be woken.
    is_armed: bool,
    #[expect(clippy::box_collection, reason = "hardly any reader has one, and each pays for it")]
    missed: Option<Box<HashMap<u64, u32>>>,
    notices: Notices,
    /// The id this reader shows in awareness.
    shows: Option<u64>,
    /// A claim of this reader was taken back: it makes no further one.
    is_refused: bool,
    /// Ids that this reader wrote with.
    writes: Vec<u64>,
}

impl Reader {
    /// A session of this principal that can be asked, other than `except`.
    fn is_of(&self, principal: &Principal, except: Option<ReaderId>) -> bool {
        let is_other = except.is_none_or(|except| self.serial != except.serial);
        self.principal == *principal && self.can_write && is_other
    }

    fn is_sent(&self, chunk: &Chunk) -> bool {
        self.is_following || chunk.updates() == 0
    }

    fn has_news(&self) -> bool {
        self.missed.is_some() || self.notices != Notices::default()
    }

    fn wake(&mut self) {
        if std::mem::take(&mut self.is_armed) {
            self.outlet.wake();
        }
    }
}

/// A submission of `by` waits for the answers of these readers, by serial.
struct Question {
    by: ReaderId,
    open: Vec<u64>,
}

/// All readers of one document.
pub struct Readers {
    questions: Vec<Question>,
    slab: Slab<Reader>,
    serial: u64,
    tail: Tail,
    awareness: Awareness,
    told: presence::Told,
    /// Kept for its memory.
    spare: Vec<(ReaderId, Arc<dyn Outlet>)>,
}

impl Readers {
    /// No readers yet.
    pub fn new(clocks: Arc<Clocks>) -> Self {
        Self {
            questions: Vec::new(),
            slab: Slab::new(),
            serial: 0,
            tail: Tail::default(),
            awareness: Awareness::new(clocks),
            told: presence::Told::default(),
            spare: Vec::new(),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.slab.len()
    }

    /// True if nobody reads.
    pub fn is_empty(&self) -> bool {
        self.slab.is_empty()
    }

    /// Bytes kept for those who are behind.
    #[cfg(test)]
    pub fn tail_bytes(&self) -> usize {
        self.tail.bytes()
    }

    /// Adds a reader. It is sent presence and notes from now on, updates once it follows.
    pub fn join(
        &mut self,
        outlet: Arc<dyn Outlet>,
        principal: Principal,
        can_write: bool,
    ) -> ReaderId {
        self.serial += 1;
        let reader = Reader {
            serial: self.serial,
            outlet,
            principal,
            can_write,
            cursor: self.tail.end(),
            seen: 0,
            is_following: false,
            is_armed: false,
            missed: None,
            notices: Notices::default(),
            shows: None,
            is_refused: false,
            writes: Vec::new(),
        };
        // Most documents have few readers, and one that has many does not have twice as many soon.
        if self.slab.len() == self.slab.capacity() {
            self.slab.reserve_exact((self.slab.len() / 4).max(1));
        }
        ReaderId { slot: self.slab.insert(reader), serial: self.serial }
    }

    /// Whether a reader may be asked for blocks from now on.
    pub fn set_can_write(&mut self, id: ReaderId, can_write: bool) {
        if let Some(reader) = self.get(id) {
            reader.can_write = can_write;
        }
    }

    /// Where a reader's bytes leave; none once it has left.
    pub fn outlet(&mut self, id: ReaderId) -> Option<Arc<dyn Outlet>> {
        self.get(id).map(|reader| Arc::clone(&reader.outlet))
    }

    fn get(&mut self, id: ReaderId) -> Option<&mut Reader> {
        self.slab.get_mut(id.slot).filter(|reader| reader.serial == id.serial)
    }

    /// Removes a reader and what it showed.
    pub fn leave(&mut self, id: ReaderId) {
        if self.get(id).is_none() {
            return;
        }
        self.slab.remove(id.slot);
        self.questions.retain(|question| question.by != id);
        self.answered(id);
        // It may be the one that promised to tell the others.
        if self.awareness.leave(id) | std::mem::take(&mut self.told.is_due) {
            self.wake_all();
        }
        self.trim();
    }

    /// Appends updates, with the first clocks they add, for all readers but the one they came from:
    /// those that are idle are in the fan-out, the others are woken.
    pub fn publish<'u>(
        &mut self,
        origin: Option<ReaderId>,
        updates: impl Iterator<Item = &'u [u8]>,
        firsts: Firsts,
    ) -> Fanout {
        let chunk = self.tail.push(origin, updates, firsts);
        self.pass_on(origin, chunk)
    }

    /// Appends a note from a reader for all the others, as [`Readers::publish`] does updates.
    pub fn announce(&mut self, origin: ReaderId, note: &str) -> Fanout {
        let chunk = self.tail.push_note(origin, note);
        self.pass_on(Some(origin), chunk)
    }

    fn pass_on(&mut self, origin: Option<ReaderId>, chunk: Arc<Chunk>) -> Fanout {
        let (start, end) = (chunk.start(), self.tail.end());
        let is_direct = self.slab.len() <= DIRECT_READERS_MAX;
        let (mut slowest, mut to) = (end, std::mem::take(&mut self.spare));
        for (slot, reader) in &mut self.slab {
            let id = ReaderId { slot, serial: reader.serial };
            let has_all = reader.cursor == start && reader.missed.is_none();
            if has_all && (origin == Some(id) || !reader.is_sent(&chunk)) {
                reader.cursor = end;
                continue;
            }
            if has_all && is_direct && reader.is_armed && reader.outlet.reserve() {
                reader.cursor = end;
                reader.is_armed = false;
                to.push((id, Arc::clone(&reader.outlet)));
                continue;
            }
            reader.wake();
            slowest = slowest.min(reader.cursor);
        }
        self.tail.clear_before(slowest);
        while let Some(chunk) = self.tail.overflow() {
            self.note_missed(&chunk);
        }
        Fanout { piece: chunk, to }
    }

    /// The fan-out, unless it is to nobody.
    pub fn reclaim(&mut self, fanout: Fanout) -> Option<Fanout> {
        if !fanout.to.is_empty() {
            return Some(fanout);
        }
        self.spare = fanout.to;
        None
    }

    /// A fan-out was carried out: its readers are idle again, but for those that something has
    /// happened for meanwhile.
    pub fn delivered(&mut self, mut fanout: Fanout) {
        let (end, version) = (self.tail.end(), self.awareness.version());
        for (id, _) in fanout.to.drain(..) {
            let Some(reader) = self.get(id) else { continue };
            reader.is_armed = true;
            if reader.cursor < end || reader.seen < version || reader.has_news() {
                reader.wake();
            }
        }
        self.spare = fanout.to;
    }

    /// Remembers, for those who have not read a chunk that is dropped, what they will lack.
    fn note_missed(&mut self, chunk: &Chunk) {
        for (_, reader) in &mut self.slab {
            if reader.is_following && reader.cursor <= chunk.start() {
                lower(reader.missed.get_or_insert_default(), chunk);
            }
        }
    }

    fn trim(&mut self) {
        let end = self.tail.end();
        let slowest = self.slab.iter().map(|(_, reader)| reader.cursor).min().unwrap_or(end);
        self.tail.clear_before(slowest);
    }

    /// Hands a reader all it has not seen and arms its wake-up, in one step.
    pub fn gather(&mut self, id: ReaderId, out: &mut Gathered) {
        let end = self.tail.end();
        let version = self.awareness.version();
        let Some(reader) = self.slab.get_mut(id.slot).filter(|r| r.serial == id.serial) else {
            out.notices.is_dropped = true;
            return;
        };
        reader.is_armed = true;
        out.notices = std::mem::take(&mut reader.notices);
        out.missed = reader.missed.take().map(|missed| *missed);
        let was_behind = reader.cursor < end;
        if was_behind {
            self.tail.since(reader.cursor, id, &mut out.chunks);
            out.chunks.retain(|chunk| reader.is_sent(chunk));
        }
        if let Some(missed) = &mut out.missed {
            // One difference carries all of it: what is still in the tail too.
            out.chunks.drain(..).for_each(|chunk| lower(missed, &chunk));
        }
        reader.cursor = end;
        if reader.seen < version {
            self.awareness.since(reader.seen, id, &mut out.shown);
            reader.seen = version;
        }
        if was_behind {
            self.trim();
        }
    }

    /// A reader's state vector is answered: it is sent what is published from now on, and nothing
    /// that came before.
    pub fn follow(&mut self, id: ReaderId) {
        let end = self.tail.end();
        if let Some(reader) = self.get(id) {
            reader.cursor = end;
            reader.missed = None;
            reader.is_following = true;
        }
    }

    /// Remembers that a reader writes with a client id.
    pub fn note_writes(&mut self, id: ReaderId, client: u64) {
        if let Some(reader) = self.get(id)
            && !reader.writes.contains(&client)
        {
            if reader.writes.len() >= 64 {
                reader.writes.remove(0);
            }
            reader.writes.push(client);
        }
    }

    /// True if a session of this principal, not `except`, is live; and whether one of them is
    /// using the client id itself.
    pub fn live(
        &self,
        principal: &Principal,
        client: u64,
        except: Option<ReaderId>,
    ) -> Option<bool> {
        let mut of_owner =
            self.slab.iter().filter(|(_, reader)| reader.is_of(principal, except)).peekable();
        of_owner.peek()?;
        Some(
            of_owner
                .any(|(_, reader)| reader.shows == Some(client) || reader.writes.contains(&client)),
        )
    }

    /// Asks the sessions of a principal for their blocks; `by` is told when all of them have
    /// answered or left.
    pub fn ask(&mut self, principal: &Principal, by: ReaderId) {
        self.questions.retain(|question| question.by != by);
        if let Some(reader) = self.get(by) {
            reader.notices.is_answered = false;
        }
        let mut open = Vec::new();
        for (_, reader) in &mut self.slab {
            if reader.is_of(principal, Some(by)) {
                reader.notices.is_asked = true;
                open.push(reader.serial);
                reader.wake();
            }
        }
        self.questions.push(Question { by, open });
        self.close_questions();
    }

    /// A reader that was asked has answered, or is gone.
    pub fn answered(&mut self, id: ReaderId) {
        for question in &mut self.questions {
            question.open.retain(|serial| *serial != id.serial);
        }
        self.close_questions();
    }

    fn close_questions(&mut self) {
        let closed: Vec<Question> =
            self.questions.extract_if(.., |question| question.open.is_empty()).collect();
        for question in closed {
            if let Some(reader) = self.get(question.by) {
                reader.notices.is_answered = true;
                reader.wake();
            }
        }
    }

    /// The document leaves memory with readers still there.
    pub fn drop_all(&mut self) {
        for (_, reader) in &mut self.slab {
            reader.notices.is_dropped = true;
            reader.wake();
        }
    }

    fn wake_others(&mut self, id: ReaderId) {
        for (_, reader) in self.slab.iter_mut().filter(|(_, reader)| reader.serial != id.serial) {
            reader.wake();
        }
    }

    fn wake_all(&mut self) {
        for (_, reader) in &mut self.slab {
            reader.wake();
        }
    }
}

/// Lowers, per client id of a chunk, the first clock that is missed.
fn lower(missed: &mut HashMap<u64, u32>, chunk: &Chunk) {
    for (client, clock) in chunk.firsts().iter() {
        missed.entry(client).and_modify(|least| *least = clock.min(*least)).or_insert(clock);
    }
}

#[cfg(test)]
mod tests;
