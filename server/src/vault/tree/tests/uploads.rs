//! Whole files that come in with deletions and moves, as one change.

use sheaf_protocol::error::Code;
use sheaf_protocol::stamp::Stamp;

use super::*;
use crate::document::ledger::Quota;
use crate::vault::condition::At;
use crate::vault::tests::exactly;
use crate::vault::upload::{Base, Upcoming};

fn text(text: &str, base: Base) -> Upload<'_> {
    Upload { base, client_ms: Some(3), ..Upload::of(Upcoming::Text(text)) }
}

fn bring<'a>(path: &'a str, upload: &'a Upload<'a>) -> Step<'a> {
    Step { path, act: Act::Upload(upload) }
}

/// All that a change may touch.
async fn seen(world: &World) -> (Vec<(u64, String, bool)>, Vec<(String, String)>, u64) {
    let mut texts = Vec::new();
    for path in world.paths() {
        let text = world.text(&path).await.unwrap_or_default();
        texts.push((path, text));
    }
    (world.feed(0), texts, world.vaults.get(&home()).unwrap().seq)
}

#[test]
fn files_come_in_with_a_move_and_a_deletion_as_one_change() {
    run(async {
        let world = world(&["a.md", "b.md", "gone.md", "old.md"]).await;
        let open = world.handle("a.md").await;
        let waiting = world.handle("new/1.md").await;
        let (now, made) = (text("a.md, put", Base::Now), text("made", Base::Version(0)));
        let (again, bytes) = (text("another", Base::Now), [7; 32]);
        let blob = Upcoming::Blob { hash: bytes, size: 9 };
        let blob = Upload { client_ms: Some(3), ..Upload::of(blob) };
        let merged = text("b.md\nmine", Base::Version(2));
        let steps = [
            bring("a.md", &now),
            delete("gone.md"),
            bring("gone.md", &again),
            relocate("old.md", "moved.md"),
            bring("old.md", &blob),
            bring("new/1.md", &made),
            bring("b.md", &merged),
        ];
        let records = |world: &World| world.ground.shared.journal.written();
        let before = records(&world);
        let by = Author { device: 3, ..BY };
        let done = world.vaults.change(&home(), &steps, by).await.unwrap();
        assert!(records(&world) > before);
        let seqs: Vec<u64> = done.iter().map(|done| done.seq).collect();
        assert_eq!(seqs, [7, 5, 8, 6, 9, 10, 11]);
        let uploaded = done[0].uploaded.as_ref().unwrap();
        assert_eq!((uploaded.version, uploaded.at.n, uploaded.is_created), (7, 2, false));
        assert!(uploaded.has_changed && !uploaded.is_merged);
        assert_eq!(open.text("content").unwrap(), "a.md, put", "whoever has it open has it");
        assert!(!open.is_dropped() && waiting.is_dropped());
        drop((open, waiting));
        let due = [
            ("a.md", "a.md, put"),
            ("b.md", "b.md\nmine"),
            ("gone.md", "another"),
            ("moved.md", "old.md"),
            ("new/1.md", "made"),
            ("old.md", ""),
        ];
        let due: Vec<_> = due.map(|(path, text)| (path.to_owned(), text.to_owned())).into();
        let (feed, texts, seq) = seen(&world).await;
        assert_eq!((texts, seq), (due.clone(), 11));
        let file = world.vaults.file(&home(), "old.md").unwrap();
        assert_eq!((file.kind, file.hash, file.size), (Kind::Blob, Some(bytes), 9));
        let file = world.vaults.file(&home(), "a.md").unwrap();
        assert_eq!((file.n, file.size, file.device), (2, 9, 3));
        world.catch_up().await;
        assert_eq!(world.vaults.get(&home()).unwrap().seq, 11, "all of it has settled");
        let bytes = world.vaults.get(&home()).unwrap().bytes;
        let mut world = world.crash();
        assert_eq!(seen(&world).await, (feed, due, 11));
        assert_eq!(world.vaults.get(&home()).unwrap().bytes, bytes);
        assert_eq!(world.settled("new/1.md", "!").await, 12);
        assert_eq!(world.settled("a.md", "!").await, 13);
        check(world.close().path());
    });
}

