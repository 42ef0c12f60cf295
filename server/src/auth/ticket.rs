//! Tickets: short-lived tokens that a holder of another token makes, for a browser.
//!
//! `auth` makes and checks them. Never worth more than what their maker may do now.

use sheaf_protocol::ids::VaultName;

use super::role::Role;

/// Seconds a ticket is valid, at most.
pub const VALID_S_MAX: u64 = 86_400;
/// Seconds a ticket is valid unless said otherwise.
pub const VALID_S: u64 = 600;

/// What a ticket shall be good for.
#[derive(Clone, Debug)]
pub struct TicketAsk {
    /// The vault.
    pub vault: VaultName,
    /// One document of it, or all.
    pub path: Option<String>,
    /// At most the maker's own.
    pub role: Role,
    /// Seconds from now, from 1 to [`VALID_S_MAX`].
    pub valid_s: u64,
    /// Whose name its sessions bear; absent: the maker's own. Another's takes an administrator.
    pub user: Option<String>,
}

/// A token made for somebody else.
#[derive(Clone)]
pub struct Ticket {
    /// To be carried like any token.
    pub token: String,
    /// When it ends, in milliseconds since 1970.
    pub expires_ms: u64,
}

impl std::fmt::Debug for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ticket").field("expires_ms", &self.expires_ms).finish_non_exhaustive()
    }
}
