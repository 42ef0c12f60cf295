//! Tokens: where a request carries one, and how they are compared.
//!
//! Used by `auth` alone. Never shows a token: `Debug` and serialising print a placeholder.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use hyper::http::request::Parts;
use hyper::http::{HeaderMap, HeaderValue, Uri, header};
use percent_encoding::percent_decode_str;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use sheaf_protocol::limits::TOKEN_BYTES_MAX;
use subtle::ConstantTimeEq;

/// Shorter ones can be tried out over the network.
pub const BYTES_MIN: usize = 16;
/// How a WebSocket subprotocol that is a token begins: ours, with base64url behind it.
const PROTOCOL: &str = "sheaf.token.";
/// As y-redis has it, the token itself behind it.
const PROTOCOL_Y_REDIS: &str = "yauth-";
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

impl Digest {
    pub(super) fn bytes(self) -> [u8; 32] {
        self.0
    }

    /// A hash of the hash: names a token without being of use to whoever reads it.
    pub(super) fn print(self) -> String {
        let hash: [u8; 32] = Sha256::digest(self.0).into();
        hash[..16].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// A token that is kept, because somebody else must be shown it again.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Secret(Arc<str>);

impl Secret {
    pub(super) fn new(token: &str) -> Secret {
        Secret(token.into())
    }

    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(…)")
    }
}

/// What a request carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Carried<'a> {
    /// Nothing.
    None,
    /// A token.
    Token(Cow<'a, str>),
    /// Something that is longer than any token.
    TooLong,
}

impl<'a> Carried<'a> {
    /// A token as it came.
    pub(super) fn of(token: Cow<'a, str>) -> Carried<'a> {
        if token.len() > TOKEN_BYTES_MAX { Carried::TooLong } else { Carried::Token(token) }
    }

    /// Of the token; all that are too long are one.
    pub(super) fn digest(&self) -> Digest {
        match self {
            Carried::Token(token) => Digest::of(token.as_bytes()),
            Carried::None | Carried::TooLong => Digest::of(b""),
        }
    }
}

/// The token of a request: `Authorization: Bearer`, else the query parameter `token`, which is the
/// only way an old y-websocket client has, else a WebSocket subprotocol. An empty one counts as
/// none.
pub(super) fn of_request(request: &Parts) -> Carried<'_> {
    let token = bearer(&request.headers).map(Cow::Borrowed);
    let token = token.or_else(|| query(&request.uri));
    let token = token.or_else(|| offers(&request.headers).find_map(of_protocol));
    token.map_or(Carried::None, Carried::of)
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

/// The WebSocket subprotocols a client offers, in its order.
fn offers(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).into_iter();
    let lines = lines.filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).filter(|offer| !offer.is_empty())
}

/// The WebSocket subprotocols a client offers, without those that are tokens.
pub fn offered(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    offers(headers).filter(|offer| !is_token(offer))
}

fn is_token(offer: &str) -> bool {
    offer.starts_with(PROTOCOL) || offer.starts_with(PROTOCOL_Y_REDIS)
}

fn of_protocol(offer: &str) -> Option<Cow<'_, str>> {
    if let Some(token) = offer.strip_prefix(PROTOCOL_Y_REDIS) {
        return (!token.is_empty()).then_some(Cow::Borrowed(token));
    }
    let token = URL_SAFE_NO_PAD.decode(offer.strip_prefix(PROTOCOL)?).ok()?;
    let token = String::from_utf8(token).ok()?;
    (!token.is_empty()).then_some(Cow::Owned(token))
}

/// The subprotocol to answer with: the first that is no token. A browser fails a connection whose
/// offer is not taken up, so a token that is all there is goes back to whom it came from.
pub fn chosen_protocol(headers: &HeaderMap) -> Option<HeaderValue> {
    let chosen = offered(headers).next().or_else(|| offers(headers).next());
    let mut chosen = HeaderValue::from_str(chosen?).ok()?;
    chosen.set_sensitive(true);
    Some(chosen)
}

#[cfg(test)]
mod tests;
