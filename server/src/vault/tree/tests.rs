//! Folders: with documents in memory and out of it, with crashes, edits and openings in between,
//! and against a plain map.

mod uploads;

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sheaf_protocol::vault::alias_of;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::super::tests::{BY, World, check, home, write};
use super::*;
use crate::document::tests::run;
use crate::vault::upload::{Base, Upcoming, Upload};
use crate::vault::{Cursor, Kind};

fn delete(path: &str) -> Step<'_> {
    Step { path, act: Act::Delete { base: None, asked: Asked::default() } }
}

fn delete_at(path: &str, base: u64) -> Step<'_> {
    Step { path, act: Act::Delete { base: Some(base), asked: Asked::default() } }
}

fn relocate<'a>(path: &'a str, to: &'a str) -> Step<'a> {
    Step { path, act: Act::Move { to, asked: Asked::default() } }
}

async fn change(world: &World, steps: &[Step<'_>]) -> Result<Vec<Done>, Undone> {
    world.vaults.change(&home(), steps, BY).await
}

async fn one(world: &World, step: Step<'_>) -> Result<Done, Error> {
    let done = change(world, &[step]).await.map_err(|undone| undone.error)?;
    Ok(done.into_iter().next().unwrap())
}

/// A vault with these files, each with its path as text, as after a restart: none is in memory.
async fn world(paths: &[&str]) -> World {
    let mut world = World::new();
    for path in paths {
        world.settled(path, path).await;
    }
    world.restart()
}

fn in_memory(world: &World, path: &str) -> Option<Arc<Handle>> {
    world.ground.registry.in_memory(&address(&home(), path))
}

#[test]
fn a_folder_moves_as_one_change_and_nothing_is_loaded_for_it() {
    run(async {
        let mut world = world(&["a.md", "n/1.md", "n/deep/2.md", "n/3.md", "notes.md"]).await;
        let ids = ["n/1.md", "n/deep/2.md", "n/3.md"].map(|path| world.id(path));
        let open = world.handle("n/3.md").await;
        let records = world.ground.shared.journal.written();
        let done = one(&world, relocate("n/", "m/")).await.unwrap();
        assert_eq!((done.seq, done.count, done.id), (8, 3, None));
        assert!(world.ground.shared.journal.written() > records);
        assert_eq!(open.ended(), Failure::Moved);
        assert!(in_memory(&world, "n/1.md").is_none() && in_memory(&world, "m/1.md").is_none());
        let due = ["a.md", "m/1.md", "m/3.md", "m/deep/2.md", "notes.md"];
        assert_eq!(world.paths(), due);
        assert_eq!(["m/1.md", "m/deep/2.md", "m/3.md"].map(|path| world.id(path)), ids);
        let moved: Vec<_> = world.feed(5).into_iter().map(|(seq, path, _)| (seq, path)).collect();
        let due = [(6, "m/1.md"), (7, "m/3.md"), (8, "m/deep/2.md")];
        assert_eq!(moved, due.map(|(seq, path)| (seq, path.to_owned())));
        assert_eq!(world.text("m/1.md").await.unwrap(), "n/1.md");
        assert_eq!(world.text("m/3.md").await.unwrap(), "n/3.md");
        assert_eq!(world.settled("m/1.md", "!").await, 9, "its log goes on");
        assert_eq!(world.text("n/1.md").await, None, "the old name is nobody's");
        drop(open);
        check(world.close().path());
    });
}

#[test]
fn a_folder_is_deleted_as_one_change_and_what_it_was_is_kept() {
    run(async {
        let world = world(&["n/1.md", "n/2.md", "o.md"]).await;
        let id = world.id("n/1.md");
        let open = world.handle("n/2.md").await;
        let done = one(&world, delete("n/")).await.unwrap();
        assert_eq!((done.seq, done.count, done.kept), (5, 2, vec![]));
        assert_eq!(open.ended(), Failure::Deleted);
        assert_eq!(world.paths(), ["o.md"]);
        let gone = [(4, "n/1.md".to_owned(), true), (5, "n/2.md".to_owned(), true)];
        assert_eq!(world.feed(3), gone);
        assert_eq!(one(&world, delete("n/")).await, Err(Error::NoFile), "there is nothing more");
        let was = world.vaults.read_at(&home(), "n/1.md", Some(1)).await.unwrap();
        assert_eq!(was.dated.doc, id);
        drop(open);
        let world = world.crash();
        assert_eq!(world.feed(3), gone);
        assert_eq!(world.text("n/1.md").await, None, "a new document");
        check(world.close().path());
    });
}

#[test]
fn an_edit_since_the_base_keeps_its_file_and_no_other() {
    run(async {
        let mut world = world(&["n/1.md", "n/2.md", "n/3.md"]).await;
        world.settled("n/2.md", " edited").await;
        world.settled("n/new.md", "new").await;
        // Not settled yet: nobody has a version of it.
        world.write("n/3.md", " typed").await.unwrap();
        let one_file = one(&world, delete_at("n/2.md", 3)).await;
        let Err(Error::EditWins { file: Some(file), .. }) = one_file else {
            panic!("{one_file:?}")
        };
        assert_eq!((&*file.path, file.seq), ("n/2.md", 4));
        let done = one(&world, delete_at("n/", 3)).await.unwrap();
        assert_eq!((done.seq, done.count), (7, 1), "{done:?}");
        let kept: Vec<_> = done.kept.iter().map(|file| (&*file.path, file.seq)).collect();
        assert_eq!(kept, [("n/2.md", 4), ("n/3.md", 6), ("n/new.md", 5)]);
        assert_eq!(world.paths(), ["n/2.md", "n/3.md", "n/new.md"]);
        let done = one(&world, delete_at("n/", 3)).await.unwrap();
        assert_eq!((done.count, done.kept.len(), done.seq), (0, 3, 7), "nothing more to do");
        assert_eq!(one(&world, delete_at("n/", 7)).await.unwrap().count, 3);
    });
}

#[test]
fn bytes_that_came_since_the_base_are_kept() {
    run(async {
        let world = World::new();
        for byte in [1, 2] {
            let (hash, size) = world.vaults.put_bytes(&home(), &[byte; 10_000]).unwrap();
            let upload = Upload::of(Upcoming::Blob { hash, size });
            world.vaults.upload(&home(), "n/b.bin", BY, upload).await.unwrap();
        }
        let refused = one(&world, delete_at("n/b.bin", 1)).await;
        assert!(matches!(refused, Err(Error::EditWins { file: Some(_), .. })), "{refused:?}");
        assert_eq!(one(&world, delete_at("n/", 1)).await.unwrap().kept.len(), 1);
        let bytes = world.vaults.get(&home()).unwrap().bytes;
        assert_eq!(one(&world, delete_at("n/b.bin", 2)).await.unwrap().seq, 3);
        let kept = world.vaults.get(&home()).unwrap().bytes;
        assert!(kept > bytes && bytes >= 10_000, "they stay charged: {kept}, before {bytes}");
    });
}

#[test]
fn a_change_is_done_whole_or_not_at_all() {
    run(async {
        let mut world = world(&["a.md", "b.md", "n/1.md", "n/2.md", "t/1.md"]).await;
        world.settled("b.md", "!").await;
        let before = (world.paths(), world.feed(0), world.ground.shared.journal.written());
        let long = format!("{}/", "l".repeat(255));
        let longer = format!("{long}{long}{long}{}/", "l".repeat(253));
        let path: Arc<str> = "t/1.md".into();
        let taken = Error::PathTaken { path };
        let length = Error::BadPath(sheaf_protocol::vault::BadPath::Length);
        let into = Error::BadMove("a folder does not move into itself");
        let slash = Error::BadMove("the new path of a folder ends with a slash, too");
        let cases = [
            (vec![delete("a.md"), delete("none.md")], Some(1), Error::NoFile),
            (vec![delete("a.md"), delete("a.md")], Some(1), Error::NoFile),
            (vec![delete("none/")], Some(0), Error::NoFile),
            (vec![relocate("a.md", "c.md"), relocate("n/", "t/")], Some(1), taken.clone()),
            (vec![relocate("n/", "T/")], Some(0), taken.clone()),
            (vec![relocate("a.md", "t/1.md/x.md")], Some(0), taken),
            (vec![delete("t/"), relocate("n/", &longer)], Some(1), length),
            (vec![delete("a.md"), relocate("n/", "n/deep/")], Some(1), into),
            (vec![delete("a.md"), relocate("n/", "m")], Some(1), slash),
        ];
        for (steps, step, error) in cases {
            assert_eq!(change(&world, &steps).await, Err(Undone { step, error }), "{steps:?}");
            let now = (world.paths(), world.feed(0), world.ground.shared.journal.written());
            assert_eq!(now, before, "{steps:?}");
        }
        let undone = change(&world, &[delete("n/"), delete_at("b.md", 2)]).await.unwrap_err();
        assert!(matches!(undone, Undone { step: Some(1), error: Error::EditWins { .. } }));
        assert_eq!(world.paths(), before.0);
        assert_eq!(world.text("n/1.md").await.unwrap(), "n/1.md", "nobody was shut out");
    });
}

#[test]
fn steps_follow_each_other() {
    run(async {
        let world = world(&["a.md", "b.md", "Docs/1.md", "n/1.md"]).await;
        let ids = ["a.md", "b.md", "Docs/1.md", "n/1.md"].map(|path| world.id(path));
        // Two names change places, a folder changes its case, and a file goes after it moved.
        let steps = [
            relocate("a.md", "swap.md"),
            relocate("b.md", "a.md"),
            relocate("swap.md", "b.md"),
            relocate("Docs/", "docs/"),
            relocate("n/", "m/"),
            delete("m/1.md"),
        ];
        let done = change(&world, &steps).await.unwrap();
        let seqs: Vec<u64> = done.iter().map(|done| done.seq).collect();
        assert_eq!(seqs, [5, 6, 7, 8, 9, 10]);
        assert_eq!((done[0].id, done[3].id), (Some(ids[0]), None));
        assert_eq!(world.paths(), ["a.md", "b.md", "docs/1.md"]);
        assert_eq!(["b.md", "a.md", "docs/1.md"].map(|path| world.id(path)), ids[..3]);
        let due = [(6, "a.md", false), (7, "b.md", false), (8, "docs/1.md", false)];
        let due = [&due[..], &[(10, "m/1.md", true)]].concat();
        let due: Vec<_> =
            due.into_iter().map(|(seq, path, gone)| (seq, path.into(), gone)).collect();
        assert_eq!(world.feed(1), due, "each item once, in its current form");
        let world = world.crash();
        assert_eq!(world.feed(1), due);
        assert_eq!(world.text("a.md").await.unwrap(), "b.md");
        assert_eq!(world.text("b.md").await.unwrap(), "a.md");
        check(world.close().path());
    });
}

/// Copies a directory with all that is in it.
fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}

