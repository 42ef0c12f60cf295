//! `vaults`: name to number. Key: vault 0, kind, name. Value: 4 bytes, little-endian. Written when
//! the first document of a vault is folded, read at start.
//! Never gives out a number: the document domain does, and the journal holds it.

use sheaf_protocol::ids::{VaultName, VaultNo};

use super::Key;

/// The key of a vault's name.
#[must_use]
pub fn key(name: &VaultName) -> Vec<u8> {
    let mut key = prefix();
    key.extend_from_slice(name.as_str().as_bytes());
    key
}

/// The prefix of all vaults.
#[must_use]
pub fn prefix() -> Vec<u8> {
    super::vault_prefix(VaultNo(0), Key::Vaults)
}

/// The name in a key.
#[must_use]
pub fn name(key: &[u8]) -> Option<VaultName> {
    std::str::from_utf8(key.get(5..)?).ok()?.parse().ok()
}

/// The stored number.
#[must_use]
pub fn encode(vault: VaultNo) -> Vec<u8> {
    vault.0.to_le_bytes().to_vec()
}

/// The inverse of `encode`.
#[must_use]
pub fn decode(bytes: &[u8]) -> Option<VaultNo> {
    Some(VaultNo(u32::from_le_bytes(bytes.try_into().ok()?)))
}
