//! One person's own stretch of a document, with every letter's id: enough to write the updates that
//! a whole replica would write, at a hundredth of its cost.
//!
//! The stretch begins between two anchors that are typed first and never deleted, so that its
//! neighbours are always its own and nobody else's edits matter to it.

use sheaf_protocol::varint::{write_text, write_uint};

use super::token::ROOT;
use super::{HAS_ORIGIN, HAS_RIGHT_ORIGIN, STRING};

/// Put something else for letters outside the basic plane: one letter is one element here.
const NO_LETTER: char = '\u{fffd}';

/// One element of the document.
#[derive(Debug, Clone, Copy)]
struct Letter {
    clock: u32,
    is_deleted: bool,
}

/// A change of a stretch: `deleted` letters at `at` go, `inserted` comes there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Patch {
    /// Counted in letters that are there.
    pub(crate) at: u32,
    pub(crate) deleted: u32,
    pub(crate) inserted: String,
}

/// What an update begins with: the id by which others recognise it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// The first element that it inserts.
    Inserts(u32),
    /// It only deletes; the first element.
    Deletes(u32),
    /// It cannot be told from others.
    Unknown,
}

/// The stretch of one client.
#[derive(Debug)]
pub(crate) struct Text {
    client: u32,
    /// The next element's clock.
    clock: u32,
    /// Before the cursor, in order.
    before: Vec<Letter>,
    /// Behind it, the nearest last.
    behind: Vec<Letter>,
    /// Of each side, what is not deleted; the anchors do not count.
    before_len: u32,
    behind_len: u32,
}

impl Text {
    /// The two anchors alone; [`Text::opening`] types them.
    pub(crate) fn new(client: u32) -> Self {
        let anchor = |clock| Letter { clock, is_deleted: false };
        Self {
            client,
            clock: 2,
            before: vec![anchor(0)],
            behind: vec![anchor(1)],
            before_len: 0,
            behind_len: 0,
        }
    }

    /// The update that must come first: two line ends, the anchors.
    pub(crate) fn opening(&self) -> Vec<u8> {
        let mut out = vec![1, 1];
        write_uint(&mut out, u64::from(self.client));
        out.extend([0, STRING, 1]);
        write_text(&mut out, ROOT);
        write_text(&mut out, "\n\n");
        out.push(0);
        out
    }

    /// How many letters there are.
    pub(crate) fn len(&self) -> u32 {
        self.before_len + self.behind_len
    }

    /// Changes the text, as far as the patches lie within it, and appends the update that says so;
    /// nothing if nothing changes.
    pub(crate) fn apply(&mut self, patches: &[Patch], out: &mut Vec<u8>) -> Option<Mark> {
        let first = self.clock;
        let (mut blocks, mut count, mut deleted) = (Vec::new(), 0, Vec::new());
        for patch in patches {
            self.go(patch.at.min(self.len()));
            self.delete(patch.deleted, &mut deleted);
            if !patch.inserted.is_empty() {
                self.insert(&patch.inserted, &mut blocks);
                count += 1;
            }
        }
        let mark = match deleted.first() {
            _ if count > 0 => Mark::Inserts(first),
            Some((clock, _)) => Mark::Deletes(*clock),
            None => return None,
        };
        if count == 0 {
            out.push(0);
        } else {
            out.push(1);
            write_uint(out, count);
            write_uint(out, u64::from(self.client));
            write_uint(out, u64::from(first));
            out.extend(blocks);
        }
        if deleted.is_empty() {
            out.push(0);
        } else {
            out.push(1);
            write_uint(out, u64::from(self.client));
            let deleted = joined(deleted);
            write_uint(out, deleted.len() as u64);
            for (clock, len) in deleted {
                write_uint(out, u64::from(clock));
                write_uint(out, u64::from(len));
            }
        }
        Some(mark)
    }

    /// Where the cursor is, as the id of the letter before it: client and clock.
    pub(crate) fn cursor(&self) -> (u32, u32) {
        (self.client, self.before.last().map_or(0, |letter| letter.clock))
    }

    /// Moves the cursor right behind the letter `at - 1`.
    fn go(&mut self, at: u32) {
        while self.before_len < at
            && let Some(letter) = self.behind.pop()
        {
            self.before.push(letter);
            let is_there = u32::from(!letter.is_deleted);
            self.before_len += is_there;
            self.behind_len -= is_there;
        }
        while self.before.len() > 1
            && let Some(letter) = self.before.last()
            && (self.before_len > at || letter.is_deleted)
        {
            let is_there = u32::from(!letter.is_deleted);
            self.behind.push(*letter);
            self.before.pop();
            self.before_len -= is_there;
            self.behind_len += is_there;
        }
    }

    fn delete(&mut self, len: u32, deleted: &mut Vec<(u32, u32)>) {
        let mut left = len.min(self.behind_len);
        self.behind_len -= left;
        for letter in self.behind.iter_mut().rev() {
            if left == 0 {
                break;
            }
            if !letter.is_deleted {
                letter.is_deleted = true;
                deleted.push((letter.clock, 1));
                left -= 1;
            }
        }
    }

    fn insert(&mut self, text: &str, out: &mut Vec<u8>) {
        // The anchors stay where they are: both sides always have a letter.
        let (origin, right) = (self.before.last(), self.behind.last());
        out.push(STRING | HAS_ORIGIN | HAS_RIGHT_ORIGIN);
        for neighbour in [origin, right].into_iter().flatten() {
            write_uint(out, u64::from(self.client));
            write_uint(out, u64::from(neighbour.clock));
        }
        let text: String = text.chars().map(in_plane).collect();
        write_text(out, &text);
        let len = text.chars().count() as u32;
        let clocks = self.clock..self.clock + len;
        self.before.extend(clocks.map(|clock| Letter { clock, is_deleted: false }));
        self.before_len += len;
        self.clock += len;
    }
}

/// The letter, if it is one element of a document.
pub(crate) fn in_plane(letter: char) -> char {
    if letter.len_utf16() == 1 { letter } else { NO_LETTER }
}

/// Ranges in order of clock, neighbours as one.
fn joined(mut ranges: Vec<(u32, u32)>) -> Vec<(u32, u32)> {
    ranges.sort_unstable();
    let mut all: Vec<(u32, u32)> = Vec::with_capacity(ranges.len());
    for (clock, len) in ranges {
        match all.last_mut() {
            Some((last, last_len)) if *last + *last_len == clock => *last_len += len,
            _ => all.push((clock, len)),
        }
    }
    all
}

#[cfg(test)]
mod tests;
