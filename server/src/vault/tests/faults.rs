//! A disk that is full or fails a sync in the middle of each kind of commit: the caller is told, no
//! reader sees what is not durable, and after a start on a healthy disk all of the commit is there
//! or nothing of it.

use std::collections::BTreeMap;
use std::io;

use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use sheaf_storage::store::disk::{Disk, DiskFile, Files};

use super::*;
use crate::vault::condition::ANYHOW;
use crate::vault::devices::{Change, Changer};
use crate::vault::tree::{Act, Asked, Step};
use crate::vault::upload::{Base, Upcoming, Upload};

/// Calls of one commit that are made to fail, one after the other; no commit makes so many.
const CALLS_MAX: usize = 16;

/// The version of the text that is deleted before; the one behind it is of bytes, the third of
/// bytes over a text.
const GONE: u64 = 6;

const START_MS: u64 = 1_700_000_000_000;
/// From what was deleted to now: all devices know it, or are stale.
const LATER: Duration = Duration::from_secs(400 * 24 * 60 * 60);

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

/// A kind of commit.
type Commit = (&'static str, fn(&World) -> BoxFuture<'_, Result<(), Error>>);

fn other() -> VaultName {
    "other".parse().unwrap()
}

fn stamped(world: &World, content: Upcoming<'static>, base: u64) -> Upload<'static> {
    let stamp = Some(world.ground.registry.stamp());
    Upload { base: Base::Version(base), stamp, ..Upload::of(content) }
}

fn bytes(byte: u8) -> Upcoming<'static> {
    Upcoming::Blob { hash: [byte; 32], size: u64::from(byte) }
}

async fn upload(world: &World, path: &str, upload: Upload<'_>) -> Result<(), Error> {
    world.vaults.upload(&home(), path, BY, upload).await.map(drop)
}

async fn change(world: &World, steps: &[Step<'_>]) -> Result<(), Error> {
    let done = world.vaults.change(&home(), steps, BY).await;
    done.map(drop).map_err(|undone| undone.error)
}

const COMMITS: [Commit; 21] = [
    ("a body settles", |world| {
        let typed = async {
            write(&*world.handle("a.md").await, 900, "typed ")?;
            world.vaults.settle(&home(), "a.md").await.map(drop)
        };
        typed.boxed()
    }),
    ("a file is made", |world| upload(world, "new.md", Upload::of(Upcoming::Text("new"))).boxed()),
    ("a stamped upload of a base", |world| {
        upload(world, "a.md", stamped(world, Upcoming::Text("one\nmine\n"), 1)).boxed()
    }),
    ("bytes", |world| upload(world, "b.md", Upload::of(bytes(9))).boxed()),
    ("bytes make a file", |world| upload(world, "new.bin", stamped(world, bytes(9), 0)).boxed()),
    ("an edit brings bytes back", |world| {
        upload(world, "gone.bin", stamped(world, bytes(8), GONE + 1)).boxed()
    }),
    ("a text over bytes that it was before", |world| {
        upload(world, "was.md", stamped(world, Upcoming::Text("was\n"), GONE + 3)).boxed()
    }),
    ("a device is met", |world| {
        async { world.vaults.meet(&home(), (8, true), &NOBODY).await.map(drop) }.boxed()
    }),
    ("a device is revoked", |world| {
        let change = Change { is_revoked: Some(true), ..Change::default() };
        let revoked =
            async move { world.vaults.change_device(&home(), 7, admin(), change).await.map(drop) };
        revoked.boxed()
    }),
    ("a device is forgotten", |world| {
        async { world.vaults.forget_device(&home(), 7, admin()).await }.boxed()
    }),
    ("deleted files are forgotten", |world| {
        let forgotten = async {
            let files = world.vaults.prune(&CancellationToken::new()).await;
            // It has logged why there are none.
            if files == 2 { Ok(()) } else { Err(Failure::ReadOnly.into()) }
        };
        forgotten.boxed()
    }),
    ("a deletion", |world| {
        let deleted =
            async { world.vaults.delete_file(&home(), "a.md", BY, ANYHOW).await.map(drop) };
        deleted.boxed()
    }),
    ("a move", |world| {
        let moved =
            async { world.vaults.move_file(&home(), "a.md", "c.md", BY, ANYHOW).await.map(drop) };
        moved.boxed()
    }),
    ("a folder moves", |world| {
        let act = Act::Move { to: "away/", asked: Asked::default() };
        async move { change(world, &[Step { path: "dir/", act }]).await }.boxed()
    }),
    ("a folder goes", |world| {
        let act = Act::Delete { base: None, asked: Asked::default() };
        async move { change(world, &[Step { path: "dir/", act }]).await }.boxed()
    }),
    ("files come in with a move and a deletion", |world| {
        let pushed = async {
            let base = |base| Upload::of(base);
            let mine = Upload { base: Base::Version(1), ..base(Upcoming::Text("one\nmine\n")) };
            let (new, bytes) = (base(Upcoming::Text("new")), base(bytes(9)));
            let steps = [
                Step { path: "a.md", act: Act::Upload(&mine) },
                Step { path: "b.md", act: Act::Move { to: "c.md", asked: Asked::default() } },
                Step { path: "b.md", act: Act::Upload(&new) },
                Step { path: "dir/1.md", act: Act::Delete { base: None, asked: Asked::default() } },
                Step { path: "dir/2.md", act: Act::Upload(&bytes) },
            ];
            change(world, &steps).await
        };
        pushed.boxed()
    }),
    ("a name of a version", |world| {
        let named = async {
            let name = (Some("named"), &NOBODY);
            world.vaults.label(&home(), "a.md", Some(1), name).await.map(drop)
        };
        named.boxed()
    }),
    ("a version is restored", |world| {
        async { world.vaults.restore(&home(), "a.md", 1, (BY, ANYHOW)).await.map(drop) }.boxed()
    }),
    ("bytes are restored", |world| {
        let restored = async {
            world.vaults.restore(&home(), "gone.bin", GONE + 1, (BY, ANYHOW)).await.map(drop)
        };
        restored.boxed()
    }),
    ("a vault is made", |world| {
        async { world.vaults.create(&other(), &NOBODY).await.map(drop) }.boxed()
    }),
    ("a vault goes", |world| {
        async { world.vaults.delete(&home(), &NOBODY).await.map(drop) }.boxed()
    }),
];

fn admin() -> Changer<'static> {
    Changer { by: &NOBODY, is_admin: true }
}

