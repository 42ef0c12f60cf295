//! The server's own documents behind a [`Hub`]: registry, journal and store as in the server,
//! driven without sockets, and with a clock that stands still unless it is moved.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sheaf_ground::task::Group;
use sheaf_ground::time::{Clock, Hand, Seed};
use sheaf_protocol::frame::{self, Message};
use sheaf_protocol::ids::{Principal, VaultName};
use sheaf_protocol::plan::Source;
use sheaf_protocol::scan;
use sheaf_server::document::author::{Author, OnlyIf, WriteError};
use sheaf_server::document::awareness::Clocks;
use sheaf_server::document::fanout::{Outlet, Piece};
use sheaf_server::document::handle::{Handle, Name, Shared};
use sheaf_server::document::ledger::Ledger;
use sheaf_server::document::owners::Submitter;
use sheaf_server::document::readers::{Gathered, ReaderId};
use sheaf_server::document::registry::{Config, Registry};
use sheaf_server::document::snapshot::Content;
use sheaf_server::document::submission::{Failure, Submission};
use sheaf_server::document::turns::Work;
use sheaf_server::metrics::Metrics;
use sheaf_storage::journal::{self, Journal};
use sheaf_storage::store::Store;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::eventually::eventually;
use crate::model::{Hub, Said, Session};

/// How long folding and unloading a document may take on a busy machine.
const UNLOAD_TIME_MAX: Duration = Duration::from_secs(20);
/// The registry looks at its documents once a second.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// A store, its journal and its documents, for many cases one after the other.
pub struct Site {
    runtime: Runtime,
    dir: TempDir,
    is_on_disk: bool,
    /// Absent only while it is opened again.
    open: Option<Open>,
    cases: u64,
    /// Where the clock starts when it is opened next: ids are stamps, and time never turns back.
    start_ms: u64,
}

struct Open {
    store: Store,
    journal: Journal,
    registry: Registry,
    hand: Hand,
    tasks: Group,
}

impl Site {
    /// A site whose store is memory; its journal is a file, as ever.
    ///
    /// # Panics
    /// When there is no runtime or folder to be had.
    pub fn in_memory() -> Self {
        Self::new(false)
    }

    /// A site whose store is sled, on disk; here a restart opens everything again.
    ///
    /// # Panics
    /// When there is no runtime or folder to be had.
    pub fn on_disk() -> Self {
        Self::new(true)
    }

    fn new(is_on_disk: bool) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let dir = tempfile::tempdir().expect("a folder");
        let mut site = Self { runtime, dir, is_on_disk, open: None, cases: 0, start_ms: 1_000_000 };
        let store = site.store();
        site.open = Some(site.open(store));
        site
    }

    fn store(&self) -> Store {
        if self.is_on_disk {
            Store::open(&self.dir.path().join("data")).expect("the store opens")
        } else {
            Store::in_memory().expect("memory")
        }
    }

    fn open(&self, store: Store) -> Open {
        let dir = store.journal_dir().unwrap_or_else(|| self.dir.path().join("journal"));
        std::fs::create_dir_all(&dir).expect("a folder for the journal");
        let config = journal::Config {
            sync_idle: Duration::ZERO,
            sync_busy: Duration::ZERO,
            ..journal::Config::new(dir)
        };
        let (journal, _) = Journal::open(config, store.clone()).expect("the journal opens");
        let (clock, hand) = Clock::test(self.start_ms);
        let metrics = Arc::new(Metrics::new());
        let tasks = Group::new(metrics.task_panics.clone());
        let shared = Shared {
            journal: journal.clone(),
            clock,
            metrics,
            awareness: Arc::new(Clocks::above(0)),
            live_bytes: Arc::default(),
            ledger: Ledger::default(),
            text_root: Arc::from("content"),
            seed: Seed::fixed(self.start_ms),
            work: Work::default(),
        };
        let config = Config {
            unload_idle: Duration::ZERO,
            documents_bytes_max: usize::MAX,
            device: 1,
            clock_drift_ms: 100,
            auto_create: true,
        };
        let registry = Registry::new(shared, store.clone(), config).expect("a registry");
        let _inside = self.runtime.enter();
        tasks.spawn("housekeeping", registry.clone().housekeeping(tasks.stopping().clone()));
        Open { store, journal, registry, hand, tasks }
    }

    fn parts(&self) -> &Open {
        self.open.as_ref().expect("it is open between calls")
    }

    fn document(&self, name: &Name) -> Arc<Handle> {
        self.runtime.block_on(self.parts().registry.open(name)).expect("the document opens")
    }

    /// Takes a document that nobody reads out of memory, as the server does with idle ones.
    fn unload(&self, handle: &Handle) {
        let Open { journal, hand, .. } = self.parts();
        journal.wait_folded(handle.end()).expect("the journal folds");
        let is_unloaded = || {
            hand.advance(HOUSEKEEPING);
            handle.is_dropped()
        };
        self.runtime.block_on(eventually("the document leaves", UNLOAD_TIME_MAX, is_unloaded));
    }

    /// Closes everything and opens it again.
    fn reopen(&mut self) {
        let Open { store, journal, registry, tasks, .. } =
            self.open.take().expect("it is open between calls");
        tasks.stop();
        self.runtime
            .block_on(eventually("housekeeping ends", UNLOAD_TIME_MAX, || tasks.running() == 0));
        drop(registry);
        journal.close().expect("the journal closes");
        drop(journal);
        let store = if self.is_on_disk {
            drop(store);
            self.store()
        } else {
            store
        };
        self.start_ms += 1_000_000_000;
        self.open = Some(self.open(store));
    }

    /// A new, empty document.
    ///
    /// # Panics
    /// When it cannot be opened.
    pub fn hub(&mut self) -> Documents<'_> {
        self.cases += 1;
        let document = format!("case {}", self.cases).into();
        let name = Name { vault: VaultName::default(), document };
        let handle = self.document(&name);
        Documents { site: self, name, handle: Some(handle), seats: BTreeMap::new() }
    }

    /// Where the data is.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }
}

