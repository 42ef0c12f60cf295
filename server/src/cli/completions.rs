//! `sheaf completions`.
//!
//! Called by `cli`. Never writes into a shell's folders itself: it prints.

use std::io::{self, Write};
use std::process::ExitCode;

use clap_complete::Shell;

const EXAMPLES: &str = "\
Examples:
  sheaf completions bash > ~/.local/share/bash-completion/completions/sheaf
  sheaf completions zsh > ~/.zfunc/_sheaf        # with ~/.zfunc in $fpath
  sheaf completions fish > ~/.config/fish/completions/sheaf.fish";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// The shell that is to complete our command lines
    shell: Shell,
}

pub(super) fn run(arguments: &Arguments, mut command: clap::Command) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "sheaf", &mut script);
    super::or_closed(io::stdout().lock().write_all(&script))?;
    Ok(ExitCode::SUCCESS)
}
