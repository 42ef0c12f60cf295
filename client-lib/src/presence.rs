//! Who is here: the awareness table of one replica. Called by [`crate::state`]; pure, time is an
//! argument.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use sheaf_protocol::{scan, varint};
use tokio::time::Instant;

/// A state not renewed for this long is gone; the figure of y-protocols, which renews every 15 s.
pub(crate) const STATE_AGE_MAX: Duration = Duration::from_secs(30);
/// How often the own state is sent again.
pub(crate) const RENEW_EVERY: Duration = Duration::from_secs(15);

#[derive(Debug)]
struct Entry {
    clock: u32,
    /// `None` keeps the clock of a client that left, so that a late, older state cannot bring it
    /// back.
    state: Option<Value>,
    seen: Instant,
}

/// The own state and those of the others, by client id.
#[derive(Debug)]
pub(crate) struct Presence {
    own_id: u64,
    own_clock: u32,
    own: Option<Value>,
    others: BTreeMap<u64, Entry>,
}

impl Presence {
    pub(crate) fn new(own_id: u64, own: Option<Value>) -> Self {
        Self { own_id, own_clock: 0, own, others: BTreeMap::new() }
    }

    pub(crate) fn set(&mut self, own: Option<Value>) {
        self.own = own;
    }

    /// Whether others may believe that we are here, so that hiding has to be said.
    pub(crate) fn was_announced(&self) -> bool {
        self.own_clock > 0
    }

    pub(crate) fn is_present(&self) -> bool {
        self.own.is_some()
    }

    /// The payload of an awareness message with the own state alone, one clock on.
    pub(crate) fn announce(&mut self) -> Vec<u8> {
        let state = self.own.as_ref().map_or_else(|| "null".to_owned(), Value::to_string);
        self.payload(&state)
    }

    /// The payload that says goodbye.
    pub(crate) fn farewell(&mut self) -> Vec<u8> {
        self.payload("null")
    }

    fn payload(&mut self, state: &str) -> Vec<u8> {
        self.own_clock = self.own_clock.saturating_add(1);
        let mut out = Vec::with_capacity(state.len() + 16);
        for number in [1, self.own_id, u64::from(self.own_clock)] {
            varint::write_uint(&mut out, number);
        }
        varint::write_text(&mut out, state);
        out
    }

    /// Takes in what others say. Returns whether anything visible changed, and whether somebody
    /// declared this replica gone, which calls for an [`Presence::announce`].
    pub(crate) fn apply(&mut self, said: &scan::Awareness<'_>, now: Instant) -> (bool, bool) {
        let (mut changed, mut contested) = (false, false);
        for entry in said.entries() {
            let state: Option<Value> = serde_json::from_str(entry.state).unwrap_or(None);
            if entry.client == self.own_id {
                if state.is_none() && self.own.is_some() && entry.clock >= self.own_clock {
                    self.own_clock = entry.clock;
                    contested = true;
                }
                continue;
            }
            let known = self.others.get(&entry.client);
            let newer = known.is_none_or(|known| {
                entry.clock > known.clock || (entry.clock == known.clock && state.is_none())
            });
            if newer {
                changed |= known.and_then(|known| known.state.as_ref()) != state.as_ref();
                self.others.insert(entry.client, Entry { clock: entry.clock, state, seen: now });
            }
        }
        (changed, contested)
    }

    /// Drops everybody else, clocks included: after a reconnect their states come again with equal
    /// clocks and would be ignored.
    pub(crate) fn forget_others(&mut self) -> bool {
        let was_empty = self.others.is_empty();
        self.others.clear();
        !was_empty
    }

    /// Drops states that nobody renewed.
    pub(crate) fn expire(&mut self, now: Instant) -> bool {
        let before = self.others.len();
        self.others.retain(|_, entry| now.duration_since(entry.seen) <= STATE_AGE_MAX);
        self.others.len() != before
    }

    /// Every present client with its state, this replica included.
    pub(crate) fn states(&self) -> BTreeMap<u64, Value> {
        let others = self.others.iter().filter_map(|(id, entry)| Some((*id, entry.state.clone()?)));
        others.chain(self.own.clone().map(|own| (self.own_id, own))).collect()
    }
}

#[cfg(test)]
mod tests;
