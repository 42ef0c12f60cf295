//! `hooks`: what each webhook has told and still has to tell. Key: vault 0, kind, the hook's id and
//! a byte for what it is: when the hook began, its place in a vault's feed (then the vault's name),
//! an event of its outbox (then the event's stamp), a document that was told of (then the length of
//! the vault's name, the name, the document's id). Written and read by `webhook` through the store.
//! Never knows what an event says.

use sheaf_protocol::ids::{DocId, VaultName, VaultNo};
use sheaf_protocol::stamp::Stamp;

use super::Key;
use crate::store::codec::Reader;

/// Which hook: a digest of its name, so that it has one size and shows nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HookId(pub [u8; 16]);

/// Most changes of one vault that a hook holds open: with them a place still fits one record.
pub const OPEN_MAX: usize = 128;

const BEGUN: u8 = 0;
const PLACE: u8 = 1;
const EVENT: u8 = 2;
const TOLD: u8 = 3;

/// What a key of a hook leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// When the hook began: milliseconds since 1970, 8 bytes, little-endian.
    Begun,
    /// Its place in a vault's feed.
    Place(VaultName),
    /// An event of its outbox.
    Event(Stamp),
    /// A document it was told of, so that it is not called new again; without a value.
    Told(VaultName, DocId),
}

/// A hook's place in a vault's feed: all up to `seq` is told, except what is open.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Place {
    /// The vault's, so that a vault made again under its old name is read from its beginning.
    pub epoch: u64,
    /// The last number read.
    pub seq: u64,
    /// Documents made up to then are not new to the hook, in milliseconds since 1970.
    pub known_until_ms: u64,
    /// Read and not told yet.
    pub open: Vec<Open>,
}

/// A change that is read and not told yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Open {
    /// The document.
    pub doc: DocId,
    /// The change's number in the feed.
    pub seq: u64,
    /// Whether the document itself was never told of.
    pub is_new: bool,
    /// How often it was tried in vain.
    pub failures: u32,
    /// When the first try failed, in milliseconds since 1970; 0 when none has.
    pub failing_since_ms: u64,
}

/// The prefix of all hooks.
#[must_use]
pub fn prefix_of_all() -> Vec<u8> {
    super::vault_prefix(VaultNo(0), Key::Hooks)
}

/// The prefix of one hook.
#[must_use]
pub fn prefix(hook: HookId) -> Vec<u8> {
    let mut key = prefix_of_all();
    key.extend_from_slice(&hook.0);
    key
}

/// The prefixes of what is read as a whole: all of a hook but the documents it was told of, which
/// are as many as there are documents.
#[must_use]
pub fn prefixes_of_few(hook: HookId) -> [Vec<u8>; 3] {
    [BEGUN, PLACE, EVENT].map(|kind| {
        let mut key = prefix(hook);
        key.push(kind);
        key
    })
}

/// A bound that no key of the hook is above, and none of the next hook below.
#[must_use]
pub fn end(hook: HookId) -> Vec<u8> {
    let mut key = prefix(hook);
    key.push(u8::MAX);
    key
}

/// The prefix of the documents of a vault that a hook was told of.
#[must_use]
pub fn prefix_of_told(hook: HookId, vault: &VaultName) -> Vec<u8> {
    let mut key = prefix(hook);
    key.push(TOLD);
    // A vault's name has at most 64 bytes.
    key.push(vault.as_str().len() as u8);
    key.extend_from_slice(vault.as_str().as_bytes());
    key
}

/// The key of one thing of a hook.
#[must_use]
pub fn key(hook: HookId, what: &What) -> Vec<u8> {
    let mut key = prefix(hook);
    match what {
        What::Begun => key.push(BEGUN),
        What::Place(vault) => {
            key.push(PLACE);
            key.extend_from_slice(vault.as_str().as_bytes());
        }
        What::Event(stamp) => {
            key.push(EVENT);
            key.extend_from_slice(&stamp.to_bytes());
        }
        What::Told(vault, doc) => {
            key = prefix_of_told(hook, vault);
            key.extend_from_slice(&doc.0.to_bytes());
        }
    }
    key
}

/// The inverse of `key`.
#[must_use]
pub fn decode_key(key: &[u8]) -> Option<(HookId, What)> {
    let mut reader = Reader::new(key.get(5..)?);
    let hook = HookId(reader.array()?);
    let what = match reader.u8()? {
        BEGUN => What::Begun,
        PLACE => What::Place(name(reader.take(reader.rest().len())?)?),
        EVENT => What::Event(Stamp::from_bytes(reader.array()?)),
        TOLD => {
            let len = reader.u8()?;
            let vault = name(reader.take(usize::from(len))?)?;
            What::Told(vault, DocId(Stamp::from_bytes(reader.array()?)))
        }
        _ => return None,
    };
    reader.is_empty().then_some((hook, what))
}

fn name(bytes: &[u8]) -> Option<VaultName> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

impl Place {
    /// epoch u64, seq u64, known until u64, count u16; per change: document 16 bytes, seq u64,
    /// is_new u8, failures u32, failing since u64. Numbers little-endian.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(26 + self.open.len() * 37);
        out.extend_from_slice(&self.epoch.to_le_bytes());
        out.extend_from_slice(&self.seq.to_le_bytes());
        out.extend_from_slice(&self.known_until_ms.to_le_bytes());
        out.extend_from_slice(&(self.open.len() as u16).to_le_bytes());
        for open in &self.open {
            out.extend_from_slice(&open.doc.0.to_bytes());
            out.extend_from_slice(&open.seq.to_le_bytes());
            out.push(u8::from(open.is_new));
            out.extend_from_slice(&open.failures.to_le_bytes());
            out.extend_from_slice(&open.failing_since_ms.to_le_bytes());
        }
        out
    }

    /// The inverse of `encode`.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let (epoch, seq, known_until_ms) = (reader.u64()?, reader.u64()?, reader.u64()?);
        let count = reader.u16()?;
        let mut open = Vec::new();
        for _ in 0..count {
            open.push(Open {
                doc: DocId(Stamp::from_bytes(reader.array()?)),
                seq: reader.u64()?,
                is_new: match reader.u8()? {
                    0 => false,
                    1 => true,
                    _ => return None,
                },
                failures: reader.u32()?,
                failing_since_ms: reader.u64()?,
            });
        }
        reader.is_empty().then_some(Self { epoch, seq, known_until_ms, open })
    }
}
