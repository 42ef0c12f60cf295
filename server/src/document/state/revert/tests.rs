//! Random documents of every kind of content, changed by others, and made again what they were.

use proptest::collection::vec;
use proptest::prelude::*;
use yrs::{
    Array, ArrayPrelim, GetString, Map as _, MapPrelim, StateVector, Text, Xml, XmlElementPrelim,
    XmlFragment, XmlTextPrelim,
};

use super::*;

const CLIENT: u32 = 7;

fn doc_of(client: u64, state: Option<&[u8]>) -> Doc {
    let mut options = Options::with_client_id(ClientID::new(client));
    options.offset_kind = OffsetKind::Utf16;
    let doc = Doc::with_options(options);
    if let Some(state) = state {
        apply(&doc, state, None).unwrap();
    }
    doc
}

fn encoded(doc: &Doc) -> Vec<u8> {
    doc.transact().encode_state_as_update_v1(&StateVector::default())
}

/// A page of one paragraph, as an update.
pub(crate) fn page(client: u64, text: &str) -> Vec<u8> {
    let doc = doc_of(client, None);
    change(&doc, 0, 0, text);
    encoded(&doc)
}

/// One random change of one of four roots.
fn change(doc: &Doc, what: u8, at: u32, text: &str) {
    let (xml, list) = (doc.get_or_insert_xml_fragment("page"), doc.get_or_insert_array("list"));
    let (map, rich) = (doc.get_or_insert_map("map"), doc.get_or_insert_text("rich"));
    let mut txn = doc.transact_mut();
    let lens = (xml.len(&txn), list.len(&txn), rich.len(&txn));
    let child = xml.get(&txn, at % lens.0.max(1)).and_then(|it| it.into_xml_element());
    let key = format!("key {}", at % 4);
    match what % 11 {
        0 => {
            let child = xml.insert(&mut txn, at % (lens.0 + 1), XmlElementPrelim::empty("p"));
            child.insert(&mut txn, 0, XmlTextPrelim::new(text));
        }
        1 if lens.0 > 0 => xml.remove_range(&mut txn, at % lens.0, 1),
        2 => {
            let Some(child) = child else { return };
            child.insert_attribute(&mut txn, "level", text);
            let inner = child.get(&txn, 0).and_then(|it| it.into_xml_text());
            let Some(inner) = inner else { return };
            let len = inner.get_string(&txn).encode_utf16().count() as u32;
            inner.insert(&mut txn, at % (len + 1), "x");
        }
        3 => drop(list.insert(&mut txn, at % (lens.1 + 1), text)),
        4 if lens.1 > 0 => list.remove(&mut txn, at % lens.1),
        5 => drop(list.insert(&mut txn, 0, ArrayPrelim::from([text.to_owned()]))),
        6 => drop(map.insert(&mut txn, key, text)),
        7 => drop(map.remove(&mut txn, &key)),
        8 => {
            let inner = MapPrelim::from([("inner".to_owned(), text.to_owned())]);
            map.insert(&mut txn, key, inner);
        }
        9 => rich.insert(&mut txn, at % (lens.2 + 1), "ab"),
        10 if lens.2 > 0 => rich.remove_range(&mut txn, at % lens.2, 1),
        _ => {}
    }
}

type Change = (u8, u32, bool);

fn changes() -> impl Strategy<Value = Vec<Change>> {
    vec((any::<u8>(), 0..64_u32, any::<bool>()), 0..24)
}

/// What it is made again from a later state, on a replica that follows; `None`: refused.
fn reverted(before: &[Change], after: &[Change]) -> Option<()> {
    let doc = doc_of(1, None);
    for (what, at, is_long) in before {
        change(&doc, *what, *at, if *is_long { "some words" } else { "w" });
    }
    let (was, due) = (encoded(&doc), held(&doc));
    let others = [doc_of(2, Some(&was)), doc_of(3, Some(&was))];
    for (what, at, is_second) in after {
        change(&others[usize::from(*is_second)], *what, *at, "theirs");
    }
    let live = doc_of(4, Some(&encoded(&others[0])));
    apply(&live, &encoded(&others[1]), None).unwrap();
    match revert(&was, &encoded(&live), CLIENT) {
        Ok(Some(update)) => apply(&live, &update, None).unwrap(),
        Ok(None) => {}
        Err(refusal) => {
            assert_eq!(refusal.code, Code::NotText);
            return None;
        }
    }
    assert_eq!(held(&live), due);
    Some(())
}

#[test]
fn a_page_is_again_what_it_was() {
    let before = [(0, 0, true), (0, 1, true), (6, 0, true), (3, 0, true), (9, 0, true)];
    let after =
        [(1, 0, false), (0, 0, true), (2, 0, false), (7, 0, false), (4, 0, true), (10, 1, false)];
    assert_eq!(reverted(&before, &after), Some(()));
    assert_eq!(reverted(&before, &[]), Some(()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn whatever_is_made_again_is_exactly_what_it_was(before in changes(), after in changes()) {
        reverted(&before, &after);
    }
}

#[test]
fn nearly_everything_can_be_made_again() {
    let mut draws = sheaf_ground::time::Seed::fixed(1).generator("revert");
    let mut draw = |count: usize| -> Vec<Change> {
        use rand::RngExt;
        (0..count).map(|_| (draws.random(), draws.random_range(0..64), draws.random())).collect()
    };
    let all = 400;
    let done = (0..all).filter(|_| reverted(&draw(20), &draw(20)).is_some()).count();
    println!("{done} of {all}");
    assert!(done * 100 >= all * 99, "{done} of {all}");
}
