//! What came to one reader: which tokens, in which order, how often.

use std::collections::BTreeSet;

use crate::edits::token::Token;

/// Which numbers of a row came.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// All before it came.
    next: u32,
    /// What came beyond that.
    ahead: BTreeSet<u32>,
    /// One past the greatest that came.
    end: u32,
    /// How many came after one that was sent later, in another frame.
    pub(crate) late: u64,
    /// How many came again.
    pub(crate) repeated: u64,
}

impl Seen {
    /// How many different ones came.
    pub(crate) fn received(&self) -> u32 {
        self.next + self.ahead.len() as u32
    }

    /// Enters a number. Returns whether it is new.
    pub(crate) fn enter(&mut self, number: u32) -> bool {
        let is_late = number < self.end;
        self.end = self.end.max(number + 1);
        if number == self.next {
            self.late += u64::from(is_late);
            self.next += 1;
            while self.ahead.remove(&self.next) {
                self.next += 1;
            }
            return true;
        }
        let is_new = number > self.next && self.ahead.insert(number);
        self.late += u64::from(is_new && is_late);
        self.repeated += u64::from(!is_new);
        is_new
    }
}

/// The account of one reader.
#[derive(Debug, Default)]
pub(crate) struct Account {
    pub(crate) seen: Seen,
    /// Frames with at least one.
    pub(crate) frames: u64,
    /// Updates as they came, if this reader's document is to be rebuilt.
    pub(crate) updates: Option<Vec<Vec<u8>>>,
    /// Of one frame; kept for its memory.
    found: Vec<Token>,
}

impl Account {
    /// An account that keeps the updates themselves, or does not.
    pub(crate) fn new(is_kept: bool) -> Self {
        Self { updates: is_kept.then(Vec::new), ..Self::default() }
    }

    /// Takes in an update; hands on the tokens that are new.
    pub(crate) fn take(&mut self, update: &[u8], mut is_new: impl FnMut(Token)) {
        if let Some(updates) = &mut self.updates {
            updates.push(update.to_vec());
        }
        let mut found = std::mem::take(&mut self.found);
        found.extend(Token::find(update));
        self.frames += u64::from(!found.is_empty());
        if found.len() > 1 {
            found.sort_unstable(); // joined updates are in the order of their authors
        }
        for token in found.drain(..) {
            if self.seen.enter(token.number) {
                is_new(token);
            }
        }
        self.found = found;
    }
}

#[cfg(test)]
mod tests;
