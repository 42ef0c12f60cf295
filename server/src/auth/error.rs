//! Why a configuration of access cannot be used.
//!
//! `auth` returns these at the start and on a reload, `cli` shows them. Never holds a token.

use std::net::SocketAddr;
use std::sync::Arc;

use super::token::BYTES_MIN;
use super::{callback, jwt};

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
             sheaf token new", min = BYTES_MIN)]
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
    /// Keys that cannot be used.
    #[error(transparent)]
    Jwt(#[from] jwt::Error),
    /// A callback that cannot be asked.
    #[error(transparent)]
    Callback(#[from] callback::Error),
    /// The key that tickets are signed with.
    #[error("cannot use ticket.key in the data directory: {0}")]
    TicketKey(std::io::Error),
    /// An origin that no browser would send.
    #[error("{0:?} is no origin; write it as in https://notes.example.org, without a path")]
    BadOrigin(String),
    /// The last user is gone from the configuration of a server that was closed.
    #[error(
        "this would open a running server to everyone who can connect, without a token: the \
         configuration names no user, no key of [jwt] and no callback any more. If that is meant, \
         restart the server"
    )]
    WouldOpen,
    /// Metrics and administration would be open to the network.
    #[error(
        "refusing allow_anonymous while metrics and administration are served on {0} to the \
         network; use an address such as 127.0.0.1:9100 for admin_listen, and restart the server"
    )]
    AdminElsewhere(SocketAddr),
    /// Set up to be reached through a proxy, and open to whoever comes by it.
    #[error(
        "refusing to serve without authentication: `{0}` says that others reach this server by a \
         name or through a proxy. Make a token with `sheaf token new` and add what it prints to \
         the configuration file:\n\n    [[users]]\n    name = \"me\"\n    token_hash = \
         \"sha256:…\"\n    role = \"admin\"\n\nor serve everyone who can reach it: \
         --allow-anonymous"
    )]
    OpenBehindProxy(&'static str),
}
