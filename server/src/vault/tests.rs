//! Vaults on a real data directory: with crashes, restarts and many at once.

mod faults;
mod model;
mod overtaken;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sheaf_protocol::ids::{DocId, Principal, VaultName};
use sheaf_protocol::plan::Source;
use sheaf_protocol::scan;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::condition::{ANYHOW, At};
use super::{Changes, Cursor, Error, File, Kind, Vaults};
use crate::document::author::Author;
use crate::document::author::OnlyIf;
use crate::document::checkpoint;
use crate::document::handle::{Handle, Name};
use crate::document::ledger::Quota;
use crate::document::owners::Submitter;
use crate::document::state::tests::typed;
use crate::document::submission::{Failure, Submission};
use crate::document::tests::{Ground, run};
use sheaf_ground::task::Group;
use sheaf_ground::time::{Clock, Hand};
use sheaf_storage::journal::verify;
use sheaf_storage::store::Store;

pub(crate) const NOBODY: Principal = Principal::Anonymous;
pub(crate) const BY: Author<'_> = Author::of(&NOBODY);

pub(crate) struct World {
    pub(crate) ground: Ground,
    pub(crate) vaults: Vaults,
    pub(super) dir: TempDir,
    clients: u64,
}

pub(crate) fn home() -> VaultName {
    "home".parse().unwrap()
}

impl World {
    pub(super) fn new() -> Self {
        Self::with_quota(Quota::default())
    }

    pub(super) fn with_quota(quota: Quota) -> Self {
        let dir = TempDir::new().unwrap();
        let (ground, vaults) = open(dir.path(), quota);
        Self { ground, vaults, dir, clients: 0 }
    }

    /// As after `kill -9`: nothing more is synced or folded.
    pub(super) fn crash(self) -> Self {
        let clock = self.ground.shared.clock.clone();
        self.at_clock(&clock, false)
    }

    /// After a crash, or a stop if it `is_closed`, with another clock.
    pub(super) fn at_clock(self, clock: &Clock, is_closed: bool) -> Self {
        let Self { ground, vaults, dir, clients } = self;
        if is_closed {
            ground.shared.journal.close().unwrap();
        }
        drop((ground, vaults));
        let (ground, vaults) = open_at(dir.path(), Quota::default(), clock);
        Self { ground, vaults, dir, clients }
    }

    pub(crate) fn restart(self) -> Self {
        let clock = self.ground.shared.clock.clone();
        self.at_clock(&clock, true)
    }

    /// A world whose clock is set by hand.
    pub(crate) fn at(now_ms: u64) -> (Self, Hand) {
        let (clock, hand) = Clock::test(now_ms);
        let dir = TempDir::new().unwrap();
        let (ground, vaults) = open_at(dir.path(), Quota::default(), &clock);
        (Self { ground, vaults, dir, clients: 0 }, hand)
    }

    /// On the directory of a world that is over.
    pub(super) fn reopen(dir: TempDir, clock: &Clock) -> Self {
        let (ground, vaults) = open_at(dir.path(), Quota::default(), clock);
        Self { ground, vaults, dir, clients: 0 }
    }

    /// Types into a file, which settles later.
    pub(super) async fn written(&mut self, path: &str, text: &str) {
        self.write(path, text).await.unwrap();
    }

    /// Writes a checkpoint of a document.
    pub(crate) async fn checkpoint(&self, path: &str) {
        let handle = self.handle(path).await;
        let Ground { shared, store, .. } = &self.ground;
        checkpoint::write(&handle, store, &shared.journal, true).unwrap();
    }

    /// The directory of a world that ended as by `kill -9`.
    pub(super) fn abandon(self) -> TempDir {
        self.dir
    }

    /// A world in a directory that another one left.
    pub(super) fn within(dir: TempDir) -> Self {
        let (ground, vaults) = open(dir.path(), Quota::default());
        Self { ground, vaults, dir, clients: 0 }
    }

    /// The directory of a world that is over.
    pub(crate) fn close(self) -> TempDir {
        self.ground.shared.journal.close().unwrap();
        self.dir
    }

