//! What nobody refers to any more is removed.
//!
//! First what is in use is marked, then what is not is looked at one by one, under the lock of what
//! is held: it goes if nobody holds it and nobody has put it or asked about it for a day. So what
//! somebody begins to refer to between mark and sweep stays: it was held, put or asked about then.
//! Called by `app` once an hour. Never removes what it is not sure about.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sheaf_protocol::ids::VaultNo;
use tokio_util::sync::CancellationToken;

use super::hash::Hash;
use super::shelf::{Form, Shelf, remove_all};
use super::{Blobs, Error, names};
use sheaf_ground::task;

/// Between two sweeps. The day of grace counts, not this.
const EVERY: Duration = Duration::from_secs(60 * 60);

/// Whoever refers to blobs.
pub trait InUse: Send + Sync {
    /// Gives every blob of a vault that something refers to, more than once if that is easier. A
    /// vault that is no more has none. False if it cannot be told now: then all stay.
    fn mark(&self, vault: VaultNo, mark: &mut dyn FnMut(Hash)) -> bool;
}

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Large blobs that were removed.
    pub lists: u64,
    /// Pieces that were removed: small blobs, and chunks of large ones.
    pub pieces: u64,
    /// Bytes of both.
    pub bytes: u64,
    /// Uploads that were broken off, and that nobody has gone on with.
    pub partials: u64,
    /// Vaults of which it could not be told what is in use.
    pub skipped: u64,
}

impl Blobs {
    /// Sweeps once an hour until it is told to stop.
    pub async fn housekeeping(self, in_use: Arc<dyn InUse>, stopping: CancellationToken) {
        loop {
            tokio::select! {
                biased;
                () = stopping.cancelled() => return,
                () = self.inner.config.clock.sleep(EVERY) => {}
            }
            match task::block(|| self.sweep(&*in_use)) {
                Ok(swept) if swept == Swept::default() => {}
                Ok(Swept { lists, pieces, bytes, partials, skipped }) => {
                    tracing::info!(lists, pieces, bytes, partials, skipped, "blobs swept");
                }
                Err(error) => tracing::error!(%error, "blobs were not swept to the end"),
            }
        }
    }

    /// Removes what nobody refers to. Blocks for as long as it takes to look at every file.
    ///
    /// # Errors
    /// `Io`; the rest is left for the next time.
    pub fn sweep(&self, in_use: &dyn InUse) -> Result<Swept, Error> {
        let mut swept = Swept::default();
        for vault in self.vaults()? {
            let mut marks = HashSet::new();
            if in_use.mark(vault, &mut |hash| {
                marks.insert(hash.mark());
            }) {
                self.sweep_vault(vault, marks, &mut swept)?;
            } else {
                swept.skipped += 1;
            }
        }
        Ok(swept)
    }

    fn sweep_vault(
        &self,
        vault: VaultNo,
        mut marks: HashSet<u64>,
        swept: &mut Swept,
    ) -> Result<(), Error> {
        self.sweep_partials(vault, swept)?;
        let shelf = self.shelf(vault);
        let is_sure = self.sweep_lists(&shelf, vault, &mut marks, swept)?;
        let mut left = 0;
        for first in 0..=u8::MAX {
            for (hash, form) in shelf.content(first)? {
                let goes = is_sure && form == Form::Piece && !marks.contains(&hash.mark());
                match goes.then(|| self.remove(vault, &hash, form)).transpose()?.flatten() {
                    Some(bytes) => {
                        swept.pieces += 1;
                        swept.bytes += bytes;
                    }
                    None => left += 1,
                }
            }
        }
        if left == 0 && marks.is_empty() {
            // Whatever comes to its place meanwhile waits, and makes them again.
            let _held = self.inner.held.lock();
            remove_empty(&shelf)?;
        }
        Ok(())
    }

    /// Removes lists, and marks the chunks of those that stay. False if one cannot be read: what
    /// its chunks are is not known then, and all chunks stay.
    fn sweep_lists(
        &self,
        shelf: &Shelf<'_>,
        vault: VaultNo,
        marks: &mut HashSet<u64>,
        swept: &mut Swept,
    ) -> Result<bool, Error> {
        let mut is_sure = true;
        let mut chunks = HashSet::new();
        for first in 0..=u8::MAX {
            for (hash, form) in shelf.content(first)? {
                if form == Form::Piece {
                    continue;
                }
                if !marks.contains(&hash.mark())
                    && let Some(bytes) = self.remove(vault, &hash, form)?
                {
                    swept.lists += 1;
                    swept.bytes += bytes;
                    continue;
                }
                match shelf.chunks(&hash) {
                    Ok(list) => {
                        chunks.extend(list.iter().flatten().map(|chunk| chunk.hash.mark()));
                    }
                    Err(error) => {
                        tracing::error!(%error, "chunks stay: it is not known whose they are");
                        is_sure = false;
                    }
                }
            }
        }
        marks.extend(chunks);
        Ok(is_sure)
    }

    /// Removes one file if it may go; how long it was.
    fn remove(&self, vault: VaultNo, hash: &Hash, form: Form) -> Result<Option<u64>, Error> {
        let held = self.inner.held.lock();
        let shelf = self.shelf(vault);
        let path = shelf.path(hash, form);
        if held.contains_key(&(vault, *hash)) || !shelf.is_old(&path)? {
            return Ok(None);
        }
        let bytes = fs::metadata(&path).map_err(Error::at(&path))?.len();
        self.inner.config.disk.remove(&path).map_err(Error::at(&path))?;
        self.inner.config.meters.swept_bytes.inc_by(bytes);
        Ok(Some(bytes))
    }

    /// Removes uploads that nobody has gone on with for a day.
    fn sweep_partials(&self, vault: VaultNo, swept: &mut Swept) -> Result<(), Error> {
        let shelf = self.shelf(vault);
        for name in names(&shelf.partials())? {
            let Ok(hash) = name.parse::<Hash>() else { continue };
            let uploads = self.inner.uploads.lock();
            let path = shelf.partial(&hash);
            if !uploads.contains_key(&(vault, hash)) && shelf.is_old(&path)? {
                remove_all(&path)?;
                swept.partials += 1;
            }
        }
        Ok(())
    }
}

/// Removes the directories of a vault that has no blob; they stay if one has come since.
fn remove_empty(shelf: &Shelf<'_>) -> Result<(), Error> {
    let dir = shelf.dir();
    for name in names(&dir)? {
        remove_dir(&dir.join(name))?;
    }
    remove_dir(&dir)?;
    shelf.unmake();
    Ok(())
}

fn remove_dir(path: &Path) -> Result<(), Error> {
    match fs::remove_dir(path) {
        Err(error)
            if !matches!(
                error.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::DirectoryNotEmpty
            ) =>
        {
            Err(Error::at(path)(error))
        }
        _ => Ok(()),
    }
}
