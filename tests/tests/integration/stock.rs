//! What stock clients do, said byte for byte: the frames of y-websocket 1.x to 3.x, the presence
//! algorithm, the echo, and what a server may never send to them.

use std::time::Duration;

use sheaf_protocol::frame::{self, Message};
use sheaf_protocol::varint::{write_text, write_uint};
use sheaf_tests::server::Server;
use sheaf_tests::socket::{Heard, Socket};
use yrs::updates::decoder::Decode;
use yrs::updates::encoder::Encode;
use yrs::{Doc, GetString, ReadTxn, StateVector, Text, Transact, Update};

const SOON: Duration = Duration::from_secs(10);
/// How long nothing must come where nothing may.
const QUIET: Duration = Duration::from_millis(300);

fn said(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out);
    out
}

fn presence(entries: &[(u64, u64, &str)]) -> Vec<u8> {
    let mut payload = Vec::new();
    write_uint(&mut payload, entries.len() as u64);
    for (client, clock, state) in entries {
        write_uint(&mut payload, *client);
        write_uint(&mut payload, *clock);
        write_text(&mut payload, state);
    }
    said(|out| frame::write_awareness(out, &payload))
}

/// The first update of a fresh client that types `text`.
fn typed(client: u64, text: &str) -> (Doc, Vec<u8>) {
    let doc = Doc::with_client_id(client);
    let root = doc.get_or_insert_text("content");
    root.insert(&mut doc.transact_mut(), 0, text);
    let update = doc.transact().encode_diff_v1(&StateVector::default());
    (doc, update)
}

fn only(frame: &[u8]) -> Message<'_> {
    let mut messages = frame::messages(frame);
    let first = messages.next().expect("a frame holds a message").expect("a well-formed one");
    assert_eq!(messages.next(), None, "stock clients read only the first message of a frame");
    first
}

/// Connects and exchanges state as y-websocket does: it asks, and answers the server's question; it
/// holds nothing. Returns the socket and what the server holds.
async fn join(server: &Server, room: &str) -> (Socket, Doc) {
    let mut socket = Socket::open(&format!("{}/{room}", server.url())).await.expect("it connects");
    socket.send([0, 0, 1, 0]).await.expect("it takes a SyncStep1");
    let (doc, mut is_asked, mut is_answered) = (Doc::new(), false, false);
    while !(is_asked && is_answered) {
        let frame = socket.hear_until(SOON, |_| true).await.expect("a SyncStep1 and a SyncStep2");
        match only(&frame) {
            Message::Step1(_) => {
                is_asked = true;
                socket.send([0, 1, 2, 0, 0]).await.expect("it takes a SyncStep2");
            }
            Message::Step2(update) => {
                is_answered = true;
                let update = Update::decode_v1(update).expect("an update");
                doc.transact_mut().apply_update(update).expect("one that can be applied");
            }
            _ => {}
        }
    }
    (socket, doc)
}

