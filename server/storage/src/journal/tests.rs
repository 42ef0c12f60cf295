//! The journal against real files and a disk that fails on demand.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sheaf_protocol::ids::{DocId, DocKey, VaultNo};
use sheaf_protocol::stamp::Stamp;

use super::payload::Created;
use super::record::{Kind, Record};
use super::segment::{self, HEADER_BYTES};
use super::{Config, Error, Journal, ReadOnly, Report};
use crate::store::Store;
use crate::store::memory::Memory;
use crate::store::witness::Witness;
use failing::{Call, Failing};

mod damage;
mod failing;
mod folding;
mod showing;
mod together;

pub(super) fn doc(number: u64) -> DocKey {
    DocKey { vault: VaultNo(1), doc: DocId(Stamp::new(1_000 + number, 0, 7)) }
}

fn name(number: u64) -> String {
    format!("document {number}")
}

fn config(dir: &Path) -> Config {
    Config { fold_interval: Duration::from_secs(3600), ..Config::new(dir.to_owned()) }
}

fn create(journal: &Journal, number: u64) {
    let mut payload = Vec::new();
    let vault = "default".parse().unwrap();
    Created { vault, name: name(number), epoch: 9 }.encode(&mut payload);
    let key = doc(number);
    let record = Record {
        doc: key,
        n: 0,
        kind: Kind::Created,
        stamp: key.doc.0,
        author: None,
        payload: &payload,
    };
    journal.append(&[record]).unwrap();
}

fn update(number: u64, n: u64, payload: &[u8]) -> Record<'_> {
    let stamp = Stamp::new(2_000 + n, n as u16, 7);
    Record { doc: doc(number), n, kind: Kind::Update, stamp, author: Some("ann"), payload }
}

/// Appends entry `n` of document `number`; its bytes name both.
fn write(journal: &Journal, number: u64, n: u64) -> Result<u64, Error> {
    Ok(journal.append(&[update(number, n, &bytes(number, n))])?.end)
}

fn bytes(number: u64, n: u64) -> Vec<u8> {
    format!("update {n} of {number}").into_bytes()
}

fn check(store: &Store, number: u64, last_n: u64) {
    let loaded = store.load(doc(number)).unwrap();
    assert_eq!(loaded.head.name, name(number));
    assert_eq!(loaded.last_n, last_n);
    let found: Vec<Vec<u8>> = loaded.entries.iter().map(|entry| entry.bytes.to_vec()).collect();
    let due: Vec<Vec<u8>> = (1..=last_n).map(|n| bytes(number, n)).collect();
    assert_eq!(found, due);
    assert!(loaded.entries.iter().all(|entry| entry.author.as_deref() == Some("ann")));
}

fn open(dir: &Path, store: &Store) -> (Journal, Report) {
    Journal::open(config(dir), store.clone()).unwrap()
}

/// The path of the only segment.
fn only_segment(dir: &Path) -> std::path::PathBuf {
    let bases = segment::list(dir).unwrap();
    assert_eq!(bases.len(), 1, "{bases:?}");
    segment::path(dir, bases[0])
}

#[test]
fn what_was_appended_is_in_the_store_after_a_close() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::in_memory().unwrap();
    let (journal, report) = open(dir.path(), &store);
    assert_eq!(report, Report::default());
    create(&journal, 1);
    create(&journal, 2);
    for n in 1..=20 {
        write(&journal, 1, n).unwrap();
        if n % 2 == 0 {
            write(&journal, 2, n / 2).unwrap();
        }
    }
    journal.close().unwrap();
    check(&store, 1, 20);
    check(&store, 2, 10);
    assert_eq!(store.find(VaultNo(1), &name(2)).unwrap(), Some(doc(2).doc));
    assert_eq!(store.vaults().unwrap(), [("default".parse().unwrap(), VaultNo(1))]);
    assert!(matches!(write(&journal, 1, 21), Err(Error::ReadOnly(ReadOnly::Closed))));
}

#[test]
fn what_was_written_and_never_folded_is_folded_by_the_next_open() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::in_memory().unwrap();
    let (journal, _) = open(dir.path(), &store);
    create(&journal, 1);
    for n in 1..=5 {
        write(&journal, 1, n).unwrap();
    }
    drop(journal);
    let (journal, report) = open(dir.path(), &store);
    assert_eq!((report.records, report.cut), (6, None));
    check(&store, 1, 5);
    write(&journal, 1, 6).unwrap();
    journal.fold_now().unwrap();
    check(&store, 1, 6);
    assert_eq!(journal.folded(), journal.written());
}

