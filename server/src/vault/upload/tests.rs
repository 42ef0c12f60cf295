//! Uploads: the table of measured cases in both orders, retries, deletions, blobs.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::document::edit::tests::texts;
use crate::document::ledger::Quota;
use crate::document::submission::Failure;
use crate::document::tests::run;
use crate::vault::Kind;
use crate::vault::condition::ANYHOW;
use crate::vault::tests::{BY, World, exactly, home};
use crate::vault::tree::{Act, Step};
use crate::vault::versions::Held;
use sheaf_ground::time::Clock;
use sheaf_protocol::ids::Principal;

const HOUR_MS: u64 = 3_600_000;

fn of_blob(byte: u8, base: Base) -> Upload<'static> {
    let content = Upcoming::Blob { hash: [byte; 32], size: u64::from(byte) };
    Upload { base, ..Upload::of(content) }
}

fn of(text: &str, base: Base) -> Upload<'_> {
    Upload { base, ..Upload::of(Upcoming::Text(text)) }
}

async fn upload(world: &World, upload: Upload<'_>) -> Result<Uploaded, Error> {
    world.vaults.upload(&home(), "a.md", BY, upload).await
}

async fn up(world: &World, text: &str, base: Base) -> Uploaded {
    upload(world, of(text, base)).await.unwrap()
}

/// What becomes of two texts made of one base, uploaded in this order, through the whole vault.
async fn merged(base: &str, first: &str, second: &str) -> String {
    let world = World::new();
    let version = Base::Version(up(&world, base, Base::Now).await.version);
    let one = up(&world, first, version).await;
    assert_eq!((one.is_merged, one.content), (false, None));
    assert_eq!(world.text("a.md").await.as_deref(), Some(first));
    let other = up(&world, second, version).await;
    let text = world.text("a.md").await.unwrap();
    assert_eq!(other.is_merged, text != second);
    assert_eq!(other.content, (text != second).then(|| text.clone()));
    let hash: [u8; 32] = Sha256::digest(text.as_bytes()).into();
    assert_eq!((other.hash, other.size), (hash, text.len() as u64));
    // A retry of either changes nothing.
    for tried in [first, second] {
        let again = up(&world, tried, version).await;
        let due = (other.version.max(one.version), false);
        assert_eq!((again.version, again.has_changed), due, "{tried:?} of {base:?} in {text:?}");
    }
    text
}

#[test]
fn the_measured_cases_come_out_as_measured_in_both_orders() {
    let fox = "The quick fox jumps over the lazy dog.";
    let red = "The quick red fox jumps over the lazy dog.";
    let very = "The quick fox jumps over the very lazy dog.";
    let cases = [
        (fox, red, very, "The quick red fox jumps over the very lazy dog."),
        ("Hello world", "Hello beautiful world", "Hello world!", "Hello beautiful world!"),
        (
            "Line 1\nLine 2\nLine 3",
            "Line 1\nLine 3",
            "Line 1\nLine 2 modified\nLine 3",
            "Line 1\nLine 2 modified\nLine 3",
        ),
        ("a\n", "a\nsame\n", "a\nsame\n", "a\nsame\n"),
        ("one two", "one new two", "one new two", "one new two"),
    ];
    run(async {
        for (base, one, other, due) in cases {
            assert_eq!(merged(base, one, other).await, due);
            assert_eq!(merged(base, other, one).await, due);
        }
        let both = [
            merged("# note\n", "# note\nline A\n", "# note\nline B\n").await,
            merged("# note\n", "# note\nline B\n", "# note\nline A\n").await,
        ];
        for text in both {
            assert_eq!(text.len(), "# note\nline A\nline B\n".len());
            assert!(text.contains("line A\n") && text.contains("line B\n"), "{text:?}");
        }
        let words = merged("the red house", "the green house", "the blue house").await;
        assert!(["the greenblue house", "the bluegreen house"].contains(&&*words), "{words:?}");
    });
}

#[test]
fn a_text_made_of_nothing_is_joined_with_what_is_there() {
    run(async {
        let world = World::new();
        let first = up(&world, "a\nb\n", Base::Version(0)).await;
        assert!(first.is_created && !first.is_merged);
        let same = up(&world, "a\nb\n", Base::Version(0)).await;
        assert_eq!((same.version, same.has_changed), (first.version, false));
        let joined = up(&world, "a\nc\n", Base::Version(0)).await;
        assert_eq!(joined.content.as_deref(), Some("a\nb\nc\n"));
        let bare = up(&world, "all new", Base::Now).await;
        assert_eq!((bare.is_merged, world.text("a.md").await.as_deref()), (false, Some("all new")));
    });
}

#[test]
fn an_upload_that_comes_again_with_its_stamp_is_known_and_another_is_refused() {
    run(async {
        let mut world = World::new();
        let base = Base::Version(up(&world, "a\n", Base::Now).await.version);
        let stamp = Some(world.ground.registry.stamp());
        let first = upload(&world, Upload { stamp, ..of("a\nb\n", base) }).await.unwrap();
        up(&world, "everything else\n", Base::Now).await;
        for _ in 0..2 {
            let again = upload(&world, Upload { stamp, ..of("a\nb\n", base) }).await.unwrap();
            assert_eq!((again.version, again.has_changed), (first.version, false));
            assert_eq!(world.text("a.md").await.as_deref(), Some("everything else\n"));
            let other = upload(&world, Upload { stamp, ..of("a\nc\n", base) }).await;
            assert_eq!(other, Err(Error::StampReused));
            world = world.crash();
        }
        let ahead = world.ground.registry.stamp();
        let ahead = Stamp::new(ahead.ms() + 60_000, 0, 7);
        let early = upload(&world, Upload { stamp: Some(ahead), ..of("x", base) }).await;
        assert!(matches!(early, Err(Error::ClockDrift { .. })), "{early:?}");
        assert!(world.ground.registry.stamp() < ahead, "it did not drag the clock along");
    });
}

