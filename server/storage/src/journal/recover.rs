//! Opening: reads every record above what is folded, cuts a tail nobody relied on, refuses damage,
//! folds the rest and starts a new segment. Called by `Journal::open`; `verify` uses the scan.
//! Never panics on what it finds, and never passes over a bad record in silence.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64};

use parking_lot::{Condvar, Mutex};
use sheaf_protocol::ids::DocKey;

use super::reader::Reader;
use super::segment::{self, Disk, HEADER_BYTES, Header, Segment, read_full_at};
use super::watermark::Watermark;
use super::writer::Writer;
use super::{Config, Error, Shared, fold, record, sync};
use crate::store::{Folded, Store, Stray};

/// What opening found and did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The tail that was cut: written, but never acknowledged.
    pub cut: Option<Cut>,
    /// Damage; only in repair can it be there and the journal open.
    pub damages: Vec<Damage>,
    /// Documents whose entries have holes, or numbers used twice.
    pub strays: Vec<Stray>,
    /// Records that were folded.
    pub records: u64,
}

/// A tail that was cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Where it began; the journal ends there now.
    pub position: u64,
    /// Its size.
    pub bytes: u64,
    /// Whole records in it, behind the first that was not.
    pub records: u64,
}

/// A place where acknowledged records are damaged or missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Where it begins.
    pub position: u64,
    /// Where the next good record begins, or the journal ends.
    pub end: u64,
    /// The document that the bad bytes name, as far as one can believe them.
    pub doc: Option<DocKey>,
    /// Its name, if the store knows it.
    pub name: Option<String>,
    /// The entry's number, by the same bytes.
    pub n: Option<u64>,
    /// What is wrong.
    pub what: &'static str,
}

impl Damage {
    pub(super) fn at(position: u64, end: u64, what: &'static str) -> Self {
        Self { position, end, doc: None, name: None, n: None, what }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "journal damaged at position {} to {}: {}", self.position, self.end, self.what)?;
        if let (Some(doc), Some(n)) = (self.doc, self.n) {
            let name = self.name.as_deref().unwrap_or("name unknown");
            write!(f, "; probably entry {n} of document {name:?} ({doc})")?;
        }
        Ok(())
    }
}

impl Error {
    pub(super) fn damaged(position: u64, what: &'static str) -> Self {
        Self::Damaged(Box::new(Damage::at(position, position, what)))
    }
}

/// What a scan of the segments found.
#[derive(Default)]
pub(super) struct Scan {
    /// Segments that hold something at or above the start, by base.
    pub(super) segments: Vec<Segment>,
    /// Segments below it.
    pub(super) older: Vec<Segment>,
    /// End of the last good record before a tail to be cut.
    pub(super) end: u64,
    /// Where the scan began, and the checksum of the record before.
    pub(super) start: u64,
    pub(super) link: u32,
    pub(super) cut: Option<Cut>,
    pub(super) damages: Vec<Damage>,
    pub(super) records: u64,
}

