//! The store's typed methods, on memory and on sled, with and without damage.

use std::sync::Arc;

use sheaf_protocol::ids::{DocId, DocKey, VaultNo};
use sheaf_protocol::stamp::Stamp;

use super::engine::{Batch, Engine};
use super::keys::{self, Key, ckpt, heads, log, owners, paths, vaults};
use super::memory::Memory;
use super::value::{CHUNK_BYTES_MAX, each_chunked, put_chunked};
use super::verify::Checked;
use super::witness::Witness;
use super::*;

const VAULT: VaultNo = VaultNo(1);

fn doc(number: u64) -> DocKey {
    DocKey { vault: VAULT, doc: DocId(Stamp::new(number, 0, 7)) }
}

fn name(number: u64) -> String {
    format!("document {number}")
}

fn bytes(n: u64) -> Vec<u8> {
    format!("entry {n}").into_bytes()
}

/// A store over an engine that the test can reach into.
struct Bench {
    engine: Arc<Memory>,
    store: Store,
    position: u64,
}

impl Bench {
    fn new() -> Self {
        Self::with(Arc::default(), Witness::in_memory())
    }

    fn with(engine: Arc<Memory>, witness: Witness) -> Self {
        let store = Store::new(engine.clone(), witness).unwrap();
        Self { engine, store, position: 0 }
    }

    fn fold(&mut self, fill: impl FnOnce(&Store, &mut Window, &mut u64)) {
        let mut window = self.store.window(false).unwrap();
        fill(&self.store, &mut window, &mut self.position);
        let folded = Folded { position: self.position, link: 0, ..Folded::default() };
        self.store.commit(window, folded).unwrap();
    }

    fn create(&mut self, number: u64) {
        self.fold(|store, window, position| {
            let head = Head {
                name: name(number),
                epoch: 9,
                created: doc(number).doc.0,
                is_deleted: false,
            };
            let vault = "default".parse().unwrap();
            window.created(store, doc(number), *position, (&vault, &head)).unwrap();
            *position += 100;
        });
    }

    fn entries(&mut self, number: u64, range: std::ops::RangeInclusive<u64>) {
        self.fold(|store, window, position| {
            for n in range {
                let stamp = Stamp::new(1_000 + n, 0, 7);
                let place = Place { n, position: *position, stamp, author: Some("ann") };
                window.entry(store, doc(number), place, &bytes(n)).unwrap();
                *position += 100;
            }
        });
    }

    fn claim(&mut self, number: u64) {
        self.fold(|store, window, position| {
            let claim = Owner { client: 3, clocks: 0..9, owner: "ann".into(), via: None };
            window.claim(store, doc(number), *position, &[claim]).unwrap();
            *position += 100;
        });
    }

    fn delete(&self, key: &[u8]) {
        let mut batch = Batch::default();
        for (key, _) in self.engine.scan(key, None, usize::MAX).unwrap() {
            batch.delete(key);
        }
        assert!(!batch.is_empty(), "there was something to lose");
        self.engine.apply(&batch).unwrap();
    }

    fn verify(&self) -> Checked {
        self.store.verify(&mut |_| (), &mut |_, _| Ok(())).unwrap()
    }
}

fn range_of(loaded: &Loaded) -> Vec<u64> {
    for entry in &loaded.entries {
        assert_eq!(entry.bytes, bytes(entry.n));
        assert_eq!(entry.author.as_deref(), Some("ann"));
        assert_eq!(entry.stamp, Stamp::new(1_000 + entry.n, 0, 7));
    }
    loaded.entries.iter().map(|entry| entry.n).collect()
}

