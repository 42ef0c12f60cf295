//! `sheaf repair`.
//!
//! Called by `cli`. Never runs without being told that a copy was made.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use super::place::{Place, start_log};
use crate::document::load;
use sheaf_ground::time::Clock;
use sheaf_storage::journal;
use sheaf_storage::journal::repair::{self, Repaired};
use sheaf_storage::store::{Document, Loss};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Place,
    /// I have a copy of the data directory: go past the damage
    #[arg(long, required = true)]
    accept_loss: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    start_log();
    // A document whose epoch is lost must not be taken for the one it was.
    let epoch = Clock::system().now_ms() << 16;
    let (repaired, closed) = repair(&arguments.place.dir()?, epoch)?;
    write_lines(&repaired, closed, &mut io::stdout().lock())?;
    Ok(ExitCode::SUCCESS)
}

/// Repairs, and counts the documents that cannot be opened even so.
fn repair(dir: &Path, epoch: u64) -> Result<(Repaired, usize), journal::Error> {
    let mut closed = 0;
    let repaired = repair::repair(dir, epoch, &mut |doc, loaded| {
        load::check(doc, loaded).map_err(|error| {
            if error.is_fatal() {
                closed += 1;
                format!("{error}: it cannot be opened")
            } else {
                format!("{error} and will be skipped")
            }
        })
    })?;
    Ok((repaired, closed))
}

fn write_lines(repaired: &Repaired, closed: usize, out: &mut impl Write) -> io::Result<()> {
    let mut hurt = BTreeSet::new();
    for damage in &repaired.journal.damages {
        writeln!(out, "LOST {damage}")?;
    }
    for stray in &repaired.journal.strays {
        writeln!(out, "LOST document {:?} ({}): {stray}", stray.name, stray.doc)?;
        hurt.insert(stray.doc);
    }
    for (Document { name, key, .. }, loss) in &repaired.documents {
        if loss.is_none() {
            writeln!(out, "document {name:?} ({key}): nothing is lost, it can be found again")?;
        } else {
            writeln!(out, "LOST document {name:?} ({key}): {}", what(loss))?;
            hurt.insert(*key);
        }
    }
    for (Document { name, key, .. }, what) in &repaired.unmerged {
        writeln!(out, "LOST document {name:?} ({key}): {what}")?;
        hurt.insert(*key);
    }
    if repaired.unsettled > 0 {
        writeln!(out, "the next start makes {} entries of feeds anew", repaired.unsettled)?;
    }
    let is_journal_whole = repaired.journal.damages.is_empty();
    match hurt.len() {
        0 if is_journal_whole => return writeln!(out, "every document is whole"),
        0 => write!(out, "no document is known to have lost something")?,
        1 => write!(out, "1 document lost something")?,
        many => write!(out, "{many} documents lost something")?,
    }
    if !is_journal_whole {
        write!(out, "; the last entries of others may be gone with what the journal lost")?;
    }
    match closed {
        0 => writeln!(out, "; all can be opened"),
        closed => writeln!(out, "; {closed} cannot be opened"),
    }
}

fn what(loss: &Loss) -> String {
    let mut parts: Vec<String> = Vec::new();
    for range in &loss.entries {
        parts.push(format!("entries {} to {}", range.start(), range.end()));
    }
    let flags = [
        (loss.is_checkpoint_lost, "its newest merged state"),
        (loss.is_head_lost, "its name and epoch"),
        (loss.are_claims_lost, "who owns its client ids"),
        (loss.are_asides_lost, "bytes that were laid aside"),
    ];
    parts.extend(flags.iter().filter(|(is_lost, _)| *is_lost).map(|(_, what)| (*what).to_owned()));
    parts.join(", ")
}

#[cfg(test)]
mod tests;
