//! Reads the documents that other collaboration servers have stored, one by one.
//!
//! Called by `sheaf import`. Each store has a module with one function `open`, which gives the
//! documents as they lie there: a name and the Yjs updates that make its content, unchecked. Never
//! writes to a store, never knows where the documents go, and never looks into an update.

use std::path::PathBuf;

pub mod hocuspocus;
mod leveldb;
pub mod ysweet;
pub mod ywebsocket;

/// A document as its store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// What clients call it.
    pub name: String,
    /// Yjs updates, v1 encoding, in the order in which they were stored; none for an empty one.
    /// Whatever the store holds: they may be no updates at all.
    pub updates: Vec<Vec<u8>>,
}

/// What of a store cannot be read, while the rest can.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {why}")]
pub struct Unreadable {
    /// The document's name, or the place in the store.
    pub place: String,
    /// Why not, in a sentence without its end.
    pub why: String,
}

/// The documents of a store, read as they are asked for.
pub type Documents = Box<dyn Iterator<Item = Result<Document, Unreadable>>>;

/// Why a store cannot be read at all.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder of it cannot be read.
    #[error("cannot read {}: {why}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        why: std::io::Error,
    },
    /// It is no store of this kind, or a damaged one.
    #[error("{} is no store of this kind: {why}", path.display())]
    Other {
        /// Where it should be.
        path: PathBuf,
        /// What is missing.
        why: String,
    },
    /// A server has it open.
    #[error("{} is in use: stop its server first", path.display())]
    InUse {
        /// Where it is.
        path: PathBuf,
    },
}
