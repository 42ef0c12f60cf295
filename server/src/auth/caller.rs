//! Who makes a request, as far as its token tells.
//!
//! `app` puts a [`Caller`] into the extensions of every request it admits; every edge asks it for a
//! grant before it touches a vault. Never keeps a token unless the callback must be asked with it.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use sheaf_protocol::error::{Code, Refusal};
use sheaf_protocol::ids::{Principal, VaultName};

use super::credential::{Credential, Standing};
use super::reach::{self, Prefix, What};
use super::role::{Grant, Role};
use super::roster::{Leash, SessionFacts};
use super::token::{Carried, Digest};
use super::{Auth, TOO_WRONG, rate, ticket};

/// A principal's name, in bytes. It is kept with every document it wrote in, and shown in lists.
const NAME_BYTES_MAX: usize = 128;

/// The one answer to whoever may not: it tells nothing about what exists.
pub(super) const FORBIDDEN: Refusal =
    Refusal { code: Code::Forbidden, at: 0, what: "this is not allowed here" };

const READ_ONLY: Refusal =
    Refusal { code: Code::ReadOnly, at: 0, what: "who may read here may not write" };

/// Who makes a request, as far as its token tells. Cheap to clone.
#[derive(Clone)]
pub struct Caller {
    auth: Auth,
    credential: Arc<Credential>,
    address: IpAddr,
}

