//! Writes that come from no session: whole texts, lists of edits, updates.
//!
//! Job: edit a fork of the document under a client id of the author's own and submit the
//! difference like any other update, so that everyone who reads the document sees an edit. Called
//! by HTTP, inside `task::block`. Never edits the document itself, never uses a client id from
//! before a restart.

use sheaf_protocol::error::Refusal;
use sheaf_protocol::ids::Principal;

use super::edit::{Edit, Unit};
use super::handle::Handle;
use super::submission::Failure;

/// Who writes.
#[derive(Clone, Copy, Debug)]
pub struct Author<'a> {
    /// The principal.
    pub principal: &'a Principal,
    /// May relay any principal's client ids (admins, imports, peers).
    pub may_relay: bool,
}

/// What a write came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// The document's count of entries after it.
    pub n: u64,
    /// The write is durable when everything before this journal position is.
    pub end: u64,
    /// Something was written.
    pub has_changed: bool,
}

/// Why a write changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The document is at another count of entries than the write was made for.
    #[error("the document is at {n}")]
    Stale {
        /// Where it is.
        n: u64,
    },
    /// The document's content is no text.
    #[error("the content is no text")]
    NotText {
        /// The roots that have content, with commas.
        root: String,
    },
    /// An edit does not fit the text.
    #[error("edit {index}: {why}")]
    BadEdit {
        /// Its place in the list.
        index: usize,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The update was refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The document cannot be written now.
    #[error(transparent)]
    Failed(#[from] Failure),
}

impl Handle {
    /// Makes the document's text this one, by the edits that lead from what it is to it.
    /// `if_n`: only if it has so many entries; `Some(0)`: only if it is new.
    ///
    /// # Errors
    /// See [`WriteError`]; nothing has changed then.
    pub fn put_text(
        &self,
        by: Author<'_>,
        text: &str,
        if_n: Option<u64>,
    ) -> Result<Written, WriteError> {
        let _ = (by, text, if_n);
        Err(Failure::ReadOnly.into())
    }

    /// Applies edits to the text, all or none, if it has exactly `if_n` entries.
    ///
    /// # Errors
    /// See [`WriteError`]; nothing has changed then.
    pub fn patch_text(
        &self,
        by: Author<'_>,
        edits: &[Edit],
        unit: Unit,
        if_n: u64,
    ) -> Result<Written, WriteError> {
        let _ = (by, edits, unit, if_n);
        Err(Failure::ReadOnly.into())
    }

    /// Submits an update.
    ///
    /// # Errors
    /// See [`WriteError`]; nothing has changed then.
    pub fn post_update(&self, by: Author<'_>, update: &[u8]) -> Result<Written, WriteError> {
        let _ = (by, update);
        Err(Failure::ReadOnly.into())
    }
}
