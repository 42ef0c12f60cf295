//! A state vector: how much of each client somebody holds.

use crate::error::Refusal;
use crate::limits::STATE_VECTOR_ENTRIES_MAX;
use crate::varint::Reader;

/// Checks that `bytes` are exactly one state vector within the bounds.
pub fn state_vector(bytes: &[u8]) -> Result<StateVector<'_>, Refusal> {
    let mut reader = Reader::new(bytes);
    let len = reader.count()?;
    if len > STATE_VECTOR_ENTRIES_MAX {
        return Err(Refusal::too_large(0, "too many clients"));
    }
    let entries = StateVectorEntries { reader, left: len };
    for _ in 0..len {
        entry(&mut reader)?;
    }
    reader.check_end()?;
    Ok(StateVector { bytes, entries })
}

/// Proof that bytes are a well-formed state vector; borrows them.
#[derive(Clone, Copy, Debug)]
pub struct StateVector<'a> {
    bytes: &'a [u8],
    entries: StateVectorEntries<'a>,
}

impl<'a> StateVector<'a> {
    /// The bytes as received.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Number of entries.
    pub fn len(&self) -> u32 {
        self.entries.left
    }

    /// Whether its sender holds nothing.
    pub fn is_empty(&self) -> bool {
        self.entries.left == 0
    }

    /// Client, and the clock after the last one held without a hole. A client that is named twice
    /// counts by its last entry.
    pub fn entries(&self) -> StateVectorEntries<'a> {
        self.entries
    }
}

/// Iterator of `StateVector::entries`.
#[derive(Clone, Copy, Debug)]
pub struct StateVectorEntries<'a> {
    reader: Reader<'a>,
    left: u32,
}

impl Iterator for StateVectorEntries<'_> {
    type Item = (u64, u32);

    fn next(&mut self) -> Option<(u64, u32)> {
        self.left = self.left.checked_sub(1)?;
        Some(entry(&mut self.reader).expect("the same bytes passed the scan"))
    }
}

fn entry(reader: &mut Reader<'_>) -> Result<(u64, u32), Refusal> {
    Ok((reader.client()?, reader.clock()?))
}
