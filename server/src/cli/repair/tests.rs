//! What a repair says is what it did.

use sheaf_protocol::ids::{DocId, DocKey, VaultNo};
use sheaf_protocol::stamp::Stamp;

use super::*;
use sheaf_storage::journal::payload::Created;
use sheaf_storage::journal::{Config, Journal, Kind, Record};
use sheaf_storage::store::Store;

fn key(number: u64) -> DocKey {
    DocKey { vault: VaultNo(1), doc: DocId(Stamp::new(number, 0, 7)) }
}

/// A data directory, closed, with a document for each count: so many entries that do not merge,
/// `missing` of which are left out before the last one.
fn directory(counts: &[u64], missing: u64) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::open(dir.path()).expect("a store");
    let config = Config::new(dir.path().join("journal"));
    let (journal, _) = Journal::open(config, store).expect("a journal");
    let append = |doc: DocKey, n, kind, payload: &[u8]| {
        let record = Record { doc, n, kind, stamp: doc.doc.0, author: None, payload };
        journal.append(&[record]).expect("a healthy disk");
    };
    for (number, count) in (1..).zip(counts) {
        let mut payload = Vec::new();
        let vault = "default".parse().expect("a name");
        Created { vault, name: format!("page {number}"), epoch: 1 }.encode(&mut payload);
        append(key(number), 0, Kind::Created, &payload);
        for n in 1..=*count {
            let n = if n == *count { n + missing } else { n };
            append(key(number), n, Kind::Update, b"no update");
        }
    }
    journal.close().expect("it folds");
    dir
}

fn said(dir: &tempfile::TempDir) -> String {
    let (repaired, closed) = repair(dir.path(), 7).expect("it can be repaired");
    let mut out = Vec::new();
    write_lines(&repaired, closed, &mut out).expect("a Vec takes everything");
    String::from_utf8(out).expect("text")
}

#[test]
fn what_is_whole_is_called_whole() {
    assert_eq!(said(&directory(&[0], 0)), "every document is whole\n");
}

#[test]
fn entries_that_do_not_merge_are_told() {
    let text = said(&directory(&[3, 0], 0));
    assert!(text.contains("\"page 1\"") && text.contains("3 entries do not merge and"), "{text}");
    assert!(text.ends_with("1 document lost something; all can be opened\n"), "{text}");
}

#[test]
fn a_document_with_too_many_of_them_is_not_called_openable() {
    let text = said(&directory(&[70, 1], 0));
    assert!(text.contains("65 entries do not merge: it cannot be opened"), "{text}");
    assert!(text.ends_with("2 documents lost something; 1 cannot be opened\n"), "{text}");
}

#[test]
fn a_document_that_lost_entries_is_counted_once() {
    let text = said(&directory(&[3], 2));
    assert!(text.contains("entries 3 to 4\n"), "{text}");
    assert!(text.ends_with("1 document lost something; all can be opened\n"), "{text}");
}

#[test]
fn a_lost_journal_is_not_called_whole() {
    let dir = directory(&[0], 0);
    for entry in std::fs::read_dir(dir.path().join("journal")).expect("it is there") {
        std::fs::remove_file(entry.expect("an entry").path()).expect("it goes");
    }
    let text = said(&dir);
    assert!(text.contains("no document is known to have lost something; the last"), "{text}");
    assert!(!text.contains("whole"), "{text}");
}
