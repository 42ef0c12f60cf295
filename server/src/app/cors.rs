//! What browsers ask before a page may call us from elsewhere, and what such a page may see.
//!
//! Called by `front`. Never decides who may come: that is the rule for `Host` and `Origin` in
//! `auth::site`. Never lets a browser send credentials of its own accord: tokens are sent by pages.

use hyper::Method;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use warp::Reply;
use warp::http::StatusCode;
use warp::reply::Response;

use crate::auth::Auth;
use crate::http::error::Error;

const METHODS: &str = "GET, HEAD, PUT, POST, PATCH, DELETE";
/// Ten minutes, which is as long as some browsers keep it at most.
const MAX_AGE_S: &str = "600";
/// Headers that a page may send, besides those that begin with [`OURS`].
const SENT: [&str; 8] = [
    "authorization",
    "content-range",
    "content-type",
    "if-match",
    "if-none-match",
    "if-range",
    "last-event-id",
    "range",
];
/// Headers that a page may see, besides those that begin with [`OURS`] and the few that all may.
const SEEN: [&str; 6] =
    ["accept-ranges", "content-range", "etag", "location", "retry-after", "upload-offset"];
/// Our own headers.
const OURS: &str = "sheaf-";

const ASKS_PRIVATE: HeaderName = HeaderName::from_static("access-control-request-private-network");
const ALLOWS_PRIVATE: HeaderName = HeaderName::from_static("access-control-allow-private-network");

/// The answer to a preflight; none for any other request.
pub(super) fn preflight(auth: &Auth, request: &Parts) -> Option<Response> {
    let is_asked = request.method == Method::OPTIONS
        && request.headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let origin = request.headers.get(header::ORIGIN)?;
    if !is_asked || !is_covered(request.uri.path()) {
        return None;
    }
    let mut response = match auth.check_preflight(request) {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        // Without the headers a browser asks no further.
        Err(refusal) => return Some(Error::from(refusal).into_response()),
    };
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE_S));
    if let Some(names) = allowed(&request.headers) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names);
    }
    if request.headers.contains_key(ASKS_PRIVATE) {
        headers.insert(ALLOWS_PRIVATE, HeaderValue::from_static("true"));
    }
    vary(headers);
    Some(response)
}

/// Lets the page that made an admitted request see its answer. `origin` is the request's.
pub(super) fn expose(path: &str, origin: Option<HeaderValue>, response: &mut Response) {
    if !is_covered(path) {
        return;
    }
    let headers = response.headers_mut();
    vary(headers);
    let Some(origin) = origin else { return };
    let seen = headers.keys().map(HeaderName::as_str);
    let seen: Vec<&str> =
        seen.filter(|name| SEEN.contains(name) || name.starts_with(OURS)).collect();
    if let Some(names) = listed(&seen) {
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, names);
    }
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
}

/// Pages call `/v1`, and with a client token of Y-Sweet what stands at its `baseUrl`.
fn is_covered(path: &str) -> bool {
    ["/v1/", "/d/", "/doc/"].iter().any(|covered| path.starts_with(covered))
}

/// Of the headers that are asked for, those that may be sent.
fn allowed(headers: &HeaderMap) -> Option<HeaderValue> {
    let asked = headers.get_all(header::ACCESS_CONTROL_REQUEST_HEADERS).into_iter();
    let asked = asked.filter_map(|names| names.to_str().ok()).flat_map(|names| names.split(','));
    let asked: Vec<String> = asked.map(|name| name.trim().to_ascii_lowercase()).collect();
    let may_send = |name: &&str| SENT.contains(name) || name.starts_with(OURS);
    listed(&asked.iter().map(String::as_str).filter(may_send).collect::<Vec<_>>())
}

fn listed(names: &[&str]) -> Option<HeaderValue> {
    let list = || HeaderValue::from_str(&names.join(", ")).ok();
    if names.is_empty() { None } else { list() }
}

/// Caches must not show one page what another may see.
fn vary(headers: &mut HeaderMap) {
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
}
