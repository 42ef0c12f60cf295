//! What is overtaken: callers that do not wait, names that change hands, edits that come between.

use std::pin::pin;

use futures::{FutureExt, poll};

use super::*;
use crate::document::submission::Failure;
use crate::vault::condition::ANYHOW;
use crate::vault::tree::{Act, Asked, Step};
use crate::vault::upload::{Base, Upcoming, Upload, Uploaded};
use crate::vault::versions::Held;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn bytes(byte: u8, base: Base) -> Upload<'static> {
    let content = Upcoming::Blob { hash: [byte; 32], size: u64::from(byte) };
    Upload { base, ..Upload::of(content) }
}

fn text(text: &str, base: Base) -> Upload<'_> {
    Upload { base, ..Upload::of(Upcoming::Text(text)) }
}

async fn upload(world: &World, path: &str, upload: Upload<'_>) -> Result<Uploaded, Error> {
    world.vaults.upload(&home(), path, BY, upload).await
}

fn delete(path: &str) -> Step<'_> {
    Step { path, act: Act::Delete { base: None, asked: Asked::default() } }
}

/// Versions of a file, the latest first, and whether each is its deletion.
fn versions(world: &World, path: &str) -> Vec<(u64, bool)> {
    let page = world.vaults.versions(&home(), path, None, 100).unwrap();
    let of = |item: &sheaf_storage::store::Item| (item.seq, item.is_deleted);
    page.items.iter().map(|dated| of(&dated.version.item)).collect()
}

#[test]
fn what_nobody_waits_for_is_shown_all_the_same() {
    run(async {
        let mut world = World::new();
        for path in ["a.md", "b.md", "c.md", "dir/d.md"] {
            world.settled(path, path).await;
        }
        let vaults = world.vaults.clone();
        let (steps, name) = ([delete("dir/")], home());
        let all = [
            vaults.delete_file(&name, "a.md", BY, ANYHOW).map(drop).boxed(),
            vaults.move_file(&name, "b.md", "moved.md", BY, ANYHOW).map(drop).boxed(),
            vaults.upload(&name, "c.md", BY, bytes(1, Base::Now)).map(drop).boxed(),
            vaults.change(&name, &steps, BY).map(drop).boxed(),
        ];
        for (at, mut asked) in all.into_iter().enumerate() {
            let due = 5 + at as u64;
            // Until it waits for the disk.
            while vaults.live(&name).unwrap().state().last() < due {
                assert!(poll!(&mut asked).is_pending());
            }
            drop(asked);
            world.fold();
            world.catch_up().await;
            assert_eq!(vaults.get(&name).unwrap().seq, due, "{at}");
        }
        let due = [(5, "a.md", true), (6, "moved.md", false), (7, "c.md", false)];
        let due = due.map(|(seq, path, is_gone)| (seq, path.to_owned(), is_gone));
        assert_eq!(world.feed(4)[..3], due);
    });
}

#[test]
fn what_is_found_done_is_durable_and_shown_when_it_is_told() {
    run(async {
        let world = World::new();
        upload(&world, "a.bin", bytes(1, Base::Now)).await.unwrap();
        let mut asked = pin!(upload(&world, "a.bin", bytes(2, Base::Now)));
        while world.vaults.live(&home()).unwrap().state().last() < 2 {
            assert!(poll!(&mut asked).is_pending());
        }
        let same = bytes(2, Base::Now);
        let steps = [Step { path: "a.bin", act: Act::Upload(&same) }];
        let done = world.vaults.change(&home(), &steps, BY).await.unwrap();
        assert_eq!((done[0].seq, world.feed(1)), (2, vec![(2, "a.bin".to_owned(), false)]));
        asked.await.unwrap();
    });
}

#[test]
fn an_edit_of_a_file_whose_path_becomes_anothers_is_not_taken_for_done() {
    run(async {
        let mut world = World::new();
        upload(&world, "a.md", text("one\ntwo\n", Base::Version(0))).await.unwrap();
        upload(&world, "a.md", text("one\ntwo\nthree\n", Base::Now)).await.unwrap();
        let (vaults, work, name) = (world.vaults.clone(), world.ground.shared.work.clone(), home());
        let mut busy = Vec::new();
        while let Some(permit) = work.begin().now_or_never() {
            busy.push(permit);
        }
        let stamp = Some(world.ground.registry.stamp());
        let mine = Upload { stamp, ..text("ONE\ntwo\n", Base::Version(1)) };
        let mut edit = pin!(vaults.upload(&name, "a.md", BY, mine.clone()));
        assert!(poll!(&mut edit).is_pending(), "it looks for what it was made of");
        let mut away = vaults.move_file(&name, "a.md", "away.md", BY, ANYHOW).boxed();
        assert!(poll!(&mut away).is_pending());
        drop(busy);
        away.await.unwrap();
        world.settled("a.md", "another").await;
        let base_gone =
            |done: &Result<Uploaded, Error>| matches!(done, Err(Error::BaseGone { .. }));
        let done = edit.await;
        assert!(base_gone(&done), "{done:?}");
        let again = upload(&world, "a.md", mine).await;
        assert!(base_gone(&again), "its stamp is of nothing: {again:?}");
        assert_eq!(world.text("a.md").await.as_deref(), Some("another"));
        assert_eq!(world.text("away.md").await.as_deref(), Some("one\ntwo\nthree\n"));
    });
}

