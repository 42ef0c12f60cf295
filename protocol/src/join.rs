//! Joins updates that came one after another from one sender into one that does the same.
//!
//! Eight edits that are read together cost as much as one from there on: one plan, one record, one
//! frame for every reader. Called by the server's documents, with what passed the scan. Blocks keep
//! their bytes, except for text that only goes on with the text before it. What would need more
//! than that stays as it is.

use std::cmp::Reverse;

use crate::chain::{Edges, Writer};
use crate::limits::MESSAGE_BYTES_MAX;
use crate::scan::{Block, Content, Event, Update};
use crate::varint::write_uint;

/// The updates as one; `None` if they are fewer than two, or leave holes, or hold more than text,
/// values, marks and deletions. Whoever has all that the first of them stands on, and takes each of
/// them after the one before it, is left with the same content by the one.
///
/// The bounds that a frame has for each of its parts hold for the whole: it scans as a frame does.
#[must_use]
pub fn join(updates: &[&Update<'_>]) -> Option<Vec<u8>> {
    let bytes: usize = updates.iter().map(|update| update.bytes().len()).sum();
    if updates.len() < 2 || bytes > MESSAGE_BYTES_MAX {
        return None;
    }
    let edges = Edges::of(updates.iter().copied());
    let mut sections: Vec<Section<'_, '_>> = Vec::new();
    let mut deletes: Vec<Deletes> = Vec::new();
    for update in updates {
        if let Some(block) = update.text() {
            open(&mut sections, &edges, block.id.client, block.id.clock)?.push(*block)?;
            continue;
        }
        for event in update.events() {
            match event {
                Event::Section { client, clock, .. } => {
                    open(&mut sections, &edges, client, clock)?;
                }
                Event::Block(block) => find(&mut sections, block.id.client)?.push(block)?,
                Event::Delete { client, clock, len } => {
                    match deletes.iter_mut().find(|deletes| deletes.client == client) {
                        Some(deletes) => deletes.ranges.push((clock, len)),
                        None => deletes.push(Deletes { client, ranges: vec![(clock, len)] }),
                    }
                }
            }
        }
    }
    let mut out = Vec::with_capacity(bytes);
    sections.sort_unstable_by_key(|section| Reverse(section.client));
    write_uint(&mut out, sections.len() as u64);
    for section in sections {
        section.write(&mut out);
    }
    deletes.sort_unstable_by_key(|deletes| Reverse(deletes.client));
    write_uint(&mut out, deletes.len() as u64);
    for Deletes { client, ranges } in deletes {
        write_uint(&mut out, client);
        write_uint(&mut out, ranges.len() as u64);
        for (clock, len) in ranges {
            write_uint(&mut out, u64::from(clock));
            write_uint(&mut out, u64::from(len));
        }
    }
    Some(out)
}

/// One client's blocks, chained from `clock` to `end`.
struct Section<'a, 'e> {
    client: u64,
    clock: u32,
    end: u32,
    blocks: Writer<'a, 'e>,
}

/// One client's deletions, in the order they came.
struct Deletes {
    client: u64,
    ranges: Vec<(u32, u32)>,
}

/// A client's section, begun if need be; `None` if `clock` would leave a hole in it.
fn open<'s, 'a, 'e>(
    sections: &'s mut Vec<Section<'a, 'e>>,
    edges: &'e Edges,
    client: u64,
    clock: u32,
) -> Option<&'s mut Section<'a, 'e>> {
    if find(sections, client).is_none() {
        sections.push(Section { client, clock, end: clock, blocks: Writer::new(edges) });
    }
    find(sections, client).filter(|section| section.end == clock)
}

/// Few clients write through one sender, and mostly the last one again.
fn find<'s, 'a, 'e>(
    sections: &'s mut [Section<'a, 'e>],
    client: u64,
) -> Option<&'s mut Section<'a, 'e>> {
    sections.iter_mut().rev().find(|section| section.client == client)
}

impl<'a> Section<'a, '_> {
    fn push(&mut self, block: Block<'a>) -> Option<()> {
        // Types and subdocuments are bounded by frame, holes and legacy values need a plan.
        let is_simple = matches!(
            block.content,
            Content::String(_)
                | Content::Deleted
                | Content::Any { .. }
                | Content::Format { .. }
                | Content::Embed(_)
                | Content::Binary(_)
        );
        self.end = block.end();
        // Nothing that is held stands in these updates, or each of them would be cut by its plan.
        is_simple.then(|| self.blocks.push(block, 0).ok()).flatten()
    }

    fn write(self, out: &mut Vec<u8>) {
        write_uint(out, u64::from(self.blocks.blocks));
        write_uint(out, self.client);
        write_uint(out, u64::from(self.clock));
        out.extend_from_slice(&self.blocks.finish());
    }
}

#[cfg(test)]
mod tests;