#[test]
fn one_that_cannot_be_done_leaves_all_as_it_was() {
    run(async {
        let world = world(&["a.md", "b.md", "c.md", "z.md"]).await;
        let open = world.handle("a.md").await;
        let before = seen(&world).await;
        let (put, new) = (text("put", Base::Now), text("new", Base::Version(0)));
        let old = text("old", Base::Version(1));
        let blind = text("x", Base::Version(9));
        let ahead = world.ground.registry.stamp();
        let ahead = Stamp::new(ahead.ms() + 60_000, 0, 7);
        let early = Upload { stamp: Some(ahead), ..text("early", Base::Now) };
        let thirds = [
            (delete("none.md"), Code::NotFound),
            (bring("b.md/below", &new), Code::PathTaken),
            (bring("con", &new), Code::InvalidPath),
            (bring("a.md", &new), Code::Unsupported),
            (relocate("a.md", "d.md"), Code::Unsupported),
            (bring("none.md", &old), Code::Unsupported),
            (bring("b.md", &blind), Code::BaseGone),
            (bring("b.md", &early), Code::ClockDrift),
            (bring("c.md", &put), Code::Unsupported),
        ];
        for (third, code) in thirds {
            let second = relocate("c.md", "e.md");
            let all = [bring("a.md", &put), second, third, bring("n.md", &new), delete("z.md")];
            let written = world.ground.shared.journal.written();
            let fourth = third.path == "c.md";
            let all =
                if fourth { [all[0], bring("c.md", &new), all[2], all[3], all[4]] } else { all };
            let undone = change(&world, &all).await.unwrap_err();
            assert_eq!((undone.step, undone.error.code()), (Some(2), code), "{third:?}");
            assert_eq!(world.ground.shared.journal.written(), written, "{third:?}");
            assert_eq!(seen(&world).await, before, "{third:?}");
            assert!(!open.is_dropped());
        }
        drop(open);
        world.catch_up().await;
        assert_eq!(seen(&world).await, before);
        check(world.close().path());
    });
}

#[test]
fn what_is_more_than_a_record_or_a_quota_holds_is_not_begun() {
    run(async {
        let quota = Quota { vault_bytes_max: 1 << 30, vault_documents_max: 3 };
        let mut world = World::with_quota(quota);
        world.settled("a.md", "a").await;
        let large = "x".repeat(9 << 20);
        let large = text(&large, Base::Now);
        let before = seen(&world).await;
        let undone = change(&world, &[bring("a.md", &large), bring("b.md", &large)]).await;
        assert_eq!(undone.unwrap_err().error.code(), Code::BatchTooLarge);
        let new = text("new", Base::Version(0));
        let four = ["1", "2", "3"].map(|path| bring(path, &new));
        let undone = change(&world, &four).await.unwrap_err();
        assert_eq!((undone.step, undone.error.code()), (Some(2), Code::QuotaExceeded));
        assert_eq!(seen(&world).await, before);
        let room = [delete("a.md"), four[0], four[1], four[2]];
        assert_eq!(change(&world, &room).await.unwrap().len(), 4);
        assert_eq!(world.paths(), ["1", "2", "3"]);
    });
}

#[test]
fn an_upload_that_comes_again_with_its_stamp_changes_nothing() {
    run(async {
        let world = world(&["a.md", "b.md"]).await;
        let stamps = [world.ground.registry.stamp(), world.ground.registry.stamp()];
        let uploads = [text("one", Base::Now), text("two", Base::Version(0))];
        let uploads: Vec<_> = uploads
            .iter()
            .zip(stamps)
            .map(|(upload, stamp)| Upload { stamp: Some(stamp), ..*upload })
            .collect();
        let steps = [bring("a.md", &uploads[0]), bring("n.md", &uploads[1])];
        let done = change(&world, &steps).await.unwrap();
        let before = seen(&world).await;
        for world in [world.crash()] {
            let again = change(&world, &steps).await.unwrap();
            let versions = |done: &[Done]| done.iter().map(|done| done.seq).collect::<Vec<_>>();
            assert_eq!(versions(&again), versions(&done));
            assert!(again.iter().all(|done| !done.uploaded.as_ref().unwrap().has_changed));
            assert_eq!(seen(&world).await, before);
            let other = Upload { content: Upcoming::Text("other"), ..uploads[0] };
            let undone = change(&world, &[bring("a.md", &other)]).await.unwrap_err();
            assert_eq!((undone.step, undone.error.code()), (Some(0), Code::StampReused));
        }
    });
}