/// Opens the journal of `config` on `store`.
pub(super) fn open(config: Config, store: Store) -> Result<(Shared, Report), Error> {
    let io = |what| move |source| Error::Io { what, source };
    std::fs::create_dir_all(&config.dir).map_err(io("create the directory"))?;
    let is_witness_behind = store.witnessed().position < store.folded()?.position;
    if config.is_repair && is_witness_behind && lacks_start(&config, &store)? {
        store.purge()?;
        store.rebuild_witness()?;
    }
    let start = store.unfolded_from()?;
    let least_end = store.folded()?.position.max(store.witnessed().position);
    let (note, noted) = open_note(&config)?;
    let from = (start.position, start.link);
    let mut scan = scan(&*config.disk, &config.dir, (from, start), noted.unwrap_or(0))?;
    if scan.end < least_end {
        let what = "the journal ends before what is folded: segments are missing or cut";
        scan.damages.push(Damage::at(scan.end, least_end, what));
    }
    name(&mut scan.damages, &store);
    if let Some(damage) = scan.damages.first() {
        tracing::error!(count = scan.damages.len(), first = %damage, "the journal is damaged");
        if !config.is_repair {
            return Err(Error::Damaged(Box::new(damage.clone())));
        }
    }
    // In repair everything stays as it is until it is set aside.
    let is_whole = scan.damages.is_empty();
    if is_whole {
        cut(&config, &mut scan)?;
    }
    for segment in &scan.segments {
        segment.file.sync_data().map_err(io("sync a segment"))?;
    }
    let skips: Vec<Range<u64>> = scan.damages.iter().map(|bad| bad.position..bad.end).collect();
    let mut reader = Reader::new(scan.segments.clone(), skips, from, scan.end);
    let mut report = Report {
        cut: scan.cut,
        damages: std::mem::take(&mut scan.damages),
        strays: Vec::new(),
        records: scan.records,
    };
    while reader.position() < scan.end {
        let bytes_max = config.fold_bytes;
        report.strays.extend(fold::window(&store, &mut reader, bytes_max, config.is_repair)?.1);
    }
    store.purge()?;
    let end = scan.end.max(least_end);
    if !is_whole {
        remove_old(&config, &scan, &report, None)?;
    }
    let shared = begin(config, store, (end, reader.link()), note)?;
    if is_whole {
        remove_old(&shared.config, &scan, &report, Some(end))?;
    }
    Ok((shared, report))
}

/// Whether the segments begin after what the witness has: it can't be told again what is gone.
fn lacks_start(config: &Config, store: &Store) -> Result<bool, Error> {
    let bases = segment::list(&config.dir);
    let bases = bases.map_err(|source| Error::Io { what: "list the segments", source })?;
    Ok(bases.first().is_none_or(|first| *first > store.witnessed().position))
}

/// Starts the segment that will be written. Everything before it is folded.
fn begin(
    config: Config,
    store: Store,
    (end, link): (u64, u32),
    note: std::sync::Arc<dyn segment::DiskFile>,
) -> Result<Shared, Error> {
    let begin = || {
        let header = Header { base: end, link };
        let active = segment::create(&*config.disk, &config.dir, header)?;
        active.file.sync_data()?;
        config.disk.sync_dir(&config.dir)?;
        Ok(active)
    };
    let active = begin().map_err(|source| Error::Io { what: "begin a segment", source })?;
    let (durable, folded) = (Watermark::default(), Watermark::default());
    durable.raise(end);
    folded.raise(end);
    let shared = Shared {
        config,
        store,
        segments: Mutex::new(vec![active.clone()]),
        writer: Mutex::new(Writer::new(active, link)),
        work: Condvar::new(),
        written: AtomicU64::new(end),
        is_refusing: AtomicBool::new(false),
        appends: AtomicU64::new(0),
        durable,
        folded,
        fold: fold::Control::default(),
        note,
        is_abandoned: AtomicBool::new(false),
    };
    shared.mark_durable(end);
    Ok(shared)
}

/// Everything is folded: the segments before the new one go. Those with damage are set aside.
fn remove_old(
    config: &Config,
    scan: &Scan,
    report: &Report,
    active: Option<u64>,
) -> Result<(), Error> {
    let all: Vec<&Segment> = scan.older.iter().chain(&scan.segments).collect();
    for (index, segment) in all.iter().enumerate() {
        if Some(segment.base) == active {
            continue;
        }
        let end = all.get(index + 1).map_or(u64::MAX, |next| next.base);
        let is_bad = |bad: &Damage| bad.position < end && bad.end >= segment.base;
        let path = segment::path(&config.dir, segment.base);
        let result = if report.damages.iter().any(is_bad) {
            config.disk.rename(&path, &path.with_extension("damaged"))
        } else {
            config.disk.remove(&path)
        };
        result.map_err(|source| Error::Io { what: "remove a segment", source })?;
    }
    Ok(())
}

