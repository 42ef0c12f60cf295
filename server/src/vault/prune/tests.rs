//! What is forgotten, when, and that nobody misses it, with a clock that is moved by hand.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use rand::RngExt;
use sheaf_ground::time::{Hand, Seed};
use sheaf_protocol::stamp::Stamp;
use sheaf_storage::journal::verify;

use super::*;
use crate::document::author::Author;
use crate::document::tests::run;
use crate::vault::condition::ANYHOW;
use crate::vault::devices::{Changer, Standing};
use crate::vault::tests::{BY, NOBODY, World, check, home};
use crate::vault::upload::{Base, Upcoming, Upload};
use crate::vault::{Cursor, Terms};

const START_MS: u64 = 1_700_000_000_000;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

async fn meet(world: &World, device: u64) {
    world.vaults.meet(&home(), (device, false), &NOBODY).await.unwrap();
}

fn cursor(world: &World, seq: u64) -> Cursor {
    Cursor::at(world.vaults.get(&home()).unwrap().epoch, seq)
}

fn ack(world: &World, device: u64, seq: u64) {
    world.vaults.acknowledge(&home(), device, &NOBODY, cursor(world, seq)).unwrap();
}

async fn delete(world: &World, path: &str) -> u64 {
    world.vaults.delete_file(&home(), path, BY, ANYHOW).await.unwrap()
}

/// A file that was, and the seq of its deletion.
async fn dead(world: &mut World, path: &str) -> u64 {
    world.settled_by(path, 1, "text").await;
    delete(world, path).await
}

async fn prune(world: &World) -> u64 {
    world.vaults.prune(&CancellationToken::new()).await
}

fn horizon(world: &World) -> u64 {
    world.vaults.get(&home()).unwrap().horizon
}

/// Whether the feed can be read behind a seq; the horizon if not.
fn expired(world: &World, seq: u64) -> Option<u64> {
    match world.vaults.changes(&home(), cursor(world, seq), 10) {
        Err(Error::CursorExpired { horizon, .. }) => Some(horizon),
        other => other.map(|_| None).unwrap(),
    }
}

#[test]
fn a_deletion_goes_when_every_device_that_counts_holds_it_and_not_before() {
    run(async {
        let (mut world, hand) = World::at(START_MS);
        world.settled_by("kept.md", 1, "x").await;
        for device in [1, 2, 3] {
            meet(&world, device).await;
        }
        hand.advance(DAY * 25);
        for device in [1, 3] {
            meet(&world, device).await;
        }
        let seq = dead(&mut world, "a.md").await;
        let bytes = world.vaults.get(&home()).unwrap().bytes;
        ack(&world, 1, seq);
        hand.advance(DAY * 6 - Duration::from_secs(1));
        let now = world.vaults.devices(&home()).unwrap();
        assert_eq!(now[1].standing, Standing::Stale);
        let change = crate::vault::devices::Change { is_revoked: Some(true), name: None };
        let admin = Changer { by: &NOBODY, is_admin: true };
        hand.advance(DAY);
        assert_eq!(prune(&world).await, 0, "it is not old enough");
        hand.advance(Duration::from_secs(1));
        assert_eq!(prune(&world).await, 0, "one has not heard of it");
        assert_eq!((horizon(&world), expired(&world, 1)), (0, None));
        world.vaults.change_device(&home(), 3, admin, change).await.unwrap();
        assert_eq!(prune(&world).await, 1, "one holds it, one is stale, one revoked");
        assert_eq!(horizon(&world), seq);
        assert_eq!((expired(&world, 1), expired(&world, seq)), (Some(seq), None));
        assert_eq!(world.feed(0), [(1, "kept.md".to_owned(), false)], "a listing is whole");
        assert!(world.vaults.get(&home()).unwrap().bytes + 1_024 < bytes, "its bytes are free");
        for round in 0..2 {
            world = if round == 0 { world.crash() } else { world.restart() };
            assert_eq!((horizon(&world), expired(&world, 1)), (seq, Some(seq)));
            assert_eq!(world.paths(), ["kept.md"]);
            assert_eq!(prune(&world).await, 0);
        }
        check(world.close().path());
    });
}

