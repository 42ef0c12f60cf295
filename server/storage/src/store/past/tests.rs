//! The past through checkpoints, thinning, damage and crashes, against a list in memory.

use std::sync::Arc;

use proptest::prelude::*;
use sheaf_protocol::ids::{DocId, VaultNo};
use sheaf_protocol::stamp::Stamp;

use super::*;
use crate::store::engine::Engine;
use crate::store::memory::Memory;
use crate::store::witness::Witness;
use crate::store::{Folded, Head, Window};

fn doc() -> DocKey {
    DocKey { vault: VaultNo(1), doc: DocId(Stamp::new(9, 0, 7)) }
}

/// An entry of this many bytes, all different.
fn bytes(n: u64, len: usize) -> Vec<u8> {
    (0..len).map(|at| (n.wrapping_mul(31) as usize + at * at) as u8).collect()
}

/// The state after entry n: what a real one is does not matter to the store.
fn state(n: u64) -> Vec<u8> {
    format!("state {n} ").repeat(20).into_bytes()
}

/// A document's store, and all that was ever folded into it.
struct Bench {
    engine: Arc<Memory>,
    store: Store,
    entries: Vec<Vec<u8>>,
    ckpt_n: u64,
}

impl Bench {
    fn new() -> Self {
        let engine = Arc::new(Memory::new());
        let store = Store::new(engine.clone(), Witness::in_memory()).unwrap();
        let bench = Self { engine, store, entries: Vec::new(), ckpt_n: 0 };
        bench.fold(|store, window| {
            let created = doc().doc.0;
            let head = Head { name: "a".into(), epoch: 1, created, is_deleted: false };
            window.created(store, doc(), 0, (&"home".parse().unwrap(), &head)).unwrap();
        });
        bench
    }

    fn fold(&self, fill: impl FnOnce(&Store, &mut Window)) {
        let mut window = self.store.window(false).unwrap();
        fill(&self.store, &mut window);
        let position = self.store.witnessed().position + 1_000_000;
        self.store.commit(window, Folded { position, link: 0, ..Folded::default() }).unwrap();
    }

    fn write(&mut self, count: u64, len: usize) {
        let first = self.entries.len() as u64 + 1;
        self.entries.extend((first..first + count).map(|n| bytes(n, len)));
        self.fold(|store, window| {
            let from = store.witnessed().position;
            for n in first..first + count {
                let stamp = Stamp::new(1_000 + n, 0, 7);
                let place = Place { n, position: from + n, stamp, author: Some("ann") };
                window.entry(store, doc(), place, &bytes(n, len)).unwrap();
            }
        });
    }

    fn last_n(&self) -> u64 {
        self.entries.len() as u64
    }

    fn checkpoint(&mut self) {
        let n = self.last_n();
        if n > self.ckpt_n {
            self.store.put_checkpoint(doc(), n, 0, &state(n)).unwrap();
            self.store.thin_log(doc(), n, &mut |_| Vec::new()).unwrap();
            self.ckpt_n = n;
        }
    }

    /// Reads the document at an entry; the n of its base.
    fn check(&self, n: u64) -> Option<u64> {
        let At { base, entries } = self.store.at(doc(), n).unwrap()?;
        let base_n = entries.first().map_or(n, |entry| entry.n - 1);
        assert_eq!(base, (base_n > 0).then(|| state(base_n)), "the base of {n}");
        let numbers: Vec<u64> = entries.iter().map(|entry| entry.n).collect();
        assert_eq!(numbers, (base_n + 1..=n).collect::<Vec<u64>>());
        for entry in &entries {
            assert_eq!(entry.bytes, self.entries[entry.n as usize - 1]);
            let place = (entry.stamp, entry.author.as_deref());
            assert_eq!(place, (Stamp::new(1_000 + entry.n, 0, 7), Some("ann")));
        }
        Some(base_n)
    }
}

#[test]
fn every_entry_can_be_read_at_and_costs_a_state_and_what_follows_it() {
    let mut bench = Bench::new();
    for _ in 0..8 {
        bench.write(500, 100);
        bench.checkpoint();
    }
    bench.write(10, 100);
    let mut furthest = 0;
    for n in 0..=bench.last_n() {
        let base_n = bench.check(n).expect("all of it is kept");
        furthest = furthest.max(n - base_n);
    }
    assert_eq!(bench.store.at(doc(), bench.last_n() + 1).unwrap(), None);
    // 64 KiB, and what a checkpoint took beyond them.
    assert!(furthest <= 1_500, "{furthest} entries were read on from a state");
    let loaded = bench.store.load(doc()).unwrap();
    assert_eq!(loaded.entries.len(), 10, "opening reads nothing of the past");
}

#[test]
fn small_pieces_are_written_together() {
    let mut bench = Bench::new();
    for _ in 0..100 {
        bench.write(2, 20);
        bench.checkpoint();
    }
    let prefix = keys::doc_prefix(doc(), Key::Past);
    let pieces = bench.engine.scan(&prefix, None, usize::MAX).unwrap().len();
    assert!(pieces <= 3, "{pieces} pieces");
    assert!((0..=200).all(|n| bench.check(n).is_some()));
}

