//! What y-sweet 0.9.1 wrote (`tests/interop/stores/y-sweet.mjs`), and worse.

use tempfile::TempDir;

use super::*;

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/import/y-sweet");

fn bytes(pairs: &[(&[u8], &[u8])]) -> Vec<u8> {
    let counted = |part: &[u8]| [&(part.len() as u64).to_le_bytes(), part].concat();
    let parts = pairs.iter().flat_map(|(key, value)| [counted(key), counted(value)]);
    let mut bytes = (pairs.len() as u64).to_le_bytes().to_vec();
    parts.for_each(|part| bytes.extend(part));
    bytes
}

fn store(files: &[(&str, &[u8])]) -> TempDir {
    let dir = TempDir::new().expect("a folder");
    for (name, bytes) in files {
        fs::create_dir(dir.path().join(name)).unwrap();
        fs::write(dir.path().join(name).join(FILE), bytes).unwrap();
    }
    dir
}

#[test]
fn a_folder_is_a_document() {
    let found: Vec<_> = open(FIXTURE.as_ref()).unwrap().map(|found| found.unwrap()).collect();
    let names: Vec<_> = found.iter().map(|document| &*document.name).collect();
    assert_eq!(names, ["empty", "map", "text", "xml"]);
    let counts: Vec<_> = found.iter().map(|document| document.updates.len()).collect();
    assert_eq!(counts, [0, 1, 1, 1]);
    let text = &found[2].updates[0];
    assert!(text.windows(7).any(|part| part == b"content"), "its root is named in the update");
}

#[test]
fn updates_that_were_not_folded_follow_the_state_in_their_order() {
    let number = [0, 0, 0, 9];
    let key = |rest: &[u8]| [&[0, 1], &number[..], rest].concat();
    let file = bytes(&[
        (&key(&[2, 0, 0, 1, 0, 0]), b"third"),
        (&key(&[2, 0, 0, 0, 1, 0]), b"second"),
        (&key(&[0]), b"first"),
        (&key(&[1]), b"vector"),
        (&key(&[3, b'm', 0]), b"meta"),
        (NUMBER, &number),
        (&[0, 1, 0, 0, 0, 8, 0], b"of another"),
    ]);
    let dir = store(&[("plan", &file)]);
    let found = open(dir.path()).unwrap().next().unwrap().unwrap();
    assert_eq!(found.updates, [b"first".to_vec(), b"second".to_vec(), b"third".to_vec()]);
}

#[test]
fn a_file_that_is_cut_or_strange_is_told_by_its_document() {
    let whole = bytes(&[(NUMBER, &[0, 0, 0, 1]), (&[0, 1, 0, 0, 0, 1, 0], b"state")]);
    let strange = bytes(&[(b"a", b"b")]);
    let mut long = whole.clone();
    long.push(0);
    let huge = u64::MAX.to_le_bytes();
    let cut = &whole[..whole.len() - 1];
    let dir = store(&[("a", cut), ("b", &strange), ("c", &long), ("d", &huge), ("e", &whole)]);
    let found: Vec<_> = open(dir.path()).unwrap().collect();
    let places: Vec<_> = found.iter().filter_map(|found| found.as_ref().err()).collect();
    let places: Vec<_> = places.iter().map(|broken| &*broken.place).collect();
    assert_eq!(places, ["a", "b", "c", "d"]);
    assert_eq!(found[4].as_ref().unwrap().name, "e");
    let none = TempDir::new().expect("a folder");
    assert!(matches!(open(none.path()), Err(Error::Other { .. })));
    assert!(matches!(open(&none.path().join("gone")), Err(Error::File { .. })));
}
