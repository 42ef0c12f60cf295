//! An update, v1 encoding: sections of blocks by client, then ranges of deletes by client.

use super::block::{Block, Content};
use crate::error::Refusal;
use crate::ids::Id;
use crate::limits::{
    CLOCK_END, NEW_CLIENT_IDS_PER_FRAME_MAX, SUBDOCUMENTS_PER_FRAME_MAX, TYPES_PER_FRAME_MAX,
};
use crate::varint::Reader;

/// Checks that `bytes` are exactly one update within the bounds. The caller has bounded their
/// number by `limits::MESSAGE_BYTES_MAX`.
///
/// Not checked, since it needs a table or the document: that no client has two sections
/// (`Update::check_clients`), that what blocks stand on is there, and the depth of types.
pub fn update(bytes: &[u8]) -> Result<Update<'_>, Refusal> {
    check(bytes, true)
}

/// As `update`, for bytes that this server has stored: without the bounds of a frame, since a
/// document's whole state may exceed what any frame that led to it was allowed.
pub fn stored(bytes: &[u8]) -> Result<Update<'_>, Refusal> {
    check(bytes, false)
}

fn check(bytes: &[u8], is_frame: bool) -> Result<Update<'_>, Refusal> {
    let mut update = Update {
        bytes,
        sections: 0,
        blocks: 0,
        deletes: 0,
        deletes_at: 0,
        is_descending: true,
        text: None,
    };
    let mut walk = Walk::new(bytes, false);
    let (mut section_before, mut delete_before) = (u64::MAX, u64::MAX);
    let (mut types, mut subdocuments, mut delete_clients) = (0, 0, 0);
    let mut at = 0;
    while let Some(step) = walk.step()? {
        match step {
            Step::Event(Event::Section { client, .. }) => {
                update.sections += 1;
                update.is_descending &= client < section_before;
                section_before = client;
            }
            Step::Event(Event::Block(block)) => {
                update.blocks += 1;
                let is_text = matches!(block.content, Content::String(_)) && !block.is_keyed();
                update.text = if update.blocks == 1 && is_text { Some(block) } else { None };
                types += u32::from(matches!(block.content, Content::Type { .. }));
                subdocuments += u32::from(matches!(block.content, Content::Doc(_)));
            }
            Step::Event(Event::Delete { .. }) => update.deletes += 1,
            Step::DeleteClient(client) => {
                delete_clients += 1;
                update.is_descending &= client < delete_before;
                delete_before = client;
            }
        }
        if !is_frame {
            continue;
        }
        if types > TYPES_PER_FRAME_MAX || subdocuments > SUBDOCUMENTS_PER_FRAME_MAX {
            return Err(Refusal::too_large(at, "too many types or subdocuments"));
        }
        if update.sections.max(delete_clients) > NEW_CLIENT_IDS_PER_FRAME_MAX {
            return Err(Refusal::too_large(at, "too many clients"));
        }
        at = walk.reader.at();
    }
    walk.reader.check_end()?;
    update.deletes_at = walk.deletes_at;
    update.text = update.text.filter(|_| update.deletes == 0);
    Ok(update)
}

/// Proof that bytes are a well-formed update; borrows them.
#[derive(Clone, Copy, Debug)]
pub struct Update<'a> {
    bytes: &'a [u8],
    sections: u32,
    blocks: u32,
    deletes: u32,
    /// Where the deletes begin in `bytes`.
    deletes_at: usize,
    /// Whether the clients of sections, and those of deletes, each strictly descend.
    is_descending: bool,
    text: Option<Block<'a>>,
}

impl<'a> Update<'a> {
    /// The bytes as received.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Sections, each the blocks of one client from one clock on.
    pub fn sections(&self) -> u32 {
        self.sections
    }

    /// Blocks of all sections, Gc and Skip included.
    pub fn blocks(&self) -> u32 {
        self.blocks
    }

    /// Ranges of deletes.
    pub fn deletes(&self) -> u32 {
        self.deletes
    }

    /// Its only block, where that is part of a text and nothing is deleted: what most updates are.
    pub fn text(&self) -> Option<&Block<'a>> {
        self.text.as_ref()
    }

    /// Whether it holds neither blocks nor deletes.
    pub fn is_empty(&self) -> bool {
        self.blocks == 0 && self.deletes == 0
    }

    /// Sections, blocks and deletes in wire order.
    pub fn events(&self) -> Events<'a> {
        Events { walk: Walk::new(self.bytes, true) }
    }

    /// The deletes alone.
    pub fn deletions(&self) -> Events<'a> {
        let mut walk = Walk::new(self.bytes, true);
        walk.reader.bytes(self.deletes_at).expect("they begin within the bytes");
        walk.stage = Stage::DeletePart;
        Events { walk }
    }

    /// Refuses an update in which a client has two sections, or two lists of deletes: of the first
    /// Yjs keeps the later and yrs both, of the second yrs keeps the later and Yjs both, so
    /// replicas would differ. Free for what Yjs writes, whose clients descend; else it sorts them
    /// in `scratch`, eight bytes a client.
    pub fn check_clients(&self, scratch: &mut Vec<u64>) -> Result<(), Refusal> {
        if self.is_descending {
            return Ok(());
        }
        for of_deletes in [false, true] {
            scratch.clear();
            let mut walk = Walk::new(self.bytes, true);
            while let Some(step) = walk.step()? {
                match step {
                    Step::Event(Event::Section { client, .. }) if !of_deletes => {
                        scratch.push(client);
                    }
                    Step::DeleteClient(client) if of_deletes => scratch.push(client),
                    _ => {}
                }
            }
            scratch.sort_unstable();
            if scratch.windows(2).any(|pair| pair[0] == pair[1]) {
                return Err(Refusal::malformed(0, "client named twice"));
            }
        }
        Ok(())
    }
}

