use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sheaf_protocol::ids::{DocKey, Principal, VaultName};
use sheaf_protocol::limits;
use sheaf_protocol::plan::Source;
use sheaf_protocol::scan;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::author::Author;
use super::fanout::{Framing, Outlet, Piece};
use super::handle::{Handle, Name, Shared};
use super::ledger::{Ledger, Quota};
use super::owners::Submitter;
use super::readers::{Gathered, ReaderId};
use super::registry::{self, OpenError, Registry};
use super::state::State;
use super::state::tests::{BREAKS, typed};
use super::submission::{Failure, Receipt, Submission};
use super::turns::Work;
use super::{awareness, load};
use crate::metrics::Metrics;
use sheaf_ground::time::{Clock, Hand, Seed};
use sheaf_storage::journal::{self, Journal, Kind, Record};
use sheaf_storage::store::disk::{Disk, Files};
use sheaf_storage::store::{Store, Why};

/// What documents stand on, in a directory of their own.
pub(crate) struct Ground {
    pub(crate) shared: Shared,
    pub(crate) store: Store,
    pub(crate) registry: Registry,
}

impl Ground {
    pub(crate) fn open(dir: &Path, clock: &Clock, documents_bytes_max: usize) -> Self {
        Self::open_with(dir, clock, documents_bytes_max, Quota::default())
    }

    pub(crate) fn open_with(
        dir: &Path,
        clock: &Clock,
        documents_bytes_max: usize,
        quota: Quota,
    ) -> Self {
        Self::open_on(dir, clock, (documents_bytes_max, quota), Arc::new(Files))
    }

    /// With the journal on this disk.
    pub(crate) fn open_on(
        dir: &Path,
        clock: &Clock,
        bounds: (usize, Quota),
        disk: Arc<dyn Disk>,
    ) -> Self {
        let store = Store::open(dir).expect("a store");
        let config = journal::Config::new(store.journal_dir().expect("on disk"));
        let config = journal::Config { disk, ..config };
        Self::over(store, config, clock, bounds)
    }

    /// Over a store, which may be in memory.
    pub(crate) fn over(
        store: Store,
        config: journal::Config,
        clock: &Clock,
        (documents_bytes_max, quota): (usize, Quota),
    ) -> Self {
        let (journal, _) = Journal::open(config, store.clone()).expect("a journal");
        let ceiling = u32::try_from(store.presence_clock()).expect("small");
        let metrics = Arc::new(Metrics::new());
        let shared = Shared {
            journal,
            clock: clock.clone(),
            ledger: Ledger::new(quota, metrics.vault.quota_refusals.clone()),
            metrics,
            awareness: Arc::new(awareness::Clocks::above(ceiling)),
            live_bytes: Arc::default(),
            text_root: Arc::from("content"),
            seed: Seed::fixed(1),
            work: Work::default(),
        };
        let unload_idle = Duration::from_secs(60);
        let config = registry::Config {
            unload_idle,
            documents_bytes_max,
            device: 1,
            clock_drift_ms: 100,
            auto_create: true,
        };
        let registry = Registry::new(shared.clone(), store.clone(), config).expect("a registry");
        Self { shared, store, registry }
    }
}

pub(crate) struct World {
    pub(crate) ground: Ground,
    hand: Hand,
    dir: TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with_budget(1 << 30)
    }

    fn with_budget(documents_bytes_max: usize) -> Self {
        let dir = TempDir::new().expect("a directory");
        let (clock, hand) = Clock::test(1_700_000_000_000);
        let ground = Ground::open(dir.path(), &clock, documents_bytes_max);
        Self { ground, hand, dir }
    }

    pub(crate) async fn open(&self, document: &str) -> Arc<Handle> {
        self.ground.registry.open(&name(document)).await.expect("opens")
    }

    /// A reopened world: as after `kill -9`, but for the lock of the directory.
    pub(crate) fn restart(self) -> Self {
        let Self { ground, hand, dir } = self;
        let clock = ground.shared.clock.clone();
        ground.shared.journal.close().expect("closes");
        drop(ground);
        let ground = Ground::open(dir.path(), &clock, 1 << 30);
        Self { ground, hand, dir }
    }
}

pub(crate) fn name(document: &str) -> Name {
    Name { vault: VaultName::default(), document: Arc::from(document) }
}

