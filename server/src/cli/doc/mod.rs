//! `sheaf doc`: documents of a running server or of a data directory, from the command line.
//!
//! Called by `cli`. Which of the two is always said, never guessed. Never writes to a document but
//! through the same door as everybody: HTTP there, the document and its journal here.

mod documents;
mod export;
mod folder;
mod import;
mod kept;
mod remote;
mod report;

use std::io::{self, IsTerminal, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use serde_json::json;
use sheaf_protocol::ids::VaultName;
use sheaf_protocol::limits::MESSAGE_BYTES_MAX;

use self::documents::{Condition, Documents, Entry, Failure, Read as Found};
use super::paint::shown;
use super::server::Server;
use super::{WrongUse, or_closed, place};

const EXAMPLES: &str = "\
Where the documents are is always said, by one of
  --server URL   a running server, also SHEAF_SERVER; its token from a file or the environment
  --data DIR     the data directory of a stopped server

Examples:
  sheaf doc ls --server http://127.0.0.1:1234 --long
  sheaf doc cat --server https://notes.example.org --token-file ~/.sheaf-token plans/spring.md
  date | sheaf doc put --server http://127.0.0.1:1234 log/today.md -
  sheaf doc import --data /var/lib/sheaf --vault team ~/notes
  sheaf doc export --server http://127.0.0.1:1234 ./backup --json

Ends with 3 if something had to be skipped; what, and why, is on stderr.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// Where the documents are.
#[derive(Debug, clap::Args)]
struct Target {
    #[command(flatten)]
    server: Server,
    /// The data directory of a stopped server
    #[arg(long, value_name = "DIR", conflicts_with_all = ["server", "token_file", "ca"])]
    data: Option<PathBuf>,
    /// With --data: the configuration of its server
    #[arg(long, value_name = "FILE", env = "SHEAF_CONFIG")]
    config: Option<PathBuf>,
    /// The vault
    #[arg(long, value_name = "NAME", default_value_t)]
    vault: VaultName,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List documents
    Ls {
        #[command(flatten)]
        target: Target,
        /// Only those whose path begins with this
        #[arg(default_value = "")]
        prefix: String,
        /// Size, kind and time of the last change, too
        #[arg(long, short)]
        long: bool,
        /// JSON, one line for each document
        #[arg(long)]
        json: bool,
    },
    /// Print the text of a document
    Cat {
        #[command(flatten)]
        target: Target,
        /// Its path in the vault
        path: String,
    },
    /// Make a file, or what comes from stdin, the text of a document; editors see an edit
    Put {
        #[command(flatten)]
        target: Target,
        /// Its path in the vault
        path: String,
        /// The file, UTF-8; `-` is stdin
        #[arg(default_value = "-")]
        file: PathBuf,
        /// Only if there is no such document yet
        #[arg(long, conflicts_with = "if_match")]
        if_new: bool,
        /// Only if the document is still in this state, as `ls --json` gave it
        #[arg(long, value_name = "ETAG")]
        if_match: Option<String>,
        /// One JSON object instead of a line
        #[arg(long)]
        json: bool,
    },
    /// Write every text file of a folder into a vault, each as a document
    Import {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        options: import::Options,
    },
    /// Write every document of a vault into a folder, each as a text file
    Export {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        options: export::Options,
    },
    /// Delete documents
    Rm {
        #[command(flatten)]
        target: Target,
        /// Their paths in the vault
        #[arg(required = true)]
        paths: Vec<String>,
        /// One JSON object instead of lines
        #[arg(long)]
        json: bool,
    },
}

impl Command {
    fn target(&self) -> &Target {
        match self {
            Command::Ls { target, .. }
            | Command::Cat { target, .. }
            | Command::Put { target, .. }
            | Command::Import { target, .. }
            | Command::Export { target, .. }
            | Command::Rm { target, .. } => target,
        }
    }

    /// Whether a data directory may be made for it.
    fn may_create(&self) -> bool {
        matches!(self, Command::Put { .. } | Command::Import { .. })
    }
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    place::start_log();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let command = &arguments.command;
    runtime.block_on(async {
        let documents = open(command.target(), command.may_create())?;
        let done = execute(command, &documents).await;
        documents.close().await;
        done
    })
}

fn open(target: &Target, may_create: bool) -> anyhow::Result<Documents> {
    let vault = target.vault.clone();
    if let Some(dir) = &target.data {
        let kept = kept::Kept::open(dir, target.config.as_deref(), vault, may_create)?;
        return Ok(Documents::Kept(kept));
    }
    let Some(address) = target.server.given() else {
        let what = "say where the documents are: --server URL for a running server (or \
                    SHEAF_SERVER), --data DIR for the data directory of a stopped one";
        return Err(WrongUse(what.to_owned()).into());
    };
    Ok(Documents::Remote(remote::Remote::new(target.server.connect(&address)?, vault)))
}

async fn execute(command: &Command, documents: &Documents) -> anyhow::Result<ExitCode> {
    match command {
        Command::Ls { prefix, long, json, .. } => {
            let entries = documents.list(prefix).await?;
            or_closed(list(&entries, *long, *json))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Cat { path, .. } => cat(documents, path).await,
        Command::Put { path, file, if_new, if_match, json, .. } => {
            let condition = match if_match {
                Some(etag) => Condition::State(etag.trim_matches('"').to_owned()),
                None if *if_new => Condition::New,
                None => Condition::None,
            };
            let written = documents.write(path, read_text(file)?, &condition).await?;
            let mut out = io::stdout();
            if *json {
                let (created, changed) = (written.is_new, written.has_changed);
                let object = json!({
                    "path": path, "created": created, "changed": changed, "etag": written.etag,
                });
                writeln!(out, "{object}")?;
            } else {
                writeln!(out, "{} {}", written.word(), shown(path))?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Import { options, .. } => import::run(documents, options).await,
        Command::Export { options, .. } => export::run(documents, options).await,
        Command::Rm { paths, json, .. } => remove(documents, paths, *json).await,
    }
}

fn list(entries: &[Entry], is_long: bool, is_json: bool) -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    for entry in entries {
        if is_json {
            serde_json::to_writer(&mut out, entry)?;
            writeln!(out)?;
        } else if is_long {
            let Entry { path, kind, size, updated_ms, .. } = entry;
            let updated = report::moment(*updated_ms);
            writeln!(out, "{size:>10}  {kind:<5}  {updated}  {}", shown(path))?;
        } else {
            writeln!(out, "{}", shown(&entry.path))?;
        }
    }
    out.flush()
}

async fn cat(documents: &Documents, path: &str) -> anyhow::Result<ExitCode> {
    let text = match documents.read(path).await? {
        Found::Text(text) => text,
        Found::Other(roots) => {
            let path = shown(path);
            anyhow::bail!("{path} is no text: it keeps its content in {roots}");
        }
    };
    let mut out = io::stdout().lock();
    or_closed(out.write_all(text.as_bytes()).and_then(|()| out.flush()))?;
    Ok(ExitCode::SUCCESS)
}

/// A file or stdin, if it is a text that a document can hold.
fn read_text(file: &PathBuf) -> anyhow::Result<String> {
    let is_stdin = file.as_os_str() == "-";
    let mut bytes = Vec::new();
    let limit = MESSAGE_BYTES_MAX as u64 + 1;
    if is_stdin {
        if io::stdin().is_terminal() {
            let _ = writeln!(io::stderr(), "reading the text from the terminal, to its end (^D)");
        }
        io::stdin().lock().take(limit).read_to_end(&mut bytes)?;
    } else {
        let opened = std::fs::File::open(file);
        let opened = opened.with_context(|| format!("cannot open {}", file.display()))?;
        opened.take(limit).read_to_end(&mut bytes)?;
    }
    import::as_text(bytes).map_err(|why| anyhow::anyhow!("{}: {why}", file.display()))
}

async fn remove(
    documents: &Documents,
    paths: &[String],
    is_json: bool,
) -> anyhow::Result<ExitCode> {
    let mut report = report::Report::default();
    for path in paths {
        match documents.remove(path).await {
            Ok(()) => report.removed += 1,
            Err(Failure::Final(error)) => return Err(error),
            Err(failure) => report.skip(path, failure.to_string()),
        }
    }
    report.tell(is_json)
}

#[cfg(test)]
mod tests;
