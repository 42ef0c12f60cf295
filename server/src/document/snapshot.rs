//! Reading a document: its text, all its roots, its state or a difference, who is present.
//!
//! Job: answer sessions that ask for what they lack, HTTP, and whatever else reads whole documents.
//! Called by edges and services, on threads that may block. Never changes a document by reading it.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use serde_json::{Map, Value};
use sheaf_protocol::error::Refusal;
use sheaf_protocol::scan;

use super::awareness::Shown;
use super::handle::Handle;
use super::merge::Core;
use super::readers::ReaderId;
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
    /// The document's count of entries. Waits for nobody: a write that is under way is not in it.
    pub fn n(&self) -> u64 {
        self.n.load(Ordering::Acquire)
    }

    /// The document's text.
    ///
    /// # Errors
    /// It is gone from memory, or reading it broke it: open it again.
    pub fn snapshot(&self) -> Result<Snapshot, Failure> {
        let root = &self.shared.text_root;
        let (n, content) = self.read(|core| core.state_mut().content(root))?;
        Ok(Snapshot { n, content })
    }

    /// Every root type as JSON with its kind, `{"content": {"type": "text", "value": "…"}}`, and
    /// the count of entries it was read at. The form is told in `state::json`. Blocks the thread
    /// for as long as a large document takes.
    ///
    /// # Errors
    /// As [`Handle::snapshot`].
    pub fn roots(&self) -> Result<(u64, Map<String, Value>), Failure> {
        self.read(|core| core.state_mut().roots())
    }

    /// What a replica with this state vector misses, as one update, or the whole state; and the
    /// count of entries it was read at.
    ///
    /// # Errors
    /// The state vector does not scan; or as [`Handle::snapshot`].
    pub fn encode_since(&self, state_vector: Option<&[u8]>) -> Result<(u64, Bytes), ReadError> {
        let known = state_vector.map(scan::state_vector).transpose()?;
        let read = self.read(|core| match &known {
            Some(known) => core.diff(known),
            None => core.whole(),
        });
        Ok(read?)
    }

    /// The state vector, encoded.
    pub fn state_vector(&self) -> Bytes {
        self.core().vector()
    }

    /// What a reader with this state vector misses. From here on it is sent what is published.
    ///
    /// # Errors
    /// The document is gone, or encoding it broke it.
    pub fn diff(&self, reader: ReaderId, known: &scan::StateVector<'_>) -> Result<Bytes, Failure> {
        let mut core = self.core();
        if self.is_dropped() {
            return Err(self.ended());
        }
        let bytes = self.look(&mut core, |core| core.diff(known))?;
        self.readers.lock().follow(reader);
        self.touch();
        Ok(bytes)
    }

    /// What [`Handle::diff`] gives, if it was encoded for another already: then it takes no time.
    ///
    /// # Errors
    /// The document is gone.
    pub fn kept_diff(
        &self,
        reader: ReaderId,
        known: &scan::StateVector<'_>,
    ) -> Result<Option<Bytes>, Failure> {
        let mut core = self.core();
        if self.is_dropped() {
            return Err(self.ended());
        }
        let kept = core.kept(known);
        if kept.is_some() {
            self.readers.lock().follow(reader);
            self.touch();
        }
        Ok(kept)
    }

    /// What a reader lacks that missed clocks from these on.
    ///
    /// # Errors
    /// As [`Handle::diff`].
    pub fn resync(&self, missed: &HashMap<u64, u32>) -> Result<Vec<u8>, Failure> {
        self.shared.metrics.relay.resyncs.inc();
        let mut core = self.core();
        if self.is_dropped() {
            return Err(self.ended());
        }
        self.look(&mut core, |core| core.resync(missed))
    }

    /// Reads under the lock, with the count of entries at that moment.
    fn read<R>(&self, read: impl FnOnce(&mut Core) -> R) -> Result<(u64, R), Failure> {
        let mut core = self.core();
        if self.is_dropped() {
            return Err(self.ended());
        }
        self.touch();
        let n = core.n();
        Ok((n, self.look(&mut core, read)?))
    }

    /// Who is present, by client id.
    pub fn presence(&self) -> Vec<Present> {
        let shown = self.readers.lock().present();
        let present = shown.into_iter().map(|Shown { client, clock, state }| {
            // It was scanned as JSON when it came in.
            let state = state.and_then(|json| serde_json::from_str(&json).ok());
            Present { client, clock, state: state.unwrap_or(Value::Null) }
        });
        present.collect()
    }

    /// Waits until everything before a journal position survives power loss.
    ///
    /// # Errors
    /// `ReadOnly`: it never will.
    pub async fn durable(&self, end: u64) -> Result<(), Failure> {
        poll_fn(|cx| self.poll_durable(cx, end)).await
    }

    /// The text of a root, if it is one.
    pub fn text(&self, root: &str) -> Option<String> {
        self.core().state_mut().text(root)
    }

    /// The whole state as one update.
    pub fn encode(&self) -> Vec<u8> {
        self.core().state_mut().encode()
    }
}
