//! What a document answers to those who ask for its state, encoded once for many.
//!
//! Job: keep the whole state, what is left for one that has every block, and the state vector,
//! until the document changes or nobody asks any more. Called by `handle`, under the state's lock.
//! Never keeps an answer that only one client can use, and never one that is older than the state.

use bytes::Bytes;
use sheaf_protocol::scan;

use super::merge::Core;
use super::state::State;

/// Looks of the housekeeping, one a second, that an answer outlives its last use by.
const LOOKS_KEPT: u8 = 10;

/// The state of a document without content, as an update, and its state vector: no section and no
/// deletion, no entry.
const BLANK_STATE: &[u8] = &[0, 0];
const BLANK_VECTOR: &[u8] = &[0];

/// Encoded answers. Clients come in crowds: with a page that is opened in class, or again after the
/// network was gone.
#[derive(Debug, Default)]
pub(super) struct Answers {
    /// The whole state.
    whole: Option<Bytes>,
    /// For one that has all blocks: deletions, which no state vector tells of.
    rest: Option<Bytes>,
    vector: Option<Bytes>,
    looks: u8,
}

impl Answers {
    /// Those of a document that was loaded from this very state.
    pub(super) fn of(whole: Bytes) -> Self {
        Self { whole: Some(whole), ..Self::default() }
    }

    /// What a replica with this state vector misses, if it is here.
    pub(super) fn kept(&mut self, state: &State, known: &scan::StateVector<'_>) -> Option<Bytes> {
        self.looks = 0;
        if known.is_empty() {
            return self.whole.clone();
        }
        self.rest.clone().filter(|_| has_all(state, known))
    }

    /// What a replica with this state vector misses.
    pub(super) fn diff(&mut self, state: &mut State, known: &scan::StateVector<'_>) -> Bytes {
        if let Some(kept) = self.kept(state, known) {
            return kept;
        }
        if known.is_empty() {
            return self.whole(state);
        }
        let missing = state.diff(known);
        if has_all(state, known) {
            return self.rest.insert(exact(missing)).clone();
        }
        missing.into()
    }

    /// The whole state as one update.
    pub(super) fn whole(&mut self, state: &mut State) -> Bytes {
        self.looks = 0;
        self.whole.get_or_insert_with(|| exact(state.encode())).clone()
    }

    /// The state vector, encoded.
    pub(super) fn vector(&mut self, state: &State) -> Bytes {
        self.looks = 0;
        self.vector.get_or_insert_with(|| exact(state.state_vector())).clone()
    }

    /// Whether nobody has asked for a while: then the memory is worth more.
    pub(super) fn is_stale(&mut self) -> bool {
        self.looks = self.looks.saturating_add(1);
        self.looks > LOOKS_KEPT
    }
}

/// The encoder starts with a kilobyte and doubles it.
fn exact(mut bytes: Vec<u8>) -> Bytes {
    bytes.shrink_to_fit();
    bytes.into()
}

impl Core {
    /// What a replica with this state vector misses.
    pub(super) fn diff(&mut self, known: &scan::StateVector<'_>) -> Bytes {
        if self.is_blank() {
            return Bytes::from_static(BLANK_STATE);
        }
        self.answers.get_or_insert_default().diff(&mut self.state, known)
    }

    /// The same, if it was encoded for another.
    pub(super) fn kept(&mut self, known: &scan::StateVector<'_>) -> Option<Bytes> {
        if self.is_blank() {
            return Some(Bytes::from_static(BLANK_STATE));
        }
        self.answers.as_mut()?.kept(&self.state, known)
    }

    /// Keeps the encoded state that it was loaded from: who joins first gets it as it is.
    pub(super) fn keep_whole(&mut self, whole: Bytes) {
        self.answers = Some(Box::new(Answers::of(whole)));
    }

    /// The whole state as one update.
    pub(super) fn whole(&mut self) -> Bytes {
        if self.is_blank() {
            return Bytes::from_static(BLANK_STATE);
        }
        self.answers.get_or_insert_default().whole(&mut self.state)
    }

    /// The state vector, encoded.
    pub(super) fn vector(&mut self) -> Bytes {
        if self.is_blank() {
            return Bytes::from_static(BLANK_VECTOR);
        }
        self.answers.get_or_insert_default().vector(&self.state)
    }

    /// Nobody has written anything: there is nothing to encode, and nothing to keep. What is
    /// deleted was written, so it has a clock.
    fn is_blank(&self) -> bool {
        self.state.clocks().is_empty()
    }

    /// Gives back memory that nobody has asked for lately.
    pub(super) fn rest(&mut self) {
        self.answers.take_if(|answers| answers.is_stale());
        self.state_mut().shrink();
    }
}

/// Whether a replica with this state vector has every block.
fn has_all(state: &State, known: &scan::StateVector<'_>) -> bool {
    let clocks = state.clocks();
    let has = |(client, clock): (u64, u32)| clocks.get(&client).is_some_and(|own| clock >= *own);
    if known.len() as usize != clocks.len() || !known.entries().all(has) {
        return false;
    }
    // A client may be named twice, in the place of another.
    let mut clients: Vec<u64> = known.entries().map(|(client, _)| client).collect();
    clients.sort_unstable();
    clients.dedup();
    clients.len() == clocks.len()
}

#[cfg(test)]
mod tests;