#[test]
fn a_torn_tail_is_cut_at_start_whatever_its_length() {
    let home = tempfile::tempdir().unwrap();
    let (journal, _) = open(home.path(), &Store::in_memory().unwrap());
    create(&journal, 1);
    write(&journal, 1, 1).unwrap();
    let whole = write(&journal, 1, 2).unwrap();
    journal.wait_durable(whole).unwrap();
    let end = write(&journal, 1, 3).unwrap();
    let path = only_segment(home.path());
    let all = std::fs::read(&path).unwrap();
    drop(journal);
    let cases = (whole..end).flat_map(|len| [(len, 0), (len, 1), (len, 4_096)]);
    for (len, zeros) in cases {
        let dir = tempfile::tempdir().unwrap();
        let copy = dir.path().join(path.file_name().unwrap());
        let mut bytes = all[..(len + HEADER_BYTES) as usize].to_vec();
        let torn = bytes[(whole + HEADER_BYTES) as usize..].iter().rposition(|byte| *byte != 0);
        bytes.resize(bytes.len() + zeros, 0);
        std::fs::write(&copy, bytes).unwrap();
        let store = Store::in_memory().unwrap();
        let (journal, report) = open(dir.path(), &store);
        check(&store, 1, 2);
        let cut = report.cut.map(|cut| cut.bytes);
        assert_eq!(cut, torn.map(|last| last as u64 + 1), "{len} and {zeros} zeros");
        assert_eq!(journal.written(), whole);
        write(&journal, 1, 3).unwrap();
        journal.fold_now().unwrap();
        check(&store, 1, 3);
    }
}

#[test]
fn the_zeros_behind_the_last_record_are_no_damage_and_those_it_ends_with_are_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config { segment_bytes: 2_000, ..config(dir.path()) };
    let store = Store::in_memory().unwrap();
    let (journal, _) = Journal::open(config.clone(), store).unwrap();
    create(&journal, 1);
    let payload = [[7; 5].as_slice(), &[0; 300]].concat();
    for n in 1..=10 {
        journal.append(&[update(1, n, &payload)]).unwrap();
    }
    drop(journal);
    let bases = segment::list(dir.path()).unwrap();
    let sizes: Vec<u64> = bases
        .iter()
        .map(|base| std::fs::metadata(segment::path(dir.path(), *base)).unwrap().len())
        .collect();
    assert!(bases.len() > 2 && sizes[..sizes.len() - 1].iter().all(|size| *size < 3_000));
    // As if the process had ended before the first was cut to what stands in it.
    let first = std::fs::OpenOptions::new().write(true).open(segment::path(dir.path(), bases[0]));
    first.unwrap().set_len(100_000).unwrap();
    let store = Store::in_memory().unwrap();
    let (journal, report) = Journal::open(config, store.clone()).unwrap();
    assert_eq!((report.records, report.cut), (11, None));
    assert_eq!(store.load(doc(1)).unwrap().entries.len(), 10);
    journal.close().unwrap();
    let last = only_segment(dir.path());
    assert_eq!(std::fs::metadata(last).unwrap().len(), HEADER_BYTES, "closed without room");
}

#[test]
fn a_segment_of_which_only_the_room_was_taken_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(dir.path(), &Store::in_memory().unwrap());
    create(&journal, 1);
    let end = write(&journal, 1, 1).unwrap();
    journal.wait_durable(end).unwrap();
    drop(journal);
    std::fs::write(segment::path(dir.path(), end), vec![0; 4_096]).unwrap();
    let store = Store::in_memory().unwrap();
    let (_, report) = open(dir.path(), &store);
    assert_eq!((report.records, report.cut), (2, None));
    check(&store, 1, 1);
}