#[test]
fn a_push_that_comes_again_whole_is_answered_as_before_whatever_came_since() {
    run(async {
        let mut world = world(&["a.md", "b.md", "c.md", "dir/1.md", "dir/2.md", "old/1.md"]).await;
        world.settled("dir/2.md", " edited").await;
        let put = Upload { stamp: Some(world.ground.registry.stamp()), ..text("put", Base::Now) };
        let asked = Asked { stamp: Some(world.ground.registry.stamp()), ..Asked::default() };
        let again = |stamp| Asked { stamp: Some(stamp), ..asked };
        let stamps = [0; 3].map(|_| world.ground.registry.stamp());
        let delete = |path, base, asked| Step { path, act: Act::Delete { base, asked } };
        let relocate = |path, to, asked| Step { path, act: Act::Move { to, asked } };
        let steps = [
            bring("a.md", &put),
            delete("b.md", Some(2), asked),
            relocate("c.md", "d.md", again(stamps[0])),
            delete("dir/", Some(4), again(stamps[1])),
            relocate("old/", "new/", again(stamps[2])),
        ];
        let done = change(&world, &steps).await.unwrap();
        let told = |done: &[Done]| -> Vec<_> {
            let kept = |done: &Done| done.kept.iter().map(|file| file.path.to_string()).collect();
            let told = |done: &Done| (done.seq, done.count, done.id, kept(done));
            done.iter().map(told).collect::<Vec<(_, _, _, Vec<String>)>>()
        };
        assert_eq!(told(&done)[3].1, 1);
        assert_eq!(told(&done)[3].3, ["dir/2.md"]);
        // What came since has the paths of what went.
        world.settled("b.md", "another").await;
        world.settled("c.md", "another").await;
        world.vaults.delete_file(&home(), "d.md", BY, ANYHOW).await.unwrap();
        let before = seen(&world).await;
        assert_eq!(told(&change(&world, &steps).await.unwrap()), told(&done));
        assert_eq!(seen(&world).await, before);
        let world = world.crash();
        assert_eq!(told(&change(&world, &steps).await.unwrap()), told(&done));
        for (step, due) in steps.iter().zip(told(&done)) {
            assert_eq!(told(&change(&world, &[*step]).await.unwrap()), [due], "alone");
        }
        assert_eq!(seen(&world).await, before);
        let others = [
            delete("b.md", None, asked),
            delete("c.md", Some(2), asked),
            relocate("c.md", "e.md", again(stamps[0])),
            relocate("b.md", "c.md", asked),
        ];
        for step in others {
            let undone = change(&world, &[step]).await.unwrap_err();
            assert_eq!((undone.step, undone.error.code()), (Some(0), Code::StampReused));
        }
        let twice = [relocate("b.md", "f.md", asked), delete("c.md", None, asked)];
        let new = again(world.ground.registry.stamp());
        let twice = twice.map(|Step { path, act }| match act {
            Act::Delete { base, .. } => delete(path, base, new),
            Act::Move { to, .. } => relocate(path, to, new),
            Act::Upload(_) => unreachable!(),
        });
        let undone = change(&world, &twice).await.unwrap_err();
        assert_eq!((undone.step, undone.error.code()), (Some(1), Code::StampReused));
        assert_eq!(seen(&world).await, before);
        check(world.close().path());
    });
}

