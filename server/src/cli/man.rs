//! `sheaf man`.
//!
//! Called by `cli`. Never holds a text of its own: pages are what `--help` says.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap_mangen::Man;

const EXAMPLES: &str = "\
Examples:
  sheaf man | man -l -
  sheaf man --out /usr/local/share/man/man1";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Write one page for each command into this folder, instead of the main page to stdout
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments, command: clap::Command) -> anyhow::Result<ExitCode> {
    let Some(dir) = &arguments.out else {
        let mut page = Vec::new();
        Man::new(command).render(&mut page)?;
        super::or_closed(io::stdout().lock().write_all(&page))?;
        return Ok(ExitCode::SUCCESS);
    };
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    clap_mangen::generate_to(command, dir)
        .with_context(|| format!("cannot write into {}", dir.display()))?;
    writeln!(io::stdout(), "one page for each command is in {}", dir.display())?;
    Ok(ExitCode::SUCCESS)
}
