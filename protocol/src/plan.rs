//! Decides what of an update may reach the CRDT library, before it sees a byte of it.
//!
//! Walks the scanned blocks in the order in which their needs can be met; finds gaps; cuts a
//! `SyncStep2` at them; bounds the nesting of types; and writes the bytes again only where the
//! received ones cannot be used as they are. Called by whoever merges updates: the server's
//! documents and the client library's replicas. yrs fills holes in silence, integrates half of a
//! frame and panics when what it took for a hole is filled, so everything is decided before it.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use self::levels::Levels;
use crate::chain::{JOINTS_MIN, Tail};
use crate::error::Refusal;
use crate::ids::Id;
use crate::limits;
use crate::scan::{Block, Content, Event, Events, Parent, Update};

pub mod levels;
mod rewrite;

/// What a gap does to a submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A live edit: one gap drops it whole.
    Update,
    /// An answer to a state vector: cut at its gaps, the rest is taken.
    Step2,
    /// What the server's store has: not taken if it has a gap. Its chains are left as they are,
    /// since those of the frames that led to it were joined, and where they were split again
    /// something stands between.
    Stored,
}

/// New clocks `from..end` of one client id that a plan would add.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The client id.
    pub client: u64,
    /// First clock that the document does not hold.
    pub from: u32,
    /// One past the last new clock.
    pub end: u32,
}

/// What may be integrated, decided without touching the document.
#[derive(Debug)]
pub struct Plan<'a> {
    /// The bytes to integrate, store and relay: those received, unless they had to be cut.
    pub bytes: Cow<'a, [u8]>,
    /// New clocks, per client id; empty when the update adds no block.
    pub spans: Spans,
    /// Something was left out because what it needs is missing.
    pub has_gap: bool,
    /// The update names deletions.
    pub has_deletes: bool,
    /// How deep the new blocks live, for the document's own levels once this is integrated.
    pub levels: Levels,
}

/// The spans of a plan; one without an allocation, since most updates have one author.
#[derive(Debug, Default)]
pub struct Spans {
    first: Option<Span>,
    rest: Vec<Span>,
}

impl Spans {
    /// All spans, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &Span> {
        self.first.iter().chain(self.rest.iter())
    }

    /// True if the update adds no block.
    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    fn push(&mut self, span: Span) {
        match self.first {
            None => self.first = Some(span),
            Some(_) => self.rest.push(span),
        }
    }
}

/// The clocks a document holds, per client id: one past the last.
pub type Clocks = HashMap<u64, u32>;

/// Plans an update against the clocks and nesting levels of a document.
///
/// `Ok(None)`: a live edit with a gap, to be dropped whole, or something stored with one.
///
/// # Errors
/// A frame with two sections for one client id, or one that nests types too deep.
pub fn plan<'a>(
    update: &Update<'a>,
    source: Source,
    clocks: &Clocks,
    levels: &Levels,
) -> Result<Option<Plan<'a>>, Refusal> {
    if let Some(span) = plain(update, clocks, levels) {
        let spans = Spans { first: Some(span), rest: Vec::new() };
        let bytes = Cow::Borrowed(update.bytes());
        let levels = Levels::default();
        return Ok(Some(Plan { bytes, spans, has_gap: false, has_deletes: false, levels }));
    }
    update.check_clients(&mut Vec::new())?;
    let mut walk = Walk::new(update, clocks, levels);
    walk.run()?;
    walk.finish(source)
}

/// What most updates are, decided without an allocation: one block of text, all of it new, whose
/// neighbours are held, in a document without nested types. Anything else takes the walk.
fn plain(update: &Update<'_>, clocks: &Clocks, levels: &Levels) -> Option<Span> {
    let block = update.text().filter(|_| levels.is_empty())?;
    let Id { client, clock } = block.id;
    let is_held = |id: Id| match id.client == client {
        true => id.clock < clock,
        false => clocks.get(&id.client).is_some_and(|held| id.clock < *held),
    };
    let is_plain = !matches!(block.parent, Parent::Item(_))
        && clocks.get(&client).copied().unwrap_or(0) == clock
        && block.origin.is_none_or(is_held)
        && block.right_origin.is_none_or(is_held);
    is_plain.then_some(Span { client, from: clock, end: block.end() })
}

