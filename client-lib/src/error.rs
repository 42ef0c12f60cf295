//! Why a replica stopped, a wait ended early, or an edit was refused. Returned by
//! [`crate::replica`].

use std::time::Duration;

use sheaf_protocol::error::Refusal;

/// Why a replica will not connect again by itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Stop {
    /// The server closed the socket with a permanent code, 4400 to 4499.
    #[error("the server closed the session for good: {code} {reason}")]
    Closed {
        /// WebSocket close code.
        code: u16,
        /// The server's words; may be empty.
        reason: String,
    },
    /// The server answered the upgrade with an HTTP status that retrying cannot change.
    #[error("the server refused the connection: HTTP {status}")]
    Refused {
        /// HTTP status, 400 to 499 without 408, 425 and 429.
        status: u16,
    },
    /// The address is not one that can be connected to.
    #[error("not a WebSocket address: {0}")]
    Address(String),
}

/// Why a wait ended without what was waited for.
#[derive(Debug, thiserror::Error)]
pub enum WaitError {
    /// The deadline passed first.
    #[error("not reached within {within:?} (the link was {status})")]
    Deadline {
        /// The time given.
        within: Duration,
        /// What the link was doing when time ran out.
        status: String,
    },
    /// The replica stopped, so it can no longer happen.
    #[error(transparent)]
    Stopped(#[from] Stop),
}

/// Why an edit was refused. Nothing changed. Offsets are UTF-16 code units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The range does not lie inside the text.
    #[error("{at}+{len} is outside a text of {text_len} units")]
    OutOfRange {
        /// Where the edit begins.
        at: u32,
        /// How many units it removes.
        len: u32,
        /// How long the text is.
        text_len: u32,
    },
    /// The offset lies between the two halves of one character; the edit would destroy it for
    /// everyone.
    #[error("{at} is inside a character")]
    SplitsCharacter {
        /// The offending offset.
        at: u32,
    },
}

/// Why an update was not taken in.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The bytes are no well-formed update.
    #[error(transparent)]
    Malformed(#[from] Refusal),
    /// They are well formed, but the document does not take them.
    #[error("the document refused the update: {0}")]
    Refused(String),
}
