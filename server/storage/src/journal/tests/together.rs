//! Many changes in one record: all of them are in the store after a crash, or none.

use super::*;
use crate::journal::dump::{Line, Selection, dump};
use crate::journal::payload::Claim;
use crate::journal::together;
use crate::journal::verify::verify;
use crate::store::Owner;

/// Appends the third entry of document 1 and the second and third of document 2 as one record, with
/// two claims of document 1.
fn write_together(journal: &Journal) -> u64 {
    let claims: Vec<Vec<u8>> = [7, 8].map(claim).into();
    let claim = |payload| Record { n: 2, kind: Kind::Claim, payload, ..update(1, 3, &[]) };
    let (one, two, three) = (bytes(1, 3), bytes(2, 2), bytes(2, 3));
    let parts = [
        claim(&claims[0]),
        claim(&claims[1]),
        update(1, 3, &one),
        update(2, 2, &two),
        update(2, 3, &three),
    ];
    let mut payload = Vec::new();
    parts.iter().for_each(|part| together::push(&mut payload, part));
    let nil = DocKey { vault: VaultNo(1), doc: DocId(Stamp::ZERO) };
    let record = Record { doc: nil, n: 0, kind: Kind::Together, payload: &payload, ..parts[0] };
    journal.append(&[record]).unwrap().end
}

fn claim(client: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    Claim { owners: vec![owner(client)] }.encode(&mut bytes);
    bytes
}

fn owner(client: u64) -> Owner {
    Owner { client, clocks: 0..u32::MAX, owner: "ann".into(), via: None }
}

fn begin(journal: &Journal) -> u64 {
    create(journal, 1);
    create(journal, 2);
    write(journal, 1, 1).unwrap();
    write(journal, 1, 2).unwrap();
    write(journal, 2, 1).unwrap()
}

#[test]
fn many_changes_are_folded_as_if_each_had_come_alone() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::in_memory().unwrap();
    let (journal, _) = open(dir.path(), &store);
    let whole = begin(&journal);
    write_together(&journal);
    write(&journal, 1, 4).unwrap();
    journal.fold_now().unwrap();
    check(&store, 1, 4);
    check(&store, 2, 3);
    // Two of one document stand at places of their own: none takes the other's.
    assert_eq!(store.claims(doc(1)).unwrap(), [owner(7), owner(8)]);
    let loaded = store.load(doc(2)).unwrap();
    let positions: Vec<u64> = loaded.entries.iter().map(|entry| entry.position).collect();
    assert!(positions.windows(2).all(|pair| pair[0] < pair[1]), "{positions:?}");
    assert!(positions[1] > whole && loaded.last_position == positions[2]);
}

#[test]
fn a_journal_that_ends_within_many_changes_has_none_of_them() {
    let home = tempfile::tempdir().unwrap();
    let (journal, _) = open(home.path(), &Store::in_memory().unwrap());
    let whole = begin(&journal);
    let end = write_together(&journal);
    let path = only_segment(home.path());
    let all = std::fs::read(&path).unwrap();
    drop(journal);
    for len in whole..=end {
        let dir = tempfile::tempdir().unwrap();
        let copy = dir.path().join(path.file_name().unwrap());
        std::fs::write(&copy, &all[..(len + HEADER_BYTES) as usize]).unwrap();
        let store = Store::in_memory().unwrap();
        let (journal, _) = open(dir.path(), &store);
        let (one, two, claims) = if len == end { (3, 3, 2) } else { (2, 1, 0) };
        check(&store, 1, one);
        check(&store, 2, two);
        assert_eq!(store.claims(doc(1)).unwrap().len(), claims, "{len} of {end}");
        write(&journal, 1, one + 1).unwrap();
        journal.fold_now().unwrap();
        check(&store, 1, one + 1);
    }
}

#[test]
fn a_dump_shows_each_of_many_changes_and_verify_finds_them_right() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let (journal, _) = open(&dir.path().join("journal"), &store);
    begin(&journal);
    let end = write_together(&journal);
    journal.wait_durable(end).unwrap();
    drop((journal, store));
    let selection = Selection { has_journal: true, ..Selection::default() };
    let mut kinds = Vec::new();
    dump(dir.path(), &selection, |line| {
        if let Line::Record { kind, is_folded: false, n, .. } = line {
            kinds.push((kind, n));
        }
    })
    .unwrap();
    let kinds: Vec<(&str, u64)> = kinds.iter().map(|(kind, n)| (&**kind, *n)).collect();
    let due =
        [("together", 0), ("claim", 2), ("claim", 2), ("update", 3), ("update", 2), ("update", 3)];
    assert_eq!(kinds[kinds.len() - due.len()..], due);
    let report = verify(dir.path(), &mut |_| (), &mut |_, _| Ok(())).unwrap();
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(report.records, 6);
}
