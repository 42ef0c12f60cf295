//! Whole webhooks, on a clock of the test's own, against vaults and a receiver that do as they are
//! told.

mod receiver;
mod world;

use std::collections::BTreeSet;

use self::receiver::{Answer, Got, Receiver};
use self::world::{World, hook};
use super::config::{EventType, From, HookConfig, Text};

fn kinds(got: &[Got]) -> Vec<&str> {
    got.iter().map(Got::kind).collect()
}

fn paths(got: &[Got]) -> BTreeSet<&str> {
    got.iter().map(Got::path).collect()
}

#[tokio::test]
async fn what_happens_after_a_webhook_began_is_told() {
    let mut world = World::new().await;
    world.write("default", 1);
    world.start(&[hook(&world.receiver)]);
    world.write("default", 2);
    world.got(1).await;
    world.write("default", 1);
    world.write("default", 2);
    world.got(3).await;
    world.delete("default", 2);
    let got = world.got(4).await;
    let (created, changed, deleted) = ("document.created", "document.changed", "document.deleted");
    assert_eq!(kinds(&got), [created, changed, changed, deleted]);
    assert_eq!(paths(&got[1..3]), ["1", "2"].into());
    for one in &got {
        assert_eq!(one.headers["content-type"], "application/json");
        assert_eq!(one.body["id"], one.id());
        assert!(one.headers["user-agent"].starts_with("Sheaf/"));
        assert!(one.headers["webhook-timestamp"].parse::<u64>().is_ok());
        assert!(one.headers["webhook-signature"].starts_with("v1,"));
    }
    world.stop().await;
}

#[tokio::test]
async fn a_hundred_edits_in_a_second_are_few_deliveries_and_the_last_is_final() {
    let mut world = World::new().await;
    world.write("default", 1);
    world.start(&[hook(&world.receiver)]);
    for _ in 0..100 {
        world.write("default", 1);
        world.hand.advance(std::time::Duration::from_millis(10));
    }
    let got = world
        .until("n is 101", |got| got.last().is_some_and(|last| last.body["document"]["n"] == 101));
    let got = got.await;
    assert_eq!(got.len(), 1);
    world.stop().await;
}

#[tokio::test]
async fn after_a_crash_before_the_place_was_stored_the_same_event_comes_again() {
    let mut world = World::new().await;
    world.start(&[hook(&world.receiver)]);
    world.write("default", 1);
    let first = world.got(1).await;
    world.crash();
    world.start(&[hook(&world.receiver)]);
    let again = world.got(2).await;
    assert_eq!((again[1].id(), &again[1].body), (first[0].id(), &first[0].body));
    world.stop().await;
}

#[tokio::test]
async fn a_stop_in_order_repeats_and_forgets_nothing() {
    let mut world = World::new().await;
    world.start(&[hook(&world.receiver)]);
    world.write("default", 1);
    world.got(1).await;
    // Read, and waiting for quiet when the stop comes.
    world.write("default", 1);
    world.stop().await;
    world.write("default", 2);
    world.start(&[hook(&world.receiver)]);
    let got = world.got(3).await;
    world.pass(5).await;
    assert_eq!(world.receiver.got().len(), 3, "nothing twice");
    assert_eq!(paths(&got[1..]), ["1", "2"].into());
    assert!(kinds(&got[1..]).contains(&"document.changed"), "document 1 is not new again");
    world.stop().await;
}

