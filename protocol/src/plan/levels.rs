//! How deep in nested types each block lives.
//!
//! A run-length map from (client, clock) to level, only for blocks below a root's own level, so
//! that a plain text costs nothing. `plan` reads it to bound the parent chain, because deleting a
//! chain of nested types recurses in yrs.

use std::collections::BTreeMap;

use crate::ids::Id;

/// Levels by runs of clocks.
#[derive(Debug, Default)]
pub struct Levels {
    /// (client, first clock) to (one past the last clock, level).
    runs: BTreeMap<(u64, u32), (u32, u16)>,
}

impl Levels {
    /// The level of a block; 0 for one that lives directly in a root, or that is unknown.
    pub fn get(&self, id: Id) -> u16 {
        match self.runs.range(..=(id.client, id.clock)).next_back() {
            Some(((client, _), (end, level))) if *client == id.client && id.clock < *end => *level,
            _ => 0,
        }
    }

    /// True for a document without nested types.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Puts `len` clocks at `id` on `level`, joining a run that ends there.
    pub fn put(&mut self, id: Id, len: u32, level: u16) {
        let before = self.runs.range_mut(..(id.client, id.clock)).next_back();
        if let Some(((client, _), (end, run_level))) = before
            && *client == id.client
            && *end == id.clock
            && *run_level == level
        {
            *end = id.clock + len;
            return;
        }
        self.runs.insert((id.client, id.clock), (id.clock + len, level));
    }

    /// Takes in the levels of a plan that was integrated.
    pub fn extend(&mut self, other: Self) {
        for ((client, clock), (end, level)) in other.runs {
            self.put(Id { client, clock }, end - clock, level);
        }
    }
}
