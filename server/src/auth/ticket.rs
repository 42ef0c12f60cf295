//! Tickets: short-lived tokens that the holder of another token makes, for a browser.
//!
//! `auth` makes and checks them. They are signed, not kept: a new key file ends them all. Never
//! worth more than what their maker may do at the moment they are used.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use sheaf_protocol::ids::VaultName;

use super::reach::{Prefix, Rule, Vaults};
use super::role::Role;

/// Seconds a ticket is valid, at most.
pub const VALID_S_MAX: u64 = 86_400;
/// Seconds a ticket is valid unless said otherwise.
pub const VALID_S: u64 = 600;

/// How a ticket begins: no JWT does, and no token of ours.
const PREFIX: &str = "sheaf-ticket-1.";
/// What is signed besides the content, so that no other use of the key can make a ticket.
const PURPOSE: &[u8] = b"sheaf ticket 1\0";
/// The file in the data directory.
const KEY_FILE: &str = "ticket.key";
const KEY_BYTES: usize = 32;

/// What a ticket shall be good for.
#[derive(Clone, Debug)]
pub struct TicketAsk {
    /// The vault.
    pub vault: VaultName,
    /// One document of it, all under it if it ends in `/`, or without it the whole vault.
    pub path: Option<String>,
    /// At most the maker's own.
    pub role: Role,
    /// Seconds from now, from 1 to [`VALID_S_MAX`].
    pub valid_s: u64,
    /// Whose name its sessions bear.
    pub holder: Holder,
}

/// Whose name the sessions of a ticket bear. Any but the maker's own takes an administrator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// The maker's.
    Maker,
    /// Nobody's: whoever has it has no name.
    Nobody,
    /// This person's.
    User(String),
}

/// A token made for somebody else.
#[derive(Clone)]
pub struct Ticket {
    /// To be carried like any token.
    pub token: String,
    /// When it ends, in milliseconds since 1970.
    pub expires_ms: u64,
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").field("expires_ms", &self.expires_ms).finish_non_exhaustive()
    }
}

/// What a ticket says. One letter a field: it stands in URLs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Content {
    #[serde(rename = "v")]
    pub(super) vault: VaultName,
    #[serde(rename = "p")]
    pub(super) path: Option<String>,
    #[serde(rename = "r")]
    pub(super) role: Role,
    /// None: whoever.
    #[serde(rename = "u")]
    pub(super) user: Option<String>,
    #[serde(rename = "e")]
    pub(super) expires_ms: u64,
    #[serde(rename = "m")]
    pub(super) maker: Maker,
}

/// On whose authority: looked up again whenever the ticket is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Maker {
    /// Whoever, on a server that is open on loopback.
    #[serde(rename = "a")]
    Anyone,
    /// A user, and a hash of the hash of the token it had.
    #[serde(rename = "u")]
    User(String, String),
    /// A hash of the key that signed its JWT and of how [jwt] judged it.
    #[serde(rename = "j")]
    Jwt(String),
}

impl Content {
    /// What it covers.
    pub(super) fn rule(&self) -> Rule {
        let paths = self.path.as_ref().map(|path| Arc::from([Prefix::of_ticket(path)]));
        Rule { vaults: Vaults::These(Arc::from([self.vault.clone()])), paths, role: self.role }
    }
}

/// Signs tickets.
pub(super) struct Key([u8; KEY_BYTES]);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

impl Key {
    /// Reads the key of a data directory, or makes it, readable for its owner alone.
    pub(super) fn load(data_dir: &Path) -> io::Result<Key> {
        let path = data_dir.join(KEY_FILE);
        match fs::read(&path) {
            Ok(bytes) => match bytes.try_into() {
                Ok(key) => return Ok(Key(key)),
                // Cut short by a crash while it was made: nothing was signed with it.
                Err(_) => tracing::warn!("ticket.key is not 32 bytes: it is made anew"),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let key = Key::fresh();
        let fresh = data_dir.join("ticket.key.new");
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        file.write_all(&key.0)?;
        file.sync_all()?;
        fs::rename(&fresh, &path)?;
        Ok(key)
    }

    /// A key that goes with the process.
    pub(super) fn fresh() -> Key {
        Key(rand::random())
    }

    fn mac(&self, content: &str) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("any length is a key");
        mac.update(PURPOSE);
        mac.update(content.as_bytes());
        mac
    }

    pub(super) fn sign(&self, content: &Content) -> String {
        let json = serde_json::to_vec(content).expect("plain data");
        let content = URL_SAFE_NO_PAD.encode(json);
        let signature = URL_SAFE_NO_PAD.encode(self.mac(&content).finalize().into_bytes());
        format!("{PREFIX}{content}.{signature}")
    }

    /// What a ticket says, if it is one of ours.
    pub(super) fn open(&self, token: &str) -> Option<Content> {
        let (content, signature) = token.strip_prefix(PREFIX)?.split_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        self.mac(content).verify_slice(&signature).ok()?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(content).ok()?).ok()
    }
}

/// Whether a token wants to be a ticket.
pub(super) fn is_ticket(token: &str) -> bool {
    token.starts_with(PREFIX)
}

#[cfg(test)]
mod tests;
