//! Versions of files: listed, read, restored, named, over restarts and kills.

use sheaf_protocol::ids::Principal;

use super::*;
use crate::document::handle::Handle;
use crate::document::state::revert::tests::page;
use crate::document::tests::run;
use crate::vault::condition::{ANYHOW, Absent};
use crate::vault::tests::{BY, NOBODY, World, home};
use crate::vault::upload::{Upcoming, Upload};

async fn read(world: &World, path: &str, seq: u64) -> Result<String, Error> {
    match world.vaults.read_at(&home(), path, Some(seq)).await?.held {
        Held::Text(text) => Ok(text),
        other => panic!("{other:?}"),
    }
}

fn seqs(world: &World, path: &str) -> Vec<u64> {
    let page = world.vaults.versions(&home(), path, None, 1_000).unwrap();
    page.items.iter().map(|it| it.version.item.seq).collect()
}

/// Puts a text; its version.
async fn put(world: &World, path: &str, text: &str) -> u64 {
    let upload = Upload::of(Upcoming::Text(text));
    world.vaults.upload(&home(), path, BY, upload).await.unwrap().version
}

#[test]
fn every_settled_body_is_a_version_and_is_read_as_it_was() {
    run(async {
        let mut world = World::new();
        let mut texts = Vec::new();
        for round in 0..50 {
            let text = format!("round {round}\n").repeat(round % 5 + 1);
            texts.push((put(&world, "a.md", &text).await, text));
            put(&world, "b.md", &format!("other {round}")).await;
            if round % 20 == 10 {
                world = world.restart();
                world.checkpoint("a.md").await;
            }
        }
        world = world.crash();
        world.catch_up().await;
        for (seq, text) in &texts {
            assert_eq!(read(&world, "a.md", *seq).await.as_ref(), Ok(text));
            // The seq after it is another file's: the version is the same.
            assert_eq!(read(&world, "a.md", seq + 1).await.as_ref(), Ok(text));
        }
        let newest: Vec<u64> = texts.iter().rev().map(|(seq, _)| *seq).collect();
        assert_eq!(seqs(&world, "a.md"), newest);
        let page = world.vaults.versions(&home(), "a.md", Some(newest[2]), 2).unwrap();
        let found: Vec<u64> = page.items.iter().map(|it| it.version.item.seq).collect();
        assert_eq!((found, page.next), (newest[3..5].to_vec(), Some(newest[4])));
        let before = read(&world, "a.md", 0).await;
        assert_eq!(before, Err(Error::NoVersion { before: 0, after: newest[49] }));
        let beyond = read(&world, "a.md", 1_000).await;
        assert_eq!(beyond, Err(Error::NoVersion { before: newest[0], after: 0 }));
    });
}

#[test]
fn a_deleted_file_is_read_as_it_was_and_restored_under_its_name() {
    run(async {
        let world = World::new();
        let first = put(&world, "a.md", "one").await;
        let id = world.id("a.md");
        let gone = world.vaults.delete_file(&home(), "a.md", BY, ANYHOW).await.unwrap();
        assert_eq!(read(&world, "a.md", first).await.as_deref(), Ok("one"));
        assert!(matches!(read(&world, "a.md", gone).await, Err(Error::NoVersion { .. })));
        let (_, back) = world.vaults.restore(&home(), "a.md", first, (BY, ANYHOW)).await.unwrap();
        assert_eq!((world.id("a.md"), back > gone), (id, true));
        assert_eq!(world.text("a.md").await.as_deref(), Some("one"));
        assert_eq!(seqs(&world, "a.md").last(), Some(&first));
    });
}

#[test]
fn history_follows_a_file_that_moves() {
    run(async {
        let world = World::new();
        let first = put(&world, "a.md", "one").await;
        world.vaults.move_file(&home(), "a.md", "b/c.md", BY, ANYHOW).await.unwrap();
        let second = put(&world, "b/c.md", "one two").await;
        assert_eq!(read(&world, "b/c.md", first).await.as_deref(), Ok("one"));
        let page = world.vaults.versions(&home(), "b/c.md", None, 10).unwrap();
        let of = |it: &Dated| (it.version.item.seq, it.version.item.path.to_string());
        let found: Vec<_> = page.items.iter().map(of).collect();
        let (was, is) = ("a.md".to_owned(), "b/c.md".to_owned());
        assert_eq!(found, [(second, is.clone()), (second - 1, is), (first, was)]);
        assert_eq!(page.items[1].version.item.from.as_deref(), Some("a.md"));
        let missing = world.vaults.versions(&home(), "never.md", None, 10);
        assert_eq!(missing, Err(Error::NoFile));
    });
}

#[test]
fn restoring_is_an_edit_that_says_what_it_restores() {
    run(async {
        let world = World::new();
        let mut all = Vec::new();
        for round in 0..20 {
            all.push(put(&world, "a.md", &format!("version {round}\nend")).await);
        }
        let (_, seq) = world.vaults.restore(&home(), "a.md", all[7], (BY, ANYHOW)).await.unwrap();
        assert_eq!(world.text("a.md").await.as_deref(), Some("version 7\nend"));
        let page = world.vaults.versions(&home(), "a.md", None, 1).unwrap();
        let newest = &page.items[0].version;
        assert_eq!((newest.item.seq, newest.made.restored), (seq, all[7]));
        let again = world.vaults.restore(&home(), "a.md", all[7], (BY, ANYHOW)).await;
        assert_eq!(again.map(|(_, seq)| seq), Ok(seq), "what is there already takes no seq");
    });
}

