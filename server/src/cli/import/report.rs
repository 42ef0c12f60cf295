//! What became of the documents of a store.
//!
//! Used by `import`. Never drops a reason: whatever was left out is listed.

use std::io::{self, Write};
use std::process::ExitCode;

use indicatif::HumanBytes;
use serde::Serialize;

use super::super::paint::{self, shown};
use super::super::{INCOMPLETE, counted, or_closed};
use super::merge::Merged;

/// What became of one document.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is new in the vault.
    Created,
    /// The vault had one of this name, which has this content too now.
    Merged,
    /// The vault had all of it.
    Unchanged,
    /// The vault has one of this name, which was to be left alone.
    Kept,
    /// It could be read; nothing was sent.
    Read,
    /// It has no content.
    Empty,
    /// It was taken without updates that stand on something missing.
    Cut,
    /// It was not taken: why.
    Skipped(String),
}

impl Outcome {
    /// Of a document that is not sent.
    pub(super) fn read(merged: &Merged) -> Outcome {
        if merged.is_whole { Outcome::Read } else { Outcome::Cut }
    }
}

/// One JSON object with `--json`.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    created: usize,
    merged: usize,
    unchanged: usize,
    /// Left alone, with `--keep`.
    kept: usize,
    /// With `--dry-run`.
    read: usize,
    empty: usize,
    /// Bytes of all that were taken or read.
    pub(super) bytes: u64,
    /// Names of those of which something is missing.
    incomplete: Vec<String>,
    skipped: Vec<Skipped>,
}

#[derive(Debug, Serialize)]
struct Skipped {
    /// The document, or the place in the store.
    name: String,
    why: String,
}

impl Report {
    pub(super) fn count(&mut self, name: &str, bytes: u64, outcome: Outcome) {
        self.bytes += bytes;
        match outcome {
            Outcome::Created => self.created += 1,
            Outcome::Merged => self.merged += 1,
            Outcome::Unchanged => self.unchanged += 1,
            Outcome::Kept => self.kept += 1,
            Outcome::Read => self.read += 1,
            Outcome::Empty => self.empty += 1,
            Outcome::Cut => self.incomplete.push(name.to_owned()),
            Outcome::Skipped(why) => {
                self.bytes -= bytes;
                self.skipped.push(Skipped { name: name.to_owned(), why });
            }
        }
    }

    /// Prints it: the sum on stdout, each thing left out on stderr. Returns the exit code.
    pub(super) fn tell(&mut self, is_json: bool) -> anyhow::Result<ExitCode> {
        self.incomplete.sort();
        self.skipped.sort_by(|one, other| one.name.cmp(&other.name));
        if is_json {
            or_closed(writeln!(io::stdout(), "{}", serde_json::to_string(self)?))?;
        } else {
            let mut err = anstream::stderr().lock();
            for name in &self.incomplete {
                let what = "the store lacks what some of its updates stand on; the rest is there";
                let _ = writeln!(err, "{} {}: {what}", paint::doubtful("incomplete"), shown(name));
            }
            for Skipped { name, why } in &self.skipped {
                let _ = writeln!(err, "{} {}: {why}", paint::bad("skipped"), shown(name));
            }
            or_closed(writeln!(io::stdout(), "{}", self.sum()))?;
        }
        let is_complete = self.skipped.is_empty() && self.incomplete.is_empty();
        Ok(if is_complete { ExitCode::SUCCESS } else { ExitCode::from(INCOMPLETE) })
    }

    fn sum(&self) -> String {
        let counts = [
            (self.created, "created"),
            (self.merged, "merged"),
            (self.unchanged, "unchanged"),
            (self.kept, "left alone"),
            (self.read, "readable"),
            (self.incomplete.len(), "incomplete"),
            (self.empty, "empty and left out"),
            (self.skipped.len(), "skipped"),
        ];
        match counted(&counts) {
            Some(counted) => format!("{counted}; {}", HumanBytes(self.bytes)),
            None => "no documents".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
