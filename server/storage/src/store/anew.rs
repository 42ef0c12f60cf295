//! A sled database made anew of all that can be read of a damaged one. Called by
//! `Store::open_with` in repair: sled forgets at its next start what was written into damaged
//! files.
//! Never changes what it reads, and never throws it away.

use super::Error;
use super::engine::{Batch, Engine};
use super::lock::DataDir;
use super::sled::Sled;

/// Pairs that are copied at once: at most 32 MiB.
const COPIED_PAIRS: usize = 1_000;

/// Copies the database of a data directory, and opens the copy in its place.
///
/// # Errors
/// What either database reports; `Io`.
pub(super) fn open(dir: &DataDir, cache_bytes: u64) -> Result<Sled, Error> {
    let begun = dir.begin_store()?;
    {
        let (old, new) = (Sled::open(&dir.store(), cache_bytes)?, Sled::open(&begun, cache_bytes)?);
        copy(&old, &new)?;
        new.sync()?;
    }
    dir.take_store(&begun)?;
    Sled::open(&dir.store(), cache_bytes)
}

fn copy(old: &dyn Engine, new: &dyn Engine) -> Result<(), Error> {
    let mut from: Option<Vec<u8>> = None;
    loop {
        let pairs = old.scan(&[], from.as_deref(), COPIED_PAIRS)?;
        let Some((last, _)) = pairs.last() else { return Ok(()) };
        from = Some(last.clone());
        let mut batch = Batch::default();
        pairs.into_iter().for_each(|(key, value)| batch.put(key, value));
        new.apply(&batch)?;
    }
}

#[cfg(test)]
mod tests;