/// One thing an update says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// The next `blocks` blocks are those of `client`, chained from `clock` on. At least one.
    Section {
        /// Client id.
        client: u64,
        /// Clock of the first block.
        clock: u32,
        /// Number of blocks.
        blocks: u32,
    },
    /// A block.
    Block(Block<'a>),
    /// The elements `clock .. clock + len` of `client` are deleted. `len` is at least 1.
    Delete {
        /// Client id.
        client: u64,
        /// First clock.
        clock: u32,
        /// Number of elements.
        len: u32,
    },
}

/// Iterator of `Update::events`.
#[derive(Clone, Debug)]
pub struct Events<'a> {
    walk: Walk<'a>,
}

impl<'a> Iterator for Events<'a> {
    type Item = Event<'a>;

    fn next(&mut self) -> Option<Event<'a>> {
        loop {
            match self.walk.step().expect("the same bytes passed the scan") {
                Some(Step::Event(event)) => return Some(event),
                Some(Step::DeleteClient(_)) => {}
                None => return None,
            }
        }
    }
}

enum Step<'a> {
    Event(Event<'a>),
    /// The deletes that follow, if any, are this client's.
    DeleteClient(u64),
}

#[derive(Clone, Debug)]
struct Walk<'a> {
    reader: Reader<'a>,
    stage: Stage,
    /// Where the deletes begin, once it is past the sections.
    deletes_at: usize,
    /// Whether the bytes passed before.
    is_checked: bool,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    Start,
    Sections { left: u32 },
    Blocks { sections_left: u32, left: u32, next: Id },
    DeletePart,
    DeleteClients { left: u32 },
    Deletes { clients_left: u32, left: u32, client: u64 },
}

impl<'a> Walk<'a> {
    fn new(bytes: &'a [u8], is_checked: bool) -> Walk<'a> {
        Walk { reader: Reader::new(bytes), stage: Stage::Start, deletes_at: 0, is_checked }
    }

    fn step(&mut self) -> Result<Option<Step<'a>>, Refusal> {
        loop {
            match self.stage {
                Stage::Start => self.stage = Stage::Sections { left: self.reader.count()? },
                Stage::Sections { left: 0 } => {
                    self.deletes_at = self.reader.at();
                    self.stage = Stage::DeletePart;
                }
                Stage::Sections { left } => return self.section(left).map(Some),
                Stage::Blocks { sections_left, left: 0, .. } => {
                    self.stage = Stage::Sections { left: sections_left };
                }
                Stage::Blocks { sections_left, left, next } => {
                    let block = Block::read(&mut self.reader, next, self.is_checked)?;
                    let next = Id { clock: block.end(), ..next };
                    self.stage = Stage::Blocks { sections_left, left: left - 1, next };
                    return Ok(Some(Step::Event(Event::Block(block))));
                }
                Stage::DeletePart => {
                    self.stage = Stage::DeleteClients { left: self.reader.count()? };
                }
                Stage::DeleteClients { left: 0 } => return Ok(None),
                Stage::DeleteClients { left } => {
                    let client = self.reader.client()?;
                    let ranges = self.reader.count()?;
                    self.stage = Stage::Deletes { clients_left: left - 1, left: ranges, client };
                    return Ok(Some(Step::DeleteClient(client)));
                }
                Stage::Deletes { clients_left, left: 0, .. } => {
                    self.stage = Stage::DeleteClients { left: clients_left };
                }
                Stage::Deletes { clients_left, left, client } => {
                    self.stage = Stage::Deletes { clients_left, left: left - 1, client };
                    return self.delete(client).map(Some);
                }
            }
        }
    }

    fn section(&mut self, left: u32) -> Result<Step<'a>, Refusal> {
        let at = self.reader.at();
        let blocks = self.reader.count()?;
        let next = Id { client: self.reader.client()?, clock: self.reader.clock()? };
        if blocks == 0 {
            return Err(Refusal::malformed(at, "section without blocks"));
        }
        self.stage = Stage::Blocks { sections_left: left - 1, left: blocks, next };
        Ok(Step::Event(Event::Section { client: next.client, clock: next.clock, blocks }))
    }

    fn delete(&mut self, client: u64) -> Result<Step<'a>, Refusal> {
        let at = self.reader.at();
        let (clock, len) = (self.reader.clock()?, self.reader.clock()?);
        if len == 0 {
            return Err(Refusal::malformed(at, "delete without elements"));
        }
        if u64::from(clock) + u64::from(len) >= CLOCK_END {
            return Err(Refusal::malformed(at, "clock and length of 31 bits or more"));
        }
        Ok(Step::Event(Event::Delete { client, clock, len }))
    }
}
