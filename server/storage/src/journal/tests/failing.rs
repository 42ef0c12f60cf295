//! A disk that fails at the n-th call of a kind.

use std::io;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::store::disk::{Disk, DiskFile, Files};

/// The calls that can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    Create,
    Write,
    /// Half of the bytes are written and the call says so.
    ShortWrite,
    Sync,
    SyncDir,
    Remove,
    Rename,
}

/// The disk; a clone has the same plan.
#[derive(Clone, Default)]
pub(crate) struct Failing {
    plan: Arc<Mutex<Plan>>,
}

#[derive(Default)]
struct Plan {
    fail: Option<(Call, u64)>,
    is_lasting: bool,
    has_failed: bool,
}

impl Failing {
    /// Lets the `nth` call of a kind from now fail, 0 being the next, and all after it when
    /// `is_lasting`.
    pub(crate) fn fail(&self, call: Call, nth: u64, is_lasting: bool) {
        *self.plan.lock() = Plan { fail: Some((call, nth)), is_lasting, has_failed: false };
    }

    pub(crate) fn heal(&self) {
        *self.plan.lock() = Plan::default();
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.plan.lock().has_failed
    }

    fn is_due(&self, call: Call) -> bool {
        let mut plan = self.plan.lock();
        match plan.fail {
            Some((due, 0)) if due == call => {
                plan.has_failed = true;
                if !plan.is_lasting {
                    plan.fail = None;
                }
                true
            }
            Some((due, nth)) if due == call => {
                plan.fail = Some((due, nth - 1));
                false
            }
            _ => false,
        }
    }

    fn check(&self, call: Call) -> io::Result<()> {
        if self.is_due(call) { Err(io::Error::from_raw_os_error(28)) } else { Ok(()) }
    }
}

struct FailingFile {
    file: Arc<dyn DiskFile>,
    disk: Failing,
}

impl Disk for Failing {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.check(Call::Create)?;
        Ok(Arc::new(FailingFile { file: Files.create(path)?, disk: self.clone() }))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(FailingFile { file: Files.open(path)?, disk: self.clone() }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.check(Call::Rename)?;
        Files.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.check(Call::Remove)?;
        Files.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.check(Call::SyncDir)?;
        Files.sync_dir(dir)
    }
}

impl DiskFile for FailingFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.disk.check(Call::Write)?;
        if self.disk.is_due(Call::ShortWrite) {
            return self.file.write_at(&bytes[..bytes.len() / 2], offset);
        }
        self.file.write_at(bytes, offset)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.check(Call::Sync)?;
        self.file.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
}