/// One document of a site, with the part of a session that is not its socket.
pub struct Documents<'a> {
    site: &'a mut Site,
    name: Name,
    /// Absent only while everything is opened again: it would keep the store open.
    handle: Option<Arc<Handle>>,
    seats: BTreeMap<Session, Seat>,
}

struct Seat {
    reader: ReaderId,
    /// Questions that were not answered yet.
    outstanding: u32,
    /// One of them was for a gap.
    is_asked: bool,
    echoes: VecDeque<Vec<u8>>,
}

/// The simulation asks; nobody has to be woken.
struct Deaf;

impl Outlet for Deaf {
    fn reserve(&self) -> bool {
        false
    }

    fn send(&self, _piece: &dyn Piece) {}

    fn wake(&self) {}
}

impl Hub for Documents<'_> {
    fn join(&mut self, session: Session) -> Said {
        let reader = loop {
            let outlet: Arc<dyn Outlet> = Arc::new(Deaf);
            match self.handle().join(outlet, Principal::Anonymous, true) {
                Ok(reader) => break reader,
                // It left memory since it was opened, as it may while nobody reads it.
                Err(_) => self.handle = Some(self.site.document(&self.name)),
            }
        };
        let seat = Seat { reader, outstanding: 1, is_asked: false, echoes: VecDeque::new() };
        self.seats.insert(session, seat);
        let mut said = Said::new();
        self.gather(&mut said);
        said.push((session, self.question()));
        said
    }

    fn deliver(&mut self, session: Session, bytes: &[u8]) -> Said {
        let mut said = Said::new();
        for message in frame::messages(bytes) {
            match message.expect("replicas say what they may") {
                Message::Step1(vector) => {
                    let known = scan::state_vector(vector).expect("a state vector");
                    let reader = self.seats[&session].reader;
                    let missing = self.handle().diff(reader, &known).expect("it is in memory");
                    let mut out = Vec::new();
                    frame::write_step2(&mut out, &missing);
                    said.push((session, out));
                }
                Message::Step2(update) => {
                    let has_gap = self.submit(session, Source::Step2, update);
                    assert!(!has_gap, "a replica holds nothing without what it stands on");
                    let seat = self.seats.get_mut(&session).expect("a session that joined");
                    seat.outstanding = seat.outstanding.saturating_sub(1);
                    seat.is_asked &= seat.outstanding > 0;
                }
                Message::Update(update) => {
                    let has_gap = self.submit(session, Source::Update, update);
                    let question = self.question();
                    let seat = self.seats.get_mut(&session).expect("a session that joined");
                    if has_gap && !std::mem::replace(&mut seat.is_asked, true) {
                        seat.outstanding += 1;
                        said.push((session, question));
                    }
                }
                Message::Echo(payload) => {
                    let seat = self.seats.get_mut(&session).expect("a session that joined");
                    seat.echoes.push_back(payload.to_vec());
                }
                Message::Awareness(_) | Message::QueryAwareness | Message::AuthDenied(_) => {}
            }
        }
        self.gather(&mut said);
        self.echo(session, &mut said);
        said
    }

    fn leave(&mut self, session: Session) {
        if let Some(seat) = self.seats.remove(&session) {
            self.handle().leave(seat.reader);
        }
    }

    fn restart(&mut self) {
        for seat in std::mem::take(&mut self.seats).into_values() {
            self.handle().leave(seat.reader);
        }
        if self.site.is_on_disk {
            self.handle = None;
            self.site.reopen();
        } else {
            self.site.unload(self.handle());
        }
        self.handle = Some(self.site.document(&self.name));
    }

    fn put(&mut self, number: u32) -> Said {
        while !self.try_put(number) {
            // It left memory since it was opened, as it may while nobody reads it.
            self.handle = Some(self.site.document(&self.name));
        }
        let mut said = Said::new();
        self.gather(&mut said);
        said
    }

    fn encode(&mut self) -> Vec<u8> {
        self.handle().encode()
    }
}

