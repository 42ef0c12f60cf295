use std::path::Path;

use super::super::keys::meta;
use super::super::{Options, Store};
use super::*;

fn repaired(dir: &Path) -> Store {
    Store::open_with(dir, Options { is_repair: true, ..Options::default() }).unwrap()
}

fn pairs(store: &Store) -> Vec<(Vec<u8>, Vec<u8>)> {
    store.engine().scan(&[], None, usize::MAX).unwrap()
}

/// A data directory with more pairs than are copied at once.
fn filled(dir: &Path) -> Vec<(Vec<u8>, Vec<u8>)> {
    let store = Store::open(dir).unwrap();
    for group in 0..5_u32 {
        let mut batch = Batch::default();
        for number in 0..700_u32 {
            batch.put(meta::key(&format!("test/{group}/{number}")), vec![group as u8; 300]);
        }
        store.engine().apply(&batch).unwrap();
    }
    store.engine().sync().unwrap();
    pairs(&store)
}

#[test]
fn a_repair_works_on_a_whole_copy_and_keeps_what_it_copied() {
    let dir = tempfile::tempdir().unwrap();
    let before = filled(dir.path());
    assert_eq!(pairs(&repaired(dir.path())), before);
    assert_eq!(pairs(&repaired(dir.path())), before, "as often as it is asked for");
    for aside in ["store.damaged-1", "store.damaged-2"] {
        let kept = Sled::open(&dir.path().join(aside), 1 << 20).unwrap();
        assert_eq!(kept.scan(&[], None, usize::MAX).unwrap(), before);
    }
}

#[test]
fn a_copy_that_was_cut_off_is_begun_anew_and_a_whole_one_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let before = filled(dir.path());
    // Cut off while it copied.
    std::fs::create_dir(dir.path().join("store.begun")).unwrap();
    std::fs::write(dir.path().join("store.begun/db"), [7; 5_000]).unwrap();
    assert_eq!(pairs(&Store::open(dir.path()).unwrap()), before);
    assert_eq!(pairs(&repaired(dir.path())), before);
    // Cut off before either rename, and between them.
    for is_set_aside in [false, true] {
        std::fs::rename(dir.path().join("store"), dir.path().join("store.next")).unwrap();
        if !is_set_aside {
            std::fs::create_dir(dir.path().join("store")).unwrap();
        }
        assert_eq!(pairs(&Store::open_existing(dir.path()).unwrap()), before);
    }
}
