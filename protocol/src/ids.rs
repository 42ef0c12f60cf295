//! The ids that both ends name things with.
//!
//! Called everywhere. None of them is ever used as a path in the file system.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, LazyLock};

use serde::{Deserialize, Serialize};

use crate::limits::{DOCUMENT_NAME_BYTES_MAX, VAULT_NAME_BYTES_MAX};
use crate::stamp::{NotAStamp, Stamp};

/// One element of a document: the `clock`-th that `client` wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    /// Yjs client id, below 2^53.
    pub client: u64,
    /// Counts the client's elements from 0, below 2^31.
    pub clock: u32,
}

/// A vault's name: 1 to 64 of `A-Z a-z 0-9 . _ -`, neither `.` nor `..`. Clones share it: every
/// document in memory and every session has some.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VaultName(Arc<str>);

/// A name that breaks its rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// Not 1 to 64 of the allowed characters.
    #[error("a vault name is 1 to 64 of A-Z a-z 0-9 . _ - and neither . nor ..")]
    Vault,
    /// Empty, or longer than 1,024 bytes.
    #[error("a document name has 1 to 1024 bytes")]
    Document,
    /// Not 1 to 1,024 of the characters that stand in any URL as they are.
    #[error("an id is 1 to 1024 of A-Z a-z 0-9 _ -")]
    Url,
}

impl VaultName {
    /// The vault of plain y-websocket rooms.
    pub const DEFAULT: &'static str = "default";

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for VaultName {
    fn default() -> VaultName {
        static NAME: LazyLock<Arc<str>> = LazyLock::new(|| VaultName::DEFAULT.into());
        VaultName(Arc::clone(&NAME))
    }
}

impl TryFrom<String> for VaultName {
    type Error = BadName;

    fn try_from(name: String) -> Result<VaultName, BadName> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let fits = (1..=VAULT_NAME_BYTES_MAX).contains(&name.len());
        if fits && name.bytes().all(is_allowed) && name != "." && name != ".." {
            Ok(VaultName(name.into()))
        } else {
            Err(BadName::Vault)
        }
    }
}

impl FromStr for VaultName {
    type Err = BadName;

    fn from_str(name: &str) -> Result<VaultName, BadName> {
        VaultName::try_from(name.to_owned())
    }
}

impl From<VaultName> for String {
    fn from(name: VaultName) -> String {
        name.0.as_ref().to_owned()
    }
}

impl fmt::Display for VaultName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Checks a document's name as a stock client gives it: any text of 1 to 1,024 bytes.
pub fn check_document_name(name: &str) -> Result<(), BadName> {
    if (1..=DOCUMENT_NAME_BYTES_MAX).contains(&name.len()) {
        Ok(())
    } else {
        Err(BadName::Document)
    }
}

/// Checks a document's name that stands in any URL as it is: 1 to 1,024 of `A-Za-z0-9_-`.
pub fn check_url_name(name: &str) -> Result<(), BadName> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let fits = (1..=DOCUMENT_NAME_BYTES_MAX).contains(&name.len());
    if fits && name.bytes().all(is_plain) { Ok(()) } else { Err(BadName::Url) }
}

/// A vault's number on one server: prefixes every key, given once and never again.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct VaultNo(pub u32);

impl fmt::Display for VaultNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A document's id: the stamp of its creation, so it stays when the name changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DocId(pub Stamp);

impl fmt::Display for DocId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for DocId {
    type Err = NotAStamp;

    fn from_str(text: &str) -> Result<DocId, NotAStamp> {
        text.parse().map(DocId)
    }
}

/// A document on one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DocKey {
    /// The vault it is in.
    pub vault: VaultNo,
    /// The document.
    pub doc: DocId,
}

impl fmt::Display for DocKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.vault, self.doc)
    }
}

/// On whose behalf a session acts; client ids are bound to it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Principal {
    /// Nobody in particular: anyone may continue what anyone of these began.
    Anonymous,
    /// A user or device by its configured name.
    Named(Arc<str>),
}

impl Principal {
    /// The name, if it is somebody in particular.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Principal::Anonymous => None,
            Principal::Named(name) => Some(name),
        }
    }
}

#[cfg(test)]
mod tests;