#[test]
fn a_load_gives_everything_that_was_folded() {
    let mut bench = Bench::new();
    bench.create(1);
    bench.entries(1, 1..=3);
    bench.claim(1);
    bench.entries(1, 4..=5);
    let loaded = bench.store.load(doc(1)).unwrap();
    assert_eq!(range_of(&loaded), [1, 2, 3, 4, 5]);
    assert_eq!((loaded.last_n, loaded.last_position), (5, 600));
    assert_eq!(
        loaded.head,
        Head { name: name(1), epoch: 9, created: doc(1).doc.0, is_deleted: false }
    );
    assert_eq!(loaded.owners.len(), 1);
    assert_eq!(loaded.checkpoint, None);
    assert_eq!(bench.store.find(VAULT, &name(1)).unwrap(), Some(doc(1).doc));
    assert_eq!(bench.store.find(VAULT, "other").unwrap(), None);
    assert!(matches!(bench.store.load(doc(2)), Err(Error::Unknown(_))));
    assert_eq!(bench.verify().findings, []);
}

#[test]
fn a_checkpoint_replaces_the_entries_up_to_it() {
    let mut bench = Bench::new();
    bench.create(1);
    bench.entries(1, 1..=4);
    bench.entries(1, 5..=9);
    let state = vec![7; 3 * CHUNK_BYTES_MAX + 1];
    bench.store.put_checkpoint(doc(1), 6, 600, &state).unwrap();
    let loaded = bench.store.load(doc(1)).unwrap();
    assert_eq!(range_of(&loaded), [7, 8, 9]);
    assert_eq!(loaded.checkpoint, Some(Checkpoint { n: 6, position: 600, state }));
    bench.store.thin_log(doc(1), 6, &mut |_| Vec::new()).unwrap();
    assert_eq!(bench.verify().findings, []);
    assert_eq!(bench.verify().entries, 5, "a group that goes beyond the checkpoint stays");
    bench.entries(1, 10..=10);
    bench.store.put_checkpoint(doc(1), 10, 1_000, b"ten").unwrap();
    bench.store.thin_log(doc(1), 10, &mut |_| Vec::new()).unwrap();
    let loaded = bench.store.load(doc(1)).unwrap();
    assert_eq!((range_of(&loaded), loaded.last_n), (vec![], 10));
    assert_eq!(bench.verify().findings, []);
    assert_eq!(bench.verify().entries, 0);
    let old = bench.engine.scan(&ckpt::key(doc(1), 6), None, 9).unwrap();
    assert_eq!(old, [], "the older checkpoint is gone");
}

#[test]
fn a_checkpoint_needs_its_entries_and_thinning_needs_a_checkpoint() {
    let mut bench = Bench::new();
    bench.create(1);
    bench.entries(1, 1..=4);
    let early = bench.store.put_checkpoint(doc(1), 5, 0, b"");
    assert!(matches!(early, Err(Error::NotFolded { n: 5, folded_n: 4, .. })), "{early:?}");
    let early = bench.store.thin_log(doc(1), 1, &mut |_| Vec::new());
    assert!(matches!(early, Err(Error::NotCheckpointed { n: 1, ckpt_n: 0, .. })), "{early:?}");
    bench.store.put_checkpoint(doc(1), 4, 0, b"four").unwrap();
    bench.store.put_checkpoint(doc(1), 2, 0, b"two").unwrap();
    assert_eq!(bench.store.load(doc(1)).unwrap().checkpoint.unwrap().n, 4);
}

#[test]
fn checkpoints_at_the_same_time_never_take_each_other_back() {
    let mut bench = Bench::new();
    bench.create(1);
    let store = bench.store.clone();
    for round in 0..300 {
        let last_n = 3 * round + 3;
        for n in last_n - 2..=last_n {
            bench.entries(1, n..=n);
        }
        let barrier = std::sync::Barrier::new(3);
        std::thread::scope(|scope| {
            // Two at the same entry: maps are encoded in no fixed order, so their bytes differ.
            for (n, state) in [(last_n - 1, "early"), (last_n, "one"), (last_n, "two")] {
                let (store, barrier) = (&store, &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    store.put_checkpoint(doc(1), n, 0, state.as_bytes()).unwrap();
                    store.thin_log(doc(1), n, &mut |_| Vec::new()).unwrap();
                });
            }
        });
        assert_eq!(store.load(doc(1)).unwrap().checkpoint.unwrap().n, last_n, "round {round}");
        assert_eq!(bench.verify().findings, [], "round {round}");
    }
}