    pub(super) fn fold(&self) {
        self.ground.shared.journal.fold_now().unwrap();
    }

    pub(super) async fn handle(&self, path: &str) -> Arc<Handle> {
        let name = Name { vault: home(), document: path.into() };
        self.ground.registry.open(&name).await.unwrap()
    }

    /// Types into a file, as a session would.
    pub(super) async fn write(&mut self, path: &str, text: &str) -> Result<(), Failure> {
        self.clients += 1;
        write(&*self.handle(path).await, self.clients, text)
    }

    pub(super) async fn settled(&mut self, path: &str, text: &str) -> u64 {
        self.write(path, text).await.unwrap();
        self.vaults.settle(&home(), path).await.unwrap()
    }

    /// Writes as a certain client, and settles.
    pub(super) async fn settled_by(&mut self, path: &str, client: u64, text: &str) -> u64 {
        write(&*self.handle(path).await, client, text).unwrap();
        self.vaults.settle(&home(), path).await.unwrap()
    }

    pub(super) fn changes(&self, since: u64) -> Changes {
        let epoch = self.vaults.get(&home()).unwrap().epoch;
        let since = Cursor::at(epoch, since);
        self.vaults.changes(&home(), since, 1_000).unwrap()
    }

    /// Seq, path and whether it is deleted.
    pub(super) fn feed(&self, since: u64) -> Vec<(u64, String, bool)> {
        let line = |file: File| (file.seq, file.path.to_string(), file.is_deleted);
        self.changes(since).items.into_iter().map(|change| line(change.file)).collect()
    }

    pub(super) fn paths(&self) -> Vec<String> {
        let page = self.vaults.files(&home(), "", None, 1_000).unwrap();
        page.items.into_iter().map(|file| file.path.to_string()).collect()
    }

    pub(super) async fn text(&self, path: &str) -> Option<String> {
        self.handle(path).await.text("content")
    }

    /// Settles what is to be settled at a start.
    pub(super) async fn catch_up(&self) {
        let stopping = CancellationToken::new();
        stopping.cancel();
        self.vaults.clone().run(stopping).await;
    }

    pub(super) fn id(&self, path: &str) -> DocId {
        self.vaults.file(&home(), path).unwrap().id
    }
}

fn open(dir: &Path, quota: Quota) -> (Ground, Vaults) {
    open_at(dir, quota, &Clock::system())
}

fn open_at(dir: &Path, quota: Quota, clock: &Clock) -> (Ground, Vaults) {
    let ground = Ground::open_with(dir, clock, 1 << 30, quota);
    let vaults = Vaults::new(ground.registry.clone()).unwrap();
    (ground, vaults)
}

pub(super) fn write(handle: &Handle, client: u64, text: &str) -> Result<(), Failure> {
    let updates = typed(client, &[text]);
    let update = scan::update(&updates[0]).unwrap();
    let by = Submitter { author: Author::of(&NOBODY), asked: Some(&[]) };
    let receipt = handle.submit(None, by, &[Submission { source: Source::Update, update }])?;
    assert!(receipt.refusal.is_none(), "{receipt:?}");
    Ok(())
}

/// Nothing is wrong with a directory whose server is gone.
pub(crate) fn check(dir: &Path) {
    let report = verify::verify(dir, &mut |_| (), &mut |_, _| Ok(())).unwrap();
    assert!(report.is_clean(), "{report:?}");
}

