//! How what was written comes to its name: once it is on disk, and all of a blob's at once.
//!
//! Called when a blob is stored. A disk that is asked to sync one file after the other does nothing
//! between two answers, so several ask at a time. Never gives a file its name before it is on disk.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::thread;

use super::hash::Hash;
use super::shelf::{Form, Shelf};
use super::{Error, list};

/// Who ask a disk to sync at a time. More gain nothing on a disk without a queue of its own, and
/// little on others.
const SYNCING: usize = 8;

impl Shelf<'_> {
    /// Gives what was written its names, durably: these files are gone. A blob that is here already
    /// stays as it is, unless it is damaged: to send one again heals it. False if all were here.
    pub(super) fn place(&self, files: &[(PathBuf, Hash)], form: Form) -> Result<bool, Error> {
        let shards: BTreeSet<u8> = files.iter().map(|(_, hash)| hash.0[0]).collect();
        self.make_shards(&shards)?;
        let disk = &self.room().config.disk;
        let (mut new, mut is_new) = (Vec::new(), false);
        for (from, hash) in files {
            let is_there = {
                let _held = self.room().held.lock();
                self.stamp(&self.path(hash, form))?
            };
            is_new |= !is_there;
            if is_there && form == Form::Piece && matches!(self.load(hash, None), Ok(Some(_))) {
                disk.remove(from).map_err(Error::at(from))?;
            } else {
                new.push((from, hash));
            }
        }
        let sync = |from: &Path| disk.open(from).and_then(|file| file.sync_data());
        at_a_time(&new, |(from, _)| sync(from).map_err(Error::at(from)))?;
        for (from, hash) in new {
            let to = self.path(hash, form);
            self.stamp(from)?;
            // The sweep must not take the new file for the old one that it has looked at.
            let _held = self.room().held.lock();
            self.make_dir(&self.shard(hash.0[0]))?;
            disk.rename(from, &to).map_err(Error::at(&to))?;
        }
        self.sync_shards(&shards)?;
        Ok(is_new)
    }

    /// Writes a file and gives it its name, durably; false if it has been there.
    pub(super) fn store(&self, hash: &Hash, form: Form, bytes: &[u8]) -> Result<bool, Error> {
        self.make_dir(&self.partials())?;
        let path = self.fresh();
        self.write(&path, bytes)?;
        self.place(&[(path.clone(), *hash)], form).inspect_err(|_| {
            // What it leaves is cleared at the next start.
            let _ = fs::remove_file(&path);
        })
    }

    /// Stores a list whose chunks are here, durably; false if the blob has been there.
    pub(super) fn store_list(&self, blob: &Hash, chunks: &[list::Chunk]) -> Result<bool, Error> {
        self.store(blob, Form::List, &list::encode(blob, chunks))
    }

    /// Makes the names in these shards survive power loss.
    pub(super) fn sync_shards(&self, shards: &BTreeSet<u8>) -> Result<(), Error> {
        let shards: Vec<u8> = shards.iter().copied().collect();
        at_a_time(&shards, |first| self.sync_shard(*first))
    }

    /// Makes directories of the vault, durably.
    fn make_shards(&self, shards: &BTreeSet<u8>) -> Result<(), Error> {
        // The vault's own, first.
        self.make_dir(&self.partials())?;
        let mut made = self.room().made.lock();
        let new: Vec<PathBuf> = shards.iter().map(|first| self.shard(*first)).collect();
        let new: Vec<PathBuf> = new.into_iter().filter(|dir| !made.contains(dir)).collect();
        for dir in &new {
            match fs::create_dir(dir) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                created => created.map_err(Error::at(dir))?,
            }
        }
        if !new.is_empty() {
            let vault = self.dir();
            self.room().config.disk.sync_dir(&vault).map_err(Error::at(&vault))?;
            made.extend(new);
        }
        Ok(())
    }
}

/// Does something with each, with several at a time.
fn at_a_time<T: Sync>(
    all: &[T],
    each: impl Fn(&T) -> Result<(), Error> + Sync,
) -> Result<(), Error> {
    if all.len() < 2 {
        return all.iter().try_for_each(each);
    }
    let part = all.len().div_ceil(SYNCING);
    thread::scope(|scope| {
        let each = &each;
        let parts: Vec<_> = all
            .chunks(part)
            .map(|part| scope.spawn(move || part.iter().try_for_each(each)))
            .collect();
        parts.into_iter().try_for_each(|part| {
            part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    })
}
