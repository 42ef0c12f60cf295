//! Checking a data directory: every record of the journal and its links, and the whole store.
//! Called by `sheaf verify` on a stopped server.
//! Never repairs, creates, cuts or folds; sled alone may touch its own files while it opens.

use std::io;
use std::path::Path;

use super::recover::{self, Cut, Damage, Scan};
use super::segment::{self, Files, Header, read_full_at};
use super::{Error, sync};
use crate::store::verify::{Check, Checked, Progress};
use crate::store::{self, Folded, Store};

/// What a data directory is like.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Good records in the segments.
    pub records: u64,
    /// End of the journal.
    pub end: u64,
    /// End of what store and witness have; the rest is folded by the next start.
    pub folded: u64,
    /// A tail that the next start will cut: nobody relied on it.
    pub tail: Option<Cut>,
    /// Damage in the journal. What lies below `folded` has been moved to the store and is not lost.
    pub damages: Vec<Damage>,
    /// About the store.
    pub store: Checked,
    /// Why the store could not be opened, where it could not.
    pub store_failure: Option<String>,
}

impl Report {
    /// Whether nothing is wrong. A tail to be cut is not wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.damages.is_empty() && self.store.findings.is_empty() && self.store_failure.is_none()
    }
}

/// Checks the data directory `dir`. `check` is asked about every document that loads.
///
/// # Errors
/// `Store(InUse)` when a server runs on it; `Io` when there is no such directory or it cannot be
/// read. Damage is not an error here: it stands in the report, also a missing store.
pub fn verify(
    dir: &Path,
    progress: &mut dyn FnMut(Progress),
    check: &mut Check<'_>,
) -> Result<Report, Error> {
    if !dir.join("journal").is_dir() {
        let source = io::Error::from(io::ErrorKind::NotFound);
        return Err(Error::Io { what: "not a data directory", source });
    }
    let mut report = Report::default();
    let store = match Store::open_existing(dir) {
        Ok(store) => Some(store),
        Err(error @ store::Error::InUse { .. }) => return Err(error.into()),
        Err(error) => {
            report.store_failure = Some(error.to_string());
            None
        }
    };
    if let Some(store) = &store {
        match verify_store(store, progress, check) {
            Ok((folded, checked)) => (report.folded, report.store) = (folded, checked),
            Err(error) => report.store_failure = Some(error.to_string()),
        }
    }
    let start = store.as_ref().and_then(|store| store.unfolded_from().ok());
    let scan = scan(&dir.join("journal"), start)?;
    report.records = scan.records;
    report.end = scan.end;
    report.tail = scan.cut;
    report.damages = scan.damages;
    if let Some(store) = &store {
        recover::name(&mut report.damages, store);
        let least_end = store.witnessed().position.max(report.folded);
        if report.end < least_end {
            let what = "the journal ends before what is folded";
            report.damages.push(Damage::at(report.end, least_end, what));
        }
    }
    Ok(report)
}

fn verify_store(
    store: &Store,
    progress: &mut dyn FnMut(Progress),
    check: &mut Check<'_>,
) -> Result<(u64, Checked), store::Error> {
    let folded = store.folded()?.position.min(store.witnessed().position);
    Ok((folded, store.verify(progress, check)?))
}

/// Scans all segments from the first one's base, or from `start`, where the next start begins, if
/// that is below. `None`: it is not known.
pub(super) fn scan(dir: &Path, start: Option<Folded>) -> Result<Scan, Error> {
    let read = || {
        let base = segment::list(dir)?.first().copied();
        let from = match (base, start) {
            (Some(base), start) if start.is_none_or(|start| base <= start.position) => {
                (base, link(dir, base)?)
            }
            (_, start) => start.map_or((0, 0), |start| (start.position, start.link)),
        };
        let noted = match std::fs::read(dir.join("durable")) {
            Ok(bytes) => sync::read_note(&bytes).unwrap_or(0),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        Ok((from, noted))
    };
    let (from, noted) = read().map_err(|source| Error::Io { what: "read", source })?;
    let start = start.unwrap_or(Folded { position: from.0, link: from.1, ..Folded::default() });
    recover::scan(&Files, dir, (from, start), noted)
}

/// The checksum of the record before a segment, by the segment's header; 0 when that is bad.
fn link(dir: &Path, base: u64) -> io::Result<u32> {
    let file = segment::Disk::open(&Files, &segment::path(dir, base))?;
    let mut head = [0; segment::HEADER_BYTES as usize];
    let have = read_full_at(&*file, &mut head, 0)?;
    Ok(Header::decode(&head[..have]).map_or(0, |header| header.link))
}
