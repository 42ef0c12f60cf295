//! What is forgotten goes whole, also across a crash, and nothing else goes.

use std::collections::BTreeSet;
use std::sync::Arc;

use sheaf_protocol::ids::VaultName;
use sheaf_protocol::stamp::Stamp;

use super::*;
use crate::store::engine::Engine;
use crate::store::keys::cursors;
use crate::store::keys::items::{Body, Item};
use crate::store::memory::Memory;
use crate::store::verify::Checked;
use crate::store::witness::Witness;
use crate::store::{
    Aside, Checkpoint, Device, Facts, Folded, Head, ItemChange, Label, Made, Place, Renamed, Why,
};

const VAULT: VaultNo = VaultNo(3);

fn doc(number: u64) -> DocKey {
    DocKey { vault: VAULT, doc: DocId(Stamp::new(number, 0, 7)) }
}

fn vault() -> VaultName {
    "home".parse().unwrap()
}

struct Bench {
    engine: Arc<Memory>,
    store: Store,
    position: u64,
}

impl Bench {
    fn new() -> Self {
        let engine = Arc::new(Memory::new());
        let store = Store::new(engine.clone(), Witness::in_memory()).unwrap();
        let mut bench = Self { engine, store, position: 0 };
        bench.fold(|_, window, at| {
            let facts = Facts { name: vault(), epoch: 9, created: Stamp::ZERO, seq: 0 };
            window.vault_created(VAULT, at, &facts).unwrap();
        });
        bench
    }

    fn fold(&mut self, fill: impl FnOnce(&Store, &mut Window, u64)) {
        let mut window = self.store.window(false).unwrap();
        fill(&self.store, &mut window, self.position);
        self.position += 10;
        let folded = Folded { position: self.position, ..Folded::default() };
        self.store.commit(window, folded).unwrap();
    }

    /// A document with everything that one can have, and its deletion at `seq`.
    fn dead(&mut self, number: u64, seq: u64) {
        let (name, key) = (format!("file {number}"), doc(number));
        self.fold(|store, window, at| {
            let head =
                Head { name: name.clone(), epoch: number, created: key.doc.0, is_deleted: false };
            window.created(store, key, at, (&vault(), &head)).unwrap();
            for n in 1..=4 {
                let place = Place { n, position: at, stamp: key.doc.0, author: None };
                window.entry(store, key, place, b"entry").unwrap();
            }
            let aside = Aside {
                position: at,
                why: Why::Kept,
                n: 1,
                stamp: key.doc.0,
                author: None,
                payload: vec![0; 100_000],
            };
            window.lay_aside(store, key, &aside).unwrap();
        });
        self.item(number, (seq, false), None);
        self.store.put_checkpoint(key, 4, 0, b"state").unwrap();
        self.store.thin_log(key, 4, &mut |_| Vec::new()).unwrap();
        self.fold(|_, window, at| {
            let label = Label { name: "kept".into(), stamp: key.doc.0, author: None };
            window.named(key, at, (seq, Some(&label))).unwrap();
        });
        self.item(number, (seq + 1, true), Some(&name));
        self.fold(|_, window, at| window.retired(key, at, (&name, &[7])).unwrap());
    }

    fn item(&mut self, number: u64, (seq, is_deleted): (u64, bool), from: Option<&str>) {
        let (body, path) = (Body::Text, format!("file {number}").into());
        let updated = Stamp::new(seq, 0, 7);
        let (n, size, bytes, hash, author) = (4, 1, 1, None, None);
        let item = Item {
            seq,
            n,
            body,
            is_deleted,
            size,
            bytes,
            hash,
            updated,
            author,
            device: 0,
            path,
            from: None,
        };
        let prev_seq = if is_deleted { seq - 1 } else { 0 };
        let renamed = from.map(|from| Renamed { from, epoch: number });
        self.fold(|store, window, at| {
            let change = ItemChange { prev_seq, item: &item, made: &Made::default(), renamed };
            window.item(store, doc(number), (at, &vault()), change).unwrap();
        });
    }

    fn prune(&mut self, documents: &[(u64, u64)], horizon: u64) {
        let documents: Vec<_> =
            documents.iter().map(|(number, seq)| (doc(*number).doc, *seq)).collect();
        self.fold(|_, window, at| {
            let pruned = Pruned { horizon, documents: &documents, names: &[] };
            window.pruned(VAULT, at, pruned).unwrap();
        });
    }

    fn keys(&self) -> Vec<Vec<u8>> {
        self.engine.scan(&[], None, usize::MAX).unwrap().into_iter().map(|(key, _)| key).collect()
    }

    fn verify(&self) -> Checked {
        self.store.verify(&mut |_| (), &mut |_, _| Ok(())).unwrap()
    }
}

