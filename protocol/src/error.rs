//! One table for everything that can be refused: code, HTTP status, close code, retry advice.
//!
//! Called by every edge that tells a client no, and by `scan` and `frame`, which refuse bytes with
//! a `Refusal`. Neither ever holds or prints content.

use std::fmt;

/// Why something was refused, with one meaning on every surface.
///
/// Close codes 44xx are permanent (y-websocket 3.1 stops on them), 45xx are transient, 1012 and
/// 1013 are those of RFC 6455's registry (service restart, try again later). A word that says more
/// exactly what another one says closes with the code of that one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// The bytes do not follow the wire format.
    Malformed,
    /// No valid token where one is needed.
    Unauthorised,
    /// Known, but not allowed to do this.
    Forbidden,
    /// No such vault, document or route.
    NotFound,
    /// The route exists, but not for this method.
    MethodNotAllowed,
    /// A path that no file can have.
    InvalidPath,
    /// The document is not at the version that the request names.
    PreconditionFailed,
    /// The request must name the version that it was made for.
    PreconditionRequired,
    /// Another file has this path, or one that a disk could not tell from it.
    PathTaken,
    /// The document's content is no text.
    NotText,
    /// The feed no longer goes back to this cursor, or never had it.
    CursorExpired,
    /// The file had no such version, or it is not kept any more.
    VersionNotFound,
    /// The version that an upload was made of is not kept any more.
    BaseGone,
    /// The stamp of a change belongs to another one.
    StampReused,
    /// The stamp of a change is ahead of the server's clock.
    ClockDrift,
    /// A quota of the vault is used up.
    QuotaExceeded,
    /// New clocks for a client id that belongs to another principal.
    ForeignId,
    /// The client was asked for what its updates stand on and did not give it.
    GapLeftOpen,
    /// What the client has is of a document that had this name before and was deleted.
    EpochChanged,
    /// Over one of the bounds of `limits`.
    TooLarge,
    /// A file of more bytes than this server takes.
    FileTooLarge,
    /// More in one request than it may have.
    BatchTooLarge,
    /// The bytes are not those of the hash that they were sent under.
    HashMismatch,
    /// What the request refers to must be sent before.
    BlobMissing,
    /// The bytes asked for are behind the end.
    RangeUnsatisfiable,
    /// Well formed, but something this server does not store (YXmlHook, the v2 encoding).
    Unsupported,
    /// The stored document is damaged; an operator must act.
    Damaged,
    /// The server failed inside.
    Internal,
    /// Writes cannot be made durable now, or the server is full.
    Unavailable,
    /// The peer took too long: a header, an answer to a ping, a request body.
    Timeout,
    /// The session reads too slowly for too long and cannot be brought up to date.
    StuckReader,
    /// Too many requests from this address or principal.
    TooMany,
    /// The server is restarting.
    Restart,
    /// The server is starting or shedding load; come back later.
    TryLater,
    /// A socket's first message does not say who it is, or shows no token where one is needed.
    AuthRequired,
    /// Nobody said in time who they are.
    AuthTimeout,
    /// The token that was shown is not valid.
    AuthInvalidToken,
    /// This vault is not for this user.
    VaultForbidden,
    /// Who may read here may not write.
    ReadOnly,
    /// No such vault.
    VaultNotFound,
    /// No such file.
    FileNotFound,
    /// A message of the vault channel is not as it should be.
    InvalidMessage,
    /// A message of the vault channel is of no known type.
    UnknownType,
    /// The client speaks another version of the vault channel.
    ProtocolVersion,
    /// The file was edited since the version that is to be deleted: it lives.
    EditWins,
    /// The id of a device belongs to another user.
    DeviceTaken,
    /// The device was revoked.
    DeviceRevoked,
    /// The vault or the user has as many devices as it can.
    TooManyDevices,
}

/// One line of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The word in JSON bodies, logs and metrics; never changes once released.
    pub name: &'static str,
    /// HTTP status.
    pub http_status: u16,
    /// WebSocket close code.
    pub close_code: u16,
    /// Whether the same request may succeed later without anyone changing it.
    pub is_retryable: bool,
}

impl Code {
    /// Every code, in the order of the table in `docs/protocol.md`.
    pub const ALL: [Code; 48] = [
        Code::Malformed,
        Code::Unauthorised,
        Code::Forbidden,
        Code::NotFound,
        Code::MethodNotAllowed,
        Code::InvalidPath,
        Code::PreconditionFailed,
        Code::PreconditionRequired,
        Code::PathTaken,
        Code::NotText,
        Code::CursorExpired,
        Code::VersionNotFound,
        Code::BaseGone,
        Code::StampReused,
        Code::ClockDrift,
        Code::QuotaExceeded,
        Code::ForeignId,
        Code::GapLeftOpen,
        Code::EpochChanged,
        Code::TooLarge,
        Code::FileTooLarge,
        Code::BatchTooLarge,
        Code::HashMismatch,
        Code::BlobMissing,
        Code::RangeUnsatisfiable,
        Code::Unsupported,
        Code::Damaged,
        Code::Internal,
        Code::Unavailable,
        Code::Timeout,
        Code::StuckReader,
        Code::TooMany,
        Code::Restart,
        Code::TryLater,
        Code::AuthRequired,
        Code::AuthTimeout,
        Code::AuthInvalidToken,
        Code::VaultForbidden,
        Code::ReadOnly,
        Code::VaultNotFound,
        Code::FileNotFound,
        Code::InvalidMessage,
        Code::UnknownType,
        Code::ProtocolVersion,
        Code::EditWins,
        Code::DeviceTaken,
        Code::DeviceRevoked,
        Code::TooManyDevices,
    ];

