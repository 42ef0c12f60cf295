//! What makes one update of many, and what cannot.

use yrs::updates::decoder::Decode;
use yrs::{Doc, GetString, ReadTxn, StateVector, Text, Transact, Update};

use super::*;

/// The updates of somebody who writes these words one after the other, then deletes the first.
fn written(words: &[&str]) -> Vec<Vec<u8>> {
    let doc = Doc::with_client_id(7);
    let text = doc.get_or_insert_text("content");
    let mut updates = Vec::new();
    let mut step = |edit: &dyn Fn(&mut yrs::TransactionMut<'_>)| {
        let before = doc.transact().state_vector();
        edit(&mut doc.transact_mut());
        updates.push(doc.transact().encode_diff_v1(&before));
    };
    for word in words {
        step(&|txn| text.push(txn, word));
    }
    step(&|txn| text.remove_range(txn, 0, words[0].len() as u32));
    updates
}

fn text_of(update: &[u8]) -> String {
    let doc = Doc::new();
    let text = doc.get_or_insert_text("content");
    doc.transact_mut().apply_update(Update::decode_v1(update).unwrap()).unwrap();
    text.get_string(&doc.transact())
}

#[test]
fn many_updates_become_one() {
    let merged = merge(written(&["one ", "two ", "three"])).unwrap();
    assert!(merged.is_whole && !merged.is_empty);
    assert_eq!(text_of(&merged.update), "two three");
    let again = merge(vec![merged.update.clone(), merged.update.clone()]).unwrap();
    assert_eq!(text_of(&again.update), "two three");
}

#[test]
fn one_update_stays_as_it_is() {
    let doc = Doc::with_client_id(3);
    doc.get_or_insert_text("content").push(&mut doc.transact_mut(), "as it is");
    let update = doc.transact().encode_diff_v1(&StateVector::default());
    assert_eq!(merge(vec![update.clone()]).unwrap().update, update);
}

#[test]
fn what_stands_on_something_missing_is_left_out_and_told() {
    let mut updates = written(&["one ", "two ", "three"]);
    updates.remove(1);
    let merged = merge(updates).unwrap();
    assert!(!merged.is_whole);
    assert_eq!(text_of(&merged.update), "");
    let mut updates = written(&["one ", "two "]);
    updates.truncate(2);
    updates.remove(0);
    assert!(merge(updates).unwrap_err().contains("does not have"));
}

#[test]
fn nothing_written_is_an_empty_document() {
    for updates in [vec![], vec![vec![0, 0]], vec![vec![0, 0]; 3]] {
        let merged = merge(updates).unwrap();
        assert!(merged.is_empty && merged.is_whole);
        assert_eq!(merged.update, [0, 0]);
    }
}

#[test]
fn bytes_that_are_no_update_are_refused() {
    let whole = written(&["some words"]).remove(0);
    for bytes in [b"nothing".to_vec(), vec![], vec![1], whole[..whole.len() - 2].to_vec()] {
        assert!(merge(vec![bytes.clone()]).is_err(), "{bytes:?}");
        assert!(merge(vec![vec![0, 0], bytes]).is_err());
    }
}
