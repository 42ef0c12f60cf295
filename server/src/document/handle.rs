//! One live document: everything that happens to it goes through here.
//!
//! Job: take submissions in batches under the state's lock, write them to the journal, publish them
//! to the readers; answer state vectors. Called by sessions and by whatever else
//! writes or reads documents. Never publishes what the journal does not have, never awaits while it
//! holds a lock, never writes after it was dropped.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use parking_lot::{MappedMutexGuard, Mutex, MutexGuard};
use sheaf_protocol::ids::Principal;
use sheaf_protocol::ids::{DocId, DocKey, VaultName};
use sheaf_protocol::join::join;
use sheaf_protocol::plan::Source;
use sheaf_protocol::scan;
use sheaf_protocol::stamp::Stamp;

use super::author::{Author, Authors};
use super::awareness;
use super::fanout::{Fanout, Outlet};
use super::ledger::{Account, Ledger};
use super::merge::{Core, Taken};
use super::owners::Submitter;
use super::readers::{Gathered, ReaderId, Readers};
use super::submission::{Failure, Receipt, Submission};
use super::turns::{Work, Writers};
use crate::metrics::{Metrics, Outcome};
use sheaf_ground::task;
use sheaf_ground::time::{Clock, Seed};
use sheaf_storage::journal::{Appended, Journal, Kind, Record, payload};
use sheaf_storage::store::Stamped;

/// How long a session's thread waits for another's short work before it steps off the reactor.
const LOCK_WAIT: Duration = Duration::from_millis(1);

/// One commit of about 2^so many is timed: reading the clock twice costs 100 ns.
const TIMED_BITS: u32 = 3;

/// A document's address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Name {
    /// The vault.
    pub vault: VaultName,
    /// The document's name in it.
    pub document: Arc<str>,
}

/// What every document of a server shares.
#[derive(Clone)]
pub struct Shared {
    /// Where changes are written before they are published.
    pub journal: Journal,
    /// Time and stamps.
    pub clock: Clock,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Awareness clocks.
    pub awareness: Arc<awareness::Clocks>,
    /// Bytes of memory that all documents together are charged with.
    pub live_bytes: Arc<AtomicUsize>,
    /// The root whose text is a document's text.
    pub text_root: Arc<str>,
    /// Where the client ids of edits from outside a session come from.
    pub seed: Seed,
    /// What each vault has.
    pub ledger: Ledger,
    /// How much long work is done at once.
    pub work: Work,
}

/// A live document.
pub struct Handle {
    key: DocKey,
    name: Name,
    pub(super) shared: Arc<Shared>,
    pub(super) core: Mutex<Core>,
    /// One checkpoint at a time, and none beside a load of the same document.
    pub(super) checkpointing: Mutex<()>,
    pub(super) readers: Mutex<Readers>,
    /// Who writes without a session, one at a time: a client id must not be used in two forks at
    /// once.
    authors: Mutex<Option<Box<Authors>>>,
    /// They wait here for each other, where that takes no thread.
    pub(super) writers: Writers,
    /// The count of entries, for those who look without the lock.
    pub(super) n: AtomicU64,
    /// End of the document's last journal record: durable and folded are compared with it.
    pub(super) end: AtomicU64,
    pub(super) is_dropped: AtomicBool,
    /// Why it was, as `ending` has it.
    pub(super) ended: AtomicU8,
    /// Its vault.
    pub(super) account: Arc<Account>,
    pub(super) is_created: AtomicBool,
    pub(super) is_file: AtomicBool,
    /// Others had its name before: what clients bring may be of them.
    has_past: bool,
    /// Its log moved and `vault` has not looked yet.
    pub(super) is_queued: AtomicBool,
    pub(super) changed_ms: AtomicU64,
    /// Bytes the vault is charged with since this document last was.
    pub(super) added: AtomicU64,
    /// Encoding it panicked: the next load looks for the entry that did it.
    pub(super) is_suspect: AtomicBool,
    live_bytes: AtomicUsize,
    used_ms: AtomicU64,
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle").field("key", &self.key).finish_non_exhaustive()
    }
}