#[test]
fn what_is_no_text_is_restored_too() {
    run(async {
        let world = World::new();
        let handle = world.vaults.open_or_create(&home(), "page").await.unwrap();
        let mut all = Vec::new();
        for client in 1..=3 {
            handle.post_update(BY, &page(client, &format!("by {client}")), None).unwrap();
            all.push(world.vaults.settle(&home(), "page").await.unwrap());
        }
        drop(handle);
        let roots = async |seq| match world.vaults.read_at(&home(), "page", seq).await {
            Ok(Read { held: Held::Roots(roots), .. }) => roots,
            other => panic!("{other:?}"),
        };
        let due = roots(Some(all[0])).await;
        assert_ne!(roots(None).await, due);
        let (_, seq) = world.vaults.restore(&home(), "page", all[0], (BY, ANYHOW)).await.unwrap();
        assert_eq!(roots(Some(seq)).await, due);
        let again = world.vaults.restore(&home(), "page", all[0], (BY, ANYHOW)).await;
        assert_eq!(again.map(|(_, seq)| seq), Ok(seq));
        let (_, back) = world.vaults.restore(&home(), "page", all[2], (BY, ANYHOW)).await.unwrap();
        assert_eq!(roots(None).await, roots(Some(all[2])).await);
        assert!(back > seq);
    });
}

#[test]
fn a_name_stays_with_its_version_over_a_restart() {
    run(async {
        let mut world = World::new();
        let first = put(&world, "a.md", "one").await;
        put(&world, "a.md", "two").await;
        let (vaults, who) = (&world.vaults, Principal::Named("ann".into()));
        let named = vaults.label(&home(), "a.md", Some(first), (Some("draft"), &who)).await;
        assert_eq!(named, Ok(first));
        vaults.label(&home(), "a.md", None, (Some("final"), &NOBODY)).await.unwrap();
        vaults.label(&home(), "a.md", None, (None, &NOBODY)).await.unwrap();
        let long = "x".repeat(LABEL_BYTES_MAX + 1);
        let long = vaults.label(&home(), "a.md", None, (Some(&long), &NOBODY)).await;
        assert!(matches!(long, Err(Error::Refused(_))), "{long:?}");
        world = world.restart();
        let page = world.vaults.versions(&home(), "a.md", None, 10).unwrap();
        let names: Vec<_> = page.items.iter().map(|it| it.label.as_ref()).collect();
        assert_eq!(names[0], None);
        let label = names[1].unwrap();
        assert_eq!((&*label.name, label.author.as_deref()), ("draft", Some("ann")));
    });
}

#[test]
fn the_timeline_of_a_vault_has_all_its_files() {
    run(async {
        let world = World::new();
        let mut due = Vec::new();
        for round in 0..5 {
            due.push((put(&world, "a.md", &format!("a{round}")).await, "a.md".to_owned()));
            due.push((put(&world, "b.md", &format!("b{round}")).await, "b.md".to_owned()));
        }
        due.reverse();
        let of = |it: &Dated| (it.version.item.seq, it.version.item.path.to_string());
        let page = world.vaults.activity(&home(), None, 6).unwrap();
        assert_eq!(page.items.iter().map(of).collect::<Vec<_>>(), due[..6]);
        let rest = world.vaults.activity(&home(), page.next, 6).unwrap();
        assert_eq!(rest.items.iter().map(of).collect::<Vec<_>>(), due[6..]);
        assert_eq!(rest.next, None);
    });
}

#[test]
fn a_version_names_all_who_wrote_in_it() {
    run(async {
        let world = World::new();
        let names = ["ann", "bob", "ann"].map(|name| Principal::Named(name.into()));
        let mut text = String::new();
        for who in &names {
            text.push_str("line\n");
            let by = Author::of(who);
            let write = |on: &Handle, only_if| on.put_text(by, &text, only_if);
            let made = (Absent::Made, ANYHOW);
            world.vaults.write((&home(), "a.md"), made, &write).await.unwrap();
        }
        world.vaults.settle(&home(), "a.md").await.unwrap();
        put(&world, "a.md", "nobody in particular").await;
        let page = world.vaults.versions(&home(), "a.md", None, 10).unwrap();
        let authors = |at: usize| -> Vec<Option<String>> {
            let all = page.items[at].version.made.authors.iter();
            all.map(|author| author.as_deref().map(str::to_owned)).collect()
        };
        assert_eq!(authors(0), [None]);
        assert_eq!(authors(1), [Some("bob".to_owned()), Some("ann".to_owned())]);
    });
}

#[test]
fn what_was_typed_just_before_a_deletion_is_a_version() {
    run(async {
        let mut world = World::new();
        world.written("a.md", "typed").await;
        let gone = world.vaults.delete_file(&home(), "a.md", BY, ANYHOW).await.unwrap();
        let page = world.vaults.versions(&home(), "a.md", None, 10).unwrap();
        let deleted: Vec<bool> = page.items.iter().map(|it| it.version.item.is_deleted).collect();
        assert_eq!(deleted, [true, false]);
        let read = world.vaults.read_at(&home(), "a.md", Some(gone - 1)).await.unwrap();
        assert_eq!(read.held, Held::Text("typed".to_owned()));
    });
}
