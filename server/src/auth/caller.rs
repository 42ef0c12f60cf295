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

use super::reach::{self, Prefix, Rule, What};
use super::role::{Grant, Role};
use super::roster::{Leash, SessionFacts};
use super::token::Digest;
use super::{Auth, Rules};

/// A principal's name, in bytes. It is kept with every document it wrote in, and shown in lists.
const NAME_BYTES_MAX: usize = 128;

/// The one answer to whoever may not: it tells nothing about what exists.
pub(super) const FORBIDDEN: Refusal =
    Refusal { code: Code::Forbidden, at: 0, what: "this is not allowed here" };

/// Who makes a request, as far as its token tells. Cheap to clone.
#[derive(Clone)]
pub struct Caller {
    auth: Auth,
    credential: Arc<Credential>,
    address: IpAddr,
}

/// What a request showed of itself.
#[derive(Debug)]
pub(super) enum Credential {
    /// No token.
    Absent,
    /// A token that nobody here knows.
    Unknown,
    /// A token of the configuration.
    User { name: Arc<str>, digest: Digest },
}

/// What a credential is worth now, before a vault is named.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    pub(super) principal: Principal,
    pub(super) rules: Arc<[Rule]>,
    /// Worth nothing from then on, in milliseconds since 1970.
    pub(super) expires_ms: Option<u64>,
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Caller {
    pub(super) fn new(auth: Auth, credential: Credential, address: IpAddr) -> Caller {
        Caller { auth, credential: Arc::new(credential), address }
    }

    /// Whoever comes to a server that is open on loopback.
    #[cfg(test)]
    pub(crate) fn anyone() -> Caller {
        let config = super::Config {
            users: Vec::new(),
            allow_anonymous: false,
            hosts: Vec::new(),
            origins: Vec::new(),
            listen: vec![([127, 0, 0, 1], 1234).into()],
            caps: super::Caps { per_principal_max: 100, per_vault_max: 100, per_address_max: 100 },
        };
        let auth = Auth::new(&config, &crate::time::Clock::system()).expect("it may start");
        Caller::new(auth, Credential::Absent, IpAddr::from([127, 0, 0, 1]))
    }

    pub(super) fn credential(&self) -> &Arc<Credential> {
        &self.credential
    }

    /// Enters a session that this caller opens into the list of those that live.
    ///
    /// # Errors
    /// `TooMany` over the caps on sessions.
    pub fn enter(
        &self,
        vault: &VaultName,
        document: &str,
        dialect: &'static str,
        grant: Grant,
    ) -> Result<Leash, Refusal> {
        let (vault, document, address) = (vault.clone(), Arc::from(document), self.address);
        self.auth.enter(self, SessionFacts { vault, document, address, dialect, grant })
    }

    /// The client's address, behind configured proxies too; loopback for a unix socket.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// What the caller may do to one document, or without `path` to the vault as a whole; at least
    /// `least`.
    ///
    /// # Errors
    /// `Unauthorised` without a valid token where one is needed, `Forbidden` (in the same words
    /// whatever exists) for less than `least`, `Unavailable` if nobody could be asked.
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
        let what = Prefix::try_from(prefix.to_owned()).map_or(What::Vault, What::Under);
        self.granted(vault, &what, least).await
    }

    async fn granted(
        &self,
        vault: &VaultName,
        what: &What<'_>,
        least: Role,
    ) -> Result<Grant, Refusal> {
        let standing = self.standing()?;
        let role = reach::role_in(&standing.rules, vault, what).filter(|role| *role >= least);
        match role {
            Some(role) => Ok(Grant { principal: standing.principal, role }),
            None => Err(self.denied(&standing.principal, vault)),
        }
    }

    /// A grant to act on the server as a whole: for administrators of every vault.
    ///
    /// # Errors
    /// As [`Caller::grant`].
    #[expect(clippy::unused_async, reason = "the callback may be asked")]
    pub async fn server_admin(&self) -> Result<Grant, Refusal> {
        let standing = self.standing()?;
        if reach::is_server_admin(&standing.rules) {
            return Ok(Grant { principal: standing.principal, role: Role::Admin });
        }
        Err(self.refused(&standing.principal))
    }

    fn standing(&self) -> Result<Standing, Refusal> {
        self.auth.rules().standing(&self.credential)
    }

    fn denied(&self, principal: &Principal, vault: &VaultName) -> Refusal {
        let user = principal.name().unwrap_or("anonymous");
        tracing::info!(user, %vault, "User '{user}' denied access to vault '{vault}'");
        self.refused(principal)
    }

    /// Who has no token may try with one; who has one may not.
    fn refused(&self, principal: &Principal) -> Refusal {
        match principal {
            Principal::Anonymous => needs_token(),
            Principal::Named(_) => FORBIDDEN,
        }
    }
}

impl Rules {
    /// What a credential is worth by these rules.
    pub(super) fn standing(&self, credential: &Credential) -> Result<Standing, Refusal> {
        match credential {
            Credential::Absent => self.anonymous().ok_or_else(needs_token),
            Credential::Unknown => self.anonymous().ok_or_else(not_valid),
            Credential::User { name, digest } => {
                let mut users = self.users.iter();
                let user = users.find(|user| user.name == *name && user.tokens.contains(digest));
                let user = user.ok_or_else(not_valid)?;
                Ok(Standing {
                    principal: Principal::Named(user.name.clone()),
                    rules: Arc::clone(&user.rules),
                    expires_ms: None,
                })
            }
        }
    }

    fn anonymous(&self) -> Option<Standing> {
        let role = if self.is_open_on_loopback {
            Role::Admin
        } else if self.allow_anonymous {
            Role::Write
        } else {
            return None;
        };
        let rules = Arc::from([Rule { vaults: reach::Vaults::All, paths: None, role }]);
        Some(Standing { principal: Principal::Anonymous, rules, expires_ms: None })
    }

    pub(super) fn credential_of(&self, token: Option<&str>) -> Credential {
        let Some(token) = token else { return Credential::Absent };
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
        match found {
            Some(name) => Credential::User { name: name.clone(), digest },
            None => Credential::Unknown,
        }
    }
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
