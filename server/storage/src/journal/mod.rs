//! The journal: the append-only, checksummed log that every durable change enters first. Opened by
//! `app`; appended to by documents, on the caller's thread; folded into the store by its own.
//! Never interprets an update, and never forgets a record before the store and the witness have it.

pub mod dump;
mod fold;
pub mod meters;
pub mod payload;
mod reader;
pub mod record;
mod recover;
pub mod repair;
pub mod segment;
mod sync;
pub mod together;
pub mod verify;
mod watermark;
mod writer;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::store::{self, Store};
use meters::Meters;
pub use record::{Kind, Placed, Record};
pub use recover::{Cut, Damage, Report};
use segment::{Disk, DiskFile, Files, Segment};
use sheaf_ground::time::Clock;
use watermark::Watermark;
use writer::{Refused, SyncWaits, Writer};

/// One append of so many is timed: reading the clock twice costs 100 ns.
const APPENDS_PER_TIMED: u64 = 8;

/// How to run a journal.
#[derive(Clone)]
pub struct Config {
    /// Where the segments are.
    pub dir: PathBuf,
    /// A segment is closed at this size. Small enough that trimming gives space back soon, large
    /// enough that the two syncs of a new one do not show.
    pub segment_bytes: u64,
    /// Least time between two syncs while somebody waits for one: a sync is 70-90 µs of CPU.
    pub sync_busy: Duration,
    /// Longest wait of a record for its sync.
    pub sync_idle: Duration,
    /// So many unsynced records that somebody waits for are not kept waiting that long.
    pub burst_records: u64,
    /// Longest wait of a durable record for its fold.
    pub fold_interval: Duration,
    /// So many unfolded bytes do not wait that long.
    pub fold_backlog_bytes: u64,
    /// The most that one fold takes at once: the memory it needs.
    pub fold_bytes: u64,
    /// With so many unfolded bytes the journal is read-only until the fold gets through: disk and
    /// the time of the next start are bounded by it.
    pub unfolded_bytes_max: u64,
    /// Go past damage at start, and name the documents that lost something.
    pub is_repair: bool,
    /// The disk under the segments.
    pub disk: Arc<dyn Disk>,
    /// Where appends, syncs and folds are counted.
    pub meters: Meters,
    /// What they are timed with.
    pub clock: Clock,
}

impl Config {
    /// The defaults, in `dir`, counted for nobody and the machine's clock.
    #[must_use]
    pub fn new(dir: PathBuf) -> Self {
        Self {
            dir,
            segment_bytes: 16 * 1024 * 1024,
            sync_busy: Duration::from_millis(2),
            sync_idle: Duration::from_millis(10),
            burst_records: 64,
            // What a fold costs is paid by document, not by entry: ten seconds of typing into a
            // document cost the store as much as one. The next start folds what is left.
            fold_interval: Duration::from_secs(10),
            fold_backlog_bytes: 64 * 1024 * 1024,
            fold_bytes: 4 * 1024 * 1024,
            unfolded_bytes_max: 1024 * 1024 * 1024,
            is_repair: false,
            disk: Arc::new(Files),
            meters: Meters::default(),
            clock: Clock::system(),
        }
    }
}

/// The journal; a clone is another handle on the same one. Dropping the last handle without
/// `close` stops it as a crash would: nothing more is synced or folded.
#[derive(Clone)]
pub struct Journal {
    handle: Arc<Handle>,
}

/// Where a batch was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Position of its first record.
    pub start: u64,
    /// Position after its last record: what `poll_durable` and `poll_folded` take.
    pub end: u64,
}

/// Why the journal takes no records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReadOnly {
    /// A write failed. What was written before it is still synced and acknowledged.
    #[error("the journal is read-only: a write failed")]
    WriteFailed,
    /// A sync failed. Nothing after the durable position will be acknowledged.
    #[error("the journal is read-only: a sync failed")]
    SyncFailed,
    /// The store does not take what the journal holds; passes when it does again.
    #[error("the journal is read-only: the store does not keep up")]
    FoldBehind,
    /// It was closed.
    #[error("the journal is closed")]
    Closed,
}

