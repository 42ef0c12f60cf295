//! `verify` and `dump` on a data directory with sled in it.

use super::*;
use crate::journal::dump::{Line, Selection, dump};
use crate::journal::verify::{Report, verify};

/// A directory with two documents, one entry of which is in the journal alone.
fn directory() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let (journal, _) = open(&dir.path().join("journal"), &store);
    create(&journal, 1);
    create(&journal, 2);
    for n in 1..=3 {
        write(&journal, 1, n).unwrap();
    }
    journal.fold_now().unwrap();
    store.put_checkpoint(doc(1), 2, 0, b"state").unwrap();
    let end = write(&journal, 2, 1).unwrap();
    journal.wait_durable(end).unwrap();
    dir
}

fn check_all(dir: &Path) -> Report {
    verify(dir, &mut |_| (), &mut |_, _| Ok(())).unwrap()
}

fn shown(dir: &Path, selection: &Selection) -> Vec<Line> {
    let mut lines = Vec::new();
    dump(dir, selection, |line| lines.push(line)).unwrap();
    lines
}

#[test]
fn a_whole_directory_is_clean_and_stays_as_it_is() {
    let dir = directory();
    let report = check_all(dir.path());
    assert!(report.is_clean(), "{report:?}");
    assert_eq!((report.records, report.tail), (6, None));
    assert!(report.folded < report.end, "verify folds nothing");
    assert_eq!((report.store.documents, report.store.entries), (2, 3));
    assert_eq!(check_all(dir.path()), report, "twice the same");
    let store = Store::open(dir.path()).unwrap();
    open(&dir.path().join("journal"), &store);
    check(&store, 2, 1);
}

#[test]
fn verify_names_the_position_of_every_flipped_byte() {
    let dir = directory();
    let path = only_segment(&dir.path().join("journal"));
    let all = std::fs::read(&path).unwrap();
    let end = (check_all(dir.path()).end + HEADER_BYTES) as usize;
    for at in (0..end).step_by(23) {
        let mut bytes = all.clone();
        bytes[at] ^= 0x20;
        std::fs::write(&path, bytes).unwrap();
        let report = check_all(dir.path());
        assert_eq!(report.damages.len(), 1, "byte {at}: {report:?}");
        let (damage, position) = (&report.damages[0], (at as u64).saturating_sub(HEADER_BYTES));
        assert!((damage.position..=damage.end).contains(&position), "byte {at}: {damage}");
    }
    let mut bytes = all;
    bytes[end + 100] ^= 0x20;
    std::fs::write(&path, bytes).unwrap();
    let report = check_all(dir.path());
    assert!(report.is_clean() && report.tail.is_some_and(|tail| tail.bytes == 101), "{report:?}");
}

#[test]
fn a_directory_in_use_or_missing_is_refused() {
    let dir = directory();
    let missing = verify(&dir.path().join("none"), &mut |_| (), &mut |_, _| Ok(()));
    assert!(matches!(missing, Err(Error::Io { .. })), "{missing:?}");
    assert!(!dir.path().join("none").exists(), "looking creates nothing");
    let _store = Store::open(dir.path()).unwrap();
    let refused = verify(dir.path(), &mut |_| (), &mut |_, _| Ok(()));
    let in_use = |error: &Error| matches!(error, Error::Store(crate::store::Error::InUse { .. }));
    assert!(refused.as_ref().is_err_and(in_use), "{refused:?}");
    assert!(dump(dir.path(), &Selection::default(), |_| ()).as_ref().is_err_and(in_use));
}

