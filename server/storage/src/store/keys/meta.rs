//! `meta`: facts of the whole server and of each vault. Key: vault (0 for the server), kind, name.
//! Read at open, written by each fold.
//! Never holds anything of one document.

use sheaf_protocol::ids::{DocId, DocKey, VaultName, VaultNo};
use sheaf_protocol::stamp::Stamp;

use super::Key;
use crate::store::codec::{Reader, put_text};

/// Name of the stored format's version: 4 bytes, little-endian.
pub const FORMAT: &str = "format";
/// Name of the end of what is folded.
pub const FOLDED: &str = "folded";

/// Name of the highest number that a deleted vault had: 4 bytes, little-endian.
pub const LAST_VAULT: &str = "last_vault";
/// What the names begin with that say of which deleted vaults there may still be keys.
pub const DROPPED: &str = "dropped/";
/// What the names begin with that say which forgotten documents there may still be keys of.
pub const PRUNED: &str = "pruned/";
/// Name of a vault's own facts.
pub const FACTS: &str = "facts";
/// Name of the highest seq of a vault whose change is forgotten: 8 bytes, little-endian.
pub const HORIZON: &str = "horizon";

/// The key of what is known of a vault.
#[must_use]
pub fn facts_key(vault: VaultNo) -> Vec<u8> {
    let mut key = super::vault_prefix(vault, Key::Meta);
    key.extend_from_slice(FACTS.as_bytes());
    key
}

/// The key of a vault's horizon.
#[must_use]
pub fn horizon_key(vault: VaultNo) -> Vec<u8> {
    let mut key = super::vault_prefix(vault, Key::Meta);
    key.extend_from_slice(HORIZON.as_bytes());
    key
}

/// The key that says that a document is forgotten and may still have keys; its value is empty.
#[must_use]
pub fn pruned_key(doc: DocKey) -> Vec<u8> {
    let mut key = key(PRUNED);
    key.extend_from_slice(&doc.vault.0.to_be_bytes());
    key.extend_from_slice(&doc.doc.0.to_bytes());
    key
}

/// The document in such a key.
#[must_use]
pub fn pruned_doc(key: &[u8]) -> Option<DocKey> {
    let (vault, doc) = key.strip_prefix(&*self::key(PRUNED))?.split_first_chunk()?;
    let doc = DocId(Stamp::from_bytes(doc.try_into().ok()?));
    Some(DocKey { vault: VaultNo(u32::from_be_bytes(*vault)), doc })
}

/// The key that says that a vault was deleted and may still have keys; its value is empty.
#[must_use]
pub fn dropped_key(vault: VaultNo) -> Vec<u8> {
    let mut key = key(DROPPED);
    key.extend_from_slice(&vault.0.to_be_bytes());
    key
}

/// The vault in such a key.
#[must_use]
pub fn dropped_vault(key: &[u8]) -> Option<VaultNo> {
    let number = key.strip_prefix(&*self::key(DROPPED))?;
    Some(VaultNo(u32::from_be_bytes(number.try_into().ok()?)))
}

/// What is known of a vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Its name.
    pub name: VaultName,
    /// Changes when a vault is created anew, or its feed cannot be trusted any more.
    pub epoch: u64,
    /// When it was created.
    pub created: Stamp,
    /// The highest seq that was given out.
    pub seq: u64,
}

impl Facts {
    /// epoch u64, seq u64 (little-endian), stamp 16 bytes, name text.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(34 + self.name.as_str().len());
        out.extend_from_slice(&self.epoch.to_le_bytes());
        out.extend_from_slice(&self.seq.to_le_bytes());
        out.extend_from_slice(&self.created.to_bytes());
        put_text(&mut out, self.name.as_str());
        out
    }

    /// The inverse of `encode`.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let (epoch, seq) = (reader.u64()?, reader.u64()?);
        let created = Stamp::from_bytes(reader.array()?);
        let name = reader.text()?.parse().ok()?;
        reader.is_empty().then_some(Self { name, epoch, created, seq })
    }
}

/// The key of a fact of the server.
#[must_use]
pub fn key(name: &str) -> Vec<u8> {
    let mut key = super::vault_prefix(VaultNo(0), Key::Meta);
    key.extend_from_slice(name.as_bytes());
    key
}

/// How far the journal is folded, and what is known at that place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Folded {
    /// End of the last folded record, exclusive.
    pub position: u64,
    /// CRC of the last folded record, which the next one names.
    pub link: u32,
    /// Highest presence clock that was ever given out.
    pub presence: u64,
    /// Highest stamp of any record.
    pub stamp: Stamp,
}

impl Folded {
    /// position u64, link u32, presence u64 (little-endian), stamp 16 bytes. Stored formats below 4
    /// end before the stamp.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(36);
        out.extend_from_slice(&self.position.to_le_bytes());
        out.extend_from_slice(&self.link.to_le_bytes());
        out.extend_from_slice(&self.presence.to_le_bytes());
        out.extend_from_slice(&self.stamp.to_bytes());
        out
    }

    /// The inverse of `encode`.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let (position, link, presence) = (reader.u64()?, reader.u32()?, reader.u64()?);
        let stamp = if reader.is_empty() { [0; 16] } else { reader.array()? };
        let stamp = Stamp::from_bytes(stamp);
        reader.is_empty().then_some(Self { position, link, presence, stamp })
    }
}
