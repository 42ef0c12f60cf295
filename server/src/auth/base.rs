//! What a link back to this server begins with: as configured, or as its client addressed it.
//!
//! `app` notes how each request was addressed, `http` makes links for clients that are told one.
//! Never believes a request more than whoever made it: what it said stands in its own answer alone.

use std::fmt;
use std::str::FromStr;

use hyper::http::Request;
use hyper::http::uri::{Authority, Uri};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::site;

/// What links begin with: `https://notes.example.org` or `http://127.0.0.1:1234/sheaf`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Base {
    is_tls: bool,
    /// Host, port and the beginning of the path, without a slash at its end.
    place: String,
}

/// Text that no link can begin with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no address for links; write it as in https://notes.example.org or \
     https://example.org/notes, without a name, query or fragment"
)]
pub struct NotABase(String);

impl Base {
    /// How a request was addressed, by what a trusted proxy says or by `Host`; none if it does not
    /// say. `is_tls`: whether the client speaks TLS.
    #[must_use]
    pub fn of_request<B>(request: &Request<B>, is_tls: bool) -> Option<Base> {
        let authority = site::authority(request.headers(), request.extensions())?;
        let authority = authority.parse::<Authority>().ok().filter(is_plain)?;
        Some(Base { is_tls, place: authority.to_string() })
    }

    /// Whether links lead through TLS.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// What stands behind the scheme: host, port, the beginning of the path.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }

    /// The beginning of a link for HTTP.
    #[must_use]
    pub fn http(&self) -> String {
        format!("{}://{}", if self.is_tls { "https" } else { "http" }, self.place)
    }

    /// The beginning of a link for WebSockets.
    #[must_use]
    pub fn websocket(&self) -> String {
        format!("{}://{}", if self.is_tls { "wss" } else { "ws" }, self.place)
    }
}

fn is_plain(authority: &Authority) -> bool {
    !authority.as_str().contains('@')
}

impl FromStr for Base {
    type Err = NotABase;

    fn from_str(text: &str) -> Result<Base, NotABase> {
        let bad = || NotABase(text.to_owned());
        let uri: Uri = text.parse().map_err(|_| bad())?;
        let is_tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(bad()),
        };
        let authority = uri.authority().filter(|it| is_plain(it)).ok_or_else(bad)?;
        // A fragment is not kept by what parses it.
        if uri.query().is_some() || text.contains('#') {
            return Err(bad());
        }
        let path = uri.path().trim_end_matches('/');
        Ok(Base { is_tls, place: format!("{authority}{path}") })
    }
}

impl TryFrom<String> for Base {
    type Error = NotABase;

    fn try_from(text: String) -> Result<Base, NotABase> {
        text.parse()
    }
}

impl From<Base> for String {
    fn from(base: Base) -> String {
        base.http()
    }
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.http())
    }
}

#[cfg(test)]
mod tests;
