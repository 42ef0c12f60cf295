//! Joins blocks that only go on with what the one before them holds.
//!
//! yrs joins them too, when it commits, but from the last to the first, and each time it copies all
//! that follows: 30,000 blocks of one value, 193 KB in one frame, held a document for 66 s (60,000
//! blocks of one character for 7 s). Called by `plan`, to count and to write again, and by `join`.
//! Stock clients join before they send; updates merged as bytes and hostile ones come unjoined.

use crate::error::Refusal;
use crate::ids::Id;
use crate::scan::{Block, Content, Event, Update};
use crate::{legacy, varint};

/// Joints in a frame from which it is written again; below, yrs is quicker.
pub(crate) const JOINTS_MIN: u32 = 64;

/// The end of a block that another may go on from: it holds text or values, and not those of a key,
/// of which each replaces the one before it.
#[derive(Clone, Copy)]
pub(crate) struct Tail {
    is_text: bool,
    last: Id,
    right_origin: Option<Id>,
}

impl Tail {
    pub(crate) fn of(block: &Block<'_>) -> Option<Tail> {
        let is_text = is_text(block.content).filter(|_| !block.is_keyed())?;
        let last = Id { clock: block.end() - 1, ..block.id };
        Some(Tail { is_text, last, right_origin: block.right_origin })
    }

    /// Whether `block`, the next one in the section, only goes on where this one ends.
    pub(crate) fn goes_on(&self, block: &Block<'_>) -> bool {
        is_text(block.content) == Some(self.is_text) && block.goes_on(self.last, self.right_origin)
    }
}

/// True for text, false for values, nothing for what is never joined.
fn is_text(content: Content<'_>) -> Option<bool> {
    match content {
        Content::String(_) => Some(true),
        Content::Any { .. } | Content::Json(_) => Some(false),
        _ => None,
    }
}

/// Where deletions begin and end: blocks are not joined there, since yrs would split them again.
pub(crate) struct Edges {
    sorted: Vec<Id>,
}

impl Edges {
    pub(crate) fn of<'u>(updates: impl IntoIterator<Item = &'u Update<'u>>) -> Edges {
        let mut sorted = Vec::new();
        for update in updates.into_iter().filter(|update| update.deletes() > 0) {
            sorted.reserve(2 * update.deletes() as usize);
            for event in update.deletions() {
                if let Event::Delete { client, clock, len } = event {
                    sorted.extend([Id { client, clock }, Id { client, clock: clock + len }]);
                }
            }
        }
        sorted.sort_unstable();
        Edges { sorted }
    }

    fn has(&self, id: Id) -> bool {
        self.sorted.binary_search(&id).is_ok()
    }
}

/// Writes the deletions of an update: client, first clock, length; those of a client together.
pub(crate) fn write_deletes(deletes: &[(u64, u32, u32)], out: &mut Vec<u8>) {
    let by_client = || deletes.chunk_by(|one, next| one.0 == next.0);
    varint::write_uint(out, by_client().count() as u64);
    for ranges in by_client() {
        varint::write_uint(out, ranges[0].0);
        varint::write_uint(out, ranges.len() as u64);
        for (_, clock, len) in ranges {
            varint::write_uint(out, u64::from(*clock));
            varint::write_uint(out, u64::from(*len));
        }
    }
}

/// Writes blocks, joining those that go on.
pub(crate) struct Writer<'a, 'e> {
    edges: &'e Edges,
    open: Option<Open<'a>>,
    /// Blocks written, the open one included.
    pub blocks: u32,
    bytes: Vec<u8>,
}

/// A block that may still grow.
struct Open<'a> {
    head: Block<'a>,
    tail: Option<Tail>,
    /// `None` while it is the head's own.
    content: Option<Grown>,
}

enum Grown {
    Text(String),
    Values { count: u32, bytes: Vec<u8> },
}

impl<'a, 'e> Writer<'a, 'e> {
    pub(crate) fn new(edges: &'e Edges) -> Writer<'a, 'e> {
        Writer { edges, open: None, blocks: 0, bytes: Vec::new() }
    }

    /// Adds the next block of the section. Nothing is joined to a block that begins below `known`:
    /// what is held already stays apart from what is new.
    pub(crate) fn push(&mut self, block: Block<'a>, known: u32) -> Result<(), Refusal> {
        if let Some(open) = &mut self.open
            && open.head.id.clock >= known
            && open.tail.is_some_and(|tail| tail.goes_on(&block))
            && !self.edges.has(block.id)
        {
            open.tail = Tail::of(&block);
            let content = match &mut open.content {
                Some(content) => content,
                None => open.content.insert(Grown::of(&open.head)?),
            };
            return content.grow(&block);
        }
        self.close();
        self.blocks += 1;
        let content = match block.content {
            Content::Json(_) => Some(Grown::of(&block)?),
            _ => None,
        };
        self.open = Some(Open { head: block, tail: Tail::of(&block), content });
        Ok(())
    }

    /// The section's blocks, encoded.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.close();
        self.bytes
    }

    fn close(&mut self) {
        let Some(Open { head, content, .. }) = self.open.take() else { return };
        let Some(content) = content else {
            self.bytes.extend_from_slice(head.bytes);
            return;
        };
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&head.bytes[..head.content_at]);
        match content {
            Grown::Text(text) => varint::write_text(&mut self.bytes, &text),
            Grown::Values { count, bytes } => {
                self.bytes[start] = legacy::as_any(self.bytes[start]);
                varint::write_uint(&mut self.bytes, u64::from(count));
                self.bytes.extend_from_slice(&bytes);
            }
        }
    }
}

impl Grown {
    fn of(block: &Block<'_>) -> Result<Grown, Refusal> {
        let mut content = match block.content {
            // Half a word, and a few more keys.
            Content::String(text) => Grown::Text(String::with_capacity(4 * text.len())),
            _ => Grown::Values { count: 0, bytes: Vec::new() },
        };
        content.grow(block)?;
        Ok(content)
    }

    fn grow(&mut self, block: &Block<'_>) -> Result<(), Refusal> {
        match (self, block.content) {
            (Grown::Text(all), Content::String(text)) => all.push_str(text),
            (Grown::Values { count, bytes }, Content::Any { count: more, bytes: values }) => {
                *count += more;
                bytes.extend_from_slice(values);
            }
            (Grown::Values { count, bytes }, Content::Json(_)) => {
                *count += block.len;
                legacy::write_values(block, bytes)?;
            }
            _ => unreachable!("only blocks of the same kind are joined"),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