#[test]
fn a_crash_within_a_change_leaves_all_of_it_or_nothing() {
    run(async {
        let world = world(&["n/1.md", "n/2.md", "n/3.md"]).await;
        let start = world.ground.shared.journal.written();
        let steps = [relocate("n/", "m/"), delete("m/3.md"), delete("m/2.md")];
        change(&world, &steps).await.unwrap();
        let end = world.ground.shared.journal.written();
        let left = world.abandon();
        for (len, world) in cuts(&left, (start, end)) {
            let (paths, seq) = match len == end {
                true => (vec!["m/1.md"], 8),
                false => (vec!["n/1.md", "n/2.md", "n/3.md"], 3),
            };
            assert_eq!(world.paths(), paths, "{len} of {start}..{end}");
            assert_eq!(world.vaults.get(&home()).unwrap().seq, seq);
            assert_eq!(world.text(paths[0]).await.unwrap(), "n/1.md");
            check(world.close().path());
        }
    });
}

#[test]
fn a_crash_while_bytes_make_a_file_leaves_it_with_them_and_their_stamp_or_nothing() {
    run(async {
        let world = world(&["a.md"]).await;
        let start = world.ground.shared.journal.written();
        let blob = Upcoming::Blob { hash: [7; 32], size: 9 };
        let stamp = Some(world.ground.registry.stamp());
        let put = Upload { base: Base::Version(0), stamp, ..Upload::of(blob) };
        world.vaults.upload(&home(), "b", BY, put.clone()).await.unwrap();
        let end = world.ground.shared.journal.written();
        let left = world.abandon();
        for (len, world) in cuts(&left, (start, end)) {
            let found = world.vaults.file(&home(), "b").ok().map(|file| (file.seq, file.hash));
            let due = (len == end).then_some((2, Some([7; 32])));
            assert_eq!(found, due, "{len} of {start}..{end}");
            let again = world.vaults.upload(&home(), "b", BY, put.clone()).await.unwrap();
            assert_eq!((again.version, again.is_conflict, again.size), (2, false, 9));
            assert_eq!((again.has_changed, again.hash), (len < end, [7; 32]));
            check(world.close().path());
        }
    });
}

