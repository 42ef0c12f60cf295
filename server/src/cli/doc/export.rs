//! `sheaf doc export`.
//!
//! Called by `doc`. Never writes outside the folder, whatever documents are called.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use futures::StreamExt;

use super::super::WrongUse;
use super::documents::{Documents, Failure, Read};
use super::folder::{Folder, Names};
use super::import::{AT_ONCE, bar};
use super::report::{Renamed, Report};

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// The folder; made if there is none
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Only documents whose path begins with this
    #[arg(long, value_name = "PATH", default_value = "")]
    prefix: String,
    /// Also into a folder that is not empty, replacing files of the same names
    #[arg(long)]
    force: bool,
    /// One JSON object instead of lines
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(documents: &Documents, options: &Options) -> anyhow::Result<ExitCode> {
    let cannot = || format!("cannot use the folder {}", options.dir.display());
    if options.dir.exists()
        && !options.force
        && !Folder::is_empty(&options.dir).with_context(cannot)?
    {
        let what = format!("{} is not empty; --force writes into it", options.dir.display());
        return Err(WrongUse(what).into());
    }
    let entries = documents.list(&options.prefix).await?;
    let folder = Folder::open(&options.dir).with_context(cannot)?;
    let mut names = Names::new(entries.iter().map(|entry| &*entry.path));
    let mut report = Report::default();
    let bar = bar(entries.len() as u64);
    let read = futures::stream::iter(&entries).map(|entry| async move {
        let text = documents.read(&entry.path).await;
        (&entry.path, text)
    });
    let mut read = read.buffered(AT_ONCE);
    while let Some((path, text)) = read.next().await {
        bar.inc(1);
        let text = match text {
            Ok(Read::Text(text)) => text,
            Ok(Read::Other(roots)) => {
                report.skip(path, format!("it is no text: it keeps its content in {roots}"));
                continue;
            }
            Err(Failure::Final(error)) => {
                bar.finish_and_clear();
                return Err(error.context(format!("stopped after {} files", report.exported)));
            }
            Err(failure) => {
                report.skip(path, failure.to_string());
                continue;
            }
        };
        let file = names.name(path);
        match folder.write(&file, &text, options.force) {
            Ok(()) => report.exported += 1,
            Err(error) => {
                report.skip(path, format!("cannot write {file}: {error}"));
                continue;
            }
        }
        if file != *path {
            report.renamed.push(Renamed { path: path.clone(), file });
        }
    }
    bar.finish_and_clear();
    report.tell(options.json)
}