/// A failure of the journal.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It takes no records.
    #[error(transparent)]
    ReadOnly(#[from] ReadOnly),
    /// The disk refused this append; the journal was cut back and is read-only from now on.
    #[error("the journal could not be written: {0}")]
    Write(io::Error),
    /// A record is over its limits; nothing was written.
    #[error(transparent)]
    TooLarge(#[from] record::TooLarge),
    /// Records that were acknowledged are damaged or missing.
    #[error("{0}")]
    Damaged(Box<Damage>),
    /// The store or the witness failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The last fold failed; it is tried again, and the journal keeps what it holds.
    #[error("fold: {0}")]
    Fold(String),
    /// The file system says no.
    #[error("journal: {what}: {source}")]
    Io {
        /// The operation.
        what: &'static str,
        /// What it said.
        source: io::Error,
    },
}

struct Shared {
    config: Config,
    store: Store,
    writer: Mutex<Writer>,
    /// Wakes the sync thread; waits with the writer's lock.
    work: Condvar,
    written: AtomicU64,
    /// The writer has a reason to be read-only, for those who look without its lock.
    is_refusing: AtomicBool,
    /// Appends so far, changed under the writer's lock: every so many are timed.
    appends: AtomicU64,
    durable: Watermark,
    folded: Watermark,
    fold: fold::Control,
    /// All segments that are not trimmed, by base.
    segments: Mutex<Vec<Segment>>,
    /// The file that notes the durable position.
    note: Arc<dyn DiskFile>,
    /// Threads end without finishing their work.
    is_abandoned: AtomicBool,
}

struct Handle {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Journal {
    /// Opens the journal of a store: cuts a torn tail, folds everything into the store, and starts
    /// the threads. When it returns, a document's load needs the store alone.
    ///
    /// # Errors
    /// `Damaged` when records that were acknowledged are damaged or missing and `config.is_repair`
    /// is not set; `Store`; `Io`.
    pub fn open(config: Config, store: Store) -> Result<(Self, Report), Error> {
        let (shared, report) = recover::open(config, store)?;
        let shared = Arc::new(shared);
        let mut threads = Vec::new();
        let spawn = |name: &str, run: fn(&Arc<Shared>)| {
            let shared = Arc::clone(&shared);
            let builder = std::thread::Builder::new().name(name.to_owned());
            builder
                .spawn(move || run(&shared))
                .map_err(|source| Error::Io { what: "start a thread", source })
        };
        threads.push(spawn("journal-sync", sync::run)?);
        threads.push(spawn("journal-fold", fold::run)?);
        let handle = Arc::new(Handle { shared, threads: Mutex::new(threads) });
        Ok((Self { handle }, report))
    }

    /// Writes the records, in order, with one write. When it returns they survive `kill -9`; they
    /// survive power loss when `poll_durable` says so.
    ///
    /// # Errors
    /// `Write` when the disk refuses: nothing of the batch is in the journal, and it is read-only
    /// from then on. `ReadOnly`, `TooLarge`: nothing was tried.
    pub fn append(&self, records: &[Record<'_>]) -> Result<Appended, Error> {
        let shared = &*self.handle.shared;
        let config = &shared.config;
        let appends = shared.appends.load(Ordering::Relaxed);
        let begun_at = appends.is_multiple_of(APPENDS_PER_TIMED).then(|| config.clock.now());
        let mut writer = shared.writer.lock();
        shared.check_writable(&writer)?;
        let place = (&*config.disk, config.dir.as_path(), config.segment_bytes);
        let (appended, begun) = match writer.append(records, shared.durable.get(), place) {
            Ok(done) => done,
            Err(Refused::TooLarge(error)) => return Err(error.into()),
            Err(Refused::Failed(error)) => {
                shared.refuse(&mut writer, ReadOnly::WriteFailed);
                config.meters.append_failures.inc();
                tracing::error!(%error, "the journal could not be written and is read-only");
                return Err(Error::Write(error));
            }
        };
        shared.written.store(appended.end, Ordering::Release);
        // Under the lock: no other append changes it.
        let before = shared.appends.load(Ordering::Relaxed);
        shared.appends.store(before + 1, Ordering::Relaxed);
        if begun.is_some() {
            shared.segments.lock().extend(begun);
        }
        let is_due = match writer.sync_waits {
            SyncWaits::First => true,
            SyncWaits::Burst => {
                writer.unsynced_records >= config.burst_records && shared.durable.is_awaited()
            }
            SyncWaits::Nothing => false,
        };
        if is_due {
            writer.sync_waits = SyncWaits::Nothing;
            shared.work.notify_one();
        }
        drop(writer);
        let meters = &config.meters;
        meters.records.inc_by(records.len() as u64);
        if let Some(begun_at) = begun_at {
            meters.append_seconds.observe(config.clock.now().since(begun_at).as_secs_f64());
        }
        Ok(appended)
    }

    /// End of what is written: survives `kill -9`.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.handle.shared.written.load(Ordering::Acquire)
    }

    /// End of what is synced: survives power loss.
    #[must_use]
    pub fn durable(&self) -> u64 {
        self.handle.shared.durable.get()
    }

    /// End of what the store and the witness have.
    #[must_use]
    pub fn folded(&self) -> u64 {
        self.handle.shared.folded.get()
    }

    /// Whether an append would be tried. Takes no lock: every batch asks.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        let shared = &*self.handle.shared;
        !shared.is_refusing.load(Ordering::Acquire) && !shared.is_fold_behind(self.written())
    }

    /// Why it would not.
    #[must_use]
    pub fn read_only(&self) -> Option<ReadOnly> {
        let shared = &*self.handle.shared;
        shared.check_writable(&shared.writer.lock()).err()
    }

    /// The last fold's failure, until one succeeds.
    #[must_use]
    pub fn fold_failure(&self) -> Option<String> {
        self.handle.shared.fold.failure()
    }

    /// Ready when everything before `end` is durable, or never will be; else wakes `cx` then.
    pub fn poll_durable(&self, cx: &mut Context<'_>, end: u64) -> Poll<Result<(), ReadOnly>> {
        self.handle.shared.durable.poll(cx, end).map_err(|_| ReadOnly::SyncFailed)
    }

    /// As `poll_durable`, for what store and witness have. Does not hurry the fold.
    pub fn poll_folded(&self, cx: &mut Context<'_>, end: u64) -> Poll<Result<(), ReadOnly>> {
        self.handle.shared.folded.poll(cx, end).map_err(|_| ReadOnly::Closed)
    }

    /// Syncs now and blocks until everything before `end` is durable.
    ///
    /// # Errors
    /// When it never will be.
    pub fn wait_durable(&self, end: u64) -> Result<(), ReadOnly> {
        let shared = &*self.handle.shared;
        if shared.durable.get() < end {
            shared.writer.lock().is_sync_asked = true;
            shared.work.notify_one();
        }
        shared.durable.wait(end).map_err(|_| ReadOnly::SyncFailed)
    }

    /// Folds now and blocks until store and witness have everything before `end`.
    ///
    /// # Errors
    /// When it cannot become durable, or the fold fails.
    pub fn wait_folded(&self, end: u64) -> Result<(), Error> {
        self.wait_durable(end)?;
        self.handle.shared.fold_through(end)
    }

    /// `wait_folded` for everything written.
    ///
    /// # Errors
    /// As `wait_folded`.
    pub fn fold_now(&self) -> Result<(), Error> {
        self.wait_folded(self.written())
    }

    /// Takes no more records, syncs, folds, and ends the threads. Harmless when repeated.
    ///
    /// # Errors
    /// As `wait_folded`; the journal then still holds what the store does not, for the next start.
    pub fn close(&self) -> Result<(), Error> {
        let shared = &*self.handle.shared;
        shared.refuse(&mut shared.writer.lock(), ReadOnly::Closed);
        let result = self.fold_now();
        self.handle.stop();
        shared.writer.lock().trim();
        result
    }
}

impl Shared {
    fn check_writable(&self, writer: &Writer) -> Result<(), ReadOnly> {
        if let Some(reason) = writer.read_only {
            return Err(reason);
        }
        if self.is_fold_behind(writer.end) {
            return Err(ReadOnly::FoldBehind);
        }
        Ok(())
    }

    fn is_fold_behind(&self, end: u64) -> bool {
        end.saturating_sub(self.folded.get()) > self.config.unfolded_bytes_max
    }

    /// Takes no more records, for the first reason there was; a failed sync is the gravest.
    fn refuse(&self, writer: &mut Writer, reason: ReadOnly) {
        if writer.read_only.is_none() || reason == ReadOnly::SyncFailed {
            writer.read_only = Some(reason);
        }
        self.is_refusing.store(true, Ordering::Release);
    }
}

impl Handle {
    fn stop(&self) {
        self.shared.writer.lock().is_stopping = true;
        self.shared.work.notify_all();
        self.shared.fold.stop();
        for thread in self.threads.lock().drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the journal panicked");
            }
        }
        self.shared.durable.stop();
        self.shared.folded.stop();
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.is_abandoned.store(true, Ordering::Release);
        self.stop();
    }
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal")
            .field("written", &self.written())
            .field("durable", &self.durable())
            .field("folded", &self.folded())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
