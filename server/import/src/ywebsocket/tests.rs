//! What `@y/websocket-server` 0.1.1 and y-leveldb 0.1.2 wrote.

use super::*;
use crate::leveldb::tests::{FIXTURE, copy, spoil};

fn names(documents: Documents) -> Vec<String> {
    documents.map(|found| found.unwrap().name).collect()
}

#[test]
fn neighbours_of_one_name_are_a_document() {
    let found: Vec<_> = open(FIXTURE.as_ref()).unwrap().map(|found| found.unwrap()).collect();
    let counts: Vec<_> =
        found.iter().map(|document| (&*document.name, document.updates.len())).collect();
    assert_eq!(counts, [("text", 6), ("a%20b", 4)], "and none of the document that was cleared");
    assert_eq!(found[0].updates[0], [0, 0], "which their server writes when one is opened");
}

#[test]
fn names_are_unescaped_where_they_are_paths() {
    assert_eq!(names(open_unescaped(FIXTURE.as_ref()).unwrap()), ["text", "a b"]);
}

#[test]
fn damage_is_told_and_the_rest_is_read() {
    let dir = copy();
    spoil(&dir.path().join("000008.ldb"), 40);
    let found: Vec<_> = open(dir.path()).unwrap().collect();
    let told: Vec<_> = found.iter().filter_map(|found| found.as_ref().err()).collect();
    assert_eq!(told.len(), 1);
    assert!(told[0].to_string().starts_with("000008.ldb at 0: a checksum"), "{}", told[0]);
    assert!(found.iter().flatten().any(|document| document.name == "text"));
}

#[test]
fn keys_of_another_application_are_none_of_ours() {
    for key in [&b"user:1"[..], b"", &[0, 2, b'v', b'2'], &[0, 2, b'v', b'1', 0]] {
        assert!(Key::of(key).is_none(), "{key:?}");
    }
    let update = b"\x00\x02v1\x00\x01a\x00\x06update\x01\x00\x00\x00\x07";
    assert!(matches!(Key::of(update), Some(Key::Update("a"))));
    assert!(matches!(Key::of(b"\x00\x05v1_sv\x00\x01a"), Some(Key::Other)));
    assert!(matches!(Key::of(b"\x00\x02v1\x00\x01a\x00\x04meta\x00\x01k"), Some(Key::Other)));
}
