//! `activity`: which file every version of a vault is of. Key: vault, kind, seq. Value: document
//! id, 16 bytes. Written with each version, deleted with it; read for a vault's timeline.
//! Never says what is current: that is the feed's.

use sheaf_protocol::ids::VaultNo;

use super::Key;

/// The key of a place in the timeline.
#[must_use]
pub fn key(vault: VaultNo, seq: u64) -> Vec<u8> {
    let mut key = super::vault_prefix(vault, Key::Activity);
    key.extend_from_slice(&seq.to_be_bytes());
    key
}