#[test]
fn an_append_that_fails_leaves_whole_records_and_a_read_only_journal() {
    for call in [Call::Write, Call::ShortWrite, Call::Create] {
        for nth in 0..12 {
            let dir = tempfile::tempdir().unwrap();
            let store = Store::in_memory().unwrap();
            let disk = Failing::default();
            // Small segments, so that the failing call is now a record's, now a header's; no note
            // is written while records are, since nothing is synced before the end.
            let config = Config {
                segment_bytes: 400,
                sync_idle: Duration::from_secs(3600),
                burst_records: u64::MAX,
                disk: Arc::new(disk.clone()),
                ..config(dir.path())
            };
            let (journal, _) = Journal::open(config, store.clone()).unwrap();
            create(&journal, 1);
            // A header is written in as many calls as it takes: only a lasting failure shows.
            disk.fail(call, nth, call == Call::ShortWrite);
            let mut last_n = 0;
            let error = loop {
                match write(&journal, 1, last_n + 1) {
                    Ok(_) => last_n += 1,
                    Err(error) => break error,
                }
            };
            let what = format!("{call:?} {nth}");
            assert!(disk.has_failed(), "{what}");
            assert!(matches!(error, Error::Write(_)), "{what}: {error}");
            let again = write(&journal, 1, last_n + 1);
            assert!(matches!(again, Err(Error::ReadOnly(ReadOnly::WriteFailed))), "{what}");
            assert!(!journal.is_writable());
            journal.wait_durable(journal.written()).expect("what was written is still synced");
            journal.fold_now().unwrap();
            check(&store, 1, last_n);
            drop(journal);
            let (journal, report) = open(dir.path(), &store);
            assert_eq!((report.cut, report.damages), (None, vec![]), "{what}");
            write(&journal, 1, last_n + 1).unwrap();
            journal.close().unwrap();
            check(&store, 1, last_n + 1);
        }
    }
}

#[test]
fn after_a_failed_sync_nothing_more_is_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::in_memory().unwrap();
    let disk = Failing::default();
    let config = Config { disk: Arc::new(disk.clone()), ..config(dir.path()) };
    let meters = config.meters.clone();
    let (journal, _) = Journal::open(config, store.clone()).unwrap();
    create(&journal, 1);
    let first = write(&journal, 1, 1).unwrap();
    journal.wait_durable(first).unwrap();
    disk.fail(Call::Sync, 0, false);
    let second = write(&journal, 1, 2).unwrap();
    assert_eq!(journal.wait_durable(second), Err(ReadOnly::SyncFailed));
    let refused = write(&journal, 1, 3);
    assert!(matches!(refused, Err(Error::ReadOnly(ReadOnly::SyncFailed))), "{refused:?}");
    let poll = std::task::Poll::Ready(Err(ReadOnly::SyncFailed));
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert_eq!(journal.poll_durable(&mut cx, second), poll);
    assert_eq!(journal.durable(), first);
    assert_eq!(meters.fsync_failures.get(), 1);
    assert!(journal.close().is_err());
    assert!(journal.folded() <= first, "what is not durable is not folded");
}

#[test]
fn a_waiter_is_woken_when_its_record_is_durable() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(dir.path(), &Store::in_memory().unwrap());
    create(&journal, 1);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        for n in 1..=20 {
            let end = write(&journal, 1, n).unwrap();
            let durable = std::future::poll_fn(|cx| journal.poll_durable(cx, end));
            tokio::time::timeout(Duration::from_secs(10), durable).await.unwrap().unwrap();
            assert!(journal.durable() >= end);
        }
        let end = journal.written();
        let asked = journal.clone();
        let folding = std::thread::spawn(move || asked.fold_now());
        let folded = std::future::poll_fn(|cx| journal.poll_folded(cx, end));
        tokio::time::timeout(Duration::from_secs(10), folded).await.unwrap().unwrap();
        folding.join().unwrap().unwrap();
    });
}

#[test]
fn many_writers_share_one_order_and_few_syncs() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::in_memory().unwrap();
    let config = Config { segment_bytes: 20_000, fold_bytes: 30_000, ..config(dir.path()) };
    let meters = config.meters.clone();
    let (journal, _) = Journal::open(config, store.clone()).unwrap();
    std::thread::scope(|scope| {
        for number in 1..=4 {
            let journal = &journal;
            scope.spawn(move || {
                create(journal, number);
                for n in 1..=500 {
                    let end = write(journal, number, n).unwrap();
                    if n % 100 == 0 {
                        journal.wait_durable(end).unwrap();
                    }
                }
            });
        }
    });
    journal.fold_now().unwrap();
    for number in 1..=4 {
        check(&store, number, 500);
    }
    let syncs = meters.fsyncs.get();
    assert!(syncs < 1_000, "{syncs}");
    assert_eq!(meters.records.get(), 4 * 501);
    let left = segment::list(dir.path()).unwrap();
    assert!(left.len() <= 1, "folded segments are gone: {left:?}");
}
