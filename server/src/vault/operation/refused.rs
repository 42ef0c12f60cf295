//! What a client is told when it cannot have something.
//!
//! Job: the one shape of refusals in messages, in the words of the one table. Called by whatever
//! refuses. Never decides whether it is worth another try: the table does.

use serde_json::{Map, Value};
use sheaf_protocol::control::{Hash, Misread, Problem};
use sheaf_protocol::error::{Code, Refusal};

use crate::document::registry::OpenError;
use crate::document::submission::Failure;
use crate::vault;

/// What is wrong with a message is told in so many characters: it may hold all that was sent.
const WHAT_CHARS_MAX: usize = 200;

/// A refusal on its way to the client.
#[derive(Clone, Debug)]
pub struct Refused {
    /// Which row of the table.
    pub code: Code,
    message: String,
    details: Map<String, Value>,
}

impl Refused {
    /// A refusal without details.
    pub fn new(code: Code, message: impl Into<String>) -> Refused {
        Refused { code, message: message.into(), details: Map::new() }
    }

    /// A field that is not as it should be.
    pub fn field(field: &str, message: impl Into<String>) -> Refused {
        Refused::new(Code::InvalidMessage, message).with("field", field)
    }

    /// Something for programs.
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Refused {
        self.details.insert(key.to_owned(), value.into());
        self
    }

    /// Its code, what it says to people, and what it says to programs.
    pub fn into_parts(self) -> (Code, String, Map<String, Value>) {
        (self.code, self.message, self.details)
    }

    /// The message that says so.
    pub fn into_problem(self) -> Problem {
        let Refused { code, message, details } = self;
        let (word, retryable) = (code.name().to_ascii_uppercase(), code.is_retryable());
        Problem { re: None, code: word, message, retryable, details }
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Refused {
        Refused::new(refusal.code, refusal.what)
    }
}

impl From<Misread> for Refused {
    fn from(misread: Misread) -> Refused {
        let Misread { code, field, what, .. } = misread;
        let what: String = what.chars().take(WHAT_CHARS_MAX).collect();
        let refused = Refused::new(code, what);
        match field {
            Some(field) => refused.with("field", field),
            None => refused,
        }
    }
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Refused {
        let code = match failure {
            Failure::Deleted => Code::FileNotFound,
            Failure::VaultDeleted => Code::VaultNotFound,
            other => other.code(),
        };
        Refused::new(code, failure.words())
    }
}

impl From<OpenError> for Refused {
    fn from(error: OpenError) -> Refused {
        Refused::new(error.code(), error.to_string())
    }
}

impl From<vault::Error> for Refused {
    fn from(error: vault::Error) -> Refused {
        let message = error.to_string();
        match error {
            vault::Error::NoVault => Refused::new(Code::VaultNotFound, message),
            vault::Error::NoFile => Refused::new(Code::FileNotFound, message),
            vault::Error::PathTaken { path } => {
                Refused::new(Code::PathTaken, message).with("path", &*path)
            }
            vault::Error::EditWins { doc, file } => {
                let refused = Refused::new(Code::EditWins, message).with("id", doc.to_string());
                match file {
                    Some(file) => refused.with("version", file.seq).with("size", file.size),
                    None => refused,
                }
            }
            vault::Error::BatchTooLarge { max, .. } => {
                Refused::new(Code::BatchTooLarge, message).with("max", max)
            }
            vault::Error::BadPath(_) => {
                Refused::new(Code::InvalidPath, message).with("field", "path")
            }
            vault::Error::CursorExpired { epoch, horizon, seq } => {
                Refused::new(Code::CursorExpired, message)
                    .with("epoch", epoch.to_string())
                    .with("horizon", horizon)
                    .with("version", seq)
            }
            vault::Error::NoVersion { before, after } => {
                Refused::new(Code::VersionNotFound, message)
                    .with("before", before)
                    .with("after", after)
            }
            vault::Error::BaseGone { seq, hash } => {
                let hash = hash.map(|hash| Hash(hash).to_string());
                Refused::new(Code::BaseGone, message).with("version", seq).with("hash", hash)
            }
            vault::Error::ClockDrift { now_ms } => {
                Refused::new(Code::ClockDrift, message).with("server_time", now_ms)
            }
            vault::Error::NotText { root } => {
                Refused::new(Code::NotText, message).with("root", root)
            }
            vault::Error::BlobMissing(hash) => {
                Refused::new(Code::BlobMissing, message).with("blob", hash.to_string())
            }
            vault::Error::Refused(Refusal { code: Code::TooLarge, what, .. }) => {
                Refused::new(Code::FileTooLarge, what)
            }
            vault::Error::Refused(refusal) => refusal.into(),
            vault::Error::Open(error) => error.into(),
            vault::Error::Failed(failure) => failure.into(),
            other => Refused::new(other.code(), message),
        }
    }
}

/// More than there may be.
pub(super) fn too_large(max: u64) -> Refused {
    let message = format!("a file of this kind has at most {max} bytes");
    Refused::new(Code::FileTooLarge, message).with("max", max)
}
