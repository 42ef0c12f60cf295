//! `sheaf verify`.
//!
//! Called by `cli`. Never changes what it checks.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::INCOMPLETE;
use super::place::{Place, start_log};
use crate::blob;
use crate::blob::verify::Verified;
use crate::document::load;
use sheaf_storage::journal::verify::{self, Report};
use sheaf_storage::store::verify::Progress;

const SPINNER_INTERVAL: Duration = Duration::from_millis(120);

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Place,
    /// One JSON object instead of lines
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    start_log();
    let found = check(&arguments.place.dir()?)?;
    let mut out = io::stdout().lock();
    if arguments.json {
        writeln!(out, "{}", as_json(&found))?;
    } else {
        write_lines(&found, &mut out)?;
    }
    Ok(if found.is_clean() { ExitCode::SUCCESS } else { ExitCode::from(INCOMPLETE) })
}

/// What checking found.
#[derive(Default)]
struct Found {
    report: Report,
    blobs: Verified,
}

impl Found {
    fn is_clean(&self) -> bool {
        self.report.is_clean() && self.blobs.damages.is_empty()
    }
}

/// Everything is checked: checksums, links, the witness, that every document merges, and every
/// byte of the blobs.
fn check(dir: &Path) -> anyhow::Result<Found> {
    let bar = ProgressBar::new_spinner();
    bar.enable_steady_tick(SPINNER_INTERVAL);
    let counted = ProgressStyle::with_template("{bar:30} {pos} of {len} documents, {eta} left");
    let counted = counted.expect("the template is a constant that a test reads");
    let mut is_counted = false;
    let mut show = |progress| match progress {
        Progress::Records(records) => bar.set_message(format!("{records} stored records")),
        Progress::Documents { done, all } => {
            if !is_counted {
                bar.set_style(counted.clone());
                bar.set_length(all as u64);
                is_counted = true;
            }
            bar.set_position(done as u64);
        }
    };
    let report = verify::verify(dir, &mut show, &mut |doc, loaded| {
        load::check(doc, loaded).map_err(|error| error.to_string())
    })?;
    bar.set_style(ProgressStyle::default_spinner());
    let mut show = |pieces| bar.set_message(format!("{pieces} pieces of blobs"));
    let blobs = blob::verify::verify(&dir.join(blob::DIR), &mut show)?;
    bar.finish_and_clear();
    Ok(Found { report, blobs })
}

fn write_lines(found: &Found, out: &mut impl Write) -> io::Result<()> {
    let Found { report, blobs } = found;
    let Report { records, end, folded, store, .. } = report;
    writeln!(out, "journal: {records} records, ends at {end}, folded to {folded}")?;
    let (documents, entries) = (store.documents, store.entries);
    writeln!(out, "store: {documents} documents, {entries} entries, {} records", store.records)?;
    let Verified { pieces, lists, bytes, .. } = blobs;
    writeln!(out, "blobs: {pieces} pieces, {lists} lists, {bytes} bytes")?;
    if let Some(tail) = &report.tail {
        let (bytes, position) = (tail.bytes, tail.position);
        writeln!(
            out,
            "tail: {bytes} bytes at {position} were never whole; the next start cuts them"
        )?;
    }
    for damage in &report.damages {
        writeln!(out, "DAMAGED {damage}")?;
    }
    for finding in &report.store.findings {
        let name = finding.name.as_deref().unwrap_or("unknown");
        let doc = finding.doc.map_or_else(|| "-".to_owned(), |doc| doc.to_string());
        let (position, what) = (finding.position, &finding.what);
        writeln!(
            out,
            "DAMAGED document {name:?} ({doc}), right up to position {position}: {what}"
        )?;
    }
    if let Some(failure) = &report.store_failure {
        writeln!(out, "DAMAGED the store cannot be read: {failure}")?;
    }
    for damage in &blobs.damages {
        writeln!(out, "DAMAGED blob {} of vault {}: {}", damage.hash, damage.vault, damage.what)?;
    }
    let verdict = if found.is_clean() {
        "all is well"
    } else {
        "damage was found: copy the data directory before anything else, then see `sheaf repair`"
    };
    writeln!(out, "{verdict}")
}

fn as_json(found: &Found) -> Value {
    let Found { report, blobs } = found;
    let damages = report.damages.iter().map(|damage| {
        json!({
            "position": damage.position,
            "end": damage.end,
            "document": damage.doc.map(|doc| doc.to_string()),
            "name": damage.name,
            "n": damage.n,
            "what": damage.what,
        })
    });
    let findings = report.store.findings.iter().map(|finding| {
        json!({
            "document": finding.doc.map(|doc| doc.to_string()),
            "name": finding.name,
            "position": finding.position,
            "what": finding.what,
        })
    });
    let damaged = blobs.damages.iter().map(|damage| {
        json!({
            "vault": damage.vault.0,
            "hash": damage.hash.to_string(),
            "what": damage.what,
        })
    });
    let tail = report.tail.map(|tail| json!({ "position": tail.position, "bytes": tail.bytes }));
    json!({
        "clean": found.is_clean(),
        "journal": {
            "records": report.records,
            "end": report.end,
            "folded": report.folded,
            "tail": tail,
            "damages": damages.collect::<Vec<_>>(),
        },
        "store": {
            "records": report.store.records,
            "documents": report.store.documents,
            "entries": report.store.entries,
            "findings": findings.collect::<Vec<_>>(),
            "failure": report.store_failure,
        },
        "blobs": {
            "pieces": blobs.pieces,
            "lists": blobs.lists,
            "bytes": blobs.bytes,
            "damages": damaged.collect::<Vec<_>>(),
        },
    })
}

#[cfg(test)]
mod tests;