/// One client's part of the frame and how far it has been walked.
struct Section<'a> {
    pub client: u64,
    /// Clocks held before this frame.
    pub known: u32,
    /// Clocks held with what was walked: the gap rule compares needs with this.
    pub held: u32,
    /// What follows the last block that was taken out, of which `left` blocks are this section's.
    rest: Events<'a>,
    left: u32,
    /// A block that was taken out and has to wait, or stands behind a gap.
    stopped: Option<Block<'a>>,
    /// The end of the block walked last.
    tail: Option<Tail>,
    /// One past the last covered Skip: only what starts here or later can be sent on as a run.
    pub keep_from: u32,
}

impl<'a> Section<'a> {
    fn next(&mut self) -> Option<Block<'a>> {
        if self.stopped.is_some() {
            return self.stopped.take();
        }
        self.left = self.left.checked_sub(1)?;
        match self.rest.next() {
            Some(Event::Block(block)) => Some(block),
            _ => None,
        }
    }

    /// What follows the section.
    fn after(&self) -> Events<'a> {
        let mut events = self.rest.clone();
        events.by_ref().take(self.left as usize).for_each(drop);
        events
    }
}

struct Walk<'a, 'd> {
    update: &'d Update<'a>,
    clocks: &'d Clocks,
    known_levels: &'d Levels,
    levels: Levels,
    /// Those that were come to, in wire order.
    sections: Vec<Section<'a>>,
    /// Client id to its place in `sections`; unused while there is one.
    index: HashMap<u64, usize>,
    has_rewrite: bool,
    /// Blocks that only go on with the one before.
    joints: u32,
}

impl<'a, 'd> Walk<'a, 'd> {
    fn new(update: &'d Update<'a>, clocks: &'d Clocks, known_levels: &'d Levels) -> Self {
        Self {
            update,
            clocks,
            known_levels,
            levels: Levels::default(),
            sections: Vec::with_capacity(update.sections() as usize),
            index: HashMap::new(),
            has_rewrite: false,
            joints: 0,
        }
    }

    fn section_of(&self, client: u64) -> Option<usize> {
        match self.sections.as_slice() {
            [one] => (one.client == client).then_some(0),
            _ => self.index.get(&client).copied(),
        }
    }

    fn held(&self, client: u64) -> u32 {
        match self.section_of(client) {
            Some(at) => self.sections[at].held,
            None => self.clocks.get(&client).copied().unwrap_or(0),
        }
    }

    /// Walks every section as far as its needs are met. A section that waits for another is taken
    /// up again when that one has moved, so the work is linear in blocks, and in waits but for
    /// their order.
    fn run(&mut self) -> Result<(), Refusal> {
        let mut ready: Vec<usize> = Vec::new();
        let mut waiting: HashMap<u64, BinaryHeap<Reverse<(u32, usize)>>> = HashMap::new();
        while let Some(at) = ready.pop().or_else(|| self.open()) {
            if let Some(need) = self.advance(at)? {
                waiting.entry(need.client).or_default().push(Reverse((need.clock, at)));
            }
            let Section { client, held, .. } = self.sections[at];
            if let Some(waiters) = waiting.get_mut(&client) {
                while let Some(&Reverse((clock, waiter))) = waiters.peek()
                    && held > clock
                {
                    waiters.pop();
                    ready.push(waiter);
                }
            }
        }
        Ok(())
    }

    /// Comes to the next section. It begins where the last one ends, so blocks are read a second
    /// time only if that one had to stop.
    fn open(&mut self) -> Option<usize> {
        let mut rest = match self.sections.last() {
            Some(last) => last.after(),
            None => self.update.events(),
        };
        let Some(Event::Section { client, blocks, .. }) = rest.next() else { return None };
        let at = self.sections.len();
        if self.update.sections() > 1 {
            self.index.insert(client, at);
        }
        let known = self.clocks.get(&client).copied().unwrap_or(0);
        self.sections.push(Section {
            client,
            known,
            held: known,
            rest,
            left: blocks,
            stopped: None,
            tail: None,
            keep_from: 0,
        });
        Some(at)
    }