/// The world of a directory whose journal ends at each of many places between two positions.
fn cuts(
    left: &tempfile::TempDir,
    (start, end): (u64, u64),
) -> impl Iterator<Item = (u64, World)> + '_ {
    let segments = std::fs::read_dir(left.path().join("journal")).unwrap();
    let segments = segments.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let (base, segment) = segments
        .filter_map(|name| Some((name.split('.').next()?.parse::<u64>().ok()?, name)))
        .max()
        .unwrap();
    // Every boundary of what could be a record of its own, and some places in between.
    (start..end).step_by(61).chain([end - 1, end]).map(move |len| {
        let dir = tempfile::TempDir::new().unwrap();
        copy(left.path(), dir.path());
        let journal = dir.path().join("journal");
        // As if the power had gone before anybody was told.
        std::fs::remove_file(journal.join("durable")).unwrap();
        let header = sheaf_storage::journal::segment::HEADER_BYTES;
        let file = std::fs::OpenOptions::new().write(true).open(journal.join(&segment)).unwrap();
        file.set_len(header + len - base).unwrap();
        drop(file);
        (len, World::within(dir))
    })
}

/// Writes of one file.
const WRITES_MAX: u64 = 200;

/// Writes into a file, wherever it is, until it is told to stop; how often.
async fn write_until(stop: CancellationToken, vaults: Vaults, file: usize) -> (usize, u64) {
    let mut written = 0;
    while !stop.is_cancelled() || written == 0 {
        for folder in ["a", "b"] {
            let path = format!("{folder}/{file}.md");
            let Ok(handle) = vaults.open(&home(), &path).await else { continue };
            let client = 100_000 * (file as u64 + 1) + written;
            // Each load integrates all of them again.
            if written < WRITES_MAX && write(&handle, client, "x").is_ok() {
                written += 1;
            }
        }
        tokio::task::yield_now().await;
    }
    (file, written)
}

