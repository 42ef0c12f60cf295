//! `sheaf doc import`.
//!
//! Called by `doc`. Never follows a symbolic link, and never imports what is no text.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use futures::StreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use sheaf_protocol::limits::MESSAGE_BYTES_MAX;
use sheaf_protocol::vault::check_path;
use unicode_normalization::UnicodeNormalization;

use super::documents::{Condition, Documents, Failure};
use super::report::Report;

/// Files on their way at once: most of the time each waits for a sync of the disk.
pub(super) const AT_ONCE: usize = 8;
/// How much of a frame the update takes that carries a text.
const FRAME_BYTES: usize = 1024;

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// The folder
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Put them below this path of the vault
    #[arg(long, value_name = "PATH", default_value = "")]
    prefix: String,
    /// Leave documents alone that exist already
    #[arg(long)]
    keep: bool,
    /// Files and folders whose name begins with a dot, too
    #[arg(long)]
    hidden: bool,
    /// Say what would be imported, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// One JSON object instead of lines
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(documents: &Documents, options: &Options) -> anyhow::Result<ExitCode> {
    let mut report = Report::default();
    let mut files = Vec::new();
    collect(&options.dir, "", options.hidden, &mut files, &mut report)
        .with_context(|| format!("cannot read the folder {}", options.dir.display()))?;
    let bar = bar(files.len() as u64);
    let prefix = options.prefix.trim_matches('/');
    let work = futures::stream::iter(files).map(|(path, file)| {
        let path = if prefix.is_empty() { path } else { format!("{prefix}/{path}") };
        async move {
            let done = import(documents, &path, &file, options).await;
            (path, done)
        }
    });
    let mut work = work.buffer_unordered(AT_ONCE);
    while let Some((path, done)) = work.next().await {
        bar.inc(1);
        match done {
            Ok(Some(written)) => report.count(&written),
            Ok(None) => report.unchanged += 1,
            Err(Failure::Final(error)) => {
                bar.finish_and_clear();
                let sum = report.created + report.changed;
                return Err(error.context(format!("stopped after {sum} documents, at {path:?}")));
            }
            Err(failure) => report.skip(&path, failure.to_string()),
        }
    }
    bar.finish_and_clear();
    report.tell(options.json)
}

/// Imports one file; `None` if its document was left alone.
async fn import(
    documents: &Documents,
    path: &str,
    file: &Path,
    options: &Options,
) -> Result<Option<super::documents::Written>, Failure> {
    check_path(path).map_err(|bad| Failure::Refused(bad.to_string()))?;
    let text = read(file).map_err(Failure::Refused)?;
    if options.dry_run {
        let (is_new, has_changed, etag) = (true, true, String::new());
        return Ok(Some(super::documents::Written { is_new, has_changed, etag }));
    }
    let condition = if options.keep { Condition::New } else { Condition::None };
    match documents.write(path, text, &condition).await {
        Ok(written) => Ok(Some(written)),
        Err(Failure::Condition(_)) if options.keep => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// All plain files below a folder, by name, each with the path its document gets.
fn collect(
    dir: &Path,
    prefix: &str,
    has_hidden: bool,
    files: &mut Vec<(String, PathBuf)>,
    report: &mut Report,
) -> std::io::Result<()> {
    let mut entries = fs::read_dir(dir)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name();
        let Some(name) = name.to_str() else {
            let path = format!("{prefix}{}", name.to_string_lossy());
            report.skip(&path, "its name is not UTF-8".to_owned());
            continue;
        };
        if name.starts_with('.') && !has_hidden {
            report.hidden += 1;
            continue;
        }
        // Some disks hand out names in another normal form than they were given.
        let path = format!("{prefix}{}", name.nfc());
        // Of the entry itself, not of what a link leads to.
        let kind = entry.file_type()?;
        if kind.is_dir() {
            if let Err(error) =
                collect(&entry.path(), &format!("{path}/"), has_hidden, files, report)
            {
                report.skip(&path, error.to_string());
            }
        } else if kind.is_file() {
            files.push((path, entry.path()));
        } else {
            let what = if kind.is_symlink() { "a symbolic link" } else { "no plain file" };
            report.skip(&path, what.to_owned());
        }
    }
    Ok(())
}

fn read(file: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    let limit = MESSAGE_BYTES_MAX as u64 + 1;
    let opened = fs::File::open(file).map_err(|error| error.to_string())?;
    opened.take(limit).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    as_text(bytes)
}

/// Bytes as the text of a document, or why they cannot be that.
pub(super) fn as_text(bytes: Vec<u8>) -> Result<String, String> {
    let most = MESSAGE_BYTES_MAX - FRAME_BYTES;
    if bytes.len() > most {
        return Err(format!("it has more than {most} bytes"));
    }
    if bytes.contains(&0) {
        return Err("it is no text: it holds a zero byte".to_owned());
    }
    String::from_utf8(bytes)
        .map_err(|error| format!("it is not UTF-8 from byte {}", error.utf8_error().valid_up_to()))
}

/// Shown on a terminal alone.
pub(super) fn bar(count: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {pos} of {len} documents, {eta} left");
    let bar = ProgressBar::new(count);
    bar.set_style(style.expect("the template is a constant that a test reads"));
    bar
}
