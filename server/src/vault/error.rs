//! What can go wrong with a vault and its files. Translated once, at the edge that shows it.
//! Never carries a file's content.

use std::sync::Arc;

use sheaf_protocol::error::{Code, Refusal};
use sheaf_protocol::ids::DocId;
use sheaf_protocol::vault::BadPath;

use crate::document::registry::OpenError;
use crate::document::submission::Failure;

/// Why something of a vault could not be done; nothing of it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No vault of this name, or it is being deleted.
    #[error("there is no such vault")]
    NoVault,
    /// No live file at this path.
    #[error("there is no such file")]
    NoFile,
    /// Another file has this path, one that a disk may take for it, or one that is a folder of it.
    #[error("the path is taken by {path:?}")]
    PathTaken {
        /// The file that has it.
        path: Arc<str>,
    },
    /// No file can have this path.
    #[error(transparent)]
    BadPath(#[from] BadPath),
    /// The path has another document than was named, or it has another count of entries.
    #[error("the document is at {n}")]
    Stale {
        /// The document that is there.
        doc: DocId,
        /// Where it is.
        n: u64,
    },
    /// The feed does not go back to this cursor, or never had it: list the files and go on from
    /// `seq`.
    #[error("the feed does not know this cursor")]
    CursorExpired {
        /// The vault's epoch.
        epoch: u64,
        /// The highest seq that was pruned away; 0 for none.
        horizon: u64,
        /// The highest visible seq.
        seq: u64,
    },
    /// There are as many vaults as this server can have.
    #[error("the server takes no more vaults")]
    Full,
    /// What was brought is refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The document could not be opened.
    #[error(transparent)]
    Open(OpenError),
    /// The document or the journal cannot take it.
    #[error(transparent)]
    Failed(#[from] Failure),
}

impl From<OpenError> for Error {
    fn from(error: OpenError) -> Error {
        match error {
            OpenError::NoVault => Error::NoVault,
            other => Error::Open(other),
        }
    }
}

impl Error {
    /// What the client is told.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Error::NoVault | Error::NoFile => Code::NotFound,
            Error::PathTaken { .. } => Code::PathTaken,
            Error::BadPath(_) => Code::InvalidPath,
            Error::Stale { .. } => Code::PreconditionFailed,
            Error::CursorExpired { .. } => Code::CursorExpired,
            Error::Refused(refusal) => refusal.code,
            Error::Full => Code::TryLater,
            Error::Open(error) => error.code(),
            Error::Failed(failure) => failure.code(),
        }
    }
}
