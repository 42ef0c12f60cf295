use super::*;
use crate::edits::text::{Patch, Text};

#[test]
fn a_key_is_found_by_what_its_update_says() {
    let (mut text, mut log) = (Text::new(9), Log::new(Some(Vec::new()), true));
    let patch = |at, deleted, inserted: &str| Patch { at, deleted, inserted: inserted.to_owned() };
    let keys_of = [
        vec![patch(0, 0, "abc")],
        vec![patch(1, 1, "")],
        vec![patch(0, 1, "x"), patch(2, 0, "yz")],
    ];
    let mut updates = Vec::new();
    for (number, patches) in keys_of.iter().enumerate() {
        let mut update = Vec::new();
        let mark = text.apply(patches, &mut update).unwrap();
        updates.push(update.clone());
        log.push(mark, number as u64 * 10, update);
    }
    for (number, update) in updates.iter().enumerate() {
        let mut found = Vec::new();
        keys(update, |client, range| {
            assert_eq!(client, 9);
            found.extend(log.find(range));
        });
        assert_eq!(found, [(number as u32, number as u64 * 10)]);
    }
    assert_eq!(log.updates.as_ref().map(Vec::len), Some(4));
}

#[test]
fn presence_passes_the_guard() {
    let entry = awareness(u32::MAX, 3, (7, 40));
    let read = scan::awareness(&entry).unwrap();
    assert_eq!(read.entries().count(), 1);
}
