//! The guard: walks bytes from the network once, before anything else sees them.
//!
//! Called by the document for updates, by the session for state vectors and presence, and by the
//! client library. Allocates nothing and does not recurse, whatever the input; what passes is well
//! formed, within `limits`, and read in the same way by yrs 0.28.1 and by Yjs 13.6. Whether the
//! receiver holds what an update stands on is the document's to decide, from `Update::events`.

mod any;
mod awareness;
mod block;
mod json;
mod state_vector;
mod update;

pub use any::skip as skip_any;
pub use awareness::{Awareness, AwarenessEntries, AwarenessEntry, awareness};
pub use block::{Block, Content, Parent, utf16_len};
pub use json::check as check_json;
pub use state_vector::{StateVector, StateVectorEntries, state_vector};
pub use update::{Event, Events, Update, stored, update};

#[cfg(test)]
mod tests;
