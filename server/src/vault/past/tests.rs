//! Lives of deleted documents, with restarts and kills in between.

use futures::FutureExt;
use futures::future::join;
use sheaf_protocol::plan::Source;

use super::*;
use crate::document::ledger::Quota;
use crate::document::owners::Submitter;
use crate::document::state::State;
use crate::document::state::tests::typed;
use crate::document::tests::run;
use crate::vault::condition::ANYHOW;
use crate::vault::tests::{BY, NOBODY, World, check, home};
use crate::vault::tree::{Act, Asked, Step};
use sheaf_protocol::ids::DocKey;
use sheaf_storage::journal::Record;
use sheaf_storage::journal::payload::Retired;

/// A replica that has been away: everything it has, as an answer to an empty state vector.
fn replica(parts: &[&[Vec<u8>]]) -> Vec<u8> {
    let mut state = State::new();
    for update in parts.iter().flat_map(|part| part.iter()) {
        state.replay(update).unwrap();
    }
    state.encode()
}

/// What a session makes of an answer.
async fn answer(world: &World, path: &str, update: &[u8], source: Source) -> Receipt {
    let by = Submitter { author: Author::of(&NOBODY), asked: Some(&[]) };
    let submission = Submission { source, update: scan::update(update).unwrap() };
    world.handle(path).await.submit(None, by, &[submission]).unwrap()
}

async fn delete(world: &World, path: &str) {
    world.vaults.delete_file(&home(), path, BY, ANYHOW).await.unwrap();
}

async fn keep(world: &World, doc: DocId, update: &[u8]) -> Result<Kept, Error> {
    world.vaults.keep_past((&home(), "a.md"), doc, update, BY).await
}

fn at(path: &Arc<str>) -> Kept {
    Kept::At { path: Arc::clone(path), is_whole: true }
}

fn written(world: &World, client: u64, text: &str) -> (Vec<Vec<u8>>, impl Future<Output = ()>) {
    let updates = typed(client, &[text]);
    let write = {
        let (updates, registry) = (updates.clone(), world.ground.registry.clone());
        async move {
            let handle = registry.open(&address(&home(), "a.md")).await.unwrap();
            for update in &updates {
                let by = Submitter { author: Author::of(&NOBODY), asked: Some(&[]) };
                let update = scan::update(update).unwrap();
                let submission = Submission { source: Source::Update, update };
                assert_eq!(handle.submit(None, by, &[submission]).unwrap().changed, 1);
            }
        }
    };
    (updates, write)
}

/// A document that was written by client 1 and deleted; its id, and its history.
async fn buried(world: &World) -> (DocId, Vec<Vec<u8>>) {
    let (updates, write) = written(world, 1, "old");
    write.await;
    world.vaults.settle(&home(), "a.md").await.unwrap();
    let doc = world.id("a.md");
    delete(world, "a.md").await;
    (doc, updates)
}

/// As `buried`, and made again by client 2.
async fn made_again(world: &mut World, text: &str) -> (DocId, Vec<Vec<u8>>) {
    let buried = buried(world).await;
    world.settled_by("a.md", 2, text).await;
    buried
}

/// A replica with this history, and words of client 3.
fn edited(old: &[Vec<u8>]) -> Vec<u8> {
    replica(&[old, &typed(3, &["words "])])
}

/// The same replica later.
fn edited_again(old: &[Vec<u8>]) -> Vec<u8> {
    replica(&[old, &typed(3, &["words ", "and more"])])
}

#[test]
fn an_old_history_is_not_merged_into_what_was_made_again() {
    run(async {
        let mut world = World::new();
        let (doc, old) = made_again(&mut world, "old").await;
        for round in 0..3 {
            let copy = edited(&old);
            let receipt = answer(&world, "a.md", &copy, Source::Step2).await;
            assert_eq!((receipt.past, receipt.changed), (Some(doc), 0), "round {round}");
            let live = answer(&world, "a.md", &old[0], Source::Update).await;
            assert_eq!((live.past, live.has_gap), (None, true), "a live edit is asked for whole");
            assert_eq!(world.text("a.md").await.as_deref(), Some("old"));
            world = if round == 0 { world.restart() } else { world.crash() };
        }
    });
}

