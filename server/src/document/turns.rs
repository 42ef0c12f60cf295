//! Turns: how much long work on documents holds a thread at once, and how much of it waits.
//!
//! Job: one writer without a session at a time per document, behind a short queue, and over all
//! documents as much as the machine can do. Called by HTTP and `vault` before `task::block`. Never
//! holds a thread while it waits, and never lets a document's queue grow beyond its bound.

use std::num::NonZero;
use std::sync::Arc;

use tokio::sync::{Semaphore, SemaphorePermit};

use super::handle::Handle;
use super::submission::Failure;

/// Writers that wait for one document; each holds its request's body. Over it the code is
/// `try_later`.
const WAITING_MAX: usize = 32;

/// Threads that long work may hold at once: so many per core, because some of them wait for a
/// document's lock …
const PER_CORE: usize = 2;

/// … and at least so many, or one slow document stops all others of a small machine.
const LEAST: usize = 4;

/// How many cores there are for this process.
pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// The long work of all documents. Clones share it.
#[derive(Clone, Debug)]
pub struct Work(Arc<Semaphore>);

impl Default for Work {
    /// As much as this machine can do.
    fn default() -> Self {
        Self(Arc::new(Semaphore::new((cores() * PER_CORE).max(LEAST))))
    }
}

impl Work {
    /// Returns when there is a thread for long work; it is held until the permit is dropped. Who
    /// has one does not ask for another.
    pub async fn begin(&self) -> SemaphorePermit<'_> {
        self.0.acquire().await.expect("it is never closed")
    }
}

/// The writers of one document.
#[derive(Debug)]
pub(super) struct Writers {
    /// For the one that writes and those that wait.
    places: Semaphore,
    one: Semaphore,
}

impl Default for Writers {
    fn default() -> Self {
        Self { places: Semaphore::new(WAITING_MAX + 1), one: Semaphore::new(1) }
    }
}

/// The right to write into a document without a session, until it is dropped.
#[derive(Debug)]
pub struct Turn<'a> {
    _work: SemaphorePermit<'a>,
    _one: SemaphorePermit<'a>,
    _place: SemaphorePermit<'a>,
}

impl Handle {
    /// Returns when no other writes here without a session and there is a thread for it.
    ///
    /// # Errors
    /// `Busy`: too many wait for that already.
    pub async fn turn(&self) -> Result<Turn<'_>, Failure> {
        let place = self.writers.places.try_acquire().map_err(|_| Failure::Busy)?;
        let one = self.writers.one.acquire().await.map_err(|_| Failure::Busy)?;
        Ok(Turn { _work: self.work().await, _one: one, _place: place })
    }

    /// Returns when there is a thread for reading a whole document.
    pub async fn work(&self) -> SemaphorePermit<'_> {
        self.shared.work.begin().await
    }
}

#[cfg(test)]
mod tests;