#[test]
fn stamps_rise_though_the_clock_is_set_back() {
    run(async {
        let (mut world, _) = World::at(HOUR_MS * 10);
        let ahead = Stamp::new(HOUR_MS * 10 + 90, 5, 7);
        upload(&world, Upload { stamp: Some(ahead), ..of("a", Base::Now) }).await.unwrap();
        let mut last = world.ground.registry.stamp();
        assert!(last > ahead, "later than what was taken in");
        for is_closed in [false, true] {
            up(&world, &format!("{is_closed}"), Base::Now).await;
            last = last.max(world.vaults.file(&home(), "a.md").unwrap().updated);
            let (clock, _) = Clock::test(HOUR_MS * 9);
            world = world.at_clock(&clock, is_closed);
            for number in 0..20 {
                up(&world, &format!("{is_closed} {number}"), Base::Now).await;
                let now = world.vaults.file(&home(), "a.md").unwrap().updated;
                assert!(now > last, "{now} after {last}");
                last = now;
            }
        }
    });
}

#[test]
fn an_edit_of_a_version_wins_over_a_deletion() {
    run(async {
        let world = World::new();
        let first = up(&world, "a\nb\n", Base::Now).await;
        world.vaults.delete_file(&home(), "a.md", BY, ANYHOW).await.unwrap();
        let back = up(&world, "a\nb\nc\n", Base::Version(first.version)).await;
        assert_eq!((back.at.doc, back.is_created), (first.at.doc, false));
        assert_eq!(world.text("a.md").await.as_deref(), Some("a\nb\nc\n"));
    });
}

#[test]
fn a_base_that_is_not_there_is_told_with_what_is() {
    run(async {
        let world = World::new();
        let now = up(&world, "a", Base::Now).await;
        let gone = upload(&world, of("b", Base::Version(99))).await;
        assert_eq!(gone, Err(Error::BaseGone { seq: now.version, hash: Some(now.hash) }));
        assert_eq!(world.text("a.md").await.as_deref(), Some("a"));
    });
}

#[test]
fn a_base_whose_text_was_deleted_and_collected_is_still_a_base() {
    run(async {
        let mut world = World::new();
        let long = (0..200).map(|line| format!("line {line}\n")).collect::<String>();
        let base = Base::Version(up(&world, &long, Base::Now).await.version);
        up(&world, "line 0\nline 199\n", Base::Now).await;
        world.checkpoint("a.md").await;
        world = world.restart();
        let mine = long.replace("line 100\n", "line 100\ninserted\n");
        let done = up(&world, &mine, base).await;
        assert_eq!(done.content.as_deref(), Some("line 0\ninserted\nline 199\n"));
    });
}

#[test]
fn of_two_blobs_made_of_one_version_the_newer_wins_and_the_other_is_a_version() {
    run(async {
        let world = World::new();
        let put = |byte, base, stamp| Upload { stamp, ..of_blob(byte, base) };
        let first = upload(&world, put(1, Base::Version(0), None)).await.unwrap();
        assert!(first.is_created && !first.is_conflict);
        let base = Base::Version(first.version);
        let (older, newer) = (world.ground.registry.stamp(), world.ground.registry.stamp());
        let won = upload(&world, put(2, base, Some(newer))).await.unwrap();
        assert!(!won.is_conflict);
        let lost = upload(&world, put(3, base, Some(older))).await.unwrap();
        assert!(lost.is_conflict);
        assert_eq!(lost.hash, [2; 32], "the newer one is the file");
        let page = world.vaults.versions(&home(), "a.md", None, 10).unwrap();
        let hashes: Vec<u8> =
            page.items.iter().map(|it| it.version.item.hash.unwrap()[0]).collect();
        assert_eq!(hashes, [2, 3, 2, 1]);
        let read = world.vaults.read_at(&home(), "a.md", None).await.unwrap();
        assert_eq!(read.held, Held::Blob { hash: [2; 32], size: 2 });
        let same = upload(&world, put(2, Base::Now, None)).await.unwrap();
        assert_eq!((same.version, same.has_changed), (lost.version, false));
        let text = up(&world, "now it is a text", Base::Now).await;
        assert_eq!(text.at.doc, first.at.doc, "the kind changes, the id stays");
        let (_, back) =
            world.vaults.restore(&home(), "a.md", first.version, (BY, ANYHOW)).await.unwrap();
        assert!(back > text.version);
    });
}

/// Uploads texts one after the other, each made of the version before.
async fn chain(world: &World, path: &str, all: &[String]) {
    let mut base = Base::Version(0);
    for text in all {
        let done = world.vaults.upload(&home(), path, BY, of(text, base)).await.unwrap();
        assert!(!done.is_merged, "{:?} of {all:?}", done.content);
        assert_eq!(world.text(path).await.unwrap_or_default(), *text);
        base = Base::Version(done.version);
    }
}

#[test]
fn an_empty_text_is_a_text_too() {
    run(async {
        let texts = ["", "", "a", ""].map(str::to_owned);
        chain(&World::new(), "a.md", &texts).await;
    });
}

