//! What each step of an update's way costs: the guard, the plan, the CRDT, the journal, the frames,
//! the fan-out. Prints a table; called by `make steps` (release build) and by the tests' run, which
//! shows it for the record. Compare the rows of one run with each other, not runs on two machines.

use std::hint::black_box;
use std::io::Write;
use std::sync::Arc;

use sheaf_ground::time::Clock;
use sheaf_protocol::ids::{DocId, DocKey, Principal, VaultNo};
use sheaf_protocol::plan::Source;
use sheaf_protocol::scan;
use sheaf_protocol::stamp::Stamp;
use sheaf_server::document::awareness::Clocks;
use sheaf_server::document::fanout::{Framing, Outlet, Piece};
use sheaf_server::document::readers::{Gathered, ReaderId, Readers};
use sheaf_server::document::state::State;
use sheaf_server::document::tail::Firsts;
use sheaf_server::relay::dialect::ywebsocket::YWebsocket;
use sheaf_storage::journal::{self, Journal, Kind, Record};
use sheaf_storage::store::Store;
use yrs::{Doc, ReadTxn, Text, Transact};

/// Updates a round, and rounds; the median of the rounds is shown.
const UPDATES: usize = 2_048;
const ROUNDS: usize = 21;
const READERS: usize = 100;

fn main() -> anyhow::Result<()> {
    let (chained, scattered) = (chained(), scattered());
    let mut rows = Vec::new();
    let mut step = |name: &'static str, run: &mut dyn FnMut()| rows.push(measure(name, run));
    step("scan", &mut || {
        chained.iter().for_each(|bytes| _ = black_box(scan::update(bytes)));
    });
    step("scan, plan, accept, integrate: appends", &mut || apply(&chained, true));
    step("the same, each integrated at once", &mut || apply(&chained, false));
    step("the same, at random places with deletions", &mut || apply(&scattered, true));
    step("the same, each integrated at once", &mut || apply(&scattered, false));
    let dir = tempfile::tempdir()?;
    let (journal, _) = Journal::open(journal::Config::new(dir.path().into()), Store::in_memory()?)?;
    let mut n = 0;
    let mut append = |batch: usize| {
        for part in chained.chunks(batch) {
            let records: Vec<_> = part.iter().map(|bytes| record(&mut n, bytes)).collect();
            journal.append(&records).expect("the disk takes it");
        }
    };
    step("journal append, one record a write", &mut || append(1));
    step("journal append, eight records a write", &mut || append(8));
    step("frame", &mut || {
        let mut out = Vec::new();
        for update in &chained {
            out.clear();
            YWebsocket.frame_update(update, &mut out);
            black_box(&out);
        }
    });
    let mut crowd = Crowd::new();
    step("fan-out to 100 idle readers, without the sockets", &mut || crowd.publish(&chained));
    show(&rows)
}

fn apply(updates: &[Vec<u8>], is_later: bool) {
    let mut state = State::new();
    for bytes in updates {
        let update = scan::update(bytes).expect("scans");
        let text = update.text();
        if is_later && text.is_some_and(|block| state.extend(&update, block)) {
            continue;
        }
        let plan = state.plan(&update, Source::Update).expect("plans").expect("no gap");
        if is_later {
            state.accept(plan, text).expect("accepted");
        } else {
            state.integrate(plan).expect("integrated");
        }
    }
    state.settle();
    black_box(state.live_bytes());
}

fn record<'a>(n: &mut u64, payload: &'a [u8]) -> Record<'a> {
    *n += 1;
    let doc = DocKey { vault: VaultNo(1), doc: DocId(Stamp::ZERO) };
    Record { doc, n: *n, kind: Kind::Update, stamp: Stamp::ZERO, author: None, payload }
}

/// Readers that take everything at once.
struct Crowd {
    readers: Readers,
    ids: Vec<ReaderId>,
}

struct Sink;

impl Outlet for Sink {
    fn reserve(&self) -> bool {
        true
    }

    fn send(&self, piece: &dyn Piece) {
        black_box(piece.framed(&YWebsocket).len());
    }

    fn wake(&self) {}
}

impl Crowd {
    fn new() -> Self {
        let mut readers = Readers::new(Arc::new(Clocks::above(0)));
        let join = |_| {
            let id = readers.join(Arc::new(Sink), Principal::Anonymous, true);
            readers.follow(id);
            id
        };
        let ids: Vec<ReaderId> = (0..READERS).map(join).collect();
        Self { readers, ids }
    }

    fn publish(&mut self, updates: &[Vec<u8>]) {
        let mut gathered = Gathered::default();
        for id in &self.ids {
            self.readers.gather(*id, &mut gathered);
            gathered.clear();
        }
        for update in updates {
            let mut firsts = Firsts::default();
            firsts.note(1, 0);
            let updates = std::iter::once(update.as_slice());
            let fanout = self.readers.publish(None, updates, firsts);
            fanout.send();
            self.readers.delivered(fanout);
        }
    }
}

/// One author's appends of 14 characters.
fn chained() -> Vec<Vec<u8>> {
    edits(|doc, at| {
        let text = doc.get_or_insert_text("content");
        text.push(&mut doc.transact_mut(), &format!("{at:013} "));
    })
}

/// Insertions at scattered places, every third with a deletion.
fn scattered() -> Vec<Vec<u8>> {
    edits(|doc, at| {
        let text = doc.get_or_insert_text("content");
        let mut txn = doc.transact_mut();
        let len = text.len(&txn);
        let place = (at as u32).wrapping_mul(2_654_435_761) % (len + 1);
        text.insert(&mut txn, place, "some words ");
        if at % 3 == 0 && len > 8 {
            text.remove_range(&mut txn, place % (len - 4), 3);
        }
    })
}

fn edits(edit: impl Fn(&Doc, usize)) -> Vec<Vec<u8>> {
    let doc = Doc::with_client_id(7);
    let one = |at| {
        let before = doc.transact().state_vector();
        edit(&doc, at);
        doc.transact().encode_diff_v1(&before)
    };
    (0..UPDATES).map(one).collect()
}

struct Row {
    name: &'static str,
    /// Nanoseconds an update: least, median, most.
    ns: [f64; 3],
}

fn measure(name: &'static str, run: &mut dyn FnMut()) -> Row {
    let clock = Clock::system();
    let round = |_| {
        let begun = clock.now();
        run();
        clock.now().since(begun).as_nanos() as f64 / UPDATES as f64
    };
    let mut ns: Vec<f64> = (0..ROUNDS).map(round).collect();
    ns.sort_unstable_by(f64::total_cmp);
    Row { name, ns: [ns[0], ns[ROUNDS / 2], ns[ROUNDS - 1]] }
}

fn show(rows: &[Row]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let build = if cfg!(debug_assertions) { "debug build" } else { "release build" };
    writeln!(out, "ns an update, {build}, {ROUNDS} rounds {:>14}{:>18}", "median", "least–most")?;
    for Row { name, ns: [least, median, most] } in rows {
        writeln!(out, "{name:<50}{median:>8.0}{:>18}", format!("{least:.0}–{most:.0}"))?;
    }
    Ok(())
}