    /// The code's line of the table.
    pub const fn row(self) -> Row {
        match self {
            Code::Malformed => permanent("malformed", 400, 4400),
            Code::Unauthorised => permanent("unauthorised", 401, 4401),
            Code::Forbidden => permanent("forbidden", 403, 4403),
            Code::NotFound => permanent("not_found", 404, 4404),
            Code::MethodNotAllowed => permanent("method_not_allowed", 405, 4405),
            Code::InvalidPath => permanent("invalid_path", 400, 4406),
            Code::PreconditionFailed => permanent("precondition_failed", 412, 4412),
            Code::PreconditionRequired => permanent("precondition_required", 428, 4428),
            Code::PathTaken => permanent("path_taken", 409, 4407),
            Code::NotText => permanent("not_text", 409, 4408),
            Code::CursorExpired => permanent("cursor_expired", 410, 4411),
            Code::VersionNotFound => permanent("version_not_found", 404, 4416),
            Code::BaseGone => permanent("base_gone", 409, 4417),
            Code::StampReused => permanent("stamp_reused", 409, 4418),
            Code::ClockDrift => permanent("clock_drift", 409, 4419),
            Code::QuotaExceeded => permanent("quota_exceeded", 507, 4427),
            Code::ForeignId => permanent("foreign_id", 409, 4409),
            Code::GapLeftOpen => permanent("gap_left_open", 409, 4410),
            Code::EpochChanged => permanent("epoch_changed", 409, 4414),
            Code::TooLarge => permanent("too_large", 413, 4413),
            Code::FileTooLarge => permanent("file_too_large", 413, 4423),
            Code::BatchTooLarge => permanent("batch_too_large", 413, 4424),
            Code::HashMismatch => permanent("hash_mismatch", 422, 4422),
            Code::BlobMissing => permanent("blob_missing", 409, 4425),
            Code::RangeUnsatisfiable => permanent("range_unsatisfiable", 416, 4421),
            Code::Unsupported => permanent("unsupported", 415, 4415),
            Code::Damaged => permanent("damaged", 500, 4450),
            Code::Internal => transient("internal", 500, 4500),
            Code::Unavailable => transient("unavailable", 503, 4503),
            Code::Timeout => transient("timeout", 408, 4504),
            Code::StuckReader => transient("stuck_reader", 503, 4508),
            Code::TooMany => transient("too_many", 429, 4529),
            Code::Restart => transient("restart", 503, 1012),
            Code::TryLater => transient("try_later", 503, 1013),
            Code::AuthRequired => permanent("auth_required", 401, 4401),
            Code::AuthTimeout => permanent("auth_timeout", 401, 4401),
            Code::AuthInvalidToken => permanent("auth_invalid_token", 401, 4401),
            Code::VaultForbidden => permanent("vault_forbidden", 403, 4403),
            Code::ReadOnly => permanent("read_only", 403, 4403),
            Code::VaultNotFound => permanent("vault_not_found", 404, 4404),
            Code::FileNotFound => permanent("file_not_found", 404, 4404),
            Code::InvalidMessage => permanent("invalid_message", 400, 4400),
            Code::UnknownType => permanent("unknown_type", 400, 4400),
            Code::ProtocolVersion => permanent("protocol_version", 426, 4426),
            Code::EditWins => permanent("edit_wins", 409, 4420),
            Code::DeviceTaken => permanent("device_taken", 409, 4430),
            Code::DeviceRevoked => permanent("device_revoked", 403, 4403),
            Code::TooManyDevices => permanent("too_many_devices", 409, 4431),
        }
    }

    /// The word in JSON bodies, logs and metrics.
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// HTTP status.
    pub const fn http_status(self) -> u16 {
        self.row().http_status
    }

    /// WebSocket close code.
    pub const fn close_code(self) -> u16 {
        self.row().close_code
    }

    /// Whether the same request may succeed later without anyone changing it.
    pub const fn is_retryable(self) -> bool {
        self.row().is_retryable
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

const fn permanent(name: &'static str, http_status: u16, close_code: u16) -> Row {
    Row { name, http_status, close_code, is_retryable: false }
}

const fn transient(name: &'static str, http_status: u16, close_code: u16) -> Row {
    Row { name, http_status, close_code, is_retryable: true }
}

/// Bytes that were refused: why, and where. Holds no content, so it may be logged and sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {what} at byte {at}")]
pub struct Refusal {
    /// Why, for the client.
    pub code: Code,
    /// Byte offset in the scanned slice at which it was noticed.
    pub at: usize,
    /// What was expected or exceeded, for a person.
    pub what: &'static str,
}

impl Refusal {
    /// The bytes break the format at `at`.
    pub const fn malformed(at: usize, what: &'static str) -> Refusal {
        Refusal { code: Code::Malformed, at, what }
    }

    /// The bytes exceed a bound of `limits` at `at`.
    pub const fn too_large(at: usize, what: &'static str) -> Refusal {
        Refusal { code: Code::TooLarge, at, what }
    }

    /// The bytes ask at `at` for something this server does not store.
    pub const fn unsupported(at: usize, what: &'static str) -> Refusal {
        Refusal { code: Code::Unsupported, at, what }
    }

    /// The same refusal, seen from a slice that begins `offset` bytes earlier.
    pub const fn shifted(self, offset: usize) -> Refusal {
        Refusal { at: self.at + offset, ..self }
    }
}

#[cfg(test)]
mod tests;