#[test]
fn bytes_stay_charged_when_their_file_goes() {
    run(async {
        let world = World::new();
        let content = Upcoming::Blob { hash: [1; 32], size: 100_000 };
        upload(&world, Upload::of(content)).await.unwrap();
        world.vaults.delete_file(&home(), "a.md", BY, ANYHOW).await.unwrap();
        assert!(world.vaults.get(&home()).unwrap().bytes >= 100_000);
        let world = world.restart();
        assert!(world.vaults.get(&home()).unwrap().bytes >= 100_000);
    });
}

proptest! {
    // 3,072 texts in all.
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn what_is_uploaded_to_what_nobody_else_changed_is_what_is_there(
        all in vec(vec(texts(), 6), 32),
    ) {
        run(async {
            let world = World::new();
            let paths: Vec<_> = (0..all.len()).map(|number| format!("{number}.md")).collect();
            let chains = paths.iter().zip(&all).map(|(path, all)| chain(&world, path, all));
            futures::future::join_all(chains).await;
        });
    }
}

#[test]
fn an_upload_that_comes_again_is_known_for_this_file_alone() {
    run(async {
        let world = World::new();
        let first = up(&world, "one\n", Base::Version(0)).await;
        let again = up(&world, "one\n", Base::Version(0)).await;
        assert_eq!((again.version, again.has_changed), (first.version, false));
        world.vaults.delete_file(&home(), "a.md", BY, ANYHOW).await.unwrap();
        let anew = up(&world, "one\n", Base::Version(0)).await;
        assert!(anew.is_created && anew.at.doc != first.at.doc);
        world.vaults.delete_file(&home(), "a.md", BY, ANYHOW).await.unwrap();
        up(&world, "another's\n", Base::Now).await;
        let joined = up(&world, "one\n", Base::Version(0)).await;
        assert!(joined.has_changed && joined.is_merged);
        let text = world.text("a.md").await.unwrap();
        assert!(text.contains("one\n") && text.contains("another's\n"), "{text:?}");
    });
}

#[test]
fn a_text_over_bytes_is_the_file_again_though_the_document_had_it_before() {
    run(async {
        let mut world = World::new();
        let bytes = || of_blob(1, Base::Now);
        let first = up(&world, "text", Base::Now).await;
        for round in 0..2 {
            upload(&world, bytes()).await.unwrap();
            let back = match round {
                0 => up(&world, "text", Base::Now).await.version,
                _ => {
                    world
                        .vaults
                        .restore(&home(), "a.md", first.version, (BY, ANYHOW))
                        .await
                        .unwrap()
                        .1
                }
            };
            let read = world.vaults.read_at(&home(), "a.md", None).await.unwrap();
            assert_eq!(read.held, Held::Text("text".to_owned()), "round {round}");
            assert_eq!(read.dated.version.item.seq, back);
            world = world.restart();
            assert_eq!(world.text("a.md").await.as_deref(), Some("text"));
        }
        let empty = up(&world, "", Base::Now).await;
        upload(&world, bytes()).await.unwrap();
        let again = up(&world, "", Base::Now).await;
        assert!(again.has_changed && again.version > empty.version);
        assert_eq!((again.size, again.is_merged), (0, false));
    });
}

#[test]
fn bytes_that_were_deleted_come_back_as_the_file_they_were() {
    run(async {
        let world = World::new();
        let first = upload(&world, of_blob(1, Base::Now)).await.unwrap();
        upload(&world, of_blob(2, Base::Now)).await.unwrap();
        world.vaults.delete_file(&home(), "a.md", BY, ANYHOW).await.unwrap();
        world.vaults.restore(&home(), "a.md", first.version, (BY, ANYHOW)).await.unwrap();
        let read = world.vaults.read_at(&home(), "a.md", None).await.unwrap();
        assert_eq!(
            (read.dated.doc, read.held),
            (first.at.doc, Held::Blob { hash: [1; 32], size: 1 })
        );
        let page = world.vaults.versions(&home(), "a.md", None, 10).unwrap();
        assert!(page.items.len() >= 4, "its history is behind it: {}", page.items.len());
    });
}

#[test]
fn a_stamped_change_is_known_also_when_its_version_is_thinned() {
    run(async {
        let (world, hand) = World::at(1_700_000_000_000);
        let stamp = world.ground.registry.stamp();
        let put = |text| Upload { stamp: Some(stamp), ..of(text, Base::Now) };
        let first = upload(&world, put("one")).await.unwrap();
        for text in ["two", "three"] {
            up(&world, text, Base::Now).await;
        }
        world.checkpoint("a.md").await;
        let world = world.restart();
        hand.advance(Duration::from_secs(48 * 60 * 60));
        assert_eq!(world.vaults.thin(&CancellationToken::new()).await, 2);
        let gone = world.vaults.read_at(&home(), "a.md", Some(first.version)).await;
        assert!(matches!(gone, Err(Error::NoVersion { .. })), "{gone:?}");
        let again = upload(&world, put("one")).await.unwrap();
        assert_eq!((again.at.doc, again.version), (first.at.doc, first.version));
        assert_eq!((again.hash, again.has_changed), (first.hash, false));
        assert_eq!(world.text("a.md").await.as_deref(), Some("three"));
    });
}

