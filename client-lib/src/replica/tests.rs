//! Replicas against a small server: they converge, survive cuts, and stop when told to.

mod relay;

use std::time::Duration;

use serde_json::json;
use yrs::updates::decoder::Decode;
use yrs::{Map, ReadTxn, Transact, Update, WriteTxn};

use self::relay::{Manner, Relay};
use super::*;
use sheaf_protocol::frame::{self, Message};

const SOON: Duration = Duration::from_secs(5);

fn options(relay: &Relay, client_id: u32) -> Options {
    let backoff = Backoff { first: Duration::from_millis(10), cap: Duration::from_millis(50) };
    Options { client_id, backoff, ..Options::new(relay.url(), "a room/with ä?") }
}

#[tokio::test]
async fn two_replicas_see_each_others_edits() {
    let relay = Relay::start(Manner::Plain).await;
    let (one, two) = (Replica::connect(options(&relay, 1)), Replica::connect(options(&relay, 2)));
    one.insert(0, "world").unwrap();
    two.wait(|two| two.text() == "world", SOON).await.unwrap();
    two.insert(0, "hello ").unwrap();
    one.wait(|one| one.text() == "hello world", SOON).await.unwrap();
    one.delete(0, 6).unwrap();
    two.wait(|two| two.text() == "world", SOON).await.unwrap();
    assert_eq!(one.state_vector(), two.state_vector());
    assert_eq!(relay.rooms(), ["/a%20room/with%20%C3%A4%3F"]);
}

#[tokio::test]
async fn edits_of_any_kind_travel() {
    let relay = Relay::start(Manner::Plain).await;
    let (one, two) = (Replica::connect(options(&relay, 1)), Replica::connect(options(&relay, 2)));
    one.synced(SOON).await.unwrap();
    one.edit(|txn, _| {
        let map = txn.get_or_insert_map("properties");
        map.insert(txn, "done", true);
    });
    let is_done = |two: &Replica| {
        two.edit(|txn, _| txn.get_map("properties").and_then(|map| map.get(txn, "done"))).is_some()
    };
    two.wait(is_done, SOON).await.unwrap();
}

#[tokio::test]
async fn edits_made_offline_arrive_after_reconnecting() {
    let relay = Relay::start(Manner::Plain).await;
    let (one, two) = (Replica::connect(options(&relay, 1)), Replica::connect(options(&relay, 2)));
    one.synced(SOON).await.unwrap();
    one.disconnect();
    one.wait(|one| *one.status().borrow() == Status::Offline, SOON).await.unwrap();
    for _ in 0..100 {
        one.insert(0, "a").unwrap();
    }
    two.insert(0, "b").unwrap();
    two.synced(SOON).await.unwrap();
    one.reconnect();
    one.wait(|one| one.text_len() == 101, SOON).await.unwrap();
    two.wait(|two| two.text_len() == 101, SOON).await.unwrap();
    assert_eq!(one.text(), two.text());
    assert_eq!(one.counters().connects, 2);
}

#[tokio::test]
async fn a_replica_refills_a_server_that_lost_everything() {
    let relay = Relay::start(Manner::Plain).await;
    let one = Replica::connect(options(&relay, 1));
    one.insert(0, "kept by the replica").unwrap();
    one.durable(SOON).await.unwrap();
    relay.forget();
    relay.cut(1012);
    one.wait(|one| one.counters().connects == 2, SOON).await.unwrap();
    let two = Replica::connect(options(&relay, 2));
    two.wait(|two| two.text() == "kept by the replica", SOON).await.unwrap();
}

#[tokio::test]
async fn durable_returns_only_after_the_echo() {
    let relay = Relay::start(Manner::NoEcho).await;
    let one = Replica::connect(options(&relay, 1));
    one.insert(0, "a").unwrap();
    one.synced(SOON).await.unwrap();
    let waited = one.durable(Duration::from_millis(100)).await;
    assert!(matches!(waited, Err(WaitError::Deadline { .. })), "{waited:?}");
    assert_eq!(relay.text(), "a");
    relay.set_manner(Manner::Plain);
    relay.cut(1012);
    // The echo asked for on the lost connection is asked for again on the next.
    one.wait(|one| one.state.has_echo(1), SOON).await.unwrap();
}

#[tokio::test]
async fn durable_covers_edits_made_while_offline() {
    let relay = Relay::start(Manner::Plain).await;
    let one = Replica::offline(options(&relay, 1));
    one.insert(0, "offline").unwrap();
    one.reconnect();
    one.durable(SOON).await.unwrap();
    assert_eq!(relay.text(), "offline");
}

#[tokio::test]
async fn a_permanent_close_code_stops_the_replica_and_says_why() {
    let relay = Relay::start(Manner::Plain).await;
    let one = Replica::connect(options(&relay, 1));
    one.synced(SOON).await.unwrap();
    relay.cut(4403);
    let stop = Stop::Closed { code: 4403, reason: "test".to_owned() };
    let mut status = one.status();
    let stopped = status.wait_for(|status| matches!(status, Status::Stopped(_))).await;
    assert_eq!(*stopped.unwrap(), Status::Stopped(stop.clone()));
    let waited = one.durable(SOON).await;
    assert!(matches!(waited, Err(WaitError::Stopped(reason)) if reason == stop));
}

#[tokio::test]
async fn transient_close_codes_are_survived() {
    let relay = Relay::start(Manner::Plain).await;
    let one = Replica::connect(options(&relay, 1));
    for (cuts, code) in [1012, 1013, 1001, 4500, 4508].into_iter().enumerate() {
        one.synced(SOON).await.unwrap();
        relay.cut(code);
        one.wait(|one| one.counters().connects as usize == cuts + 2, SOON).await.unwrap();
    }
}

