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
use crate::chain::{JOINTS_MIN, goes_on};
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
/// `Ok(None)`: a live edit with a gap, to be dropped whole.
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
    walk.finish(update, source)
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
    blocks: Events<'a>,
    left: u32,
    next: Option<Block<'a>>,
    /// The block walked before `next`.
    before: Option<Block<'a>>,
    /// One past the last covered Skip: only what starts here or later can be sent on as a run.
    pub keep_from: u32,
}

impl<'a> Section<'a> {
    fn peek(&mut self) -> Option<Block<'a>> {
        if self.next.is_none() && self.left > 0 {
            self.left -= 1;
            self.next = match self.blocks.next() {
                Some(Event::Block(block)) => Some(block),
                _ => None,
            };
        }
        self.next
    }

    fn is_finished(&mut self) -> bool {
        self.peek().is_none()
    }
}

struct Walk<'a, 'd> {
    clocks: &'d Clocks,
    known_levels: &'d Levels,
    levels: Levels,
    sections: Vec<Section<'a>>,
    /// Client id to its place in `sections`; unused while there is one.
    index: HashMap<u64, usize>,
    has_rewrite: bool,
    /// Blocks that only go on with the one before.
    joints: u32,
}

impl<'a, 'd> Walk<'a, 'd> {
    fn new(update: &Update<'a>, clocks: &'d Clocks, known_levels: &'d Levels) -> Self {
        let mut sections = Vec::with_capacity(update.sections() as usize);
        let mut index = HashMap::new();
        let mut events = update.events();
        let many = update.sections() > 1;
        while let Some(event) = events.next() {
            let Event::Section { client, blocks, .. } = event else { continue };
            let known = clocks.get(&client).copied().unwrap_or(0);
            if many {
                index.insert(client, sections.len());
            }
            let section = Section {
                client,
                known,
                held: known,
                blocks: events.clone(),
                left: blocks,
                next: None,
                before: None,
                keep_from: 0,
            };
            sections.push(section);
        }
        let levels = Levels::default();
        Self { clocks, known_levels, levels, sections, index, has_rewrite: false, joints: 0 }
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
        let mut ready: Vec<usize> = (0..self.sections.len()).rev().collect();
        let mut waiting: HashMap<u64, BinaryHeap<Reverse<(u32, usize)>>> = HashMap::new();
        while let Some(at) = ready.pop() {
            if let Some(need) = self.advance(at)? {
                if self.held(need.client) > need.clock {
                    ready.push(at);
                } else {
                    waiting.entry(need.client).or_default().push(Reverse((need.clock, at)));
                }
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

    /// Takes blocks of one section until its end, a gap (`None`) or an unmet need of another
    /// client's blocks (`Some`).
    fn advance(&mut self, at: usize) -> Result<Option<Id>, Refusal> {
        while let Some(block) = self.sections[at].peek() {
            let (start, end) = (block.id.clock, block.id.clock + block.len);
            let held = self.sections[at].held;
            match block.content {
                Content::Skip if end <= held => {
                    self.has_rewrite = true;
                    self.sections[at].keep_from = end;
                }
                Content::Skip => return Ok(None),
                _ if start > held => return Ok(None),
                _ if end <= held => {}
                _ => {
                    if let Some(need) = self.unmet(&block) {
                        return Ok((need.client != block.id.client).then_some(need));
                    }
                    self.note_level(&block, held)?;
                }
            }
            self.has_rewrite |= matches!(block.content, Content::Json(_));
            let section = &mut self.sections[at];
            section.held = held.max(end);
            section.next = None;
            let before = section.before.replace(block);
            self.joints += u32::from(before.is_some_and(|before| goes_on(&before, &block)));
        }
        Ok(None)
    }

    fn unmet(&self, block: &Block<'a>) -> Option<Id> {
        let parent = match block.parent {
            Parent::Item(id) => Some(id),
            _ => None,
        };
        [block.origin, block.right_origin, parent].into_iter().flatten().find(|need| {
            if need.client == block.id.client {
                need.clock >= block.id.clock
            } else {
                need.clock >= self.held(need.client)
            }
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
        let client = block.id.client;
        let start = block.id.clock.max(held);
        let is_flat = self.known_levels.is_empty() && self.levels.is_empty();
        let level = match (block.parent, block.origin.or(block.right_origin)) {
            _ if start > block.id.clock => self.level(Id { client, clock: start - 1 }),
            (Parent::Item(parent), _) => self.level(parent) + 1,
            (Parent::Inherited, Some(neighbour)) if !is_flat => self.level(neighbour),
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

    fn finish(mut self, update: &Update<'a>, source: Source) -> Result<Option<Plan<'a>>, Refusal> {
        let mut has_gap = self.sections.iter_mut().any(|section| !section.is_finished());
        let mut has_deletes = false;
        for event in update.events() {
            if let Event::Delete { client, clock, len } = event {
                has_deletes = true;
                has_gap |= clock + len > self.held(client);
            }
        }
        if has_gap && source == Source::Update {
            return Ok(None);
        }
        let mut spans = Spans::default();
        for section in self.sections.iter().filter(|section| section.held > section.known) {
            let Section { client, known, held, .. } = *section;
            spans.push(Span { client, from: known, end: held });
        }
        let bytes = if has_gap || self.has_rewrite || self.joints >= JOINTS_MIN {
            let cut = rewrite::cut(update, &self.sections, |client| self.held(client))?;
            // Legacy JSON grows when it is written anew.
            if cut.len() > limits::MESSAGE_BYTES_MAX.max(update.bytes().len()) {
                return Err(Refusal::too_large(0, "too long in today's encoding"));
            }
            Cow::Owned(cut)
        } else {
            Cow::Borrowed(update.bytes())
        };
        Ok(Some(Plan { bytes, spans, has_gap, has_deletes, levels: self.levels }))
    }
}