/// What a live session may do, and until when that is known.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) grant: Grant,
    /// Worth nothing from then on, in milliseconds since 1970.
    pub(super) expires_ms: Option<u64>,
    /// To be looked at again.
    pub(super) again_ms: Option<u64>,
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Caller {
    pub(super) fn new(auth: Auth, credential: Credential, address: IpAddr) -> Caller {
        let credential = match credential {
            Credential::Absent => Arc::clone(&auth.0.absent),
            shown => Arc::new(shown),
        };
        Caller { auth, credential, address }
    }

    /// Whoever comes to a server that is open on loopback.
    #[cfg(test)]
    pub(crate) fn anyone() -> Caller {
        let config = super::Config::default();
        let auth = Auth::new(&config, &sheaf_ground::time::Clock::system()).expect("it may start");
        Caller::new(auth, Credential::Absent, IpAddr::from([127, 0, 0, 1]))
    }

    #[cfg(test)]
    pub(super) fn credential(&self) -> &Arc<Credential> {
        &self.credential
    }

    /// Enters a session that this caller opens into the list of those that live. Without a name of
    /// a document it is about the whole vault, as a reader of the feed is.
    ///
    /// # Errors
    /// `TooMany` over the caps on sessions.
    pub fn enter(
        &self,
        vault: &VaultName,
        document: impl Into<Arc<str>>,
        dialect: &'static str,
        grant: Grant,
    ) -> Result<Leash, Refusal> {
        let (vault, document, address) = (vault.clone(), document.into(), self.address);
        self.auth.enter(self, SessionFacts { vault, document, address, dialect, grant })
    }

    /// This caller with the token that a message has shown; with an empty one as it is. A wrong one
    /// counts as one in a request.
    ///
    /// # Errors
    /// `TooMany` after too many wrong ones.
    pub fn showing(&self, token: &str) -> Result<Caller, Refusal> {
        if token.is_empty() {
            return Ok(self.clone());
        }
        let (rules, address) = (self.auth.rules(), self.address);
        let carried = Carried::of(Cow::Borrowed(token));
        let key = self.auth.0.ticket_key.get_or_init(ticket::Key::fresh);
        let credential = match rules.credential_of(&carried, key) {
            // Else it would be taken for nobody, who may not come from where this one does.
            Credential::Unknown if matches!(*self.credential, Credential::Elsewhere) => {
                Credential::Elsewhere
            }
            other => other,
        };
        if let Credential::Asked(_) = &credential {
            let asking = self.auth.check_asking(&rules, &credential, rate::network(address));
            asking.map_err(|denied| denied.refusal)?;
        } else if rules.standing(&credential, self.auth.now_ms()).is_err() {
            let too_many = Refusal { code: Code::TooMany, at: 0, what: TOO_WRONG };
            self.auth.failed(address, carried.digest()).map_err(|_| too_many)?;
        }
        Ok(Caller::new(self.auth.clone(), credential, address))
    }

    /// The client's address, behind configured proxies too; loopback for a unix socket.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// Whether it has shown a token, good or bad.
    #[must_use]
    pub fn has_shown(&self) -> bool {
        !matches!(*self.credential, Credential::Absent | Credential::Elsewhere)
    }

    /// What the caller may do to one document, or without `path` to the vault as a whole; at least
    /// `least`.
    ///
    /// # Errors
    /// `Unauthorised` without a valid token where one is needed, `Forbidden` (in the same words
    /// whatever exists) for less than `least`, `ReadOnly` where that is to write and the caller may
    /// read, `Unavailable` if nobody could be asked.
    pub async fn grant(
        &self,
        vault: &VaultName,
        path: Option<&str>,
        least: Role,
    ) -> Result<Grant, Refusal> {
        let what = path.map_or(What::Vault, |path| What::Path(Cow::Borrowed(path)));
        self.granted(vault, &what, least).await
    }

    /// What the caller may do to all documents whose path begins with `prefix`: for listings by
    /// somebody who may not see the whole vault.
    ///
    /// # Errors
    /// As [`Caller::grant`].
    pub async fn grant_under(
        &self,
        vault: &VaultName,
        prefix: &str,
        least: Role,
    ) -> Result<Grant, Refusal> {
        // Half a segment is under no prefix, so it takes the vault.
        let what = Prefix::try_from(prefix.to_owned()).map_or(What::Vault, What::Under);
        self.granted(vault, &what, least).await
    }

    /// What the caller may do to all that a ticket would name.
    pub(super) async fn grant_what(
        &self,
        vault: &VaultName,
        path: Option<&str>,
        least: Role,
    ) -> Result<Grant, Refusal> {
        self.granted(vault, &What::of(path), least).await
    }

    /// Whether the caller may do `least` to a document or a vault: for listings and answers that
    /// leave out what it may not see. A no is no attempt, so it is not logged.
    ///
    /// # Errors
    /// `Unauthorised` without a valid token where one is needed, `Unavailable` if nobody could be
    /// asked.
    pub async fn may(
        &self,
        vault: &VaultName,
        path: Option<&str>,
        least: Role,
    ) -> Result<bool, Refusal> {
        let what = path.map_or(What::Vault, |path| What::Path(Cow::Borrowed(path)));
        match self.standing(Some((vault, path))).await {
            Ok(standing) => {
                let role = reach::role_in(&standing.rules, vault, &what);
                Ok(role.is_some_and(|role| role >= least))
            }
            Err(Refusal { code: Code::Forbidden, .. }) => Ok(false),
            Err(refusal) => Err(refusal),
        }
    }

    /// Whether the caller may write at a path now; of a folder, at every one under it.
    ///
    /// # Errors
    /// As [`Caller::may`].
    pub async fn may_write(&self, vault: &VaultName, path: &str) -> Result<bool, Refusal> {
        if !path.ends_with('/') {
            return self.may(vault, Some(path), Role::Write).await;
        }
        match self.grant_under(vault, path, Role::Write).await {
            Ok(_) => Ok(true),
            Err(Refusal { code: Code::Forbidden | Code::ReadOnly, .. }) => Ok(false),
            Err(refusal) => Err(refusal),
        }
    }

    /// Whether somebody else must be asked about every single vault.
    #[must_use]
    pub fn is_asked_about(&self) -> bool {
        matches!(&*self.credential, Credential::Asked(_))
    }

    async fn granted(
        &self,
        vault: &VaultName,
        what: &What<'_>,
        least: Role,
    ) -> Result<Grant, Refusal> {
        let standing = self.standing(Some((vault, what.path()))).await?;
        match reach::role_in(&standing.rules, vault, what) {
            Some(role) if role >= least => Ok(Grant { principal: standing.principal, role }),
            Some(Role::Read) if least == Role::Write && self.refused() == FORBIDDEN => {
                Err(READ_ONLY)
            }
            _ => Err(self.denied(&standing.principal, vault)),
        }
    }

    /// A grant to act on the server as a whole: for administrators of every vault. The callback is
    /// not asked: it speaks of one vault at a time.
    ///
    /// # Errors
    /// As [`Caller::grant`].
    pub async fn server_admin(&self) -> Result<Grant, Refusal> {
        let standing = self.standing(None).await?;
        if reach::is_server_admin(&standing.rules) {
            return Ok(Grant { principal: standing.principal, role: Role::Admin });
        }
        Err(self.refused())
    }

    /// What the token is worth; about a token that is not ours, at one place.
    async fn standing(
        &self,
        place: Option<(&VaultName, Option<&str>)>,
    ) -> Result<Standing, Refusal> {
        let Credential::Asked(token) = &*self.credential else {
            return self.auth.rules().standing(&self.credential, self.auth.now_ms());
        };
        // Not across the wait: a reload must not wait for it.
        let callback = self.auth.rules().callback.clone().ok_or_else(not_valid)?;
        let (vault, path) = place.ok_or(FORBIDDEN)?;
        match callback.ask(token, vault, path, self.address).await {
            Ok(said) => Ok(Standing::of(&said, vault)),
            Err(refusal) => {
                if refusal.code == Code::Unauthorised {
                    let digest = Digest::of(token.reveal().as_bytes());
                    // Over the limit, the next unknown token is not asked about.
                    let _ = self.auth.failed(self.address, digest);
                }
                Err(refusal)
            }
        }
    }

    /// What a live session may do now, without waiting; none if somebody must be asked.
    pub(super) fn known(
        &self,
        vault: &VaultName,
        document: &str,
    ) -> Option<Result<Known, Refusal>> {
        if matches!(&*self.credential, Credential::Asked(_)) {
            return None;
        }
        let standing = self.auth.rules().standing(&self.credential, self.auth.now_ms());
        Some(standing.and_then(|standing| Known::of(standing, vault, document)))
    }

    /// As [`Caller::known`], waiting for who must be asked. One who cannot be reached now leaves a
    /// session its grant, until that ends by itself.
    pub(super) async fn follow(
        self,
        vault: VaultName,
        document: Arc<str>,
        last: Known,
    ) -> Result<Known, Refusal> {
        if let Some(known) = self.known(&vault, &document) {
            return known;
        }
        let standing = self.standing(Some((&vault, what_of(&document).path()))).await;
        let now_ms = self.auth.now_ms();
        let callback = self.auth.rules().callback.clone().ok_or_else(not_valid)?;
        let again_ms = now_ms.saturating_add(callback.recheck().as_millis() as u64);
        match standing {
            Ok(standing) => {
                let known = Known::of(standing, &vault, &document)?;
                if known.grant.principal != last.grant.principal {
                    return Err(not_valid());
                }
                let again_ms = Some(known.again_ms.unwrap_or(u64::MAX).min(again_ms));
                Ok(Known { again_ms, ..known })
            }
            Err(refusal) if refusal.code == Code::Unavailable => {
                let is_good = last.expires_ms.is_none_or(|expires_ms| now_ms < expires_ms);
                let again_ms = Some(last.expires_ms.unwrap_or(u64::MAX).min(again_ms));
                is_good.then_some(Known { again_ms, ..last }).ok_or(refusal)
            }
            Err(refusal) => Err(refusal),
        }
    }

    /// Whether the caller may make tickets at all: to be asked before anything of it is read.
    ///
    /// # Errors
    /// `Unauthorised` without a valid token, `Forbidden` for a ticket's holder and whoever the
    /// callback let in.
    pub fn check_makes_tickets(&self) -> Result<(), Refusal> {
        self.maker().map(drop)
    }

    /// On whose authority a ticket of this caller would stand, and until when at most.
    pub(super) fn maker(&self) -> Result<(ticket::Maker, u64), Refusal> {
        let rules = self.auth.rules();
        match &*self.credential {
            Credential::Absent | Credential::Unknown if rules.is_open_on_loopback => {
                Ok((ticket::Maker::Anyone, u64::MAX))
            }
            Credential::Absent | Credential::Elsewhere | Credential::Unknown => Err(needs_token()),
            Credential::Bad(_) => Err(not_valid()),
            Credential::User { name, digest } => {
                Ok((ticket::Maker::User(name.to_string(), digest.print()), u64::MAX))
            }
            Credential::Jwt(proved) => {
                let expires = rules.standing(&self.credential, self.auth.now_ms())?.expires_ms;
                let keys = rules.jwt.as_ref().ok_or_else(not_valid)?;
                let backing = keys.backing(&proved.print);
                Ok((ticket::Maker::Jwt(backing), expires.unwrap_or(u64::MAX)))
            }
            Credential::Ticket(_) | Credential::Asked(_) => Err(FORBIDDEN),
        }
    }

    fn denied(&self, principal: &Principal, vault: &VaultName) -> Refusal {
        let user = principal.name().unwrap_or("anonymous");
        tracing::info!(user, %vault, "User '{user}' denied access to vault '{vault}'");
        self.refused()
    }

    /// Who has no token may try with one; who has one, though perhaps no name, may not.
    fn refused(&self) -> Refusal {
        match &*self.credential {
            Credential::Absent | Credential::Elsewhere | Credential::Unknown => needs_token(),
            _ => FORBIDDEN,
        }
    }
}

