//! Roles and grants: what somebody may do in a vault, or to a document in it.
//!
//! Used by every edge. Never says who somebody is: that is `caller`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sheaf_protocol::ids::Principal;

/// What a grant allows.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Join and read.
    Read,
    /// Join, read and change.
    Write,
    /// All of that, carry what others wrote, and manage the vault and its sessions.
    Admin,
}

impl Role {
    /// The word in configurations, claims and listings.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Role::Read => "read",
            Role::Write => "write",
            Role::Admin => "admin",
        }
    }
}

/// What a session or request may do to one vault, or one path in it, now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// On whose behalf.
    pub principal: Principal,
    /// How much.
    pub role: Role,
}

impl Grant {
    /// Whether updates are taken.
    #[must_use]
    pub fn can_write(&self) -> bool {
        self.role >= Role::Write
    }

    /// Whether updates may hold what others wrote.
    #[must_use]
    pub fn may_relay(&self) -> bool {
        self.role >= Role::Admin
    }
}
