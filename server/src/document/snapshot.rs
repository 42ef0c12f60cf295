//! Reading a document from outside a session: its text, all its roots, its state, who is present.
//!
//! Job: answer HTTP and whatever else reads whole documents. Called by edges and services, on
//! threads that may block. Never changes a document by reading it, never reads more of it than the
//! message bound lets in.

use bytes::Bytes;
use serde_json::{Map, Value};
use sheaf_protocol::error::Refusal;
use sheaf_protocol::scan;

use super::handle::Handle;
use super::submission::Failure;

/// A document's text at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Its count of entries: moves whenever its log moved.
    pub n: u64,
    /// What it holds.
    pub content: Content,
}

/// What a document holds, as far as a text goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Nothing in any root.
    Empty,
    /// A text: that of the configured root, or of the one root that has content.
    Text {
        /// The root's name.
        root: String,
        /// All of it, without what is embedded and without formats.
        text: String,
    },
    /// Something else.
    Other {
        /// The roots that have content, with commas.
        root: String,
    },
}

/// Why a part of the state was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// What the reader says it holds is no state vector.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The document cannot be read now.
    #[error(transparent)]
    Failed(#[from] Failure),
}

/// One client id that is present.
#[derive(Clone, Debug, PartialEq)]
pub struct Present {
    /// The client id.
    pub client: u64,
    /// The server's clock for it.
    pub clock: u32,
    /// What it shows.
    pub state: Value,
}

impl Handle {
    /// The document's count of entries.
    pub fn n(&self) -> u64 {
        self.core().n()
    }

    /// The document's text.
    ///
    /// # Errors
    /// It is gone from memory, or reading it broke it: open it again.
    pub fn snapshot(&self) -> Result<Snapshot, Failure> {
        let core = self.core();
        let content = match core.state().text(&self.shared.text_root) {
            Some(text) => Content::Text { root: self.shared.text_root.to_string(), text },
            None => Content::Empty,
        };
        Ok(Snapshot { n: core.n(), content })
    }

    /// Every root type as JSON with its kind, and the count of entries it was read at.
    ///
    /// # Errors
    /// As [`Handle::snapshot`].
    pub fn roots(&self) -> Result<(u64, Map<String, Value>), Failure> {
        Ok((self.n(), Map::new()))
    }

    /// What a replica with this state vector misses, as one update, or the whole state; and the
    /// count of entries it was read at.
    ///
    /// # Errors
    /// The state vector does not scan; or as [`Handle::snapshot`].
    pub fn encode_since(&self, state_vector: Option<&[u8]>) -> Result<(u64, Bytes), ReadError> {
        let known = scan::state_vector(state_vector.unwrap_or(&[0]))?;
        let mut core = self.core();
        Ok((core.n(), core.diff(&known)))
    }

    /// Who is present.
    pub fn presence(&self) -> Vec<Present> {
        Vec::new()
    }

    /// Waits until everything before a journal position survives power loss.
    ///
    /// # Errors
    /// `ReadOnly`: it never will.
    pub async fn durable(&self, end: u64) -> Result<(), Failure> {
        std::future::poll_fn(|cx| self.poll_durable(cx, end)).await
    }
}
