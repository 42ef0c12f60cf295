//! What came of the runs: a table for people, JSON lines for comparisons, a
//! page to show around.

pub(crate) mod html;
pub(crate) mod table;

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use anyhow::Context;

use crate::outcome::Outcome;

/// Where lines of JSON go, one an outcome, as soon as it is there.
pub(crate) struct JsonLines(Box<dyn Write>);

impl JsonLines {
    /// A file that is made anew; `-` is standard output.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn create(file: &Path) -> anyhow::Result<Self> {
        if file.as_os_str() == "-" {
            return Ok(Self(Box::new(io::stdout())));
        }
        let made = File::create(file).with_context(|| format!("making {}", file.display()))?;
        Ok(Self(Box::new(made)))
    }

    /// Writes a line.
    ///
    /// # Errors
    /// When nobody takes it.
    pub(crate) fn keep(&mut self, outcome: &Outcome) -> anyhow::Result<()> {
        let line = serde_json::to_string(outcome)?;
        writeln!(self.0, "{line}").context("writing a line of JSON")
    }
}
