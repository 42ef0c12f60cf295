//! Damage that a start finds: what is cut, what is refused, what a repair says.

use std::path::PathBuf;

use super::*;

/// A journal of one document with its records durable up to some entry, left as a crash would.
struct Wreck {
    dir: tempfile::TempDir,
    /// Where each entry starts; the first one is n = 1.
    starts: Vec<u64>,
    path: PathBuf,
    end: u64,
}

fn wreck(durable_n: u64, last_n: u64) -> Wreck {
    let dir = tempfile::tempdir().unwrap();
    let config = Config {
        sync_idle: Duration::from_secs(3600),
        burst_records: u64::MAX,
        ..config(dir.path())
    };
    let (journal, _) = Journal::open(config, Store::in_memory().unwrap()).unwrap();
    create(&journal, 1);
    let mut starts = Vec::new();
    for n in 1..=last_n {
        starts.push(journal.written());
        let end = write(&journal, 1, n).unwrap();
        if n == durable_n {
            journal.wait_durable(end).unwrap();
        }
    }
    let end = journal.written();
    drop(journal);
    let path = only_segment(dir.path());
    Wreck { dir, starts, path, end }
}

impl Wreck {
    fn offset(&self, n: u64) -> usize {
        (self.starts[n as usize - 1] + HEADER_BYTES) as usize
    }

    fn change(&self, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = std::fs::read(&self.path).unwrap();
        change(&mut bytes);
        std::fs::write(&self.path, bytes).unwrap();
    }

    fn open(&self, store: &Store) -> Result<Report, Error> {
        Journal::open(config(self.dir.path()), store.clone()).map(|(_, report)| report)
    }

    fn repair(&self, store: &Store) -> Report {
        let config = Config { is_repair: true, ..config(self.dir.path()) };
        Journal::open(config, store.clone()).unwrap().1
    }
}

#[test]
fn damage_before_acknowledged_records_is_refused_with_document_and_position() {
    let wreck = wreck(4, 6);
    wreck.change(|bytes| bytes[wreck.offset(2) + 80] ^= 1);
    let store = Store::in_memory().unwrap();
    match wreck.open(&store) {
        Err(Error::Damaged(damage)) => {
            assert_eq!((damage.position, damage.end), (wreck.starts[1], wreck.starts[2]));
            assert_eq!((damage.doc, damage.n), (Some(doc(1)), Some(2)));
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(wreck.open(&store), Err(Error::Damaged(_))), "it stays refused");
    let report = wreck.repair(&store);
    assert_eq!(report.damages.len(), 1);
    assert_eq!(report.strays.len(), 1);
    let stray = &report.strays[0];
    assert_eq!((stray.doc, &stray.name, stray.n, stray.due_n), (doc(1), &name(1), 3, 2));
    assert_eq!(stray.to_string(), "entry 2 is missing");
    let loaded = store.load(doc(1)).unwrap();
    assert_eq!(loaded.entries.iter().map(|entry| entry.n).collect::<Vec<_>>(), [1, 3, 4, 5, 6]);
    let kept = wreck.path.with_extension("damaged");
    assert!(kept.exists(), "the damaged segment is kept");
    assert_eq!(wreck.open(&store).unwrap(), Report::default());
}

#[test]
fn a_record_nobody_relied_on_is_cut_with_what_follows_it() {
    // Power loss can keep a later page and lose an earlier one of what was never synced.
    let wreck = wreck(2, 6);
    wreck.change(|bytes| {
        let (from, to) = (wreck.offset(4), wreck.offset(5));
        bytes[from..to].fill(0);
    });
    let store = Store::in_memory().unwrap();
    let report = wreck.open(&store).unwrap();
    let cut = report.cut.unwrap();
    assert_eq!((cut.position, cut.records), (wreck.starts[3], 2));
    assert_eq!(cut.bytes, wreck.end - wreck.starts[3]);
    check(&store, 1, 3);
}

#[test]
fn an_acknowledged_tail_that_is_bad_or_missing_is_refused() {
    let changes: [fn(&Wreck, &mut Vec<u8>); 4] = [
        |wreck, bytes| bytes[wreck.offset(5) + 9] ^= 0x40,
        |wreck, bytes| bytes.truncate(wreck.offset(5) + 30),
        |wreck, bytes| bytes.truncate(wreck.offset(5)),
        |_, bytes| bytes.truncate(HEADER_BYTES as usize),
    ];
    for (index, change) in changes.into_iter().enumerate() {
        let wreck = wreck(5, 5);
        wreck.change(|bytes| change(&wreck, bytes));
        let store = Store::in_memory().unwrap();
        let refused = wreck.open(&store);
        assert!(matches!(refused, Err(Error::Damaged(_))), "{index}: {refused:?}");
        let report = wreck.repair(&store);
        assert!(!report.damages.is_empty(), "{index}");
        if index < 3 {
            check(&store, 1, 4);
        }
        assert_eq!(wreck.open(&store).unwrap(), Report::default(), "{index}");
    }
}

#[test]
fn a_missing_journal_is_not_an_empty_one() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::in_memory().unwrap();
    let (journal, _) = open(dir.path(), &store);
    create(&journal, 1);
    journal.close().unwrap();
    drop(journal);
    std::fs::remove_file(only_segment(dir.path())).unwrap();
    let refused = Journal::open(config(dir.path()), store.clone());
    assert!(matches!(refused, Err(Error::Damaged(_))), "{refused:?}");
}