#[test]
fn one_that_never_acked_holds_what_came_after_it_until_it_is_stale() {
    run(async {
        let (mut world, hand) = World::at(START_MS);
        let before = dead(&mut world, "before.md").await;
        meet(&world, 1).await;
        let after = dead(&mut world, "after.md").await;
        hand.advance(DAY * 8);
        assert_eq!(prune(&world).await, 1, "what was gone when it came means nothing to it");
        assert_eq!(horizon(&world), before);
        hand.advance(DAY * 21);
        assert_eq!((prune(&world).await, horizon(&world)), (0, before));
        hand.advance(DAY);
        assert_eq!((prune(&world).await, horizon(&world)), (1, after), "stale");
        // One that is here and says nothing holds it for so long, and no longer.
        meet(&world, 1).await;
        let last = dead(&mut world, "last.md").await;
        for _ in 0..89 {
            hand.advance(DAY);
            meet(&world, 1).await;
        }
        assert_eq!(prune(&world).await, 0);
        hand.advance(DAY);
        meet(&world, 1).await;
        assert_eq!((prune(&world).await, horizon(&world)), (1, last));
        check(world.close().path());
    });
}

#[test]
fn one_with_a_named_version_is_kept() {
    run(async {
        let (mut world, hand) = World::at(START_MS);
        let seq = world.settled_by("a.md", 1, "text").await;
        delete(&world, "a.md").await;
        let last = dead(&mut world, "b.md").await;
        world.vaults.label(&home(), "a.md", Some(seq), (Some("v1"), &NOBODY)).await.unwrap();
        hand.advance(DAY * 100);
        assert_eq!((prune(&world).await, horizon(&world)), (1, last));
        assert!(world.vaults.read_at(&home(), "a.md", Some(seq)).await.is_ok());
        assert!(world.vaults.read_at(&home(), "b.md", Some(last - 1)).await.is_err());
        world.vaults.label(&home(), "a.md", Some(seq), (None, &NOBODY)).await.unwrap();
        assert_eq!((prune(&world).await, horizon(&world)), (1, last), "never lower");
        assert_eq!(world.vaults.read_at(&home(), "a.md", Some(seq)).await, Err(Error::NoFile));
        check(world.close().path());
    });
}

#[test]
fn one_that_comes_back_between_decision_and_record_is_not_forgotten() {
    run(async {
        let (mut world, hand) = World::at(START_MS);
        let seq = world.settled_by("a.md", 1, "text").await;
        delete(&world, "a.md").await;
        dead(&mut world, "b.md").await;
        hand.advance(DAY * 8);
        let book = world.vaults.live(&home()).unwrap();
        let now_ms = world.ground.shared.clock.now_ms();
        let due = || book.state().due(&Config::default(), now_ms, 0);
        let decided = due();
        assert_eq!(decided.len(), 2);
        let doc = decided[0].doc;
        book.state().set_reading(doc);
        assert_eq!(due().len(), 1, "somebody looks into it");
        book.state().set_read(doc);
        assert_eq!(due().len(), 2);
        world.vaults.restore(&home(), "a.md", seq, (BY, ANYHOW)).await.unwrap();
        let (gone, end) = world.vaults.forget(&book, decided, now_ms).unwrap();
        assert_eq!(gone, 1);
        world.vaults.durable(end).await.unwrap();
        drop(book);
        let world = world.crash();
        assert_eq!(world.paths(), ["a.md"]);
        assert_eq!(world.text("a.md").await.as_deref(), Some("text"));
        check(world.close().path());
    });
}

