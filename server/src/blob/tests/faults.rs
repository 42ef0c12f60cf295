//! A disk that is full, that fails, or that forgets what was not synced.

use std::collections::BTreeMap;
use std::io;

use super::*;
use sheaf_storage::store::disk::DiskFile;

/// A disk that can fail, and that knows what would be lost with the power.
#[derive(Clone, Default)]
struct Faulty(Arc<Mutex<Plan>>);

#[derive(Default)]
struct Plan {
    /// Calls that succeed before all others fail.
    left: Option<usize>,
    calls: usize,
    /// Files with bytes that were not synced.
    unsynced: HashSet<PathBuf>,
    /// Directories with names that were not synced.
    renamed: BTreeMap<PathBuf, usize>,
}

impl Faulty {
    fn call(&self) -> io::Result<()> {
        let mut plan = self.0.lock();
        plan.calls += 1;
        match &mut plan.left {
            Some(0) => Err(io::Error::from_raw_os_error(28)),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

struct FaultyFile {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    disk: Faulty,
}

impl Disk for Faulty {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.call()?;
        let (file, path) = (Files.create(path)?, path.to_owned());
        self.0.lock().unsynced.insert(path.clone());
        Ok(Arc::new(FaultyFile { file, path, disk: self.clone() }))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let (file, path) = (Files.open(path)?, path.to_owned());
        Ok(Arc::new(FaultyFile { file, path, disk: self.clone() }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call()?;
        assert!(!self.0.lock().unsynced.contains(from), "{} is not synced", from.display());
        *self.0.lock().renamed.entry(to.parent().expect("a shard").to_owned()).or_default() += 1;
        Files.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.call()?;
        Files.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.call()?;
        self.0.lock().renamed.remove(dir);
        Files.sync_dir(dir)
    }
}

impl DiskFile for FaultyFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        if let Err(error) = self.disk.call() {
            // Half of it fits.
            self.file.write_at(&bytes[..bytes.len() / 2], offset)?;
            return Err(error);
        }
        self.disk.0.lock().unsynced.insert(self.path.clone());
        self.file.write_at(bytes, offset)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.call()?;
        self.disk.0.lock().unsynced.remove(&self.path);
        self.file.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
}

/// The world on such a disk.
fn faulty() -> (World, Faulty) {
    let mut world = World::new();
    let disk = Faulty::default();
    let config = world.blobs.inner.config.clone();
    world.blobs = Blobs::open(Config { disk: Arc::new(disk.clone()), ..config }).expect("it opens");
    (world, disk)
}

/// Nothing that has a name is wrong, and nothing is left behind that stays for ever.
fn check_whole(world: &World) {
    for first in 0..=u8::MAX {
        let shelf = world.blobs.shelf(HERE);
        for (hash, form) in shelf.content(first).expect("readable") {
            match form {
                shelf::Form::Piece => assert!(shelf.load(&hash, None).expect("right").is_some()),
                shelf::Form::List => assert!(world.read(&hash).is_some()),
            }
        }
    }
}

#[test]
fn a_disk_that_fails_anywhere_leaves_nothing_half_written() {
    for count in [100, 2 * MIB] {
        let content = bytes(1, count);
        let hash = Hash::of(&content);
        let mut calls = 0;
        loop {
            let (mut world, disk) = faulty();
            disk.0.lock().left = Some(calls);
            let stored = (|| {
                let mut incoming = world.blobs.upload(HERE, &hash, 0)?;
                incoming.take(&content)?;
                incoming.finish()
            })();
            disk.0.lock().left = None;
            match stored {
                Ok(_) => break,
                Err(error) => assert_eq!(error.code().name(), "unavailable", "{error}"),
            }
            check_whole(&world);
            // The list may have got its name, and its name only was not synced.
            let content_now = world.read(&hash);
            assert!(content_now.is_none_or(|now| now == content), "after {calls} calls");
            world.reopen();
            assert_eq!(world.partials(), 0, "after {calls} calls");
            world.put(&content);
            assert_eq!(world.read(&hash).as_ref(), Some(&content));
            calls += 1;
        }
        assert!(calls >= 5, "{calls} calls");
    }
}

#[test]
fn what_is_stored_survives_loss_of_power() {
    let (world, disk) = faulty();
    let is_safe = || {
        let plan = disk.0.lock();
        plan.renamed.is_empty() && plan.unsynced.iter().all(|path| !path.exists())
    };
    for content in [bytes(1, 10), bytes(2, 3 * MIB)] {
        let stored = world.blobs.put(HERE, &content).expect("stored");
        assert!(is_safe());
        drop(world.blobs.put(HERE, &content).expect("stored"));
        assert!(is_safe());
        let chunks = world.blobs.find(HERE, &stored.hold.hash()).expect("right").expect("there");
        if chunks.chunks().len() > 1 {
            world.blobs.assemble(HERE, &stored.hold.hash(), chunks.chunks()).expect("stored");
            assert!(is_safe());
        }
    }
    assert!(disk.0.lock().calls > 20);
}

#[test]
fn a_full_disk_keeps_nothing_of_an_upload() {
    let (world, disk) = faulty();
    let content = bytes(1, 4 * MIB);
    let mut incoming = world.blobs.upload(HERE, &Hash::of(&content), 0).expect("begun");
    incoming.take(&content[..2 * MIB]).expect("taken");
    disk.0.lock().left = Some(0);
    let failed = incoming.take(&content[2 * MIB..]).expect_err("full");
    assert!(matches!(failed, Error::Full));
    drop(incoming);
    assert_eq!(world.partials(), 0);
}