#[test]
fn a_missing_swapped_or_cut_segment_is_refused() {
    let changes: [fn(&[PathBuf]); 5] = [
        |paths| std::fs::remove_file(&paths[0]).unwrap(),
        |paths| std::fs::remove_file(&paths[2]).unwrap(),
        |paths| {
            let (one, two) = (std::fs::read(&paths[1]).unwrap(), std::fs::read(&paths[2]).unwrap());
            std::fs::write(&paths[1], two).unwrap();
            std::fs::write(&paths[2], one).unwrap();
        },
        |paths| std::fs::write(&paths[1], b"").unwrap(),
        |paths| {
            let mut bytes = std::fs::read(&paths[1]).unwrap();
            bytes[13] ^= 4;
            std::fs::write(&paths[1], bytes).unwrap();
        },
    ];
    for (index, change) in changes.into_iter().enumerate() {
        let dir = tempfile::tempdir().unwrap();
        let config = Config { segment_bytes: 300, ..config(dir.path()) };
        let (journal, _) = Journal::open(config.clone(), Store::in_memory().unwrap()).unwrap();
        create(&journal, 1);
        for n in 1..=12 {
            write(&journal, 1, n).unwrap();
        }
        journal.wait_durable(journal.written()).unwrap();
        drop(journal);
        let bases = segment::list(dir.path()).unwrap();
        assert!(bases.len() >= 4, "{bases:?}");
        let paths: Vec<PathBuf> =
            bases.iter().map(|base| segment::path(dir.path(), *base)).collect();
        change(&paths);
        let store = Store::in_memory().unwrap();
        let refused = Journal::open(config.clone(), store.clone());
        assert!(matches!(refused, Err(Error::Damaged(_))), "{index}: {refused:?}");
        let repaired = Config { is_repair: true, ..config.clone() };
        let (journal, report) = Journal::open(repaired, store.clone()).unwrap();
        assert!(!report.damages.is_empty(), "{index}");
        drop(journal);
        Journal::open(config, store).expect("after a repair it opens");
    }
}

#[test]
fn a_segment_that_was_begun_and_never_written_is_forgotten() {
    for len in 0..=HEADER_BYTES as usize {
        let wreck = wreck(3, 3);
        let next = segment::path(wreck.dir.path(), wreck.end);
        let header = segment::Header { base: wreck.end, link: 0 }.encode();
        std::fs::write(next, &header[..len]).unwrap();
        let store = Store::in_memory().unwrap();
        let report = wreck.open(&store).unwrap();
        assert_eq!((report.cut, report.records), (None, 4), "{len} bytes");
        check(&store, 1, 3);
    }
}