/// A reader that notes what it is offered.
#[derive(Default)]
pub(crate) struct Ear {
    woken: Mutex<usize>,
}

impl Outlet for Ear {
    fn reserve(&self) -> bool {
        false
    }

    fn send(&self, _: &dyn Piece) {}

    fn wake(&self) {
        *self.woken.lock() += 1;
    }
}

/// A reader whose state vector was answered.
pub(crate) fn join(handle: &Handle) -> ReaderId {
    let ear = Arc::new(Ear::default());
    let reader = handle.join(ear, Principal::Anonymous, true).expect("joins");
    handle.readers.lock().follow(reader);
    reader
}

pub(crate) fn submit(
    handle: &Handle,
    reader: ReaderId,
    updates: &[Vec<u8>],
) -> Result<Receipt, Failure> {
    let batch: Vec<_> = updates
        .iter()
        .map(|bytes| Submission {
            source: Source::Update,
            update: scan::update(bytes).expect("scans"),
        })
        .collect();
    let by = Submitter { author: Author::of(&Principal::Anonymous), asked: Some(&[]) };
    handle.submit(Some(reader), by, &batch)
}

/// Runs a test on a runtime of two threads, as the server does.
pub(crate) fn run<F: Future>(test: F) -> F::Output {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(test)
}

#[test]
fn many_openers_get_one_copy() {
    run(async {
        let world = World::new();
        let names = [name("d"), name("e")];
        let all = (0..64).map(|at| world.ground.registry.open(&names[at % 2]));
        let handles = futures::future::join_all(all).await;
        let keys: HashMap<DocKey, Vec<Arc<Handle>>> =
            handles.into_iter().flatten().fold(HashMap::new(), |mut keys, handle| {
                keys.entry(handle.key()).or_insert_with(Vec::new).push(handle);
                keys
            });
        assert_eq!(keys.len(), 2);
        for same in keys.values() {
            assert_eq!(same.len(), 32);
            assert!(same.iter().all(|handle| Arc::ptr_eq(handle, &same[0])));
        }
    });
}

#[test]
fn an_idle_document_leaves_memory_once_the_store_has_it_and_comes_back_whole() {
    run(async {
        let world = World::new();
        let document = world.open("d").await;
        let reader = join(&document);
        submit(&document, reader, &typed(7, &["one ", "two"])).expect("taken");
        document.leave(reader);
        let stop = CancellationToken::new();
        let keeping = tokio::time::timeout(
            Duration::from_secs(20),
            world.ground.registry.clone().housekeeping(stop.clone()),
        );
        let gone = async {
            while !document.is_dropped() {
                world.hand.advance(Duration::from_secs(61));
                tokio::task::yield_now().await;
            }
            stop.cancel();
            world.hand.advance(Duration::from_secs(61));
        };
        let (kept, ()) = tokio::join!(keeping, gone);
        kept.expect("in time");
        let again = world.open("d").await;
        assert!(!Arc::ptr_eq(&again, &document));
        assert_eq!(again.key(), document.key());
        assert_eq!(again.text("content").as_deref(), Some("one two"));
        assert!(document.join(Arc::new(Ear::default()), Principal::Anonymous, true).is_err());
    });
}

#[test]
fn a_document_with_a_reader_stays_and_a_full_budget_says_so() {
    run(async {
        let world = World::with_budget(10_000);
        let document = world.open("d").await;
        let reader = join(&document);
        let text = "x".repeat(4_000);
        submit(&document, reader, &typed(7, &[&text])).expect("taken");
        let refused = world.ground.registry.open(&name("e")).await;
        assert_eq!(refused.err(), Some(OpenError::Full));
        assert!(!document.is_dropped());
        document.leave(reader);
        world.ground.shared.journal.fold_now().expect("folds");
        world.ground.registry.open(&name("e")).await.expect("the idle one made room");
        assert!(document.is_dropped());
        assert_eq!(world.open("d").await.text("content").as_deref(), Some(text.as_str()));
    });
}

