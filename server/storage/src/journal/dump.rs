//! Showing a data directory: vaults, documents, entries and the journal's tail, without content.
//! Called by `sheaf dump` on a stopped server.
//! Never changes anything, and never prints what someone wrote.

use std::fmt;
use std::path::Path;

use serde::Serialize;
use sheaf_protocol::ids::{VaultName, VaultNo};

use super::reader::Reader;
use super::segment::{self, Disk, Files, Segment};
use super::{Error, Kind, Record, together, verify};
use crate::store::{Folded, Store};

/// What to show.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// One vault alone.
    pub vault: Option<VaultName>,
    /// One document alone, by name.
    pub document: Option<String>,
    /// Every kept entry of the documents, too.
    pub has_entries: bool,
    /// The journal's records, too.
    pub has_journal: bool,
}

/// One line: `Display` for people, serde for JSON lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "line", rename_all = "snake_case")]
pub enum Line {
    /// The server.
    Server {
        /// Stored format.
        format: u32,
        /// End of what store and witness have.
        folded: u64,
    },
    /// A vault.
    Vault {
        /// Its name.
        name: String,
        /// Its number.
        number: u32,
        /// Its epoch, if that is folded and whole.
        epoch: Option<u64>,
        /// The highest seq given out.
        seq: u64,
        /// Files and tombstones whose body has settled.
        items: usize,
    },
    /// A document.
    Document {
        /// Number of its vault.
        vault: u32,
        /// Its id.
        id: String,
        /// Its name.
        name: String,
        /// Deleted: the name is free, the log is kept.
        is_deleted: bool,
        /// Its epoch.
        epoch: u64,
        /// n of its last entry.
        entries: u64,
        /// n and size of its newest merged state.
        checkpoint: Option<(u64, usize)>,
        /// Position of its last record.
        position: u64,
        /// Bound client ids.
        claims: usize,
        /// Quarantined and kept copies.
        asides: usize,
    },
    /// An entry that is kept after the checkpoint.
    Entry {
        /// The document's id.
        document: String,
        /// Its number.
        n: u64,
        /// Its position.
        position: u64,
        /// Who sent it.
        author: Option<String>,
        /// When.
        stamp: String,
        /// Its size in bytes.
        size: usize,
    },
    /// A document that does not load.
    Damaged {
        /// Its id.
        document: String,
        /// What is wrong.
        what: String,
    },
    /// A record of the journal.
    Record {
        /// Its position.
        position: u64,
        /// Its document.
        document: String,
        /// Its number in the document.
        n: u64,
        /// What it holds.
        kind: String,
        /// Who it came from.
        author: Option<String>,
        /// When.
        stamp: String,
        /// Size of its payload in bytes.
        size: usize,
        /// Whether store and witness have it.
        is_folded: bool,
    },
}

/// Shows the data directory `dir`, line by line.
///
/// # Errors
/// `Store(InUse)` when a server runs on it; `Damaged` when the journal's records cannot be read to
/// their end; `Store`; `Io`.
pub fn dump(dir: &Path, selection: &Selection, mut show: impl FnMut(Line)) -> Result<(), Error> {
    if !dir.join("journal").is_dir() {
        let source = std::io::Error::from(std::io::ErrorKind::NotFound);
        return Err(Error::Io { what: "not a data directory", source });
    }
    let store = Store::open_existing(dir)?;
    let folded = store.folded()?.position.min(store.witnessed().position);
    show(Line::Server { format: crate::store::migrate::FORMAT, folded });
    let vaults = store.vaults()?;
    let is_chosen = |number: VaultNo| {
        selection.vault.as_ref().is_none_or(|chosen| vaults.contains(&(chosen.clone(), number)))
    };
    for (name, number) in vaults.iter().filter(|(_, number)| is_chosen(*number)) {
        let feed = store.feed(*number)?;
        let epoch = feed.facts.map(|facts| facts.epoch);
        let (name, number, items) = (name.to_string(), number.0, feed.items.len());
        show(Line::Vault { name, number, epoch, seq: feed.seq, items });
    }
    let documents = store.documents();
    let documents = documents.iter().filter(|document| {
        let is_named = selection.document.as_ref().is_none_or(|name| *name == document.name);
        is_named && is_chosen(document.key.vault)
    });
    for document in documents {
        show_document(&store, document.key, selection, &mut show);
    }
    if selection.has_journal {
        show_journal(dir, store.unfolded_from()?, &mut show)?;
    }
    Ok(())
}

