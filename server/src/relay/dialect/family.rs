//! Which family of clients a session belongs to, as its path says.
//!
//! `upgrade` decides it once; whoever runs the session speaks accordingly, lists and traces show
//! the name. Never changes during a session.

/// A family of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// y-websocket, and everything that speaks as it does.
    YWebsocket,
    /// The client of Y-Sweet.
    YSweet,
    /// The provider of Hocuspocus: many documents on one socket.
    Hocuspocus,
    /// Clients of the vault channel: the files of a vault on one socket.
    Channel,
}

impl Family {
    /// The word in lists, traces and webhooks.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Family::YWebsocket => "y-websocket",
            Family::YSweet => "y-sweet",
            Family::Hocuspocus => "hocuspocus",
            Family::Channel => "channel",
        }
    }
}