#[test]
fn a_copy_with_news_is_kept_under_the_derived_name_once() {
    run(async {
        let mut world = World::new();
        let (doc, old) = made_again(&mut world, "new").await;
        let name: Arc<str> = conflict_of("a.md", doc, false).into();
        let copy = edited(&old);
        for _ in 0..2 {
            assert_eq!(keep(&world, doc, &copy).await, Ok(at(&name)));
        }
        let more = edited_again(&old);
        let mut world = world.crash();
        assert_eq!(keep(&world, doc, &more).await, Ok(at(&name)));
        world = world.restart();
        world.catch_up().await;
        assert_eq!(world.paths(), [&*name, "a.md"]);
        assert_eq!(world.text("a.md").await.as_deref(), Some("new"));
        let kept = world.text(&name).await.unwrap();
        assert!(kept.contains("words and more") && kept.contains("old"), "{kept}");
        let file = world.vaults.file(&home(), &name).unwrap();
        assert_eq!((file.id, file.size), (doc, kept.len() as u64));
    });
}

#[test]
fn while_the_name_is_free_an_edit_brings_the_document_back() {
    run(async {
        let world = World::new();
        let (doc, old) = buried(&world).await;
        let buried_bytes = world.vaults.get(&home()).unwrap().bytes;
        let nobody_wrote = world.handle("a.md").await;
        assert_eq!(keep(&world, doc, &replica(&[&old])).await, Ok(Kept::Nothing));
        assert_eq!(world.paths(), [] as [&str; 0]);
        let copy = edited(&old);
        assert_eq!(keep(&world, doc, &copy).await, Ok(Kept::Back));
        assert!(nobody_wrote.is_dropped());
        drop(nobody_wrote);
        assert!(world.vaults.get(&home()).unwrap().bytes < buried_bytes + copy.len() as u64);
        let world = world.crash();
        world.catch_up().await;
        assert_eq!(world.id("a.md"), doc);
        assert_eq!(world.text("a.md").await.map(|text| text.len()), Some("words old".len()));
        // Its own history is none of the past.
        let receipt = answer(&world, "a.md", &copy, Source::Step2).await;
        assert_eq!((receipt.past, receipt.changed), (None, 0));
        assert_eq!(world.feed(1).last().map(|(_, path, gone)| (&**path, *gone)), {
            Some(("a.md", false))
        });
    });
}

#[test]
fn a_document_that_nobody_wrote_in_gives_way() {
    run(async {
        let world = World::new();
        let (doc, old) = buried(&world).await;
        let made = world.handle("a.md").await;
        made.make(BY).unwrap();
        let copy = edited(&old);
        assert_eq!(keep(&world, doc, &copy).await, Ok(Kept::Back));
        assert_eq!((world.id("a.md"), made.ended()), (doc, Failure::Moved));
    });
}

#[test]
fn each_of_several_epochs_is_known_and_comes_back_by_itself() {
    run(async {
        let mut world = World::new();
        let mut epochs = Vec::new();
        for client in 10..15 {
            let (updates, write) = written(&world, client, "same");
            write.await;
            world.vaults.settle(&home(), "a.md").await.unwrap();
            epochs.push((world.id("a.md"), updates));
            delete(&world, "a.md").await;
            world = if client % 2 == 0 { world.restart() } else { world.crash() };
        }
        world.settled_by("a.md", 2, "same").await;
        for (doc, old) in &epochs {
            let copy = edited(old);
            let receipt = answer(&world, "a.md", &copy, Source::Step2).await;
            assert_eq!(receipt.past, Some(*doc));
            let name = conflict_of("a.md", *doc, false).into();
            assert_eq!(keep(&world, *doc, &copy).await, Ok(at(&name)));
        }
        assert_eq!(world.paths().len(), 6);
        assert_eq!(world.text("a.md").await.as_deref(), Some("same"));
    });
}

#[test]
fn a_derived_name_that_is_taken_gives_way_to_the_whole_id() {
    run(async {
        let mut world = World::new();
        let (doc, old) = made_again(&mut world, "new").await;
        world.settled_by(&conflict_of("a.md", doc, false), 4, "in the way").await;
        let copy = edited(&old);
        let name = conflict_of("a.md", doc, true).into();
        assert_eq!(keep(&world, doc, &copy).await, Ok(at(&name)));
    });
}

