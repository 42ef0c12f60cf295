//! The payloads of the records that are not updates: what the document domain writes and the fold
//! reads.
//! Never looks into an update.

use sheaf_protocol::ids::{DocId, VaultName};
use sheaf_protocol::stamp::Stamp;

use crate::store::codec::{Reader, put_text, put_text_option, put_varint};
use crate::store::keys::{cursors, owners, retired, stamps};
use crate::store::{Item, Made, Owner};

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

/// Payload of `Kind::Settled`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The vault's name; its number stands in the record's document key.
    pub vault: VaultName,
    /// The row of the feed it replaces; 0 for none.
    pub prev_seq: u64,
    /// The item from now on.
    pub item: Item,
    /// How it came about.
    pub made: Made,
}

impl Settled {
    /// vault text, previous seq u64 (little-endian), then the item as the store has it, then how it
    /// was made. Stored formats below 4 end with the item.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_text(out, self.vault.as_str());
        out.extend_from_slice(&self.prev_seq.to_le_bytes());
        out.extend_from_slice(&self.item.encode());
        self.made.encode(out);
    }

    /// The inverse of `encode`.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let vault = reader.text()?.parse().ok()?;
        let prev_seq = reader.u64()?;
        let item = Item::read(&mut reader)?;
        let made = if reader.is_empty() { Made::default() } else { Made::read(&mut reader)? };
        reader.is_empty().then_some(Self { vault, prev_seq, item, made })
    }
}

/// Payload of `Kind::Deleted` and `Kind::Moved`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renamed {
    /// The name that is free from now on; that of the item where nothing gets free.
    pub from: String,
    /// The document's epoch.
    pub epoch: u64,
    /// What it does to the feed. Its item has the new name, or is a tombstone.
    pub settled: Settled,
}

impl Renamed {
    /// from text, epoch u64 (little-endian), then as `Settled`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_text(out, &self.from);
        out.extend_from_slice(&self.epoch.to_le_bytes());
        self.settled.encode(out);
    }

    /// The inverse of `encode`.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let from = reader.text()?.to_owned();
        let epoch = reader.u64()?;
        Some(Self { from, epoch, settled: Settled::decode(reader.rest())? })
    }
}

/// Payload of `Kind::Retired`. It follows the record that frees the name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retired {
    /// The name.
    pub name: String,
    /// Client ids of the document's history; of more than `retired::CLIENTS_MAX` those that wrote
    /// most. None where they are to be read from its log.
    pub clients: Vec<u64>,
}

impl Retired {
    /// name text, then as the store's `retired` values.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_text(out, &self.name);
        retired::encode(out, &self.clients);
    }

    /// The inverse of `encode`.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let name = reader.text()?.to_owned();
        Some(Self { name, clients: retired::decode(reader.rest())? })
    }
}

/// Payload of `Kind::Named`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The version.
    pub seq: u64,
    /// Its name from now on; none if it has none any more.
    pub name: Option<String>,
}

impl Named {
    /// seq u64 (little-endian), name text or none.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.seq.to_le_bytes());
        put_text_option(out, self.name.as_deref());
    }

    /// The inverse of `encode`.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let (seq, name) = (reader.u64()?, reader.text_option()?.map(str::to_owned));
        reader.is_empty().then_some(Self { seq, name })
    }
}

/// Payload of `Kind::Stamped`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamped {
    /// The change's stamp, as the client gave it.
    pub stamp: Stamp,
    /// What it came to.
    pub came_to: stamps::Stamped,
}

impl Stamped {
    /// stamp 16 bytes, then as the store's `stamps` values.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.stamp.to_bytes());
        out.extend_from_slice(&self.came_to.encode());
    }

    /// The inverse of `encode`.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (stamp, rest) = bytes.split_first_chunk()?;
        let came_to = stamps::Stamped::decode(rest)?;
        Some(Self { stamp: Stamp::from_bytes(*stamp), came_to })
    }
}

/// Payload of `Kind::Device`; the vault's number stands in the record's document key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Which.
    pub device: u64,
    /// What it is from now on; none if it is forgotten.
    pub is_now: Option<cursors::Device>,
}

impl Device {
    /// device u64 (little-endian), then 0, or 1 and as the store's `cursors` values.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.device.to_le_bytes());
        out.push(u8::from(self.is_now.is_some()));
        if let Some(is_now) = &self.is_now {
            out.extend_from_slice(&is_now.encode());
        }
    }

    /// The inverse of `encode`.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let device = reader.u64()?;
        let is_now = match (reader.u8()?, reader.rest()) {
            (0, []) => None,
            (1, rest) => Some(cursors::Device::decode(rest)?),
            _ => return None,
        };
        Some(Self { device, is_now })
    }
}

/// Payload of `Kind::Pruned`; the vault's number stands in the record's document key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// The highest seq whose change is forgotten, now and before.
    pub horizon: u64,
    /// Deleted documents that are forgotten, with the seqs of their deletions.
    pub documents: Vec<(DocId, u64)>,
    /// Documents whose former names are forgotten.
    pub names: Vec<(DocId, String)>,
}

impl Pruned {
    /// horizon u64 (little-endian), count varint, for each document id 16 bytes and seq u64
    /// (little-endian), count varint, for each name the document's id and the name text.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.horizon.to_le_bytes());
        put_varint(out, self.documents.len() as u64);
        for (doc, seq) in &self.documents {
            out.extend_from_slice(&doc.0.to_bytes());
            out.extend_from_slice(&seq.to_le_bytes());
        }
        put_varint(out, self.names.len() as u64);
        for (doc, name) in &self.names {
            out.extend_from_slice(&doc.0.to_bytes());
            put_text(out, name);
        }
    }

    /// The inverse of `encode`.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let mut pruned = Self { horizon: reader.u64()?, ..Self::default() };
        for _ in 0..reader.varint()? {
            let doc = DocId(Stamp::from_bytes(reader.array()?));
            pruned.documents.push((doc, reader.u64()?));
        }
        for _ in 0..reader.varint()? {
            let doc = DocId(Stamp::from_bytes(reader.array()?));
            pruned.names.push((doc, reader.text()?.to_owned()));
        }
        reader.is_empty().then_some(pruned)
    }
}

/// Payload of `Kind::VaultCreated`; the moment is the record's stamp.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultCreated {
    /// Its name.
    pub name: VaultName,
    /// Its epoch.
    pub epoch: u64,
    /// The highest seq that was given out before, where it only gets new facts.
    pub seq: u64,
}

impl VaultCreated {
    /// name text, epoch u64, seq u64 (little-endian).
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_text(out, self.name.as_str());
        out.extend_from_slice(&self.epoch.to_le_bytes());
        out.extend_from_slice(&self.seq.to_le_bytes());
    }

    /// The inverse of `encode`.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let name = reader.text()?.parse().ok()?;
        let (epoch, seq) = (reader.u64()?, reader.u64()?);
        reader.is_empty().then_some(Self { name, epoch, seq })
    }
}

/// Payload of `Kind::VaultDropped`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultDropped {
    /// Its name.
    pub name: VaultName,
}

impl VaultDropped {
    /// name text.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_text(out, self.name.as_str());
    }

    /// The inverse of `encode`.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let name = reader.text()?.parse().ok()?;
        reader.is_empty().then_some(Self { name })
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

#[cfg(test)]
mod tests;