fn open_note(
    config: &Config,
) -> Result<(std::sync::Arc<dyn segment::DiskFile>, Option<u64>), Error> {
    let path = config.dir.join("durable");
    let open = || match config.disk.open(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => config.disk.create(&path),
        other => other,
    };
    let read = || {
        let file = open()?;
        let mut bytes = [0; 16];
        let have = read_full_at(&*file, &mut bytes, 0)?;
        Ok((file, sync::read_note(&bytes[..have])))
    };
    read().map_err(|source| Error::Io { what: "read the durable position", source })
}

/// Cuts the tail, later segments first, so that a crash in between leaves a tail again.
fn cut(config: &Config, scan: &mut Scan) -> Result<(), Error> {
    let end = scan.end;
    let disk = &*config.disk;
    let mut cut = || {
        while let Some(last) = scan.segments.last() {
            if last.base < end || scan.segments.len() == 1 && last.base == end {
                break;
            }
            disk.remove(&segment::path(&config.dir, last.base))?;
            scan.segments.pop();
        }
        if let Some(last) = scan.segments.last() {
            let len = end.saturating_sub(last.base) + HEADER_BYTES;
            if last.file.len()? > len {
                last.file.set_len(len)?;
            }
        }
        disk.sync_dir(&config.dir)
    };
    cut().map_err(|source| Error::Io { what: "cut the tail", source })
}

/// Gives the documents of damages their names.
pub(super) fn name(damages: &mut [Damage], store: &Store) {
    if damages.iter().all(|damage| damage.doc.is_none()) {
        return;
    }
    let names: HashMap<DocKey, String> =
        store.documents().into_iter().map(|document| (document.key, document.name)).collect();
    for damage in damages {
        damage.name = damage.doc.and_then(|doc| names.get(&doc).cloned());
    }
}

/// Reads all segments of `dir` from `start` on, with the checksum of the record before it, and
/// compares what it finds at the end of what is `folded`. `noted` is a position that was durable.
pub(super) fn scan(
    disk: &dyn Disk,
    dir: &Path,
    ((start, link), folded): ((u64, u32), Folded),
    noted: u64,
) -> Result<Scan, Error> {
    let io = |source| Error::Io { what: "read a segment", source };
    let mut all = Vec::new();
    for base in segment::list(dir).map_err(io)? {
        let file = disk.open(&segment::path(dir, base)).map_err(io)?;
        all.push(Segment { base, file });
    }
    let first = all.partition_point(|segment| segment.base <= start).saturating_sub(1);
    let segments = all.split_off(first.min(all.len()));
    let mut walk = Walk::new((start, link), folded);
    if let Some(first) = segments.first()
        && first.base > start
    {
        walk.damages.push(Damage::at(start, first.base, "segment missing"));
        walk.is_link_unknown = true;
        walk.position = first.base;
    }
    for (index, segment) in segments.iter().enumerate() {
        let size = segment.file.len().map_err(io)?;
        let mut bytes = vec![0; usize::try_from(size).unwrap_or(usize::MAX)];
        let have = read_full_at(&*segment.file, &mut bytes, 0).map_err(io)?;
        bytes.truncate(have);
        let next = segments.get(index + 1).map(|next| next.base);
        walk.segment(segment.base, &bytes, next);
    }
    Ok(walk.finish(all, segments, noted))
}

