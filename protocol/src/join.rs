//! Joins updates that came one after another from one sender into one that does the same.
//!
//! Eight edits that are read together cost as much as one from there on: one plan, one record, one
//! frame for every reader. Called by the server's documents, with what passed the scan. Blocks keep
//! their bytes, except for text that only goes on with the text before it. What would need more
//! than that stays as it is.

use std::cmp::Reverse;

use crate::chain::{Edges, Writer, write_deletes};
use crate::ids::Id;
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
    // What one editor writes has one section; to look each of many up among those of the others
    // would take the square of them.
    let has_many = updates.iter().any(|update| update.sections() > 1);
    if updates.len() < 2 || bytes > MESSAGE_BYTES_MAX || has_many {
        return None;
    }
    let edges = Edges::of(updates.iter().copied());
    let mut sections: Vec<Section<'_, '_>> = Vec::new();
    let mut deletes = Vec::new();
    for update in updates {
        if let Some(block) = update.text() {
            open(&mut sections, &edges, block.id)?.push(*block)?;
            continue;
        }
        for event in update.events() {
            match event {
                Event::Section { client, clock, .. } => {
                    open(&mut sections, &edges, Id { client, clock })?;
                }
                Event::Block(block) => open(&mut sections, &edges, block.id)?.push(block)?,
                Event::Delete { client, clock, len } => deletes.push((client, clock, len)),
            }
        }
    }
    let mut out = Vec::with_capacity(bytes);
    sections.sort_unstable_by_key(|section| Reverse(section.client));
    write_uint(&mut out, sections.len() as u64);
    for section in sections {
        section.write(&mut out);
    }
    sort(&mut deletes);
    write_deletes(&deletes, &mut out);
    Some(out)
}

/// Brings deletions into order, and makes one of those that meet. Yjs keeps what comes before its
/// content as differences from one clock to the next: of a falling one it makes another clock.
fn sort(deletes: &mut Vec<(u64, u32, u32)>) {
    deletes.sort_unstable_by_key(|(client, clock, _)| (Reverse(*client), *clock));
    deletes.dedup_by(|(client, clock, len), (of, start, run)| {
        let meets = client == of && *clock <= *start + *run;
        if meets {
            *run = (*run).max(*clock + *len - *start);
        }
        meets
    });
}

/// One client's blocks, chained from `clock` to `end`.
struct Section<'a, 'e> {
    client: u64,
    clock: u32,
    end: u32,
    blocks: Writer<'a, 'e>,
}

/// A client's section, begun if need be; `None` if there would be a hole in it before `next`.
fn open<'s, 'a, 'e>(
    sections: &'s mut Vec<Section<'a, 'e>>,
    edges: &'e Edges,
    next: Id,
) -> Option<&'s mut Section<'a, 'e>> {
    let Id { client, clock } = next;
    // Mostly the last one again.
    let at = sections.iter().rposition(|section| section.client == client);
    let at = at.unwrap_or_else(|| {
        sections.push(Section { client, clock, end: clock, blocks: Writer::new(edges) });
        sections.len() - 1
    });
    Some(&mut sections[at]).filter(|section| section.end == clock)
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
