//! Tokens: where a request carries one, and how they are compared.
//!
//! Used by `auth` alone. Never shows a token: `Debug` and serialising print a placeholder.

use std::borrow::Cow;
use std::fmt;

use hyper::http::request::Parts;
use hyper::http::{HeaderMap, Uri, header};
use percent_encoding::percent_decode_str;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

/// Shorter ones can be tried out over the network.
pub(super) const BYTES_MIN: usize = 16;
/// How a hash in the configuration begins.
const HASH_PREFIX: &str = "sha256:";

/// A secret from the configuration.
#[derive(Clone, Deserialize, JsonSchema)]
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
        Digest::of(self.0.as_bytes())
    }

    /// The secret itself, for a key made of it.
    pub(super) fn reveal(&self) -> &str {
        &self.0
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

/// The hash of a secret, as the configuration may hold it: `sha256:` and 64 hex digits.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
pub struct TokenHash(Digest);

/// Not a hash in the form that the configuration takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected sha256: and 64 hex digits; make one with: sheaf token hash")]
pub struct NotAHash;

impl TokenHash {
    /// The hash of `secret`.
    #[must_use]
    pub fn of(secret: &str) -> TokenHash {
        TokenHash(Digest::of(secret.as_bytes()))
    }

    /// As the configuration takes it. Tells nothing about a token nobody could guess.
    #[must_use]
    pub fn text(&self) -> String {
        let hex = self.0.0.iter().map(|byte| format!("{byte:02x}"));
        hex.fold(HASH_PREFIX.to_owned(), |text, byte| text + &byte)
    }

    pub(super) fn digest(&self) -> Digest {
        self.0
    }
}

impl TryFrom<String> for TokenHash {
    type Error = NotAHash;

    fn try_from(text: String) -> Result<TokenHash, NotAHash> {
        let hex = text.strip_prefix(HASH_PREFIX).ok_or(NotAHash)?.as_bytes();
        let mut bytes = [0; 32];
        if hex.len() != 2 * bytes.len() {
            return Err(NotAHash);
        }
        for (byte, pair) in bytes.iter_mut().zip(hex.chunks(2)) {
            let digit = |it: u8| char::from(it).to_digit(16).ok_or(NotAHash);
            *byte = (digit(pair[0])? * 16 + digit(pair[1])?) as u8;
        }
        Ok(TokenHash(Digest(bytes)))
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(…)")
    }
}

impl Serialize for TokenHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("…")
    }
}

/// What is kept and compared instead of a token: equality takes the same time wherever two differ.
#[derive(Clone, Copy, Eq)]
pub(super) struct Digest([u8; 32]);

impl Digest {
    pub(super) fn of(secret: &[u8]) -> Digest {
        Digest(Sha256::digest(secret).into())
    }
}

impl PartialEq for Digest {
    fn eq(&self, other: &Digest) -> bool {
        self.0.ct_eq(&other.0).into()
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