#[test]
fn of_those_who_upload_at_once_what_they_made_of_one_version_nobody_loses_a_line() {
    run(async {
        let world = World::new();
        for round in 0..20 {
            let path = format!("{round}.md");
            let base: String = (0..40).map(|line| format!("line {line}\n")).collect();
            let put = |text: String, base| {
                let (vaults, path) = (world.vaults.clone(), path.clone());
                async move { vaults.upload(&home(), &path, BY, of(&text, base)).await.unwrap() }
            };
            let version = put(base.clone(), Base::Now).await.version;
            let of_one = |one: usize| {
                let line = format!("line {}\n", one * 4);
                base.replacen(&line, &format!("{line}of {one}\n"), 1)
            };
            let mut all = JoinSet::new();
            for one in 0..8 {
                all.spawn(put(of_one(one), Base::Version(version)));
            }
            all.join_all().await;
            let text = world.text(&path).await.unwrap();
            for one in 0..8 {
                assert_eq!(text.matches(&format!("of {one}\n")).count(), 1, "{one} in {text}");
            }
            assert_eq!(text.lines().count(), 48, "{text}");
        }
    });
}

#[test]
fn who_is_cut_off_before_the_answer_comes_again_and_takes_nothing_back() {
    run(async {
        let mut world = World::new();
        for round in 0..6 {
            let path = format!("{round}.md");
            let before = world.vaults.upload(&home(), &path, BY, of("", Base::Now)).await.unwrap();
            let stamp = world.ground.registry.stamp();
            let put = move || Upload { stamp: Some(stamp), ..of("mine\n", Base::Now) };
            let (vaults, at) = (world.vaults.clone(), path.clone());
            let mut upload = JoinSet::new();
            upload.spawn(async move { vaults.upload(&home(), &at, BY, put()).await });
            let handle = world.vaults.open(&home(), &path).await.unwrap();
            while handle.n() == before.at.n {
                tokio::task::yield_now().await;
            }
            upload.shutdown().await;
            drop(handle);
            if round % 2 == 0 {
                world = world.crash();
            }
            let other = of("mine\nanother's\n", Base::Now);
            world.vaults.upload(&home(), &path, BY, other).await.unwrap();
            let again = world.vaults.upload(&home(), &path, BY, put()).await.unwrap();
            assert!(!again.has_changed, "round {round}");
            let text = world.text(&path).await;
            assert_eq!(text.as_deref(), Some("mine\nanother's\n"), "round {round}");
        }
    });
}

#[test]
fn of_two_at_once_with_one_stamp_one_changes_something() {
    run(async {
        let world = World::new();
        up(&world, "", Base::Now).await;
        let stamp = world.ground.registry.stamp();
        let put = || Upload { stamp: Some(stamp), ..of("mine\n", Base::Version(0)) };
        let both = futures::future::join(upload(&world, put()), upload(&world, put())).await;
        let came = [both.0, both.1];
        let changed = came.iter().flatten().filter(|it| it.has_changed).count();
        let busy = came.iter().filter(|it| **it == Err(Failure::Busy.into())).count();
        assert_eq!((changed, busy), (1, 1), "{came:?}");
        let again = upload(&world, put()).await.unwrap();
        assert!(!again.has_changed && !again.is_merged);
        assert!(world.vaults.live(&home()).unwrap().state().stamping.is_empty());
    });
}

#[test]
fn of_all_that_are_made_for_one_state_one_is_taken() {
    run(async {
        for base in [Base::Now, Base::Version(0), Base::Version(1)] {
            for is_bytes in [false, true] {
                let world = World::new();
                let made = match is_bytes {
                    true => upload(&world, of_blob(1, Base::Now)).await.unwrap(),
                    false => up(&world, "text\n", Base::Now).await,
                };
                let mut all = JoinSet::new();
                for one in 0..8 {
                    let vaults = world.vaults.clone();
                    all.spawn(async move {
                        let (text, when) = (format!("text\nof {one}\n"), exactly(made.at));
                        let what = match (is_bytes, one % 2) {
                            (true, 0) => of_blob(one + 2, base),
                            // No text is made of bytes.
                            (true, _) => of(&text, Base::Now),
                            (false, _) => of(&text, base),
                        };
                        let what = Upload { when: &when, ..what };
                        vaults.upload(&home(), "a.md", BY, what).await
                    });
                }
                let (taken, refused): (Vec<_>, Vec<_>) =
                    all.join_all().await.into_iter().partition(Result::is_ok);
                assert_eq!((taken.len(), refused.len()), (1, 7), "{base:?} {is_bytes}");
                let now = taken.into_iter().next().unwrap().unwrap();
                for error in refused {
                    let is_stale = matches!(error, Err(Error::Stale { now: Some(at) })
                        if at.doc == now.at.doc && at != made.at);
                    assert!(is_stale, "{error:?}");
                }
                assert_eq!(world.vaults.file(&home(), "a.md").unwrap().at(), now.at);
            }
        }
    });
}