#[test]
fn an_edit_made_of_another_document_is_refused() {
    run(async {
        let mut world = World::new();
        world.settled("a.md", "of a").await;
        world.settled("b.md", "of b").await;
        let (one, other) = (world.handle("a.md").await, world.handle("b.md").await);
        let (_, state) = one.encode_since(None).unwrap();
        let base = (&state[..], Some("content"), "of a");
        let refused = other.merge_text(BY, base, "of me", None);
        assert!(refused.is_err(), "{refused:?}");
        assert_eq!(world.text("b.md").await.as_deref(), Some("of b"));
    });
}

#[test]
fn a_file_that_comes_back_where_somebody_waits_is_whole() {
    run(async {
        for is_bytes in [true, false] {
            let world = World::new();
            let first = if is_bytes { bytes(1, Base::Now) } else { text("one\n", Base::Now) };
            upload(&world, "d/a", first).await.unwrap();
            world.vaults.delete_file(&home(), "d/a", BY, ANYHOW).await.unwrap();
            let waiting = world.handle("d/a").await;
            assert!(!waiting.is_created());
            let second = match is_bytes {
                true => bytes(2, Base::Version(1)),
                false => text("two\n", Base::Version(1)),
            };
            let back = upload(&world, "d/a", second).await.unwrap();
            assert_eq!(world.vaults.settle(&home(), "d/a").await, Ok(back.version));
            let third = upload(&world, "d/a", bytes(3, Base::Now)).await.unwrap();
            assert_eq!(third.at.doc, back.at.doc);
            let act = Act::Move { to: "e/", asked: Asked::default() };
            world.vaults.change(&home(), &[Step { path: "d/", act }], BY).await.unwrap();
            world.vaults.change(&home(), &[delete("e/a")], BY).await.unwrap();
            assert_eq!(world.paths(), [""; 0]);
        }
    });
}

#[test]
fn bytes_stay_charged_when_their_document_is_opened() {
    run(async {
        let world = World::new();
        upload(&world, "a.bin", bytes(200, Base::Now)).await.unwrap();
        upload(&world, "b.md", text("text", Base::Now)).await.unwrap();
        let world = world.restart();
        let charged = || world.vaults.get(&home()).unwrap().bytes;
        let before = charged();
        assert!(before > 200);
        for path in ["a.bin", "b.md"] {
            assert!(world.handle(path).await.is_created());
        }
        assert_eq!(charged(), before);
    });
}

#[test]
fn a_refused_text_brings_no_bytes_back() {
    run(async {
        let world = World::new();
        upload(&world, "a.bin", bytes(1, Base::Now)).await.unwrap();
        world.vaults.delete_file(&home(), "a.bin", BY, ANYHOW).await.unwrap();
        let refused = upload(&world, "a.bin", text("a text", Base::Version(1))).await;
        assert_eq!(refused, Err(Error::BaseGone { seq: 2, hash: None }));
        assert_eq!((world.paths(), world.vaults.get(&home()).unwrap().seq), (Vec::new(), 2));
    });
}

#[test]
fn what_is_typed_before_the_end_is_a_version() {
    run(async {
        let mut world = World::new();
        for path in ["a.md", "b.md", "c.md"] {
            world.settled(path, path).await;
            world.write(path, " typed").await.unwrap();
        }
        // As behind a settle that was overtaken.
        let by = (BY, ANYHOW, Failure::Deleted);
        world.vaults.bury((&home(), "a.md"), by.0, by.1, by.2).await.unwrap();
        world.vaults.change(&home(), &[delete("b.md")], BY).await.unwrap();
        for (path, first) in [("a.md", 1), ("b.md", 2)] {
            let all = versions(&world, path);
            let [(_, true), (typed, false), (seq, false)] = all[..] else { panic!("{all:?}") };
            assert!(seq == first && typed > 3);
            let read = world.vaults.read_at(&home(), path, Some(typed)).await.unwrap();
            let Held::Text(was) = read.held else { panic!("{path}") };
            assert!(was.contains("typed") && was.contains(path), "{was:?}");
        }
    });
}

#[test]
fn a_version_that_is_being_named_does_not_go() {
    run(async {
        let (mut world, hand) = World::at(1_700_000_000_000);
        for word in ["one ", "two ", "three "] {
            world.settled("a.md", word).await;
        }
        world.checkpoint("a.md").await;
        world.fold();
        hand.advance(DAY * 3);
        let vaults = world.vaults.clone();
        let name = home();
        let mut naming = pin!(vaults.label(&name, "a.md", Some(1), (Some("first"), &NOBODY)));
        assert!(poll!(&mut naming).is_pending(), "it is not durable yet");
        assert_eq!(vaults.thin(&CancellationToken::new()).await, 1, "the second one goes");
        assert_eq!(naming.await, Ok(1));
        let due = [3, 1].map(|seq| (seq, false));
        assert_eq!(versions(&world, "a.md"), due);
    });
}

#[test]
fn a_text_over_bytes_settles_though_its_log_stands_still() {
    run(async {
        let mut world = World::new();
        world.settled("a.md", "text").await;
        upload(&world, "a.md", bytes(1, Base::Now)).await.unwrap();
        world.catch_up().await;
        let (book, doc) = (world.vaults.live(&home()).unwrap(), world.id("a.md"));
        assert!(world.vaults.set_text((&book, &mut book.state()), doc, BY));
        world.catch_up().await;
        assert_eq!(world.feed(2), [(3, "a.md".to_owned(), false)]);
        assert_eq!(world.vaults.file(&home(), "a.md").unwrap().kind, Kind::Text);
    });
}