#[test]
fn two_copies_that_come_at_once_are_both_in_the_document() {
    run(async {
        let world = World::new();
        let (doc, old) = buried(&world).await;
        let [one, other] = [3, 4].map(|client| replica(&[&old, &typed(client, &["words "])]));
        // Both find it deleted before either brings it back.
        let work = &world.vaults.shared().work;
        let busy: Vec<_> = std::iter::from_fn(|| work.begin().now_or_never()).collect();
        let mut both = join(keep(&world, doc, &one), keep(&world, doc, &other)).boxed_local();
        assert_eq!((&mut both).now_or_never(), None);
        drop(busy);
        assert_eq!(both.await, (Ok(Kept::Back), Ok(Kept::Back)));
        assert_eq!(world.paths(), ["a.md"]);
        assert_eq!(world.text("a.md").await.map(|text| text.len()), Some("words words old".len()));
    });
}

#[test]
fn one_that_was_moved_away_is_written_by_nobody_who_came_by_its_old_name() {
    run(async {
        let mut world = World::new();
        let (doc, old) = made_again(&mut world, "new").await;
        let copy = edited(&old);
        let Ok(Kept::At { path: name, .. }) = keep(&world, doc, &copy).await else {
            panic!("kept")
        };
        let vaults = &world.vaults;
        vaults.move_file(&home(), &name, "private.md", BY, ANYHOW).await.unwrap();
        let more = edited_again(&old);
        assert_eq!(keep(&world, doc, &more).await, Ok(Kept::Nothing));
        assert!(!world.text("private.md").await.unwrap().contains("more"));
    });
}

#[test]
fn one_that_was_moved_away_and_deleted_there_does_not_come_back_to_its_old_name() {
    run(async {
        let mut world = World::new();
        let (doc, old) = buried(&world).await;
        let copy = edited(&old);
        assert_eq!(keep(&world, doc, &copy).await, Ok(Kept::Back));
        let vaults = &world.vaults;
        vaults.move_file(&home(), "a.md", "private.md", BY, ANYHOW).await.unwrap();
        world.settled_by("private.md", 4, "secret ").await;
        delete(&world, "private.md").await;
        let more = edited_again(&old);
        for _ in 0..2 {
            assert_eq!(keep(&world, doc, &more).await, Ok(Kept::Nothing));
            assert!(world.paths().is_empty());
            world = world.restart();
        }
    });
}

#[test]
fn what_would_be_refused_brings_nothing_back() {
    run(async {
        let quota = Quota { vault_bytes_max: 4_096, ..Quota::default() };
        let world = World::with_quota(quota);
        let (doc, old) = buried(&world).await;
        let large = replica(&[&old, &typed(3, &[&"words ".repeat(1_000)])]);
        assert_eq!(keep(&world, doc, &large).await, Err(Error::Failed(Failure::Quota)));
        // The second edit of another client without its first.
        let torn = typed(5, &["one", "two"]).swap_remove(1);
        let torn = keep(&world, doc, &torn).await.expect_err("it stands on nothing");
        assert_eq!(torn.code(), Code::GapLeftOpen);
        assert!(world.paths().is_empty());
        let world = world.restart();
        assert!(world.paths().is_empty());
    });
}

#[test]
fn a_copy_that_was_deleted_too_comes_back_only_with_news() {
    run(async {
        let mut world = World::new();
        let (doc, old) = made_again(&mut world, "new").await;
        let copy = edited(&old);
        let Ok(Kept::At { path: name, .. }) = keep(&world, doc, &copy).await else {
            panic!("kept")
        };
        delete(&world, &name).await;
        assert_eq!(keep(&world, doc, &copy).await, Ok(Kept::Nothing));
        let world = world.restart();
        let more = edited_again(&old);
        assert_eq!(keep(&world, doc, &more).await, Ok(at(&name)));
    });
}

#[test]
fn over_a_quota_nothing_comes_back() {
    run(async {
        let quota = Quota { vault_documents_max: 1, ..Quota::default() };
        let mut world = World::with_quota(quota);
        let (doc, old) = made_again(&mut world, "new").await;
        let copy = edited(&old);
        assert_eq!(keep(&world, doc, &copy).await, Err(Error::Failed(Failure::Quota)));
        assert_eq!(world.paths(), ["a.md"]);
    });
}

