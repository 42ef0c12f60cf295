//! The one shape of errors over HTTP: `{code, message, retryable, details}`.
//!
//! Every handler's error becomes an [`Error`], and `app` answers with it what it does not let in.
//! Never decides what an error means: status and retry advice stand in `protocol::error`.

use hyper::http::{HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sheaf_protocol::error::{Code, Refusal};
use utoipa::ToSchema;
use warp::Reply;
use warp::reply::Response;

use super::condition::tag;
use crate::blob;
use crate::document::registry::OpenError;
use crate::document::snapshot::ReadError;
use crate::document::submission::Failure;
use crate::vault;

/// Seconds after which a refusal that may pass by itself is worth another try.
const RETRY_AFTER_S: &str = "2";

/// An error on its way to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    code: Code,
    /// For people. Holds no content and no token.
    message: String,
    /// For programs; an object, `{}` if there is nothing to add.
    details: Value,
}

/// An error.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// One word, from the table in `docs/protocol.md`.
    pub code: String,
    /// For people.
    pub message: String,
    /// Whether the same request may succeed later without anyone changing it.
    pub retryable: bool,
    /// For programs: what the code says there is, else `{}`.
    pub details: Map<String, Value>,
}

impl Error {
    /// An error with details for programs: `details` must be a JSON object.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>, details: Value) -> Error {
        debug_assert!(details.is_object(), "details are an object in the documented shape");
        Error { code, message: message.into(), details }
    }

    /// A path that no new file can have.
    #[must_use]
    pub fn invalid_path(rule: impl Into<String>) -> Error {
        Error::new(Code::InvalidPath, rule, json!({}))
    }

    /// It is more than the bound.
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        self.code == Code::TooLarge
    }

    /// The same of a file: more than a file may have is told as such.
    #[must_use]
    pub fn of_file(self) -> Error {
        match self.code {
            Code::TooLarge => Error { code: Code::FileTooLarge, ..self },
            _ => self,
        }
    }

    /// There is no such vault.
    #[must_use]
    pub fn no_vault() -> Error {
        vault::Error::NoVault.into()
    }

    /// Text was asked for and there is something else.
    #[must_use]
    pub fn not_text(root: &str) -> Error {
        let message = format!("the content of this document is no text: it is in {root}");
        Error::new(Code::NotText, message, json!({ "root": root }))
    }

    /// A number among the details.
    #[must_use]
    pub fn detail(&self, name: &str) -> Option<u64> {
        self.details[name].as_u64()
    }

    /// The error as an answer shows it.
    pub(super) fn problem(self) -> Problem {
        let Error { code, message, details } = self;
        let row = code.row();
        let details = match details {
            Value::Object(details) => details,
            _ => Map::new(),
        };
        Problem { code: row.name.to_owned(), message, retryable: row.is_retryable, details }
    }

    /// The error as the last event of a stream.
    #[must_use]
    pub fn into_event(self) -> String {
        let data = serde_json::to_string(&self.problem()).expect("plain data");
        format!("event: error\ndata: {data}\n\n")
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Error {
        let details = if refusal.at > 0 { json!({ "at": refusal.at }) } else { json!({}) };
        Error::new(refusal.code, refusal.what, details)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        Error::new(failure.code(), failure.to_string(), json!({}))
    }
}

impl From<OpenError> for Error {
    fn from(error: OpenError) -> Error {
        Error::new(error.code(), error.to_string(), json!({}))
    }
}

impl From<ReadError> for Error {
    fn from(error: ReadError) -> Error {
        match error {
            ReadError::Refused(refusal) => refusal.into(),
            ReadError::Failed(failure) => failure.into(),
        }
    }
}

impl From<blob::Error> for Error {
    fn from(error: blob::Error) -> Error {
        let (code, message) = (error.code(), error.to_string());
        let details = match error {
            blob::Error::TooLarge { bytes_max } => json!({ "bytes_max": bytes_max }),
            blob::Error::Elsewhere { offset } => json!({ "offset": offset }),
            blob::Error::Missing(missing) => {
                let missing: Vec<String> = missing.iter().map(blob::Hash::to_string).collect();
                json!({ "missing": missing })
            }
            blob::Error::Io { .. } => {
                tracing::error!(%error, "blobs cannot be kept");
                let what = "what is kept cannot be read or written now";
                return Error::new(code, what, json!({}));
            }
            blob::Error::Damaged { .. } | blob::Error::Full => {
                tracing::error!(%error, "blobs cannot be kept or shown");
                json!({})
            }
            blob::Error::Mismatch | blob::Error::Again | blob::Error::BadList(_) => json!({}),
        };
        Error::new(code, message, details)
    }
}

impl From<vault::Error> for Error {
    fn from(error: vault::Error) -> Error {
        let details = match &error {
            vault::Error::PathTaken { path } => json!({ "path": **path }),
            vault::Error::EditWins { doc, file } => {
                let file = file.as_ref();
                json!({
                    "id": doc.to_string(),
                    "path": file.map(|file| &*file.path),
                    "version": file.map(|file| file.seq),
                    "size": file.map(|file| file.size),
                    "etag": file.map(|file| tag(file.at())),
                })
            }
            vault::Error::BatchTooLarge { max, .. } => json!({ "max": max }),
            vault::Error::Stale { now } => json!({ "etag": now.map(tag) }),
            vault::Error::BadEdit { index, why } => json!({ "edit": index, "why": why }),
            vault::Error::NoVersion { before, after } => {
                json!({ "before": before, "after": after })
            }
            vault::Error::BaseGone { seq, hash } => {
                let hash = hash.map(|hash| blake3::Hash::from(hash).to_hex().to_string());
                json!({ "version": seq, "hash": hash })
            }
            vault::Error::BlobMissing(hash) => json!({ "missing": [hash.to_string()] }),
            vault::Error::ClockDrift { now_ms } => json!({ "server_time_ms": now_ms }),
            vault::Error::NotText { root } => return Error::not_text(root),
            // Text: the numbers of an epoch are beyond what JavaScript holds.
            vault::Error::CursorExpired { epoch, horizon, seq } => {
                json!({ "epoch": epoch.to_string(), "horizon": horizon, "seq": seq })
            }
            _ => json!({}),
        };
        Error::new(error.code(), error.to_string(), details)
    }
}

impl Reply for Error {
    fn into_response(self) -> Response {
        let code = self.code;
        let row = code.row();
        let mut response = warp::reply::json(&self.problem()).into_response();
        *response.status_mut() =
            StatusCode::from_u16(row.http_status).expect("the table holds legal statuses");
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, super::NO_STORE);
        if row.is_retryable {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_S));
        }
        if code == Code::Unauthorised {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