#[test]
fn whoever_opens_and_writes_while_folders_move_loses_nothing() {
    const FILES: usize = 6;
    const ROUNDS: u64 = 25;
    run(async {
        let paths: Vec<String> = (0..FILES).map(|file| format!("a/{file}.md")).collect();
        let world = world(&paths.iter().map(String::as_str).collect::<Vec<_>>()).await;
        let stop = CancellationToken::new();
        let mut writers = JoinSet::new();
        for file in 0..FILES {
            writers.spawn(write_until(stop.clone(), world.vaults.clone(), file));
        }
        for round in 0..ROUNDS {
            let (from, to) = if round % 2 == 0 { ("a/", "b/") } else { ("b/", "a/") };
            let done = one(&world, relocate(from, to)).await.unwrap();
            assert_eq!(done.count, FILES);
            // Out of memory, so that some are moved without a load.
            world.ground.registry.unload_all();
        }
        stop.cancel();
        for (file, written) in writers.join_all().await {
            let text = world.text(&format!("b/{file}.md")).await.unwrap();
            assert_eq!(text.matches('x').count() as u64, written, "file {file}");
            assert!(written > 0);
        }
        world.catch_up().await;
        let world = world.restart();
        assert_eq!(world.paths().len(), FILES);
        check(world.close().path());
    });
}

/// A tree as simple as can be: which file has a path.
type Model = BTreeMap<String, DocId>;

/// What the rules say of a step, on a plain map.
fn expect(model: &mut Model, step: &Step<'_>) -> Result<usize, &'static str> {
    let is_folder = step.path.ends_with('/');
    let under: Vec<String> = model.keys().filter(|it| it.starts_with(step.path)).cloned().collect();
    let files = match is_folder {
        true => under,
        false => model.contains_key(step.path).then(|| step.path.to_owned()).into_iter().collect(),
    };
    if let Act::Move { to, .. } = step.act
        && is_folder
        && to != step.path
        && to.starts_with(step.path)
    {
        return Err("into itself");
    }
    if files.is_empty() {
        return Err("no file");
    }
    let count = files.len();
    let taken: Vec<(String, DocId)> =
        files.iter().map(|path| (path.clone(), model.remove(path).unwrap())).collect();
    if let Act::Move { to, .. } = step.act {
        for (path, id) in taken {
            let target = format!("{to}{}", &path[step.path.len()..]);
            let is_in_the_way = |other: &String| {
                let (one, other) = (alias_of(&target), alias_of(other));
                let is_below = |one: &str, other: &str| one.starts_with(&format!("{other}/"));
                one == other || is_below(&one, &other) || is_below(&other, &one)
            };
            if model.keys().any(is_in_the_way) {
                return Err("taken");
            }
            model.insert(target, id);
        }
        let is_idle = to == step.path;
        return Ok(if is_idle { 0 } else { count });
    }
    Ok(count)
}

fn word(error: &Error) -> &'static str {
    match error {
        Error::NoFile => "no file",
        Error::PathTaken { .. } => "taken",
        Error::BadMove(_) => "into itself",
        other => panic!("{other}"),
    }
}

