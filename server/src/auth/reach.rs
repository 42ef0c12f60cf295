//! What a grant covers: vaults by name, and documents by the beginning of their path.
//!
//! Used by `users`, `jwt`, `ticket` and `callback`, which all speak of it in the same words. Never
//! matches a part of a path segment: `notes` covers `notes` and `notes/a`, not `notes-of-ada`.

use std::borrow::Cow;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sheaf_protocol::ids::VaultName;
use sheaf_protocol::limits::DOCUMENT_NAME_BYTES_MAX;

use super::role::Role;

/// Vaults or paths that one token names, at most. Each request walks the list.
const NAMES_MAX: usize = 1024;

/// The vaults a grant covers: `"*"`, one name, a list of names, or `{ except = [names] }`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Written", into = "Written")]
#[schemars(with = "Written")]
pub enum Vaults {
    /// Every vault, those not made yet among them.
    #[default]
    All,
    /// These and no other.
    These(Arc<[VaultName]>),
    /// Every vault but these.
    Except(Arc<[VaultName]>),
}

/// As it is written down.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Written {
    /// `*`, or one vault's name.
    One(String),
    /// Names of vaults.
    List(Vec<String>),
    /// All but some.
    Except(Except),
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Except {
    /// Names of vaults that are left out.
    except: Vec<String>,
}

/// Words that name no vaults or no path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Bad {
    /// Not one of the three forms.
    #[error(
        "vaults are \"*\", [\"a\", \"b\"] or {{ except = [\"a\"] }}; a vault's name is 1 to 64 \
             of A-Z a-z 0-9 . _ -"
    )]
    Vaults,
    /// More names than a request should walk.
    #[error("at most 1024 vaults or paths can be named")]
    TooMany,
    /// A path that would cover nothing or too much.
    #[error("a path is 1 to 1024 bytes without a leading / and without empty, . or .. segments")]
    Path,
}

impl TryFrom<Written> for Vaults {
    type Error = Bad;

    fn try_from(written: Written) -> Result<Vaults, Bad> {
        match written {
            Written::One(all) if all == "*" => Ok(Vaults::All),
            Written::One(name) => Ok(Vaults::These(names(vec![name])?)),
            Written::List(list) => Ok(Vaults::These(names(list)?)),
            Written::Except(Except { except }) => Ok(Vaults::Except(names(except)?)),
        }
    }
}

fn names(list: Vec<String>) -> Result<Arc<[VaultName]>, Bad> {
    if list.len() > NAMES_MAX {
        return Err(Bad::TooMany);
    }
    list.into_iter().map(|name| VaultName::try_from(name).map_err(|_| Bad::Vaults)).collect()
}

impl From<Vaults> for Written {
    fn from(vaults: Vaults) -> Written {
        let text = |names: &[VaultName]| names.iter().map(ToString::to_string).collect();
        match vaults {
            Vaults::All => Written::One("*".to_owned()),
            Vaults::These(names) => Written::List(text(&names)),
            Vaults::Except(names) => Written::Except(Except { except: text(&names) }),
        }
    }
}

impl Vaults {
    /// Whether a vault is among them.
    #[must_use]
    pub fn covers(&self, vault: &VaultName) -> bool {
        match self {
            Vaults::All => true,
            Vaults::These(names) => names.contains(vault),
            Vaults::Except(names) => !names.contains(vault),
        }
    }
}

/// The beginning of document paths that a grant covers: `notes` or `notes/`.
///
/// With the slash only what lies under it is covered, without it the document of that very name,
/// too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Prefix {
    path: Arc<str>,
    /// That very document, whatever its name; only tickets say so.
    is_exact: bool,
}

impl TryFrom<String> for Prefix {
    type Error = Bad;

    fn try_from(path: String) -> Result<Prefix, Bad> {
        let body = path.strip_suffix('/').unwrap_or(&path);
        let fits = path.len() <= DOCUMENT_NAME_BYTES_MAX;
        if !fits || !is_plain(body) {
            return Err(Bad::Path);
        }
        Ok(Prefix { path: path.into(), is_exact: false })
    }
}

