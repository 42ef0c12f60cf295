//! What a request shows of itself, and what that is worth.
//!
//! `Auth::admit` and the [`Caller`](super::Caller) hold it against the rules in force. Never waits:
//! what somebody else must be asked, the caller asks.

use std::sync::Arc;

use sheaf_protocol::error::{Code, Refusal};
use sheaf_protocol::ids::{Principal, VaultName};

use super::callback::Said;
use super::caller::{needs_token, not_valid};
use super::reach::{self, Rule, Vaults, What};
use super::role::Role;
use super::token::{Carried, Digest, Secret};
use super::{Rules, jwt, ticket};

/// What a request showed of itself.
#[derive(Debug)]
pub(super) enum Credential {
    /// No token.
    Absent,
    /// No token yet, on a socket of a page that may not come without one.
    Elsewhere,
    /// A token that nobody here knows.
    Unknown,
    /// A token that could be ours, but is not right; why, for people.
    Bad(&'static str),
    /// A token of the configuration.
    User { name: Arc<str>, digest: Digest },
    /// A token that one of the keys has signed.
    Jwt(jwt::Proved),
    /// A ticket that is ours.
    Ticket(ticket::Content),
    /// A token that the callback is to be asked about.
    Asked(Secret),
}

/// What a credential is worth now, before a vault is named.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    pub(super) principal: Principal,
    pub(super) rules: Arc<[Rule]>,
    /// Worth nothing from then on, in milliseconds since 1970.
    pub(super) expires_ms: Option<u64>,
}

impl Standing {
    pub(super) fn of(said: &Said, vault: &VaultName) -> Standing {
        // It was asked about this very place.
        let vaults = Vaults::These(Arc::from([vault.clone()]));
        Standing {
            principal: Principal::Named(said.user.clone()),
            rules: Arc::from([Rule { vaults, paths: None, role: said.role }]),
            expires_ms: said.expires_ms,
        }
    }
}

impl Rules {
    /// What a credential is worth by these rules.
    pub(super) fn standing(
        &self,
        credential: &Credential,
        now_ms: u64,
    ) -> Result<Standing, Refusal> {
        let unauthorised = |what| Refusal { code: Code::Unauthorised, at: 0, what };
        match credential {
            Credential::Absent => self.anonymous().ok_or_else(needs_token),
            Credential::Elsewhere => Err(needs_token()),
            Credential::Unknown => self.anonymous().ok_or_else(not_valid),
            Credential::Bad(what) => Err(unauthorised(what)),
            Credential::User { name, digest } => self.user(name, |it| it == digest),
            Credential::Jwt(proved) => {
                let keys = self.jwt.as_ref().ok_or_else(not_valid)?;
                keys.standing(proved, now_ms).map_err(unauthorised)
            }
            Credential::Ticket(content) => self.ticket(content, now_ms).map_err(unauthorised),
            Credential::Asked(_) => Err(not_valid()),
        }
    }

    fn user(&self, name: &str, has: impl Fn(&Digest) -> bool) -> Result<Standing, Refusal> {
        let user = self.users.iter().find(|user| *user.name == *name);
        let user = user.filter(|user| user.tokens.iter().any(has)).ok_or_else(not_valid)?;
        Ok(Standing {
            principal: Principal::Named(user.name.clone()),
            rules: Arc::clone(&user.rules),
            expires_ms: None,
        })
    }

    /// A ticket is worth what it says, as long as who made it may still do that.
    fn ticket(&self, ticket: &ticket::Content, now_ms: u64) -> Result<Standing, &'static str> {
        if now_ms >= ticket.expires_ms {
            return Err("this ticket has expired");
        }
        const VOID: &str = "this ticket is no longer valid";
        let what = What::of(ticket.path.as_deref());
        let may = |rules: &[Rule]| {
            reach::role_in(rules, &ticket.vault, &what).is_some_and(|role| role >= ticket.role)
        };
        let is_backed = match &ticket.maker {
            ticket::Maker::Anyone => self.is_open_on_loopback,
            ticket::Maker::User(name, print) => {
                self.user(name, |it| it.print() == *print).is_ok_and(|maker| may(&maker.rules))
            }
            // What it said does not change, and the ticket ends before it.
            ticket::Maker::Jwt(backing) => {
                self.jwt.as_ref().is_some_and(|keys| keys.backs(backing))
            }
        };
        let user = ticket.user.as_deref().map(Arc::from);
        let standing = Standing {
            principal: user.map_or(Principal::Anonymous, Principal::Named),
            rules: Arc::from([ticket.rule()]),
            expires_ms: Some(ticket.expires_ms),
        };
        is_backed.then_some(standing).ok_or(VOID)
    }

    fn anonymous(&self) -> Option<Standing> {
        let role = if self.is_open_on_loopback {
            Role::Admin
        } else if self.allow_anonymous {
            Role::Write
        } else {
            return None;
        };
        let rules = Arc::from([Rule { vaults: Vaults::All, paths: None, role }]);
        Some(Standing { principal: Principal::Anonymous, rules, expires_ms: None })
    }

    /// What a request shows of itself. `key` is the one of tickets.
    pub(super) fn credential_of(&self, carried: &Carried<'_>, key: &ticket::Key) -> Credential {
        let token = match carried {
            Carried::None => return Credential::Absent,
            Carried::TooLong => return Credential::Bad("this token is too long"),
            Carried::Token(token) => token,
        };
        let digest = Digest::of(token.as_bytes());
        // All are compared, so the time tells nothing about which one matched.
        let mut found = None;
        for user in &self.users {
            for known in &user.tokens {
                if *known == digest {
                    found = Some(&user.name);
                }
            }
        }
        if let Some(name) = found {
            return Credential::User { name: name.clone(), digest };
        }
        if ticket::is_ticket(token) {
            let bad = Credential::Bad("this ticket is not valid here");
            return key.open(token).map_or(bad, Credential::Ticket);
        }
        if let Some(proved) = self.jwt.as_ref().and_then(|keys| keys.prove(token)) {
            return Credential::Jwt(proved);
        }
        match (&self.callback, &self.jwt) {
            (Some(_), _) => Credential::Asked(Secret::new(token)),
            // Somebody wanted to be known by it: not to be taken for nobody.
            (None, Some(_)) if token.matches('.').count() == 2 => {
                Credential::Bad("this token is not valid here")
            }
            _ => Credential::Unknown,
        }
    }
}
