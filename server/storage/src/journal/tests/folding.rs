//! The fold against an engine and a witness that fail, and against crashes at every step.

use parking_lot::Mutex;

use super::*;
use crate::store::engine::{Batch, Engine, Pair};

/// Which step of a fold fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Apply,
    Sync,
}

/// A memory engine that fails while it is told to.
#[derive(Default)]
struct Sick {
    memory: Memory,
    step: Mutex<Option<Step>>,
}

impl Sick {
    fn check(&self, step: Step) -> Result<(), crate::store::Error> {
        if *self.step.lock() == Some(step) {
            let cause = "the disk is full".to_owned();
            return Err(crate::store::Error::Engine { what: "apply", cause });
        }
        Ok(())
    }
}

impl Engine for Sick {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, crate::store::Error> {
        self.memory.get(key)
    }

    fn scan(
        &self,
        prefix: &[u8],
        from: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Pair>, crate::store::Error> {
        self.memory.scan(prefix, from, limit)
    }

    fn scan_back(
        &self,
        prefix: &[u8],
        before: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Pair>, crate::store::Error> {
        self.memory.scan_back(prefix, before, limit)
    }

    fn apply(&self, batch: &Batch) -> Result<(), crate::store::Error> {
        self.check(Step::Apply)?;
        self.memory.apply(batch)
    }

    fn sync(&self) -> Result<(), crate::store::Error> {
        self.check(Step::Sync)?;
        self.memory.sync()
    }
}

#[test]
fn a_fold_that_fails_loses_nothing_and_is_made_up_for() {
    for step in [Step::Apply, Step::Sync] {
        let dir = tempfile::tempdir().unwrap();
        let engine = Arc::new(Sick::default());
        let store = Store::new(engine.clone(), Witness::in_memory()).unwrap();
        let config = Config {
            unfolded_bytes_max: 2_000,
            segment_bytes: 500,
            fold_interval: Duration::from_millis(5),
            ..config(dir.path())
        };
        let meters = config.meters.clone();
        let (journal, _) = Journal::open(config, store.clone()).unwrap();
        create(&journal, 1);
        journal.fold_now().unwrap();
        *engine.step.lock() = Some(step);
        let mut last_n = 0;
        let error = loop {
            match write(&journal, 1, last_n + 1) {
                Ok(_) => last_n += 1,
                Err(error) => break error,
            }
        };
        assert!(matches!(error, Error::ReadOnly(ReadOnly::FoldBehind)), "{step:?}: {error}");
        assert!(journal.wait_folded(journal.written()).is_err(), "{step:?}");
        assert!(journal.fold_failure().is_some());
        assert!(meters.fold_failures.get() > 0);
        journal.wait_durable(journal.written()).unwrap();
        *engine.step.lock() = None;
        journal.wait_folded(journal.written()).unwrap();
        assert!(journal.is_writable(), "{step:?}: it takes records again");
        assert_eq!(journal.fold_failure(), None);
        write(&journal, 1, last_n + 1).unwrap();
        journal.fold_now().unwrap();
        check(&store, 1, last_n + 1);
    }
}

#[test]
fn a_witness_that_fails_after_the_engine_is_made_up_for_by_the_next_start() {
    for call in [Call::Write, Call::ShortWrite, Call::Sync] {
        let (home, marks) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let engine = Arc::new(Memory::new());
        let disk = Failing::default();
        let (witness, _) = Witness::open(marks.path(), Arc::new(disk.clone())).unwrap();
        let store = Store::new(engine.clone(), witness).unwrap();
        let (journal, _) = open(home.path(), &store);
        create(&journal, 1);
        write(&journal, 1, 1).unwrap();
        journal.fold_now().unwrap();
        write(&journal, 1, 2).unwrap();
        journal.wait_durable(journal.written()).unwrap();
        disk.fail(call, 0, true);
        assert!(journal.fold_now().is_err(), "{call:?}");
        assert!(store.folded().unwrap().position > store.witnessed().position);
        disk.heal();
        drop((journal, store));
        let (witness, _) = Witness::open(marks.path(), Arc::new(disk.clone())).unwrap();
        let store = Store::new(engine, witness).unwrap();
        let (journal, report) = open(home.path(), &store);
        assert_eq!((report.damages, report.strays), (vec![], vec![]), "{call:?}");
        write(&journal, 1, 3).unwrap();
        journal.fold_now().unwrap();
        check(&store, 1, 3);
    }
}

/// A crash: the engine keeps what was synced and some of the rest, the journal what was synced and
/// some bytes of the rest, the witness what it synced. Every acknowledged entry must be there.
#[test]
fn a_crash_at_any_moment_loses_nothing_that_was_acknowledged() {
    let mut seed = 0xc0ffee_u64;
    let mut next = move |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let (mut home, mut marks) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut engine = Arc::new(Memory::new());
    let mut last_n = [0u64; 3];
    for round in 0..120 {
        let (witness, _) = Witness::open(marks.path(), Arc::new(segment::Files)).unwrap();
        let store = Store::new(engine.clone(), witness).unwrap();
        let config = Config {
            segment_bytes: 600,
            fold_bytes: 500,
            sync_idle: Duration::from_secs(3600),
            burst_records: u64::MAX,
            ..config(home.path())
        };
        let (journal, report) = Journal::open(config, store.clone()).unwrap();
        assert_eq!((report.damages, report.strays), (vec![], vec![]), "round {round}");
        let mut acknowledged = [0; 3];
        for number in 0..3 {
            match store.load(doc(number)) {
                Ok(loaded) => {
                    let found = loaded.last_n;
                    assert!(found >= last_n[number as usize], "round {round}: {found}");
                    check(&store, number, found);
                    acknowledged[number as usize] = found;
                    last_n[number as usize] = found;
                }
                Err(crate::store::Error::Unknown(_)) => create(&journal, number),
                Err(error) => panic!("round {round}: {error}"),
            }
        }
        for _ in 0..next(40) {
            let number = next(3);
            last_n[number as usize] += 1;
            let end = write(&journal, number, last_n[number as usize]).unwrap();
            match next(12) {
                0 => journal.fold_now().unwrap(),
                1 | 2 => journal.wait_durable(end).unwrap(),
                _ => continue,
            }
            acknowledged = last_n;
        }
        let written = journal.written();
        drop((journal, store));
        let note = std::fs::read(home.path().join("durable")).unwrap();
        let durable = super::super::sync::read_note(&note).unwrap();
        let kept = durable + next(written - durable + 1);
        let crashed = Arc::new(engine.crashed(next(engine.unsynced_batches() as u64 + 1) as usize));
        let (next_home, next_marks) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::copy(marks.path().join("marks"), next_marks.path().join("marks")).unwrap();
        copy_up_to(home.path(), next_home.path(), kept);
        (home, marks, engine, last_n) = (next_home, next_marks, crashed, acknowledged);
    }
}

/// Copies a journal as it is when only its first bytes reached the disk.
fn copy_up_to(from: &Path, to: &Path, kept: u64) {
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        if let Ok(base) = path.file_stem().unwrap().to_str().unwrap().parse::<u64>() {
            if base > kept {
                continue;
            }
            bytes.truncate((kept - base + HEADER_BYTES) as usize);
        }
        std::fs::write(to.join(path.file_name().unwrap()), bytes).unwrap();
    }
}