#[test]
fn what_is_made_for_bytes_that_are_others_by_now_touches_nothing() {
    run(async {
        let world = World::new();
        let was = upload(&world, of_blob(1, Base::Now)).await.unwrap();
        let now = upload(&world, of_blob(2, Base::Now)).await.unwrap();
        let (vaults, when) = (&world.vaults, exactly(was.at));
        let stale = Error::Stale { now: Some(now.at) };
        for other in
            [of_blob(3, Base::Now), of_blob(3, Base::Version(was.version)), of("", Base::Now)]
        {
            let refused = upload(&world, Upload { when: &when, ..other }).await;
            assert_eq!(refused, Err(stale.clone()));
        }
        assert_eq!(vaults.delete_file(&home(), "a.md", BY, &when).await, Err(stale.clone()));
        assert_eq!(vaults.move_file(&home(), "a.md", "b.md", BY, &when).await, Err(stale.clone()));
        let restored = vaults.restore(&home(), "a.md", was.version, (BY, &when)).await;
        assert_eq!(restored, Err(stale));
        assert_eq!(vaults.get(&home()).unwrap().seq, now.version);
        let restored = vaults.restore(&home(), "a.md", was.version, (BY, &exactly(now.at))).await;
        assert!(restored.is_ok(), "{restored:?}");
        let back = vaults.state(&home(), "a.md").await.unwrap();
        assert_eq!(back, was.at, "the same bytes, the same state");
        assert!(vaults.delete_file(&home(), "a.md", BY, &exactly(back)).await.is_ok());
        let gone = upload(&world, Upload { when: &when, ..of_blob(4, Base::Version(1)) }).await;
        assert_eq!(gone, Err(Error::Stale { now: None }));
        assert_eq!(vaults.file(&home(), "a.md"), Err(Error::NoFile), "and is not brought back");
    });
}

#[test]
fn what_comes_again_was_done_whatever_it_was_made_for() {
    run(async {
        let world = World::new();
        for (path, is_bytes) in [("a.md", false), ("b.bin", true)] {
            let stamp = Some(world.vaults.registry().stamp());
            let put = async |when: When<'_>| {
                let what = if is_bytes { of_blob(1, Base::Now) } else { of("text", Base::Now) };
                world.vaults.upload(&home(), path, BY, Upload { stamp, when, ..what }).await
            };
            let absent = |now: Option<At>| match now {
                None => Ok(Some(OnlyIf::New)),
                now => Err(Error::Stale { now }),
            };
            let made = put(&absent).await.unwrap();
            assert!(made.is_created && made.has_changed);
            let again = put(&absent).await.unwrap();
            assert_eq!(
                (again.version, again.at, again.has_changed),
                (made.version, made.at, false)
            );
        }
    });
}

#[test]
fn edits_with_others_words_in_their_version_say_so() {
    run(async {
        let world = World::new();
        let made = up(&world, "text\n", Base::Now).await;
        let edits = [Edit::Insert { at: 0, text: "# ".to_owned() }];
        let when = exactly(made.at);
        let place = (&home(), "a.md");
        let asked = Asked { stamp: None, when: &when };
        let edited = world.vaults.edit(place, BY, (&edits, Unit::Utf16), asked).await.unwrap();
        assert_eq!((edited.is_merged, edited.content.as_deref()), (false, None));
        assert_eq!(edited.hash, <[u8; 32]>::from(Sha256::digest("# text\n")));
        let late = world.vaults.edit(place, BY, (&edits, Unit::Utf16), asked).await;
        assert_eq!(late, Err(Error::Stale { now: Some(edited.at) }));
        // Somebody types between the edit and the version that holds it.
        let handle = world.handle("a.md").await;
        let written = handle.patch_text(BY, &edits, Unit::Utf16, edited.at.n).unwrap();
        crate::vault::tests::write(&handle, 99, "typed").unwrap();
        let book = world.vaults.live(&home()).unwrap();
        let doc = handle.key().doc;
        let merged = world.vaults.uploaded(&book, doc, (written, None)).await.unwrap();
        assert!(merged.is_merged && merged.at.n > written.n);
        assert_eq!(merged.content, world.text("a.md").await);
        assert!(merged.content.unwrap().contains("typed"));
    });
}

#[test]
fn an_edit_of_a_file_that_was_moved_goes_where_it_is_for_who_may_write_there() {
    run(async {
        let world = World::new();
        for (path, is_bytes) in [("a.md", false), ("b.bin", true)] {
            let put = |line: &'static str, base| match is_bytes {
                false => of(line, base),
                true => of_blob(line.len() as u8, base),
            };
            let (vaults, to) = (&world.vaults, format!("moved/{path}"));
            let first = vaults.upload(&home(), path, BY, put("one\n", Base::Now)).await.unwrap();
            vaults.move_file(&home(), path, &to, BY, ANYHOW).await.unwrap();
            let stamp = Some(vaults.registry().stamp());
            let what = Upload { stamp, ..put("one\nmine\n", Base::Version(first.version)) };
            let place = (&home(), path);
            let no = vaults.upload_or_follow(place, BY, what.clone(), async |_| false).await;
            assert_eq!(no, Err(Error::Moved { path: to.as_str().into() }));
            let done = vaults.upload_or_follow(place, BY, what.clone(), async |_| true).await;
            let done = done.unwrap();
            assert_eq!((&*done.path, done.at.doc), (&*to, first.at.doc));
            assert_eq!(vaults.file(&home(), path), Err(Error::NoFile), "no second file");
            let again = vaults.upload_or_follow(place, BY, what, async |_| true).await.unwrap();
            assert_eq!((again.path, again.version), (done.path, done.version));
            assert!(!again.has_changed);
        }
        assert_eq!(world.text("moved/a.md").await.as_deref(), Some("one\nmine\n"));
    });
}

#[test]
fn bytes_make_their_file_at_once() {
    run(async {
        let world = World::new();
        let stamp = Some(world.ground.registry.stamp());
        let put = || Upload { stamp, ..of_blob(7, Base::Version(0)) };
        let made = upload(&world, put()).await.unwrap();
        assert_eq!((made.version, made.size, made.is_created), (1, 7, true));
        assert!(!made.is_conflict, "nobody else was there");
        let world = world.crash();
        let again = upload(&world, put()).await.unwrap();
        assert_eq!((again.version, again.size, again.has_changed), (1, 7, false));
        assert!(!again.is_conflict);
        let file = world.vaults.file(&home(), "a.md").unwrap();
        assert_eq!((file.seq, file.hash), (1, Some([7; 32])));
        // A document that somebody has open becomes the file as well.
        let open = world.handle("b.md").await;
        let at_b = world.vaults.upload(&home(), "b.md", BY, of_blob(8, Base::Now)).await.unwrap();
        assert_eq!((at_b.at.doc, open.is_created()), (open.key().doc, true));
        crate::vault::tests::write(&open, 99, "typed").unwrap();
    });
}

