//! `sheaf import`: what another server has stored, into a vault of a running server.
//!
//! Called by `cli`. `sheaf_import` reads the store, `merge` makes one update of each document, the
//! server takes it in one request: all of it or nothing, and nothing the second time. Never writes
//! to the store it reads.

mod merge;
mod report;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bytes::Bytes;
use futures::StreamExt;
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use reqwest::header::{HeaderMap, HeaderValue, IF_NONE_MATCH};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use sheaf_import::{Document, Documents, hocuspocus, ysweet, ywebsocket};
use sheaf_protocol::ids::{VaultName, check_document_name};

use self::merge::Merged;
use self::report::{Outcome, Report};
use super::server::{Ask, Body, Client, Error, Server};
use super::{WrongUse, place};

/// Documents on their way at once: most of the time each waits for a sync of the disk.
const AT_ONCE: usize = 8;

const EXAMPLES: &str = "\
Stop the other server first. An import may be repeated: what is there already changes nothing, and
what was edited since is merged.

Examples:
  sheaf import y-websocket ./yjs-data --dry-run
  sheaf import hocuspocus db.sqlite --server http://127.0.0.1:1234
  sheaf import y-sweet ./data --server https://notes.example.org --token-file ~/.sheaf-token

The token should be that of an admin of the vault, who may bring in what others wrote.
Ends with 3 if something had to be left out; what, and why, is on stderr.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(subcommand)]
    store: Store,
}

/// Which store, and where it is.
#[derive(Debug, clap::Subcommand)]
enum Store {
    /// The SQLite file of Hocuspocus: table `documents` with `name` and `data`
    Hocuspocus {
        /// The file
        #[arg(value_name = "FILE")]
        path: PathBuf,
        #[command(flatten)]
        options: Options,
    },
    /// The folder of a Y-Sweet server, with a `data.ysweet` for each document
    YSweet {
        /// The folder
        #[arg(value_name = "DIR")]
        path: PathBuf,
        #[command(flatten)]
        options: Options,
    },
    /// The folder of a y-websocket server, from its YPERSISTENCE: a LevelDB of y-leveldb
    YWebsocket {
        /// The folder
        #[arg(value_name = "DIR")]
        path: PathBuf,
        /// Take names as they stand there: of a server that gave its documents other names than
        /// the escaped path of the address
        #[arg(long)]
        plain_names: bool,
        #[command(flatten)]
        options: Options,
    },
}

#[derive(Debug, clap::Args)]
struct Options {
    #[command(flatten)]
    server: Server,
    /// The vault
    #[arg(long, value_name = "NAME", default_value_t)]
    vault: VaultName,
    /// Put this before each name
    #[arg(long, value_name = "TEXT", default_value = "")]
    prefix: String,
    /// Leave documents alone that exist already, instead of merging into them
    #[arg(long)]
    keep: bool,
    /// Read and check everything, ask no server
    #[arg(long)]
    dry_run: bool,
    /// One JSON object instead of lines
    #[arg(long)]
    json: bool,
}

impl Store {
    fn options(&self) -> &Options {
        match self {
            Store::Hocuspocus { options, .. }
            | Store::YSweet { options, .. }
            | Store::YWebsocket { options, .. } => options,
        }
    }

    fn open(&self) -> Result<Documents, sheaf_import::Error> {
        let open = |open: fn(&Path) -> _, path: &Path| open(path);
        match self {
            Store::Hocuspocus { path, .. } => open(hocuspocus::open, path),
            Store::YSweet { path, .. } => open(ysweet::open, path),
            Store::YWebsocket { path, plain_names: true, .. } => open(ywebsocket::open, path),
            Store::YWebsocket { path, .. } => open(ywebsocket::open_unescaped, path),
        }
    }

    /// Whether a document without content is one: there they are made on purpose, elsewhere by
    /// looking at an address.
    fn has_empty_ones(&self) -> bool {
        matches!(self, Store::YSweet { .. })
    }
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    place::start_log();
    let store = &arguments.store;
    let options = store.options();
    let target = match (options.dry_run, options.server.given()) {
        (true, _) => None,
        (false, Some(address)) => Some(Target {
            client: options.server.connect(&address)?,
            vault: &options.vault,
            only_new: options.keep,
        }),
        (false, None) => {
            let what = "say where the documents go: --server URL of a running server (or \
                        SHEAF_SERVER); --dry-run only reads";
            return Err(WrongUse(what.to_owned()).into());
        }
    };
    let documents = store.open()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(import(documents, target.as_ref(), store))
}

