//! The past of a document: what its log held below the newest checkpoint, and older states to read
//! it from. Filled when a log is thinned, read by `history`.
//! Never looks into a state or an update, and never gives a past with a hole in it.

use std::collections::{BTreeMap, BTreeSet};

use sheaf_protocol::ids::DocKey;

use super::engine::Batch;
use super::keys::log::{self, Group, LogEntry, Place};
use super::keys::{self, Key, anchors, authors, ckpt, past};
use super::{Authored, Checkpoint, Error, Owner, Store, value};

/// A piece is closed at this size: what one reading decompresses at once.
const PIECE_BYTES_MAX: usize = 1024 * 1024;

/// A piece below this size, compressed, is written again with what follows it.
const PIECE_BYTES_MIN: usize = 4 * 1024;

/// No piece or state is larger, decompressed: four times what one value can hold.
const RAW_BYTES_MAX: usize = 4 * value::VALUE_BYTES_MAX;

/// Bytes of entries after which an older state is kept to read on from, unless the state is larger
/// itself: then as many as that.
const ANCHOR_BYTES: u64 = 64 * 1024;

/// Compression of both: beyond it zstd takes twice the time for a tenth less.
const LEVEL: i32 = 3;

/// A document at an earlier entry: a state, and what to apply to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At {
    /// The state; none for the empty document.
    pub base: Option<Vec<u8>>,
    /// The entries after it, in order.
    pub entries: Vec<LogEntry>,
}

fn compress(raw: &[u8]) -> Vec<u8> {
    let mut out = (raw.len() as u32).to_le_bytes().to_vec();
    out.extend(zstd::bulk::compress(raw, LEVEL).expect("memory takes all bytes"));
    out
}

fn decompress(key: &[u8], bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let corrupt = || Error::corrupt(key, "compressed value");
    let (len, packed) = bytes.split_first_chunk().ok_or_else(corrupt)?;
    let len = u32::from_le_bytes(*len) as usize;
    if len > RAW_BYTES_MAX {
        return Err(corrupt());
    }
    let raw = zstd::bulk::decompress(packed, len).map_err(|_| corrupt())?;
    if raw.len() == len { Ok(raw) } else { Err(corrupt()) }
}

/// Entries on their way from the log into the past.
#[derive(Debug, Default)]
pub(super) struct Packer {
    group: Group,
}

impl Packer {
    pub(super) fn push(
        &mut self,
        batch: &mut Batch,
        doc: DocKey,
        entry: &LogEntry,
    ) -> Result<(), Error> {
        let LogEntry { n, position, stamp, author, bytes } = entry;
        let author = author.as_deref();
        let place = Place { n: *n, position: *position, stamp: *stamp, author };
        if self.group.len() >= PIECE_BYTES_MAX || !self.group.push(place, bytes) {
            self.close(batch, doc)?;
            self.group.push(place, bytes);
        }
        Ok(())
    }

    pub(super) fn close(&mut self, batch: &mut Batch, doc: DocKey) -> Result<(), Error> {
        if self.group.is_empty() {
            return Ok(());
        }
        let group = std::mem::take(&mut self.group);
        let key = past::key(doc, group.last_n());
        value::put_chunked(batch, &key, &compress(&group.encode()))
    }
}

impl Store {
    /// A packer that begins with the last piece, if that is small.
    pub(super) fn packer(&self, batch: &mut Batch, doc: DocKey) -> Result<Packer, Error> {
        let mut packer = Packer::default();
        let prefix = keys::doc_prefix(doc, Key::Past);
        let last = self.engine().scan_back(&prefix, None, 1)?;
        let Some((key, bytes)) = last.first() else { return Ok(packer) };
        if keys::chunk_number(key) > 0 || bytes.len() >= PIECE_BYTES_MIN {
            return Ok(packer);
        }
        let raw = value::body(&last[0]).and_then(|bytes| decompress(key, bytes));
        let mut entries = Vec::new();
        // One that is damaged stays as it is.
        if raw.is_ok_and(|raw| log::decode(raw, &mut entries).is_some()) {
            batch.delete(key.as_slice());
            for entry in &entries {
                packer.push(batch, doc, entry)?;
            }
        }
        Ok(packer)
    }

