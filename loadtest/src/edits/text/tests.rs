use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use sheaf_protocol::scan;
use yrs::updates::decoder::Decode;
use yrs::{Doc, GetString, Transact, Update};

use super::*;

/// The same change to plain text, between the anchors.
fn apply_plainly(text: &mut Vec<char>, patch: &Patch) {
    let at = (patch.at as usize).min(text.len());
    let end = (at + patch.deleted as usize).min(text.len());
    text.splice(at..end, patch.inserted.chars().map(in_plane));
}

#[test]
fn a_replica_that_takes_the_updates_reads_the_same_text() {
    let mut random = SmallRng::seed_from_u64(3);
    let doc = Doc::new();
    let root = doc.get_or_insert_text(ROOT);
    let take = |update: &[u8]| {
        scan::update(update).unwrap();
        doc.transact_mut().apply_update(Update::decode_v1(update).unwrap()).unwrap();
    };
    let mut text = Text::new(77);
    take(&text.opening());
    let mut plain = Vec::new();
    for number in 0..4_000 {
        let patches: Vec<Patch> = (0..random.random_range(1..3))
            .map(|_| Patch {
                at: random.random_range(0..plain.len() as u32 + 3),
                deleted: if random.random_bool(0.4) { random.random_range(0..9) } else { 0 },
                inserted: ["", "a", "word", "ü🌾"][random.random_range(0..4)].to_owned(),
            })
            .collect();
        let mut update = Vec::new();
        let clock = text.clock;
        let mark = text.apply(&patches, &mut update);
        patches.iter().for_each(|patch| apply_plainly(&mut plain, patch));
        assert_eq!(mark.is_none(), update.is_empty());
        if mark.is_some() {
            take(&update);
        }
        let inserts = patches.iter().any(|patch| !patch.inserted.is_empty());
        assert_eq!(inserts, mark == Some(Mark::Inserts(clock)));
        if number % 500 == 0 {
            let expected: String = plain.iter().collect();
            assert_eq!(root.get_string(&doc.transact()), format!("\n{expected}\n"));
        }
    }
    assert_eq!(text.len() as usize, plain.len());
}

#[test]
fn two_people_do_not_get_into_each_others_text() {
    let doc = Doc::new();
    let root = doc.get_or_insert_text(ROOT);
    let mut people = [Text::new(5), Text::new(6)];
    let take = |update: &[u8]| {
        doc.transact_mut().apply_update(Update::decode_v1(update).unwrap()).unwrap();
    };
    people.iter().for_each(|text| take(&text.opening()));
    for (number, letter) in ["a", "b", "c", "d"].into_iter().cycle().take(40).enumerate() {
        let mut update = Vec::new();
        let text = &mut people[number % 2];
        let patch = Patch { at: text.len(), deleted: 0, inserted: letter.to_owned() };
        text.apply(&[patch], &mut update);
        take(&update);
    }
    let read = root.get_string(&doc.transact());
    assert!(read.contains(&format!("\n{}\n", "ac".repeat(10))), "{read:?}");
    assert!(read.contains(&format!("\n{}\n", "bd".repeat(10))), "{read:?}");
}
