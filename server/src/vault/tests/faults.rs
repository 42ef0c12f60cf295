//! A disk that is full or fails a sync in the middle of each kind of commit: the caller is told, no
//! reader sees what is not durable, and after a start on a healthy disk all of the commit is there
//! or nothing of it.

use std::collections::BTreeMap;
use std::io;

use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use sheaf_protocol::stamp::Stamp;
use sheaf_storage::store::disk::{Disk, DiskFile, Files};

use super::*;
use crate::vault::condition::ANYHOW;
use crate::vault::devices::{Change, Changer};
use crate::vault::tree::{Act, Asked, Step};
use crate::vault::upload::{Base, Upcoming, Upload};

/// Calls of one commit that are made to fail, one after the other; no commit makes so many.
const CALLS_MAX: usize = 16;

/// The version of the text that is deleted before; the one behind it is of bytes.
const GONE: u64 = 6;

/// What fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// A write: half of it fits.
    Full,
    /// A sync, after which nobody knows what is on the disk.
    Sync,
}

/// A disk that fails from a call on.
#[derive(Clone, Default)]
struct Sick(Arc<Mutex<Option<Plan>>>);

/// What fails, behind how many calls that do not, and how many have failed.
#[derive(Clone, Copy)]
struct Plan {
    fault: Fault,
    left: usize,
    failed: usize,
}

impl Sick {
    fn call(&self, kind: Fault) -> io::Result<()> {
        let mut plan = self.0.lock();
        let Some(plan) = plan.as_mut().filter(|plan| plan.fault == kind) else { return Ok(()) };
        if plan.left > 0 {
            plan.left -= 1;
            return Ok(());
        }
        plan.failed += 1;
        Err(io::Error::from_raw_os_error(28))
    }

    /// Whether something has failed.
    fn has_failed(&self) -> bool {
        self.0.lock().is_some_and(|plan| plan.failed > 0)
    }
}

struct SickFile(Arc<dyn DiskFile>, Sick);

impl Disk for Sick {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(SickFile(Files.create(path)?, self.clone())))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(SickFile(Files.open(path)?, self.clone())))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        Files.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        Files.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        Files.sync_dir(dir)
    }
}

impl DiskFile for SickFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        if let Err(error) = self.1.call(Fault::Full) {
            self.0.write_at(&bytes[..bytes.len() / 2], offset)?;
            return Err(error);
        }
        self.0.write_at(bytes, offset)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.1.call(Fault::Sync)?;
        self.0.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
}

/// A kind of commit, and whether it succeeded.
type Commit = (&'static str, fn(&World) -> BoxFuture<'_, bool>);

fn upload<'a>(content: Upcoming<'a>, base: Base, stamp: Option<Stamp>) -> Upload<'a> {
    Upload { base, stamp, ..Upload::of(content) }
}

fn other() -> VaultName {
    "other".parse().unwrap()
}

