//! Who may do what.
//!
//! `app` builds one [`Auth`] from the configuration and asks it to [`Auth::admit`] each request
//! before anything else looks at it. Never logs, prints or labels with a token.

pub mod caller;
pub mod forwarded;
pub mod reach;
pub mod role;
pub mod roster;
pub mod site;
pub mod ticket;
pub mod token;
pub mod users;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use arc_swap::ArcSwap;
use hyper::http::request::Parts;
use sheaf_protocol::error::{Code, Refusal};
use tokio::sync::broadcast;

pub use self::caller::Caller;
use self::caller::Credential;
pub use self::role::{Grant, Role};
use self::roster::Roster;
pub use self::roster::{Caps, Leash, Session, SessionEvent, SessionFacts};
use self::site::Site;
pub use self::ticket::{Ticket, TicketAsk};
use self::users::{User, UserConfig};
use crate::time::Clock;

/// What `auth` needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// Who has a token. With nobody here and no `allow_anonymous`, loopback alone is served.
    pub users: Vec<UserConfig>,
    /// Whether a request without a token may write, wherever it comes from.
    pub allow_anonymous: bool,
    /// Host names, besides loopback, by which a request without a token may address us.
    pub hosts: Vec<String>,
    /// Origins, besides our own and loopback, whose pages may connect.
    pub origins: Vec<String>,
    /// Where the server listens.
    pub listen: Vec<SocketAddr>,
    /// How many sessions there may be.
    pub caps: Caps,
}

/// Why the server must not start with this configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Would be open to the network without anyone having said so.
    #[error(
        "refusing to serve {0} to the network without authentication. Make a token with `sheaf \
         token new` and add what it prints to the configuration file:\n\n    [[users]]\n    \
         name = \"me\"\n    token_hash = \"sha256:…\"\n    role = \"admin\"\n\nor serve everyone \
         who can reach the address: --allow-anonymous"
    )]
    OpenElsewhere(SocketAddr),
    /// A token that can be guessed is no token.
    #[error("the token of user {name:?} is shorter than {min} bytes; make one with: \
             sheaf token new", min = token::BYTES_MIN)]
    ShortToken {
        /// Whose.
        name: Arc<str>,
    },
    /// A user that nobody could be.
    #[error("user {name:?} has no token; make one with: sheaf token new")]
    NoToken {
        /// Whose.
        name: Arc<str>,
    },
    /// A user who may do nothing, or who is told in two ways.
    #[error(
        "user {name:?} needs a role (read, write or admin), with vaults and paths if they are \
         limited, or a list of grants instead; and a list of paths names at least one"
    )]
    NoRole {
        /// Whose.
        name: Arc<str>,
    },
    /// A name that could not be shown, or told from another.
    #[error("{name:?} is no name for a user: 1 to 128 bytes without control characters")]
    BadName {
        /// Which.
        name: Arc<str>,
    },
    /// Two users of one name or with one token could not be told apart.
    #[error("user {name:?} shares its name or a token with an earlier one; give it its own")]
    Twice {
        /// Whose.
        name: Arc<str>,
    },
    /// An origin that no browser would send.
    #[error("{0:?} is no origin; write it as in https://notes.example.org, without a path")]
    BadOrigin(String),
}

/// The configuration as requests are held against it. Replaced as a whole.
#[derive(Debug)]
pub(crate) struct Rules {
    users: Vec<User>,
    allow_anonymous: bool,
    /// Open only because nobody but this machine can reach it.
    is_open_on_loopback: bool,
    site: Site,
    caps: Caps,
}

impl Rules {
    fn new(config: &Config) -> Result<Rules, Error> {
        let is_closed = !config.users.is_empty() || config.allow_anonymous;
        let elsewhere = config.listen.iter().find(|address| !address.ip().is_loopback());
        if let (false, Some(address)) = (is_closed, elsewhere) {
            return Err(Error::OpenElsewhere(*address));
        }
        let mut users: Vec<User> = Vec::new();
        for user in &config.users {
            let user = user.user()?;
            let shares = |known: &User| known.tokens.iter().any(|it| user.tokens.contains(it));
            if users.iter().any(|known| known.name == user.name || shares(known)) {
                return Err(Error::Twice { name: user.name });
            }
            users.push(user);
        }
        Ok(Rules {
            users,
            allow_anonymous: config.allow_anonymous,
            is_open_on_loopback: !is_closed,
            site: Site::new(config)?,
            caps: config.caps,
        })
    }
}