#[test]
fn a_settled_body_takes_a_seq_and_one_that_stands_still_takes_none() {
    run(async {
        let mut world = World::new();
        world.write("a.md", "hello").await.unwrap();
        let file = world.vaults.file(&home(), "a.md").unwrap();
        assert_eq!((file.n, file.seq), (0, 0), "it is there before it settles");
        assert_eq!(world.feed(0), []);
        assert_eq!(world.vaults.settle(&home(), "a.md").await, Ok(1));
        assert_eq!(world.vaults.settle(&home(), "a.md").await, Ok(1));
        let file = world.vaults.file(&home(), "a.md").unwrap();
        assert_eq!((file.n, file.seq, file.size, file.kind), (1, 1, 5, Kind::Text));
        let hash = file.hash.unwrap();
        let hex: String = hash[..4].iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "2cf24dba", "SHA-256 of the text");
        assert_eq!(world.settled("b.md", "x").await, 2);
        assert_eq!(world.settled("a.md", " world").await, 3);
        let due = [(2, "b.md".to_owned(), false), (3, "a.md".to_owned(), false)];
        assert_eq!(world.feed(0), due, "each item once, in its current form");
        assert_eq!(world.feed(2), due[1..]);
        let vault = world.vaults.get(&home()).unwrap();
        assert_eq!((vault.files, vault.seq), (2, 3));
        assert!(vault.bytes > 10, "{vault:?}");
    });
}

#[test]
fn a_cursor_of_another_epoch_or_from_the_future_is_refused() {
    run(async {
        let mut world = World::new();
        world.settled("a.md", "x").await;
        let epoch = world.vaults.get(&home()).unwrap().epoch;
        let ask =
            |epoch, seq| world.vaults.changes(&home(), Cursor { epoch, seq, listing: None }, 10);
        assert!(ask(epoch, 1).unwrap().items.is_empty());
        let expired = Error::CursorExpired { epoch, horizon: 0, seq: 1 };
        assert_eq!(ask(epoch, 2), Err(expired.clone()));
        assert_eq!(ask(epoch + 1, 1), Err(expired));
        assert_eq!("7.12".parse(), Ok(Cursor::at(7, 12)));
        let listing = Cursor { listing: Some(5), ..Cursor::at(7, 12) };
        assert_eq!(listing.to_string(), "7.12.5");
        assert_eq!("7.12.5".parse(), Ok(listing));
        assert_eq!("0".parse(), Ok(Cursor::default()));
        for text in ["", "1", "-1.2", "1.", ".1", "1.2.3.4", "+1.2", "1.99999999999999999999"] {
            assert!(text.parse::<Cursor>().is_err(), "{text:?}");
        }
    });
}

/// Only at this state.
pub(crate) fn exactly(
    wanted: At,
) -> impl Fn(Option<At>) -> Result<Option<OnlyIf>, Error> + Send + Sync {
    move |now| match now {
        Some(at) if at == wanted => Ok(Some(OnlyIf::At(at.n))),
        now => Err(Error::Stale { now }),
    }
}

#[test]
fn a_deleted_file_is_a_tombstone_and_made_anew_is_another() {
    run(async {
        let mut world = World::new();
        world.settled("a.md", "x").await;
        let (id, handle) = (world.id("a.md"), world.handle("a.md").await);
        let now = At { doc: id, n: 1, bytes: None };
        let delete = async |at| world.vaults.delete_file(&home(), "a.md", BY, &exactly(at)).await;
        let stale = Err(Error::Stale { now: Some(now) });
        assert_eq!(delete(At { n: 7, ..now }).await, stale);
        assert_eq!(delete(At { bytes: Some([7; 32]), ..now }).await, stale);
        assert_eq!(delete(now).await, Ok(2));
        assert_eq!(handle.ended(), Failure::Deleted);
        assert_eq!(write(&handle, 99, "late"), Err(Failure::Deleted));
        assert_eq!(world.feed(1), [(2, "a.md".to_owned(), true)]);
        assert_eq!(world.feed(0), []);
        let gone = world.vaults.delete_file(&home(), "a.md", BY, ANYHOW).await;
        assert_eq!(gone, Err(Error::NoFile));
        assert_eq!(world.settled("a.md", "new").await, 3);
        assert_ne!(world.id("a.md"), id);
        assert_eq!(world.text("a.md").await.as_deref(), Some("new"));
        drop(handle);
        let world = world.restart();
        assert_eq!(world.feed(1), [(2, "a.md".to_owned(), true), (3, "a.md".to_owned(), false)]);
        assert_eq!(world.text("a.md").await.as_deref(), Some("new"));
    });
}