const COMMITS: [Commit; 17] = [
    ("a body settles", |world| {
        let typed = async {
            let handle = world.handle("a.md").await;
            write(&handle, 900, "typed ").is_ok()
                && world.vaults.settle(&home(), "a.md").await.is_ok()
        };
        typed.boxed()
    }),
    ("a file is made", |world| {
        let new = upload(Upcoming::Text("new"), Base::Version(0), None);
        async { world.vaults.upload(&home(), "new.md", BY, new).await.is_ok() }.boxed()
    }),
    ("a stamped upload of a base", |world| {
        let stamp = Some(world.ground.registry.stamp());
        let made = upload(Upcoming::Text("one\nmine\n"), Base::Version(1), stamp);
        async { world.vaults.upload(&home(), "a.md", BY, made).await.is_ok() }.boxed()
    }),
    ("bytes", |world| {
        let bytes = upload(Upcoming::Blob { hash: [9; 32], size: 9 }, Base::Now, None);
        async { world.vaults.upload(&home(), "b.md", BY, bytes).await.is_ok() }.boxed()
    }),
    ("bytes make a file", |world| {
        let stamp = Some(world.ground.registry.stamp());
        let bytes = upload(Upcoming::Blob { hash: [9; 32], size: 9 }, Base::Version(0), stamp);
        async { world.vaults.upload(&home(), "new.bin", BY, bytes).await.is_ok() }.boxed()
    }),
    ("an edit brings bytes back", |world| {
        let stamp = Some(world.ground.registry.stamp());
        let bytes = Upcoming::Blob { hash: [8; 32], size: 8 };
        let edit = upload(bytes, Base::Version(GONE + 1), stamp);
        async { world.vaults.upload(&home(), "gone.bin", BY, edit).await.is_ok() }.boxed()
    }),
    ("a device is met", |world| {
        async { world.vaults.meet(&home(), (8, true), &NOBODY).await.is_ok() }.boxed()
    }),
    ("a device is revoked", |world| {
        let change = Change { is_revoked: Some(true), ..Change::default() };
        let who = Changer { by: &NOBODY, is_admin: true };
        async move { world.vaults.change_device(&home(), 7, who, change).await.is_ok() }.boxed()
    }),
    ("a deletion", |world| {
        async { world.vaults.delete_file(&home(), "a.md", BY, ANYHOW).await.is_ok() }.boxed()
    }),
    ("a move", |world| {
        let moved =
            async { world.vaults.move_file(&home(), "a.md", "c.md", BY, ANYHOW).await.is_ok() };
        moved.boxed()
    }),
    ("a folder moves", |world| {
        let moved = async {
            let steps =
                [Step { path: "dir/", act: Act::Move { to: "away/", asked: Asked::default() } }];
            world.vaults.change(&home(), &steps, BY).await.is_ok()
        };
        moved.boxed()
    }),
    ("a folder goes", |world| {
        let gone = async {
            let steps =
                [Step { path: "dir/", act: Act::Delete { base: None, asked: Asked::default() } }];
            world.vaults.change(&home(), &steps, BY).await.is_ok()
        };
        gone.boxed()
    }),
    ("files come in with a move and a deletion", |world| {
        let pushed = async {
            let mine = upload(Upcoming::Text("one\nmine\n"), Base::Version(1), None);
            let new = upload(Upcoming::Text("new"), Base::Version(0), None);
            let bytes = upload(Upcoming::Blob { hash: [9; 32], size: 9 }, Base::Now, None);
            let steps = [
                Step { path: "a.md", act: Act::Upload(&mine) },
                Step { path: "b.md", act: Act::Move { to: "c.md", asked: Asked::default() } },
                Step { path: "b.md", act: Act::Upload(&new) },
                Step { path: "dir/1.md", act: Act::Delete { base: None, asked: Asked::default() } },
                Step { path: "dir/2.md", act: Act::Upload(&bytes) },
            ];
            world.vaults.change(&home(), &steps, BY).await.is_ok()
        };
        pushed.boxed()
    }),
    ("a name of a version", |world| {
        let named = async {
            let name = (Some("named"), &NOBODY);
            world.vaults.label(&home(), "a.md", Some(1), name).await.is_ok()
        };
        named.boxed()
    }),
    ("a version is restored", |world| {
        async { world.vaults.restore(&home(), "a.md", 1, (BY, ANYHOW)).await.is_ok() }.boxed()
    }),
    ("a vault is made", |world| {
        async { world.vaults.create(&other(), &NOBODY).await.is_ok() }.boxed()
    }),
    ("a vault goes", |world| async { world.vaults.delete(&home(), &NOBODY).await.is_ok() }.boxed()),
];

/// All that a commit may change: vaults, texts, kinds and names of versions.
async fn seen(world: &World) -> BTreeMap<String, String> {
    let mut seen = BTreeMap::new();
    for vault in world.vaults.list() {
        seen.insert(format!("vault {}", vault.name), String::new());
    }
    let Ok(page) = world.vaults.files(&home(), "", None, 1_000) else { return seen };
    for file in page.items {
        let text = match file.kind {
            Kind::Blob => format!("{:?}", file.hash),
            _ => world.text(&file.path).await.unwrap_or_default(),
        };
        let versions = world.vaults.versions(&home(), &file.path, None, 100).unwrap();
        let labels = versions.items.iter().filter(|it| it.label.is_some()).count();
        seen.insert(file.path.to_string(), format!("{text} with {labels} names"));
    }
    for shown in world.vaults.devices(&home()).unwrap() {
        seen.insert(format!("device {}", shown.id), format!("{:?}", shown.standing));
    }
    seen
}