#[test]
fn an_update_that_panics_is_quarantined_and_the_document_comes_back_without_it() {
    run(async {
        let world = World::new();
        let document = world.open("d").await;
        let (good, bad) = (join(&document), join(&document));
        submit(&document, good, &typed(7, &["fine"])).expect("taken");
        submit(&document, bad, &typed(8, &[BREAKS])).expect("accepted, to be integrated later");
        assert!(!document.is_dropped());
        assert_eq!(document.snapshot().err(), Some(Failure::Dropped), "looking finds out");
        assert!(document.is_dropped());
        let mut gathered = Gathered::default();
        document.gather(good, &mut gathered);
        assert!(gathered.notices.is_dropped, "its sessions are told");
        assert_eq!(submit(&document, good, &[]).err(), Some(Failure::Dropped));
        let again = world.open("d").await;
        assert_eq!(again.text("content").as_deref(), Some("fine"));
        let asides = world.ground.store.asides(again.key()).expect("read");
        assert!(matches!(asides.as_slice(), [one] if one.why == Why::Quarantined));
        assert_eq!(world.ground.shared.metrics.document.quarantined.get(), 1);
        // It broke once, so now nothing waits, and who sends it again is found.
        let (good, bad) = (join(&again), join(&again));
        submit(&again, good, &typed(9, &["and "])).expect("taken");
        let receipt = submit(&again, bad, &typed(8, &[BREAKS])).expect("answered");
        assert!(receipt.refusal.is_some());
        let again = world.open("d").await;
        let bad = join(&again);
        let receipt = submit(&again, bad, &typed(10, &["more", BREAKS])).expect("answered");
        assert!(receipt.refusal.is_some(), "also of one among others");
        let text = world.open("d").await.text("content").expect("a text");
        assert!(text.contains("and ") && text.contains("fine"), "{text}");
    });
}

#[test]
fn a_stored_update_that_panics_is_skipped_and_never_a_crash_loop() {
    run(async {
        let world = World::new();
        let document = world.open("d").await;
        let reader = join(&document);
        submit(&document, reader, &typed(7, &["fine"])).expect("taken");
        // Below the guard, as an older and laxer version might have stored it.
        let poison = &typed(8, &[BREAKS])[0];
        let record = Record {
            doc: document.key(),
            n: 2,
            kind: Kind::Update,
            stamp: sheaf_protocol::stamp::Stamp::ZERO,
            author: None,
            payload: poison,
        };
        world.ground.shared.journal.append(&[record]).expect("appended");
        drop(document);
        let world = world.restart();
        let document = world.open("d").await;
        assert_eq!(document.text("content").as_deref(), Some("fine"));
        let reader = join(&document);
        submit(&document, reader, &typed(9, &["still "])).expect("it takes edits");
        drop(document);
        let world = world.restart();
        let document = world.open("d").await;
        let text = document.text("content").expect("a text");
        assert!(text.contains("fine") && text.contains("still"), "{text}");
        let loaded = world.ground.store.load(document.key()).expect("loads");
        assert!(load::check(document.key(), &loaded).is_err(), "verify names it");
    });
}

#[test]
fn a_batch_ends_at_an_update_that_the_library_does_not_decode() {
    run(async {
        let world = World::new();
        let document = world.open("d").await;
        let reader = join(&document);
        // An embed of a number that JavaScript reads as infinite.
        let unread = b"\x01\x01\x05\x00\x05\x01\x01t\x051e999\x00".to_vec();
        let batch = [&typed(7, &["before"])[..], &[unread], &typed(8, &["after"])].concat();
        let receipt = submit(&document, reader, &batch).expect("answered");
        assert!(receipt.refusal.is_some());
        assert_eq!(document.text("content").as_deref(), Some("before"));
        assert!(!document.is_dropped());
    });
}

#[test]
fn a_dropped_document_is_never_written_down() {
    run(async {
        let world = World::new();
        let document = world.open("d").await;
        let reader = join(&document);
        submit(&document, reader, &typed(7, &["fine"])).expect("taken");
        submit(&document, reader, &typed(8, &[BREAKS])).expect("accepted");
        let Ground { shared, store, .. } = &world.ground;
        let made = super::checkpoint::write(&document, store, &shared.journal, true);
        assert!(!made.expect("no error"));
        assert!(document.is_dropped(), "looking at it found out");
    });
}

#[test]
fn while_nothing_can_be_written_reading_goes_on() {
    run(async {
        let world = World::new();
        let document = world.open("d").await;
        let reader = join(&document);
        let updates = typed(7, &["fine"]);
        submit(&document, reader, &updates).expect("taken");
        world.ground.shared.journal.close().expect("closes");
        assert_eq!(submit(&document, reader, &typed(8, &["no"])).err(), Some(Failure::ReadOnly));
        assert!(!document.is_dropped());
        submit(&document, reader, &updates).expect("a repeat changes nothing");
        assert_eq!(document.text("content").as_deref(), Some("fine"));
    });
}