#[test]
fn a_base_that_the_vault_never_was_at_is_gone() {
    run(async {
        let world = World::new();
        up(&world, "text\n", Base::Now).await;
        world.vaults.upload(&home(), "b", BY, of_blob(1, Base::Now)).await.unwrap();
        let (vaults, gone) = (&world.vaults, |seq, hash| Error::BaseGone { seq, hash });
        let text = Some(Sha256::digest("text\n").into());
        let late = upload(&world, of("mine", Base::Version(99))).await;
        assert_eq!(late, Err(gone(1, text)));
        let late = vaults.upload(&home(), "b", BY, of_blob(2, Base::Version(99))).await;
        assert_eq!(late, Err(gone(2, Some([1; 32]))));
        let late = vaults.upload(&home(), "none", BY, of_blob(2, Base::Version(99))).await;
        assert_eq!(late, Err(gone(0, None)));
        for (path, due) in [("a.md", gone(1, text)), ("b", gone(2, Some([1; 32])))] {
            let act = Act::Delete { base: Some(99), asked: Asked::default() };
            let undone = vaults.change(&home(), &[Step { path, act }], BY).await.unwrap_err();
            assert_eq!((undone.step, undone.error), (Some(0), due.clone()));
            let bytes = of_blob(2, Base::Version(99));
            let step = Step { path, act: Act::Upload(&bytes) };
            let undone = vaults.change(&home(), &[step], BY).await.unwrap_err();
            assert_eq!((undone.step, undone.error), (Some(0), due));
        }
        assert_eq!(world.vaults.get(&home()).unwrap().seq, 2);
    });
}

#[test]
fn bytes_that_come_again_without_a_stamp_take_nothing_back() {
    run(async {
        for is_pushed in [false, true] {
            let world = World::new();
            upload(&world, of_blob(1, Base::Now)).await.unwrap();
            let mine = of_blob(2, Base::Version(1));
            let put = async || {
                if !is_pushed {
                    return upload(&world, mine.clone()).await.unwrap();
                }
                let step = Step { path: "a.md", act: Act::Upload(&mine) };
                let done = world.vaults.change(&home(), &[step], BY).await.unwrap();
                done.into_iter().next().unwrap().uploaded.unwrap()
            };
            let first = put().await;
            assert_eq!((first.version, first.has_changed), (2, true));
            let bobs = upload(&world, of_blob(3, Base::Version(2))).await.unwrap();
            let again = put().await;
            assert_eq!((again.version, again.has_changed), (bobs.version, false));
            assert_eq!((again.hash, again.is_conflict), ([3; 32], true));
            assert_eq!(world.vaults.file(&home(), "a.md").unwrap().hash, Some([3; 32]));
        }
    });
}

#[test]
fn an_upload_that_comes_again_brings_no_file_back() {
    run(async {
        for is_bytes in [false, true] {
            let put = |one: u8, base| match is_bytes {
                true => of_blob(one, base),
                false => of(["", "one\n", "two\n"][usize::from(one)], base),
            };
            let world = World::new();
            let base = Base::Version(upload(&world, put(1, Base::Now)).await.unwrap().version);
            let mine = upload(&world, put(2, base)).await.unwrap();
            world.vaults.delete_file(&home(), "a.md", BY, ANYHOW).await.unwrap();
            // Whoever deleted it had seen it.
            let again = upload(&world, put(2, base)).await.unwrap();
            assert_eq!((again.version, again.hash), (mine.version, mine.hash));
            assert_eq!((again.has_changed, again.is_merged, again.is_conflict), Default::default());
            assert!(world.vaults.file(&home(), "a.md").is_err());
            // One that changes nothing in what it was made of is no edit.
            let same = upload(&world, put(1, base)).await.unwrap();
            assert_eq!((same.version, same.has_changed), (1, false));
            assert!(world.vaults.file(&home(), "a.md").is_err());
            // An edit is one.
            let edit = match is_bytes {
                true => of_blob(9, base),
                false => of("edited\n", base),
            };
            assert!(upload(&world, edit).await.unwrap().has_changed);
            assert!(world.vaults.file(&home(), "a.md").is_ok());
        }
    });
}

#[test]
fn a_text_whose_file_moves_or_goes_before_it_settles_is_answered_all_the_same() {
    run(async {
        let world = World::new();
        let made = up(&world, "one\n", Base::Now).await;
        let handle = world.handle("a.md").await;
        let written = handle.put_text(BY, "two\n", None).unwrap();
        let (book, doc) = (world.vaults.live(&home()).unwrap(), made.at.doc);
        world.vaults.move_file(&home(), "a.md", "b.md", BY, ANYHOW).await.unwrap();
        let other = up(&world, "another file's\n", Base::Now).await;
        assert_ne!(other.at.doc, doc);
        let asked = || (written, Some("two\n"));
        let told = world.vaults.uploaded(&book, doc, asked()).await.unwrap();
        assert_eq!((&*told.path, told.is_merged, told.content), ("b.md", false, None));
        assert_eq!(told.hash, <[u8; 32]>::from(Sha256::digest("two\n")));
        world.vaults.delete_file(&home(), "b.md", BY, ANYHOW).await.unwrap();
        let gone = world.vaults.uploaded(&book, doc, asked()).await.unwrap();
        assert_eq!((gone.version, gone.is_merged, gone.has_changed), (told.version, false, true));
        let unasked = world.vaults.uploaded(&book, doc, (written, None)).await.unwrap();
        assert_eq!((unasked.version, unasked.content.as_deref()), (told.version, Some("two\n")));
    });
}