/// Files, versions and a folder; what is there is durable.
async fn begun(dir: &TempDir, disk: Sick) -> World {
    let (clock, dir) = (Clock::system(), TempDir::new_in(dir.path()).unwrap());
    let ground = Ground::open_on(dir.path(), &clock, (1 << 30, Quota::default()), Arc::new(disk));
    let vaults = Vaults::new(ground.registry.clone()).unwrap();
    let mut world = World { ground, vaults, dir, clients: 0 };
    let first = upload(Upcoming::Text("one\n"), Base::Version(0), None);
    assert_eq!(world.vaults.upload(&home(), "a.md", BY, first).await.unwrap().version, 1);
    world.settled("a.md", "two ").await;
    for path in ["b.md", "dir/1.md", "dir/2.md"] {
        world.settled(path, path).await;
    }
    world.settled("gone.md", "gone\n").await;
    let bytes = upload(Upcoming::Blob { hash: [7; 32], size: 7 }, Base::Now, None);
    let made = world.vaults.upload(&home(), "gone.bin", BY, bytes).await.unwrap();
    assert_eq!(made.version, GONE + 1);
    for path in ["gone.md", "gone.bin"] {
        world.vaults.delete_file(&home(), path, BY, ANYHOW).await.unwrap();
    }
    world.vaults.meet(&home(), (7, true), &NOBODY).await.unwrap();
    world.fold();
    world
}

/// Every row of the feed is a file's, each once, and what each version names can be read.
async fn check_whole(world: &World) {
    let Some(vault) = world.vaults.get(&home()) else { return };
    let rows = world.changes(0).items;
    for change in &rows {
        assert!(change.seq <= vault.seq && change.seq == change.file.seq);
        if change.file.kind != Kind::Blob {
            world.vaults.read_at(&home(), &change.file.path, None).await.expect("it is readable");
        }
    }
    assert_eq!(rows.len(), world.paths().len());
}

async fn fail(
    dir: &TempDir,
    (what, commit): Commit,
    (fault, calls): (Fault, usize),
    after: &BTreeMap<String, String>,
) -> bool {
    let disk = Sick::default();
    let world = begun(dir, disk.clone()).await;
    let before = seen(&world).await;
    *disk.0.lock() = Some(Plan { fault, left: calls, failed: 0 });
    let is_done = commit(&world).await;
    let has_failed = disk.has_failed();
    assert!(is_done || has_failed, "{what}: refused for another reason");
    let shown = world.vaults.get(&home()).map(|vault| vault.seq);
    let world = world.crash();
    world.catch_up().await;
    if let Some(vault) = world.vaults.get(&home()) {
        assert!(Some(vault.seq) >= shown, "{what}: {shown:?} was shown");
    }
    let now = seen(&world).await;
    let is_whole = now == *after || (!is_done && now == before);
    assert!(is_whole, "{what}, {fault:?} at call {calls}, done: {is_done}: {now:?}");
    check_whole(&world).await;
    is_done && !has_failed
}

#[test]
fn a_disk_that_fails_within_a_commit_leaves_all_of_it_or_nothing() {
    run(async {
        let dir = TempDir::new().unwrap();
        for (what, commit) in COMMITS {
            let world = begun(&dir, Sick::default()).await;
            assert!(commit(&world).await, "{what}");
            let after = seen(&world).await;
            for fault in [Fault::Full, Fault::Sync] {
                let mut calls = 0;
                while !fail(&dir, (what, commit), (fault, calls), &after).await {
                    calls += 1;
                    assert!(calls < CALLS_MAX, "{what}: no end");
                }
                println!("{what}: {fault:?} at each of {calls} calls");
                assert!(calls > 0, "{what}: {fault:?} never failed");
            }
        }
    });
}