#[test]
fn one_that_is_settled_late_gets_no_tombstone_again() {
    run(async {
        let (mut world, hand) = World::at(START_MS);
        let seq = dead(&mut world, "a.md").await;
        hand.advance(DAY * 8);
        let book = world.vaults.live(&home()).unwrap();
        let now_ms = world.ground.shared.clock.now_ms();
        let due = book.state().due(&Config::default(), now_ms, 0);
        let doc = DocKey { vault: book.account().number(), doc: due[0].doc };
        world.vaults.wait_stored().unwrap();
        let (_, end) = world.vaults.forget(&book, due, now_ms).unwrap();
        world.vaults.durable(end).await.unwrap();
        // The store has it still, and somebody had queued it.
        assert!(world.ground.store.head(doc).unwrap().is_some_and(|head| head.is_deleted));
        let name = crate::vault::address(&home(), "a.md");
        world.vaults.pending().lock().add(doc, name, (0, 0));
        world.catch_up().await;
        assert_eq!(world.feed(seq), []);
        assert_eq!(world.vaults.get(&home()).unwrap().seq, seq);
        drop(book);
        check(world.crash().close().path());
    });
}

fn records(world: World) -> (u64, tempfile::TempDir) {
    let dir = world.close();
    let report = verify::verify(dir.path(), &mut |_| (), &mut |_, _| Ok(())).unwrap();
    assert!(report.is_clean(), "{report:?}");
    (report.store.records, dir)
}

fn with_names(world: &mut World, former_names_max: u64) {
    world.ground.shared.journal.fold_now().unwrap();
    let devices = Config { former_names_max, ..Config::default() };
    let terms = Terms { devices, ..Terms::default() };
    world.vaults = Vaults::keeping(world.ground.registry.clone(), terms, None).unwrap();
}

#[test]
fn a_store_in_which_all_is_forgotten_has_as_many_records_as_before() {
    const FILES: usize = 1_000;
    run(async {
        let (mut world, hand) = World::at(START_MS);
        dead(&mut world, "first.md").await;
        hand.advance(DAY * 8);
        assert_eq!(prune(&world).await, 1);
        let world = world.restart();
        let bytes = world.vaults.get(&home()).unwrap().bytes;
        // A whole store at the start, to compare with: nothing but a horizon and a former name.
        let before = world.ground.store.former_names(world.vaults.number(&home()).unwrap());
        assert_eq!(before.unwrap().len(), 1);
        let clock = world.ground.shared.clock.clone();
        let (before, dir) = records(world);
        let mut world = World::reopen(dir, &clock);
        with_names(&mut world, 1);
        for number in 0..FILES {
            world.written(&format!("{number}.md"), "text").await;
        }
        world.catch_up().await;
        let paths = world.paths();
        assert_eq!(paths.len(), FILES);
        join_all(paths.iter().map(|path| delete(&world, path))).await;
        hand.advance(DAY * 8);
        assert_eq!(prune(&world).await, FILES as u64);
        // Former names go when the store knows that their documents are gone.
        assert_eq!(prune(&world).await, 0);
        assert_eq!(world.vaults.get(&home()).unwrap().bytes, bytes);
        let (after, _dir) = records(world);
        assert_eq!(after, before);
    });
}

/// A device that follows the rules: what it holds, and where it is.
#[derive(Default)]
struct Replica {
    files: BTreeMap<DocId, String>,
    since: u64,
    /// It has all of a state.
    is_whole: bool,
}

impl Replica {
    /// Asks for one page.
    fn ask(&mut self, world: &World, device: u64, limit: usize) -> bool {
        let since = if self.since == 0 { Cursor::default() } else { cursor(world, self.since) };
        let Ok(page) = world.vaults.changes(&home(), since, limit) else {
            *self = Self::default();
            return false;
        };
        world.vaults.acknowledge(&home(), device, &NOBODY, since).unwrap();
        for change in page.items {
            match change.file.is_deleted {
                true => drop(self.files.remove(&change.file.id)),
                false => drop(self.files.insert(change.file.id, change.file.path.to_string())),
            }
        }
        self.since = page.cursor.seq;
        self.is_whole = !page.has_more;
        self.is_whole
    }
}

