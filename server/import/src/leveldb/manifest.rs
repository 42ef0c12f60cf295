//! The manifest: which files make up the database now.
//!
//! A log of changes to the set of tables, read from its beginning. Used by `leveldb`. Never looks
//! at levels: where a key is newest, its number says.

use std::collections::BTreeSet;

use sheaf_protocol::error::Refusal;
use sheaf_protocol::varint::Reader;

use super::log::Log;

/// The only order of keys that is known here.
const ORDER: &[u8] = b"leveldb.BytewiseComparator";

/// What a change begins with.
mod tag {
    pub(super) const ORDER: u64 = 1;
    pub(super) const LOG: u64 = 2;
    pub(super) const NEXT_FILE: u64 = 3;
    pub(super) const LAST_NUMBER: u64 = 4;
    pub(super) const COMPACTED: u64 = 5;
    pub(super) const GONE: u64 = 6;
    pub(super) const NEW: u64 = 7;
    pub(super) const EARLIER_LOG: u64 = 9;
}

/// The files in use.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Manifest {
    /// By their numbers.
    pub(super) tables: BTreeSet<u64>,
    /// Logs from here on are not in tables yet.
    log: u64,
    /// And this one, while its table is being written.
    earlier_log: u64,
}

impl Manifest {
    pub(super) fn read(bytes: &[u8]) -> Result<Manifest, String> {
        let mut manifest = Manifest::default();
        let mut log = Log::new(bytes);
        while let Some(record) = log.next() {
            let record = record?;
            let changed = manifest.change(&record);
            changed.map_err(|_| "a change of it is not understood".to_owned())??;
        }
        Ok(manifest)
    }

    pub(super) fn is_live_log(&self, number: u64) -> bool {
        number >= self.log || number == self.earlier_log
    }

    fn change(&mut self, record: &[u8]) -> Result<Result<(), String>, Refusal> {
        let mut reader = Reader::new(record);
        while !reader.rest().is_empty() {
            match reader.uint()? {
                tag::ORDER => {
                    let order = reader.buffer()?;
                    if order != ORDER {
                        let order = String::from_utf8_lossy(order);
                        return Ok(Err(format!("its keys are in an order of its own, {order}")));
                    }
                }
                tag::LOG => self.log = reader.uint()?,
                tag::EARLIER_LOG => self.earlier_log = reader.uint()?,
                tag::NEXT_FILE | tag::LAST_NUMBER => drop(reader.uint()?),
                tag::COMPACTED => {
                    reader.uint()?;
                    reader.buffer()?;
                }
                tag::GONE => {
                    reader.uint()?;
                    self.tables.remove(&reader.uint()?);
                }
                tag::NEW => {
                    reader.uint()?;
                    self.tables.insert(reader.uint()?);
                    reader.uint()?;
                    reader.buffer()?;
                    reader.buffer()?;
                }
                _ => return Err(Refusal::malformed(0, "an unknown tag")),
            }
        }
        Ok(Ok(()))
    }
}