async fn import(
    documents: Documents,
    target: Option<&Target<'_>>,
    store: &Store,
) -> anyhow::Result<ExitCode> {
    let options = store.options();
    let mut report = Report::default();
    let bar = ProgressBar::new_spinner();
    bar.set_style(style());
    let work = futures::stream::iter(documents).map(|found| async move {
        let Document { name, updates } = match found {
            Ok(document) => document,
            Err(broken) => return Ok((broken.place, 0, Outcome::Skipped(broken.why))),
        };
        let name = format!("{}{name}", options.prefix);
        let merged = match check_document_name(&name) {
            Ok(()) => merge::merge(updates),
            Err(bad) => Err(bad.to_string()),
        };
        let merged = match merged {
            Ok(merged) => merged,
            Err(why) => return Ok((name, 0, Outcome::Skipped(why))),
        };
        let bytes = merged.update.len() as u64;
        let is_left_out = merged.is_empty && !store.has_empty_ones();
        match (is_left_out, target) {
            (true, _) => Ok((name, bytes, Outcome::Empty)),
            (false, Some(target)) => {
                let outcome = target.submit(&name, merged).await;
                outcome.map(|outcome| (name, bytes, outcome))
            }
            (false, None) => Ok((name, bytes, Outcome::read(&merged))),
        }
    });
    let mut work = work.buffer_unordered(AT_ONCE);
    while let Some(done) = work.next().await {
        match done {
            Ok((name, bytes, outcome)) => report.count(&name, bytes, outcome),
            Err(error) => {
                bar.finish_and_clear();
                report.tell(options.json)?;
                return Err(error.into());
            }
        }
        bar.inc(1);
        bar.set_message(HumanBytes(report.bytes).to_string());
    }
    bar.finish_and_clear();
    report.tell(options.json)
}

/// Shown on a terminal alone.
fn style() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} {pos} documents, {msg}")
        .expect("the template is a constant that a test reads")
}

/// Where the documents go.
struct Target<'a> {
    client: Client,
    vault: &'a VaultName,
    only_new: bool,
}

#[derive(Deserialize)]
struct Answer {
    changed: bool,
}

impl Target<'_> {
    /// Sends one document. Only what the next one would meet too is an error.
    async fn submit(&self, name: &str, merged: Merged) -> Result<Outcome, Error> {
        // A part of an address that is one or two dots is a step in it, however it is escaped.
        if matches!(name, "." | "..") {
            return Ok(Outcome::Skipped("no address can hold this name".to_owned()));
        }
        let Merged { update, is_whole, .. } = merged;
        let outcome = match self.send(name, update).await {
            Ok(outcome) => outcome,
            Err(Error::Refused { status: 412, .. }) if self.only_new => Outcome::Kept,
            // The document is made if there is none: what is missing is the vault.
            Err(error @ Error::Refused { status: 404, .. }) => return Err(error),
            Err(error) if error.is_final() => return Err(error),
            Err(error) => return Ok(Outcome::Skipped(error.to_string())),
        };
        Ok(if is_whole || outcome == Outcome::Kept { outcome } else { Outcome::Cut })
    }

    async fn send(&self, name: &str, update: Vec<u8>) -> Result<Outcome, Error> {
        let mut parts = vec!["v1", "vaults", self.vault.as_str(), "update"];
        match name.split('/').any(|part| matches!(part, "." | "..")) {
            true => parts.push(name),
            false => parts.extend(name.split('/')),
        }
        let mut headers = HeaderMap::new();
        if self.only_new {
            headers.insert(IF_NONE_MATCH, HeaderValue::from_static("*"));
        }
        let ask = Ask {
            query: vec![("room", "1".to_owned())],
            headers,
            body: Some(Body::Bytes(Bytes::from(update))),
            is_patient: true,
        };
        let response = self.client.ask(Method::POST, &parts, ask).await?;
        if response.status() == StatusCode::CREATED {
            return Ok(Outcome::Created);
        }
        let answer = response.json::<Answer>().await;
        let answer = answer.map_err(|error| self.client.unreachable(&error))?;
        Ok(if answer.changed { Outcome::Merged } else { Outcome::Unchanged })
    }
}

#[cfg(test)]
mod tests;