/// What happens to a vault, drawn from a seed; every device that is up to date holds what is there.
async fn live(seed: u64, (mut world, hand): (World, Hand)) -> u64 {
    let mut random = Seed::fixed(seed).generator("prune");
    let mut devices: BTreeMap<u64, Replica> = BTreeMap::new();
    let (mut client, mut refused) = (1, 0);
    let mut gone: Vec<(String, u64)> = Vec::new();
    world.settled_by("first.md", 1, "x").await;
    for _ in 0..120 {
        // Stamps of another start must not be those of this one.
        hand.advance(Duration::from_secs(1));
        match random.random_range(0..13) {
            0..3 => {
                client += 1;
                let path = format!("{}.md", random.random_range(0..8));
                world.settled_by(&path, client, "x").await;
            }
            3..5 => {
                let paths = world.paths();
                if let Some(path) = paths.get(random.random_range(0..8)) {
                    let seq = world.vaults.settle(&home(), path).await.unwrap();
                    delete(&world, path).await;
                    gone.push((path.clone(), seq));
                }
            }
            5 => {
                if let Some((path, seq)) = gone.pop() {
                    // It may be forgotten, or its path taken.
                    let _ = world.vaults.restore(&home(), &path, seq, (BY, ANYHOW)).await;
                }
            }
            6..9 => {
                let device = random.random_range(1..4);
                meet(&world, device).await;
                let replica = devices.entry(device).or_default();
                let since = replica.since;
                if !replica.ask(&world, device, random.random_range(1..5)) && replica.since == 0 {
                    refused += u64::from(since > 0);
                }
                if replica.is_whole {
                    let there: BTreeSet<String> = world.paths().into_iter().collect();
                    let held: BTreeSet<String> = replica.files.values().cloned().collect();
                    assert_eq!(held, there, "device {device} of seed {seed}");
                }
            }
            9 => hand.advance(DAY * random.random_range(1..40)),
            10 | 11 => drop(prune(&world).await),
            _ if random.random_bool(0.5) => world = world.crash(),
            _ => world = world.restart(),
        }
    }
    check(world.close().path());
    refused
}

#[test]
fn a_device_that_follows_the_rules_never_misses_a_deletion() {
    run(async {
        let mut refused = 0;
        for seed in 0..12 {
            refused += live(seed, World::at(START_MS)).await;
        }
        assert!(refused > 0, "some were away for too long");
    });
}

#[test]
fn a_listing_of_many_pages_goes_on_below_the_horizon_until_something_is_forgotten() {
    run(async {
        let (mut world, hand) = World::at(START_MS);
        for file in 1..=5 {
            world.settled_by(&format!("{file}.md"), file, "text").await;
        }
        let gone = dead(&mut world, "gone.md").await;
        hand.advance(DAY * 8);
        assert_eq!((prune(&world).await, horizon(&world)), (1, gone));
        let page = |since: Cursor| world.vaults.changes(&home(), since, 1);
        let (mut since, mut seen) = (Cursor::default(), Vec::new());
        loop {
            let changes = page(since).unwrap();
            seen.extend(changes.items.iter().map(|change| change.seq));
            // As a client has it, who keeps the text.
            since = changes.cursor.to_string().parse().unwrap();
            if !changes.has_more {
                break;
            }
        }
        assert_eq!(seen, [1, 2, 3, 4, 5]);
        assert_eq!(since, cursor(&world, gone), "it holds everything");
        let first = page(Cursor::default()).unwrap().cursor;
        assert!(page(first).is_ok());
        assert_eq!(expired(&world, first.seq), Some(gone), "without a listing it is too old");
        // What the page showed is deleted and forgotten meanwhile: nobody would tell of it.
        let last = delete(&world, "1.md").await;
        hand.advance(DAY * 8);
        assert_eq!(prune(&world).await, 1);
        assert!(
            matches!(page(first), Err(Error::CursorExpired { horizon, .. }) if horizon == last)
        );
    });
}

