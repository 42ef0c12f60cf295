//! The payloads of the records that are not updates: what the document domain writes and the fold
//! reads.
//! Never looks into an update.

use sheaf_protocol::ids::VaultName;

use crate::store::Owner;
use crate::store::codec::{Reader, put_text};
use crate::store::keys::owners;

/// Payload of `Kind::Created`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// The vault's name; its number stands in the record's document key.
    pub vault: VaultName,
    /// The document's name in the vault.
    pub name: String,
    /// The document's epoch.
    pub epoch: u64,
}

impl Created {
    /// vault text, name text, epoch u64 (little-endian).
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_text(out, self.vault.as_str());
        put_text(out, &self.name);
        out.extend_from_slice(&self.epoch.to_le_bytes());
    }

    /// The inverse of `encode`.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let vault = reader.text()?.parse().ok()?;
        let name = reader.text()?.to_owned();
        let epoch = reader.u64()?;
        reader.is_empty().then_some(Self { vault, name, epoch })
    }
}

/// Payload of `Kind::Claim`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// What is bound to whom.
    pub owners: Vec<Owner>,
}

impl Claim {
    /// As the store's `owners` values.
    pub fn encode(&self, out: &mut Vec<u8>) {
        owners::encode(out, &self.owners);
    }

    /// The inverse of `encode`.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        owners::decode(bytes).map(|owners| Self { owners })
    }
}

/// Payload of `Kind::Quarantined`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused<'a> {
    /// Why, in words for an operator.
    pub reason: &'a str,
    /// The bytes as received.
    pub bytes: &'a [u8],
}

impl<'a> Refused<'a> {
    /// reason text, bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_text(out, self.reason);
        out.extend_from_slice(self.bytes);
    }

    /// The inverse of `encode`.
    #[must_use]
    pub fn decode(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let reason = reader.text()?;
        Some(Self { reason, bytes: reader.rest() })
    }
}

/// Payload of `Kind::Presence`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Presence {
    /// No presence clock above this one was given out.
    pub clock: u64,
}

impl Presence {
    /// clock u64 (little-endian).
    #[must_use]
    pub fn encode(self) -> [u8; 8] {
        self.clock.to_le_bytes()
    }

    /// The inverse of `encode`.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(|bytes| Self { clock: u64::from_le_bytes(bytes) })
    }
}
