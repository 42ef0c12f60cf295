//! Tokens: where a request carries one, and how they are compared.
//!
//! Used by `auth` alone. Never shows a token: `Debug` and serialising print a placeholder.

use std::borrow::Cow;
use std::fmt;

use hyper::http::request::Parts;
use hyper::http::{HeaderMap, Uri, header};
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize, Serializer};

/// Shorter ones can be tried out over the network.
pub(super) const BYTES_MIN: usize = 16;

/// A secret from the configuration.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Token(String);

impl Token {
    /// Takes a secret.
    #[must_use]
    pub fn new(secret: impl Into<String>) -> Token {
        Token(secret.into())
    }

    pub(super) fn is_short(&self) -> bool {
        self.0.len() < BYTES_MIN
    }

    pub(super) fn digest(&self) -> Digest {
        Digest::of(&self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl Serialize for Token {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("…")
    }
}

/// What is kept and compared instead of a token: equality takes the same time wherever two differ.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Digest(blake3::Hash);

impl Digest {
    pub(super) fn of(token: &str) -> Digest {
        Digest(blake3::hash(token.as_bytes()))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(…)")
    }
}

/// The token of a request: `Authorization: Bearer`, else the query parameter `token`, which is the
/// only way a stock y-websocket client has. An empty one counts as none.
pub(super) fn of_request(request: &Parts) -> Option<Cow<'_, str>> {
    bearer(&request.headers).map(Cow::Borrowed).or_else(|| query(&request.uri))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer")).then_some(token.trim()).filter(|it| !it.is_empty())
}

fn query(uri: &Uri) -> Option<Cow<'_, str>> {
    let value = uri.query()?.split('&').find_map(|pair| pair.strip_prefix("token="))?;
    let token = percent_decode_str(value).decode_utf8().ok()?;
    (!token.is_empty()).then_some(token)
}
