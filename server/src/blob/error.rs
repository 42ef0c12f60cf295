//! What can go wrong with a blob. Translated once, at the edge that shows it.
//! Never carries a blob's bytes.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use sheaf_protocol::error::Code;

use super::hash::Hash;

/// Why something could not be done with a blob; nothing of it is seen by others.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// More bytes than a file may have.
    #[error("a file has at most {bytes_max} bytes")]
    TooLarge {
        /// The bound.
        bytes_max: u64,
    },
    /// The bytes are not those of the hash that they were sent under.
    #[error("the bytes are not those of this hash")]
    Mismatch,
    /// What was here from before, or from somebody else, did not fit. It is gone.
    #[error("what was here of it did not fit and is gone: send it from the start")]
    Again,
    /// An upload goes on where it is, not where it is not yet.
    #[error("the upload is at byte {offset}")]
    Elsewhere {
        /// Bytes that are here.
        offset: u64,
    },
    /// Chunks of a list that are not here.
    #[error("{} chunks of the list are not here", .0.len())]
    Missing(Vec<Hash>),
    /// A list that no blob has.
    #[error("{0}")]
    BadList(&'static str),
    /// What is on disk is not what was written.
    #[error("blob {hash} is damaged: {what}")]
    Damaged {
        /// The blob or chunk.
        hash: Hash,
        /// What is wrong.
        what: &'static str,
    },
    /// The disk has no room.
    #[error("the disk is full")]
    Full,
    /// The file system says no.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

impl Error {
    /// For `map_err` of calls on this path.
    pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> Error + use<'_> {
        move |source| match source.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Error::Full,
            _ => Error::Io { path: path.to_owned(), source },
        }
    }

    /// What the client is told.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Error::TooLarge { .. } => Code::FileTooLarge,
            Error::Mismatch => Code::HashMismatch,
            Error::Again => Code::TryLater,
            Error::Elsewhere { .. } => Code::PreconditionFailed,
            Error::Missing(_) => Code::BlobMissing,
            Error::BadList(_) => Code::Malformed,
            Error::Damaged { .. } => Code::Damaged,
            Error::Full | Error::Io { .. } => Code::Unavailable,
        }
    }
}