/// Another text, as an editor that knows only files would save it.
fn rewritten(old: &str, number: u32) -> String {
    let (what, at) = (number / 6 % 4, number as usize / 24);
    let mut lines: Vec<String> = old.split_inclusive('\n').map(str::to_owned).collect();
    let at = at % (lines.len() + 1);
    match what {
        0 => lines.insert(at, format!("line {number} 😀 e\u{301}\r\n")),
        1 => drop(lines.drain(..at)),
        2 => lines.iter_mut().for_each(|line| line.insert_str(0, "  ")),
        _ => lines.reverse(),
    }
    lines.concat()
}

impl Documents<'_> {
    fn handle(&self) -> &Handle {
        self.handle.as_ref().expect("it is open between calls")
    }

    /// Writes the text anew. False if the document is not in memory any more.
    fn try_put(&self, number: u32) -> bool {
        let Ok(snapshot) = self.handle().snapshot() else { return false };
        let old = match snapshot.content {
            Content::Text { text, .. } => text,
            Content::Empty | Content::Other { .. } => String::new(),
        };
        let text = rewritten(&old, number);
        let name = if number.is_multiple_of(2) { "ada" } else { "ben" };
        let principal = Principal::Named(name.into());
        let by = Author::of(&principal);
        let only_if = number.is_multiple_of(3).then_some(OnlyIf::At(snapshot.n));
        match self.handle().put_text(by, &text, only_if) {
            Ok(_) => assert_eq!(self.handle().text("content").unwrap_or_default(), text),
            Err(WriteError::Failed(Failure::Dropped)) => return false,
            Err(WriteError::NotText { .. }) => {}
            Err(error) => panic!("not put: {error}"),
        }
        true
    }

    fn question(&self) -> Vec<u8> {
        let mut out = Vec::new();
        frame::write_step1(&mut out, &self.handle().state_vector());
        out
    }

    /// Submits one update. Returns whether something was left out because what it needs is missing.
    fn submit(&mut self, session: Session, source: Source, update: &[u8]) -> bool {
        let update = scan::update(update).expect("replicas send what can be scanned");
        let by = Submitter { author: Author::of(&Principal::Anonymous), asked: Some(&[]) };
        let reader = self.seats[&session].reader;
        let receipt = self.handle().submit(Some(reader), by, &[Submission { source, update }]);
        let receipt = receipt.expect("it is in memory and can be written");
        assert!(receipt.refusal.is_none(), "refused: {:?}", receipt.refusal);
        receipt.has_gap
    }

    /// Hands every session what it has not seen.
    fn gather(&mut self, said: &mut Said) {
        for (session, seat) in &self.seats {
            let mut gathered = Gathered::default();
            self.handle().gather(seat.reader, &mut gathered);
            assert!(!gathered.notices.is_dropped, "dropped while it is read");
            for update in gathered.chunks.iter().flat_map(|chunk| chunk.iter()) {
                let mut out = Vec::new();
                frame::write_update(&mut out, update);
                said.push((*session, out));
            }
            if let Some(missed) = gathered.missed {
                let mut out = Vec::new();
                let update = self.handle().resync(&missed).expect("it is in memory");
                frame::write_step2(&mut out, &update);
                said.push((*session, out));
            }
        }
    }

    /// Returns echoes when everything before them is durable, and not while a gap is open.
    fn echo(&mut self, session: Session, said: &mut Said) {
        let end = self.handle().end();
        let seat = self.seats.get_mut(&session).expect("a session that joined");
        if seat.is_asked || seat.echoes.is_empty() {
            return;
        }
        let journal = &self.site.open.as_ref().expect("it is open between calls").journal;
        journal.wait_durable(end).expect("it becomes durable");
        for payload in seat.echoes.drain(..) {
            let mut out = Vec::new();
            frame::write_echo(&mut out, &payload);
            said.push((session, out));
        }
    }
}
