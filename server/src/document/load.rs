//! From the store to a live document.
//!
//! Job: checkpoint plus log entries into a state, owners into their table. Called by `registry`, on
//! a blocking thread. Never serves less than the store's witness knows, and never enters a crash
//! loop: an entry that panics is skipped, reported and laid aside.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use sheaf_protocol::ids::DocKey;
use sheaf_protocol::stamp::StampClock;

use super::ending;
use super::merge::{Core, Parts};
use super::owners::Owners;
use super::state::State;
use sheaf_ground::task::SPAN;
use sheaf_storage::store::Loaded;

/// Entries skipped before a document counts as damaged.
const SKIPPED_MAX: usize = 64;

/// Why a stored document could not be rebuilt.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The merged state that the store holds does not merge.
    #[error("the checkpoint does not merge")]
    Checkpoint,
    /// Too many entries do not merge.
    #[error("{0} entries do not merge")]
    Entries(usize),
}

impl Error {
    /// Whether the document cannot be opened; else what does not merge is skipped.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        match self {
            Self::Checkpoint => true,
            Self::Entries(skipped) => *skipped > SKIPPED_MAX,
        }
    }
}

/// A rebuilt document.
#[derive(Debug)]
pub(super) struct Rebuilt {
    pub core: Core,
    /// n of the entries that were skipped.
    pub skipped: BTreeSet<u64>,
}

/// Rebuilds a document. `is_suspect`: encoding it panicked, so each entry is also checked for that.
pub(super) fn rebuild(
    doc: DocKey,
    loaded: &Loaded,
    stamps: &Arc<StampClock>,
    is_suspect: bool,
) -> Result<Rebuilt, Error> {
    let entries = loaded.entries.len();
    let _span = tracing::trace_span!(target: SPAN, "document load", entries).entered();
    let mut skipped = BTreeSet::new();
    let mut state = loop {
        match replay(loaded, &skipped, is_suspect) {
            Ok(state) => break state,
            Err(None) => return Err(Error::Checkpoint),
            Err(Some(n)) => {
                tracing::error!(%doc, n, "entry does not merge, skipped");
                skipped.insert(n);
                if skipped.len() > SKIPPED_MAX {
                    return Err(Error::Entries(skipped.len()));
                }
            }
        }
    };
    if is_suspect {
        state.make_eager();
    }
    let checkpoint_n = loaded.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.n);
    let checkpoint_bytes =
        loaded.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.state.len());
    let bytes_since = loaded.entries.iter().map(|entry| entry.bytes.len()).sum();
    let mut writers = Vec::new();
    for entry in &loaded.entries {
        ending::wrote(&mut writers, (entry.author.as_ref(), 0), entry.n);
    }
    let mut core = Core::new(Parts {
        state,
        owners: Owners::default(),
        epoch: loaded.head.epoch,
        is_created: true,
        n: loaded.last_n,
        position: loaded.last_position,
        stamps: Arc::clone(stamps),
        checkpoint_n,
        checkpoint_bytes,
        bytes_since,
        last: loaded.entries.last().map(|entry| entry.stamp),
        writers,
    });
    loaded.owners.iter().for_each(|claim| core.own(claim));
    Ok(Rebuilt { core, skipped })
}

/// The state, or n of the first entry that does not merge (`None`: the checkpoint itself).
fn replay(
    loaded: &Loaded,
    skipped: &BTreeSet<u64>,
    is_suspect: bool,
) -> Result<State, Option<u64>> {
    let mut state = State::new();
    if let Some(checkpoint) = &loaded.checkpoint {
        step(&mut state, &checkpoint.state, is_suspect).map_err(|()| None)?;
    }
    for entry in loaded.entries.iter().filter(|entry| !skipped.contains(&entry.n)) {
        step(&mut state, &entry.bytes, is_suspect).map_err(|()| Some(entry.n))?;
    }
    Ok(state)
}

/// Merges one stored update; an error also when it panics, and the state is then lost.
fn step(state: &mut State, bytes: &[u8], is_suspect: bool) -> Result<(), ()> {
    let merged = catch_unwind(AssertUnwindSafe(|| {
        let merged = state.replay(bytes);
        if is_suspect && merged.is_ok() {
            drop(state.encode());
        }
        merged
    }));
    match merged {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(()),
    }
}

/// Checks that everything the store has of a document merges, for `sheaf verify` and `repair`.
///
/// # Errors
/// What does not merge.
pub fn check(doc: DocKey, loaded: &Loaded) -> Result<(), Error> {
    let rebuilt = rebuild(doc, loaded, &Arc::new(StampClock::new(0)), true)?;
    match rebuilt.skipped.len() {
        0 => Ok(()),
        skipped => Err(Error::Entries(skipped)),
    }
}