#[test]
fn what_takes_out_only_what_is_gone_already_changes_nothing() {
    run(async {
        let mut world = world(&["b.md"]).await;
        let first = world.settled("a.md", "one\ntwo\nthree\n").await;
        let now = text("three\n", Base::Now);
        let taken_out = world.vaults.upload(&home(), "a.md", BY, now).await.unwrap();
        // It lacks a part of what is gone.
        let late = text("one\nthree\n", Base::Version(first));
        let put = text("put", Base::Now);
        let done = change(&world, &[bring("a.md", &late), bring("b.md", &put)]).await.unwrap();
        let uploaded = done[0].uploaded.as_ref().unwrap();
        assert_eq!((uploaded.version, uploaded.has_changed), (taken_out.version, false));
        assert_eq!(uploaded.content.as_deref(), Some("three\n"));
        assert_eq!(done[1].seq, taken_out.version + 1);
        assert_eq!(world.text("a.md").await.unwrap(), "three\n");
    });
}

#[test]
fn a_stamped_change_that_was_not_made_is_made_when_it_comes_again() {
    run(async {
        let mut world = world(&["a.md", "b.md"]).await;
        let stamp = Some(world.ground.registry.stamp());
        let asked = Asked { stamp, ..Asked::default() };
        let step = Step { path: "a.md", act: Act::Move { to: "b.md", asked } };
        assert!(matches!(one(&world, step).await, Err(Error::PathTaken { .. })));
        one(&world, delete("b.md")).await.unwrap();
        let done = one(&world, step).await.unwrap();
        assert_eq!(one(&world, step).await.unwrap(), done);
        // One that comes while it is under way is not made twice either.
        world.settled("c.md", "c").await;
        let asked = Asked { stamp: Some(world.ground.registry.stamp()), ..Asked::default() };
        let step = Step { path: "c.md", act: Act::Delete { base: None, asked } };
        let many = futures::future::join_all((0..8).map(|_| one(&world, step))).await;
        let made: Vec<_> = many.iter().flatten().collect();
        assert!(!made.is_empty());
        assert!(made.iter().all(|done| **done == *made[0]));
        let busy = Error::Failed(Failure::Busy);
        assert!(many.iter().filter_map(|done| done.as_ref().err()).all(|it| *it == busy));
    });
}

#[test]
fn what_a_step_depends_on_is_looked_at_before_anything_is_done() {
    run(async {
        let world = world(&["a.md", "b.md"]).await;
        let before = seen(&world).await;
        let never = |now: Option<At>| Err(Error::Stale { now });
        let asked = Asked { stamp: Some(world.ground.registry.stamp()), when: &never };
        let put = Upload { when: &never, ..text("put", Base::Now) };
        let refused = [
            Step { path: "b.md", act: Act::Delete { base: None, asked } },
            Step { path: "b.md", act: Act::Move { to: "c.md", asked } },
            Step { path: "b.md", act: Act::Move { to: "b.md", asked } },
            bring("b.md", &put),
            bring("new.md", &put),
        ];
        for step in refused {
            let undone = change(&world, &[delete("a.md"), step]).await.unwrap_err();
            let now = world.vaults.file(&home(), step.path).ok().map(|file| file.at());
            let due = Undone { step: Some(1), error: Error::Stale { now } };
            assert_eq!(undone, due, "{step:?}");
            assert_eq!(seen(&world).await, before, "{step:?}");
        }
    });
}

#[test]
fn a_first_push_makes_the_vault() {
    run(async {
        let world = World::new();
        let new = text("new", Base::Version(0));
        let done = change(&world, &[bring("a.md", &new), bring("b.md", &new)]).await.unwrap();
        assert_eq!(done[1].seq, 2);
        let world = world.crash();
        assert_eq!(world.text("b.md").await.unwrap(), "new");
        assert_eq!(world.feed(0).len(), 2);
        check(world.close().path());
    });
}