fn text(doc: &Doc) -> String {
    let root = doc.get_or_insert_text("content");
    root.get_string(&doc.transact())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_opening_is_the_captured_one() {
    let server = Server::start().await;
    let mut socket = Socket::open(&format!("{}/opening", server.url())).await.unwrap();
    socket.send([0, 0, 1, 0]).await.unwrap();
    let mut heard = Vec::new();
    while heard.len() < 2 {
        match socket.hear(SOON).await {
            Heard::Frame(frame) if frame != frame::EMPTY_AWARENESS => heard.push(frame),
            Heard::Frame(_) => {}
            other => panic!("{other:?}"),
        }
    }
    // A question for what the client holds, and the empty answer to its own, in either order.
    heard.sort();
    assert_eq!(heard, [vec![0, 0, 1, 0], vec![0, 1, 2, 0, 0]]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_question_is_answered_but_asked_only_once() {
    let server = Server::start().await;
    let (mut socket, _) = join(&server, "questions").await;
    let mut questions = 0;
    for _ in 0..3 {
        socket.send([0, 0, 1, 0]).await.unwrap();
        socket
            .hear_until(SOON, |frame| {
                questions += usize::from(matches!(only(frame), Message::Step1(_)));
                matches!(only(frame), Message::Step2(_))
            })
            .await
            .expect("an answer to each question");
    }
    assert!(questions <= 1, "asked {questions} times");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_client_held_offline_is_asked_for_and_stored() {
    let server = Server::start().await;
    let (_, update) = typed(7, "from offline");
    let (mut socket, _) = join(&server, "offline").await;
    socket.send(said(|out| frame::write_step2(out, &update))).await.unwrap();
    socket.send(said(|out| frame::write_echo(out, b"stored?"))).await.unwrap();
    let echo = |frame: &[u8]| only(frame) == Message::Echo(b"stored?");
    socket.hear_until(SOON, echo).await.expect("the echo comes");
    let (_, doc) = join(&server, "offline").await;
    assert_eq!(text(&doc), "from offline");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_messages_in_one_frame_are_all_heard() {
    let server = Server::start().await;
    let (_, first) = typed(7, "a");
    let (_, second) = typed(8, "b");
    let (mut socket, _) = join(&server, "several").await;
    let frame = said(|out| {
        frame::write_update(out, &first);
        frame::write_update(out, &second);
        frame::write_echo(out, b"both");
    });
    socket.send(frame).await.unwrap();
    socket.hear_until(SOON, |frame| only(frame) == Message::Echo(b"both")).await.expect("an echo");
    let (_, doc) = join(&server, "several").await;
    assert_eq!(text(&doc).len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_reaches_the_others_as_the_bytes_that_came_and_not_its_sender() {
    let server = Server::start().await;
    let (mut one, _) = join(&server, "relay").await;
    let (mut two, _) = join(&server, "relay").await;
    let (_, update) = typed(7, "hello");
    let frame = said(|out| frame::write_update(out, &update));
    one.send(frame.clone()).await.unwrap();
    let heard = two.hear_until(SOON, |heard| matches!(only(heard), Message::Update(_))).await;
    assert_eq!(heard.unwrap(), frame);
    let mut echoed = false;
    while let Heard::Frame(frame) = one.hear(QUIET).await {
        echoed |= matches!(only(&frame), Message::Update(_));
    }
    assert!(!echoed, "the sender of a 32-bit id gets no echo");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_edit_on_one_connection_arrives_too() {
    let server = Server::start().await;
    let (mut one, _) = join(&server, "second").await;
    let (doc, update) = typed(7, "one ");
    one.send(said(|out| frame::write_update(out, &update))).await.unwrap();
    let before = doc.transact().state_vector();
    let root = doc.get_or_insert_text("content");
    root.push(&mut doc.transact_mut(), "two");
    let update = doc.transact().encode_diff_v1(&before);
    one.send(said(|out| frame::write_update(out, &update))).await.unwrap();
    one.send(said(|out| frame::write_echo(out, &[1]))).await.unwrap();
    one.hear_until(SOON, |frame| matches!(only(frame), Message::Echo(_))).await.expect("an echo");
    let (_, doc) = join(&server, "second").await;
    assert_eq!(text(&doc), "one two");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_that_lacks_its_predecessor_is_asked_for() {
    let server = Server::start().await;
    let (mut socket, _) = join(&server, "gap").await;
    let (doc, whole) = typed(7, "one ");
    let before = doc.transact().state_vector();
    let root = doc.get_or_insert_text("content");
    root.push(&mut doc.transact_mut(), "two");
    let late = doc.transact().encode_diff_v1(&before);
    socket.send(said(|out| frame::write_update(out, &late))).await.unwrap();
    let asked = socket.hear_until(SOON, |frame| matches!(only(frame), Message::Step1(_))).await;
    let Message::Step1(vector) = only(asked.as_ref().expect("a question")) else { unreachable!() };
    assert_eq!(vector, StateVector::default().encode_v1(), "nothing of it was taken");
    drop(whole);
    let whole = doc.transact().encode_diff_v1(&StateVector::default());
    socket.send(said(|out| frame::write_step2(out, &whole))).await.unwrap();
    socket.send(said(|out| frame::write_echo(out, &[1]))).await.unwrap();
    socket
        .hear_until(SOON, |frame| matches!(only(frame), Message::Echo(_)))
        .await
        .expect("an echo");
    let (_, doc) = join(&server, "gap").await;
    assert_eq!(text(&doc), "one two");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn presence_reaches_the_others_and_those_who_come_later() {
    let server = Server::start().await;
    let (mut one, _) = join(&server, "presence").await;
    let (mut two, _) = join(&server, "presence").await;
    one.send(presence(&[(7, 1, r#"{"name":"one"}"#)])).await.unwrap();
    let is_one = |frame: &[u8]| has_state(frame, 7, r#"{"name":"one"}"#);
    two.hear_until(SOON, is_one).await.expect("those who are there hear it");
    let (mut late, _) = join(&server, "presence").await;
    late.send(said(frame::write_query_awareness)).await.unwrap();
    late.hear_until(SOON, is_one).await.expect("those who come later hear it");
    drop(one);
    two.hear_until(SOON, |frame| has_state(frame, 7, "null")).await.expect("and that it left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn presence_of_others_that_a_client_repeats_is_ignored() {
    let server = Server::start().await;
    let (mut one, _) = join(&server, "repeat").await;
    let (mut two, _) = join(&server, "repeat").await;
    let (mut three, _) = join(&server, "repeat").await;
    one.send(presence(&[(7, 1, r#"{"name":"one"}"#)])).await.unwrap();
    two.send(presence(&[(8, 1, r#"{"name":"two"}"#)])).await.unwrap();
    let is_one = |frame: &[u8]| has_state(frame, 7, r#"{"name":"one"}"#);
    two.hear_until(SOON, is_one).await.unwrap();
    // As every y-websocket does with what it receives; this one lies, too.
    two.send(presence(&[(7, 99, r#"{"name":"forged"}"#), (8, 2, r#"{"name":"two!"}"#)]))
        .await
        .unwrap();
    let is_two = |frame: &[u8]| has_state(frame, 8, r#"{"name":"two!"}"#);
    let mut is_forged = false;
    three
        .hear_until(SOON, |frame| {
            is_forged |= has_state(frame, 7, r#"{"name":"forged"}"#);
            is_two(frame)
        })
        .await
        .expect("its own state passes");
    assert!(!is_forged, "a state of somebody else passed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_comes_back_is_visible_again_at_once() {
    let server = Server::start().await;
    let (mut two, _) = join(&server, "back").await;
    for _ in 0..3 {
        let (mut one, _) = join(&server, "back").await;
        // The same clock each time: stock clients ignore a state with a clock they know.
        one.send(presence(&[(7, 5, r#"{"name":"one"}"#)])).await.unwrap();
        let mut clock = 0;
        two.hear_until(SOON, |frame| {
            clock = clock.max(clock_of(frame, 7));
            has_state(frame, 7, r#"{"name":"one"}"#)
        })
        .await
        .expect("it is seen");
        drop(one);
        let gone =
            two.hear_until(SOON, |frame| has_state(frame, 7, "null")).await.expect("it left");
        assert!(clock_of(&gone, 7) > clock, "the clock that takes it away is newer");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_sent_his_own_presence() {
    let server = Server::start().await;
    let (mut one, _) = join(&server, "own").await;
    one.send(presence(&[(7, 1, "{}")])).await.unwrap();
    one.send(said(frame::write_query_awareness)).await.unwrap();
    while let Heard::Frame(frame) = one.hear(QUIET).await {
        assert_eq!(clock_of(&frame, 7), 0, "its own state came back");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_frames_end_this_session_for_good_and_no_other() {
    let server = Server::start().await;
    let (mut other, _) = join(&server, "malformed").await;
    let frames: [&[u8]; 6] = [
        &[0, 2, 5, 1, 1],                             // cut short
        &[0, 2, 5, 0x80, 0x88, 0xde, 0xbe, 0x01],     // four hundred million clients
        &[0, 0, 5, 0x80, 0x88, 0xde, 0xbe, 0x01],     // the same as a state vector
        &[1, 5, 0x80, 0x88, 0xde, 0xbe, 0x01],        // and as presence
        &[0, 9, 0],                                   // no such sync message
        &[0, 2, 11, 1, 1, 0, 0, 2, 0, 0, 0, 0, 0, 0], // an item that is its own parent
    ];
    for frame in frames {
        let (mut socket, _) = join(&server, "malformed").await;
        socket.send(frame).await.unwrap();
        let Heard::Closed(code) = socket.end(SOON).await else {
            panic!("not closed for {frame:?}")
        };
        assert!((4400..4500).contains(&code), "{code} for {frame:?}");
    }
    let (_, update) = typed(7, "alive");
    other.send(said(|out| frame::write_update(out, &update))).await.unwrap();
    other.send(said(|out| frame::write_echo(out, &[1]))).await.unwrap();
    other.hear_until(SOON, |frame| matches!(only(frame), Message::Echo(_))).await.expect("an echo");
    let (_, doc) = join(&server, "malformed").await;
    assert_eq!(text(&doc), "alive");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rooms_are_told_apart_by_their_whole_path() {
    let server = Server::start().await;
    let (mut socket, _) = join(&server, "rooms/a%20b").await;
    let (_, update) = typed(7, "here");
    socket.send(said(|out| frame::write_update(out, &update))).await.unwrap();
    socket.send(said(|out| frame::write_echo(out, &[1]))).await.unwrap();
    socket
        .hear_until(SOON, |frame| matches!(only(frame), Message::Echo(_)))
        .await
        .expect("an echo");
    assert_eq!(text(&join(&server, "rooms/a%20b").await.1), "here");
    assert_eq!(text(&join(&server, "rooms").await.1), "");
    assert_eq!(text(&join(&server, "rooms/a").await.1), "");
    assert_eq!(text(&join(&server, "v1/vaults/default/docs/rooms/a%20b").await.1), "here");
    assert_eq!(text(&join(&server, "v1/vaults/other/docs/rooms/a%20b").await.1), "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_megabytes_pasted_at_once_arrive() {
    let server = Server::start().await;
    let (mut one, _) = join(&server, "paste").await;
    let (mut two, _) = join(&server, "paste").await;
    let (_, update) = typed(7, &"paste ".repeat(350_000));
    one.send(said(|out| frame::write_update(out, &update))).await.unwrap();
    let heard = two.hear_until(SOON, |heard| matches!(only(heard), Message::Update(_))).await;
    assert_eq!(only(&heard.expect("the paste arrives")), Message::Update(&update));
}

fn entries(frame: &[u8]) -> Vec<(u64, u64, String)> {
    let Message::Awareness(payload) = only(frame) else { return Vec::new() };
    let payload = sheaf_protocol::scan::awareness(payload).expect("well-formed presence");
    let entry = |entry: sheaf_protocol::scan::AwarenessEntry<'_>| {
        (entry.client, u64::from(entry.clock), entry.state.to_owned())
    };
    payload.entries().map(entry).collect()
}

fn has_state(frame: &[u8], client: u64, state: &str) -> bool {
    entries(frame).iter().any(|entry| entry.0 == client && entry.2 == state)
}

fn clock_of(frame: &[u8], client: u64) -> u64 {
    entries(frame).iter().find(|entry| entry.0 == client).map_or(0, |entry| entry.1)
}