impl Handle {
    /// A document as loaded.
    pub(super) fn new(
        key: DocKey,
        name: Name,
        core: Core,
        (shared, account): (Arc<Shared>, Arc<Account>),
    ) -> Self {
        let live_bytes = core.state().live_bytes();
        let readers = Mutex::new(Readers::new(Arc::clone(&shared.awareness)));
        let used_ms = AtomicU64::new(shared.clock.now_ms());
        let (is_created, has_past, n) = (core.is_created(), core.has_past(), core.n());
        if is_created {
            account.charge_least(key.doc, core.stored_bytes());
        }
        let handle = Self {
            key,
            name,
            core: Mutex::new(core),
            checkpointing: Mutex::new(()),
            readers,
            authors: Mutex::default(),
            writers: Writers::default(),
            n: AtomicU64::new(n),
            end: AtomicU64::new(0),
            is_dropped: AtomicBool::new(false),
            ended: AtomicU8::new(0),
            account,
            is_created: AtomicBool::new(is_created),
            is_file: AtomicBool::new(false),
            has_past,
            is_queued: AtomicBool::new(false),
            changed_ms: AtomicU64::new(0),
            added: AtomicU64::new(0),
            is_suspect: AtomicBool::new(false),
            live_bytes: AtomicUsize::new(0),
            used_ms,
            shared,
        };
        handle.charge(live_bytes);
        handle
    }

    /// Charges the document, and all together, with so many bytes.
    pub(super) fn charge(&self, bytes: usize) {
        let before = self.live_bytes.swap(bytes, Ordering::Relaxed);
        self.shared.live_bytes.fetch_add(bytes.wrapping_sub(before), Ordering::Relaxed);
    }

    /// Its key in the store.
    pub fn key(&self) -> DocKey {
        self.key
    }

    /// Its address.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// End of its last journal record.
    pub fn end(&self) -> u64 {
        self.end.load(Ordering::Acquire)
    }

    /// Bytes of memory it is charged with.
    pub fn live_bytes(&self) -> usize {
        self.live_bytes.load(Ordering::Relaxed)
    }

    /// When it was last used, in Unix milliseconds.
    pub fn used_ms(&self) -> u64 {
        self.used_ms.load(Ordering::Relaxed)
    }

    /// True once it serves nobody any more.
    pub fn is_dropped(&self) -> bool {
        self.is_dropped.load(Ordering::Acquire) || self.account.is_gone()
    }

    /// True if the next load has to be careful.
    pub(super) fn is_suspect(&self) -> bool {
        self.is_suspect.load(Ordering::Acquire)
    }

    /// How many read it.
    pub fn reader_count(&self) -> usize {
        self.readers.lock().len()
    }

    /// Adds a reader.
    ///
    /// # Errors
    /// The document left memory in the meantime: open it again.
    pub fn join(
        &self,
        outlet: Arc<dyn Outlet>,
        who: Principal,
        can_write: bool,
    ) -> Result<ReaderId, Failure> {
        let mut readers = self.readers.lock();
        if self.is_dropped() {
            return Err(self.ended());
        }
        self.touch();
        Ok(readers.join(outlet, who, can_write))
    }

    /// Tells whether a reader may write from now on.
    pub fn set_can_write(&self, reader: ReaderId, can_write: bool) {
        self.readers.lock().set_can_write(reader, can_write);
    }

    /// Removes a reader and what it showed.
    pub fn leave(&self, reader: ReaderId) {
        self.touch();
        self.readers.lock().leave(reader);
    }

    /// Where a reader's bytes leave: it may go on in another document. None once it has left.
    pub fn outlet(&self, reader: ReaderId) -> Option<Arc<dyn Outlet>> {
        self.readers.lock().outlet(reader)
    }

    /// Hands a reader what it has not seen, and arms its wake-up.
    pub fn gather(&self, reader: ReaderId, out: &mut Gathered) {
        self.readers.lock().gather(reader, out);
    }

