//! Presence entries.

use super::json::{self, Fault};
use crate::error::Refusal;
use crate::limits::{AWARENESS_CLOCK_END, AWARENESS_ENTRIES_MAX, AWARENESS_STATE_BYTES_MAX};
use crate::varint::Reader;

/// Checks that `bytes` are exactly one awareness update within the bounds, each state one JSON
/// value.
pub fn awareness(bytes: &[u8]) -> Result<Awareness<'_>, Refusal> {
    let mut reader = Reader::new(bytes);
    let len = reader.count()?;
    if len > AWARENESS_ENTRIES_MAX {
        return Err(Refusal::too_large(0, "too many clients"));
    }
    let entries = AwarenessEntries { reader, left: len };
    for _ in 0..len {
        check_state(entry(&mut reader)?.state, reader.at())?;
    }
    reader.check_end()?;
    Ok(Awareness { bytes, entries })
}

/// Proof that bytes are a well-formed awareness update; borrows them.
#[derive(Clone, Copy, Debug)]
pub struct Awareness<'a> {
    bytes: &'a [u8],
    entries: AwarenessEntries<'a>,
}

impl<'a> Awareness<'a> {
    /// The bytes as received.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Number of entries.
    pub fn len(&self) -> u32 {
        self.entries.left
    }

    /// Whether it is but a sign of life.
    pub fn is_empty(&self) -> bool {
        self.entries.left == 0
    }

    /// The entries in wire order.
    pub fn entries(&self) -> AwarenessEntries<'a> {
        self.entries
    }
}

/// One client's presence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AwarenessEntry<'a> {
    /// Client id, below 2^53.
    pub client: u64,
    /// Grows with every change of the state.
    pub clock: u32,
    /// JSON; `null` says that the client left.
    pub state: &'a str,
}

impl AwarenessEntry<'_> {
    /// Whether the client left.
    pub fn is_gone(&self) -> bool {
        self.state.trim_ascii() == "null"
    }
}

/// Iterator of `Awareness::entries`.
#[derive(Clone, Copy, Debug)]
pub struct AwarenessEntries<'a> {
    reader: Reader<'a>,
    left: u32,
}

impl<'a> Iterator for AwarenessEntries<'a> {
    type Item = AwarenessEntry<'a>;

    fn next(&mut self) -> Option<AwarenessEntry<'a>> {
        self.left = self.left.checked_sub(1)?;
        Some(entry(&mut self.reader).expect("the same bytes passed the scan"))
    }
}

fn entry<'a>(reader: &mut Reader<'a>) -> Result<AwarenessEntry<'a>, Refusal> {
    let client = reader.client()?;
    let clock = reader.uint_below(AWARENESS_CLOCK_END, "presence clock of 32 bits or more")?;
    Ok(AwarenessEntry { client, clock: clock as u32, state: reader.text()? })
}

fn check_state(state: &str, end: usize) -> Result<(), Refusal> {
    let start = end - state.len();
    if state.len() > AWARENESS_STATE_BYTES_MAX {
        return Err(Refusal::too_large(start, "presence state too long"));
    }
    json::check(state).map_err(|fault| match fault {
        Fault::Grammar(at) => Refusal::malformed(start + at, "presence state is not JSON"),
        Fault::Depth(at) => Refusal::too_large(start + at, "presence state nested too deep"),
    })
}
