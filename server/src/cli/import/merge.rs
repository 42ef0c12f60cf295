//! One update of all that a store has of a document.
//!
//! Used by `import`. Never hands the CRDT library what did not pass the guard.

use std::panic::{AssertUnwindSafe, catch_unwind};

use sheaf_protocol::error::Refusal;
use sheaf_protocol::limits::MESSAGE_BYTES_MAX;
use sheaf_protocol::plan::Source;
use sheaf_protocol::scan;

use crate::document::state::State;

/// A document, ready to be sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Merged {
    /// Its whole content, Yjs v1 encoding.
    pub(super) update: Vec<u8>,
    /// Whether nothing was ever written.
    pub(super) is_empty: bool,
    /// Whether everything is in it: no update stands on one that is missing.
    pub(super) is_whole: bool,
}

/// Merges updates; says what is wrong with them if that cannot be done.
pub(super) fn merge(updates: Vec<Vec<u8>>) -> Result<Merged, String> {
    let merged = catch_unwind(AssertUnwindSafe(|| apply(&updates)));
    let broken = |_| "the stored bytes break the CRDT library".to_owned();
    let (mut state, is_whole) = merged.map_err(broken)?.map_err(|refusal| refusal.to_string())?;
    let is_empty = state.clocks().is_empty();
    if is_empty && !is_whole {
        return Err("all of it stands on updates that the store does not have".to_owned());
    }
    let mut updates = updates;
    let update = match updates.len() {
        // As it lies there, if it can be: who wrote it may have it again byte by byte.
        1 if is_whole => updates.remove(0),
        _ => catch_unwind(AssertUnwindSafe(|| state.encode())).map_err(broken)?,
    };
    if update.len() > MESSAGE_BYTES_MAX {
        let (bytes, most) = (update.len(), MESSAGE_BYTES_MAX);
        return Err(format!("it has {bytes} bytes, and a server takes at most {most} at once"));
    }
    Ok(Merged { update, is_empty, is_whole })
}

fn apply(updates: &[Vec<u8>]) -> Result<(State, bool), Refusal> {
    let (mut state, mut is_whole) = (State::new(), true);
    for bytes in updates {
        let update = scan::update(bytes)?;
        // Cut where it stands on something that is missing.
        let Some(plan) = state.plan(&update, Source::Step2)? else {
            is_whole = false;
            continue;
        };
        is_whole &= !plan.has_gap;
        state.accept(plan, update.text())?;
    }
    state.settle();
    match state.broken() {
        Some(_) => Err(Refusal::malformed(0, "an update does not merge")),
        None => Ok((state, is_whole)),
    }
}

#[cfg(test)]
mod tests;