#[test]
fn a_stamp_is_known_for_as_long_as_a_device_may_try_again() {
    run(async {
        let (world, hand) = World::at(START_MS);
        let stamp = |ms| Stamp::new(ms, 0, 7);
        let put = async |text: &str, ms| {
            let (content, base) = (Upcoming::Text(text), Base::Now);
            let upload = Upload { base, stamp: Some(stamp(ms)), ..Upload::of(content) };
            world.vaults.upload(&home(), "a.md", BY, upload).await
        };
        let known = |ms| {
            task::block(|| world.vaults.wait_stored()).unwrap();
            let vault = world.vaults.number(&home()).unwrap();
            world.ground.store.stamped(vault, stamp(ms)).unwrap().is_some()
        };
        let first = put("one", START_MS).await.unwrap();
        hand.advance(DAY * 30 + Duration::from_secs(1));
        // Made on the first day by one that was away.
        let late = put("two", START_MS + 1).await.unwrap();
        prune(&world).await;
        assert_eq!((known(START_MS), known(START_MS + 1)), (false, true), "{first:?}");
        let again = put("two", START_MS + 1).await.unwrap();
        assert_eq!((again.version, again.has_changed), (late.version, false));
        hand.advance(DAY * 30 + Duration::from_secs(1));
        prune(&world).await;
        assert!(!known(START_MS + 1));
        put("three", START_MS + 60 * 86_400_000).await.unwrap();
        prune(&world).await;
        assert!(known(START_MS + 60 * 86_400_000), "a new one stays");
    });
}

#[test]
fn what_a_device_may_have_edited_is_thinned_when_it_has_a_later_one_or_is_stale() {
    run(async {
        let (mut world, hand) = World::at(START_MS);
        world.settled_by("kept.md", 1, "x").await;
        for device in [1, 2, 3] {
            meet(&world, device).await;
        }
        let mut seqs = Vec::new();
        let mut text = String::new();
        for line in 0..6 {
            text.push_str(&format!("line {line}\n"));
            let by = Author { device: if line == 4 { 2 } else { 0 }, ..BY };
            let upload = Upload::of(Upcoming::Text(&text));
            seqs.push(world.vaults.upload(&home(), "a.md", by, upload).await.unwrap().version);
        }
        let last = seqs[5];
        for (device, at) in [(1, 2), (2, 1), (3, 0)] {
            ack(&world, device, seqs[at]);
        }
        world.vaults.keep_devices();
        world.checkpoint("a.md").await;
        let world = world.restart();
        hand.advance(DAY * 29);
        for device in [1, 2] {
            meet(&world, device).await;
        }
        let kept = async |world: &World| {
            world.vaults.thin(&CancellationToken::new()).await;
            let page = world.vaults.versions(&home(), "a.md", None, 10).unwrap();
            page.items.iter().rev().map(|it| it.version.item.seq).collect::<Vec<_>>()
        };
        assert_eq!(kept(&world).await, [seqs[0], seqs[1], seqs[2], seqs[4], last]);
        let base = Base::Version(seqs[2]);
        let mine = Upload { base, ..Upload::of(Upcoming::Text("mine\nline 0\nline 1\nline 2\n")) };
        let merged = world.vaults.upload(&home(), "a.md", BY, mine).await.unwrap();
        assert_eq!(merged.content, Some(format!("mine\n{text}")));
        // The third has not been seen for thirty days by then.
        hand.advance(DAY * 2);
        assert_eq!(kept(&world).await, [seqs[1], seqs[2], seqs[4], last, merged.version]);
        ack(&world, 2, last);
        assert_eq!(kept(&world).await, [seqs[2], last, merged.version]);
        ack(&world, 1, merged.version);
        assert_eq!(kept(&world).await, [last, merged.version]);
    });
}
