//! Which principal each client id of a document belongs to.
//!
//! Job: decide whether new clocks of an id may come from a principal, and remember what came by way
//! of another. Called by `handle`, under the lock of the document's state. Never looks at bytes,
//! never waits: an owner is asked by the session.
//!
//! Any writer can use another's client id: the server would merge the forgery and skip the victim's
//! own edits as known. So an id is bound to the first principal that shows it.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use sheaf_protocol::ids::Principal;
use sheaf_protocol::plan::{Source, Span};

use super::author::Author;

/// New clocks of a span may come from this principal because …
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// … the id is theirs, or anyone's.
    Allowed,
    /// … the id is new and theirs: to be written down.
    Bound,
    /// … they hold what the owner lost: taken, and recorded as the owner's via them.
    Via(Arc<str>),
    /// They may not, until the owner's live session has been asked.
    Ask(Principal),
    /// They may not.
    Refused,
}

/// What is known of the owner's sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Live {
    /// None is here.
    Gone,
    /// One is here, with other client ids.
    Here,
    /// One is here and uses the very id.
    Using,
}

/// Clocks of an owner's id that another principal brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    /// Which.
    pub clocks: Range<u32>,
    /// Who brought them.
    pub via: Arc<str>,
}

#[derive(Debug)]
struct Owner {
    principal: Principal,
    carried: Vec<Carried>,
}

/// Who submits, and how sure the owner's silence is.
#[derive(Clone, Copy, Debug)]
pub struct Submitter<'a> {
    /// Who it is.
    pub author: Author<'a>,
    /// Owners whose live sessions have been asked and had their time. `None`: whoever submits
    /// cannot wait for an answer, so everyone counts as asked.
    pub asked: Option<&'a [Principal]>,
}

impl Submitter<'_> {
    /// Somebody is there to be asked and told.
    pub(super) fn is_session(&self) -> bool {
        self.asked.is_some()
    }

    fn has_asked(&self, owner: &Principal) -> bool {
        self.asked.is_none_or(|asked| asked.contains(owner))
    }
}

/// The owners of one document's client ids.
#[derive(Debug, Default)]
pub struct Owners {
    ids: HashMap<u64, Owner>,
}

impl Owners {
    /// Binds an id, as read from the store or as first shown. The first binding stays.
    pub fn bind(&mut self, client: u64, principal: Principal) -> bool {
        let mut is_new = false;
        self.ids.entry(client).or_insert_with(|| {
            is_new = true;
            Owner { principal, carried: Vec::new() }
        });
        is_new
    }

    /// Records that clocks came via another principal.
    pub fn carry(&mut self, client: u64, carried: Carried) {
        let Some(owner) = self.ids.get_mut(&client) else { return };
        match owner.carried.last_mut() {
            Some(last) if last.via == carried.via && last.clocks.end == carried.clocks.start => {
                last.clocks.end = carried.clocks.end;
            }
            _ => owner.carried.push(carried),
        }
    }

    /// The owner of an id, if it is bound.
    pub fn owner(&self, client: u64) -> Option<&Principal> {
        self.ids.get(&client).map(|owner| &owner.principal)
    }

    /// What of an id's clocks came via others.
    pub fn carried(&self, client: u64) -> &[Carried] {
        self.ids.get(&client).map_or(&[], |owner| &owner.carried)
    }

    /// True if a principal may show an id in awareness.
    pub fn may_show(&self, client: u64, principal: &Principal) -> bool {
        match self.owner(client) {
            None | Some(Principal::Anonymous) => true,
            Some(owner) => owner == principal,
        }
    }

    /// Decides on new clocks. `live` is asked only when it matters.
    pub fn check(
        &self,
        span: &Span,
        source: Source,
        by: Submitter<'_>,
        live: impl FnOnce(&Principal) -> Live,
    ) -> Verdict {
        let owner = match self.owner(span.client) {
            // An id with blocks and no owner is anyone's. An answer brings other people's blocks
            // too: a new id in it shows nothing about who wrote it.
            None if span.from > 0 || source == Source::Step2 => return Verdict::Allowed,
            None => return Verdict::Bound,
            Some(owner) => owner,
        };
        let Principal::Named(name) = owner else { return Verdict::Allowed };
        if owner == by.author.principal {
            return if span.from == 0 { Verdict::Bound } else { Verdict::Allowed };
        }
        if by.author.may_relay {
            return Verdict::Allowed;
        }
        if source == Source::Update {
            return Verdict::Refused;
        }
        match live(owner) {
            Live::Gone => Verdict::Via(Arc::clone(name)),
            Live::Here | Live::Using if !by.has_asked(owner) => Verdict::Ask(owner.clone()),
            Live::Here => Verdict::Via(Arc::clone(name)),
            Live::Using => Verdict::Refused,
        }
    }
}

#[cfg(test)]
mod tests;
