//! What a document holds before a load begins: a state with a history behind it.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use serde::Serialize;

use super::trace::Trace;

/// An id as long as most are: it stands in every piece of the document.
const AUTHOR: u32 = 2_718_281_828;

/// What a document holds at first.
#[derive(Debug, Clone, Args, Serialize)]
pub(crate) struct History {
    /// Type what was recorded in this file (JSON of editing-traces, gzipped or not; one author).
    #[arg(long, value_name = "FILE", group = "document")]
    trace: Option<PathBuf>,
    /// Take this file: the document as one Yjs v1 update, of the root text `content`.
    #[arg(long, value_name = "FILE", group = "document")]
    update: Option<PathBuf>,
    /// Make up so many keys of one person's writing.
    #[arg(long, default_value_t = 260_000, value_name = "COUNT", group = "document")]
    history: usize,
    /// Also write the document to this file, as `--update` takes it.
    #[arg(long, value_name = "FILE")]
    keep: Option<PathBuf>,
}

impl History {
    /// The document as one update; nothing for an empty one.
    pub(crate) fn state(&self) -> anyhow::Result<Option<Vec<u8>>> {
        let state = match (&self.update, &self.trace) {
            (Some(path), _) => {
                std::fs::read(path).with_context(|| format!("reading {}", path.display()))?
            }
            // Always the same author, so that files and figures can be compared.
            (None, Some(path)) => Trace::read(path)?.state(AUTHOR)?,
            (None, None) if self.history == 0 => return Ok(None),
            (None, None) => Trace::made_up(1, self.history).state(AUTHOR)?,
        };
        if let Some(path) = &self.keep {
            std::fs::write(path, &state).with_context(|| format!("writing {}", path.display()))?;
        }
        Ok(Some(state))
    }

    /// For people.
    pub(crate) fn note(&self) -> String {
        let name =
            |path: &PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match (&self.update, &self.trace) {
            (Some(path), _) | (None, Some(path)) => name(path),
            (None, None) => format!("{} made-up keys", self.history),
        }
    }
}