#[tokio::test]
async fn a_receiver_that_was_down_gets_everything_once_in_its_last_state() {
    let mut world = World::new().await;
    world.start(&[hook(&world.receiver)]);
    world.receiver.answer(Answer::Status(500));
    for round in 0..3 {
        for number in 1..=20 {
            world.write("default", number);
        }
        world.pass(4 + round).await;
    }
    let failed = world.receiver.got().len();
    assert!((2..40).contains(&failed), "tried {failed} times");
    assert!(world.metric("sheaf_webhook_lag_seconds") > 0.0);
    world.receiver.answer(Answer::Status(204));
    let got = world.until("all 20", |got| paths(&got[failed..]).len() == 20).await;
    world.pass(5).await;
    let told = &world.receiver.got()[failed..];
    assert_eq!(told.len(), 20, "each once");
    for one in told {
        assert_eq!((one.kind(), &one.body["document"]["n"]), ("document.created", &3.into()));
    }
    assert!(got.len() >= failed + 20);
    assert_eq!(world.metric("sheaf_webhook_pending"), 0.0);
    assert!(world.metric("sheaf_webhook_retries_total") >= 1.0);
    world.stop().await;
}

#[tokio::test]
async fn a_receiver_that_is_slow_or_redirects_is_asked_again() {
    let mut world = World::new().await;
    world.start(&[hook(&world.receiver)]);
    world.receiver.answer(Answer::Silence);
    world.write("default", 1);
    world.got(1).await;
    world.receiver.answer(Answer::Redirect);
    let got = world.got(2).await;
    assert_eq!(got[0].id(), got[1].id());
    world.receiver.answer(Answer::Endless);
    world.got(3).await;
    world.pass(30).await;
    assert_eq!(world.receiver.got().len(), 3, "2xx is enough, whatever the body does");
    assert_eq!(world.metric("sheaf_webhook_deliveries_total{outcome=\"failed\"}"), 2.0);
    assert_eq!(world.metric("sheaf_webhook_deliveries_total{outcome=\"delivered\"}"), 1.0);
    world.stop().await;
}

#[tokio::test]
async fn one_receiver_that_fails_does_not_hold_up_another() {
    let mut world = World::new().await;
    let other = Receiver::start().await;
    other.answer(Answer::Silence);
    world.start(&[hook(&other), hook(&world.receiver)]);
    for number in 1..=50 {
        world.write("default", number);
    }
    let got = world.got(50).await;
    assert_eq!(paths(&got).len(), 50);
    assert_eq!(paths(&other.got()).len(), 4, "as many as may be under way at once");
    world.stop().await;
}

#[tokio::test]
async fn after_410_a_webhook_is_off_until_the_next_start() {
    let mut world = World::new().await;
    world.start(&[hook(&world.receiver)]);
    world.receiver.answer(Answer::Status(410));
    world.write("default", 1);
    world.got(1).await;
    world.receiver.answer(Answer::Status(200));
    world.write("default", 2);
    world.pass(20).await;
    assert_eq!(world.receiver.got().len(), 1);
    assert_eq!(world.metric("sheaf_webhook_disabled"), 1.0);
    world.stop().await;
    world.start(&[hook(&world.receiver)]);
    let got = world.got(3).await;
    assert_eq!(paths(&got[1..]), ["1", "2"].into(), "nothing was lost");
    world.stop().await;
}

#[tokio::test]
async fn an_event_that_nobody_takes_for_days_is_given_up() {
    let mut world = World::new().await;
    world.start(&[HookConfig { retry_for_s: 10, ..hook(&world.receiver) }]);
    world.receiver.answer(Answer::Status(503));
    world.write("default", 1);
    world.got(1).await;
    world.pass(40).await;
    assert_eq!(world.metric("sheaf_webhook_deliveries_total{outcome=\"dead\"}"), 1.0);
    assert_eq!(world.metric("sheaf_webhook_pending"), 0.0);
    let tries = world.receiver.got().len();
    world.receiver.answer(Answer::Status(200));
    world.write("default", 1);
    let got = world.got(tries + 1).await;
    assert_eq!(got[tries].kind(), "document.created", "it was never told of");
    world.stop().await;
}