#[test]
fn a_forgotten_document_leaves_its_former_name_alone() {
    let mut bench = Bench::new();
    bench.dead(1, 1);
    let before = bench.keys();
    bench.dead(2, 3);
    assert!(bench.keys().len() > before.len() + 10, "it has keys of many kinds");
    bench.prune(&[(2, 4)], 4);
    let more: Vec<_> = bench.keys().into_iter().filter(|key| !before.contains(key)).collect();
    assert_eq!(more, [meta::horizon_key(VAULT), retired::key(doc(2), "file 2")]);
    assert!(before.iter().all(|key| bench.keys().contains(key)), "the other is whole");
    assert_eq!(bench.store.horizon(VAULT).unwrap(), 4);
    assert_eq!(bench.store.horizon(VaultNo(4)).unwrap(), 0);
    assert_eq!(bench.verify().findings, []);
    assert_eq!(bench.store.documents().len(), 1);
    assert!(matches!(bench.store.load(doc(2)), Err(Error::Unknown(_))), "it is not lost");
    let thinned = bench.store.thin_past(doc(2), 0, (&BTreeSet::new(), &[]), &[]);
    assert!(matches!(thinned, Err(Error::Unknown(_))), "nothing new is put");
    let names = bench.store.former_names(VAULT).unwrap();
    assert_eq!(names, [("file 1".to_owned(), doc(1).doc), ("file 2".to_owned(), doc(2).doc)]);
    let names = [(doc(2).doc, "file 2".to_owned())];
    bench.fold(|_, window, at| {
        let pruned = Pruned { horizon: 4, documents: &[], names: &names };
        window.pruned(VAULT, at, pruned).unwrap();
    });
    assert_eq!(bench.store.former_names(VAULT).unwrap().len(), 1);
}

#[test]
fn forgetting_goes_on_after_a_crash() {
    let mut bench = Bench::new();
    bench.dead(1, 1);
    bench.dead(2, 3);
    // As a fold leaves it that was stopped before it cleared anything away.
    let mut window = bench.store.window(false).unwrap();
    let documents = [(doc(1).doc, 2)];
    let pruned = Pruned { horizon: 2, documents: &documents, names: &[] };
    window.pruned(VAULT, bench.position, pruned).unwrap();
    window.has_gone = false;
    let folded = Folded { position: bench.position + 10, ..Folded::default() };
    bench.store.commit(window, folded).unwrap();
    assert!(bench.keys().contains(&keys::heads::key(doc(1))));
    assert_eq!(bench.verify().findings, [], "what is still to go is nothing wrong");
    bench.store.purge().unwrap();
    assert_eq!(bench.verify().findings, []);
    let left: Vec<_> =
        bench.keys().into_iter().filter(|key| keys::doc_of(key) == Some(doc(1))).collect();
    assert_eq!(left, [retired::key(doc(1), "file 1")]);
    assert_eq!(bench.engine.scan(&meta::key(meta::PRUNED), None, 10).unwrap(), []);
    let Checkpoint { n, .. } = bench.store.load(doc(2)).unwrap().checkpoint.unwrap();
    assert_eq!(n, 4, "the other is whole");
}

#[test]
fn a_witness_that_is_behind_learns_what_is_forgotten() {
    let mut bench = Bench::new();
    bench.dead(1, 1);
    let window = |store: &Store, at| {
        let mut window = store.window(false).unwrap();
        let documents = [(doc(1).doc, 2)];
        let pruned = Pruned { horizon: 2, documents: &documents, names: &[] };
        window.pruned(VAULT, at, pruned).unwrap();
        window
    };
    // The engine has it, and the server stops before the witness does.
    let mut first = window(&bench.store, bench.position);
    first.witness_from = u64::MAX;
    let folded = Folded { position: bench.position + 10, ..Folded::default() };
    bench.store.commit(first, folded).unwrap();
    assert_eq!(bench.store.documents().len(), 1);
    let again = window(&bench.store, bench.position);
    bench.store.commit(again, folded).unwrap();
    assert_eq!(bench.store.documents(), []);
    assert_eq!(bench.verify().findings, []);
}

#[test]
fn devices_are_kept_by_vault() {
    let mut bench = Bench::new();
    let device = Device { registered: 5, user: Some("ann".into()), ..Device::default() };
    let revoked = Device { is_revoked: true, ..device.clone() };
    bench.fold(|_, window, at| {
        window.device(VAULT, at, (9, Some(&device))).unwrap();
        window.device(VAULT, at, (8, Some(&device))).unwrap();
    });
    bench.fold(|_, window, at| {
        window.device(VAULT, at, (9, Some(&revoked))).unwrap();
        window.device(VAULT, at, (8, None)).unwrap();
    });
    assert_eq!(bench.store.devices(VAULT).unwrap(), (vec![(9, revoked)], 0));
    assert_eq!(bench.store.devices(VaultNo(4)).unwrap(), (vec![], 0));
    assert_eq!(bench.verify().findings, []);
    let mut batch = Batch::default();
    batch.put(cursors::key(VAULT, 7), b"junk".to_vec());
    bench.engine.apply(&batch).unwrap();
    assert_eq!(bench.store.devices(VAULT).unwrap().1, 1);
}