#[test]
fn whatever_the_engine_loses_is_reported_with_the_document() {
    type MakeKey = fn() -> Vec<u8>;
    let lose: [(&str, MakeKey); 8] = [
        ("head", || heads::key(doc(1))),
        ("first group", || log::key(doc(1), 3)),
        ("last group", || log::key(doc(1), 6)),
        ("whole log", || keys::doc_prefix(doc(1), Key::Log)),
        ("claims", || keys::doc_prefix(doc(1), Key::Owners)),
        ("checkpoint", || keys::doc_prefix(doc(2), Key::Ckpt)),
        ("a chunk of it", || keys::chunk(&ckpt::key(doc(2), 2), 1)),
        ("the last chunk", || keys::chunk(&ckpt::key(doc(2), 2), 2)),
    ];
    for (what, key) in lose {
        let mut bench = Bench::new();
        bench.create(1);
        bench.create(2);
        bench.entries(1, 1..=3);
        bench.entries(1, 4..=6);
        bench.claim(1);
        bench.entries(2, 1..=2);
        bench.store.put_checkpoint(doc(2), 2, 0, &[1; 3 * CHUNK_BYTES_MAX]).unwrap();
        bench.store.thin_log(doc(2), 2, &mut |_| Vec::new()).unwrap();
        bench.delete(&key());
        let hurt = keys::doc_of(&key()).unwrap();
        let number = hurt.doc.0.ms();
        match bench.store.load(hurt) {
            Err(Error::Damaged { doc, name: found, .. }) => {
                assert_eq!((doc, found), (hurt.doc, name(number)), "{what}");
            }
            other => panic!("{what}: {other:?}"),
        }
        let found = bench.verify().findings;
        assert!(found.iter().any(|finding| finding.doc == Some(hurt)), "{what}: {found:?}");
        assert!(bench.store.load(doc(3 - number)).is_ok(), "{what}: the other one is whole");
    }
}

#[test]
fn a_lost_name_is_reported_and_not_taken_for_a_new_document() {
    let mut bench = Bench::new();
    bench.create(1);
    bench.delete(&paths::key(VAULT, &name(1)));
    assert!(matches!(bench.store.find(VAULT, &name(1)), Err(Error::Damaged { .. })));
    bench.delete(&heads::key(doc(1)));
    assert!(matches!(bench.store.head(doc(1)), Err(Error::Damaged { .. })));
    bench.delete(&vaults::prefix());
    assert!(bench.store.vaults().is_err());
    assert_eq!(bench.verify().findings.len(), 2, "{:?}", bench.verify().findings);
}

#[test]
fn a_value_under_another_key_is_damage() {
    let mut bench = Bench::new();
    bench.create(1);
    bench.entries(1, 1..=3);
    bench.entries(1, 4..=6);
    let (from, to) = (log::key(doc(1), 3), log::key(doc(1), 6));
    let value = bench.engine.get(&keys::chunk(&from, 0)).unwrap().unwrap();
    let mut batch = Batch::default();
    batch.put(keys::chunk(&to, 0), value);
    bench.engine.apply(&batch).unwrap();
    assert!(matches!(bench.store.load(doc(1)), Err(Error::Damaged { position: 300, .. })));
}

#[test]
fn an_older_whole_value_is_damage_too() {
    let mut bench = Bench::new();
    bench.create(1);
    bench.claim(1);
    let older = bench.engine.scan(&[], None, usize::MAX).unwrap();
    bench.claim(1);
    bench.entries(1, 1..=2);
    let newer = bench.engine.scan(&[], None, usize::MAX).unwrap();
    let mut batch = Batch::default();
    newer.into_iter().for_each(|(key, _)| batch.delete(key));
    older.into_iter().for_each(|(key, value)| batch.put(key, value));
    bench.engine.apply(&batch).unwrap();
    assert!(matches!(bench.store.load(doc(1)), Err(Error::Damaged { .. })));
    assert!(bench.store.folded().unwrap().position < bench.store.witnessed().position);
}