const FOLDERS: [&str; 5] = ["a/", "b/", "a/x/", "B/", "a/x/y/"];
const FILES: [&str; 4] = ["1", "2", "X", "y"];

fn any_folder(random: &mut StdRng) -> String {
    FOLDERS[random.random_range(0..FOLDERS.len())].to_owned()
}

fn any_file(random: &mut StdRng) -> String {
    any_folder(random) + FILES[random.random_range(0..FILES.len())]
}

/// Up to three steps: a path, and where it moves, if it does not go.
fn any_steps(random: &mut StdRng) -> Vec<(String, Option<String>)> {
    let step = |random: &mut StdRng| {
        let name = if random.random_bool(0.5) { any_folder } else { any_file };
        let is_move = random.random_bool(0.6);
        (name(random), is_move.then(|| name(random)))
    };
    (0..random.random_range(1..4)).map(|_| step(random)).collect()
}

/// Carries steps out in both, and compares what they say.
async fn compare(world: &World, model: &mut Model, names: &[(String, Option<String>)]) {
    let steps: Vec<Step<'_>> = names
        .iter()
        .map(|(path, to)| to.as_ref().map_or_else(|| delete(path), |to| relocate(path, to)))
        .collect();
    let mut after = model.clone();
    let due: Vec<_> = steps.iter().map(|step| expect(&mut after, step)).collect();
    match change(world, &steps).await {
        Ok(done) => {
            let done: Vec<_> = done.iter().map(|done| Ok(done.count)).collect();
            assert_eq!(done, due, "{steps:?}");
            *model = after;
        }
        Err(Undone { step, error }) => {
            let step = step.unwrap();
            assert_eq!(due[step], Err(word(&error)), "{steps:?}");
            assert!(due[..step].iter().all(Result::is_ok), "{steps:?}");
        }
    }
}

#[test]
fn random_changes_of_the_tree_are_what_a_plain_map_says() {
    for seed in 0..12 {
        run(async {
            let mut random = StdRng::seed_from_u64(seed);
            let (mut world, mut model, mut seen) = (World::new(), Model::new(), 0);
            world.settled("first", "first").await;
            model.insert("first".into(), world.id("first"));
            for at in 0..60 {
                match random.random_range(0..10) {
                    0..5 => {
                        let path = any_file(&mut random);
                        if world.vaults.open_or_create(&home(), &path).await.is_ok() {
                            world.settled(&path, "text").await;
                            model.insert(path.clone(), world.id(&path));
                        }
                    }
                    5 => world = world.crash(),
                    6 => world = world.restart(),
                    _ => compare(&world, &mut model, &any_steps(&mut random)).await,
                }
                let what = format!("seed {seed}, change {at}");
                let found: Model =
                    world.paths().into_iter().map(|path| (path.clone(), world.id(&path))).collect();
                assert_eq!(found, model, "{what}");
                assert_eq!(world.feed(0).len(), model.len(), "{what}: each live file once");
                let seq = world.vaults.get(&home()).unwrap().seq;
                assert!(seq >= seen, "{what}");
                seen = seq;
            }
            check(world.close().path());
        });
    }
}

#[test]
fn no_reader_of_the_feed_sees_half_of_a_change() {
    run(async {
        let paths: Vec<String> = (0..40).map(|file| format!("a/{file}.md")).collect();
        let world = world(&paths.iter().map(String::as_str).collect::<Vec<_>>()).await;
        let vaults = world.vaults.clone();
        let epoch = vaults.get(&home()).unwrap().epoch;
        let stop = CancellationToken::new();
        let mut readers = JoinSet::new();
        readers.spawn({
            let stop = stop.clone();
            async move {
                let mut looks = 0;
                while !stop.is_cancelled() {
                    let since = Cursor { epoch, ..Cursor::default() };
                    let items = vaults.changes(&home(), since, 1_000).unwrap().items;
                    let count = |folder: &str| {
                        items.iter().filter(|change| change.file.path.starts_with(folder)).count()
                    };
                    assert!(matches!((count("a/"), count("b/")), (40, 0) | (0, 40)));
                    assert!(items.iter().all(|change| change.file.kind == Kind::Text));
                    looks += 1;
                    tokio::task::yield_now().await;
                }
                looks
            }
        });
        for round in 0..10 {
            let (from, to) = if round % 2 == 0 { ("a/", "b/") } else { ("b/", "a/") };
            one(&world, relocate(from, to)).await.unwrap();
        }
        stop.cancel();
        assert!(readers.join_all().await[0] > 0);
    });
}

