//! Notices that a file of the configuration has other content.
//!
//! Called by `cli` while the server runs. Folders are watched, not files: editors replace a file by
//! a new one of its name, and Kubernetes swaps a link beside it. Never says so for a file that was
//! only touched.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::watch;

use sheaf_ground::time::Clock;

/// Time for whoever writes a file to write all of it.
const SETTLE: Duration = Duration::from_millis(200);

/// Files that are watched.
#[derive(Debug)]
pub struct Watch {
    files: Vec<PathBuf>,
    /// Of their content.
    print: blake3::Hash,
    moved: watch::Receiver<()>,
    _watcher: RecommendedWatcher,
}

impl Watch {
    /// Watches files, which need not exist. Must run where files may be read.
    ///
    /// # Errors
    /// The system does not watch any more folders.
    pub fn new(files: Vec<PathBuf>) -> Result<Watch, notify::Error> {
        let (told, moved) = watch::channel(());
        let tell = move |event: Result<Event, notify::Error>| {
            // An error means that something may have been missed.
            if event.is_ok_and(|event| event.kind.is_access()) {
                return;
            }
            // Nobody listens any more: it is being dropped.
            let _ = told.send(());
        };
        let mut watcher = notify::recommended_watcher(tell)?;
        for folder in folders(&files) {
            watcher.watch(&folder, RecursiveMode::NonRecursive)?;
        }
        let print = print(&files);
        Ok(Watch { files, print, moved, _watcher: watcher })
    }

    /// Waits until the content of a file is another one.
    pub async fn changed(&mut self, clock: &Clock) {
        loop {
            if self.moved.changed().await.is_err() {
                // The system has given up on us; there is still SIGHUP.
                std::future::pending::<()>().await;
            }
            clock.sleep(SETTLE).await;
            self.moved.mark_unchanged();
            let print = print(&self.files);
            if print != std::mem::replace(&mut self.print, print) {
                return;
            }
        }
    }
}

/// Where the files stand, and where those that are links lead to.
fn folders(files: &[PathBuf]) -> BTreeSet<PathBuf> {
    let folder = |path: &Path| {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        parent.unwrap_or(Path::new(".")).to_owned()
    };
    let real = files.iter().filter_map(|file| file.canonicalize().ok());
    files.iter().cloned().chain(real).map(|file| folder(&file)).filter(|it| it.is_dir()).collect()
}

fn print(files: &[PathBuf]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    for file in files {
        let content = std::fs::read(file).unwrap_or_default();
        hasher.update(&(content.len() as u64).to_le_bytes());
        hasher.update(&content);
    }
    hasher.finalize()
}

#[cfg(test)]
mod tests;