#[test]
fn a_hole_in_the_entries_shows_at_every_load_until_it_is_accepted() {
    let mut bench = Bench::new();
    bench.create(1);
    bench.entries(1, 1..=2);
    bench.entries(1, 5..=6);
    let loaded = bench.store.load(doc(1));
    assert!(matches!(loaded, Err(Error::Damaged { .. })), "{loaded:?}");
    let loss = bench.store.accept_loss(doc(1), 1).unwrap();
    assert_eq!(loss, Loss { entries: vec![3..=4], ..Loss::default() });
    let loaded = bench.store.load(doc(1)).unwrap();
    assert_eq!(range_of(&loaded), [1, 2, 5, 6]);
    assert_eq!(bench.verify().findings, []);
    bench.entries(1, 7..=7);
    assert_eq!(bench.store.load(doc(1)).unwrap().last_n, 7);
}

#[test]
fn a_number_used_twice_is_laid_aside() {
    let mut bench = Bench::new();
    bench.create(1);
    bench.entries(1, 1..=2);
    bench.entries(1, 2..=3);
    assert_eq!(range_of(&bench.store.load(doc(1)).unwrap()), [1, 2, 3]);
    let asides = bench.store.asides(doc(1)).unwrap();
    assert_eq!(asides.len(), 1);
    assert_eq!((asides[0].n, &asides[0].payload), (2, &bytes(2)));
    assert_eq!(bench.verify().findings, []);
}

#[test]
fn accepting_a_loss_keeps_what_can_be_read() {
    let mut bench = Bench::new();
    bench.create(1);
    for n in 1..=6 {
        bench.entries(1, n..=n);
    }
    bench.claim(1);
    bench.delete(&log::key(doc(1), 2));
    bench.delete(&log::key(doc(1), 6));
    bench.delete(&heads::key(doc(1)));
    bench.delete(&owners::key(doc(1), 700));
    let loss = bench.store.accept_loss(doc(1), 77).unwrap();
    assert_eq!(loss.entries, [2..=2, 6..=6]);
    assert!(loss.is_head_lost && loss.are_claims_lost && !loss.is_checkpoint_lost);
    let loaded = bench.store.load(doc(1)).unwrap();
    assert_eq!(range_of(&loaded), [1, 3, 4, 5]);
    assert_eq!((loaded.head.name, loaded.head.epoch), (name(1), 77));
    assert_eq!(bench.store.find(VAULT, &name(1)).unwrap(), Some(doc(1).doc));
    assert_eq!(bench.verify().findings, []);
    assert!(bench.store.accept_loss(doc(1), 78).unwrap().is_none());
}

#[test]
fn a_witnessed_checkpoint_that_is_lost_is_replaced_by_the_log_while_it_is_whole() {
    let mut bench = Bench::new();
    bench.create(1);
    bench.entries(1, 1..=4);
    bench.store.put_checkpoint(doc(1), 3, 0, b"three").unwrap();
    bench.delete(&keys::doc_prefix(doc(1), Key::Ckpt));
    let loaded = bench.store.load(doc(1)).unwrap();
    assert_eq!((range_of(&loaded), loaded.checkpoint), (vec![1, 2, 3, 4], None));
}

#[test]
fn a_document_that_its_owner_cannot_decode_is_found() {
    let mut bench = Bench::new();
    bench.create(1);
    bench.create(2);
    let mut check = |key: DocKey, _: &Loaded| {
        if key == doc(2) { Err("its state does not decode".to_owned()) } else { Ok(()) }
    };
    let checked = bench.store.verify(&mut |_| (), &mut check).unwrap();
    assert_eq!(checked.findings.len(), 1);
    assert_eq!(checked.findings[0].name, Some(name(2)));
}

