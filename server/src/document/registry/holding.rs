//! Keeping documents as they are while their names change: those that nobody has in memory are not
//! loaded until the names are settled.
//!
//! Called by `vault`, so that a folder need not be loaded to be moved. Never keeps anybody waiting
//! longer than what is held lives.

use std::collections::HashSet;
use std::sync::Arc;

use dashmap::mapref::entry::Entry;
use tokio_util::sync::CancellationToken;

use super::{OpenError, Opening, Registry, Slot};
use crate::document::handle::{Handle, Name};

/// Names whose documents are not loaded while it lives.
pub struct Held {
    registry: Registry,
    /// Opened when it is over: whoever wants one of them waits here.
    gate: CancellationToken,
    /// With the generations of their slots.
    slots: Vec<(Name, u64)>,
    names: HashSet<Name>,
    /// End of what documents that were dropped have in the journal.
    end: u64,
}

/// What is at a name.
enum At {
    /// Nothing in memory: it is held.
    Nothing,
    /// A document in memory.
    Document(Arc<Handle>),
    /// A load.
    Load(Opening, u64),
}

impl Registry {
    /// Holds nothing yet.
    #[must_use]
    pub fn hold(&self) -> Held {
        let gate = CancellationToken::new();
        let (slots, names) = (Vec::new(), HashSet::new());
        Held { registry: self.clone(), gate, slots, names, end: 0 }
    }
}

impl Held {
    /// Holds a name, or gives the document that is in memory under it: that one has locks of its
    /// own. Waits for one that is being loaded.
    ///
    /// # Errors
    /// It is being loaded, and does not load.
    pub async fn add(&mut self, name: &Name) -> Result<Option<Arc<Handle>>, OpenError> {
        while !self.names.contains(name) {
            match self.look(name) {
                At::Nothing => break,
                At::Document(handle) => return Ok(Some(handle)),
                At::Load(opening, generation) => {
                    let opened = opening.await;
                    self.registry.settle(name, generation, &opened);
                    opened?;
                }
            }
        }
        Ok(None)
    }

    /// Whether a name is held.
    #[must_use]
    pub fn has(&self, name: &Name) -> bool {
        self.names.contains(name)
    }

    /// What the store must have before it tells of documents that are held.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.end
    }

    fn look(&mut self, name: &Name) -> At {
        let Held { registry, gate, slots, names, end } = self;
        let load = |before| registry.loading_behind(name.clone(), before, Some(gate.clone()));
        let generation = match registry.inner.slots.entry(name.clone()) {
            Entry::Vacant(entry) => {
                let (slot, generation) = load(None);
                entry.insert(slot);
                generation
            }
            Entry::Occupied(mut entry) => match entry.get() {
                Slot::Loading(opening, generation, _) => {
                    return At::Load(opening.clone(), *generation);
                }
                Slot::Ready(handle) if !handle.is_dropped() => {
                    return At::Document(Arc::clone(handle));
                }
                Slot::Ready(before) => {
                    let before = Arc::clone(before);
                    *end = (*end).max(before.end());
                    let (slot, generation) = load(Some(before));
                    entry.insert(slot);
                    generation
                }
            },
        };
        slots.push((name.clone(), generation));
        names.insert(name.clone());
        At::Nothing
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        for (name, own) in self.slots.drain(..) {
            let Entry::Occupied(mut entry) = self.registry.inner.slots.entry(name) else {
                continue;
            };
            let Slot::Loading(opening, generation, before) = entry.get() else { continue };
            // Others take theirs from the one in the map, whose entry is locked here: if there is
            // no other, nobody waits. Else whoever does loads it, once the gate is open.
            if *generation != own || opening.strong_count() != Some(1) {
                continue;
            }
            match before.clone() {
                Some(before) => drop(entry.insert(Slot::Ready(before))),
                None => drop(entry.remove()),
            }
        }
        self.gate.cancel();
    }
}

#[cfg(test)]
mod tests;