impl Known {
    fn of(standing: Standing, vault: &VaultName, document: &str) -> Result<Known, Refusal> {
        let what = what_of(document);
        let role = reach::role_in(&standing.rules, vault, &what).ok_or(FORBIDDEN)?;
        let grant = Grant { principal: standing.principal, role };
        Ok(Known { grant, expires_ms: standing.expires_ms, again_ms: standing.expires_ms })
    }
}

/// What a session is about: a document, or the vault where none is named.
fn what_of(document: &str) -> What<'_> {
    if document.is_empty() { What::Vault } else { What::Path(Cow::Borrowed(document)) }
}

pub(super) fn needs_token() -> Refusal {
    Refusal { code: Code::Unauthorised, at: 0, what: "a token is needed here" }
}

pub(super) fn not_valid() -> Refusal {
    Refusal { code: Code::Unauthorised, at: 0, what: "this token is not valid here" }
}

/// Whether a name can be shown and told from others: no control or invisible characters.
pub(super) fn is_good_name(name: &str) -> bool {
    let is_invisible = |it: char| {
        matches!(it, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
            || matches!(it, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
    };
    (1..=NAME_BYTES_MAX).contains(&name.len())
        && name.trim() == name
        && !name.chars().any(|it| it.is_control() || is_invisible(it))
}
