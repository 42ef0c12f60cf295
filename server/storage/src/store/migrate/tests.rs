//! The chain of steps, driven with steps of its own.

use std::sync::Arc;

use sheaf_protocol::ids::{DocId, DocKey, VaultNo};
use sheaf_protocol::stamp::Stamp;

use super::{FORMAT, STEPS, Step, run, run_steps};
use crate::store::engine::{Batch, Engine};
use crate::store::keys::{heads, items, vaults};
use crate::store::memory::Memory;
use crate::store::witness::Witness;
use crate::store::{Body, Error, Head, Item, Made, Retired, Store, Version, value};

fn first(_: &dyn Engine, batch: &mut Batch) -> Result<(), Error> {
    batch.put("step", "first");
    Ok(())
}

fn second(engine: &dyn Engine, batch: &mut Batch) -> Result<(), Error> {
    assert_eq!(engine.get(b"step")?.as_deref(), Some(&b"first"[..]));
    batch.put("step", "second");
    Ok(())
}

fn failing(_: &dyn Engine, _: &mut Batch) -> Result<(), Error> {
    Err(Error::Engine { what: "get", cause: "disk".into() })
}

#[test]
fn a_new_store_gets_the_newest_format() {
    let engine = Memory::new();
    assert_eq!(run(&engine).unwrap(), None);
    assert_eq!(run(&engine).unwrap(), Some(FORMAT));
}

#[test]
fn an_old_store_walks_the_chain_step_by_step() {
    let engine = Memory::new();
    run_steps(&engine, &[]).unwrap();
    let steps: [Step; 2] = [first, second];
    assert_eq!(run_steps(&engine, &steps).unwrap(), Some(1));
    assert_eq!(engine.get(b"step").unwrap().unwrap(), b"second");
    assert_eq!(run_steps(&engine, &steps).unwrap(), Some(3));
}

#[test]
fn a_step_that_fails_leaves_the_version_it_started_from() {
    let engine = Memory::new();
    run_steps(&engine, &[]).unwrap();
    assert!(run_steps(&engine, &[first, failing]).is_err());
    assert_eq!(run_steps(&engine, &[first, second]).unwrap(), Some(2));
}

#[test]
fn a_newer_store_is_refused() {
    let engine = Memory::new();
    run_steps(&engine, &[first]).unwrap();
    let refused = run_steps(&engine, &[]);
    assert!(matches!(refused, Err(Error::Format { found: 2, newest: 1 })), "{refused:?}");
}

#[test]
fn content_without_a_version_is_refused() {
    let engine = Memory::new();
    let mut batch = Batch::default();
    batch.put("key", "value");
    engine.apply(&batch).unwrap();
    assert!(matches!(run(&engine), Err(Error::Corrupt { .. })));
}

#[test]
fn format_3_knows_deleted_documents_by_name() {
    let engine = Arc::new(Memory::new());
    run_steps(&*engine, &STEPS[..1]).unwrap();
    let mut batch = Batch::default();
    let vault = VaultNo(5);
    let doc = |ms| DocKey { vault, doc: DocId(Stamp::new(ms, 0, 7)) };
    let key = vaults::key(&"home".parse().unwrap());
    value::put_one(&mut batch, &key, &vaults::encode(vault)).unwrap();
    for (ms, is_deleted) in [(1, true), (2, false)] {
        let head = Head { name: "a.md".into(), epoch: ms, created: doc(ms).doc.0, is_deleted };
        value::put_one(&mut batch, &heads::key(doc(ms)), &head.encode()).unwrap();
    }
    engine.apply(&batch).unwrap();
    assert_eq!(run(&*engine).unwrap(), Some(2));
    let store = Store::new(engine, Witness::in_memory()).unwrap();
    let due = Retired { doc: doc(1).doc, clients: vec![] };
    assert_eq!(store.retired(vault, "a.md").unwrap(), [due]);
}

#[test]
fn format_4_has_a_version_of_every_item() {
    let engine = Arc::new(Memory::new());
    run_steps(&*engine, &STEPS[..2]).unwrap();
    let mut batch = Batch::default();
    let vault = VaultNo(5);
    let doc = DocKey { vault, doc: DocId(Stamp::new(1, 0, 7)) };
    let key = vaults::key(&"home".parse().unwrap());
    value::put_one(&mut batch, &key, &vaults::encode(vault)).unwrap();
    let item = Item {
        seq: 7,
        n: 3,
        body: Body::Text,
        is_deleted: false,
        size: 4,
        bytes: 5,
        hash: Some([6; 32]),
        updated: Stamp::new(2, 0, 7),
        author: Some("ann".into()),
        device: 0,
        path: "a.md".into(),
        from: None,
    };
    value::put_one(&mut batch, &items::key(doc), &item.encode()).unwrap();
    engine.apply(&batch).unwrap();
    assert_eq!(run(&*engine).unwrap(), Some(3));
    let store = Store::new(engine, Witness::in_memory()).unwrap();
    let made = Made { authors: vec![Some("ann".into())], ..Made::default() };
    let first = Version { prev_seq: 0, item, made };
    assert_eq!(store.version(doc, 7).unwrap().as_ref(), Some(&first));
    assert_eq!(store.versions(doc, None, 10).unwrap(), [first]);
    assert_eq!(store.activity(vault, None, 10).unwrap(), [(7, doc.doc)]);
}
