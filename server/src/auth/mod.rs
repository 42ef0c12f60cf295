//! Who may do what.
//!
//! `app` builds one [`Auth`] from the configuration and asks it to [`Auth::admit`] each request
//! before anything else looks at it. Never logs, prints or labels with a token.

pub mod forwarded;
pub mod site;
pub mod token;

use std::net::SocketAddr;
use std::sync::Arc;

use hyper::http::request::Parts;
use serde::{Deserialize, Serialize};
use sheaf_protocol::error::{Code, Refusal};
use sheaf_protocol::ids::Principal;

use self::site::Site;
use self::token::{Digest, Token};

/// What a grant allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Join and read.
    Read,
    /// Join, read and change.
    Write,
}

/// What a session or request may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// On whose behalf.
    pub principal: Principal,
    /// How much.
    pub role: Role,
}

impl Grant {
    /// Whether updates of the session are taken.
    #[must_use]
    pub fn can_write(&self) -> bool {
        self.role >= Role::Write
    }
}

/// One configured principal.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrincipalConfig {
    /// The name client ids are bound to.
    pub name: Arc<str>,
    /// The secret that proves it.
    pub token: Token,
    /// What it may do.
    pub role: Role,
}

/// What `auth` needs to know.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Who has a token. With nobody here and no `allow_anonymous`, loopback alone is served.
    pub principals: Vec<PrincipalConfig>,
    /// Whether a request without a token may write, wherever it comes from.
    pub allow_anonymous: bool,
    /// Host names, besides loopback, by which a request without a token may address us.
    pub hosts: Vec<String>,
    /// Origins, besides our own and loopback, whose pages may connect.
    pub origins: Vec<String>,
    /// Where the server listens.
    pub listen: Vec<SocketAddr>,
}

/// Why the server must not start with this configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Would be open to the network without anyone having said so.
    #[error(
        "refusing to serve {0} to the network without authentication. Add to the configuration \
         file:\n\n    [[principals]]\n    name = \"me\"\n    token = \"a long random secret\"\n    \
         role = \"write\"\n\nor serve everyone who can reach the address: --allow-anonymous"
    )]
    OpenElsewhere(SocketAddr),
    /// A token that can be guessed is no token.
    #[error("the token of principal {name:?} is shorter than {min} bytes; make one with: \
             openssl rand -hex 32", min = token::BYTES_MIN)]
    ShortToken {
        /// Whose.
        name: Arc<str>,
    },
    /// Two principals of one name or with one token could not be told apart.
    #[error("principal {name:?} shares its name or token with an earlier one; give it its own")]
    Twice {
        /// Whose.
        name: Arc<str>,
    },
    /// An origin that no browser would send.
    #[error("{0:?} is no origin; write it as in https://notes.example.org, without a path")]
    BadOrigin(String),
}

/// Knows the principals and the rule for pages from elsewhere. Shared by all edges.
#[derive(Debug)]
pub struct Auth {
    principals: Vec<(Digest, Grant)>,
    allow_anonymous: bool,
    /// Open only because nobody but this machine can reach it.
    is_open_on_loopback: bool,
    site: Site,
}

/// A request that may go on, with what its token is worth.
#[derive(Clone, Debug)]
pub struct Admission {
    /// What the token, or its absence, is good for; public pages do not look at it.
    pub grant: Result<Grant, Refusal>,
}

impl Auth {
    /// Checks the configuration.
    ///
    /// # Errors
    /// See [`Error`]; each says what to do.
    pub fn new(config: &Config) -> Result<Auth, Error> {
        let is_closed = !config.principals.is_empty() || config.allow_anonymous;
        let elsewhere = config.listen.iter().find(|address| !address.ip().is_loopback());
        if let (false, Some(address)) = (is_closed, elsewhere) {
            return Err(Error::OpenElsewhere(*address));
        }
        let mut principals: Vec<(Digest, Grant)> = Vec::new();
        for PrincipalConfig { name, token, role } in &config.principals {
            if token.is_short() {
                return Err(Error::ShortToken { name: name.clone() });
            }
            let digest = token.digest();
            let principal = Principal::Named(name.clone());
            let is_same =
                |(known, grant): &(Digest, Grant)| *known == digest || grant.principal == principal;
            if principals.iter().any(is_same) {
                return Err(Error::Twice { name: name.clone() });
            }
            principals.push((digest, Grant { principal, role: *role }));
        }
        Ok(Auth {
            principals,
            allow_anonymous: config.allow_anonymous,
            is_open_on_loopback: !is_closed,
            site: Site::new(config)?,
        })
    }

    /// Whether anyone who can connect may write.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.is_open_on_loopback || self.allow_anonymous
    }

    /// What `token` is worth.
    ///
    /// An open server takes a token it does not know for none: a page that always sends one must
    /// still work on somebody's own machine.
    ///
    /// # Errors
    /// `Unauthorised` without a valid token where one is needed.
    pub fn check(&self, token: Option<&str>) -> Result<Grant, Refusal> {
        let known = token.map(Digest::of).and_then(|digest| {
            // All are compared, so the time tells nothing about which one matched.
            let matches = self.principals.iter().filter(|(known, _)| *known == digest);
            matches.fold(None, |_, (_, grant)| Some(grant.clone()))
        });
        match known {
            Some(grant) => Ok(grant),
            None if self.is_open() => {
                Ok(Grant { principal: Principal::Anonymous, role: Role::Write })
            }
            None if token.is_some() => Err(unauthorised("this token is not valid here")),
            None => Err(unauthorised("a token is needed here")),
        }
    }

    /// Lets a request in, or not. Every request of every method passes here first.
    ///
    /// # Errors
    /// `Forbidden` for a page from elsewhere, a host name that is not ours (DNS rebinding), and,
    /// where the server is open only because it is on loopback, a proxy that would publish it.
    pub fn admit(&self, request: &Parts) -> Result<Admission, Refusal> {
        if self.is_open_on_loopback {
            site::check_not_forwarded(&request.headers)?;
        }
        let token = token::of_request(request);
        let grant = self.check(token.as_deref());
        let is_named = matches!(&grant, Ok(Grant { principal: Principal::Named(_), .. }));
        if is_named {
            self.site.check_with_token(request)?;
        } else {
            self.site.check(request)?;
        }
        Ok(Admission { grant })
    }
}

fn unauthorised(what: &'static str) -> Refusal {
    Refusal { code: Code::Unauthorised, at: 0, what }
}

#[cfg(test)]
mod tests;