    /// Takes blocks of one section until its end, a gap (`None`) or an unmet need of another
    /// client's blocks (`Some`).
    fn advance(&mut self, at: usize) -> Result<Option<Id>, Refusal> {
        while let Some(block) = self.sections[at].next() {
            let held = self.sections[at].held;
            if let Some(need) = self.unmet(&block, held) {
                self.sections[at].stopped = Some(block);
                return Ok((need.client != block.id.client).then_some(need));
            }
            if block.end() > held {
                self.note_level(&block, held)?;
            }
            let section = &mut self.sections[at];
            if block.content == Content::Skip {
                section.keep_from = block.end();
            }
            section.held = held.max(block.end());
            let before = std::mem::replace(&mut section.tail, Tail::of(&block));
            self.has_rewrite |= matches!(block.content, Content::Skip | Content::Json(_));
            self.joints += u32::from(before.is_some_and(|before| before.goes_on(&block)));
        }
        Ok(None)
    }

    /// An element that a block of a section with `held` clocks stands on and that is missing; one
    /// of its own client's for a gap. Nothing, if it is held itself.
    fn unmet(&self, block: &Block<'a>, held: u32) -> Option<Id> {
        let Id { client, clock: start } = block.id;
        if block.end() <= held {
            return None;
        }
        if start > held || block.content == Content::Skip {
            return Some(Id { client, clock: held });
        }
        block.needs().find(|need| match need.client == client {
            true => need.clock >= start,
            false => need.clock >= self.held(need.client),
        })
    }

    fn level(&self, id: Id) -> u16 {
        match self.levels.get(id) {
            0 => self.known_levels.get(id),
            level => level,
        }
    }

    /// Remembers how deep in nested types the new part of a block lives; roots are level 0 and
    /// cost nothing. A block that is held in part goes on where its held part is, whatever it says.
    fn note_level(&mut self, block: &Block<'a>, held: u32) -> Result<(), Refusal> {
        let is_flat = self.known_levels.is_empty() && self.levels.is_empty();
        if is_flat && !matches!(block.parent, Parent::Item(_)) {
            return Ok(());
        }
        let client = block.id.client;
        let start = block.id.clock.max(held);
        let level = match (block.parent, block.origin.or(block.right_origin)) {
            _ if start > block.id.clock => self.level(Id { client, clock: start - 1 }),
            (Parent::Item(parent), _) => self.level(parent) + 1,
            (Parent::Inherited, Some(neighbour)) => self.level(neighbour),
            _ => 0,
        };
        if usize::from(level) > limits::TYPE_DEPTH_MAX {
            return Err(Refusal::malformed(0, "types nested too deep"));
        }
        if level > 0 {
            self.levels.put(Id { client, clock: start }, block.end() - start, level);
        }
        Ok(())
    }

    fn finish(self, source: Source) -> Result<Option<Plan<'a>>, Refusal> {
        let update = self.update;
        let mut has_gap = self.sections.iter().any(|section| section.stopped.is_some());
        for event in update.deletions() {
            let Event::Delete { client, clock, len } = event else { continue };
            has_gap |= clock + len > self.held(client);
        }
        if has_gap && source != Source::Step2 {
            return Ok(None);
        }
        let mut spans = Spans::default();
        for section in self.sections.iter().filter(|section| section.held > section.known) {
            let Section { client, known, held, .. } = *section;
            spans.push(Span { client, from: known, end: held });
        }
        let is_chained = self.joints >= JOINTS_MIN && source != Source::Stored;
        let bytes = if has_gap || self.has_rewrite || is_chained {
            let cut = rewrite::cut(update, &self.sections, |client| self.held(client))?;
            // Legacy JSON grows when it is written anew.
            if cut.len() > limits::MESSAGE_BYTES_MAX.max(update.bytes().len()) {
                return Err(Refusal::too_large(0, "too long in today's encoding"));
            }
            Cow::Owned(cut)
        } else {
            Cow::Borrowed(update.bytes())
        };
        let has_deletes = update.deletes() > 0;
        Ok(Some(Plan { bytes, spans, has_gap, has_deletes, levels: self.levels }))
    }
}

#[cfg(test)]
mod tests;
