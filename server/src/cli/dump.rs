//! `sheaf dump`.
//!
//! Called by `cli`. Never shows what people wrote: names, numbers and sizes only.

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use sheaf_protocol::ids::VaultName;

use super::INCOMPLETE;
use super::place::{Place, start_log};
use sheaf_storage::journal::dump::{Line, Selection, dump};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Place,
    /// One vault alone
    #[arg(long, value_name = "NAME")]
    vault: Option<VaultName>,
    /// One document alone, by name, with its kept entries
    #[arg(long, value_name = "NAME")]
    doc: Option<String>,
    /// The journal's records, too
    #[arg(long)]
    journal: bool,
    /// JSON lines instead of text
    #[arg(long)]
    json: bool,
}

impl Arguments {
    fn selection(&self) -> Selection {
        Selection {
            vault: self.vault.clone(),
            document: self.doc.clone(),
            has_entries: self.doc.is_some(),
            has_journal: self.journal,
        }
    }
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    start_log();
    let mut out = BufWriter::new(io::stdout().lock());
    let (mut is_damaged, mut written) = (false, Ok(()));
    dump(&arguments.place.dir()?, &arguments.selection(), |line| {
        is_damaged |= matches!(line, Line::Damaged { .. });
        if written.is_ok() {
            written = write_line(&line, arguments.json, &mut out);
        }
    })?;
    super::or_closed(written.and_then(|()| out.flush()))?;
    Ok(if is_damaged { ExitCode::from(INCOMPLETE) } else { ExitCode::SUCCESS })
}

fn write_line(line: &Line, is_json: bool, out: &mut impl Write) -> io::Result<()> {
    if is_json {
        serde_json::to_writer(&mut *out, line)?;
        writeln!(out)
    } else {
        writeln!(out, "{line}")
    }
}
