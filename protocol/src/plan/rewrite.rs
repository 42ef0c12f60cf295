//! Writes an update again when the received bytes cannot be used as they are.
//!
//! Keeps what a plan has walked, leaves out Skips that the document covers, blocks beyond a gap and
//! deletions of what is not held, turns legacy JSON blocks into `Any` blocks, and joins chains of
//! blocks. Called by `plan`.

use crate::chain::{Edges, Writer, write_deletes};
use crate::error::Refusal;
use crate::scan::{Content, Event, Update};
use crate::varint;

use super::Section;

/// The update without what a document cannot take. `held` gives one past the last clock that is
/// held once the update is in.
pub(super) fn cut(
    update: &Update<'_>,
    sections: &[Section<'_>],
    held: impl Fn(u64) -> u32,
) -> Result<Vec<u8>, Refusal> {
    let mut out = Vec::with_capacity(update.bytes().len());
    write_blocks(update, sections, &mut out)?;
    write_deletes(&deletes(update, held), &mut out);
    Ok(out)
}

/// One section as it will be written: its blocks, and where the first begins.
struct Run<'a, 'e> {
    client: u64,
    clock: u32,
    blocks: Writer<'a, 'e>,
}

fn write_blocks(
    update: &Update<'_>,
    sections: &[Section<'_>],
    out: &mut Vec<u8>,
) -> Result<(), Refusal> {
    let edges = Edges::of([update]);
    let mut runs: Vec<Run<'_, '_>> = Vec::with_capacity(sections.len());
    let mut at = 0;
    for event in update.events() {
        match event {
            Event::Section { client, .. } => {
                runs.push(Run { client, clock: 0, blocks: Writer::new(&edges) });
                at += 1;
            }
            Event::Block(block) => {
                let (section, run) = (&sections[at - 1], runs.last_mut());
                let run = run.expect("a block follows its section");
                let is_kept = block.id.clock >= section.keep_from
                    && block.end() <= section.held
                    && !matches!(block.content, Content::Skip);
                if !is_kept {
                    continue;
                }
                if run.blocks.blocks == 0 {
                    run.clock = block.id.clock;
                }
                run.blocks.push(block, section.known)?;
            }
            Event::Delete { .. } => break,
        }
    }
    runs.retain(|run| run.blocks.blocks > 0);
    varint::write_uint(out, runs.len() as u64);
    for run in runs {
        varint::write_uint(out, u64::from(run.blocks.blocks));
        varint::write_uint(out, run.client);
        varint::write_uint(out, u64::from(run.clock));
        out.extend_from_slice(&run.blocks.finish());
    }
    Ok(())
}

/// The deletions of what is held, in the order they came.
fn deletes(update: &Update<'_>, held: impl Fn(u64) -> u32) -> Vec<(u64, u32, u32)> {
    let kept = update.deletions().filter_map(|event| {
        let Event::Delete { client, clock, len } = event else { return None };
        let len = held(client).saturating_sub(clock).min(len);
        (len > 0).then_some((client, clock, len))
    });
    kept.collect()
}