#[tokio::test]
async fn a_refused_upgrade_stops_the_replica() {
    let relay = Relay::start(Manner::Refuse).await;
    let one = Replica::connect(options(&relay, 1));
    let waited = one.synced(SOON).await;
    assert!(matches!(waited, Err(WaitError::Stopped(Stop::Refused { status: 401 }))), "{waited:?}");
}

#[tokio::test]
async fn a_server_that_talks_nonsense_is_left_and_tried_again() {
    let relay = Relay::start(Manner::Nonsense).await;
    let one = Replica::connect(options(&relay, 1));
    one.wait(|one| one.counters().connects >= 3, SOON).await.unwrap();
    relay.set_manner(Manner::Plain);
    one.synced(SOON).await.unwrap();
}

#[tokio::test]
async fn a_silent_server_is_taken_for_dead() {
    let relay = Relay::start(Manner::Silent).await;
    let silence_max = Duration::from_millis(50);
    let one = Replica::connect(Options { silence_max, ..options(&relay, 1) });
    one.wait(|one| one.counters().connects >= 2, SOON).await.unwrap();
}

#[tokio::test]
async fn presence_comes_and_goes() {
    let relay = Relay::start(Manner::Plain).await;
    let here = |name: &str| Some(json!({ "name": name }));
    let one = Replica::connect(Options { presence: here("one"), ..options(&relay, 1) });
    one.synced(SOON).await.unwrap();
    let two = Replica::connect(Options { presence: here("two"), ..options(&relay, 2) });
    one.wait(|one| one.presence().len() == 2, SOON).await.unwrap();
    assert_eq!(one.presence()[&2], json!({ "name": "two" }));
    two.set_presence(here("renamed"));
    one.wait(|one| one.presence()[&2] == json!({ "name": "renamed" }), SOON).await.unwrap();
    two.set_presence(None);
    one.wait(|one| one.presence().len() == 1, SOON).await.unwrap();
    two.set_presence(here("again"));
    one.wait(|one| one.presence().len() == 2, SOON).await.unwrap();
    two.disconnect();
    one.wait(|one| one.presence().len() == 1, SOON).await.unwrap();
}

#[tokio::test]
async fn every_update_that_arrives_is_told() {
    let relay = Relay::start(Manner::Plain).await;
    let told = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let log = Arc::clone(&told);
    let on_update: Hook =
        Arc::new(move |arrival, bytes| log.lock().push((arrival, bytes.to_vec())));
    let one = Replica::connect(Options { on_update: Some(on_update), ..options(&relay, 1) });
    one.synced(SOON).await.unwrap();
    let two = Replica::connect(options(&relay, 2));
    two.insert(0, "x").unwrap();
    one.wait(|one| one.text() == "x", SOON).await.unwrap();
    one.wait(|_| told.lock().len() >= 2, SOON).await.unwrap();
    assert_eq!(told.lock()[0].0, Arrival::Sync);
    assert!(told.lock().iter().skip(1).all(|(arrival, _)| *arrival == Arrival::Update));
}

#[tokio::test]
async fn an_offset_inside_a_character_is_refused() {
    let replica = Replica::offline(Options::new("ws://127.0.0.1:1", "room"));
    replica.insert(0, "a😀b").unwrap();
    assert_eq!(replica.text_len(), 4);
    assert_eq!(replica.insert(2, "x"), Err(EditError::SplitsCharacter { at: 2 }));
    assert_eq!(replica.delete(0, 2), Err(EditError::SplitsCharacter { at: 2 }));
    assert_eq!(replica.delete(2, 2), Err(EditError::SplitsCharacter { at: 2 }));
    assert_eq!(replica.insert(5, "x"), Err(EditError::OutOfRange { at: 5, len: 0, text_len: 4 }));
    assert!(replica.delete(u32::MAX, u32::MAX).is_err());
    replica.delete(1, 2).unwrap();
    assert_eq!(replica.text(), "ab");
}

#[tokio::test]
async fn a_malformed_update_is_refused_and_changes_nothing() {
    let replica = Replica::offline(Options::new("ws://127.0.0.1:1", "room"));
    replica.insert(0, "a").unwrap();
    // An item that is its own parent, kept pending: applied to yrs, every later encode would panic.
    let poison = [1, 1, 0, 0, 2, 0, 0, 0, 0, 0];
    assert!(replica.apply(&poison).is_err());
    assert!(!replica.encode().is_empty());
}

/// Drives a replica's state as a link would, without a socket.
#[tokio::test]
async fn more_edits_than_the_outbox_holds_leave_as_one_difference() {
    let state = State::new(&Options::new("ws://127.0.0.1:1", "room"));
    state.opened();
    let mut question = Vec::new();
    frame::write_step1(&mut question, &[0]);
    state.receive(&question).unwrap();
    let mut frames = Vec::new();
    state.take_frames(&mut frames);
    frames.clear();

    for at in 0..6 {
        state.splice(0, 0, &format!("{at}{}", "x".repeat(1 << 20))).unwrap();
    }
    let number = state.ask_echo();
    state.take_frames(&mut frames);
    assert_eq!(frames.len(), 2, "one difference, then the question for its echo");
    let doc = yrs::Doc::new();
    let Some(Ok(Message::Update(update))) = frame::messages(&frames[0]).next() else {
        panic!("the difference is sent as an update");
    };
    doc.transact_mut().apply_update(Update::decode_v1(update).unwrap()).unwrap();
    assert_eq!(doc.transact().state_vector(), state.state_vector());
    assert_eq!(frame::messages(&frames[1]).next(), Some(Ok(Message::Echo(&[number as u8]))));
}
