//! Who wrote which clocks of a document.
//!
//! Job: tell it from the entries of a log, in order, so that it is known when they are gone. Called
//! by `checkpoint`, before a log is thinned, and by `history`. Never looks at what was written.

use std::collections::HashMap;
use std::sync::Arc;

use sheaf_protocol::scan::{self, Event};
use sheaf_storage::store::{Authored, LogEntry, Owner};

const MINUTE_MS: u64 = 60_000;

/// Who wrote what, as it is gathered.
#[derive(Debug, Default)]
pub struct Authorship {
    spans: Vec<Authored>,
    /// One past the last clock of every client id that was met.
    ends: HashMap<u64, u32>,
    owners: HashMap<u64, Vec<Owner>>,
}

impl Authorship {
    /// Going on from what is known, where client ids belong to these.
    #[must_use]
    pub fn new(owners: &[Owner], known: Vec<Authored>) -> Self {
        let mut ends = HashMap::new();
        for span in &known {
            let end = ends.entry(span.client).or_insert(0);
            *end = span.clock.saturating_add(span.len).max(*end);
        }
        let mut by_client = HashMap::<u64, Vec<Owner>>::new();
        for owner in owners {
            by_client.entry(owner.client).or_default().push(owner.clone());
        }
        Self { spans: known, ends, owners: by_client }
    }

    /// Takes the next entry.
    pub fn push(&mut self, entry: &LogEntry) {
        let Ok(update) = scan::stored(&entry.bytes) else { return };
        let minute = entry.stamp.ms() / MINUTE_MS;
        for event in update.events() {
            let Event::Block(block) = event else { continue };
            let client = block.id.client;
            let end = self.ends.entry(client).or_insert(0);
            // Who brings again what is known did not write it.
            let (from, to) = (block.id.clock.max(*end), block.end());
            if from >= to {
                continue;
            }
            *end = to;
            let author = self.author(client, from, entry);
            let is_on = |last: &&mut Authored| {
                let is_next = last.client == client && last.clock + last.len == from;
                is_next && last.minute == minute && last.author == author
            };
            match self.spans.last_mut().filter(is_on) {
                Some(last) => last.len += to - from,
                None => {
                    let (clock, len) = (from, to - from);
                    self.spans.push(Authored { client, clock, len, author, minute });
                }
            }
        }
    }

    /// The owner of the clocks where there is one: another may have brought them.
    fn author(&self, client: u64, clock: u32, entry: &LogEntry) -> Option<Arc<str>> {
        let claims = self.owners.get(&client).map_or(&[][..], Vec::as_slice);
        let owner = claims.iter().rev().find(|claim| claim.clocks.contains(&clock));
        owner.map(|claim| Arc::from(&*claim.owner)).or_else(|| entry.author.clone())
    }

    /// All of it, in the order in which it came.
    #[must_use]
    pub fn finish(self) -> Vec<Authored> {
        self.spans
    }
}

#[cfg(test)]
mod tests;