#[test]
fn only_the_last_answer_lets_a_submission_be_tried_again() {
    run(async {
        let world = World::new();
        let document = world.open("d").await;
        let named = |name: &str| Principal::Named(Arc::from(name));
        let as_alice =
            || document.join(Arc::new(Ear::default()), named("alice"), true).expect("joins");
        let (first_tab, second_tab, bob) = (as_alice(), as_alice(), join(&document));
        document.ask(&named("alice"), bob);
        let is_answered = || {
            let mut gathered = Gathered::default();
            document.gather(bob, &mut gathered);
            gathered.notices.is_answered
        };
        document.answered(first_tab);
        assert!(!is_answered());
        document.leave(second_tab);
        assert!(is_answered());
    });
}

#[test]
fn a_checkpoint_holds_what_the_log_held() {
    run(async {
        let world = World::new();
        let document = world.open("d").await;
        let reader = join(&document);
        let page = "lorem ipsum ".repeat(1_000);
        let pages: Vec<&str> = (0..20).map(|_| page.as_str()).collect();
        for page in typed(7, &pages) {
            submit(&document, reader, &[page]).expect("taken");
        }
        let journal = &world.ground.shared.journal;
        let made = super::checkpoint::write(&document, &world.ground.store, journal, false);
        assert!(made.expect("written"), "240 KB are enough for one");
        submit(&document, reader, &typed(8, &["after "])).expect("taken");
        let before = document.text("content");
        drop(document);
        let world = world.restart();
        let document = world.open("d").await;
        assert_eq!(document.text("content"), before);
        let loaded = world.ground.store.load(document.key()).expect("loads");
        assert_eq!(loaded.checkpoint.map(|checkpoint| checkpoint.n), Some(20));
        assert_eq!(loaded.entries.len(), 1);
    });
}

#[test]
fn awareness_clocks_start_above_those_of_earlier_runs() {
    run(async {
        let shown = |world: &World| {
            let registry = world.ground.registry.clone();
            async move {
                let document = registry.open(&name("d")).await.expect("opens");
                let (one, other) = (join(&document), join(&document));
                let bytes = [1, 5, 0, 2, b'{', b'}'];
                let frame = scan::awareness(&bytes).expect("scans");
                document.present(one, &Principal::Anonymous, &frame);
                let mut gathered = Gathered::default();
                document.gather(other, &mut gathered);
                gathered.shown[0].clock
            }
        };
        let world = World::new();
        let first = shown(&world).await;
        let world = world.restart();
        assert!(shown(&world).await > first);
    });
}

#[test]
fn a_claimed_presence_goes_back_to_a_holder_that_answers() {
    run(async {
        let world = World::new();
        let document = world.open("d").await;
        let (holder, claimant, other) = (join(&document), join(&document), join(&document));
        let show = |reader, json: &str| {
            let mut bytes = vec![1, 5, 1, json.len() as u8];
            bytes.extend_from_slice(json.as_bytes());
            let frame = scan::awareness(&bytes).expect("scans");
            document.present(reader, &Principal::Anonymous, &frame);
        };
        let seen = |reader| {
            let mut gathered = Gathered::default();
            document.gather(reader, &mut gathered);
            gathered
        };
        show(holder, "\"a\"");
        show(claimant, "\"b\"");
        assert_eq!(seen(other).shown[0].state.as_deref(), Some("\"b\""));
        assert!(seen(holder).notices.is_challenged);
        document.answer_challenge(holder);
        assert_eq!(seen(other).shown[0].state.as_deref(), Some("\"a\""));
        show(claimant, "\"c\"");
        assert!(seen(other).shown.is_empty(), "the refused claimant shows nothing more");
        document.leave(holder);
        assert_eq!(seen(other).shown[0].state, None);
    });
}

