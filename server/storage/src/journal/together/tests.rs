//! Golden bytes of a record of many changes, and what is none.

use sheaf_protocol::ids::VaultNo;

use super::super::record::decode;
use super::*;

fn doc(number: u64) -> DocKey {
    DocKey { vault: VaultNo(2), doc: DocId(Stamp::new(number, 0, 7)) }
}

fn records() -> [Record<'static>; 2] {
    let stamp = Stamp::new(6, 7, 8);
    let one =
        Record { doc: doc(1), n: 5, kind: Kind::Claim, stamp, author: Some("ann"), payload: b"ab" };
    [one, Record { doc: doc(2), n: 0x0102, kind: Kind::Update, payload: b"", ..one }]
}

fn payload() -> Vec<u8> {
    let mut payload = Vec::new();
    records().iter().for_each(|record| push(&mut payload, record));
    payload
}

/// The bytes of a record around this payload, at position 100.
fn around(payload: &[u8]) -> Vec<u8> {
    let doc = DocKey { doc: DocId(Stamp::ZERO), ..doc(0) };
    let kind = Kind::Together;
    let record = Record { doc, n: 0, kind, payload, ..records()[0] };
    let mut bytes = Vec::new();
    record.encode(&mut bytes, 100, 0, 0).unwrap();
    bytes
}

#[test]
fn many_changes_are_the_golden_bytes() {
    let hex: String = payload().iter().map(|byte| format!("{byte:02x}")).collect();
    let stamp = "00000000000600070000000000000008";
    let golden = [
        "03",
        "00000000000100000000000000000007",
        "0500000000000000",
        stamp,
        "02000000",
        "6162",
        "01",
        "00000000000200000000000000000007",
        "0201000000000000",
        stamp,
        "00000000",
    ];
    assert_eq!(hex, golden.concat());
    let bytes = around(&payload());
    let parts = parts(&decode(&bytes, 100).unwrap()).unwrap();
    let positions: Vec<u64> = parts.iter().map(|(position, _)| *position).collect();
    let start = 100 + (FRAME_BYTES + HEAD_BYTES) as u64 + 3;
    assert_eq!(positions, [start, start + PART_HEAD_BYTES as u64 + 2]);
    let found: Vec<Record<'_>> = parts.into_iter().map(|(_, record)| record).collect();
    assert_eq!(found, records());
}

#[test]
fn a_record_that_is_one_change_is_that_change() {
    let mut bytes = Vec::new();
    records()[0].encode(&mut bytes, 100, 0, 0).unwrap();
    assert_eq!(parts(&decode(&bytes, 100).unwrap()), Some(vec![(100, records()[0])]));
}

#[test]
fn what_is_cut_or_nested_is_none() {
    let payload = payload();
    let whole = [0, PART_HEAD_BYTES + 2, payload.len()];
    for len in 0..=payload.len() {
        let bytes = around(&payload[..len]);
        let is_some = parts(&decode(&bytes, 100).unwrap()).is_some();
        assert_eq!(is_some, whole.contains(&len), "{len} bytes");
    }
    let mut nested = payload;
    nested[0] = Kind::Together as u8;
    assert_eq!(parts(&decode(&around(&nested), 100).unwrap()), None);
}
