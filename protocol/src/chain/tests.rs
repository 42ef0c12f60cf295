use super::*;
use crate::plan::{Clocks, Source, levels::Levels, plan};
use crate::scan::update;
use crate::units::units;
use crate::varint::write_uint;

/// Client 1 with `count` blocks, each of one element, that go on with the one before; then deletes
/// of the clocks given, one by one.
fn chain(count: u32, info: u8, content: &[u8], deletes: &[u32]) -> Vec<u8> {
    let mut out = vec![1];
    write_uint(&mut out, u64::from(count));
    out.extend_from_slice(&[1, 0, info, 1, 1, b't']);
    out.extend_from_slice(content);
    for clock in 1..count {
        out.extend_from_slice(&[info | 0x80, 1]);
        write_uint(&mut out, u64::from(clock - 1));
        out.extend_from_slice(content);
    }
    out.push(u8::from(!deletes.is_empty()));
    if !deletes.is_empty() {
        out.push(1);
        write_uint(&mut out, deletes.len() as u64);
        for clock in deletes {
            write_uint(&mut out, u64::from(*clock));
            out.push(1);
        }
    }
    out
}

/// The lengths of the blocks that a document with `clocks` is given.
fn planned(bytes: &[u8], clocks: &Clocks) -> Vec<u32> {
    let scanned = update(bytes).expect("well formed");
    let planned = plan(&scanned, Source::Update, clocks, &Levels::default());
    let planned = planned.expect("no refusal").expect("no gap");
    let written = update(&planned.bytes).expect("what is written scans");
    let blocks = |update: &Update<'_>| {
        let blocks = update.clone().events().filter_map(|event| match event {
            Event::Block(block) => Some((block.len, units(&block).count())),
            _ => None,
        });
        blocks.collect::<Vec<_>>()
    };
    let of = |blocks: &[(u32, usize)]| blocks.iter().map(|(_, units)| units).sum::<usize>();
    assert_eq!(of(&blocks(&scanned)), of(&blocks(&written)), "every element is there");
    blocks(&written).into_iter().map(|(len, _)| len).collect()
}

#[test]
fn long_chains_become_one_block() {
    for (info, content) in [(4, &b"\x01a"[..]), (8, &[1, 126]), (2, b"\x01\x011")] {
        assert_eq!(planned(&chain(100, info, content, &[]), &Clocks::new()), [100]);
    }
}

#[test]
fn what_the_store_has_is_left_as_it_is() {
    let bytes = chain(100, 4, b"\x01a", &[]);
    let stored = update(&bytes).expect("well formed");
    let planned = plan(&stored, Source::Stored, &Clocks::new(), &Levels::default());
    assert_eq!(planned.expect("no refusal").expect("no gap").bytes, bytes);
}

#[test]
fn short_chains_and_other_content_are_left_as_received() {
    assert_eq!(planned(&chain(20, 4, b"\x01a", &[]), &Clocks::new()), [1; 20]);
    assert_eq!(planned(&chain(100, 5, b"\x011", &[]), &Clocks::new()), [1; 100]);
    assert_eq!(planned(&chain(100, 7, &[1], &[]), &Clocks::new()), [1; 100]);
}

#[test]
fn values_of_a_map_are_not_joined() {
    let mut bytes = vec![1, 100, 1, 0, 0x28, 1, 1, b'm', 1, b'k', 1, 126];
    for clock in 0..99 {
        bytes.extend_from_slice(&[0xa8, 1, clock, 1, 126]);
    }
    bytes.push(0);
    assert_eq!(planned(&bytes, &Clocks::new()), [1; 100]);
}

#[test]
fn blocks_stay_apart_where_deletions_begin_and_end() {
    let bytes = chain(100, 4, b"\x01a", &[10, 11, 50]);
    assert_eq!(planned(&bytes, &Clocks::new()), [10, 1, 1, 38, 1, 49]);
}

#[test]
fn what_is_held_stays_apart_from_what_is_new() {
    let bytes = chain(100, 4, b"\x01a", &[]);
    assert_eq!(planned(&bytes, &Clocks::from([(1, 3)])), [1, 1, 1, 97]);
}