#[tokio::test]
async fn a_webhook_begins_at_the_end_or_at_the_start_of_what_there_is() {
    let mut world = World::new().await;
    for number in 1..=200 {
        world.write("default", number);
    }
    let all =
        HookConfig { name: Some("all".to_owned()), from: From::Start, ..hook(&world.receiver) };
    let other = Receiver::start().await;
    world.start(&[all, hook(&other)]);
    let got = world.got(200).await;
    assert_eq!(paths(&got).len(), 200);
    assert!(kinds(&got).iter().all(|kind| *kind == "document.created"));
    assert!(other.got().is_empty());
    world.stop().await;
}

#[tokio::test]
async fn a_vault_that_is_made_later_or_anew_is_told_from_its_beginning() {
    let mut world = World::new().await;
    world.start(&[hook(&world.receiver)]);
    world.feed.make("later", world.clock.now_ms());
    world.write("later", 1);
    world.write("later", 2);
    let got = world.got(2).await;
    assert_eq!(kinds(&got), ["document.created"; 2]);
    world.feed.drop_vault("later");
    world.feed.make("later", world.clock.now_ms());
    world.write("later", 1);
    let got = world.got(3).await;
    assert_eq!(got[2].kind(), "document.created");
    assert_ne!(got[2].body["cursor"], got[0].body["cursor"]);
    world.stop().await;
}

#[tokio::test]
async fn only_the_wanted_events_of_the_wanted_vaults_are_told() {
    let mut world = World::new().await;
    world.feed.make("private", 1);
    world.write("private", 9);
    world.write("default", 9);
    let vaults = serde_json::from_str(r#"{"except": ["private"]}"#).expect("vaults");
    let events = vec![EventType::Deleted, EventType::Left];
    world.start(&[HookConfig { vaults, events, ..hook(&world.receiver) }]);
    for vault in ["private", "default"] {
        world.write(vault, 1);
        world.delete(vault, 1);
        world.session(vault, true);
        world.session(vault, false);
    }
    let got = world.got(2).await;
    world.pass(5).await;
    assert_eq!(world.receiver.got().len(), 2);
    let told: BTreeSet<_> = kinds(&got).into_iter().collect();
    assert_eq!(told, ["document.deleted", "session.left"].into());
    assert!(got.iter().all(|one| one.body["vault"] == "default"));
    world.stop().await;
}

#[tokio::test]
async fn a_sessions_event_survives_a_crash_and_is_told_in_order() {
    let mut world = World::new().await;
    world.start(&[hook(&world.receiver)]);
    world.receiver.answer(Answer::Status(500));
    for _ in 0..10 {
        world.session("default", true);
        world.session("default", false);
    }
    let failed = world.got(1).await;
    world.crash();
    world.receiver.answer(Answer::Status(200));
    world.start(&[hook(&world.receiver)]);
    let before = world.receiver.got().len();
    let got = world.got(before + 20).await;
    let ids: Vec<_> = got[before..].iter().map(|one| one.body["session"]["id"].clone()).collect();
    assert_eq!(ids, (1..=20).map(serde_json::Value::from).collect::<Vec<_>>());
    assert_eq!(got[before].id(), failed[0].id());
    world.stop().await;
}

#[tokio::test]
async fn headers_of_the_configuration_go_along() {
    let mut world = World::new().await;
    let headers = [("Authorization".to_owned(), Text("Bearer of news".to_owned()))].into();
    world.start(&[HookConfig { headers, ..hook(&world.receiver) }]);
    world.write("default", 1);
    let got = world.got(1).await;
    assert_eq!(got[0].headers["authorization"], "Bearer of news");
    world.stop().await;
}

#[tokio::test]
async fn a_webhook_that_is_not_configured_any_more_is_forgotten() {
    let mut world = World::new().await;
    world.start(&[hook(&world.receiver)]);
    world.write("default", 1);
    world.got(1).await;
    world.stop().await;
    world.start(&[]);
    world.stop().await;
    world.write("default", 2);
    world.start(&[hook(&world.receiver)]);
    world.write("default", 3);
    let got = world.got(2).await;
    world.pass(5).await;
    assert_eq!((world.receiver.got().len(), got[1].path()), (2, "3"), "it began anew");
    world.stop().await;
}
