//! Payload of `Kind::Together`: many changes of one vault that are one. Written by `vault` and seen
//! through by whatever reads records: [`parts`] gives what stands in a record as if each had come
//! alone. A torn tail is cut at whole records, so all of them are there after a crash, or none.
//! Never holds another record of its kind.

use sheaf_protocol::ids::{DocId, DocKey};
use sheaf_protocol::stamp::Stamp;

use super::record::{FRAME_BYTES, HEAD_BYTES, Kind, Placed, Record};
use crate::store::codec::Reader;

/// What stands before each part's payload.
const PART_HEAD_BYTES: usize = 45;

/// Appends a record as a part: kind u8 · document 16 · n u64 · stamp 16 · payload length u32 ·
/// payload; numbers little-endian. Vault and author are those of the record around it.
pub fn push(out: &mut Vec<u8>, part: &Record<'_>) {
    debug_assert_ne!(part.kind, Kind::Together);
    // A payload that is cut short here is refused with the record around it.
    let len = u32::try_from(part.payload.len()).unwrap_or(u32::MAX);
    out.reserve(PART_HEAD_BYTES + part.payload.len());
    out.push(part.kind as u8);
    out.extend_from_slice(&part.doc.doc.0.to_bytes());
    out.extend_from_slice(&part.n.to_le_bytes());
    out.extend_from_slice(&part.stamp.to_bytes());
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(part.payload);
}

/// The changes that a record is, in order, each with its own position: where its bytes begin. A
/// record that is one change is that change. `None`: its payload is damaged.
#[must_use]
pub fn parts<'a>(placed: &Placed<'a>) -> Option<Vec<(u64, Record<'a>)>> {
    let Record { doc, kind, author, payload, .. } = placed.record;
    if kind != Kind::Together {
        return Some(vec![(placed.position, placed.record)]);
    }
    let start = placed.position + (FRAME_BYTES + HEAD_BYTES + author.map_or(0, str::len)) as u64;
    let (mut reader, mut parts) = (Reader::new(payload), Vec::new());
    while !reader.is_empty() {
        let position = start + (payload.len() - reader.rest().len()) as u64;
        let kind = Kind::of(reader.u8()?).filter(|kind| *kind != Kind::Together)?;
        let doc = DocKey { doc: DocId(Stamp::from_bytes(reader.array()?)), ..doc };
        let (n, stamp) = (reader.u64()?, Stamp::from_bytes(reader.array()?));
        let len = usize::try_from(reader.u32()?).ok()?;
        let payload = reader.take(len)?;
        parts.push((position, Record { doc, n, kind, stamp, author, payload }));
    }
    Some(parts)
}

#[cfg(test)]
mod tests;