/// How many of the bytes were written: behind them stand the zeros of a segment's room. The last
/// record may end in zeros of its own.
fn written(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

/// The walk over all records.
struct Walk {
    start: (u64, u32),
    /// The record here must follow what store and witness have.
    folded: Folded,
    position: u64,
    link: u32,
    /// The next record may link to anything: what stood before it is unknown.
    is_link_unknown: bool,
    /// Bad places of which it is not yet known whether anyone relied on them.
    holes: Vec<Hole>,
    damages: Vec<Damage>,
    records: u64,
    raw_end: u64,
}

struct Hole {
    damage: Damage,
    /// Good records after it.
    records_after: u64,
}

impl Walk {
    fn new((position, link): (u64, u32), folded: Folded) -> Self {
        Self {
            start: (position, link),
            folded,
            position,
            link,
            is_link_unknown: false,
            holes: Vec::new(),
            damages: Vec::new(),
            records: 0,
            raw_end: 0,
        }
    }

    fn segment(&mut self, base: u64, bytes: &[u8], next_base: Option<u64>) {
        if self.position < base {
            self.hole(self.position, base, "records missing at the end of a segment", &[]);
        }
        let header = Header::decode(bytes);
        let is_right = header.is_some_and(|header| {
            let links = self.position != base || self.is_link_unknown || header.link == self.link;
            header.base == base && links
        });
        let records = bytes.get(HEADER_BYTES as usize..).unwrap_or(&[]);
        let written = written(records);
        if !is_right && (written > 0 || next_base.is_some()) {
            self.hole(self.position.max(base), self.position.max(base), "segment header", &[]);
        }
        self.position = self.position.max(base);
        let own = match next_base.and_then(|next| usize::try_from(next - base).ok()) {
            Some(own) if own < records.len() => own,
            _ => records.len(),
        };
        self.records(base, &records[..own], written.min(own));
        if own < written {
            let own_end = base + own as u64;
            self.hole(own_end, own_end, "a segment reaches into the next", &[]);
        }
        self.raw_end = self.raw_end.max(self.position).max(base + written as u64);
    }

    /// Walks the records of a segment, of whose bytes so many were written.
    fn records(&mut self, base: u64, bytes: &[u8], written: usize) {
        let end = base + written as u64;
        while self.position < end {
            let at = (self.position - base) as usize;
            if let Some(placed) = record::decode(&bytes[at..], self.position) {
                let (start, next) = (placed.position, placed.end());
                let is_at_folded = start == self.folded.position;
                let due = if is_at_folded { self.folded.link } else { self.link };
                if placed.link != due && !self.is_link_unknown {
                    self.hole(start, start, "record does not follow the one before it", &[]);
                }
                self.good(placed.durable_then);
                (self.link, self.is_link_unknown) = (placed.crc, false);
                self.position = next;
                continue;
            }
            let found = (at + 1..written)
                .find(|at| record::decode(&bytes[*at..], base + *at as u64).is_some());
            let next = found.map_or(end, |found| base + found as u64);
            self.hole(self.position, next, "record", &bytes[at..written]);
            self.position = next;
        }
    }

    /// A good record proves that what was durable when it was written had been written whole.
    fn good(&mut self, durable_then: u64) {
        self.records += 1;
        self.confirm(durable_then);
        for hole in &mut self.holes {
            hole.records_after += 1;
        }
    }

    fn confirm(&mut self, durable: u64) {
        let proved = self.holes.partition_point(|hole| hole.damage.position < durable);
        self.damages.extend(self.holes.drain(..proved).map(|hole| hole.damage));
    }

    fn hole(&mut self, start: u64, end: u64, what: &'static str, bytes: &[u8]) {
        let suspect = record::suspect(bytes);
        let damage = Damage {
            doc: suspect.map(|(doc, _)| doc),
            n: suspect.map(|(_, n)| n),
            ..Damage::at(start, end, what)
        };
        self.holes.push(Hole { damage, records_after: 0 });
        self.is_link_unknown = true;
    }

    fn finish(mut self, older: Vec<Segment>, segments: Vec<Segment>, noted: u64) -> Scan {
        self.confirm(noted);
        // Below the start nothing was read: the segments may end before it.
        let mut end = self.position.min(self.raw_end);
        let cut = self.holes.first().map(|hole| {
            end = hole.damage.position;
            let bytes = self.raw_end.saturating_sub(end);
            Cut { position: end, bytes, records: hole.records_after }
        });
        let is_short = end < noted;
        // A confirmed hole with nothing behind it is the end, not something to skip.
        for damage in self.damages.iter().rev() {
            if damage.end >= end {
                end = end.min(damage.position);
            }
        }
        if is_short {
            let what = "acknowledged records are missing at the end";
            self.damages.push(Damage::at(end, noted, what));
        }
        let records = self.records - cut.map_or(0, |cut| cut.records);
        let (start, link) = self.start;
        Scan { segments, older, start, link, end, cut, damages: self.damages, records }
    }
}
