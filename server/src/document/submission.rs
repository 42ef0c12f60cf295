//! What goes into a document and what comes of it.
//!
//! Job: the shapes that sessions, and whatever else writes, exchange with `handle`. Called by edges
//! and by `merge`. Never holds a document.

use sheaf_protocol::error::{Code, Refusal};
use sheaf_protocol::ids::{DocId, Principal};
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
    /// How many updates changed something; those that were joined are one.
    pub changed: usize,
    /// Something was left out because what it needs is missing: ask the sender for its state.
    pub has_gap: bool,
    /// The last update stopped the batch: it is refused and its session ends.
    pub refusal: Option<Refusal>,
    /// The last update waits for an answer of this principal's live session.
    pub ask: Option<Principal>,
    /// The last update is of this document, which had the name before, and is not merged.
    pub past: Option<DocId>,
    /// The sender brought other content for clocks that came via someone else; his copy is kept.
    pub has_kept_copy: bool,
}

impl Receipt {
    /// True if the batch was not gone through to its end.
    pub(super) fn has_stopped(&self) -> bool {
        self.refusal.is_some() || self.ask.is_some() || self.past.is_some()
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
    /// It was deleted.
    #[error("the document was deleted")]
    Deleted,
    /// It has another name now.
    #[error("the document was moved")]
    Moved,
    /// Its vault was deleted.
    #[error("the vault was deleted")]
    VaultDeleted,
    /// A quota of its vault is used up.
    #[error("a quota of the vault is used up")]
    Quota,
    /// Too many others wait to write into it.
    #[error("too many writes of this document wait already")]
    Busy,
    /// It would be a new file at a path that another has, or may be taken for.
    #[error("the path is taken by another file")]
    PathTaken,
}

impl Failure {
    /// What the client is told.
    pub fn code(self) -> Code {
        match self {
            Failure::Dropped => Code::Internal,
            Failure::ReadOnly => Code::Unavailable,
            Failure::Deleted | Failure::VaultDeleted => Code::NotFound,
            Failure::Moved => Code::Restart,
            Failure::Quota => Code::QuotaExceeded,
            Failure::Busy => Code::TryLater,
            Failure::PathTaken => Code::PathTaken,
        }
    }

    /// The same in words, for the client.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Failure::Dropped => "the document is loaded again",
            Failure::ReadOnly => "nothing can be written now",
            Failure::Deleted => "the document was deleted",
            Failure::Moved => "the document was moved",
            Failure::VaultDeleted => "the vault was deleted",
            Failure::Quota => "a quota of the vault is used up",
            Failure::Busy => "too many writes of this document wait already",
            Failure::PathTaken => "the path is taken by another file",
        }
    }
}
