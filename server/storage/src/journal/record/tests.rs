//! The record's golden bytes, and what is not a record.

use sheaf_protocol::ids::{DocId, DocKey, VaultNo};
use sheaf_protocol::stamp::Stamp;

use super::*;

fn record() -> Record<'static> {
    let doc = DocId(Stamp::new(0x0192_3456_789a, 0xbcde, 0x1122_3344_5566_7788));
    Record {
        doc: DocKey { vault: VaultNo(0x0102_0304), doc },
        n: 5,
        kind: Kind::Update,
        stamp: Stamp::new(6, 7, 8),
        author: Some("ann"),
        payload: b"bytes",
    }
}

fn encoded() -> (Vec<u8>, u32) {
    let mut bytes = Vec::new();
    let crc = record().encode(&mut bytes, 0x1000, 0xa0b0_c0d0, 0x0ff0).unwrap();
    (bytes, crc)
}

#[test]
fn a_record_is_the_golden_bytes() {
    let (bytes, crc) = encoded();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let golden = [
        "48000000",
        &crc.to_le_bytes().map(|byte| format!("{byte:02x}")).concat(),
        "0010000000000000",
        "d0c0b0a0",
        "10000000",
        "04030201",
        "01923456789abcde1122334455667788",
        "0500000000000000",
        "00000000000600070000000000000008",
        "01",
        "01",
        "0300",
        "616e6e",
        "6279746573",
    ];
    assert_eq!(hex, golden.concat());
    assert_eq!(crc, 3_141_227_172);
    let placed = decode(&bytes, 0x1000).unwrap();
    assert_eq!(placed.record, record());
    assert_eq!((placed.link, placed.crc, placed.durable_then), (0xa0b0_c0d0, crc, 0x0ff0));
    assert_eq!((placed.len(), placed.end()), (80, 0x1050));
}

#[test]
fn a_record_without_an_author_is_not_one_with_an_empty_author() {
    for author in [None, Some("")] {
        let mut bytes = Vec::new();
        Record { author, ..record() }.encode(&mut bytes, 0, 0, 0).unwrap();
        assert_eq!(decode(&bytes, 0).unwrap().record.author, author);
    }
}

#[test]
fn no_prefix_and_no_flipped_bit_is_a_record() {
    let (bytes, _) = encoded();
    for len in 0..bytes.len() {
        assert_eq!(decode(&bytes[..len], 0x1000), None);
    }
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(decode(&flipped, 0x1000), None, "bit {bit}");
    }
    assert_eq!(decode(&bytes, 0x1001), None, "it stands elsewhere");
}

#[test]
fn what_is_too_large_is_refused_before_anything_is_written() {
    let mut bytes = vec![1, 2, 3];
    let payload = vec![0; PAYLOAD_BYTES_MAX + 1];
    let author = "a".repeat(AUTHOR_BYTES_MAX + 1);
    let long = Record { payload: &payload, ..record() };
    assert_eq!(long.encode(&mut bytes, 0, 0, 0), Err(TooLarge::Payload(payload.len())));
    let named = Record { author: Some(&author), ..record() };
    assert_eq!(named.encode(&mut bytes, 0, 0, 0), Err(TooLarge::Author(author.len())));
    assert_eq!(bytes, [1, 2, 3]);
    let payload = &payload[..PAYLOAD_BYTES_MAX];
    let largest = Record { payload, author: Some(&author[1..]), ..record() };
    let mut bytes = Vec::new();
    largest.encode(&mut bytes, 0, 0, 0).unwrap();
    assert_eq!(decode(&bytes, 0).unwrap().record, largest);
}

#[test]
fn kinds_keep_their_numbers() {
    let kinds = [
        Kind::Update,
        Kind::Created,
        Kind::Claim,
        Kind::Quarantined,
        Kind::Kept,
        Kind::Presence,
        Kind::Settled,
        Kind::Deleted,
        Kind::Moved,
        Kind::VaultCreated,
        Kind::VaultDropped,
        Kind::Retired,
        Kind::Named,
        Kind::Stamped,
        Kind::Together,
    ];
    for (number, kind) in (1..).zip(kinds) {
        assert_eq!((kind as u8, Kind::of(number)), (number, Some(kind)));
    }
    for (number, kind) in [(16, Kind::Device), (17, Kind::Pruned)] {
        assert_eq!((kind as u8, Kind::of(number)), (number, Some(kind)));
    }
    assert_eq!((Kind::of(0), Kind::of(18)), (None, None));
}