#[test]
fn more_than_one_change_may_be_about_is_refused_before_anything_is_done() {
    run(async {
        let mut world = World::new();
        for file in 0..=FILES_MAX {
            world.write(&format!("n/{file}.md"), "x").await.unwrap();
        }
        world.catch_up().await;
        let written = world.ground.shared.journal.written();
        let refused = one(&world, relocate("n/", "m/")).await;
        assert_eq!(refused, Err(Error::BatchTooLarge { max: FILES_MAX, what: "files" }));
        let refused = one(&world, delete("n/")).await.unwrap_err();
        assert_eq!(refused.code(), sheaf_protocol::error::Code::BatchTooLarge);
        assert_eq!(world.ground.shared.journal.written(), written);
        one(&world, delete("n/0.md")).await.unwrap();
        assert_eq!(one(&world, relocate("n/", "m/")).await.unwrap().count, FILES_MAX);
    });
}

#[test]
fn what_is_more_than_a_record_holds_is_refused_before_anything_is_done() {
    run(async {
        let mut world = World::new();
        let deep = format!("{0}/{0}/{0}/", "d".repeat(250));
        for file in 0..6_500 {
            let path = format!("n/{deep}{file}{}", "f".repeat(240));
            world.write(&path, "x").await.unwrap();
        }
        world.catch_up().await;
        let written = world.ground.shared.journal.written();
        let refused = one(&world, relocate("n/", "m/")).await.unwrap_err();
        assert_eq!(refused.code(), sheaf_protocol::error::Code::BatchTooLarge);
        assert_eq!(world.ground.shared.journal.written(), written);
        assert!(world.paths().iter().all(|path| path.starts_with("n/")));
        world.write(&format!("n/{deep}new.md"), "x").await.unwrap();
    });
}

#[test]
fn what_comes_between_the_first_look_and_the_locks_counts() {
    run(async {
        let mut world = world(&["n/1.md", "n/2.md", "n/3.md"]).await;
        world.handle("n/1.md").await;
        let book = world.vaults.live(&home()).unwrap();
        let steps = [delete_at("n/", 3)];
        let brought = world.vaults.bring(&book, &steps).await.unwrap();
        let ready = BTreeMap::new();
        let mut subjects = Subjects::new(world.vaults.registry().hold());
        let draft = world.vaults.draft(&book, &steps, &brought).unwrap();
        world.vaults.gather(&book, (&draft, &ready), &mut subjects).await.unwrap();
        assert_eq!((subjects.handles.len(), subjects.absent.len()), (1, 2));
        // An edit of which nobody has a version yet.
        world.write("n/1.md", "typed").await.unwrap();
        let word = |stop: Stop| match stop {
            Stop::Again => "again",
            Stop::Wait(_) => "wait",
            Stop::Undone(_) => "undone",
        };
        let attempt = |subjects: &Subjects| {
            let written =
                world.vaults.write_change(&book, (&steps, &brought), (subjects, &ready, true), BY);
            written.map(|(shown, _)| shown.plan).map_err(word)
        };
        write(&*world.handle("n/new.md").await, 77, "new").unwrap();
        assert_eq!(attempt(&subjects).unwrap_err(), "again", "a file came into the folder");
        assert_eq!(world.paths().len(), 4, "and nothing was done");
        let draft = world.vaults.draft(&book, &steps, &brought).unwrap();
        world.vaults.gather(&book, (&draft, &ready), &mut subjects).await.unwrap();
        let plan = attempt(&subjects).unwrap();
        let gone: Vec<_> = plan.parts.iter().map(|part| &*part.from).collect();
        assert_eq!(gone, ["n/2.md", "n/3.md"]);
        assert_eq!(plan.kept.len(), 2, "the edit and the new file");
        drop(subjects);
        assert_eq!(world.paths(), ["n/1.md", "n/new.md"]);
        assert_eq!(world.text("n/1.md").await.unwrap().len(), "n/1.mdtyped".len());
    });
}
