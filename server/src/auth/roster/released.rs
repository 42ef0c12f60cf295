//! A session on its way to another document of its vault.
//!
//! Job: ask again what its caller may do there, and enter it there. Called by sessions whose
//! document was moved. Never lets the grant of one path stand for another.

use std::sync::Arc;

use sheaf_protocol::error::Refusal;

use super::{Entry, Leash, Session};
use crate::auth::Role;
use crate::auth::caller::Caller;

/// A session that has left its document and not ended.
pub struct Released {
    session: Session,
    caller: Option<Caller>,
}

impl Leash {
    /// Takes the session out of its document: its place is free for the next.
    pub fn release(&mut self) -> Released {
        if let Some(roster) = self.roster.take() {
            roster.leave(&self.entry);
        }
        Released { session: self.entry.shown(), caller: self.entry.caller.clone() }
    }
}

impl Released {
    /// The session in this document.
    ///
    /// # Errors
    /// As of one that comes anew: `Unauthorised`, `Forbidden`, `Unavailable`, `TooMany`.
    pub async fn enter(&self, path: &Arc<str>) -> Result<Leash, Refusal> {
        let Session { vault, dialect, .. } = &self.session;
        let Some(caller) = &self.caller else {
            let session = Session { document: Arc::clone(path), ..self.session.clone() };
            return Ok(Leash {
                entry: Arc::new(Entry::new(session, None)),
                roster: None,
                pull: None,
            });
        };
        let grant = caller.grant(vault, Some(path), Role::Read).await?;
        caller.enter(vault, Arc::clone(path), dialect, grant)
    }
}
