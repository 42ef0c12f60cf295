//! Merged states for the store, so that opening a document does not replay its life.
//!
//! Job: check a draft in a scratch document and hand it to the store, then let the log before it be
//! thinned. Called by `registry`'s housekeeping, on a blocking thread. Never merges update bytes
//! with each other (quadratic), and never lets a record go that a checked state does not hold.

use sheaf_protocol::plan::Clocks;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::authorship::Authorship;
use super::handle::Handle;
use super::state::State;

use sheaf_ground::task::SPAN;
use sheaf_storage::journal::Journal;
use sheaf_storage::store;
use sheaf_storage::store::Store;

/// A state to be written down.
#[derive(Debug)]
pub struct Draft {
    /// The last entry in it.
    pub n: u64,
    /// A journal position at or before that entry's record.
    pub position: u64,
    /// End of the document's last record: the store must have all before it.
    pub end: u64,
    /// The whole state as one update.
    pub bytes: Vec<u8>,
    /// Bytes of updates since the checkpoint before it.
    pub bytes_since: usize,
    /// The clocks it holds.
    pub clocks: Clocks,
}

/// Why no checkpoint was made; the log stays and the document is as good as before.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The state does not survive its own encoding.
    #[error("the encoded state does not give the same state back")]
    NotTheSame,
    /// The journal stopped folding.
    #[error("the store does not have the entries yet")]
    NotFolded,
    /// The store says no.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// Writes a checkpoint if one is due. `is_forced`: also for a single entry. True if one was made.
///
/// # Errors
/// See [`Error`].
pub fn write(
    handle: &Handle,
    store: &Store,
    journal: &Journal,
    is_forced: bool,
) -> Result<bool, Error> {
    let _alone = handle.checkpointing();
    let Some(draft) = handle.due_checkpoint(is_forced) else { return Ok(false) };
    let bytes = draft.bytes.len();
    let _span = tracing::trace_span!(target: SPAN, "checkpoint", bytes).entered();
    check(&draft)?;
    if journal.wait_folded(draft.end).is_err() {
        return Err(Error::NotFolded);
    }
    if handle.is_dropped() {
        return Ok(false);
    }
    store.put_checkpoint(handle.key(), draft.n, draft.position, &draft.bytes)?;
    let mut authorship = Authorship::new(&store.claims(handle.key())?, Vec::new());
    store.thin_log(handle.key(), draft.n, &mut |entry| match entry {
        Some(entry) => {
            authorship.push(entry);
            Vec::new()
        }
        None => std::mem::take(&mut authorship).finish(),
    })?;
    handle.checkpointed(&draft);
    Ok(true)
}

/// The draft, loaded into a scratch document, is the same document. Maps are encoded in no fixed
/// order, so clocks and size are compared and not bytes.
fn check(draft: &Draft) -> Result<(), Error> {
    let same = catch_unwind(AssertUnwindSafe(|| {
        let mut scratch = State::new();
        scratch.replay(&draft.bytes).is_ok()
            && scratch.clocks() == &draft.clocks
            && scratch.encode().len() == draft.bytes.len()
    }));
    match same {
        Ok(true) => Ok(()),
        Ok(false) | Err(_) => Err(Error::NotTheSame),
    }
}