#[test]
fn a_large_value_is_chunked_and_every_record_is_small() {
    let engine = Memory::new();
    let body: Vec<u8> = (0..300 * CHUNK_BYTES_MAX + 5).map(|at| (at / 7) as u8).collect();
    for (base, body) in [(b"12345key".as_slice(), &body[..]), (b"12345kez", &[])] {
        let mut batch = Batch::default();
        put_chunked(&mut batch, base, body).unwrap();
        engine.apply(&batch).unwrap();
    }
    let mut found = Vec::new();
    each_chunked(&engine, b"12345", None, |key, bytes| {
        found.push((key.to_vec(), bytes));
        Ok(true)
    })
    .unwrap();
    assert!(found[0] == (b"12345key".to_vec(), body), "the large one");
    assert!(found[1] == (b"12345kez".to_vec(), Vec::new()), "the empty one");
    for (_, value) in engine.scan(b"", None, usize::MAX).unwrap() {
        assert!(value.len() <= CHUNK_BYTES_MAX + 16);
    }
}

#[test]
fn a_directory_is_locked_while_a_store_is_open_and_opens_again_after() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("data");
    let store = Store::open(&root).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::mode(&root.metadata().unwrap().permissions());
    assert_eq!(mode & 0o777, 0o700);
    assert!(matches!(Store::open(&root), Err(Error::InUse { .. })));
    drop(store);
    Store::open(&root).unwrap();
}

#[test]
fn what_the_sled_store_folded_is_there_after_it_is_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let head = Head { name: name(1), epoch: 1, created: doc(1).doc.0, is_deleted: false };
    let big = vec![5; 200_000];
    {
        let store = Store::open(dir.path()).unwrap();
        let mut window = store.window(false).unwrap();
        let vault = "default".parse().unwrap();
        window.created(&store, doc(1), 0, (&vault, &head)).unwrap();
        let place = Place { n: 1, position: 100, stamp: Stamp::new(5, 0, 7), author: None };
        window.entry(&store, doc(1), place, &big).unwrap();
        window.presence(44);
        let folded = Folded { position: 200, link: 1, ..Folded::default() };
        store.commit(window, folded).unwrap();
    }
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.opened().format, Some(migrate::FORMAT));
    let loaded = store.load(doc(1)).unwrap();
    assert_eq!((loaded.head, &loaded.entries[0].bytes[..]), (head, &big[..]));
    assert_eq!(store.presence_clock(), 44);
    assert_eq!(store.folded().unwrap().position, 200);
    let blobs = dir.path().join("store/blobs").read_dir().unwrap().count();
    assert_eq!(blobs, 0, "no record is large enough for a file that nothing syncs");
}

#[test]
fn a_loss_of_all_behind_a_checkpoint_is_accepted_for_good() {
    let dir = tempfile::tempdir().unwrap();
    let witness = || Witness::open(dir.path(), Arc::new(Files)).unwrap().0;
    let mut bench = Bench::with(Arc::default(), witness());
    bench.create(1);
    bench.entries(1, 1..=5);
    bench.store.put_checkpoint(doc(1), 3, 1, b"state").unwrap();
    bench.store.thin_log(doc(1), 3, &mut |_| Vec::new()).unwrap();
    bench.delete(&keys::doc_prefix(doc(1), Key::Log));
    assert_eq!(bench.store.accept_loss(doc(1), 1).unwrap().entries, [4..=5]);
    let engine = Arc::clone(&bench.engine);
    drop(bench);
    let loaded = Bench::with(engine, witness()).store.load(doc(1)).unwrap();
    assert_eq!(
        (loaded.last_n, loaded.checkpoint.map(|it| it.n), loaded.entries.len()),
        (3, Some(3), 0)
    );
}