impl From<Prefix> for String {
    fn from(prefix: Prefix) -> String {
        prefix.path.to_string()
    }
}

/// Whether no segment is empty or means another one.
fn is_plain(path: &str) -> bool {
    path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

impl Prefix {
    /// What the path of a ticket means: one document, or with a slash at its end all under it.
    pub(super) fn of_ticket(path: &str) -> Prefix {
        match Prefix::try_from(path.to_owned()) {
            Ok(prefix) if path.ends_with('/') => prefix,
            _ => Prefix { path: path.into(), is_exact: true },
        }
    }

    /// Byte by byte, and only for paths that no reader could take for another.
    fn covers(&self, path: &str) -> bool {
        if self.is_exact {
            return *self.path == *path;
        }
        let own = self.path.strip_suffix('/').unwrap_or(&self.path);
        let is_under = path.strip_prefix(own).is_some_and(|rest| match rest.strip_prefix('/') {
            Some(rest) => is_plain(rest),
            None => rest.is_empty() && own.len() == self.path.len(),
        });
        is_under && is_plain(path)
    }

    /// Whether everything that `other` covers lies under this one, too.
    fn contains(&self, other: &Prefix) -> bool {
        if self.is_exact || other.is_exact {
            return self.is_exact && self == other;
        }
        let own = self.path.strip_suffix('/').unwrap_or(&self.path);
        match other.path.strip_prefix(own) {
            Some("") => own.len() == self.path.len(),
            Some(rest) => rest.starts_with('/'),
            None => false,
        }
    }
}

/// One thing somebody may do: a role, in some vaults, to some or all documents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Where.
    pub vaults: Vaults,
    /// Which documents; absent: all, and the vault itself.
    pub paths: Option<Arc<[Prefix]>>,
    /// How much.
    pub role: Role,
}

impl Rule {
    fn covers(&self, vault: &VaultName, what: &What<'_>) -> bool {
        self.vaults.covers(vault)
            && match (&self.paths, what) {
                (None, _) => true,
                (Some(_), What::Vault) => false,
                (Some(paths), What::Path(path)) => paths.iter().any(|own| own.covers(path)),
                (Some(paths), What::Under(other)) => paths.iter().any(|own| own.contains(other)),
            }
    }
}

/// What of a vault is asked for.
#[derive(Clone, Debug)]
pub(super) enum What<'a> {
    /// All of it, and itself.
    Vault,
    /// One document.
    Path(Cow<'a, str>),
    /// All documents under a prefix.
    Under(Prefix),
}

impl<'a> What<'a> {
    /// What a path means where one asks for a ticket or a listing: with a slash at its end, all
    /// under it.
    pub(super) fn of(path: Option<&'a str>) -> What<'a> {
        let Some(path) = path else { return What::Vault };
        match Prefix::try_from(path.to_owned()) {
            Ok(prefix) if path.ends_with('/') => What::Under(prefix),
            _ => What::Path(Cow::Borrowed(path)),
        }
    }

    /// As the callback is told: a prefix is asked about as the whole vault, because a document may
    /// be named as the prefix is written.
    pub(super) fn path(&self) -> Option<&str> {
        match self {
            What::Vault | What::Under(_) => None,
            What::Path(path) => Some(path),
        }
    }
}

/// The most that `rules` allow.
pub(super) fn role_in(rules: &[Rule], vault: &VaultName, what: &What<'_>) -> Option<Role> {
    rules.iter().filter(|rule| rule.covers(vault, what)).map(|rule| rule.role).max()
}

/// Whether `rules` make somebody an administrator of the whole server.
pub(super) fn is_server_admin(rules: &[Rule]) -> bool {
    let is_all = |rule: &Rule| {
        rule.vaults == Vaults::All && rule.paths.is_none() && rule.role == Role::Admin
    };
    rules.iter().any(is_all)
}

#[cfg(test)]
mod tests;
