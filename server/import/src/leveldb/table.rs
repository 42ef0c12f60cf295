//! A table file: sorted blocks, an index of them, a footer.
//!
//! Used by `leveldb`. Reads a block at a time, as it is asked for; one that does not hold is told
//! and the next is read. Never keeps the file open, as there may be more of them than a process may
//! have.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use sheaf_protocol::error::Refusal;
use sheaf_protocol::varint::Reader;

use super::{Damage, Entry, checksum};

const FOOTER_BYTES: usize = 48;
/// The end of the footer.
const MAGIC: [u8; 8] = 0xdb47_7524_8b80_fb57_u64.to_le_bytes();
/// Behind a block: how it is packed, and a checksum.
const TRAILER_BYTES: usize = 5;
const PLAIN: u8 = 0;
const SNAPPY: u8 = 1;
/// Snappy packs 64 bytes into 3 at best: a length beyond that is a wrong one.
const PACKED_MAX: usize = 32;
/// Behind a key: the number of its writing, and whether it has a value.
const MARK_BYTES: usize = 8;

/// The entries of a table.
pub(super) struct Table {
    path: PathBuf,
    name: String,
    /// Blocks that were not read yet, the next one at the end.
    blocks: Vec<Result<Place, Damage>>,
    /// Entries of the block that is being read, the next one at the end.
    entries: Vec<Entry>,
}

/// Where a block is in the file.
#[derive(Clone, Copy)]
struct Place {
    at: u64,
    len: u64,
}

impl Place {
    fn read(reader: &mut Reader<'_>) -> Result<Place, Refusal> {
        Ok(Place { at: reader.uint()?, len: reader.uint()? })
    }
}

impl Table {
    /// Reads the index.
    pub(super) fn open(path: &Path, name: String) -> Table {
        let mut table =
            Table { path: path.to_owned(), name, blocks: Vec::new(), entries: Vec::new() };
        table.blocks = match table.index() {
            Ok(places) => places.into_iter().rev().map(Ok).collect(),
            Err(why) => vec![Err(table.damage(0, why))],
        };
        table
    }

    fn index(&self) -> Result<Vec<Place>, String> {
        let file = File::open(&self.path).map_err(|error| error.to_string())?;
        let bytes = file.metadata().map_err(|error| error.to_string())?.len();
        let cut_off = || "the table is cut off".to_owned();
        let at = bytes.checked_sub(FOOTER_BYTES as u64).ok_or_else(cut_off)?;
        let mut footer = [0; FOOTER_BYTES];
        file.read_exact_at(&mut footer, at).map_err(|error| error.to_string())?;
        if footer[FOOTER_BYTES - MAGIC.len()..] != MAGIC {
            return Err(cut_off());
        }
        let mut reader = Reader::new(&footer);
        // The first is that of filters, which only say where a key is not.
        let place = Place::read(&mut reader).and_then(|_| Place::read(&mut reader));
        let place = place.map_err(|_| "the footer is damaged".to_owned())?;
        let index = entries(&self.block(place)?).ok_or("the index is damaged")?;
        let places = index.into_iter().map(|(_, value)| {
            Place::read(&mut Reader::new(&value)).map_err(|_| "the index is damaged".to_owned())
        });
        places.collect()
    }

    /// A block, unpacked.
    fn block(&self, Place { at, len }: Place) -> Result<Vec<u8>, String> {
        let file = File::open(&self.path).map_err(|error| error.to_string())?;
        let bytes = file.metadata().map_err(|error| error.to_string())?.len();
        let end = at.checked_add(len).and_then(|end| end.checked_add(TRAILER_BYTES as u64));
        if end.is_none_or(|end| end > bytes) {
            return Err("a block lies beyond the end".to_owned());
        }
        let len = usize::try_from(len).map_err(|error| error.to_string())?;
        let mut block = vec![0; len + TRAILER_BYTES];
        file.read_exact_at(&mut block, at).map_err(|error: io::Error| error.to_string())?;
        let (covered, stored) = block.split_at(len + 1);
        if checksum(covered).to_le_bytes() != stored {
            return Err("a checksum does not hold".to_owned());
        }
        let kind = covered[len];
        block.truncate(len);
        match kind {
            PLAIN => Ok(block),
            SNAPPY => {
                let whole = snap::raw::decompress_len(&block).map_err(|error| error.to_string())?;
                if whole / PACKED_MAX > len {
                    return Err("a block says that it holds more than it can".to_owned());
                }
                snap::raw::Decoder::new().decompress_vec(&block).map_err(|error| error.to_string())
            }
            kind => Err(format!("a block is packed in a way that is not known, {kind}")),
        }
    }

    fn fill(&mut self, place: Place) -> Result<(), String> {
        let block = self.block(place)?;
        let pairs = entries(&block).ok_or("a block is damaged")?;
        let entry = |(mut key, value): (Vec<u8>, Vec<u8>)| {
            let at = key.len().checked_sub(MARK_BYTES)?;
            let mark = u64::from_le_bytes(key[at..].try_into().expect("eight bytes"));
            key.truncate(at);
            // The lowest byte is 1 for a value, 0 for a deletion.
            Some(Entry { key, number: mark >> 8, value: (mark & 1 == 1).then_some(value) })
        };
        let entries: Option<Vec<_>> = pairs.into_iter().rev().map(entry).collect();
        self.entries = entries.ok_or("a key is too short")?;
        Ok(())
    }

    fn damage(&self, at: u64, why: String) -> Damage {
        Damage { place: format!("{} at {at}", self.name), why }
    }
}

impl Iterator for Table {
    type Item = Result<Entry, Damage>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.entries.is_empty() {
            let place = match self.blocks.pop()? {
                Ok(place) => place,
                Err(damage) => return Some(Err(damage)),
            };
            if let Err(why) = self.fill(place) {
                return Some(Err(self.damage(place.at, why)));
            }
        }
        self.entries.pop().map(Ok)
    }
}

/// Keys and values of a block. A key is what it shares with the one before, and the rest.
fn entries(block: &[u8]) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
    // At the end: places to begin a search at, and how many there are.
    let (rest, count) = block.split_last_chunk::<4>()?;
    let restarts = usize::try_from(u32::from_le_bytes(*count)).ok()?.checked_mul(4)?;
    let mut reader = Reader::new(rest.get(..rest.len().checked_sub(restarts)?)?);
    let (mut entries, mut key) = (Vec::new(), Vec::new());
    while !reader.rest().is_empty() {
        let mut len = || usize::try_from(reader.uint().ok()?).ok();
        let (shared, own, value) = (len()?, len()?, len()?);
        if shared > key.len() {
            return None;
        }
        key.truncate(shared);
        key.extend_from_slice(reader.bytes(own).ok()?);
        entries.push((key.clone(), reader.bytes(value).ok()?.to_vec()));
    }
    Some(entries)
}
