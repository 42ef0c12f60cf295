//! The keys of the store, one file per kind: layout, encode, decode, golden bytes. Called by the
//! typed methods of `store`.
//!
//! Every key begins with the vault's number (4 bytes, big-endian, 0 for what belongs to no vault)
//! and a byte for its kind. Numbers in keys are big-endian, so that byte order is number order.
//! Keys whose value is chunked end with a 2-byte chunk number.
//! Never builds a key outside these files.

pub mod activity;
pub mod anchors;
pub mod aside;
pub mod authors;
pub mod ckpt;
pub mod cursors;
pub mod feed;
pub mod floors;
pub mod heads;
pub mod hooks;
pub mod items;
pub mod labels;
pub mod log;
pub mod lost;
pub mod marks;
pub mod meta;
pub mod owners;
pub mod past;
pub mod paths;
pub mod retired;
pub mod stamps;
pub mod vaults;

use sheaf_protocol::ids::{DocId, DocKey, VaultNo};
use sheaf_protocol::stamp::Stamp;

/// The kinds of keys. The numbers are stored: never reuse one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Key {
    /// Facts of the whole server, by name.
    Meta = 0x01,
    /// Vault name to vault number.
    Vaults = 0x02,
    /// A document's name, epoch and creation.
    Heads = 0x10,
    /// Name to document.
    Paths = 0x11,
    /// Who owns which clocks of which client id.
    Owners = 0x12,
    /// Folded entries, by the last n of a group.
    Log = 0x13,
    /// Merged states, by n.
    Ckpt = 0x14,
    /// Quarantined and kept bytes, by position.
    Aside = 0x15,
    /// Where a thinned log begins.
    Floors = 0x16,
    /// Entries known to be lost, accepted by an operator.
    Lost = 0x17,
    /// Files as of their last settled body.
    Items = 0x18,
    /// What changed when, by seq.
    Feed = 0x19,
    /// Documents that had a name before, with the client ids of their histories.
    Retired = 0x1a,
    /// Versions of files, by seq.
    Marks = 0x1b,
    /// Which file a version is of, by seq.
    Activity = 0x1c,
    /// Names of versions, by seq.
    Labels = 0x1d,
    /// The log below the newest checkpoint, by the last n of a piece.
    Past = 0x1e,
    /// Older states, by n.
    Anchors = 0x1f,
    /// Changes that clients stamped.
    Stamps = 0x20,
    /// Who wrote which clocks, by the last n of what it is about.
    Authors = 0x21,
    /// Devices, and how far each has acknowledged the feed.
    Cursors = 0x22,
    /// What webhooks have told and still have to tell.
    Hooks = 0x30,
}

impl Key {
    /// All kinds.
    pub const ALL: [Key; 22] = [
        Key::Meta,
        Key::Vaults,
        Key::Heads,
        Key::Paths,
        Key::Owners,
        Key::Log,
        Key::Ckpt,
        Key::Aside,
        Key::Floors,
        Key::Lost,
        Key::Items,
        Key::Feed,
        Key::Retired,
        Key::Marks,
        Key::Activity,
        Key::Labels,
        Key::Past,
        Key::Anchors,
        Key::Stamps,
        Key::Authors,
        Key::Cursors,
        Key::Hooks,
    ];

    /// The kind byte of an encoded key; 0 for what is too short to be one.
    #[must_use]
    pub fn kind_byte(key: &[u8]) -> u8 {
        key.get(4).copied().unwrap_or(0)
    }

    /// The kind of an encoded key.
    #[must_use]
    pub fn of(key: &[u8]) -> Option<Key> {
        let byte = Self::kind_byte(key);
        Self::ALL.into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// Bytes of vault, kind and document id.
pub const DOC_PREFIX_BYTES: usize = 4 + 1 + 16;

/// Vault and kind.
#[must_use]
pub fn vault_prefix(vault: VaultNo, kind: Key) -> Vec<u8> {
    let mut key = Vec::with_capacity(DOC_PREFIX_BYTES + 8 + 2);
    key.extend_from_slice(&vault.0.to_be_bytes());
    key.push(kind as u8);
    key
}

/// Vault, kind and document.
#[must_use]
pub fn doc_prefix(doc: DocKey, kind: Key) -> Vec<u8> {
    let mut key = vault_prefix(doc.vault, kind);
    key.extend_from_slice(&doc.doc.0.to_bytes());
    key
}

/// Vault, kind, document and a number.
#[must_use]
pub fn doc_number(doc: DocKey, kind: Key, number: u64) -> Vec<u8> {
    let mut key = doc_prefix(doc, kind);
    key.extend_from_slice(&number.to_be_bytes());
    key
}

/// The document of a key of any kind that has one.
#[must_use]
pub fn doc_of(key: &[u8]) -> Option<DocKey> {
    if Key::of(key) == Some(Key::Retired) {
        return retired::doc(key);
    }
    match Key::of(key)? {
        Key::Meta | Key::Vaults | Key::Paths | Key::Feed | Key::Hooks => return None,
        Key::Activity | Key::Stamps | Key::Cursors => return None,
        _ => {}
    }
    let vault = u32::from_be_bytes(key.get(..4)?.try_into().ok()?);
    let doc = key.get(5..DOC_PREFIX_BYTES)?.try_into().ok()?;
    Some(DocKey { vault: VaultNo(vault), doc: DocId(Stamp::from_bytes(doc)) })
}

/// The vault of a key; 0 for what belongs to none.
#[must_use]
pub fn vault_of(key: &[u8]) -> VaultNo {
    VaultNo(key.first_chunk().map_or(0, |vault| u32::from_be_bytes(*vault)))
}

/// The number after the document, as `doc_number` wrote it.
#[must_use]
pub fn number_of(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(key.get(DOC_PREFIX_BYTES..DOC_PREFIX_BYTES + 8)?.try_into().ok()?))
}

/// A base key with its chunk number.
#[must_use]
pub fn chunk(base: &[u8], index: u16) -> Vec<u8> {
    let mut key = Vec::with_capacity(base.len() + 2);
    key.extend_from_slice(base);
    key.extend_from_slice(&index.to_be_bytes());
    key
}

/// The base key of a chunk's key.
#[must_use]
pub fn without_chunk(key: &[u8]) -> Option<&[u8]> {
    key.len().checked_sub(2).map(|len| &key[..len])
}

/// The chunk number a chunk's key ends with.
#[must_use]
pub fn chunk_number(key: &[u8]) -> u16 {
    match key {
        [.., high, low] => u16::from_be_bytes([*high, *low]),
        _ => 0,
    }
}

#[cfg(test)]
mod tests;
