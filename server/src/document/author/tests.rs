use std::sync::Arc;

use sheaf_protocol::ids::Principal;
use yrs::block::ClientID;
use yrs::updates::decoder::Decode;
use yrs::{
    Any, Array, Assoc, Doc, GetString, IndexedSequence, OffsetKind, Options, ReadTxn, StateVector,
    Text, Transact, XmlElementPrelim, XmlFragment,
};

use super::*;
use crate::document::readers::{Gathered, ReaderId};
use crate::document::state::tests::typed;
use crate::document::tests::{World, join, run, submit};

fn named(name: &str) -> Principal {
    Principal::Named(name.into())
}

fn by(principal: &Principal) -> Author<'_> {
    Author::of(principal)
}

fn replica(client: u64) -> Doc {
    let mut options = Options::with_client_id(ClientID::new(client));
    options.offset_kind = OffsetKind::Utf16;
    Doc::with_options(options)
}

fn apply(doc: &Doc, update: &[u8]) {
    let update = yrs::Update::decode_v1(update).expect("an update");
    doc.transact_mut().apply_update(update).expect("merges");
}

fn edited(doc: &Doc, edit: impl FnOnce(&mut yrs::TransactionMut<'_>)) -> Vec<u8> {
    let mut txn = doc.transact_mut();
    edit(&mut txn);
    txn.encode_update_v1()
}

/// All updates that a reader has not seen, into a replica.
fn follow(handle: &Handle, reader: ReaderId, doc: &Doc) -> usize {
    let mut gathered = Gathered::default();
    handle.gather(reader, &mut gathered);
    let updates = gathered.chunks.iter().flat_map(|chunk| chunk.iter());
    updates.map(|update| apply(doc, update)).count()
}

fn text(handle: &Handle) -> String {
    match handle.snapshot().expect("in memory").content {
        Content::Text { text, .. } => text,
        other => panic!("no text: {other:?}"),
    }
}

fn clients(handle: &Handle) -> Vec<u64> {
    let mut clients: Vec<_> = handle.core().state().clocks().keys().copied().collect();
    clients.sort_unstable();
    clients
}

#[test]
fn a_text_that_is_put_reaches_those_who_read_and_survives_a_restart() {
    run(async {
        let world = World::new();
        let document = world.open("d").await;
        let (reader, doc) = (join(&document), replica(1));
        let ada = named("ada");
        let written = document.put_text(by(&ada), "one\ntwo 😀\n", None).expect("put");
        assert_eq!((written.n, written.has_changed), (1, true));
        document.durable(written.end).await.expect("durable");
        assert_eq!(follow(&document, reader, &doc), 1);
        assert_eq!(doc.get_or_insert_text("content").get_string(&doc.transact()), "one\ntwo 😀\n");
        document.leave(reader);
        drop(document);
        let world = world.restart();
        let document = world.open("d").await;
        assert_eq!((text(&document), document.n()), ("one\ntwo 😀\n".to_owned(), 1));
    });
}

#[test]
fn a_caret_in_another_line_stays_where_it_is() {
    run(async {
        let world = World::new();
        let document = world.open("d").await;
        let (reader, doc) = (join(&document), replica(7));
        let content = doc.get_or_insert_text("content");
        let old = "first line\nsecond line\nthird 😀 line\n";
        let update = edited(&doc, |txn| content.insert(txn, 0, old));
        submit(&document, reader, &[update]).expect("taken");
        let caret = {
            let txn = doc.transact();
            content.sticky_index(&txn, 25, Assoc::After).expect("in the text")
        };
        let new = "first lines, and more\nsecond\nthird 😀 line\nfourth\n";
        document.put_text(by(&named("ada")), new, None).expect("put");
        follow(&document, reader, &doc);
        let txn = doc.transact();
        assert_eq!(content.get_string(&txn), new);
        let caret = caret.get_offset(&txn).expect("still there");
        assert_eq!(caret.index, new.find("ird 😀").expect("there") as u32);
    });
}

#[test]
fn what_was_typed_meanwhile_stays() {
    run(async {
        let world = World::new();
        let document = world.open("d").await;
        let (reader, doc) = (join(&document), replica(7));
        let content = doc.get_or_insert_text("content");
        let update = edited(&doc, |txn| content.insert(txn, 0, "one\ntwo\nthree\n"));
        submit(&document, reader, &[update]).expect("taken");
        let ada = named("ada");
        let base = {
            let mut authors = document.authors();
            document.base(&mut authors, &ada, None).expect("a base")
        };
        let typed = edited(&doc, |txn| content.insert(txn, 8, "typed "));
        submit(&document, reader, &[typed]).expect("taken");
        let fork = Fork::of(&base.state, base.client).expect("a fork");
        let (clock, _hand) = sheaf_ground::time::Clock::test(0);
        let until = Until::new(&clock, clock.now() + DIFF_TIME_MAX);
        let update =
            fork.edit("content", &diff::steps("one\ntwo\nthree\n", "1\ntwo\nthree\n", until));
        let written = document.submit_fork(by(&ada), &base, Some(&update), None);
        assert_eq!(written.expect("submitted").map(|written| written.n), Some(3));
        assert_eq!(text(&document), "1\ntwo\ntyped three\n");
        let stale = document.submit_fork(by(&ada), &base, Some(&update), Some(OnlyIf::At(1)));
        assert_eq!(stale.err(), Some(WriteError::Stale { n: 3 }));
    });
}

#[test]
fn a_write_for_another_version_changes_nothing() {
    run(async {
        let world = World::new();
        let document = world.open("d").await;
        let ada = named("ada");
        assert!(
            document.put_text(by(&ada), "x", Some(OnlyIf::At(1))).is_err(),
            "there is nothing yet"
        );
        document.put_text(by(&ada), "x", Some(OnlyIf::New)).expect("new");
        for n in [0, 2, u64::MAX] {
            let stale = Err(WriteError::Stale { n: 1 });
            assert_eq!(document.put_text(by(&ada), "y", Some(OnlyIf::At(n))), stale);
            let edits = [Edit::Delete { at: 0, len: 1 }];
            assert_eq!(document.patch_text(by(&ada), &edits, Unit::Utf8, n), stale);
        }
        assert_eq!((text(&document), document.n()), ("x".to_owned(), 1));
    });
}

#[test]
fn the_same_text_writes_nothing_and_an_empty_one_makes_the_document() {
    run(async {
        let world = World::new();
        let document = world.open("d").await;
        let ada = named("ada");
        let made = document.put_text(by(&ada), "", Some(OnlyIf::New)).expect("made");
        assert!(made.has_changed && made.n == 0);
        assert!(!document.put_text(by(&ada), "", None).expect("put").has_changed);
        document.put_text(by(&ada), "same", None).expect("put");
        let again = document.put_text(by(&ada), "same", Some(OnlyIf::At(1))).expect("put");
        assert_eq!((again.n, again.has_changed), (1, false));
        let none = document.patch_text(by(&ada), &[], Unit::Utf16, 1).expect("nothing to do");
        assert!(!none.has_changed);
        let key = world.open("e").await.key();
        world.open("e").await.put_text(by(&ada), "", None).expect("made");
        drop(document);
        let world = world.restart();
        assert_eq!(world.open("e").await.key(), key, "the store knows it");
    });
}

#[test]
fn edits_are_done_all_or_none() {
    run(async {
        let world = World::new();
        let document = world.open("d").await;
        let ada = named("ada");
        document.put_text(by(&ada), "a😀b漢c", None).expect("put");
        let edits = [
            Edit::Insert { at: 9, text: "!".to_owned() },
            Edit::Replace { at: 1, len: 4, text: "👨‍👩‍👧".to_owned() },
        ];
        let written = document.patch_text(by(&ada), &edits, Unit::Utf8, 1).expect("patched");
        assert_eq!((text(&document), written.n), ("a👨‍👩‍👧b漢!c".to_owned(), 2));
        let edits = [Edit::Insert { at: 0, text: "x".to_owned() }, Edit::Delete { at: 2, len: 1 }];
        let bad = document.patch_text(by(&ada), &edits, Unit::Utf16, 2);
        let why = "it begins or ends inside a character";
        assert_eq!(bad, Err(WriteError::BadEdit { index: 1, why }));
        assert_eq!((text(&document), document.n()), ("a👨‍👩‍👧b漢!c".to_owned(), 2));
    });
}

#[test]
fn each_author_has_one_id_until_the_process_ends() {
    run(async {
        let world = World::new();
        let document = world.open("d").await;
        let (ada, ben) = (named("ada"), named("ben"));
        for (who, text) in [(&ada, "1"), (&ada, "12"), (&ben, "123"), (&ben, "1234")] {
            document.put_text(by(who), text, None).expect("put");
        }
        let before = clients(&document);
        assert_eq!(before.len(), 2);
        assert!(before.iter().all(|client| *client <= u64::from(u32::MAX)));
        drop(document);
        let world = world.restart();
        let document = world.open("d").await;
        document.put_text(by(&ada), "12345", None).expect("put");
        assert_eq!(clients(&document).len(), 3, "clocks of the old one may be lost");
    });
}

#[test]
fn an_id_that_somebody_else_took_is_given_up() {
    run(async {
        let world = World::new();
        let document = world.open("d").await;
        let (reader, ada) = (join(&document), named("ada"));
        document.put_text(by(&ada), "one ", None).expect("put");
        let own = clients(&document)[0];
        // Known to nobody else, but a principal that relays may have brought it.
        document.authors().ids.insert(named("ben"), u32::try_from(own).expect("32 bits"));
        document.put_text(by(&named("ben")), "one two", None).expect("put");
        assert_eq!(text(&document), "one two");
        assert_eq!(clients(&document).len(), 2);
        let forged = replica(own);
        apply(&forged, &document.encode());
        let content = forged.get_or_insert_text("content");
        let update = edited(&forged, |txn| content.insert(txn, 0, "forged"));
        let receipt = submit(&document, reader, &[update]).expect("answered");
        assert_eq!(receipt.refusal.map(|refusal| refusal.code), Some(Code::ForeignId));
    });
}

#[test]
fn content_that_is_no_text_is_left_alone() {
    run(async {
        let world = World::new();
        let document = world.open("d").await;
        let (reader, doc) = (join(&document), replica(7));
        let xml = doc.get_or_insert_xml_fragment("prosemirror");
        let update = edited(&doc, |txn| {
            xml.push_back(txn, XmlElementPrelim::empty("paragraph"));
        });
        submit(&document, reader, &[update]).expect("taken");
        let refused = Err(WriteError::NotText { root: "prosemirror".to_owned() });
        assert_eq!(document.put_text(by(&named("ada")), "x", None), refused);
        assert_eq!(document.patch_text(by(&named("ada")), &[], Unit::Utf8, 1), refused);
        let list = doc.get_or_insert_array("list");
        let update = edited(&doc, |txn| {
            list.push_back(txn, 1);
        });
        submit(&document, reader, &[update]).expect("taken");
        let refused = Err(WriteError::NotText { root: "list,prosemirror".to_owned() });
        assert_eq!(document.put_text(by(&named("ada")), "x", None), refused);
    });
}

#[test]
fn the_one_root_that_has_content_is_the_text() {
    run(async {
        let world = World::new();
        let document = world.open("d").await;
        let (reader, doc) = (join(&document), replica(7));
        let monaco = doc.get_or_insert_text("monaco");
        let update = edited(&doc, |txn| monaco.insert(txn, 0, "let x;"));
        submit(&document, reader, &[update]).expect("taken");
        document.put_text(by(&named("ada")), "let y;", None).expect("put");
        follow(&document, reader, &doc);
        assert_eq!(monaco.get_string(&doc.transact()), "let y;");
        let content = doc.get_or_insert_text("content");
        let update = edited(&doc, |txn| content.insert(txn, 0, "configured"));
        submit(&document, reader, &[update]).expect("taken");
        assert_eq!(text(&document), "configured");
    });
}

#[test]
fn formats_and_embedded_values_stay_where_they_are() {
    run(async {
        let world = World::new();
        let document = world.open("d").await;
        let (reader, doc) = (join(&document), replica(7));
        let quill = doc.get_or_insert_text("content");
        let bold = || [(Arc::from("bold"), Any::from(true))].into_iter().collect();
        let picture = || Any::from(HashMap::from([("image".to_owned(), "data:,")]));
        let update = edited(&doc, |txn| {
            quill.insert(txn, 0, "plain bold 😀 end\n");
            quill.format(txn, 6, 4, bold());
            quill.insert_embed(txn, 8, picture());
            quill.insert_embed(txn, 0, picture());
        });
        submit(&document, reader, &[update]).expect("taken");
        let new = "plain bolder 😀 fin\n";
        document.put_text(by(&named("ada")), new, None).expect("put");
        follow(&document, reader, &doc);
        assert_eq!((quill.get_string(&doc.transact()), text(&document)), (new.into(), new.into()));
        let (_, roots) = document.roots().expect("in memory");
        let delta = serde_json::json!([
            { "insert": { "image": "data:," } },
            { "insert": "plain " },
            { "insert": "bo", "attributes": { "bold": true } },
            { "insert": { "image": "data:," } },
            { "insert": "lder", "attributes": { "bold": true } },
            { "insert": " 😀 fin\n" },
        ]);
        let mut found = roots["content"]["delta"].clone();
        // Whether a value put into bold text is bold is the library's choice.
        found[3].as_object_mut().expect("a chunk").remove("attributes");
        assert_eq!(found, delta);
        document.put_text(by(&named("ada")), "", None).expect("put");
        assert_eq!(text(&document), "");
        let (_, roots) = document.roots().expect("in memory");
        assert_eq!(roots["content"]["delta"].as_array().map(Vec::len), Some(2), "{roots:?}");
    });
}

#[test]
fn an_update_is_taken_whole_or_not_at_all() {
    run(async {
        let world = World::new();
        let document = world.open("d").await;
        let ada = named("ada");
        let parts = typed(7, &["one ", "two "]);
        let gap = document.post_update(by(&ada), &parts[1], None).expect_err("a gap");
        assert!(matches!(gap, WriteError::Refused(Refusal { code: Code::GapLeftOpen, .. })));
        let doc = replica(8);
        let content = doc.get_or_insert_text("content");
        edited(&doc, |txn| content.insert(txn, 0, "whole "));
        apply(&doc, &parts[0]);
        // Half of it stands on nothing.
        let half = {
            apply(&doc, &parts[1]);
            edited(&doc, |txn| content.insert(txn, content.len(txn), "end"))
        };
        assert!(document.post_update(by(&ada), &half, None).is_err());
        assert_eq!((document.n(), document.text("content")), (0, None));
        document.post_update(by(&ada), &parts[0], None).expect("taken");
        let again = document.post_update(by(&ada), &parts[0], None).expect("known");
        assert!(!again.has_changed);
        let whole = doc.transact().encode_diff_v1(&StateVector::default());
        assert!(document.post_update(by(&ada), &whole, None).expect("taken").has_changed);
        let bad = document.post_update(by(&ada), &[1, 2, 3], None).expect_err("no update");
        assert!(matches!(bad, WriteError::Refused(Refusal { code: Code::Malformed, .. })));
    });
}

#[test]
fn an_id_in_use_is_not_continued_by_an_update_of_somebody_else() {
    run(async {
        let world = World::new();
        let document = world.open("d").await;
        let (ada, ben) = (named("ada"), named("ben"));
        let parts = typed(7, &["one ", "two ", "three "]);
        let ear = Arc::new(crate::document::tests::Ear::default());
        let reader = document.join(ear, ada.clone(), true).expect("joins");
        let asked: &[Principal] = &[];
        let of_ada = Submitter { author: Author::of(&ada), asked: Some(asked) };
        let first = scan::update(&parts[0]).expect("scans");
        let first = Submission { source: Source::Update, update: first };
        document.submit(Some(reader), of_ada, &[first]).expect("taken");
        let foreign = document.post_update(by(&ben), &parts[1], None).expect_err("hers");
        assert!(matches!(foreign, WriteError::Refused(Refusal { code: Code::ForeignId, .. })));
        let admin = Author { principal: &ben, may_relay: true, device: 0, stamped: None };
        document.post_update(admin, &parts[1], None).expect("relayed");
        document.leave(reader);
        document.post_update(by(&ben), &parts[2], None).expect("she is gone");
        assert_eq!(document.text("content").as_deref(), Some("one two three "));
    });
}

#[test]
fn more_than_a_message_is_refused() {
    run(async {
        let world = World::new();
        let document = world.open("d").await;
        let ada = named("ada");
        let long = "x".repeat(MESSAGE_BYTES_MAX);
        let refused = document.put_text(by(&ada), &long, None).expect_err("too long");
        assert!(matches!(refused, WriteError::Refused(Refusal { code: Code::TooLarge, .. })));
        let edits: Vec<_> =
            (0..=PLACES_MAX).map(|_| Edit::Insert { at: 0, text: String::new() }).collect();
        let refused = document.patch_text(by(&ada), &edits, Unit::Utf8, 0).expect_err("too many");
        assert!(matches!(refused, WriteError::Refused(Refusal { code: Code::TooLarge, .. })));
        assert_eq!(document.n(), 0);
    });
}

#[test]
fn a_write_to_a_document_that_left_memory_says_so() {
    run(async {
        let world = World::new();
        let document = world.open("d").await;
        assert!(document.retire());
        let dropped = WriteError::Failed(Failure::Dropped);
        assert_eq!(document.put_text(by(&named("ada")), "x", None), Err(dropped));
        assert!(document.snapshot().is_err() && document.roots().is_err());
    });
}

/// Runs the same write on as many threads, each behind one barrier.
fn race(
    write: impl Fn() -> Result<Written, WriteError> + Sync,
) -> Vec<Result<Written, WriteError>> {
    const WRITERS: usize = 4;
    let start = std::sync::Barrier::new(WRITERS);
    std::thread::scope(|threads| {
        let one = || {
            start.wait();
            write()
        };
        let all: Vec<_> = (0..WRITERS).map(|_| threads.spawn(one)).collect();
        all.into_iter().map(|one| one.join().expect("no panic")).collect()
    })
}

/// Of those that raced one made the document, and the others were told that it exists.
fn check_one_made(all: &[Result<Written, WriteError>]) {
    let made = all.iter().flatten().filter(|written| written.is_created).count();
    let stale = all.iter().filter(|one| matches!(one, Err(WriteError::Stale { .. }))).count();
    assert_eq!((made, stale), (1, all.len() - 1), "{all:?}");
}

#[test]
fn of_two_that_seed_a_document_at_once_one_is_refused_and_nothing_is_doubled() {
    run(async {
        let world = World::new();
        for round in 0..20 {
            let document = world.open(&format!("d{round}")).await;
            let ids = std::sync::atomic::AtomicU64::new(1);
            let ada = named("ada");
            let all = race(|| {
                let id = ids.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                document.post_update(by(&ada), &typed(id, &["seed"])[0], Some(OnlyIf::New))
            });
            check_one_made(&all);
            assert_eq!(text(&document), "seed");
        }
    });
}

#[test]
fn of_many_that_make_an_empty_document_one_made_it() {
    run(async {
        let world = World::new();
        for round in 0..20 {
            let document = world.open(&format!("d{round}")).await;
            let ada = named("ada");
            check_one_made(&race(|| document.put_text(by(&ada), "", Some(OnlyIf::New))));
            let again = document.put_text(by(&ada), "x", Some(OnlyIf::New));
            assert_eq!(again, Err(WriteError::Stale { n: 0 }), "empty, and there");
            let written = document.put_text(by(&ada), "x", None).expect("put");
            assert!(!written.is_created);
        }
    });
}