#[test]
fn what_is_thinned_is_gone_and_what_is_kept_is_there() {
    let mut bench = Bench::new();
    for _ in 0..6 {
        bench.write(500, 100);
        bench.checkpoint();
    }
    let states: Vec<_> = [700, 1_400].into_iter().map(|n| (n, state(n))).collect();
    let kept = BTreeSet::from([700, 1_400]);
    bench.store.thin_past(doc(), 1_400, (&kept, &states), &[]).unwrap();
    for n in 1..=bench.last_n() {
        let is_kept = n == 700 || n >= 1_400;
        assert_eq!(bench.check(n).is_some(), is_kept, "{n}");
    }
    assert_eq!(bench.store.past_range(doc()).unwrap().map(|(_, last)| last), Some(3_000));
    bench.write(500, 100);
    bench.checkpoint();
    assert!((1_400..=3_500).all(|n| bench.check(n).is_some()));
    let checked = bench.store.verify(&mut |_| (), &mut |_, _| Ok(())).unwrap();
    assert_eq!(checked.findings, []);
}

#[test]
fn a_hole_in_the_past_is_told_and_the_document_is_as_good_as_before() {
    let mut bench = Bench::new();
    for _ in 0..3 {
        bench.write(3_000, 100);
        bench.checkpoint();
    }
    let prefix = keys::doc_prefix(doc(), Key::Past);
    let (key, mut value) = bench.engine.scan(&prefix, None, 1).unwrap().remove(0);
    let at = value.len() / 2;
    value[at] ^= 1;
    let mut batch = Batch::default();
    batch.put(key, value);
    bench.engine.apply(&batch).unwrap();
    assert!(matches!(bench.store.at(doc(), 10), Err(Error::Corrupt { .. })));
    assert_eq!(bench.store.load(doc()).unwrap().last_n, 9_000);
    bench.store.verify(&mut |_| (), &mut |_, _| Ok(())).unwrap().findings.pop().expect("told");

    let mut batch = Batch::default();
    for (key, _) in bench.engine.scan(&prefix, None, usize::MAX).unwrap() {
        batch.delete(key);
    }
    bench.engine.apply(&batch).unwrap();
    assert_eq!(bench.store.at(doc(), 10).unwrap(), None);
    assert_eq!(bench.check(9_000), Some(9_000));
}

#[test]
fn a_document_of_an_earlier_format_has_a_past_from_its_checkpoint_on() {
    let mut bench = Bench::new();
    bench.write(100, 10);
    bench.checkpoint();
    // As a build left it that thinned without keeping.
    let mut batch = Batch::default();
    for (key, _) in bench.engine.scan(&keys::doc_prefix(doc(), Key::Past), None, 99).unwrap() {
        batch.delete(key);
    }
    bench.engine.apply(&batch).unwrap();
    bench.write(100, 10);
    bench.checkpoint();
    bench.write(100, 10);
    for n in 1..=300 {
        assert_eq!(bench.check(n).is_some(), n >= 100, "{n}");
    }
}

/// What may happen to a document.
#[derive(Clone, Debug)]
enum Step {
    Write(u64, usize),
    Checkpoint,
    /// A checkpoint that is put while the log is not thinned: a crash in between.
    HalfCheckpoint,
    /// Thins a part of what there is, keeping so many states.
    Thin(u8, u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1u64..300, 1usize..600).prop_map(|(count, len)| Step::Write(count, len)),
        3 => Just(Step::Checkpoint),
        1 => Just(Step::HalfCheckpoint),
        1 => (any::<u8>(), 0u8..4).prop_map(|(part, kept)| Step::Thin(part, kept)),
    ];
    proptest::collection::vec(step, 1..24)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_happens_what_is_kept_is_what_was_written(steps in steps()) {
        let mut bench = Bench::new();
        let (mut floor, mut kept) = (0, Vec::new());
        for step in steps {
            match step {
                Step::Write(count, len) => bench.write(count, len),
                Step::Checkpoint => bench.checkpoint(),
                Step::HalfCheckpoint if bench.last_n() > bench.ckpt_n => {
                    let n = bench.last_n();
                    bench.store.put_checkpoint(doc(), n, 0, &state(n)).unwrap();
                    bench.ckpt_n = n;
                }
                Step::Thin(part, count) => {
                    let through = bench.ckpt_n * u64::from(part) / 256;
                    if through <= floor {
                        continue;
                    }
                    let mut ns: Vec<u64> = kept.clone();
                    ns.extend((1..=u64::from(count)).map(|at| floor + (through - floor) * at / 5));
                    ns.push(through);
                    ns.retain(|n| *n > 0);
                    ns.sort_unstable();
                    ns.dedup();
                    let wanted = ns.iter().copied().collect();
                    let stored = bench.store.anchors(doc()).unwrap();
                    let states = ns.iter().filter(|n| !stored.contains(n));
                    let states: Vec<_> = states.map(|n| (*n, state(*n))).collect();
                    bench.store.thin_past(doc(), through, (&wanted, &states), &[]).unwrap();
                    (floor, kept) = (through, ns);
                }
                Step::HalfCheckpoint => {}
            }
        }
        for n in 1..=bench.last_n() {
            let is_kept = n >= floor || kept.contains(&n);
            let is_there = bench.check(n).is_some();
            prop_assert!(is_there || !is_kept, "{n} of {} from {floor}, {kept:?}", bench.last_n());
        }
        let checked = bench.store.verify(&mut |_| (), &mut |_, _| Ok(())).unwrap();
        prop_assert_eq!(checked.findings, []);
    }
}
