//! What a command did with many documents, and what it had to leave out.
//!
//! Used by `import`, `export` and `rm`. Never drops a reason: whatever was left out is listed.

use std::io::{self, Write};
use std::process::ExitCode;

use serde::Serialize;

use super::super::paint::{self, shown};
use super::super::{INCOMPLETE, counted, or_closed};
use super::documents::Written;

/// One JSON object with `--json`.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    pub(super) created: usize,
    pub(super) changed: usize,
    pub(super) unchanged: usize,
    /// Files written by `export`.
    pub(super) exported: usize,
    pub(super) removed: usize,
    /// Hidden files and folders that `import` did not look at.
    pub(super) hidden: usize,
    /// Documents whose path no file can have here.
    pub(super) renamed: Vec<Renamed>,
    pub(super) skipped: Vec<Skipped>,
}

#[derive(Debug, Serialize)]
pub(super) struct Renamed {
    pub(super) path: String,
    /// Below the folder.
    pub(super) file: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Skipped {
    pub(super) path: String,
    pub(super) why: String,
}

impl Report {
    pub(super) fn skip(&mut self, path: &str, why: String) {
        self.skipped.push(Skipped { path: path.to_owned(), why });
    }

    pub(super) fn count(&mut self, written: &Written) {
        match (written.is_new, written.has_changed) {
            (true, _) => self.created += 1,
            (false, true) => self.changed += 1,
            (false, false) => self.unchanged += 1,
        }
    }

    /// Prints it: the sum on stdout, each thing left out on stderr. Returns the exit code.
    pub(super) fn tell(&mut self, is_json: bool) -> anyhow::Result<ExitCode> {
        self.skipped.sort_by(|one, other| one.path.cmp(&other.path));
        if is_json {
            or_closed(writeln!(io::stdout(), "{}", serde_json::to_string(self)?))?;
        } else {
            let mut err = anstream::stderr().lock();
            for Renamed { path, file } in &self.renamed {
                let renamed = paint::doubtful("renamed");
                let _ = writeln!(err, "{renamed} {}: written as {}", shown(path), shown(file));
            }
            for Skipped { path, why } in &self.skipped {
                let _ = writeln!(err, "{} {}: {why}", paint::bad("skipped"), shown(path));
            }
            or_closed(writeln!(io::stdout(), "{}", self.sum()))?;
        }
        let is_complete = self.skipped.is_empty();
        Ok(if is_complete { ExitCode::SUCCESS } else { ExitCode::from(INCOMPLETE) })
    }

    fn sum(&self) -> String {
        let counts = [
            (self.created, "created"),
            (self.changed, "changed"),
            (self.unchanged, "unchanged"),
            (self.exported, "exported"),
            (self.removed, "deleted"),
            (self.renamed.len(), "under another name"),
            (self.hidden, "hidden and not looked at"),
            (self.skipped.len(), "skipped"),
        ];
        counted(&counts).unwrap_or_else(|| "nothing to do".to_owned())
    }
}

/// Unix milliseconds as `2026-11-22 00:45:07Z`.
pub(super) fn moment(ms: u64) -> String {
    let (days, second) = (ms / 86_400_000, ms / 1000 % 86_400);
    // Days since 0000-03-01, in eras of 400 years: Howard Hinnant, "chrono-Compatible Low-Level
    // Date Algorithms", civil_from_days.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march + 2) / 5 + 1;
    let month = if march < 10 { march + 3 } else { march - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}Z")
}