#[test]
fn a_file_made_anew_is_not_the_one_that_was_to_be_deleted_or_moved() {
    run(async {
        let mut world = World::new();
        world.settled("a.md", "old").await;
        let old = world.id("a.md");
        let was = At { doc: old, n: 1, bytes: None };
        world.vaults.delete_file(&home(), "a.md", BY, &exactly(was)).await.unwrap();
        world.settled("a.md", "new").await;
        let now = At { doc: world.id("a.md"), ..was };
        let stale = Err(Error::Stale { now: Some(now) });
        let vaults = world.vaults.clone();
        assert_eq!(vaults.delete_file(&home(), "a.md", BY, &exactly(was)).await, stale);
        for to in ["b.md", "a.md"] {
            assert_eq!(vaults.move_file(&home(), "a.md", to, BY, &exactly(was)).await, stale);
        }
        assert_eq!(world.text("a.md").await.as_deref(), Some("new"));
        assert!(vaults.move_file(&home(), "a.md", "b.md", BY, &exactly(now)).await.is_ok());
    });
}

#[test]
fn a_moved_file_keeps_its_id_and_content() {
    run(async {
        let mut world = World::new();
        world.settled("a.md", "x").await;
        world.settled("taken.md", "x").await;
        let (id, handle) = (world.id("a.md"), world.handle("a.md").await);
        // Somebody waits at the new name, and has written nothing.
        let waiting = world.handle("sub/b.md").await;
        let vaults = world.vaults.clone();
        let to = async |to: &str| vaults.move_file(&home(), "a.md", to, BY, ANYHOW).await;
        assert_eq!(to("TAKEN.md").await, Err(Error::PathTaken { path: "taken.md".into() }));
        assert!(matches!(to("../a.md").await, Err(Error::BadPath(_))));
        assert_eq!(to("sub/b.md").await, Ok(3));
        assert_eq!(handle.ended(), Failure::Moved);
        assert_eq!(write(&waiting, 98, "late"), Err(Failure::Dropped));
        assert_eq!((world.id("sub/b.md"), world.paths()), (id, names(&["sub/b.md", "taken.md"])));
        assert_eq!(world.text("sub/b.md").await.as_deref(), Some("x"));
        assert_eq!(world.settled("sub/b.md", "y").await, 4);
        drop((handle, waiting, vaults));
        let world = world.crash();
        world.catch_up().await;
        assert_eq!((world.id("sub/b.md"), world.paths()), (id, names(&["sub/b.md", "taken.md"])));
        assert_eq!(world.text("sub/b.md").await.map(|text| text.len()), Some(2));
    });
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Every operation, with a crash right after it, before or after its fold.
#[test]
fn what_was_done_is_done_after_a_crash() {
    run(async {
        for is_folded in [false, true] {
            let mut world = World::new();
            for path in ["kept.md", "moved.md", "deleted.md", "again.md"] {
                world.settled(path, path).await;
            }
            let world = step(world, is_folded);
            let ids: Vec<DocId> =
                ["kept.md", "moved.md", "again.md"].map(|path| world.id(path)).to_vec();
            world.vaults.delete_file(&home(), "deleted.md", BY, ANYHOW).await.unwrap();
            let world = step(world, is_folded);
            world.vaults.move_file(&home(), "moved.md", "to.md", BY, ANYHOW).await.unwrap();
            let world = step(world, is_folded);
            world.vaults.delete_file(&home(), "again.md", BY, ANYHOW).await.unwrap();
            let mut world = step(world, is_folded);
            // Written and not settled: the next start does it.
            world.write("again.md", "new").await.unwrap();
            let journal = world.ground.shared.journal.clone();
            journal.wait_durable(journal.written()).unwrap();
            drop(journal);
            let world = step(world, is_folded);
            world.catch_up().await;
            assert_eq!(world.paths(), names(&["again.md", "kept.md", "to.md"]));
            assert_eq!((world.id("kept.md"), world.id("to.md")), (ids[0], ids[1]));
            assert_ne!(world.id("again.md"), ids[2]);
            assert_eq!(world.text("again.md").await.as_deref(), Some("new"));
            assert_eq!(world.text("to.md").await.as_deref(), Some("moved.md"));
            let due = [
                (1, "kept.md".to_owned(), false),
                (5, "deleted.md".to_owned(), true),
                (6, "to.md".to_owned(), false),
                (7, "again.md".to_owned(), true),
                (8, "again.md".to_owned(), false),
            ];
            assert_eq!(world.feed(0), [due[0].clone(), due[2].clone(), due[4].clone()]);
            assert_eq!(world.feed(1), due[1..]);
            let World { ground, vaults, dir, .. } = world;
            drop((ground, vaults));
            check(dir.path());
        }
    });
}

fn step(world: World, is_folded: bool) -> World {
    if is_folded {
        world.fold();
    }
    world.crash()
}

#[test]
fn a_deleted_vault_is_gone_and_one_of_its_name_is_another() {
    run(async {
        for is_folded in [false, true] {
            let mut world = World::new();
            assert_eq!(world.vaults.create(&home(), &NOBODY).await, Ok(true));
            assert_eq!(world.vaults.create(&home(), &NOBODY).await, Ok(false));
            world.settled("a.md", "x").await;
            let (handle, watch) =
                (world.handle("a.md").await, world.vaults.watch(&home()).unwrap());
            let before = world.vaults.get(&home()).unwrap();
            if is_folded {
                world.fold();
            }
            world.vaults.delete(&home(), &NOBODY).await.unwrap();
            assert_eq!(handle.ended(), Failure::VaultDeleted);
            assert_eq!(write(&handle, 97, "late"), Err(Failure::VaultDeleted));
            assert!(watch.has_changed().is_err(), "who follows it is told");
            assert_eq!(world.vaults.get(&home()), None);
            assert_eq!(world.vaults.delete(&home(), &NOBODY).await, Err(Error::NoVault));
            let (number, id) = (handle.key().vault, handle.key().doc);
            drop((handle, watch));
            let mut world = step(world, is_folded);
            assert_eq!(world.vaults.list(), []);
            assert!(world.ground.store.documents().is_empty());
            world.settled("a.md", "new").await;
            let key = world.handle("a.md").await.key();
            assert!(key.vault > number, "{key}");
            assert_ne!((key.doc, before.epoch), (id, world.vaults.get(&home()).unwrap().epoch));
            assert_eq!(world.text("a.md").await.as_deref(), Some("new"));
            let world = world.restart();
            assert_eq!(world.feed(0), [(1, "a.md".to_owned(), false)]);
            let World { ground, vaults, dir, .. } = world;
            drop((ground, vaults));
            check(dir.path());
        }
    });
}

#[test]
fn a_restart_goes_on_with_the_seq_and_the_epoch() {
    run(async {
        let mut world = World::new();
        world.settled("a.md", "x").await;
        world.settled("b.md", "x").await;
        let before = world.vaults.get(&home()).unwrap();
        let world = world.crash();
        assert_eq!(world.vaults.get(&home()).unwrap(), before);
        let mut world = world.restart();
        assert_eq!(world.vaults.get(&home()).unwrap(), before);
        assert_eq!(world.settled("a.md", "y").await, 3);
    });
}

#[test]
fn readers_see_one_order_without_a_gap_while_many_write() {
    run(async {
        const READERS: usize = 20;
        const WRITES: u64 = 500;
        let mut world = World::new();
        world.settled("file 0", "begin").await;
        let tasks = Group::new(world.ground.shared.metrics.task_panics.clone());
        let done = CancellationToken::new();
        tasks.spawn("settling", world.vaults.clone().run(tasks.stopping().clone()));
        let seen = Arc::new(parking_lot::Mutex::new(Vec::new()));
        for _ in 0..READERS {
            let (vaults, done, seen) = (world.vaults.clone(), done.clone(), Arc::clone(&seen));
            tasks.spawn("reader", async move {
                let all = follow(&vaults, &done).await;
                seen.lock().push(all);
            });
        }
        for number in 0..WRITES {
            let path = format!("file {}", number % 10);
            world.write(&path, "x").await.unwrap();
            if number % 7 == 0 {
                world.vaults.settle(&home(), &path).await.unwrap();
            }
        }
        for number in 0..10 {
            world.vaults.settle(&home(), &format!("file {number}")).await.unwrap();
        }
        done.cancel();
        let clock = Clock::system();
        let all_ended = async {
            while seen.lock().len() < READERS {
                tokio::task::yield_now().await;
            }
        };
        clock.deadline(Duration::from_secs(60), all_ended).await.unwrap();
        tasks.shutdown(&clock, Duration::from_secs(5)).await;
        let due = world.feed(0);
        for all in seen.lock().iter() {
            assert!(all.is_sorted_by(|one, two| one.0 < two.0), "in order, none twice");
            let mut last: Vec<(u64, String)> = Vec::new();
            for (seq, path) in all {
                last.retain(|(_, other)| other != path);
                last.push((*seq, path.clone()));
            }
            let due: Vec<_> = due.iter().map(|(seq, path, _)| (*seq, path.clone())).collect();
            assert_eq!(last, due, "the last of each file is what the feed has");
        }
        assert!(due.last().unwrap().0 >= 10 + WRITES / 7, "{due:?}");
    });
}

/// Reads the feed to its end, again and again, until nothing more will come.
async fn follow(vaults: &Vaults, done: &CancellationToken) -> Vec<(u64, String)> {
    let mut watch = vaults.watch(&home()).unwrap();
    let (mut cursor, mut all) = (Cursor::default(), Vec::new());
    loop {
        let is_last = done.is_cancelled();
        let changes = vaults.changes(&home(), cursor, 3).unwrap();
        let lines = changes.items.iter().map(|change| (change.seq, change.file.path.to_string()));
        all.extend(lines);
        cursor = changes.cursor;
        if !changes.has_more {
            if is_last {
                return all;
            }
            tokio::select! {
                changed = watch.changed() => changed.unwrap(),
                () = done.cancelled() => {}
            }
        }
    }
}

#[test]
fn quotas_hold_for_every_writer() {
    run(async {
        let quota = Quota { vault_documents_max: 2, vault_bytes_max: 1_300 };
        let mut world = World::with_quota(quota);
        world.settled("a.md", "x").await;
        world.settled("b.md", "x").await;
        assert_eq!(world.write("c.md", "x").await, Err(Failure::Quota));
        assert_eq!(world.paths(), names(&["a.md", "b.md"]), "nothing of it is there");
        world.vaults.delete_file(&home(), "b.md", BY, ANYHOW).await.unwrap();
        world.settled("c.md", "x").await;
        assert_eq!(world.write("c.md", &"x".repeat(300)).await, Err(Failure::Quota));
        assert_eq!(world.text("c.md").await.as_deref(), Some("x"));
        assert_eq!(world.ground.shared.metrics.vault.quota_refusals.get(), 2);
        let bytes = world.vaults.get(&home()).unwrap().bytes;
        assert!(bytes > 1_024, "what is kept of the deleted one is charged");
        let world = world.restart();
        assert_eq!(world.vaults.get(&home()).unwrap().bytes, bytes);
    });
}

#[test]
fn a_file_is_no_alias_of_another_and_a_room_may_have_any_name() {
    run(async {
        let mut world = World::new();
        world.write("Notes/Today.md", "x").await.unwrap();
        let vaults = world.vaults.clone();
        let create = async |path: &str| vaults.open_or_create(&home(), path).await.map(|_| ());
        let taken = Err(Error::PathTaken { path: "Notes/Today.md".into() });
        assert_eq!(create("notes/today.md").await, taken);
        assert_eq!(create("NOTES").await, taken);
        assert_eq!(create("notes/today.MD/below").await, taken);
        assert_eq!(create("Notes/Today.md").await, Ok(()));
        assert_eq!(create("notes/other.md").await, Ok(()));
        assert!(matches!(create("con").await, Err(Error::BadPath(_))));
        world.write("con", "a room").await.unwrap();
        assert_eq!(create("con").await, Ok(()), "what is there is reached by its name");
        // Two that are no files yet: the first write decides.
        let one = vaults.open_or_create(&home(), "straße").await.unwrap();
        let two = vaults.open_or_create(&home(), "STRASSE").await.unwrap();
        assert_eq!(write(&two, 70, "x"), Ok(()));
        assert_eq!(write(&one, 71, "x"), Err(Failure::PathTaken));
        assert_eq!(vaults.open(&home(), "straße").await.map(|_| ()), Err(Error::NoFile));
    });
}

#[test]
fn files_are_listed_by_path_in_pages() {
    run(async {
        let mut world = World::new();
        for path in ["b/2", "a", "b/1", "c", "b/3"] {
            world.write(path, "x").await.unwrap();
        }
        let page = |prefix: &str, after: Option<&str>| {
            let page = world.vaults.files(&home(), prefix, after, 2).unwrap();
            let paths = page.items.iter().map(|file| file.path.to_string());
            (paths.collect::<Vec<_>>(), page.next.map(|path| path.to_string()))
        };
        assert_eq!(page("", None), (names(&["a", "b/1"]), Some("b/1".to_owned())));
        assert_eq!(page("", Some("b/1")), (names(&["b/2", "b/3"]), Some("b/3".to_owned())));
        assert_eq!(page("", Some("b/3")), (names(&["c"]), None));
        assert_eq!(page("b/", None), (names(&["b/1", "b/2"]), Some("b/2".to_owned())));
        assert_eq!(page("x", None), (names(&[]), None));
    });
}

#[test]
fn deletes_and_moves_amid_writes_leave_nothing_out_of_order() {
    run(async {
        let world = World::new();
        let tasks = Group::new(world.ground.shared.metrics.task_panics.clone());
        let stop = CancellationToken::new();
        tasks.spawn("settling", world.vaults.clone().run(tasks.stopping().clone()));
        for writer in 0..3u64 {
            let (registry, stop) = (world.ground.registry.clone(), stop.clone());
            tasks.spawn("writer", async move {
                let mut client = 1_000_000 * (writer + 1);
                while !stop.is_cancelled() {
                    client += 1;
                    let document = format!("file {}", client % 2).as_str().into();
                    let name = Name { vault: home(), document };
                    if let Ok(handle) = registry.open(&name).await {
                        // Being deleted, moved or followed is what is tried here.
                        let _ = write(&handle, client, "x");
                    }
                    tokio::task::yield_now().await;
                }
            });
        }
        let mut done = 0;
        let clock = Clock::system();
        let work = async {
            while done < 120 {
                let path = format!("file {}", done % 2);
                let vaults = &world.vaults;
                let result = if done % 3 == 2 {
                    let to = format!("moved {done}");
                    vaults.move_file(&home(), &path, &to, BY, ANYHOW).await
                } else {
                    vaults.delete_file(&home(), &path, BY, ANYHOW).await
                };
                match result {
                    Ok(_) => done += 1,
                    Err(Error::NoVault | Error::NoFile) => tokio::task::yield_now().await,
                    Err(other) => panic!("{other}"),
                }
            }
        };
        clock.deadline(Duration::from_secs(60), work).await.unwrap();
        stop.cancel();
        tasks.shutdown(&clock, Duration::from_secs(10)).await;
        let last = world.vaults.get(&home()).unwrap().seq;
        let seqs: Vec<u64> = world.feed(1).iter().map(|(seq, ..)| *seq).collect();
        assert!(seqs.is_sorted() && seqs.last() == Some(&last));
        let world = world.crash();
        world.catch_up().await;
        assert_eq!(world.paths().iter().filter(|path| path.starts_with("moved")).count(), 40);
        let World { ground, vaults, dir, .. } = world;
        drop((ground, vaults));
        check(dir.path());
        assert!(Store::open_existing(dir.path()).is_ok());
    });
}