#[test]
fn who_makes_a_document_from_an_old_history_goes_on_with_that() {
    run(async {
        let world = World::new();
        let (_, old) = buried(&world).await;
        let handle = world.handle("a.md").await;
        handle.post_update(BY, &replica(&[&old]), None).unwrap();
        let copy = edited(&old);
        let receipt = answer(&world, "a.md", &copy, Source::Step2).await;
        assert_eq!((receipt.past, receipt.changed), (None, 1));
        delete(&world, "a.md").await;
        world.handle("a.md").await.put_text(BY, "new", None).unwrap();
        let refused = world.handle("a.md").await.post_update(BY, &copy, None);
        assert!(refused.is_err(), "{refused:?}");
        assert_eq!(world.text("a.md").await.as_deref(), Some("new"));
    });
}

#[test]
fn a_kill_between_coming_back_and_the_edit_loses_neither() {
    run(async {
        let mut world = World::new();
        let (doc, old) = made_again(&mut world, "new").await;
        let copy = edited(&old);
        {
            let book = world.vaults.live(&home()).unwrap();
            let submission =
                Submission { source: Source::Step2, update: scan::update(&copy).unwrap() };
            let recalled = world.vaults.registry().recall(book.account(), doc).unwrap();
            let epoch = recalled.news(&submission).unwrap().unwrap();
            world.vaults.revive(&book, "a.md", (doc, epoch), (BY, None)).unwrap();
        }
        let world = world.crash();
        world.catch_up().await;
        let name: Arc<str> = conflict_of("a.md", doc, false).into();
        assert_eq!(world.text(&name).await.as_deref(), Some("old"));
        assert_eq!(world.vaults.file(&home(), &name).unwrap().size, 3, "its body settled anew");
        assert_eq!(keep(&world, doc, &copy).await, Ok(at(&name)));
        assert!(world.text(&name).await.unwrap().contains("words"));
        let World { ground, vaults, dir, .. } = world.restart();
        drop((ground, vaults));
        check(dir.path());
    });
}

#[test]
fn client_ids_that_are_not_stored_are_read_from_the_log() {
    run(async {
        let world = World::new();
        let (doc, old) = buried(&world).await;
        let mut payload = Vec::new();
        Retired { name: "a.md".to_owned(), clients: Vec::new() }.encode(&mut payload);
        let (key, kind) = (world.vaults.live(&home()).unwrap().account().number(), Kind::Retired);
        let (key, stamp) = (DocKey { vault: key, doc }, world.ground.registry.stamp());
        let record = Record { doc: key, n: 1, kind, stamp, author: None, payload: &payload };
        world.ground.shared.journal.append(&[record]).unwrap();
        let mut world = world.restart();
        world.settled_by("a.md", 2, "old").await;
        let copy = edited(&old);
        assert_eq!(answer(&world, "a.md", &copy, Source::Step2).await.past, Some(doc));
        world = world.restart();
        assert_eq!(answer(&world, "a.md", &copy, Source::Step2).await.past, Some(doc));
    });
}

#[test]
fn of_more_client_ids_than_are_kept_those_that_wrote_most_are() {
    run(async {
        let mut world = World::new();
        let most = typed(1, &["the one that wrote most"]);
        let others: Vec<_> = (1_000..2_000).map(|client| typed(client, &["x"]).remove(0)).collect();
        let all = replica(&[&most, &others]);
        answer(&world, "a.md", &all, Source::Step2).await;
        world.vaults.settle(&home(), "a.md").await.unwrap();
        let doc = world.id("a.md");
        delete(&world, "a.md").await;
        world.settled_by("a.md", 2, "new").await;
        assert_eq!(answer(&world, "a.md", &all, Source::Step2).await.past, Some(doc));
        assert_eq!(answer(&world, "a.md", &most[0], Source::Step2).await.past, Some(doc));
    });
}