#[test]
fn a_crash_within_an_upload_of_many_leaves_all_of_it_or_nothing() {
    run(async {
        let world = world(&["a.md", "b.md", "c.md"]).await;
        let before = seen(&world).await;
        let start = world.ground.shared.journal.written();
        let (put, new) = (text("put", Base::Now), text("new", Base::Version(0)));
        let steps = [
            bring("a.md", &put),
            bring("n.md", &new),
            relocate("b.md", "d.md"),
            bring("b.md", &new),
            delete("c.md"),
        ];
        change(&world, &steps).await.unwrap();
        let after = [("a.md", "put"), ("b.md", "new"), ("d.md", "b.md"), ("n.md", "new")];
        let after = after.map(|(path, text)| (path.to_owned(), text.to_owned()));
        let end = world.ground.shared.journal.written();
        let left = world.abandon();
        for (len, world) in cuts(&left, (start, end)) {
            let now = seen(&world).await;
            match len == end {
                true => assert_eq!((&now.1[..], now.2), (&after[..], 8)),
                false => assert_eq!(now, before, "{len} of {start}..{end}"),
            }
            check(world.close().path());
        }
    });
}

#[test]
fn edits_of_others_meanwhile_stay_and_the_version_is_what_it_says() {
    run(async {
        let paths: Vec<String> = (0..3).map(|file| format!("{file}.md")).collect();
        let world = world(&["0.md", "1.md", "2.md"]).await;
        let stop = CancellationToken::new();
        let mut writers = JoinSet::new();
        for (file, path) in paths.iter().cloned().enumerate() {
            let (stop, vaults) = (stop.clone(), world.vaults.clone());
            let clock = world.ground.shared.clock.clone();
            writers.spawn(async move {
                let mut written = 0;
                while !stop.is_cancelled() {
                    let handle = vaults.open(&home(), &path).await.unwrap();
                    if written < WRITES_MAX
                        && write(&handle, 1_000 * (file as u64 + 1) + written, "x").is_ok()
                    {
                        written += 1;
                    }
                    clock.sleep(std::time::Duration::from_millis(2)).await;
                }
                (file, written)
            });
        }
        let mut done = 0;
        for round in 0..20 {
            let lines: Vec<_> = paths.iter().map(|_| format!("round {round}\n")).collect();
            let uploads: Vec<_> = lines.iter().map(|line| text(line, Base::Version(0))).collect();
            let steps: Vec<_> =
                paths.iter().zip(&uploads).map(|(path, upload)| bring(path, upload)).collect();
            match change(&world, &steps).await {
                Ok(came) => {
                    done += 1;
                    for came in came {
                        let uploaded = came.uploaded.unwrap();
                        let path =
                            world.vaults.live(&home()).unwrap().account().path_of(uploaded.at.doc);
                        let path = path.unwrap();
                        let read =
                            world.vaults.read_at(&home(), &path, Some(came.seq)).await.unwrap();
                        let crate::vault::versions::Held::Text(held) = read.held else { panic!() };
                        assert_eq!(uploaded.content.unwrap(), held);
                    }
                }
                Err(undone) => assert_eq!(undone.error, Error::Failed(Failure::Busy)),
            }
        }
        stop.cancel();
        for (file, written) in writers.join_all().await {
            let text = world.text(&paths[file]).await.unwrap();
            assert_eq!(text.matches('x').count() as u64, written, "file {file}");
            assert_eq!(text.matches("round").count(), done, "file {file}: {text}");
        }
        assert!(done > 0);
        world.catch_up().await;
        check(world.close().path());
    });
}

#[test]
fn a_file_at_another_state_than_its_upload_is_made_for_leaves_all_as_it_was() {
    run(async {
        let world = world(&["a.md", "b.md", "gone.md"]).await;
        let now = world.vaults.state(&home(), "b.md").await.unwrap();
        let first = text("first", Base::Now);
        for (at, is_met) in [(At { n: 7, ..now }, false), (now, true), (now, false)] {
            let (before, when) = (seen(&world).await, exactly(at));
            let second = Upload { when: &when, ..text("second", Base::Now) };
            let steps = [bring("a.md", &first), bring("b.md", &second)];
            match change(&world, &steps).await {
                Ok(_) => assert!(is_met),
                Err(Undone { step, error: Error::Stale { now: Some(is) } }) => {
                    assert_eq!((step, is.doc, is_met), (Some(1), now.doc, false));
                    assert_eq!(seen(&world).await, before);
                }
                Err(other) => panic!("{other:?}"),
            }
        }
    });
}
