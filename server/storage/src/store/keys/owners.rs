//! `owners`: who owns which clocks of which client id. Key: vault, kind, document id, position of
//! the claim's record; chunked. Written by the fold of claims, read by every load.
//! Never forgets a claim: a later one adds to or overrides an earlier one by the reader's rule.

use std::ops::Range;
use std::sync::Arc;

use sheaf_protocol::ids::DocKey;

use super::Key;
use crate::store::codec::{Reader, put_text, put_text_option, put_varint};

/// A range of clocks of one client id and its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Yjs client id.
    pub client: u64,
    /// The clocks it speaks of; `0..u32::MAX` for the whole id.
    pub clocks: Range<u32>,
    /// The principal they belong to.
    pub owner: Arc<str>,
    /// The principal that brought them, where it was another.
    pub via: Option<Arc<str>>,
}

/// The key of the claims that stood in one journal record.
#[must_use]
pub fn key(doc: DocKey, position: u64) -> Vec<u8> {
    super::doc_number(doc, Key::Owners, position)
}

/// count varint; per claim: client varint, start varint, end varint, owner text, via text or none.
pub fn encode(out: &mut Vec<u8>, owners: &[Owner]) {
    put_varint(out, owners.len() as u64);
    for owner in owners {
        put_varint(out, owner.client);
        put_varint(out, u64::from(owner.clocks.start));
        put_varint(out, u64::from(owner.clocks.end));
        put_text(out, &owner.owner);
        put_text_option(out, owner.via.as_deref());
    }
}

/// The inverse of `encode`.
#[must_use]
pub fn decode(bytes: &[u8]) -> Option<Vec<Owner>> {
    let mut reader = Reader::new(bytes);
    let count = usize::try_from(reader.varint()?).ok()?;
    let mut owners = Vec::with_capacity(count.min(bytes.len() / 6));
    for _ in 0..count {
        let client = reader.varint()?;
        let start = u32::try_from(reader.varint()?).ok()?;
        let end = u32::try_from(reader.varint()?).ok()?;
        let owner = Arc::from(reader.text()?);
        let via = reader.text_option()?.map(Arc::from);
        owners.push(Owner { client, clocks: start..end, owner, via });
    }
    reader.is_empty().then_some(owners)
}