#[test]
fn a_copy_of_a_forgotten_document_is_still_none_of_what_has_its_name() {
    run(async {
        let (mut world, hand) = World::at(1_700_000_000_000);
        let (doc, old) = made_again(&mut world, "old").await;
        hand.advance(std::time::Duration::from_secs(8 * 24 * 60 * 60));
        let stopping = tokio_util::sync::CancellationToken::new();
        // One whose ids were to be read from its log, as of an earlier format.
        let name = "a.md".to_owned();
        let mut payload = Vec::new();
        Retired { name, clients: Vec::new() }.encode(&mut payload);
        let doc_key = DocKey { vault: world.vaults.number(&home()).unwrap(), doc };
        let (kind, stamp) = (Kind::Retired, doc.0);
        let record = Record { doc: doc_key, n: 0, kind, stamp, author: None, payload: &payload };
        let end = world.ground.shared.journal.append(&[record]).unwrap().end;
        world.vaults.durable(end).await.unwrap();
        assert_eq!(world.vaults.prune(&stopping).await, 1);
        for round in 0..3 {
            let copy = edited(&old);
            let receipt = answer(&world, "a.md", &copy, Source::Step2).await;
            assert_eq!((receipt.past, receipt.changed), (Some(doc), 0), "round {round}");
            assert_eq!(keep(&world, doc, &copy).await, Ok(Kept::Nothing));
            assert_eq!(world.text("a.md").await.as_deref(), Some("old"));
            assert_eq!(world.paths(), ["a.md"]);
            world = if round == 0 { world.crash() } else { world.restart() };
        }
        check(world.close().path());
    });
}

#[test]
fn one_that_was_moved_is_known_by_every_name_it_had_but_its_own() {
    run(async {
        let mut world = World::new();
        let (old, write) = written(&world, 1, "old");
        write.await;
        let doc = world.id("a.md");
        let at = |path: &str| address(&home(), path);
        let copy = edited(&old);
        let moves = [("a.md", "b.md"), ("b.md", "c/"), ("c/", "d/")];
        for (round, (from, to)) in moves.into_iter().enumerate() {
            let to_file = if to.ends_with('/') { "c/b.md" } else { to };
            if from.ends_with('/') {
                let step = Step { path: from, act: Act::Move { to, asked: Asked::default() } };
                world.vaults.change(&home(), &[step], BY).await.unwrap();
            } else {
                world.vaults.move_file(&home(), from, to_file, BY, ANYHOW).await.unwrap();
            }
            world = if round == 1 { world.restart() } else { world.crash() };
        }
        let now = "d/b.md";
        assert_eq!(world.id(now), doc);
        for name in ["a.md", "b.md", "c/b.md"] {
            let receipt = answer(&world, name, &copy, Source::Step2).await;
            assert_eq!((receipt.past, receipt.changed), (Some(doc), 0), "{name}");
            assert_eq!(world.vaults.moved_to(&at(name), doc).as_deref(), Some(now));
        }
        assert_eq!(world.paths(), [now], "nothing is made at a name it had");
        // Back where it was, it is nobody's past there.
        world.vaults.move_file(&home(), now, "a.md", BY, ANYHOW).await.unwrap();
        let receipt = answer(&world, "a.md", &copy, Source::Step2).await;
        assert_eq!((receipt.past, receipt.changed), (None, 1));
        assert_eq!(world.vaults.moved_to(&at(now), doc).as_deref(), Some("a.md"));
        delete(&world, "a.md").await;
        assert_eq!(world.vaults.moved_to(&at(now), doc), None);
    });
}

#[test]
fn who_has_one_that_was_moved_does_not_mix_it_into_what_has_its_name_now() {
    run(async {
        let mut world = World::new();
        let (old, write) = written(&world, 1, "old");
        write.await;
        let doc = world.id("a.md");
        world.vaults.move_file(&home(), "a.md", "b.md", BY, ANYHOW).await.unwrap();
        world.settled_by("a.md", 2, "new").await;
        let copy = edited(&old);
        assert_eq!(answer(&world, "a.md", &copy, Source::Step2).await.past, Some(doc));
        assert_eq!(world.text("a.md").await.as_deref(), Some("new"));
        // The new one is moved as well: each is known by its own history.
        let next = world.id("a.md");
        world.vaults.move_file(&home(), "a.md", "c.md", BY, ANYHOW).await.unwrap();
        assert_eq!(answer(&world, "a.md", &copy, Source::Step2).await.past, Some(doc));
        let other = replica(&[&typed(2, &["new"])]);
        assert_eq!(answer(&world, "a.md", &other, Source::Step2).await.past, Some(next));
    });
}