    /// Merges a batch, writes it to the journal and publishes it to all readers but the one it
    /// comes from, if it comes from one.
    ///
    /// # Errors
    /// The document or the journal can take no more: the session ends with a transient close.
    pub fn submit(
        &self,
        origin: Option<ReaderId>,
        by: Submitter<'_>,
        batch: &[Submission<'_>],
    ) -> Result<Receipt, Failure> {
        if let Some(receipt) = self.submit_joined(origin, by, batch)? {
            return Ok(receipt);
        }
        let (receipt, fanout) = self.commit(&mut self.core(), origin, by, batch)?;
        self.deliver(fanout);
        self.count(batch.len(), receipt.changed, &receipt);
        Ok(receipt)
    }

    /// Submits a batch as one update, which costs as much as each of them would. `None`: it cannot
    /// be one, or was not taken as it is, and every update stands for itself.
    fn submit_joined(
        &self,
        origin: Option<ReaderId>,
        by: Submitter<'_>,
        batch: &[Submission<'_>],
    ) -> Result<Option<Receipt>, Failure> {
        let Some(joined) = joined(batch) else { return Ok(None) };
        let Ok(update) = scan::update(&joined) else { return Ok(None) };
        let one = Submission { source: Source::Update, update };
        let (receipt, fanout) = self.commit(&mut self.core(), origin, by, &[one])?;
        // Where the document broke on it there is nothing left to be submitted to.
        if (receipt.has_gap || receipt.has_stopped()) && !self.is_dropped() {
            return Ok(None);
        }
        self.deliver(fanout);
        self.count(batch.len(), receipt.changed * batch.len(), &receipt);
        Ok(Some(receipt))
    }

    /// Carries out a fan-out: best without the state's lock.
    pub(super) fn deliver(&self, fanout: Option<Fanout>) {
        if let Some(fanout) = fanout {
            fanout.send();
            self.readers.lock().delivered(fanout);
        }
    }

    /// The same, by one who looked at the document first and still has its lock.
    pub(super) fn commit(
        &self,
        core: &mut Core,
        origin: Option<ReaderId>,
        by: Submitter<'_>,
        batch: &[Submission<'_>],
    ) -> Result<(Receipt, Option<Fanout>), Failure> {
        let begun = is_timed(core.n()).then(|| self.shared.clock.now());
        if self.is_dropped() {
            return Err(self.ended());
        }
        if let Some(failure) = self.prevented(batch) {
            // Nothing is merged, and reading goes on: only who wants to change something is told.
            let has_news = batch.iter().any(|submission| core.would_change(submission));
            if has_news {
                self.account.note_refused(failure);
            }
            return if has_news { Err(failure) } else { Ok(Default::default()) };
        }
        let is_admitted = self.admit(core, batch)?;
        let mut taken = Taken::default();
        let merged = catch_unwind(AssertUnwindSafe(|| {
            let live = |owner: &Principal, client| self.readers.lock().live(owner, client, origin);
            core.merge(batch, by, &mut taken, live);
        }));
        if merged.is_err() || taken.broken.is_some() {
            return Ok((self.quarantine(core, by, batch[taken.at].update.bytes())?, None));
        }
        taken.receipt.changed = taken.updates.len();
        if taken.is_empty() {
            self.withdraw(is_admitted);
            return Ok((taken.receipt, None));
        }
        self.write(core, by.author, &taken)?;
        let fanout = self.publish(origin, by, &mut taken);
        self.charge(core.state().live_bytes());
        if let Some(begun) = begun {
            let took = self.shared.clock.now().since(begun);
            self.shared.metrics.document.apply_seconds.observe(took.as_secs_f64());
        }
        Ok((taken.receipt, fanout))
    }

    /// True if an update would change something here.
    pub fn would_change(&self, submission: &Submission<'_>) -> bool {
        self.core().would_change(submission)
    }

    /// The document that a replica with this state vector holds, if it had the name before and is
    /// no more: this one's content would double the text there.
    pub fn past_of(&self, known: &scan::StateVector<'_>) -> Option<DocId> {
        if self.has_past { self.core().past_of(known) } else { None }
    }

    /// Counts what came of updates that were submitted.
    pub(super) fn count(&self, submitted: usize, changed: usize, receipt: &Receipt) {
        let metrics = &self.shared.metrics.document;
        metrics.updates(Outcome::Changed).inc_by(changed as u64);
        let Receipt { has_gap, refusal, ask, past, .. } = receipt;
        if refusal.is_some() || past.is_some() {
            metrics.updates(Outcome::Refused).inc();
        } else if !has_gap && ask.is_none() {
            let nothing_new = submitted.saturating_sub(changed);
            metrics.updates(Outcome::NothingNew).inc_by(nothing_new as u64);
        }
    }

    pub(super) fn write(
        &self,
        core: &mut Core,
        by: Author<'_>,
        taken: &Taken<'_>,
    ) -> Result<(), Failure> {
        let notes = core.notes(&self.name, taken);
        let now_ms = self.shared.clock.now_ms();
        let stamped = by.stamped.map(|stamped| self.stamped(stamped, now_ms));
        let mut records = core.records(self.key, by.principal, taken, &notes, now_ms);
        if let Some(payload) = &stamped {
            let (doc, kind, stamp) = (self.key, Kind::Stamped, core.stamp(now_ms));
            let author = by.principal.name();
            records.push(Record { doc, n: 0, kind, stamp, author, payload });
        }
        match self.shared.journal.append(&records) {
            Ok(appended) => {
                self.wrote(core, by, taken, (appended, now_ms));
                Ok(())
            }
            Err(error) => {
                tracing::error!(doc = %self.key, %error, "append failed, document dropped");
                self.withdraw(!self.is_created());
                self.drop_now();
                Err(Failure::ReadOnly)
            }
        }
    }

    /// Says that a stamped change is written, and that its version is still to come.
    fn stamped(&self, (stamp, fingerprint): (Stamp, u64), received_ms: u64) -> Vec<u8> {
        let doc = self.key.doc;
        let came_to = Stamped { doc, seq: 0, fingerprint, received_ms, count: 0 };
        let mut bytes = Vec::new();
        payload::Stamped { stamp, came_to }.encode(&mut bytes);
        bytes
    }

    /// The journal has what was merged.
    pub(super) fn wrote(
        &self,
        core: &mut Core,
        by: Author<'_>,
        taken: &Taken<'_>,
        (appended, now_ms): (Appended, u64),
    ) {
        core.written(taken, appended.start, (by.principal, by.device));
        self.n.store(core.n(), Ordering::Release);
        self.end.store(appended.end, Ordering::Release);
        let bytes = taken.updates.iter().map(|update| update.len()).sum();
        self.note_written(bytes, now_ms);
    }

    pub(super) fn publish(
        &self,
        origin: Option<ReaderId>,
        by: Submitter<'_>,
        taken: &mut Taken<'_>,
    ) -> Option<Fanout> {
        let mut readers = self.readers.lock();
        if let Some(reader) = origin
            && *by.author.principal != Principal::Anonymous
        {
            taken.firsts.iter().for_each(|(client, _)| readers.note_writes(reader, client));
        }
        if taken.updates.is_empty() {
            return None;
        }
        let firsts = std::mem::take(&mut taken.firsts);
        let updates = taken.updates.iter().map(|update| &**update);
        let fanout = readers.publish(origin, updates, firsts);
        readers.reclaim(fanout)
    }

    /// Ready when everything before a journal position survives power loss.
    ///
    /// # Errors
    /// `ReadOnly`: it never will.
    pub fn poll_durable(&self, cx: &mut Context<'_>, end: u64) -> Poll<Result<(), Failure>> {
        self.shared.journal.poll_durable(cx, end).map_err(|_| Failure::ReadOnly)
    }

    /// Asks a principal's sessions for their blocks, on behalf of another's submission.
    pub fn ask(&self, owner: &Principal, reader: ReaderId) {
        self.readers.lock().ask(owner, reader);
    }

    /// A session that was asked has answered.
    pub fn answered(&self, reader: ReaderId) {
        self.readers.lock().answered(reader);
    }

    /// Those who write without a session. Most documents never have any.
    pub(super) fn authors(&self) -> MappedMutexGuard<'_, Authors> {
        MutexGuard::map(self.authors.lock(), |authors| {
            &mut **authors
                .get_or_insert_with(|| Box::new(Authors::new(self.key, &self.shared.seed)))
        })
    }

    pub(super) fn touch(&self) {
        self.used_ms.store(self.shared.clock.now_ms(), Ordering::Relaxed);
    }

    /// The lock of the state. Work under it is microseconds for an edit and seconds for a hostile
    /// frame: whoever would wait long leaves its reactor thread to others first.
    pub(super) fn core(&self) -> MutexGuard<'_, Core> {
        match self.core.try_lock_for(LOCK_WAIT) {
            Some(core) => core,
            None => task::block(|| self.core.lock()),
        }
    }
}

/// The updates of a batch as one.
fn joined(batch: &[Submission<'_>]) -> Option<Vec<u8>> {
    let is_live = |submission: &Submission<'_>| submission.source == Source::Update;
    if batch.len() < 2 || !batch.iter().all(is_live) {
        return None;
    }
    let updates: Vec<_> = batch.iter().map(|submission| &submission.update).collect();
    join(&updates)
}

/// Draws by the count of entries, scattered: batches of one size would be timed all or never.
fn is_timed(n: u64) -> bool {
    n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (u64::BITS - TIMED_BITS) == 0
}