fn show_document(
    store: &Store,
    key: sheaf_protocol::ids::DocKey,
    selection: &Selection,
    show: &mut impl FnMut(Line),
) {
    let id = key.doc.to_string();
    let loaded = store.load(key).and_then(|loaded| Ok((loaded, store.asides(key)?.len())));
    let (loaded, asides) = match loaded {
        Ok(loaded) => loaded,
        Err(error) => return show(Line::Damaged { document: id, what: error.to_string() }),
    };
    show(Line::Document {
        vault: key.vault.0,
        id: id.clone(),
        name: loaded.head.name,
        is_deleted: loaded.head.is_deleted,
        epoch: loaded.head.epoch,
        entries: loaded.last_n,
        checkpoint: loaded.checkpoint.map(|at| (at.n, at.state.len())),
        position: loaded.last_position,
        claims: loaded.owners.len(),
        asides,
    });
    for entry in loaded.entries.iter().filter(|_| selection.has_entries) {
        show(Line::Entry {
            document: id.clone(),
            n: entry.n,
            position: entry.position,
            author: entry.author.as_deref().map(str::to_owned),
            stamp: entry.stamp.to_string(),
            size: entry.bytes.len(),
        });
    }
}

fn show_journal(dir: &Path, folded: Folded, show: &mut impl FnMut(Line)) -> Result<(), Error> {
    let dir = dir.join("journal");
    let io = |source| Error::Io { what: "read a segment", source };
    let mut segments = Vec::new();
    for base in segment::list(&dir).map_err(io)? {
        let file = Files.open(&segment::path(&dir, base)).map_err(io)?;
        segments.push(Segment { base, file });
    }
    let scan = verify::scan(&dir, Some(folded))?;
    if let Some(damage) = scan.damages.first() {
        return Err(Error::Damaged(Box::new(damage.clone())));
    }
    let mut reader = Reader::new(segments, Vec::new(), (scan.start, scan.link), scan.end);
    while let Some(placed) = reader.next()? {
        let whole =
            (placed.record.kind == Kind::Together).then_some((placed.position, placed.record));
        let damaged = || Error::damaged(placed.position, "payload");
        let parts = together::parts(&placed).ok_or_else(damaged)?;
        for (position, record) in whole.into_iter().chain(parts) {
            show(line(position, &record, placed.position < folded.position));
        }
    }
    Ok(())
}

fn line(position: u64, record: &Record<'_>, is_folded: bool) -> Line {
    Line::Record {
        position,
        document: record.doc.to_string(),
        n: record.n,
        kind: kind(record.kind).to_owned(),
        author: record.author.map(str::to_owned),
        stamp: record.stamp.to_string(),
        size: record.payload.len(),
        is_folded,
    }
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Update => "update",
        Kind::Created => "created",
        Kind::Claim => "claim",
        Kind::Quarantined => "quarantined",
        Kind::Kept => "kept",
        Kind::Presence => "presence",
        Kind::Settled => "settled",
        Kind::Deleted => "deleted",
        Kind::Moved => "moved",
        Kind::VaultCreated => "vault_created",
        Kind::VaultDropped => "vault_dropped",
        Kind::Retired => "retired",
        Kind::Named => "named",
        Kind::Stamped => "stamped",
        Kind::Together => "together",
        Kind::Device => "device",
        Kind::Pruned => "pruned",
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Line::Server { format, folded } => {
                write!(f, "stored format {format}, folded to {folded}")
            }
            Line::Vault { name, number, seq, items, .. } => {
                write!(f, "vault {name} ({number}) seq {seq} items {items}")
            }
            Line::Document {
                vault,
                id,
                name,
                is_deleted,
                epoch,
                entries,
                checkpoint,
                position,
                ..
            } => {
                write!(f, "document {vault}/{id} {name:?} epoch {epoch} entries {entries}")?;
                if let Some((n, size)) = checkpoint {
                    write!(f, " checkpoint at {n} of {size} bytes")?;
                }
                if *is_deleted {
                    write!(f, " deleted")?;
                }
                write!(f, " last position {position}")
            }
            Line::Entry { document, n, position, author, stamp, size } => {
                let author = author.as_deref().unwrap_or("-");
                write!(f, "  {document} entry {n} at {position} {stamp} by {author}: {size} bytes")
            }
            Line::Damaged { document, what } => write!(f, "DAMAGED {document}: {what}"),
            Line::Record { position, document, n, kind, author, stamp, size, is_folded } => {
                let author = author.as_deref().unwrap_or("-");
                let state = if *is_folded { "folded" } else { "unfolded" };
                write!(f, "journal {position} {kind} {document} n {n} {stamp} by {author}: ")?;
                write!(f, "{size} bytes, {state}")
            }
        }
    }
}
