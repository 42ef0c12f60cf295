//! What documents were: their states at earlier entries, and which of them are kept.
//!
//! Job: rebuild a document at an entry from the store, compare two texts, and thin what is older
//! than anybody wants to read. Called by `vault`, on threads that may block. Never changes a
//! document that is in use, and never gives a state that is not whole.

pub mod blame;
pub mod compare;
pub mod keep;
mod thin;

use std::panic::{AssertUnwindSafe, catch_unwind};

use sheaf_protocol::ids::DocKey;

use crate::document::state::State;
use sheaf_storage::store::{self, At, Store};

pub use thin::{Holds, Thinned, thin};

/// Why an earlier state cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is not kept any more, or there was none.
    #[error("the document at entry {0} is not kept")]
    Gone(u64),
    /// What is kept does not merge.
    #[error("what is kept of entry {0} does not merge")]
    Broken(u64),
    /// The store says no.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// The document as it was at entry `n`. What the journal has of it must be folded.
///
/// # Errors
/// See [`Error`].
pub fn state_at(store: &Store, doc: DocKey, n: u64) -> Result<State, Error> {
    let At { base, entries } = store.at(doc, n)?.ok_or(Error::Gone(n))?;
    let rebuilt = catch_unwind(AssertUnwindSafe(|| {
        let mut state = State::new();
        let updates = entries.iter().map(|entry| &entry.bytes[..]);
        let mut all = base.as_deref().into_iter().chain(updates);
        all.try_for_each(|bytes| state.replay(bytes).map(drop)).map(|()| state)
    }));
    // An entry that did not merge was skipped when the document was loaded, too.
    rebuilt.map_err(|_| Error::Broken(n))?.map_err(|_| Error::Broken(n))
}

#[cfg(test)]
mod tests;
