//! The engines we have, put through the contract.

use std::sync::Arc;

use super::{Setup, run_contract};
use crate::store::engine::Engine;
use crate::store::memory::Memory;
use crate::store::sled::Sled;

#[derive(Default)]
struct InMemory {
    last: Arc<Memory>,
    crashes: usize,
}

impl Setup for InMemory {
    fn fresh(&mut self) -> Arc<dyn Engine> {
        self.last = Arc::new(Memory::new());
        self.last.clone()
    }

    fn crashed(&mut self, engine: Arc<dyn Engine>) -> Arc<dyn Engine> {
        drop(engine);
        // A crash keeps now this many of the unsynced batches, now that many.
        self.crashes += 1;
        self.last = Arc::new(self.last.crashed(self.crashes % 5));
        self.last.clone()
    }
}

/// sled is crashed by copying its files while it runs: what it buffers stays behind.
#[derive(Default)]
struct OnDisk {
    dirs: Vec<tempfile::TempDir>,
}

impl OnDisk {
    fn open(&mut self, dir: tempfile::TempDir) -> Arc<dyn Engine> {
        let engine = Sled::open(dir.path(), 1024 * 1024).unwrap();
        self.dirs.push(dir);
        Arc::new(engine)
    }
}

impl Setup for OnDisk {
    fn fresh(&mut self) -> Arc<dyn Engine> {
        self.open(tempfile::tempdir().unwrap())
    }

    fn crashed(&mut self, engine: Arc<dyn Engine>) -> Arc<dyn Engine> {
        let copy = tempfile::tempdir().unwrap();
        copy_files(self.dirs.last().unwrap().path(), copy.path());
        drop(engine);
        self.open(copy)
    }
}

fn copy_files(from: &std::path::Path, to: &std::path::Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy_files(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn the_memory_engine_keeps_the_contract() {
    run_contract(&mut InMemory::default());
}

#[test]
fn the_sled_engine_keeps_the_contract() {
    run_contract(&mut OnDisk::default());
}
