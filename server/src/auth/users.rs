//! `[[users]]`: people and machines with a token of their own in the configuration.
//!
//! `auth` builds its table from it. Never keeps a plain token: what is compared is its SHA-256.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::reach::{Prefix, Rule, Vaults};
use super::role::Role;
use super::token::{Digest, Token, TokenHash};
use super::{Error, caller};

/// One user, with one or more tokens and what they are good for.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct UserConfig {
    /// The name that client ids are bound to and that others see; 1 to 128 bytes.
    pub name: Arc<str>,
    /// A secret that proves it, or a list of them while one replaces another; 16 bytes or more.
    pub token: Secrets<Token>,
    /// The hash of a secret instead, or a list: `sha256:` and 64 hex digits, as
    /// `sheaf token new` and `sheaf token hash` print.
    pub token_hash: Secrets<TokenHash>,
    /// The vaults: `"*"`, a list of names, or `{ except = [names] }` [*].
    pub vaults: Option<Vaults>,
    /// What the user may do there: `read`, `write` or `admin`.
    pub role: Option<Role>,
    /// Beginnings of document paths the user is limited to, such as `"notes/"`. Absent: all.
    pub paths: Option<Vec<Prefix>>,
    /// Several things at once, instead of `vaults`, `role` and `paths`.
    pub grants: Vec<GrantConfig>,
}

/// One thing a user may do.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GrantConfig {
    /// The vaults: `"*"`, a list of names, or `{ except = [names] }`.
    pub vaults: Vaults,
    /// What the user may do there: `read`, `write` or `admin`.
    pub role: Role,
    /// Beginnings of document paths this is limited to, such as `"notes/"`. Absent: all.
    #[serde(default)]
    pub paths: Option<Vec<Prefix>>,
}

/// One of something, a list of them, or none.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Secrets<T> {
    /// One.
    One(T),
    /// Any number.
    Many(Vec<T>),
}

impl<T> Default for Secrets<T> {
    fn default() -> Secrets<T> {
        Secrets::Many(Vec::new())
    }
}

impl<T> From<T> for Secrets<T> {
    fn from(one: T) -> Secrets<T> {
        Secrets::One(one)
    }
}

impl<T> Secrets<T> {
    /// All of them.
    #[must_use]
    pub fn all(&self) -> &[T] {
        match self {
            Secrets::One(one) => std::slice::from_ref(one),
            Secrets::Many(many) => many,
        }
    }
}

/// A user as requests are compared with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct User {
    pub(super) name: Arc<str>,
    pub(super) tokens: Vec<Digest>,
    pub(super) rules: Arc<[Rule]>,
}

impl UserConfig {
    /// Somebody who may do `role` everywhere.
    #[must_use]
    pub fn new(name: &str, token: &str, role: Role) -> UserConfig {
        UserConfig {
            name: name.into(),
            token: Token::new(token).into(),
            role: Some(role),
            ..UserConfig::default()
        }
    }

    /// Whether the configuration shows a secret to whoever can read it.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        !self.token.all().is_empty()
    }

    pub(super) fn user(&self) -> Result<User, Error> {
        let name = self.name.clone();
        if !caller::is_good_name(&name) {
            return Err(Error::BadName { name });
        }
        if self.token.all().iter().any(Token::is_short) {
            return Err(Error::ShortToken { name });
        }
        let plain = self.token.all().iter().map(Token::digest);
        let tokens: Vec<_> =
            plain.chain(self.token_hash.all().iter().map(TokenHash::digest)).collect();
        if tokens.is_empty() {
            return Err(Error::NoToken { name });
        }
        let rules = self.rules().ok_or(Error::NoRole { name: name.clone() })?;
        Ok(User { name, tokens, rules })
    }

    /// None when it does not say what it is about.
    fn rules(&self) -> Option<Arc<[Rule]>> {
        let is_empty = |paths: &Option<Vec<Prefix>>| paths.as_ref().is_some_and(Vec::is_empty);
        if is_empty(&self.paths) || self.grants.iter().any(|grant| is_empty(&grant.paths)) {
            return None;
        }
        let rule = |vaults: &Vaults, role, paths: &Option<Vec<Prefix>>| Rule {
            vaults: vaults.clone(),
            paths: paths.clone().map(Arc::from),
            role,
        };
        match (self.role, self.grants.is_empty()) {
            (Some(role), true) => {
                let vaults = self.vaults.clone().unwrap_or_default();
                Some(Arc::from([rule(&vaults, role, &self.paths)]))
            }
            (None, false) if self.vaults.is_none() && self.paths.is_none() => {
                let grants = self.grants.iter();
                Some(grants.map(|it| rule(&it.vaults, it.role, &it.paths)).collect())
            }
            _ => None,
        }
    }
}
