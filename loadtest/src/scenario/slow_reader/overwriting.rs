//! A writer that appends a chunk and deletes the oldest, made by hand: a CRDT would cost more than
//! the server that is measured.

use sheaf_protocol::scan::{self, Event};
use sheaf_protocol::varint::{write_text, write_uint};
use tokio::time::Instant;

use crate::edits::token::ROOT;
use crate::edits::{HAS_ORIGIN, STRING};

/// Characters of an update.
pub(super) const CHUNK: usize = 64 << 10;

/// Chunks that the text holds at most: together a mebibyte.
pub(super) const LIVE: u64 = 16;

/// The clocks of a client are below 2^31, and each character takes one.
pub(super) const UPDATES_MAX: u64 = (1 << 31) / CHUNK as u64;

/// The author of all updates.
pub(super) struct Writer {
    client: u32,
    /// When each update was due.
    dues: Vec<Instant>,
}

impl Writer {
    pub(super) fn new(client: u32) -> Self {
        Self { client, dues: Vec::new() }
    }

    /// How many updates are written.
    pub(super) fn written(&self) -> u64 {
        self.dues.len() as u64
    }

    /// Makes the next update.
    pub(super) fn write(&mut self, due: Instant, out: &mut Vec<u8>) {
        let number = self.written();
        assert!(number < UPDATES_MAX, "a client has no more clocks");
        self.dues.push(due);
        let clock = number * CHUNK as u64;
        out.clear();
        // One client with one block.
        out.extend_from_slice(&[1, 1]);
        write_uint(out, self.client.into());
        write_uint(out, clock);
        if number == 0 {
            out.extend_from_slice(&[STRING, 1]);
            write_text(out, ROOT);
        } else {
            out.push(STRING | HAS_ORIGIN);
            write_uint(out, self.client.into());
            write_uint(out, clock - 1);
        }
        write_text(out, &chunk(number));
        match number.checked_sub(LIVE) {
            None => out.push(0),
            Some(gone) => {
                out.push(1);
                write_uint(out, self.client.into());
                out.push(1);
                write_uint(out, gone * CHUNK as u64);
                write_uint(out, CHUNK as u64);
            }
        }
    }

    /// What the text is.
    pub(super) fn text(&self) -> String {
        let first = self.written().saturating_sub(LIVE);
        (first..self.written()).map(chunk).collect()
    }

    /// How many updates one has who has this one, and everything before it.
    pub(super) fn end_of(&self, update: &[u8]) -> Option<u64> {
        let update = scan::update(update).ok()?;
        let ends = update.events().filter_map(|event| match event {
            Event::Block(block) if block.id.client == u64::from(self.client) => Some(block.end()),
            _ => None,
        });
        ends.max().map(|end| u64::from(end) / CHUNK as u64)
    }

    /// When the updates of a range were due.
    pub(super) fn dues(&self, from: u64, to: u64) -> impl Iterator<Item = Instant> {
        self.dues[from as usize..(to as usize).max(from as usize)].iter().copied()
    }
}

/// Letters that differ from one update to the next.
fn chunk(number: u64) -> String {
    let letter = char::from(b'a' + (number % 26) as u8);
    let mut text = format!("{number} ");
    text.extend(std::iter::repeat_n(letter, CHUNK - text.len()));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bot::replica::rebuild;

    #[test]
    fn its_updates_make_the_text_that_it_says() {
        let mut writer = Writer::new(7);
        let mut updates = Vec::new();
        for number in 1..=LIVE + 3 {
            let mut update = Vec::new();
            writer.write(Instant::now(), &mut update);
            assert_eq!(writer.end_of(&update), Some(number));
            updates.push(update);
        }
        assert_eq!(rebuild(&updates).as_deref(), Some(&*writer.text()));
        assert_eq!(writer.text().len(), LIVE as usize * CHUNK);
    }
}