    /// Moves older checkpoints out of the way; the newest of them becomes a state to read on from
    /// if the past has grown enough since the last one. `unanchored`: by how many bytes.
    pub(super) fn keep_older(
        &self,
        batch: &mut Batch,
        doc: DocKey,
        (ckpt_n, unanchored): (u64, &mut u64),
    ) -> Result<(), Error> {
        let prefix = keys::doc_prefix(doc, Key::Ckpt);
        let newest = ckpt::key(doc, ckpt_n);
        let older = self.engine().scan_back(&prefix, Some(&newest), 1)?;
        let Some(n) = older.first().and_then(|(key, _)| keys::number_of(key)) else {
            return Ok(());
        };
        // A past that begins with no entry needs a state, whatever its size.
        let is_first = self.engine().scan(&keys::doc_prefix(doc, Key::Past), None, 1)?.is_empty();
        match self.checkpoint(doc, n) {
            Ok(Some((Checkpoint { state, .. }, _))) => {
                if is_first || *unanchored >= ANCHOR_BYTES.max(state.len() as u64) {
                    value::put_chunked(batch, &anchors::key(doc, n), &compress(&state))?;
                    *unanchored = 0;
                }
            }
            Ok(None) | Err(Error::Corrupt { .. }) => {}
            Err(other) => return Err(other),
        }
        value::delete_through(self.engine(), batch, &prefix, &ckpt::key(doc, n))
    }

    /// The document as it was at entry `n`; `None` when that is not kept. What the journal has of
    /// it must be folded.
    ///
    /// # Errors
    /// `Unknown`; `Corrupt`; what the engine reports.
    pub fn at(&self, doc: DocKey, n: u64) -> Result<Option<At>, Error> {
        let known = self.inner.witness.lock().known(doc).cloned().ok_or(Error::Unknown(doc))?;
        if n > known.mark.last_n {
            return Ok(None);
        }
        let (base_n, base) = match self.base_at(doc, n)? {
            Some((n, state)) => (n, Some(state)),
            None => (0, None),
        };
        Ok(self.entries_between(doc, base_n, n)?.map(|entries| At { base, entries }))
    }

    /// The newest state at or below entry `n`.
    fn base_at(&self, doc: DocKey, n: u64) -> Result<Option<(u64, Vec<u8>)>, Error> {
        let newest = |kind, before: &[u8]| -> Result<Option<u64>, Error> {
            let found = self.engine().scan_back(&keys::doc_prefix(doc, kind), Some(before), 1)?;
            Ok(found.first().and_then(|(key, _)| keys::number_of(key)))
        };
        let checkpoint_n = newest(Key::Ckpt, &ckpt::key(doc, n + 1))?;
        let anchor_n = newest(Key::Anchors, &anchors::key(doc, n + 1))?;
        if let Some(at) = checkpoint_n.filter(|at| Some(*at) >= anchor_n)
            && let Some((Checkpoint { state, .. }, _)) = self.checkpoint(doc, at)?
        {
            return Ok(Some((at, state)));
        }
        let Some(at) = anchor_n else { return Ok(None) };
        let mut state = None;
        value::each_chunked(self.engine(), &anchors::key(doc, at), None, |key, bytes| {
            state = Some(decompress(key, &bytes)?);
            Ok(false)
        })?;
        Ok(state.map(|state| (at, state)))
    }

    /// Entries with `from_n < n <= through_n`; `None` when some are not kept.
    ///
    /// # Errors
    /// `Corrupt`; what the engine reports.
    pub fn entries_between(
        &self,
        doc: DocKey,
        from_n: u64,
        through_n: u64,
    ) -> Result<Option<Vec<LogEntry>>, Error> {
        let found = self.entries_after(doc, from_n, through_n)?;
        let lost = self.lost(doc)?;
        let is_whole = is_whole(&found, (from_n, through_n), &lost);
        Ok(is_whole.then_some(found))
    }

    /// Those entries with `from_n < n <= through_n` that are kept.
    ///
    /// # Errors
    /// `Corrupt`; what the engine reports.
    pub fn entries_after(
        &self,
        doc: DocKey,
        from_n: u64,
        through_n: u64,
    ) -> Result<Vec<LogEntry>, Error> {
        let mut found = Vec::new();
        // What is moved meanwhile is found at its second place.
        self.pieces(doc, Key::Log, (from_n, through_n), &mut found)?;
        self.pieces(doc, Key::Past, (from_n, through_n), &mut found)?;
        found.sort_by_key(|entry| entry.n);
        found.dedup_by_key(|entry| entry.n);
        Ok(found)
    }

    fn pieces(
        &self,
        doc: DocKey,
        kind: Key,
        (from_n, through_n): (u64, u64),
        found: &mut Vec<LogEntry>,
    ) -> Result<(), Error> {
        if from_n >= through_n {
            return Ok(());
        }
        let after = (from_n > 0).then(|| keys::doc_number(doc, kind, from_n));
        let prefix = keys::doc_prefix(doc, kind);
        value::each_chunked(self.engine(), &prefix, after.as_deref(), |key, bytes| {
            let group = if kind == Key::Past { decompress(key, &bytes)? } else { bytes };
            let mut entries = Vec::new();
            log::decode(group, &mut entries).ok_or_else(|| Error::corrupt(key, "group"))?;
            found.extend(entries.into_iter().filter(|it| from_n < it.n && it.n <= through_n));
            Ok(keys::number_of(key).is_some_and(|last_n| last_n < through_n))
        })
    }