/// All that a commit may change: vaults, texts, kinds and names of versions, devices, and what the
/// feed tells of what is gone.
async fn seen(world: &World) -> BTreeMap<String, String> {
    let mut seen = BTreeMap::new();
    for vault in world.vaults.list() {
        seen.insert(format!("vault {}", vault.name), format!("from {} on", vault.horizon));
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
    let horizon = world.vaults.get(&home()).unwrap().horizon;
    for (_, path, is_deleted) in world.feed(horizon.max(1)) {
        if is_deleted {
            seen.insert(format!("gone {path}"), String::new());
        }
    }
    seen
}

/// Files, versions, a folder, devices and deleted files that are old enough to be forgotten; what
/// is there is durable.
async fn begun(dir: &TempDir, disk: Sick) -> World {
    let ((clock, hand), dir) = (Clock::test(START_MS), TempDir::new_in(dir.path()).unwrap());
    let ground = Ground::open_on(dir.path(), &clock, (1 << 30, Quota::default()), Arc::new(disk));
    let vaults = Vaults::new(ground.registry.clone()).unwrap();
    let mut world = World { ground, vaults, dir, clients: 0 };
    let first = stamped(&world, Upcoming::Text("one\n"), 0);
    upload(&world, "a.md", first).await.unwrap();
    world.settled("a.md", "two ").await;
    for path in ["b.md", "dir/1.md", "dir/2.md"] {
        world.settled(path, path).await;
    }
    assert_eq!(world.settled("gone.md", "gone\n").await, GONE);
    upload(&world, "gone.bin", Upload::of(bytes(7))).await.unwrap();
    world.settled("was.md", "was\n").await;
    upload(&world, "was.md", Upload::of(bytes(7))).await.unwrap();
    for path in ["gone.md", "gone.bin"] {
        world.vaults.delete_file(&home(), path, BY, ANYHOW).await.unwrap();
    }
    world.vaults.meet(&home(), (7, true), &NOBODY).await.unwrap();
    hand.advance(LATER);
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
    let done = commit(&world).await;
    let has_failed = disk.has_failed();
    let what = format!("{what}, {fault:?} at call {calls}, {done:?}");
    match &done {
        Ok(()) => {}
        Err(Error::Failed(Failure::ReadOnly)) => assert!(has_failed, "{what}"),
        Err(error) => panic!("{what}: {error:?} says nothing of a disk"),
    }
    let shown = world.vaults.get(&home()).map(|vault| vault.seq);
    let world = world.crash();
    world.catch_up().await;
    if let Some(vault) = world.vaults.get(&home()) {
        assert!(Some(vault.seq) >= shown, "{what}: {shown:?} was shown");
    }
    let now = seen(&world).await;
    let is_as_before = done.is_err() && now == before;
    assert!(now == *after || is_as_before, "{what}: {now:?}");
    check_whole(&world).await;
    if is_as_before && now != *after {
        assert_eq!(commit(&world).await, Ok(()), "{what}, tried again");
        assert_eq!(seen(&world).await, *after, "{what}, tried again");
        check_whole(&world).await;
    }
    done.is_ok() && !has_failed
}

#[test]
fn a_disk_that_fails_within_a_commit_leaves_all_of_it_or_nothing() {
    run(async {
        let dir = TempDir::new().unwrap();
        for (what, commit) in COMMITS {
            let world = begun(&dir, Sick::default()).await;
            let before = seen(&world).await;
            assert_eq!(commit(&world).await, Ok(()), "{what}");
            let after = seen(&world).await;
            assert_ne!(before, after, "{what}");
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
