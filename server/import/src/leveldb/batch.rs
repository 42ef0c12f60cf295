//! A record of a log: writings that were made together.
//!
//! Used by `leveldb`. Never takes half of one.

use std::collections::BTreeMap;

use sheaf_protocol::error::Refusal;
use sheaf_protocol::varint::Reader;

/// Number and count: eight bytes and four, the lowest first.
const HEAD_BYTES: usize = 12;
const DELETED: u8 = 0;
const WRITTEN: u8 = 1;

/// The newest writing of each key: its number, and a value unless it was deleted.
pub(super) type Newest = BTreeMap<Vec<u8>, (u64, Option<Vec<u8>>)>;

/// Takes what a record writes.
pub(super) fn take(record: &[u8], newest: &mut Newest) -> Result<(), String> {
    let written = parse(record).map_err(|_| "a record is not understood".to_owned())?;
    for (key, number, value) in written {
        let entry = newest.entry(key.to_vec()).or_default();
        if number >= entry.0 {
            *entry = (number, value.map(<[u8]>::to_vec));
        }
    }
    Ok(())
}

type Writing<'a> = (&'a [u8], u64, Option<&'a [u8]>);

fn parse(record: &[u8]) -> Result<Vec<Writing<'_>>, Refusal> {
    let mut reader = Reader::new(record);
    let head = reader.bytes(HEAD_BYTES)?;
    let (number, count) = head.split_at(8);
    let first = u64::from_le_bytes(number.try_into().expect("eight bytes"));
    let count = u32::from_le_bytes(count.try_into().expect("four bytes"));
    let mut written = Vec::new();
    for number in (first..).take(count as usize) {
        let kind = reader.byte()?;
        let key = reader.buffer()?;
        match kind {
            WRITTEN => written.push((key, number, Some(reader.buffer()?))),
            DELETED => written.push((key, number, None)),
            _ => return Err(Refusal::malformed(0, "an unknown kind")),
        }
    }
    reader.check_end()?;
    Ok(written)
}
