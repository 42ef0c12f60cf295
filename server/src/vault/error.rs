//! What can go wrong with a vault and its files. Translated once, at the edge that shows it.
//! Never carries a file's content.

use std::sync::Arc;

use sheaf_protocol::error::{Code, Refusal};
use sheaf_protocol::ids::DocId;
use sheaf_protocol::vault::BadPath;

use super::condition::At;
use super::file::File;
use crate::blob::{self, Hash};
use crate::document::author::WriteError;
use crate::document::registry::OpenError;
use crate::document::submission::Failure;
use crate::history;
use sheaf_storage::store;

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
    /// The file was edited since the version that is to be deleted: it lives.
    #[error("the file was edited since then, so it lives")]
    EditWins {
        /// Which.
        doc: DocId,
        /// As it is now, where that is known.
        file: Option<Box<File>>,
    },
    /// A folder cannot move there.
    #[error("{0}")]
    BadMove(&'static str),
    /// A step that cannot be one of several.
    #[error("{0}")]
    BadStep(&'static str),
    /// More than one change may be about.
    #[error("one change is about at most {max} {what}")]
    BatchTooLarge {
        /// How many it may be.
        max: usize,
        /// Of what.
        what: &'static str,
    },
    /// No file can have this path.
    #[error(transparent)]
    BadPath(#[from] BadPath),
    /// The file is at another state than the change is made for.
    #[error("{}", stale(*now))]
    Stale {
        /// Where it is, if it is there.
        now: Option<At>,
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
    /// No device of this id was here.
    #[error("there is no such device")]
    NoDevice,
    /// The device is another user's.
    #[error("this device is another user's: take another id")]
    DeviceTaken,
    /// The device is refused.
    #[error("this device was revoked")]
    DeviceRevoked,
    /// The vault or the user has as many devices as it can, and none of the user's is stale.
    #[error("there are too many devices: forget some")]
    TooManyDevices,
    /// Another user's device, or a revoked one, is changed by an administrator alone.
    #[error("this device is changed by an administrator alone")]
    NotYours,
    /// The file had no such version, or it is not kept any more.
    #[error("there is no such version")]
    NoVersion {
        /// The nearest version before it that is kept; 0 for none.
        before: u64,
        /// The nearest version after it; 0 for none.
        after: u64,
    },
    /// The version that a text was made of is not kept any more.
    #[error("the version that this was made of is not kept any more")]
    BaseGone {
        /// The present version.
        seq: u64,
        /// SHA-256 of its content.
        hash: Option<[u8; 32]>,
    },
    /// The file that this was made of has another path by now.
    #[error("the file that this was made of has another path by now")]
    Moved {
        /// Which.
        path: Arc<str>,
    },
    /// The stamp belongs to another change.
    #[error("this stamp was given to another change")]
    StampReused,
    /// The stamp is of a time to come.
    #[error("the stamp is ahead of the server's clock")]
    ClockDrift {
        /// The server's clock, in Unix milliseconds.
        now_ms: u64,
    },
    /// Content that is no text was expected to be one.
    #[error("the content is no text")]
    NotText {
        /// The roots that have content, with commas.
        root: String,
    },
    /// The vault does not have the bytes of this hash.
    #[error("the bytes of this hash are not here: put them first")]
    BlobMissing(Hash),
    /// An edit does not fit the text.
    #[error("edit {index}: {why}")]
    BadEdit {
        /// Its place in the list.
        index: usize,
        /// What is wrong with it.
        why: &'static str,
    },
    /// What a version held cannot be read.
    #[error("the version is damaged")]
    Damaged,
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

fn stale(now: Option<At>) -> &'static str {
    match now {
        Some(_) => "the file is at another state than this was made for",
        None => "there is no such file",
    }
}

impl From<history::Error> for Error {
    fn from(error: history::Error) -> Error {
        match error {
            history::Error::Gone(_) => Error::NoVersion { before: 0, after: 0 },
            broken => {
                tracing::error!(error = %broken, "a version could not be read");
                Error::Damaged
            }
        }
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Error {
        history::Error::from(error).into()
    }
}

impl From<WriteError> for Error {
    fn from(error: WriteError) -> Error {
        match error {
            WriteError::NotText { root } => Error::NotText { root },
            WriteError::Refused(refusal) => Error::Refused(refusal),
            WriteError::Failed(failure) => Error::Failed(failure),
            WriteError::BadEdit { index, why } => Error::BadEdit { index, why },
            // Whoever depends on a state has looked at it.
            WriteError::Stale { .. } => Failure::Busy.into(),
        }
    }
}

impl From<blob::Error> for Error {
    fn from(error: blob::Error) -> Error {
        let what = match &error {
            blob::Error::TooLarge { .. } => "a file of more bytes than this server takes",
            blob::Error::Full => "the disk is full",
            _ => "the bytes cannot be kept or read",
        };
        tracing::warn!(%error, "bytes of a file were not kept or read");
        Refusal { code: error.code(), at: 0, what }.into()
    }
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
            Error::EditWins { .. } => Code::EditWins,
            Error::BatchTooLarge { .. } => Code::BatchTooLarge,
            Error::BadPath(_) | Error::BadMove(_) => Code::InvalidPath,
            Error::BadStep(_) => Code::Unsupported,
            Error::Stale { .. } => Code::PreconditionFailed,
            Error::CursorExpired { .. } => Code::CursorExpired,
            Error::NoDevice => Code::NotFound,
            Error::DeviceTaken => Code::DeviceTaken,
            Error::DeviceRevoked => Code::DeviceRevoked,
            Error::TooManyDevices => Code::TooManyDevices,
            Error::NotYours => Code::Forbidden,
            Error::NoVersion { .. } => Code::VersionNotFound,
            Error::BaseGone { .. } | Error::Moved { .. } => Code::BaseGone,
            Error::StampReused => Code::StampReused,
            Error::ClockDrift { .. } => Code::ClockDrift,
            Error::NotText { .. } => Code::NotText,
            Error::BadEdit { .. } => Code::Malformed,
            Error::BlobMissing(_) => Code::BlobMissing,
            Error::Damaged => Code::Damaged,
            Error::Refused(refusal) => refusal.code,
            Error::Full => Code::TryLater,
            Error::Open(error) => error.code(),
            Error::Failed(failure) => failure.code(),
        }
    }
}
