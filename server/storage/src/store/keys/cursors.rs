//! `cursors`: the devices of a vault, and how far each has acknowledged its feed. Key: vault, kind,
//! device. Written by the fold of a device's record; read at start by `vault`.
//! Never holds what is true of this moment alone: whether a device is connected.

use std::sync::Arc;

use sheaf_protocol::ids::VaultNo;

use super::Key;
use crate::store::codec::{Reader, put_text_option};

/// It is refused.
const REVOKED: u8 = 1;

/// It came by the channel first.
const LIVE: u8 = 2;

/// A device, as the vault knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Device {
    /// Whose it is; none where nobody says who they are.
    pub user: Option<Arc<str>>,
    /// What people call it.
    pub name: Option<Arc<str>>,
    /// It came by the vault channel first, and not by HTTP.
    pub is_live: bool,
    /// It is refused.
    pub is_revoked: bool,
    /// The vault's seq when it came first.
    pub registered: u64,
    /// It holds everything up to here; 0: it never said so.
    pub acked: u64,
    /// When it was seen last, in Unix milliseconds, exact to the hour.
    pub seen_ms: u64,
    /// When it acknowledged last, in Unix milliseconds; 0: never.
    pub acked_ms: u64,
}

/// The key of a device.
#[must_use]
pub fn key(vault: VaultNo, device: u64) -> Vec<u8> {
    let mut key = super::vault_prefix(vault, Key::Cursors);
    key.extend_from_slice(&device.to_be_bytes());
    key
}

/// The device in a key.
#[must_use]
pub fn device(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(key.get(5..)?.try_into().ok()?))
}

impl Device {
    /// flags u8 (1 revoked, 2 by the channel), registered u64, acked u64, seen u64, acked at u64
    /// (little-endian), user text or none, name text or none.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let flag = |is: bool, flag: u8| if is { flag } else { 0 };
        let mut out = vec![flag(self.is_revoked, REVOKED) | flag(self.is_live, LIVE)];
        for number in [self.registered, self.acked, self.seen_ms, self.acked_ms] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        put_text_option(&mut out, self.user.as_deref());
        put_text_option(&mut out, self.name.as_deref());
        out
    }

    /// The inverse of `encode`.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let flags = reader.u8().filter(|flags| *flags <= REVOKED | LIVE)?;
        let (registered, acked) = (reader.u64()?, reader.u64()?);
        let (seen_ms, acked_ms) = (reader.u64()?, reader.u64()?);
        let user = reader.text_option()?.map(Arc::from);
        let name = reader.text_option()?.map(Arc::from);
        let (is_revoked, is_live) = (flags & REVOKED != 0, flags & LIVE != 0);
        let device = Self { user, name, is_live, is_revoked, registered, acked, seen_ms, acked_ms };
        reader.is_empty().then_some(device)
    }
}