#[test]
fn what_is_missing_is_reported_and_not_created() {
    for gone in [&["store"][..], &["witness"], &["witness/marks"], &["store", "witness"]] {
        let dir = directory();
        for gone in gone {
            let path = dir.path().join(gone);
            let removed = if path.is_dir() {
                std::fs::remove_dir_all(path)
            } else {
                std::fs::remove_file(path)
            };
            removed.unwrap();
        }
        let report = check_all(dir.path());
        assert!(!report.is_clean(), "{gone:?}: {report:?}");
        assert!(report.store_failure.unwrap().contains("is missing"), "{gone:?}");
        let shown = dump(dir.path(), &Selection::default(), |_| ());
        let is_missing =
            |error: &Error| matches!(error, Error::Store(crate::store::Error::Missing { .. }));
        assert!(shown.as_ref().is_err_and(is_missing), "{gone:?}: {shown:?}");
        assert!(gone.iter().all(|gone| !dir.path().join(gone).exists()), "{gone:?}");
    }
}

#[test]
fn a_journal_that_does_not_follow_the_store_is_damage_for_verify_and_dump_as_for_serve() {
    let journal = Selection { has_journal: true, ..Selection::default() };
    // The journal begins after what the store has; or there, with other records before it.
    for is_later in [true, false] {
        let (dir, other) = (directory(), tempfile::tempdir().unwrap());
        if is_later {
            let store = Store::open(dir.path()).unwrap();
            let (journal, _) = open(&dir.path().join("journal"), &store);
            write(&journal, 1, 4).unwrap();
            journal.close().unwrap();
        }
        let alone = Store::in_memory().unwrap();
        let (begun, _) = open(&other.path().join("journal"), &alone);
        create(&begun, 1);
        create(&begun, 2);
        for n in 1..=3 {
            begun.append(&[update(1, n, b"update N of 1")]).unwrap();
        }
        let end = write(&begun, 2, 1).unwrap();
        begun.wait_durable(end).unwrap();
        drop(begun);
        let (from, to) = (dir.path(), other.path());
        if is_later {
            // An empty store beside a journal whose start is gone.
            std::fs::remove_dir_all(to.join("journal")).unwrap();
            drop(Store::open(to).unwrap());
            copy(&from.join("journal"), &to.join("journal"));
        } else {
            copy(&from.join("store"), &to.join("store"));
            copy(&from.join("witness"), &to.join("witness"));
        }
        let report = check_all(to);
        assert_eq!(report.damages.len(), 1, "{report:?}");
        assert!(dump(to, &journal, |_| ()).is_err());
        let store = Store::open(to).unwrap();
        match Journal::open(config(&to.join("journal")), store) {
            Err(Error::Damaged(damage)) => {
                assert_eq!(damage.what, report.damages[0].what);
            }
            other => panic!("{other:?}"),
        }
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        if path.is_dir() {
            copy(&path, &to.join(name));
        } else {
            std::fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

#[test]
fn dump_shows_heads_entries_and_the_journal_without_content() {
    let dir = directory();
    let all = Selection { has_entries: true, has_journal: true, ..Selection::default() };
    let lines = shown(dir.path(), &all);
    let documents: Vec<&Line> =
        lines.iter().filter(|line| matches!(line, Line::Document { .. })).collect();
    assert!(matches!(
        documents[0],
        Line::Document { name, entries: 3, checkpoint: Some((2, 5)), epoch: 9, .. }
            if name == "document 1"
    ));
    let entries = lines.iter().filter(|line| matches!(line, Line::Entry { n: 3, size: 13, .. }));
    assert_eq!(entries.count(), 1, "{lines:?}");
    let unfolded = |line: &&Line| matches!(line, Line::Record { is_folded: false, n: 1, .. });
    assert_eq!(lines.iter().filter(unfolded).count(), 1, "{lines:?}");
    for line in &lines {
        let json = serde_json::to_string(line).unwrap();
        assert!(!json.contains("update 1 of") && !line.to_string().contains("update 1 of"));
        assert!(!json.contains('\n') && !line.to_string().contains('\n'));
    }
    let one = Selection { document: Some("document 2".into()), ..Selection::default() };
    let lines = shown(dir.path(), &one);
    let documents = lines.iter().filter(|line| matches!(line, Line::Document { .. }));
    assert_eq!(documents.count(), 1);
    let none = Selection { vault: Some("other".parse().unwrap()), ..Selection::default() };
    assert_eq!(shown(dir.path(), &none).len(), 1, "the server's line alone");
}