#[derive(Debug)]
struct Shared {
    rules: ArcSwap<Rules>,
    roster: Arc<Roster>,
    clock: Clock,
}

/// Knows the users, the rule for pages from elsewhere and every live session. Shared by all edges;
/// clones are the same.
#[derive(Clone, Debug)]
pub struct Auth(Arc<Shared>);

impl Auth {
    /// Checks a configuration without using it.
    ///
    /// # Errors
    /// See [`Error`]; each says what to do.
    pub fn check(config: &Config) -> Result<(), Error> {
        Rules::new(config).map(drop)
    }

    /// Takes its rules from a configuration.
    ///
    /// # Errors
    /// See [`Error`]; each says what to do.
    pub fn new(config: &Config, clock: &Clock) -> Result<Auth, Error> {
        Ok(Auth(Arc::new(Shared {
            rules: ArcSwap::from_pointee(Rules::new(config)?),
            roster: Arc::default(),
            clock: clock.clone(),
        })))
    }

    /// Whether anyone who can connect may write.
    #[must_use]
    pub fn is_open(&self) -> bool {
        let rules = self.rules();
        rules.is_open_on_loopback || rules.allow_anonymous
    }

    fn rules(&self) -> arc_swap::Guard<Arc<Rules>> {
        self.0.rules.load()
    }

    /// Lets a request in, or not. Every request of every method passes here first; what its token
    /// is worth is told by the [`Caller`] when a vault is named.
    ///
    /// # Errors
    /// `Forbidden` for a page from elsewhere, a host name that is not ours (DNS rebinding), and,
    /// where the server is open only because it is on loopback, a proxy that would publish it.
    pub fn admit(&self, request: &Parts, address: IpAddr) -> Result<Caller, Refusal> {
        let rules = self.rules();
        if rules.is_open_on_loopback {
            site::check_not_forwarded(&request.headers)?;
        }
        let token = token::of_request(request);
        let credential = rules.credential_of(token.as_deref());
        match credential {
            Credential::Absent | Credential::Unknown => rules.site.check(request)?,
            Credential::User { .. } => rules.site.check_with_token(request)?,
        }
        Ok(Caller::new(self.clone(), credential, address.to_canonical()))
    }

    /// Enters a session into the list of those that live, as long as its leash does.
    ///
    /// # Errors
    /// `TooMany` over the caps on sessions.
    pub fn enter(&self, caller: &Caller, facts: SessionFacts) -> Result<Leash, Refusal> {
        let (user, vault) = (facts.grant.principal.clone(), facts.vault.clone());
        let caps = self.rules().caps;
        let leash = self.0.roster.enter(caller, facts, caps, self.0.clock.now_ms())?;
        let user = user.name().unwrap_or("anonymous");
        tracing::info!(user, %vault, "User '{user}' authenticated for vault '{vault}'");
        Ok(leash)
    }

    /// Every live session, by number.
    #[must_use]
    pub fn sessions(&self) -> Vec<Session> {
        self.0.roster.sessions()
    }

    /// Ends a session with `Forbidden`; false if there is none of that number.
    pub fn kick(&self, id: u64) -> bool {
        self.0.roster.kick(id)
    }

    /// Who comes and goes from now on. A listener that is 1,024 events behind misses some.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<SessionEvent> {
        self.0.roster.events()
    }

    /// Makes a short-lived token that is worth no more than the caller's own.
    ///
    /// # Errors
    /// As [`Caller::grant`] for what is asked; `Malformed` for a time or name that cannot be.
    pub async fn ticket(&self, caller: &Caller, ask: TicketAsk) -> Result<Ticket, Refusal> {
        caller.grant(&ask.vault, ask.path.as_deref(), ask.role).await?;
        Err(Refusal { code: Code::Unsupported, at: 0, what: "no tickets are made here" })
    }
}

#[cfg(test)]
mod tests;
