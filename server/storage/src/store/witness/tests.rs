//! The witness's file: torn, damaged, rewritten.

use std::path::Path;
use std::sync::Arc;

use sheaf_protocol::ids::{DocId, DocKey, VaultNo};
use sheaf_protocol::stamp::Stamp;

use super::{Known, KnownVault, Mark, News, SLACK_BYTES, Witness};
use crate::store::Error;
use crate::store::disk::Files;
use crate::store::keys::meta::Folded;

fn open(dir: &Path) -> (Witness, super::Opened) {
    Witness::open(dir, Arc::new(Files)).unwrap()
}

fn doc(number: u64) -> DocKey {
    DocKey { vault: VaultNo(1), doc: DocId(Stamp::new(number, 0, 7)) }
}

fn known(number: u64, last_n: u64) -> Known {
    let mark = Mark { last_n, last_position: last_n * 10, ckpt_n: 1, ..Mark::default() };
    Known { mark, name: format!("document {number}").into(), is_deleted: false }
}

fn vault(seq: u64) -> KnownVault {
    KnownVault { name: "default".parse().unwrap(), number: VaultNo(1), epoch: 5, seq }
}

fn news(position: u64) -> News {
    News {
        folded: Folded { position, link: 3, presence: 4, ..Folded::default() },
        docs: vec![(doc(1), known(1, position)), (doc(position), known(position, 1))],
        vaults: vec![vault(position)],
        ..News::default()
    }
}

#[test]
fn what_was_said_is_known_after_it_is_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let (mut witness, opened) = open(dir.path());
    assert!(opened.is_new);
    witness.append(news(10)).unwrap();
    witness.append(news(20)).unwrap();
    drop(witness);
    let (witness, opened) = open(dir.path());
    assert_eq!((opened.is_new, opened.cut_bytes), (false, 0));
    assert_eq!(
        witness.folded(),
        Folded { position: 20, link: 3, presence: 4, ..Folded::default() }
    );
    assert_eq!(witness.known(doc(1)), Some(&known(1, 20)));
    assert_eq!(witness.docs(), [doc(1), doc(10), doc(20)]);
    assert_eq!(witness.find(VaultNo(1), "document 10"), Some(doc(10)));
    assert_eq!(witness.find(VaultNo(2), "document 10"), None);
    assert_eq!(witness.vaults().cloned().collect::<Vec<_>>(), [vault(20)]);
}

#[test]
fn a_document_that_is_forgotten_is_known_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let (mut witness, _) = open(dir.path());
    witness.append(news(10)).unwrap();
    let before = std::fs::metadata(dir.path().join("marks")).unwrap().len();
    let gone = News { folded: news(20).folded, gone: vec![doc(10)], ..News::default() };
    witness.append(gone).unwrap();
    drop(witness);
    let bytes = std::fs::read(dir.path().join("marks")).unwrap();
    // No vault, no deleted vault, one document: its key, and a flag with nothing behind it.
    let id: String = doc(10).doc.0.to_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let key = format!("01000000{id}");
    let tail: String = bytes[before as usize..].iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(tail.ends_with(&format!("000001{key}02")), "{tail}");
    let (witness, opened) = open(dir.path());
    assert_eq!(opened.cut_bytes, 0);
    assert_eq!((witness.known(doc(10)), witness.docs()), (None, vec![doc(1)]));
    assert_eq!(witness.find(VaultNo(1), "document 10"), None);
    assert_eq!(witness.find(VaultNo(1), "document 1"), Some(doc(1)));
}

#[test]
fn an_unfinished_statement_is_cut_whatever_its_length() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("marks");
    let (mut witness, _) = open(dir.path());
    witness.append(news(10)).unwrap();
    let whole = std::fs::metadata(&path).unwrap().len() as usize;
    witness.append(news(20)).unwrap();
    drop(witness);
    let all = std::fs::read(&path).unwrap();
    for len in whole..all.len() {
        std::fs::write(&path, &all[..len]).unwrap();
        let (mut witness, opened) = open(dir.path());
        assert_eq!(opened.cut_bytes, (len - whole) as u64);
        assert_eq!(witness.folded().position, 10);
        witness.append(news(20)).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), all);
    }
}

#[test]
fn a_bad_statement_before_others_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("marks");
    let (mut witness, _) = open(dir.path());
    witness.append(news(10)).unwrap();
    let first = std::fs::metadata(&path).unwrap().len() as usize;
    witness.append(news(20)).unwrap();
    drop(witness);
    let all = std::fs::read(&path).unwrap();
    for at in 0..first {
        let mut bytes = all.clone();
        bytes[at] ^= 0x10;
        std::fs::write(&path, &bytes).unwrap();
        let refused = Witness::open(dir.path(), Arc::new(Files));
        assert!(matches!(refused, Err(Error::WitnessDamaged { .. })), "byte {at}");
    }
}

#[test]
fn it_is_rewritten_when_it_has_grown_and_says_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("marks");
    let (mut witness, _) = open(dir.path());
    let many: Vec<_> = (0..2_500).map(|number| (doc(number), known(number, 1))).collect();
    let mut position = 0;
    let mut largest = 0;
    loop {
        position += 1;
        let folded = Folded { position, link: 0, ..Folded::default() };
        witness.append(News { folded, docs: many.clone(), ..News::default() }).unwrap();
        let len = std::fs::metadata(&path).unwrap().len();
        if len < largest {
            break;
        }
        largest = len;
    }
    assert!(largest > SLACK_BYTES / 2);
    witness.append(news(3_000)).unwrap();
    let docs = witness.docs();
    drop(witness);
    let (witness, opened) = open(dir.path());
    assert_eq!(opened.cut_bytes, 0);
    assert_eq!(witness.docs(), docs);
    assert_eq!(witness.known(doc(2_000)), Some(&known(2_000, 1)));
    assert_eq!(witness.known(doc(1)), Some(&known(1, 3_000)));
    assert_eq!(witness.folded().position, 3_000);
}
