//! The feed of changes: pages, long polls, streams, and cursors that no longer hold.

use std::time::Duration;

use serde_json::Value;
use sheaf_ground::task::Group;
use sheaf_server::auth::role::Role;
use sheaf_server::config::Config;
use sheaf_tests::eventually::eventually_async;
use sheaf_tests::http::{Events, Request};
use sheaf_tests::server::Server;

use super::{Client, ROOT, SOON, these, user, with_root};

fn paths(page: &Value) -> Vec<&str> {
    let changes = page["changes"].as_array().expect("changes");
    changes.iter().map(|change| change["file"]["path"].as_str().expect("a path")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_of_the_feed_sees_every_change_once_in_its_current_form() {
    let server = Server::start().await;
    let notes = Client::new(&server);
    for path in ["a.md", "b.md", "c.md"] {
        notes.written(path, path).await;
    }
    notes.written("a.md", "changed").await;
    let all = notes.ask("GET", "/changes").await.json();
    assert_eq!(paths(&all), ["b.md", "c.md", "a.md"]);
    assert_eq!(all["more"], false);

    let first = notes.ask("GET", "/changes?since=0&limit=2").await.json();
    assert_eq!((paths(&first), &first["more"]), (vec!["b.md", "c.md"], &Value::Bool(true)));
    let since = first["cursor"].as_str().expect("a cursor").to_owned();
    let second = notes.ask("GET", &format!("/changes?since={since}")).await.json();
    assert_eq!(paths(&second), ["a.md"]);
    let since = second["cursor"].as_str().expect("a cursor").to_owned();
    let none = notes.ask("GET", &format!("/changes?since={since}")).await.json();
    assert_eq!((paths(&none), none["cursor"].as_str()), (vec![], Some(&*since)));

    assert_eq!(notes.send(notes.file("DELETE", "b.md")).await.status, 204);
    let deleted = notes.ask("GET", &format!("/changes?since={since}")).await.json();
    assert_eq!(deleted["changes"][0]["kind"], "deleted");
    assert_eq!(paths(&deleted), ["b.md"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_poll_is_answered_by_the_change_it_waits_for() {
    let server = Server::start().await;
    let notes = Client::new(&server);
    notes.written("a.md", "a").await;
    let since = notes.ask("GET", "/changes").await.json()["cursor"].clone();
    let since = since.as_str().expect("a cursor");
    let target = format!("/v1/vaults/notes/changes?since={since}&wait=50");
    let poll = Request::new("GET", &target).send(server.address());
    let both = futures::future::join(poll, notes.written("b.md", "b"));
    let (page, _) = tokio::time::timeout(SOON, both).await.expect("in time");
    assert_eq!(paths(&page.json()), ["b.md"]);
    let now = notes.ask("GET", &format!("/changes?since={since}&wait=0")).await;
    assert_eq!(now.status, 200);
    assert_eq!(notes.ask("GET", "/changes?wait=56").await.status, 400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_goes_on_where_the_last_one_broke() {
    let server = Server::start().await;
    let notes = Client::new(&server);
    notes.written("a.md", "a").await;
    let stream = || Request::new("GET", "/v1/vaults/notes/changes");
    let mut events = Events::open(stream(), server.address()).await;
    let head = events.head.to_ascii_lowercase();
    for line in
        ["content-type: text/event-stream", "cache-control: no-store", "x-accel-buffering: no"]
    {
        assert!(head.contains(line), "{head}");
    }
    assert!(!head.contains("content-encoding"), "{head}");
    let first = events.next().await.expect("an event");
    assert_eq!(first.name, "change");
    let change: Value = serde_json::from_str(&first.data).expect("JSON");
    assert_eq!(
        (&change["file"]["path"], change["cursor"].as_str()),
        (&"a.md".into(), Some(&*first.id))
    );
    notes.written("b.md", "b").await;
    assert!(events.next().await.expect("an event").data.contains("b.md"));
    drop(events);

    notes.written("c.md", "c").await;
    let later = stream().header("Last-Event-ID", &first.id);
    let mut events = Events::open(later, server.address()).await;
    assert!(events.next().await.expect("an event").data.contains("b.md"));
    assert!(events.next().await.expect("an event").data.contains("c.md"));
    let readers = || async { metric(&notes, "sheaf_feed_readers ").await };
    eventually_async("one reader is left", SOON, || async { readers().await == "1" }).await;
    drop(events);
    eventually_async("none is left", SOON, || async { readers().await == "0" }).await;
}

async fn metric(notes: &Client, name: &str) -> String {
    let text = notes.send(Request::new("GET", "/metrics")).await.text();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_ends_when_the_server_stops() {
    let server = Server::start().await;
    let notes = Client::new(&server);
    notes.written("a.md", "a").await;
    let stream = Request::new("GET", "/v1/vaults/notes/changes");
    let mut events = Events::open(stream, server.address()).await;
    assert!(events.next().await.is_some());
    let ended = async {
        server.stop().await;
        assert_eq!(events.next().await, None);
    };
    let in_time = tokio::time::timeout(Duration::from_secs(8), ended).await;
    in_time.expect("a stop waits for no stream");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_ends_when_its_vault_is_deleted() {
    let server = Server::start().await;
    let notes = Client::new(&server);
    notes.written("a.md", "a").await;
    let stream = Request::new("GET", "/v1/vaults/notes/changes");
    let mut events = Events::open(stream, server.address()).await;
    assert!(events.next().await.is_some());
    assert_eq!(notes.ask("DELETE", "").await.status, 204);
    let last = events.next().await.expect("an event that says so");
    assert_eq!(last.name, "error");
    assert!(last.data.contains("not_found"), "{}", last.data);
    assert_eq!(events.next().await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_collections_that_are_not_asked_for_nothing_is_told_and_the_cursor_goes_on() {
    let server = Server::start().await;
    let notes = Client::new(&server);
    notes.written("a.md", "a").await;
    for (collections, count) in [("files", 1), ("albums,files", 1), ("albums", 0), ("", 0)] {
        let page = notes.ask("GET", &format!("/changes?collections={collections}")).await.json();
        assert_eq!(page["changes"].as_array().map(Vec::len), Some(count), "{collections}");
        assert!(page["cursor"].as_str().unwrap().ends_with(".1"), "{page}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_of_a_device_ends_when_its_vault_is_deleted_though_another_is_made() {
    let server = Server::start().await;
    let notes = Client::new(&server);
    notes.written("a.md", "a").await;
    let stream = || {
        let stream = Request::new("GET", "/v1/vaults/notes/changes");
        stream.header("Sheaf-Device", "b57a77385cbd4067")
    };
    let mut first = Events::open(stream(), server.address()).await;
    let mut second = Events::open(stream(), server.address()).await;
    assert!(first.next().await.is_some() && second.next().await.is_some());
    assert_eq!(notes.ask("DELETE", "").await.status, 204);
    notes.written("b.md", "b").await;
    for mut events in [first, second] {
        let last = events.next().await.expect("an event that says so");
        assert_eq!(last.name, "error", "{}", last.data);
        assert_eq!(events.next().await, None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cursor_of_another_life_of_the_vault_is_refused() {
    let server = Server::start().await;
    let notes = Client::new(&server);
    notes.written("a.md", "a").await;
    let old = notes.ask("GET", "/changes").await.json()["cursor"].clone();
    let old = old.as_str().expect("a cursor");
    let (epoch, seq) = old.split_once('.').expect("epoch and seq");
    let ahead = format!("{epoch}.{}", seq.parse::<u64>().expect("a number") + 1000);
    let answer = notes.ask("GET", &format!("/changes?since={ahead}")).await;
    assert_eq!((answer.status, answer.code().as_str()), (410, "cursor_expired"));
    let details = &answer.json()["details"];
    assert_eq!(details["epoch"], epoch);
    assert!(details["seq"].is_u64() && details["horizon"].is_u64(), "{details}");

    assert_eq!(notes.ask("DELETE", "").await.status, 204);
    notes.written("b.md", "b").await;
    assert_eq!(notes.ask("GET", &format!("/changes?since={old}")).await.status, 410);
    let stream = Request::new("GET", "/v1/vaults/notes/changes").header("Last-Event-ID", old);
    let answer = notes.send(stream.header("Accept", "text/event-stream")).await;
    assert_eq!(answer.code(), "cursor_expired");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_does_not_read_costs_no_more_than_a_page() {
    let server = Server::start().await;
    let notes = Client::new(&server);
    notes.written("a.md", "a").await;
    let stream = Request::new("GET", "/v1/vaults/notes/changes");
    let stuck = stream.header("Accept", "text/event-stream").open(server.address()).await;
    for round in 0..300 {
        notes.written("a.md", &format!("round {round}")).await;
    }
    // It comes to its senses and finds each file in its current form, not all that happened.
    let readers = || async { metric(&notes, "sheaf_feed_readers ").await };
    eventually_async("it is counted", SOON, || async { readers().await == "1" }).await;
    drop(stuck);
    eventually_async("it is gone", SOON, || async { readers().await == "0" }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_feed_of_another_vault_is_closed_to_a_ticket() {
    let server = Server::start_with(|config| {
        with_root(config);
        config.users.push(user("ada", "the-token-of-ada-12345", these(&["notes"]), Role::Write));
    })
    .await;
    let to = server.address();
    let put = Request::new("PUT", "/v1/vaults/notes/files/a.md").token(ROOT).body("a");
    assert_eq!(put.send(to).await.status, 201);
    let wanted = serde_json::json!({ "vault": "notes", "role": "read", "valid_s": 1 });
    let ticket = Request::new("POST", "/v1/tickets").token("the-token-of-ada-12345").json(&wanted);
    let ticket = ticket.send(to).await.json()["token"].as_str().expect("a token").to_owned();
    let stream = Request::new("GET", "/v1/vaults/notes/changes").token(&ticket);
    let mut events = Events::open(stream, to).await;
    assert_eq!(events.next().await.expect("an event").name, "change");
    let last = events.next().await.expect("the ticket's time runs out");
    assert_eq!(last.name, "error", "{last:?}");
    assert!(last.data.contains("unauthorised"), "{last:?}");
    assert_eq!(events.next().await, None);
}

const ADA: &str = "the-token-of-ada-12345";

/// With an admin, and Ada who may write in one vault.
fn with_ada(config: &mut Config) {
    with_root(config);
    config.users.push(user("ada", ADA, these(&["notes"]), Role::Write));
}

/// Ada reads the feed of a vault in which somebody writes without a pause.
async fn busy_feed(server: &Server) -> (Events, Group) {
    let to = server.address();
    let write = |text: u64| {
        Request::new("PUT", "/v1/vaults/notes/files/busy.md").token(ROOT).body(text.to_string())
    };
    assert_eq!(write(0).send(to).await.status, 201);
    let writing = Group::new(server.app().metrics().task_panics.clone());
    let stopping = writing.stopping().clone();
    writing.spawn("writing", async move {
        let mut text = 0;
        while !stopping.is_cancelled() {
            text += 1;
            assert_eq!(write(text).send(to).await.status, 200);
        }
    });
    let stream = Request::new("GET", "/v1/vaults/notes/changes").token(ADA);
    let mut events = Events::open(stream, to).await;
    for _ in 0..3 {
        assert_eq!(events.next().await.expect("an event").name, "change");
    }
    (events, writing)
}

/// Reads on to the end, which must come soon and say why.
async fn last_of(mut events: Events) -> String {
    let all = async {
        let mut last = String::new();
        while let Some(event) = events.next().await {
            last = event.data;
        }
        last
    };
    tokio::time::timeout(Duration::from_secs(2), all).await.expect("the stream ends at once")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_token_ends_its_stream_however_busy_the_vault_is() {
    let server = Server::start_with(with_ada).await;
    let (events, writing) = busy_feed(&server).await;
    let mut config = Config::clone(&server.app().config());
    config.users.retain(|user| &*user.name != "ada");
    server.app().reload(config).expect("it is taken");
    let last = last_of(events).await;
    assert!(last.contains("unauthorised"), "{last}");
    assert!(writing.running() > 0, "the vault is as busy as before");
    writing.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_is_listed_as_a_session_and_can_be_closed() {
    let server = Server::start_with(with_ada).await;
    let to = server.address();
    let (events, writing) = busy_feed(&server).await;
    let list = || Request::new("GET", "/v1/vaults/notes/sessions").token(ROOT).send(to);
    let listed = list().await.json();
    let session = &listed["sessions"][0];
    assert_eq!((&session["dialect"], &session["user"]), (&"feed".into(), &"ada".into()));
    let close = Request::new("DELETE", &format!("/v1/sessions/{}", session["id"])).token(ROOT);
    assert_eq!(close.send(to).await.status, 204);
    let last = last_of(events).await;
    assert!(last.contains("forbidden"), "{last}");
    assert!(writing.running() > 0, "the vault is as busy as before");
    writing.stop();
    assert_eq!(list().await.json()["sessions"], serde_json::json!([]));
}
