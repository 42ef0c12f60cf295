//! The one shape of errors over HTTP: `{code, message, retryable, details}`.
//!
//! Every handler's error becomes an [`Error`], and `app` answers with it what it does not let in.
//! Never decides what an error means: status and retry advice stand in `protocol::error`.

use hyper::http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use sheaf_protocol::error::{Code, Refusal};
use warp::Reply;
use warp::reply::Response;

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

impl Error {
    /// An error with details for programs: `details` must be a JSON object.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>, details: Value) -> Error {
        debug_assert!(details.is_object(), "details are an object in the documented shape");
        Error { code, message: message.into(), details }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Error {
        Error::new(refusal.code, refusal.what, json!({}))
    }
}

impl Reply for Error {
    fn into_response(self) -> Response {
        let Error { code, message, details } = self;
        let row = code.row();
        let body = json!({
            "code": row.name,
            "message": message,
            "retryable": row.is_retryable,
            "details": details,
        });
        let mut response = warp::reply::json(&body).into_response();
        *response.status_mut() =
            StatusCode::from_u16(row.http_status).expect("the table holds legal statuses");
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if row.is_retryable {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_S));
        }
        if code == Code::Unauthorised {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