    /// Whose client ids are whose, oldest claims first.
    ///
    /// # Errors
    /// `Corrupt`; what the engine reports.
    pub fn claims(&self, doc: DocKey) -> Result<Vec<Owner>, Error> {
        Ok(self.stored_owners(doc)?.0)
    }

    /// Who wrote what, as far as the log was thinned, oldest first; and the entry up to which.
    ///
    /// # Errors
    /// `Corrupt`; what the engine reports.
    pub fn authored(&self, doc: DocKey) -> Result<(Vec<Authored>, u64), Error> {
        let (mut spans, mut last_n) = (Vec::new(), 0);
        let prefix = keys::doc_prefix(doc, Key::Authors);
        value::each_chunked(self.engine(), &prefix, None, |key, bytes| {
            let row = authors::decode(&bytes).ok_or_else(|| Error::corrupt(key, "authors"))?;
            spans.extend(row);
            last_n = keys::number_of(key).unwrap_or(last_n);
            Ok(true)
        })?;
        Ok((spans, last_n))
    }

    /// How much of the past is kept: n of its first entry and of its last, if there is any.
    ///
    /// # Errors
    /// `Corrupt`; what the engine reports.
    pub fn past_range(&self, doc: DocKey) -> Result<Option<(u64, u64)>, Error> {
        let prefix = keys::doc_prefix(doc, Key::Past);
        let last = self.engine().scan_back(&prefix, None, 1)?;
        let Some(last_n) = last.first().and_then(|(key, _)| keys::number_of(key)) else {
            return Ok(None);
        };
        let mut first = Vec::new();
        value::each_chunked(self.engine(), &prefix, None, |key, bytes| {
            log::decode(decompress(key, &bytes)?, &mut first)
                .ok_or_else(|| Error::corrupt(key, "group"))?;
            Ok(false)
        })?;
        Ok(first.first().map(|entry| (entry.n, last_n)))
    }

    /// The entries at which older states are kept.
    ///
    /// # Errors
    /// What the engine reports.
    pub fn anchors(&self, doc: DocKey) -> Result<Vec<u64>, Error> {
        let prefix = keys::doc_prefix(doc, Key::Anchors);
        let (mut found, mut before) = (Vec::new(), None::<Vec<u8>>);
        loop {
            let last = self.engine().scan_back(&prefix, before.as_deref(), 1)?;
            let Some(n) = last.first().and_then(|(key, _)| keys::number_of(key)) else {
                return Ok(found);
            };
            found.push(n);
            before = Some(anchors::key(doc, n));
        }
    }

    /// Thins the past through entry `through_n`: there stay the states at the entries `kept`, of
    /// which `fresh` are new, and no entries; the versions `forgotten` go. `through_n` must be
    /// among those kept, or 0.
    ///
    /// # Errors
    /// `Unknown` when it is forgotten; what the engine reports.
    pub fn thin_past(
        &self,
        doc: DocKey,
        through_n: u64,
        (kept, fresh): (&BTreeSet<u64>, &[(u64, Vec<u8>)]),
        forgotten: &[u64],
    ) -> Result<(), Error> {
        let _alone = self.inner.thinning.lock();
        if self.inner.witness.lock().known(doc).is_none() {
            return Err(Error::Unknown(doc));
        }
        let mut batch = Batch::default();
        for n in self.anchors(doc)? {
            if n <= through_n && !kept.contains(&n) {
                let key = anchors::key(doc, n);
                value::delete_through(self.engine(), &mut batch, &key, &key)?;
            }
        }
        let (prefix, through) = (keys::doc_prefix(doc, Key::Past), past::key(doc, through_n));
        value::delete_through(self.engine(), &mut batch, &prefix, &through)?;
        for (n, state) in fresh {
            value::put_chunked(&mut batch, &anchors::key(doc, *n), &compress(state))?;
        }
        Self::forget_versions(&mut batch, doc, forgotten);
        self.engine().apply(&batch)
    }
}

fn is_whole(
    entries: &[LogEntry],
    (from_n, through_n): (u64, u64),
    lost: &BTreeMap<u64, u64>,
) -> bool {
    let mut next = from_n + 1;
    let ends = entries.iter().map(|entry| entry.n).chain([through_n + 1]);
    for n in ends {
        let is_lost = || lost.range(..=next).next_back().is_some_and(|(_, end)| *end >= n - 1);
        if n != next && !is_lost() {
            return false;
        }
        next = n + 1;
    }
    true
}

#[cfg(test)]
mod tests;
