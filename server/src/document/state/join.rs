//! Joins one author's chained appends into one block before the CRDT library sees them.
//!
//! Job: recognise that an update only continues the text of the one before it (same client, next
//! clock, origin = its last character, same right origin, no deletions) and write the run as a
//! single update. Called by `state`, on the updates of one batch. Never joins across authors,
//! and never changes what is stored or relayed: those stay the bytes received.

use sheaf_protocol::ids::Id;
use sheaf_protocol::plan::levels::Levels;
use sheaf_protocol::scan::{Block, Content, Event, Update};
use sheaf_protocol::varint;

/// A run of chained appends.
#[derive(Debug)]
pub struct Run<'a> {
    first: Block<'a>,
    end: u32,
    /// The text after that of `first`; empty while the run is one update.
    more: String,
    bytes: &'a [u8],
    /// How deep `first` lives; what continues it lives there too.
    levels: Levels,
}

/// The one text block of an update that does nothing else.
pub fn single_insert<'a>(update: &Update<'a>) -> Option<Block<'a>> {
    if update.sections() != 1 || update.blocks() != 1 {
        return None;
    }
    let mut events = update.events();
    let (_, block) = (events.next()?, events.next()?);
    match (block, events.next()) {
        (Event::Block(block), None) if matches!(block.content, Content::String(_)) => Some(block),
        _ => None,
    }
}

impl<'a> Run<'a> {
    /// Starts a run with an update's only block and the levels of its plan.
    pub fn new(update: &Update<'a>, block: Block<'a>, levels: Levels) -> Self {
        Self {
            levels,
            first: block,
            end: block.id.clock + block.len,
            more: String::new(),
            bytes: update.bytes(),
        }
    }

    /// The client that writes the run.
    pub fn client(&self) -> u64 {
        self.first.id.client
    }

    /// The levels of the whole run.
    pub fn into_levels(mut self) -> Levels {
        let Id { client, clock } = self.first.id;
        let level = self.levels.get(self.first.id);
        let joined = clock + self.first.len;
        if level > 0 && self.end > joined {
            self.levels.put(Id { client, clock: joined }, self.end - joined, level);
        }
        self.levels
    }

    /// One past the run's last clock.
    pub fn end(&self) -> u32 {
        self.end
    }

    /// Takes the block if it continues the run.
    pub fn extend(&mut self, block: &Block<'a>) -> bool {
        let last = Id { client: self.first.id.client, clock: self.end - 1 };
        let is_next = block.id.client == last.client
            && block.id.clock == self.end
            && block.origin == Some(last)
            && block.right_origin == self.first.right_origin;
        if let (true, Content::String(text)) = (is_next, block.content) {
            self.more.push_str(text);
            self.end += block.len;
        }
        is_next
    }

    /// The run as one update, and whether it holds more than the first.
    pub fn bytes(&self, out: &mut Vec<u8>) -> Option<&'a [u8]> {
        let Content::String(text) = self.first.content else { return Some(self.bytes) };
        if self.more.is_empty() {
            return Some(self.bytes);
        }
        out.clear();
        varint::write_uint(out, 1);
        varint::write_uint(out, 1);
        varint::write_uint(out, self.first.id.client);
        varint::write_uint(out, u64::from(self.first.id.clock));
        let head = self.first.bytes.len() - self.first.content_bytes().len();
        out.extend_from_slice(&self.first.bytes[..head]);
        varint::write_uint(out, (text.len() + self.more.len()) as u64);
        out.extend_from_slice(text.as_bytes());
        out.extend_from_slice(self.more.as_bytes());
        varint::write_uint(out, 0);
        None
    }
}
