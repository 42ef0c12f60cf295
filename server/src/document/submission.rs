//! What goes into a document and what comes of it.
//!
//! Job: the shapes that sessions, and whatever else writes, exchange with `handle`. Called by edges
//! and by `merge`. Never holds a document.

use sheaf_protocol::error::{Code, Refusal};
use sheaf_protocol::ids::Principal;
use sheaf_protocol::plan::Source;
use sheaf_protocol::scan;

/// An update on its way in.
#[derive(Clone, Copy, Debug)]
pub struct Submission<'a> {
    /// Live edit or answer to a state vector.
    pub source: Source,
    /// Scanned bytes.
    pub update: scan::Update<'a>,
}

/// What came of a batch. Updates before one that stopped the batch are in.
#[derive(Debug, Default)]
pub struct Receipt {
    /// Something was left out because what it needs is missing: ask the sender for its state.
    pub has_gap: bool,
    /// The last update stopped the batch: it is refused and its session ends.
    pub refusal: Option<Refusal>,
    /// The last update waits for an answer of this principal's live session.
    pub ask: Option<Principal>,
    /// The sender brought other content for clocks that came via someone else; his copy is kept.
    pub has_kept_copy: bool,
}

impl Receipt {
    /// True if the batch was not gone through to its end.
    pub(super) fn has_stopped(&self) -> bool {
        self.refusal.is_some() || self.ask.is_some()
    }
}

/// Why a document cannot serve its session any longer.
#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// It left memory, or is about to be loaded again.
    #[error("the document was dropped from memory")]
    Dropped,
    /// Nothing can be written.
    #[error("the journal takes no writes")]
    ReadOnly,
}

impl Failure {
    /// What the client is told.
    pub fn code(self) -> Code {
        match self {
            Failure::Dropped => Code::Internal,
            Failure::ReadOnly => Code::Unavailable,
        }
    }
}
