//! Items and feeds through folds, and what damage and deleted vaults leave.

use std::sync::Arc;

use sheaf_protocol::stamp::Stamp;

use super::*;
use crate::store;
use crate::store::engine::Engine;
use crate::store::keys::items::Body;
use crate::store::keys::retired;
use crate::store::memory::Memory;
use crate::store::verify::Checked;
use crate::store::witness::Witness;
use crate::store::{Folded, Place, Retired};

const VAULT: VaultNo = VaultNo(3);

fn doc(number: u64) -> DocKey {
    DocKey { vault: VAULT, doc: DocId(Stamp::new(number, 0, 7)) }
}

fn vault() -> VaultName {
    "home".parse().unwrap()
}

fn item(seq: u64, path: &str, is_deleted: bool) -> Item {
    Item {
        seq,
        n: 1,
        body: Body::Text,
        is_deleted,
        size: 1,
        bytes: 1,
        hash: None,
        updated: Stamp::new(seq, 0, 7),
        author: None,
        device: 0,
        path: path.into(),
        from: None,
    }
}

struct Bench {
    engine: Arc<Memory>,
    store: Store,
    position: u64,
}

impl Bench {
    /// Two files; the second was moved, so that its first row is gone.
    fn new() -> Self {
        let engine = Arc::new(Memory::new());
        let store = Store::new(engine.clone(), Witness::in_memory()).unwrap();
        let mut bench = Self { engine, store, position: 0 };
        bench.fold(|store, window, at| {
            let facts = Facts { name: vault(), epoch: 9, created: Stamp::ZERO, seq: 0 };
            window.vault_created(VAULT, at, &facts).unwrap();
            for number in 1..=2 {
                let (name, created) = (format!("file {number}"), doc(number).doc.0);
                let head = Head { name, epoch: number, created, is_deleted: false };
                window.created(store, doc(number), at, (&vault(), &head)).unwrap();
                let stamp = Stamp::new(5, 0, 7);
                let place = Place { n: 1, position: at, stamp, author: None };
                window.entry(store, doc(number), place, b"entry").unwrap();
                let item = item(number, &format!("file {number}"), false);
                let change =
                    ItemChange { prev_seq: 0, item: &item, made: &Made::default(), renamed: None };
                window.item(store, doc(number), (at, &vault()), change).unwrap();
            }
        });
        bench.rename("file 2", &item(3, "moved", false), 2);
        bench
    }

    fn fold(&mut self, fill: impl FnOnce(&Store, &mut Window, u64)) {
        let mut window = self.store.window(false).unwrap();
        fill(&self.store, &mut window, self.position);
        self.position += 10;
        let folded = Folded { position: self.position, link: 0, ..Folded::default() };
        self.store.commit(window, folded).unwrap();
    }

    fn rename(&mut self, from: &str, item: &Item, prev_seq: u64) {
        self.fold(|store, window, at| {
            let renamed = Some(Renamed { from, epoch: 2 });
            let change = ItemChange { prev_seq, item, made: &Made::default(), renamed };
            window.item(store, doc(2), (at, &vault()), change).unwrap();
        });
    }

    fn verify(&self) -> Checked {
        self.store.verify(&mut |_| (), &mut |_, _| Ok(())).unwrap()
    }

    fn remove(&self, key: Vec<u8>) {
        let mut batch = Batch::default();
        batch.delete(key);
        self.engine.apply(&batch).unwrap();
    }
}

#[test]
fn a_move_and_a_deletion_free_the_name_and_keep_one_row() {
    let mut bench = Bench::new();
    assert_eq!(bench.store.find(VAULT, "file 2").unwrap(), None);
    assert_eq!(bench.store.find(VAULT, "moved").unwrap(), Some(doc(2).doc));
    assert_eq!(bench.store.load(doc(2)).unwrap().head.name, "moved");
    assert_eq!(bench.verify().findings, []);
    bench.rename("moved", &item(4, "moved", true), 3);
    assert_eq!(bench.store.find(VAULT, "moved").unwrap(), None);
    assert!(bench.store.load(doc(2)).unwrap().head.is_deleted, "the log is kept");
    let feed = bench.store.feed(VAULT).unwrap();
    let rows: Vec<(u64, DocId)> = feed.rows.into_iter().collect();
    assert_eq!(rows, [(1, doc(1).doc), (4, doc(2).doc)]);
    assert_eq!((feed.seq, feed.facts.unwrap().epoch, feed.damaged), (4, 9, 0));
    assert_eq!(bench.verify().findings, []);
}