#[test]
fn a_stamp_is_written_with_what_it_is_of() {
    run(async {
        let world = World::new();
        let journal = world.ground.shared.journal.clone();
        let made = up(&world, "one\n", Base::Now).await;
        let before = journal.written();
        let handle = world.handle("a.md").await;
        let stamp = world.ground.registry.stamp();
        let by = Author { stamped: Some((stamp, 7)), ..BY };
        let same = handle.put_text(by, "one\n", None).unwrap();
        assert!(!same.has_changed && journal.written() == before, "nothing to note");
        let written = handle.put_text(by, "two\n", None).unwrap();
        assert_eq!(written.end, journal.written());
        drop((handle, journal));
        // Nobody came to note what version it has.
        let world = world.crash();
        let book = world.vaults.live(&home()).unwrap();
        let came_to = world.vaults.came_to(&book, (stamp, 7)).await.unwrap().unwrap();
        assert_eq!((came_to.doc, came_to.seq), (made.at.doc, 0));
        assert_eq!(world.vaults.came_to(&book, (stamp, 8)).await, Err(Error::StampReused));
    });
}

#[test]
fn an_edit_of_bytes_brings_a_deleted_file_back_with_them() {
    run(async {
        for is_stamped in [false, true] {
            let mut world = World::new();
            let base = Base::Version(upload(&world, of_blob(1, Base::Now)).await.unwrap().version);
            // Made offline, before the deletion.
            let stamp = is_stamped.then(|| world.ground.registry.stamp());
            let put = || Upload { stamp, ..of_blob(2, base) };
            world.vaults.delete_file(&home(), "a.md", BY, ANYHOW).await.unwrap();
            let back = upload(&world, put()).await.unwrap();
            assert_eq!((back.version, back.size, back.is_conflict), (3, 2, false));
            let versions = async |world: &World| {
                let page = world.vaults.versions(&home(), "a.md", None, 10).unwrap().items;
                page.iter()
                    .map(|it| (it.version.item.seq, it.version.item.size))
                    .collect::<Vec<_>>()
            };
            assert_eq!(versions(&world).await, [(3, 2), (2, 0), (1, 1)], "nothing in between");
            for _ in 0..2 {
                let file = world.vaults.file(&home(), "a.md").unwrap();
                assert_eq!((file.seq, file.hash, file.size), (3, Some([2; 32]), 2));
                let again = upload(&world, put()).await.unwrap();
                assert_eq!((again.version, again.has_changed, again.hash), (3, false, [2; 32]));
                world = if is_stamped { world.crash() } else { world };
            }
            // A version of bytes is restored in one step, too.
            world.vaults.delete_file(&home(), "a.md", BY, ANYHOW).await.unwrap();
            let restored = world.vaults.restore(&home(), "a.md", 1, (BY, ANYHOW)).await.unwrap();
            assert_eq!((&*restored.0, restored.1), ("a.md", 5));
            assert_eq!(world.vaults.file(&home(), "a.md").unwrap().hash, Some([1; 32]));
            assert_eq!(versions(&world).await[..2], [(5, 1), (4, 0)]);
        }
    });
}

#[test]
fn what_is_refused_brings_no_file_back() {
    run(async {
        let quota = Quota { vault_bytes_max: 4_000, ..Quota::default() };
        for is_bytes in [false, true] {
            let world = World::with_quota(quota);
            let (long, short) = ("x".repeat(5_000), "short");
            let first = match is_bytes {
                true => of_blob(1, Base::Now),
                false => of(short, Base::Now),
            };
            let base = Base::Version(upload(&world, first).await.unwrap().version);
            world.vaults.delete_file(&home(), "a.md", BY, ANYHOW).await.unwrap();
            let edit = match is_bytes {
                true => {
                    let content = Upcoming::Blob { hash: [2; 32], size: 5_000 };
                    Upload { base, ..Upload::of(content) }
                }
                false => of(&long, base),
            };
            assert_eq!(upload(&world, edit).await, Err(Failure::Quota.into()));
            assert!(world.vaults.file(&home(), "a.md").is_err());
            assert_eq!(world.vaults.get(&home()).unwrap().seq, 2);
        }
    });
}

