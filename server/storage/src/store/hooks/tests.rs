//! What hooks keep, over a crash.

use std::sync::Arc;

use sheaf_protocol::ids::DocId;

use super::*;
use crate::store::engine::Engine;
use crate::store::keys::hooks::Open;
use crate::store::memory::Memory;
use crate::store::witness::Witness;

const ONE: HookId = HookId([1; 16]);
const TWO: HookId = HookId([2; 16]);

fn open(memory: &Arc<Memory>) -> Store {
    let engine: Arc<dyn Engine> = Arc::clone(memory) as _;
    Store::new(engine, Witness::in_memory()).expect("a store in memory opens")
}

fn vault(name: &str) -> VaultName {
    name.parse().expect("a vault's name")
}

fn place(seq: u64) -> Place {
    let doc = DocId(Stamp::new(5, 0, 7));
    let open = Open { doc, seq, is_new: true, failures: 2, failing_since_ms: 9 };
    Place { epoch: 3, seq, known_until_ms: 1, open: vec![open] }
}

#[test]
fn what_was_put_survives_a_crash() {
    let memory = Arc::new(Memory::new());
    let news = HookNews {
        begun_ms: Some(77),
        places: vec![(vault("a"), Some(place(4))), (vault("b"), Some(place(5)))],
        events: vec![(Stamp::new(1, 0, 1), b"one".to_vec()), (Stamp::new(2, 0, 1), vec![])],
        ..HookNews::default()
    };
    open(&memory).put_hook(ONE, &news).expect("put");
    let store = open(&Arc::new(memory.crashed(0)));
    let kept = store.hook(ONE).expect("read");
    assert_eq!(kept.begun_ms, Some(77));
    assert_eq!(kept.places, [(vault("a"), place(4)), (vault("b"), place(5))]);
    assert_eq!(kept.events, news.events);
    assert_eq!(store.hook(TWO).expect("read"), Hook::default(), "hooks do not mix");
}

#[test]
fn what_is_gone_is_gone_and_the_rest_stays() {
    let store = open(&Arc::new(Memory::new()));
    let events = vec![(Stamp::new(1, 0, 1), b"one".to_vec()), (Stamp::new(2, 0, 1), b"2".to_vec())];
    let places = vec![(vault("a"), Some(place(4))), (vault("b"), Some(place(5)))];
    store.put_hook(ONE, &HookNews { events, places, ..HookNews::default() }).expect("put");
    store.put_hook(TWO, &HookNews { begun_ms: Some(1), ..HookNews::default() }).expect("put");
    let gone = vec![Stamp::new(1, 0, 1)];
    let places = vec![(vault("a"), None)];
    store.put_hook(ONE, &HookNews { gone, places, ..HookNews::default() }).expect("put");
    let kept = store.hook(ONE).expect("read");
    assert_eq!(kept.places, [(vault("b"), place(5))]);
    assert_eq!(kept.events, [(Stamp::new(2, 0, 1), b"2".to_vec())]);
    assert_eq!(store.hooks().expect("read"), [ONE, TWO]);
    store.delete_hook(ONE).expect("deleted");
    assert_eq!(store.hooks().expect("read"), [TWO]);
}

#[test]
fn a_document_is_told_of_until_it_or_its_vault_is_gone() {
    let store = open(&Arc::new(Memory::new()));
    let docs = [1, 2, 3].map(|ms| DocId(Stamp::new(ms, 0, 7)));
    let told = vec![(vault("a"), docs[0]), (vault("a"), docs[1]), (vault("aa"), docs[2])];
    store.put_hook(ONE, &HookNews { told, ..HookNews::default() }).expect("put");
    let has = |hook, name, doc| store.has_hook_told(hook, &vault(name), doc).expect("read");
    assert!(has(ONE, "a", docs[0]) && has(ONE, "a", docs[1]) && has(ONE, "aa", docs[2]));
    assert!(!has(TWO, "a", docs[0]) && !has(ONE, "aa", docs[0]));
    let forgotten = vec![(vault("a"), docs[0])];
    store.put_hook(ONE, &HookNews { forgotten, ..HookNews::default() }).expect("put");
    assert!(!has(ONE, "a", docs[0]) && has(ONE, "a", docs[1]));
    let places = vec![(vault("a"), None)];
    store.put_hook(ONE, &HookNews { places, ..HookNews::default() }).expect("put");
    assert!(!has(ONE, "a", docs[1]) && has(ONE, "aa", docs[2]));
    assert_eq!(store.hook(ONE).expect("read"), Hook::default());
}

#[test]
fn a_place_with_all_it_may_hold_open_fits_one_record() {
    let store = open(&Arc::new(Memory::new()));
    let mut full = place(1);
    full.open = vec![full.open[0]; hooks::OPEN_MAX];
    let places = vec![(vault("a"), Some(full.clone()))];
    store.put_hook(ONE, &HookNews { places, ..HookNews::default() }).expect("it fits");
    assert_eq!(store.hook(ONE).expect("read").places, [(vault("a"), full)]);
}

#[test]
fn a_store_with_hooks_is_found_whole() {
    let store = open(&Arc::new(Memory::new()));
    let news = HookNews {
        begun_ms: Some(1),
        places: vec![(vault("a"), Some(place(4)))],
        events: vec![(Stamp::new(1, 0, 1), b"one".to_vec())],
        ..HookNews::default()
    };
    store.put_hook(ONE, &news).expect("put");
    let checked = store.verify(&mut |_| {}, &mut |_, _| Ok(())).expect("checked");
    assert!(checked.findings.is_empty(), "{:?}", checked.findings);
}
