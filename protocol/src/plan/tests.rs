use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::scan;
use crate::varint::write_uint;

/// A block of one character, by the element it was inserted after.
type After = Option<(u64, u32)>;

/// Client id, first clock, blocks.
type Part = (u64, u32, Vec<After>);

fn encoded(parts: &[Part]) -> Vec<u8> {
    let mut out = Vec::new();
    write_uint(&mut out, parts.len() as u64);
    for (client, clock, blocks) in parts {
        write_uint(&mut out, blocks.len() as u64);
        write_uint(&mut out, *client);
        write_uint(&mut out, u64::from(*clock));
        for after in blocks {
            match after {
                None => out.extend_from_slice(&[4, 1, 1, b't']),
                Some((client, clock)) => {
                    out.push(0x84);
                    write_uint(&mut out, *client);
                    write_uint(&mut out, u64::from(*clock));
                }
            }
            out.extend_from_slice(&[1, b'a']);
        }
    }
    out.push(0);
    out
}

/// What is held in the end: every section is tried again until none moves.
fn held(parts: &[Part], clocks: &Clocks) -> BTreeMap<u64, u32> {
    let mut held: BTreeMap<u64, u32> = clocks.iter().map(|(id, clock)| (*id, *clock)).collect();
    loop {
        let before = held.clone();
        for (client, first, blocks) in parts {
            for (clock, after) in (*first..).zip(blocks) {
                let of = |client: u64| held.get(&client).copied().unwrap_or(0);
                let is_met = after.is_none_or(|(client, clock)| clock < of(client));
                if of(*client) == clock && is_met {
                    held.insert(*client, clock + 1);
                }
            }
        }
        if held == before {
            return held;
        }
    }
}

fn parts() -> impl Strategy<Value = Vec<Part>> {
    let block = proptest::option::weighted(0.8, (1..6_u64, 0..12_u32));
    let part = (0..3_u32, proptest::collection::vec(block, 1..12));
    let parts = proptest::collection::btree_map(1..6_u64, part, 0..6);
    let parts = parts.prop_map(|parts| {
        let parts = parts.into_iter().map(|(client, (first, mut blocks))| {
            for (clock, after) in (first..).zip(&mut blocks) {
                // The scan refuses what stands on itself or on what its client wrote later.
                *after = after.filter(|(other, need)| *other != client || *need < clock);
            }
            (client, first, blocks)
        });
        parts.collect::<Vec<_>>()
    });
    parts.prop_shuffle()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn all_whose_needs_can_be_met_is_planned_in_whatever_order_it_comes(
        parts in parts(),
        known in proptest::collection::hash_map(1..6_u64, 1..6_u32, 0..4),
    ) {
        let bytes = encoded(&parts);
        let update = scan::update(&bytes).expect("well formed");
        let plan_as = |source| plan(&update, source, &known, &Levels::default());
        let planned = plan_as(Source::Step2).expect("no refusal").expect("is cut at gaps");
        let expected = held(&parts, &known);
        let mut after: BTreeMap<_, _> = known.iter().map(|(id, clock)| (*id, *clock)).collect();
        for Span { client, from, end } in planned.spans.iter() {
            prop_assert_eq!(after.insert(*client, *end).unwrap_or(0), *from);
        }
        prop_assert_eq!(&after, &expected);
        let is_whole = parts.iter().all(|(client, first, blocks)| {
            expected.get(client).is_some_and(|held| *held >= first + blocks.len() as u32)
        });
        prop_assert_eq!(planned.has_gap, !is_whole);
        for source in [Source::Update, Source::Stored] {
            prop_assert_eq!(plan_as(source).expect("no refusal").is_some(), is_whole);
        }
    }
}

#[test]
fn deletions_beyond_what_is_held_are_a_gap() {
    let mut bytes = encoded(&[(1, 0, vec![None, Some((1, 0))])]);
    bytes.pop();
    bytes.extend_from_slice(&[1, 1, 2, 0, 1, 1, 2]);
    let update = scan::update(&bytes).expect("well formed");
    let clocks = Clocks::new();
    let dropped = plan(&update, Source::Update, &clocks, &Levels::default());
    assert!(dropped.expect("no refusal").is_none());
    let cut = plan(&update, Source::Step2, &clocks, &Levels::default());
    let cut = cut.expect("no refusal").expect("is cut at gaps");
    assert!(cut.has_gap && cut.has_deletes);
    let written = scan::update(&cut.bytes).expect("what is written scans");
    let deletes: Vec<_> = written.deletions().collect();
    let delete = |clock, len| Event::Delete { client: 1, clock, len };
    assert_eq!(deletes, [delete(0, 1), delete(1, 1)]);
}
