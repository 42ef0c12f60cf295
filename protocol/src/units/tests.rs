use super::*;
use crate::scan::{Event, update};

/// The units of one block under root `t`.
fn units_of(kind: u8, content: &[u8]) -> Vec<Unit<'static>> {
    let bytes = [&[1, 1, 1, 0, kind, 1, 1, b't'], content, &[0]].concat().leak();
    let block = update(bytes).expect("well formed").events().find_map(|event| match event {
        Event::Block(block) => Some(block),
        _ => None,
    });
    let block = block.expect("one block");
    units(&block).collect()
}

fn is_same(a: (u8, &[u8]), b: (u8, &[u8])) -> bool {
    let (a, b) = (units_of(a.0, a.1), units_of(b.0, b.1));
    a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| a.is_same(b) && b.is_same(a))
}

#[test]
fn text_is_compared_by_utf_16_units() {
    assert!(is_same((4, b"\x02hi"), (4, b"\x02hi")));
    assert!(!is_same((4, b"\x02hi"), (4, b"\x02ho")));
    assert!(!is_same((4, b"\x011"), (8, &[1, 125, 1])));
    assert_eq!(units_of(4, "\u{4}\u{1f600}".as_bytes()).len(), 2);
}

#[test]
fn halves_of_a_split_emoji_match_what_replaced_them() {
    assert!(is_same((4, "\u{4}\u{1f600}".as_bytes()), (4, "\u{6}\u{fffd}\u{fffd}".as_bytes())));
    assert!(!is_same((4, b"\x01a"), (4, "\u{3}\u{fffd}".as_bytes())));
}

#[test]
fn values_are_compared_across_encodings() {
    let (ab, ba) = (b"\x01\x76\x02\x01a\x7e\x01b\x78", b"\x01\x76\x02\x01b\x78\x01a\x7e");
    assert!(is_same((8, ab), (8, ba)));
    assert!(is_same((2, b"\x02\x011\x09undefined"), (8, &[2, 125, 1, 127])));
    assert!(is_same((2, b"\x01\x13{\"b\":true,\"a\":null}"), (8, ab)));
    assert!(!is_same((8, &[1, 125, 1]), (8, &[1, 125, 2])));
}

#[test]
fn single_contents_are_compared_by_what_they_say() {
    assert!(is_same((5, b"\x0d{\"a\":1,\"b\":2}"), (5, b"\x10{\"b\":2, \"a\":1.0}")));
    assert!(is_same((6, b"\x01b\x04true"), (6, b"\x01b\x05 true")));
    assert!(!is_same((6, b"\x01b\x04true"), (6, b"\x01i\x04true")));
    assert!(!is_same((6, b"\x01b\x04true"), (6, b"\x01b\x04null")));
    assert!(!is_same((7, b"\x03\x01p"), (7, b"\x03\x01q")));
    assert!(!is_same((7, &[0]), (7, &[1])));
    assert!(is_same((9, &[1, b'g', 118, 0]), (9, &[1, b'g', 118, 1, 2, b'g', b'c', 120])));
    assert!(!is_same((9, &[1, b'g', 118, 0]), (9, &[1, b'h', 118, 0])));
    assert!(!is_same((3, &[1, 1]), (3, &[1, 2])));
}

#[test]
fn what_is_deleted_has_no_units_however_much_it_claims() {
    // Found by fuzzing: half a billion units of eleven bytes.
    let bytes = [1, 1, 1, 0, 0, 0xff, 0xff, 0xff, 0xff, 1, 0];
    let events = update(&bytes).expect("well formed").events();
    let blocks = events.filter_map(|event| match event {
        Event::Block(block) => Some(block),
        _ => None,
    });
    assert_eq!(blocks.flat_map(|block| units(&block)).count(), 0);
    assert!(units_of(1, &[2]).is_empty());
}