#[test]
fn a_reader_that_says_goodbye_and_leaves_at_once_is_seen_to_go() {
    run(async {
        let world = World::new();
        let document = world.open("d").await;
        let (leaver, other) = (join(&document), join(&document));
        let mut gathered = Gathered::default();
        for (clock, json) in [(1, "{}"), (2, "null")] {
            let mut bytes = vec![1, 5, clock, json.len() as u8];
            bytes.extend_from_slice(json.as_bytes());
            let frame = scan::awareness(&bytes).expect("scans");
            document.present(leaver, &Principal::Anonymous, &frame);
            if clock == 1 {
                document.gather(other, &mut gathered);
            }
        }
        document.leave(leaver);
        gathered.clear();
        document.gather(other, &mut gathered);
        assert_eq!(gathered.shown.first().map(|shown| shown.state.clone()), Some(None));
        document.tidy();
        gathered.clear();
        document.gather(other, &mut gathered);
        assert!(gathered.shown.is_empty());
    });
}

struct Plain;

impl Framing for Plain {
    fn slot(&self) -> Option<usize> {
        Some(0)
    }

    fn frame_note(&self, _: &[u8], _: &mut Vec<u8>) {}

    fn frame_presence(&self, _: &[awareness::Shown], _: &mut Vec<u8>) {}

    fn frame_update(&self, update: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(update);
    }
}

#[test]
fn a_reader_behind_the_tail_is_told_what_it_missed_and_a_difference_makes_it_whole() {
    run(async {
        let world = World::new();
        let document = world.open("d").await;
        let (writer, reader) = (join(&document), join(&document));
        let page = "0123456789".repeat(10_000);
        let mut parts = vec!["a", "b"];
        parts.extend((0..20).map(|_| page.as_str()));
        let mut state = State::new();
        let mut gathered = Gathered::default();
        // The second letter goes on with the first one's run, and is the first thing missed.
        let mut updates = typed(7, &parts).into_iter();
        submit(&document, writer, &[updates.next().expect("a letter")]).expect("taken");
        document.gather(reader, &mut gathered);
        state.replay(&gathered.chunks[0].framed(&Plain)).expect("applies");
        for (number, update) in updates.enumerate() {
            submit(&document, writer, &[update]).expect("taken");
            if number == 2 {
                submit(&document, writer, &typed(9, &["another", " author"])).expect("taken");
            }
        }
        let kept = document.readers.lock().tail_bytes();
        assert!(kept <= limits::TAIL_BYTES_MAX, "{kept} bytes for one that does not read");
        let mut gathered = Gathered::default();
        document.gather(reader, &mut gathered);
        assert!(gathered.chunks.is_empty());
        let missed = gathered.missed.expect("over the bound of the tail");
        state.replay(&document.resync(&missed).expect("encodes")).expect("applies");
        assert!(document.core().answers.is_none(), "what only one can use is not kept");
        assert_eq!(state.text("content"), document.text("content"));
        submit(&document, writer, &typed(8, &["tail"])).expect("taken");
        let mut gathered = Gathered::default();
        document.gather(reader, &mut gathered);
        assert!(gathered.missed.is_none());
        for chunk in &gathered.chunks {
            state.replay(&chunk.framed(&Plain)).expect("applies");
        }
        assert_eq!(state.text("content"), document.text("content"));
    });
}

#[test]
fn what_goes_on_with_another_principals_run_is_planned_and_refused() {
    run(async {
        let world = World::new();
        let document = world.open("d").await;
        let named = |name: &str| Principal::Named(Arc::from(name));
        let (alice, bob) = (named("alice"), named("bob"));
        let join = |who: &Principal| {
            document.join(Arc::new(Ear::default()), who.clone(), true).expect("joins")
        };
        let (hers, his) = (join(&alice), join(&bob));
        let updates = typed(7, &["a", "b", "c"]);
        let send = |reader, principal, at: usize| {
            let update = scan::update(&updates[at]).expect("scans");
            let by = Submitter { author: Author::of(principal), asked: Some(&[]) };
            let one = Submission { source: Source::Update, update };
            document.submit(Some(reader), by, &[one]).expect("served").refusal
        };
        assert_eq!(send(hers, &alice, 0), None);
        assert!(send(his, &bob, 1).is_some(), "the client id is hers");
        assert_eq!(document.text("content").as_deref(), Some("a"));
        assert_eq!(send(hers, &alice, 1), None);
        assert_eq!(send(hers, &alice, 2), None, "her own run goes on");
        assert_eq!(document.text("content").as_deref(), Some("abc"));
    });
}