#[test]
fn to_move_a_file_is_no_content_that_bytes_could_lose_against() {
    run(async {
        for is_pushed in [false, true] {
            let world = World::new();
            let vaults = &world.vaults;
            let base = Base::Version(upload(&world, of_blob(1, Base::Now)).await.unwrap().version);
            let stamps = [(); 3].map(|()| world.ground.registry.stamp());
            vaults.move_file(&home(), "a.md", "b.md", BY, ANYHOW).await.unwrap();
            vaults.move_file(&home(), "b.md", "a.md", BY, ANYHOW).await.unwrap();
            let put = async |stamp, byte| {
                let put = Upload { stamp: Some(stamp), ..of_blob(byte, base) };
                if !is_pushed {
                    return upload(&world, put).await.unwrap();
                }
                let steps = [Step { path: "a.md", act: Act::Upload(&put) }];
                let done = vaults.change(&home(), &steps, BY).await.unwrap();
                done.into_iter().next().unwrap().uploaded.unwrap()
            };
            // Made before the moves, of what is still there.
            let mine = put(stamps[1], 2).await;
            assert_eq!((mine.hash, mine.is_conflict), ([2; 32], false));
            vaults.move_file(&home(), "a.md", "c.md", BY, ANYHOW).await.unwrap();
            vaults.move_file(&home(), "c.md", "a.md", BY, ANYHOW).await.unwrap();
            // An earlier one loses against that, and a later one wins, wherever the file was.
            let lost = put(stamps[0], 3).await;
            assert_eq!((lost.hash, lost.is_conflict), ([2; 32], true));
            let won = put(stamps[2], 4).await;
            assert_eq!((won.hash, won.is_conflict), ([4; 32], true));
            assert_eq!(vaults.file(&home(), "a.md").unwrap().hash, Some([4; 32]));
        }
    });
}

#[test]
fn a_version_ages_from_when_the_server_had_it() {
    run(async {
        const DAY_MS: u64 = 24 * HOUR_MS;
        let start = 200 * DAY_MS;
        let (world, hand) = World::at(start);
        let first = upload(&world, of_blob(1, Base::Now)).await.unwrap();
        upload(&world, of_blob(2, Base::Version(first.version))).await.unwrap();
        // Made a hundred days ago, and brought now.
        let old = Stamp::new(start - 100 * DAY_MS, 0, 7);
        let late = Upload { stamp: Some(old), ..of_blob(3, Base::Version(first.version)) };
        let lost = upload(&world, late).await.unwrap();
        assert_eq!((lost.hash, lost.is_conflict), ([2; 32], true));
        let kept = || {
            world.fold();
            let page = world.vaults.versions(&home(), "a.md", None, 10).unwrap().items;
            page.iter().map(|it| it.version.item.size).collect::<Vec<_>>()
        };
        hand.advance(Duration::from_millis(23 * HOUR_MS));
        world.vaults.thin(&CancellationToken::new()).await;
        assert_eq!(kept(), [2, 3, 2, 1], "all of a day");
        hand.advance(Duration::from_millis(2 * HOUR_MS));
        world.vaults.thin(&CancellationToken::new()).await;
        assert_eq!(kept(), [2], "the last one of the hour");
    });
}

#[test]
fn what_was_typed_into_a_new_file_is_a_version_before_the_bytes_that_replace_it() {
    run(async {
        let world = World::new();
        let handle = world.vaults.open_or_create(&home(), "a.md").await.unwrap();
        crate::vault::tests::write(&handle, 99, "typed").unwrap();
        let put = upload(&world, of_blob(7, Base::Now)).await.unwrap();
        assert_eq!((put.version, put.is_created), (2, false));
        let before = world.vaults.read_at(&home(), "a.md", Some(1)).await.unwrap();
        assert_eq!(before.held, Held::Text("typed".to_owned()));
    });
}

#[test]
fn a_text_over_bytes_that_nobody_has_settled_is_settled_for_who_reads() {
    run(async {
        let world = World::new();
        upload(&world, of_blob(7, Base::Now)).await.unwrap();
        let settled = async |world: &World| {
            world.vaults.settle_if_behind(&home(), "a.md").await.unwrap();
            let file = world.vaults.file(&home(), "a.md").unwrap();
            (file.kind, file.seq)
        };
        assert_eq!(settled(&world).await, (Kind::Blob, 1));
        world.handle("a.md").await.put_text(BY, "text\n", None).unwrap();
        // Cut off behind the write; in memory, and after a start.
        let world = world.crash();
        assert_eq!(settled(&world).await, (Kind::Text, 2));
        assert_eq!(world.text("a.md").await.as_deref(), Some("text\n"));
    });
}

#[test]
fn a_text_over_bytes_is_theirs_who_put_it_though_the_document_had_it_before() {
    run(async {
        let world = World::new();
        let (ada, bob) = (Principal::Named("ada".into()), Principal::Named("bob".into()));
        let first = up(&world, "text", Base::Now).await;
        for round in 0..2 {
            let bytes = of_blob(1, Base::Now);
            let bytes =
                world.vaults.upload(&home(), "a.md", Author::of(&ada), bytes).await.unwrap();
            let (stale, by) =
                (world.ground.registry.stamp(), Author { device: 7, ..Author::of(&bob) });
            let text = Upload::of(Upcoming::Text("text"));
            if round == 0 {
                world.vaults.upload(&home(), "a.md", by, text).await.unwrap();
            } else {
                let (vaults, seq) = (&world.vaults, first.version);
                vaults.restore(&home(), "a.md", seq, (by, ANYHOW)).await.unwrap();
            }
            let item = world.vaults.read_at(&home(), "a.md", None).await.unwrap().dated.version;
            assert_eq!(item.made.authors, [Some("bob".into())], "round {round}");
            assert_eq!((item.item.author.as_deref(), item.item.device), (Some("bob"), 7));
            assert!(item.item.updated > stale);
            let stale = Upload { stamp: Some(stale), ..of_blob(2, Base::Version(bytes.version)) };
            let lost = upload(&world, stale).await.unwrap();
            assert!(lost.is_conflict);
            let now = world.vaults.read_at(&home(), "a.md", None).await.unwrap();
            assert_eq!(now.held, Held::Text("text".to_owned()), "the newer one stays");
        }
    });
}