#[test]
fn a_deleted_or_moved_document_is_known_by_the_names_it_had_and_by_its_client_ids() {
    let mut bench = Bench::new();
    let retired = |bench: &Bench, name| bench.store.retired(VAULT, name).unwrap();
    let row = |number, clients: &[u64]| Retired { doc: doc(number).doc, clients: clients.to_vec() };
    bench.rename("moved", &item(4, "moved", true), 3);
    assert_eq!(retired(&bench, "moved"), [row(2, &[])], "they are in its log");
    bench.fold(|_, window, at| window.retired(doc(2), at, ("moved", &[7, 5])).unwrap());
    assert_eq!(retired(&bench, "moved"), [row(2, &[7, 5])]);
    assert_eq!(retired(&bench, "file 2"), [row(2, &[])], "it was moved from there");
    assert_eq!(retired(&bench, "move"), []);
    assert_eq!(bench.verify().findings, []);
    // One that is damaged is reported, and counts as one without ids.
    let key = retired::key(doc(2), "moved");
    let mut value = bench.engine.get(&key).unwrap().unwrap();
    *value.last_mut().unwrap() ^= 1;
    let mut batch = Batch::default();
    batch.put(key, value);
    bench.engine.apply(&batch).unwrap();
    assert_eq!(retired(&bench, "moved"), [row(2, &[])]);
    assert_eq!(bench.verify().findings.len(), 1);
}

#[test]
fn of_many_documents_of_a_name_the_latest_are_remembered() {
    let bench = Bench::new();
    // As a migration leaves it, which trims nothing.
    let mut batch = Batch::default();
    for number in 10..610 {
        store::retired::put(&mut batch, (doc(number), "a"), &[number]).unwrap();
    }
    bench.engine.apply(&batch).unwrap();
    let found = bench.store.retired(VAULT, "a").unwrap();
    let clients: Vec<u64> = found.into_iter().flat_map(|row| row.clients).collect();
    assert_eq!(clients, Vec::from_iter(546..610));
}

#[test]
fn of_the_rows_of_a_name_no_more_are_stored_than_are_remembered() {
    let mut bench = Bench::new();
    let stored = |bench: &Bench, name| {
        let rows = bench.engine.scan(&retired::prefix(VAULT, name), None, usize::MAX).unwrap();
        rows.iter().map(|(key, _)| retired::doc(key).unwrap()).collect::<Vec<_>>()
    };
    let latest = |numbers: std::ops::Range<u64>| numbers.map(doc).collect::<Vec<_>>();
    bench.fold(|_, window, at| {
        window.retired(doc(3), at, ("b", &[3])).unwrap();
        (10..110).for_each(|number| window.retired(doc(number), at, ("a", &[number])).unwrap());
    });
    assert_eq!(stored(&bench, "a"), latest(46..110));
    bench.fold(|_, window, at| window.retired(doc(110), at, ("a", &[110])).unwrap());
    assert_eq!(stored(&bench, "a"), latest(47..111));
    // One of which there is no row any more, whose client ids come in a later window.
    bench.fold(|_, window, at| window.retired(doc(46), at, ("a", &[46])).unwrap());
    assert_eq!(stored(&bench, "a"), latest(47..111));
    // One that is there.
    bench.fold(|_, window, at| window.retired(doc(50), at, ("a", &[5])).unwrap());
    assert_eq!(stored(&bench, "a"), latest(47..111));
    assert_eq!(bench.store.retired(VAULT, "a").unwrap()[3].clients, [5]);
    assert_eq!(stored(&bench, "b"), [doc(3)]);
}

#[test]
fn a_feed_that_lost_something_is_reported_and_mended_by_leaving_it_out() {
    let bench = Bench::new();
    bench.remove(feed::key(VAULT, 1));
    bench.remove(items::key(doc(2)));
    assert_eq!(bench.verify().findings.len(), 2);
    assert_eq!(bench.store.mend_feeds().unwrap(), 2);
    assert_eq!(bench.verify().findings, []);
    let feed = bench.store.feed(VAULT).unwrap();
    assert!(feed.items.is_empty() && feed.rows.is_empty());
    assert_eq!(feed.seq, 3, "no seq is given twice");
}

#[test]
fn facts_that_were_lost_are_not_made_up() {
    let bench = Bench::new();
    bench.remove(meta::facts_key(VAULT));
    let feed = bench.store.feed(VAULT).unwrap();
    assert_eq!((feed.facts, feed.damaged, feed.seq), (None, 1, 3));
    assert_eq!(bench.verify().findings.len(), 1);
}

#[test]
fn a_deleted_vault_leaves_nothing_but_its_number() {
    let mut bench = Bench::new();
    bench.fold(|store, window, at| {
        window.vault_dropped(store, VAULT, (at, &vault())).unwrap();
    });
    assert_eq!(bench.engine.scan(&VAULT.0.to_be_bytes(), None, 10).unwrap(), []);
    assert_eq!((bench.store.vaults().unwrap().len(), bench.store.documents().len()), (0, 0));
    assert_eq!(bench.store.last_vault().unwrap(), VAULT);
    assert_eq!(bench.verify().findings, []);
}

#[test]
fn clearing_away_goes_on_after_a_crash() {
    let bench = Bench::new();
    // As a fold leaves it that was stopped before it cleared anything away.
    let mut batch = Batch::default();
    value::put_one(&mut batch, &meta::dropped_key(VAULT), &[]).unwrap();
    bench.engine.apply(&batch).unwrap();
    assert!(!bench.engine.scan(&VAULT.0.to_be_bytes(), None, 10).unwrap().is_empty());
    bench.store.purge().unwrap();
    assert_eq!(bench.engine.scan(&VAULT.0.to_be_bytes(), None, 10).unwrap(), []);
    assert_eq!(bench.engine.scan(&meta::key(meta::DROPPED), None, 10).unwrap(), []);
}
