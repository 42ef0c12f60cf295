//! The documents of one vault, wherever they are.
//!
//! What `doc`'s commands work on; `remote` and `kept` are the two places. Never retries a write by
//! itself: whoever asked decides.

use serde::{Deserialize, Serialize};

use super::kept::Kept;
use super::remote::Remote;

/// One vault.
pub(super) enum Documents {
    /// On a running server.
    Remote(Remote),
    /// In the data directory of a stopped one.
    Kept(Kept),
}

/// A document, without what it holds. The shape of `ls --json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) path: String,
    /// `text`, `other` or `empty`.
    pub(super) kind: String,
    /// Bytes of the text, else of the state.
    pub(super) size: u64,
    /// Names its state.
    pub(super) etag: String,
    pub(super) updated_ms: u64,
}

/// What a document holds.
pub(super) enum Read {
    Text(String),
    /// No text; the roots that hold something, with commas.
    Other(String),
}

/// When to write.
#[derive(Clone, Debug)]
pub(super) enum Condition {
    /// In any case.
    None,
    /// If there is no such document.
    New,
    /// If it is in this state, an entity tag without its quotes.
    State(String),
}

/// What came of a write.
#[derive(Clone, Debug)]
pub(super) struct Written {
    pub(super) is_new: bool,
    pub(super) has_changed: bool,
    pub(super) etag: String,
}

impl Written {
    pub(super) fn word(&self) -> &'static str {
        match (self.is_new, self.has_changed) {
            (true, _) => "created",
            (false, true) => "changed",
            (false, false) => "unchanged",
        }
    }
}

/// Why something was not done with a document.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// This document alone is concerned.
    #[error("{0}")]
    Refused(String),
    /// A condition did not hold.
    #[error("{0}")]
    Condition(String),
    /// It would be the same with every other.
    #[error("{0}")]
    Final(anyhow::Error),
}

impl Documents {
    /// All whose path begins with `prefix`, by path.
    pub(super) async fn list(&self, prefix: &str) -> Result<Vec<Entry>, Failure> {
        match self {
            Documents::Remote(remote) => remote.list(prefix).await,
            Documents::Kept(kept) => kept.list(prefix),
        }
    }

    pub(super) async fn read(&self, path: &str) -> Result<Read, Failure> {
        match self {
            Documents::Remote(remote) => remote.read(path).await,
            Documents::Kept(kept) => kept.read(path).await,
        }
    }

    /// Durable when it returns.
    pub(super) async fn write(
        &self,
        path: &str,
        text: String,
        condition: &Condition,
    ) -> Result<Written, Failure> {
        match self {
            Documents::Remote(remote) => remote.write(path, text, condition).await,
            Documents::Kept(kept) => kept.write(path, &text, condition).await,
        }
    }

    /// Durable when it returns.
    pub(super) async fn remove(&self, path: &str) -> Result<(), Failure> {
        match self {
            Documents::Remote(remote) => remote.remove(path).await,
            Documents::Kept(kept) => kept.remove(path).await,
        }
    }

    /// Leaves a data directory in good order.
    pub(super) async fn close(self) {
        if let Documents::Kept(kept) = self {
            kept.close().await;
        }
    }
}
