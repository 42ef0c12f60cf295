//! What one person has typed and when it was due, found again by what an update says.

use sheaf_protocol::scan::{self, Content, Event};
use sheaf_protocol::varint::{write_text, write_uint};

use crate::edits::text::Mark;

/// No key.
const NONE: u32 = u32::MAX;

/// One person's keys, in order.
#[derive(Debug)]
pub(crate) struct Log {
    dues_us: Vec<u64>,
    /// The key that inserted each of his elements first, by clock.
    inserts: Vec<u32>,
    /// The key that deleted each first, by clock.
    deletes: Vec<u32>,
    /// The updates themselves, if the document is to be rebuilt; the opening first.
    pub(crate) updates: Option<Vec<Vec<u8>>>,
}

/// Elements of a client that an update inserts or deletes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) clock: u32,
    pub(crate) len: u32,
    pub(crate) is_deleted: bool,
}

impl Log {
    pub(crate) fn new(opening: Option<Vec<u8>>, is_kept: bool) -> Self {
        let updates = is_kept.then(|| opening.into_iter().collect());
        Self { dues_us: Vec::new(), inserts: Vec::new(), deletes: Vec::new(), updates }
    }

    /// How many keys that others can recognise.
    pub(crate) fn sent(&self) -> u32 {
        self.dues_us.len() as u32
    }

    /// Enters a key.
    pub(crate) fn push(&mut self, mark: Mark, due_us: u64, update: Vec<u8>) {
        let number = self.sent();
        let entry = match mark {
            Mark::Inserts(clock) => Some((&mut self.inserts, clock as usize)),
            Mark::Deletes(clock) => Some((&mut self.deletes, clock as usize)),
            Mark::Unknown => None,
        };
        if let Some((all, at)) = entry {
            if all.len() <= at {
                all.resize(at + 1, NONE);
            }
            all[at] = number;
            self.dues_us.push(due_us);
        }
        if let Some(updates) = &mut self.updates {
            updates.push(update);
        }
    }

    /// The keys whose first element lies in a range, with their due times.
    pub(crate) fn find(&self, range: Range) -> impl Iterator<Item = (u32, u64)> {
        let all = if range.is_deleted { &self.deletes } else { &self.inserts };
        let end = (range.clock as usize).saturating_add(range.len as usize).min(all.len());
        let start = (range.clock as usize).min(end);
        let keys = all[start..end].iter().filter(|number| **number != NONE);
        keys.map(|number| (*number, self.dues_us[*number as usize]))
    }
}

/// Hands on what an update inserts and deletes, by client.
pub(crate) fn keys(update: &[u8], mut take: impl FnMut(u64, Range)) {
    let Ok(update) = scan::update(update) else { return };
    for event in update.events() {
        match event {
            Event::Block(block) if block.content != Content::Skip => {
                let range = Range { clock: block.id.clock, len: block.len, is_deleted: false };
                take(block.id.client, range);
            }
            Event::Delete { client, clock, len } => {
                take(client, Range { clock, len, is_deleted: true });
            }
            _ => {}
        }
    }
}

/// One person's presence, as an editor on stock Yjs writes it: name, colour, cursor.
pub(crate) fn awareness(client: u32, clock: u32, cursor: (u32, u32)) -> Vec<u8> {
    let (of, at) = cursor;
    let place = format!(
        r#"{{"type":null,"tname":"content","item":{{"client":{of},"clock":{at}}},"assoc":0}}"#
    );
    let state = format!(
        r##"{{"user":{{"name":"Person {}","color":"#30bced","colorLight":"#30bced33"}},"##,
        client % 1_000
    ) + &format!(r#""cursor":{{"anchor":{place},"head":{place}}}}}"#);
    let mut out = Vec::with_capacity(state.len() + 16);
    write_uint(&mut out, 1);
    write_uint(&mut out, u64::from(client));
    write_uint(&mut out, u64::from(clock));
    write_text(&mut out, &state);
    out
}

/// One person's presence, gone.
pub(crate) fn absence(client: u32, clock: u32) -> Vec<u8> {
    let mut out = Vec::with_capacity(16);
    write_uint(&mut out, 1);
    write_uint(&mut out, u64::from(client));
    write_uint(&mut out, u64::from(clock));
    write_text(&mut out, "null");
    out
}

#[cfg(test)]
mod tests;
