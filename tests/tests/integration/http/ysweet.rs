//! What Y-Sweet's SDKs ask: documents, their tokens, updates; and what they may not have.

use std::net::SocketAddr;

use serde_json::{Value, json};
use sheaf_server::auth::role::Role;
use sheaf_server::config::Config;
use sheaf_tests::eventually::eventually_async;
use sheaf_tests::http::{Answer, Request};
use sheaf_tests::server::Server;
use sheaf_tests::socket::Socket;
use yrs::updates::decoder::Decode;
use yrs::{Doc, GetString, ReadTxn, StateVector, Text, Transact, Update};

use super::{SOON, these, user};

/// Their backend, as `sheaf token ysweet` lets it in.
const BACKEND: &str = "the-token-of-the-backend-1";
/// Somebody who may write and is no administrator.
const WRITER: &str = "the-token-of-the-writer-11";

fn closed(config: &mut Config) {
    config.users.push(user("backend", BACKEND, these(&["default"]), Role::Admin));
    config.users.push(user("writer", WRITER, these(&["default"]), Role::Write));
    config.limits.message_bytes_max = 64 << 10;
}

async fn post(to: SocketAddr, target: &str, token: &str, body: &Value) -> Answer {
    Request::new("POST", &format!("{target}?z=0k2")).token(token).json(body).send(to).await
}

async fn make(to: SocketAddr, id: &str) {
    let made = post(to, "/doc/new", BACKEND, &json!({ "docId": id })).await;
    assert_eq!((made.status, made.json()), (200, json!({ "docId": id })), "{}", made.text());
}

/// A document's token, made by the backend.
async fn token(to: SocketAddr, id: &str, wanted: &Value) -> String {
    let answer = post(to, &format!("/doc/{id}/auth"), BACKEND, wanted).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["token"].as_str().expect("a token").to_owned()
}

async fn read(to: SocketAddr, id: &str, token: &str) -> Answer {
    Request::new("GET", &format!("/d/{id}/as-update?z=1")).token(token).send(to).await
}

async fn submit(to: SocketAddr, id: &str, token: &str, update: Vec<u8>) -> Answer {
    let request = Request::new("POST", &format!("/d/{id}/update?z=1")).token(token);
    request.header("Content-Type", "application/octet-stream").body(update).send(to).await
}

/// The status that a socket is refused with, or 101.
async fn upgrade(to: SocketAddr, target: &str) -> u16 {
    match Socket::open(&format!("ws://{to}{target}")).await {
        Ok(socket) => {
            socket.close().await;
            101
        }
        Err(error) => {
            let status = error.to_string().trim_start_matches("HTTP ").parse();
            status.unwrap_or_else(|_| panic!("{error}"))
        }
    }
}

/// An update that writes this into an empty document.
fn writes(text: &str) -> Vec<u8> {
    let doc = Doc::with_client_id(7);
    doc.get_or_insert_text("content").push(&mut doc.transact_mut(), text);
    doc.transact().encode_diff_v1(&StateVector::default())
}

fn text_in(update: &[u8]) -> String {
    let doc = Doc::new();
    let root = doc.get_or_insert_text("content");
    let update = Update::decode_v1(update).expect("an update");
    doc.transact_mut().apply_update(update).expect("one that can be applied");
    root.get_string(&doc.transact())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_document_is_there_at_once_empty_and_after_a_restart() {
    let server = Server::start_with(closed).await;
    let to = server.address();
    let nothing = post(to, "/doc/plan/auth", BACKEND, &json!({})).await;
    assert_eq!((nothing.status, nothing.code().as_str()), (404, "not_found"));
    make(to, "plan").await;
    make(to, "plan").await;
    assert_eq!(read(to, "plan", BACKEND).await.body, [0, 0]);
    submit(to, "plan", BACKEND, writes("words")).await;
    make(to, "plan").await;
    assert_eq!(text_in(&read(to, "plan", BACKEND).await.body), "words", "it stays as it was");
    make(to, "kept-empty").await;

    let server = server.restart().await;
    let to = server.address();
    assert_eq!(post(to, "/doc/kept-empty/auth", BACKEND, &json!({})).await.status, 200);
    assert_eq!(read(to, "kept-empty", BACKEND).await.body, [0, 0]);
    assert_eq!(post(to, "/doc/never/auth", BACKEND, &json!({})).await.status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ids_are_rooms_and_those_that_nobody_chose_differ() {
    let server = Server::start_with(closed).await;
    let to = server.address();
    // No file on a disk could be called so beside the others; a room can.
    for id in ["con", "Plan", "plan", "new", "ws", "-_-", &"x".repeat(1024)] {
        make(to, id).await;
        assert_eq!(post(to, &format!("/doc/{id}/auth"), BACKEND, &json!({})).await.status, 200);
    }
    let mut ids = Vec::new();
    for _ in 0..2 {
        let made = post(to, "/doc/new", BACKEND, &json!({})).await;
        ids.push(made.json()["docId"].as_str().expect("an id").to_owned());
    }
    assert_ne!(ids[0], ids[1]);
    make(to, &ids[0]).await;
    let bad = ["", "a/b", "a b", "a.b", "..", "a\0", "é", "a%2Fb", &"x".repeat(1025)];
    for id in bad {
        let answer = post(to, "/doc/new", BACKEND, &json!({ "docId": id })).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "invalid_path"), "{id:?}");
    }
    for id in ["a%2Fb", "a%00", "a%2e", "%2e%2e", "%FF", ""] {
        for (method, rest) in [("GET", "as-update"), ("POST", "update")] {
            for root in ["d", "doc"] {
                let target = format!("/{root}/{id}/{rest}");
                let answer = Request::new(method, &target).token(BACKEND).send(to).await;
                assert_eq!((answer.status, answer.code().as_str()), (400, "invalid_path"), "{id}");
            }
        }
        assert_eq!(post(to, &format!("/doc/{id}/auth"), BACKEND, &json!({})).await.status, 400);
        assert_eq!(upgrade(to, &format!("/d/{id}/ws/{id}?token={BACKEND}")).await, 400, "{id}");
    }
    assert_eq!(upgrade(to, &format!("/d/plan/ws/Plan?token={BACKEND}")).await, 400);
    let body = Request::new("POST", "/doc/new").token(BACKEND);
    assert_eq!(body.body("{\"docId\":7}").send(to).await.status, 400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_is_told_where_to_go_and_what_it_may() {
    let server = Server::start_with(closed).await;
    let to = server.address();
    make(to, "plan").await;
    let answer = post(to, "/doc/plan/auth", BACKEND, &json!({})).await;
    assert_eq!(answer.header("cache-control"), "no-store");
    let mut told = answer.json();
    let token = told.as_object_mut().expect("an object").remove("token").expect("a token");
    let host = to;
    assert!(answer.text().contains("sheaf-ticket-1."), "{token}");
    let wanted = json!({
        "url": format!("ws://{host}/d/plan/ws"),
        "baseUrl": format!("http://{host}/d/plan"),
        "docId": "plan",
        "authorization": "full",
    });
    assert_eq!(told, wanted);
    let elsewhere = Request::new("POST", "/doc/plan/auth").token(BACKEND);
    let elsewhere = elsewhere.header("Host", "a.example:81").json(&json!({})).send(to).await;
    assert_eq!(elsewhere.json()["baseUrl"], "http://a.example:81/d/plan");
    let reader = json!({ "authorization": "read-only", "userId": "ada", "validForSeconds": 60 });
    let reader = post(to, "/doc/plan/auth", BACKEND, &reader).await.json();
    assert_eq!(reader["authorization"], "read-only");
    for wrong in [
        json!({ "authorization": "admin" }),
        json!({ "userId": "a\nb" }),
        json!({ "userId": "" }),
        json!({ "validForSeconds": 0 }),
        json!({ "validForSeconds": -1 }),
        json!("plan"),
        json!([]),
    ] {
        assert_eq!(post(to, "/doc/plan/auth", BACKEND, &wrong).await.status, 400, "{wrong}");
    }
    let long = post(to, "/doc/plan/auth", BACKEND, &json!({ "validForSeconds": 1e9 as u64 })).await;
    assert_eq!(long.status, 200, "it is a day then");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configured_address_stands_in_every_client_token() {
    let server = Server::start_with(|config| {
        closed(config);
        config.public_url = Some("https://a.example/sync/".parse().expect("an address"));
    })
    .await;
    make(server.address(), "plan").await;
    let told = post(server.address(), "/doc/plan/auth", BACKEND, &json!({})).await.json();
    assert_eq!(told["url"], "wss://a.example/sync/d/plan/ws");
    assert_eq!(told["baseUrl"], "https://a.example/sync/d/plan");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_documents_token_is_good_for_that_document_alone() {
    let server = Server::start_with(closed).await;
    let to = server.address();
    make(to, "plan").await;
    make(to, "other").await;
    let full = token(to, "plan", &json!({})).await;
    let reader = token(to, "plan", &json!({ "authorization": "read-only" })).await;

    let taken = submit(to, "plan", &full, writes("words")).await;
    assert_eq!((taken.status, taken.body.len()), (200, 0), "{}", taken.text());
    let seen = read(to, "plan", &reader).await;
    assert_eq!(seen.header("content-type"), "application/octet-stream");
    assert_eq!(text_in(&seen.body), "words");
    let refused = submit(to, "plan", &reader, writes("no")).await;
    assert_eq!((refused.status, refused.code().as_str()), (403, "read_only"));
    for token in [&full, &reader] {
        assert_eq!(read(to, "other", token).await.status, 403);
        assert_eq!(read(to, "nothing", token).await.status, 403, "as for one that is there");
        assert_eq!(submit(to, "other", token, writes("no")).await.status, 403);
        assert_eq!(upgrade(to, &format!("/d/other/ws/other?token={token}")).await, 403);
        assert_eq!(upgrade(to, &format!("/d/plan/ws/plan?token={token}")).await, 101);
        assert_eq!(upgrade(to, &format!("/doc/ws/plan?token={token}")).await, 101);
        // Nor does it make documents, or tokens.
        assert_eq!(post(to, "/doc/new", token, &json!({})).await.status, 403);
        assert_eq!(post(to, "/doc/plan/auth", token, &json!({})).await.status, 403);
        assert_eq!(post(to, "/check_store", token, &json!({})).await.status, 403);
    }
    // For older SDKs.
    let before = Request::new("GET", "/doc/plan/as-update").token(&reader).send(to).await;
    assert_eq!(text_in(&before.body), "words");
    let before = Request::new("POST", "/doc/plan/update").token(&full).body(writes("words"));
    assert_eq!(before.send(to).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_token_that_is_good_everything_is_401() {
    let server = Server::start_with(closed).await;
    let to = server.address();
    make(to, "plan").await;
    let good = token(to, "plan", &json!({})).await;
    let forged = format!("{}A{}", &good[..40], &good[41..]);
    for token in ["", "undefined", "a-token-of-nobody-at-all", &forged, &format!("{good}x")] {
        for target in ["/d/plan/ws/plan", "/doc/ws/plan", "/d/nothing/ws/nothing"] {
            assert_eq!(upgrade(to, &format!("{target}?token={token}")).await, 401, "{token}");
        }
        assert_eq!(upgrade(to, "/d/plan/ws/plan").await, 401);
        assert_eq!(read(to, "plan", token).await.status, 401);
        assert_eq!(submit(to, "plan", token, writes("no")).await.status, 401);
        for target in ["/doc/new", "/doc/plan/auth", "/check_store"] {
            assert_eq!(post(to, target, token, &json!({})).await.status, 401, "{target}");
        }
    }
    let unread = Request::new("POST", "/doc/new").header("Content-Length", "4000");
    assert_eq!(unread.head(to).await.status, 401, "before the body is there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_used_again_and_again_until_it_ends() {
    let server = Server::start_with(closed).await;
    let to = server.address();
    make(to, "plan").await;
    let short = token(to, "plan", &json!({ "validForSeconds": 2 })).await;
    for _ in 0..3 {
        assert_eq!(upgrade(to, &format!("/d/plan/ws/plan?token={short}")).await, 101);
        assert_eq!(read(to, "plan", &short).await.status, 200);
    }
    eventually_async("it has ended", SOON, async || read(to, "plan", &short).await.status == 401)
        .await;
    assert_eq!(upgrade(to, &format!("/d/plan/ws/plan?token={short}")).await, 401);
    assert_eq!(submit(to, "plan", &short, writes("late")).await.status, 401);
    let answer = read(to, "plan", &short).await;
    assert_eq!(answer.code(), "unauthorised");
    assert!(!answer.text().contains(&short));
}

/// The user and the role of the only session there is.
async fn session(to: SocketAddr) -> Value {
    let listed = Request::new("GET", "/v1/vaults/default/sessions").token(BACKEND).send(to).await;
    let mut session = listed.json()["sessions"][0].take();
    let kept = ["document", "user", "role", "dialect"];
    session.as_object_mut().expect("a session").retain(|key, _| kept.contains(&key.as_str()));
    session
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_bears_the_name_of_its_token_or_none() {
    let server = Server::start_with(closed).await;
    let to = server.address();
    make(to, "plan").await;
    let of = async |maker, wanted: Value| {
        let answer = post(to, "/doc/plan/auth", maker, &wanted).await;
        let token = answer.json()["token"].as_str().expect("a token").to_owned();
        let url = format!("ws://{to}/d/plan/ws/plan?token={token}");
        let socket = Socket::open(&url).await.expect("it opens");
        let seen = session(to).await;
        socket.close().await;
        eventually_async("it is gone", SOON, async || session_count(to).await == 0).await;
        seen
    };
    let wanted = |user: Value, role| {
        let (document, dialect) = ("plan", "y-sweet");
        json!({ "document": document, "user": user, "role": role, "dialect": dialect })
    };
    assert_eq!(of(BACKEND, json!({ "userId": "ada" })).await, wanted(json!("ada"), "write"));
    let reader = json!({ "userId": "ada", "authorization": "read-only" });
    assert_eq!(of(BACKEND, reader).await, wanted(json!("ada"), "read"));
    assert_eq!(of(BACKEND, json!({})).await, wanted(Value::Null, "write"));
    assert_eq!(of(WRITER, json!({})).await, wanted(json!("writer"), "write"), "lends his own");
    let named = post(to, "/doc/plan/auth", WRITER, &json!({ "userId": "ada" })).await;
    assert_eq!(named.status, 403, "only an administrator names others");
}

async fn session_count(to: SocketAddr) -> usize {
    let listed = Request::new("GET", "/v1/vaults/default/sessions").token(BACKEND).send(to).await;
    listed.json()["sessions"].as_array().expect("a list").len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_server_needs_no_token_and_gives_none_unless_it_says_something() {
    let server = Server::start().await;
    let to = server.address();
    let ask =
        async |target: &str, body: &Value| Request::new("POST", target).json(body).send(to).await;
    assert_eq!(ask("/doc/new", &json!({ "docId": "plan" })).await.status, 200);
    let free = ask("/doc/plan/auth", &json!({})).await.json();
    assert_eq!((free.get("token"), &free["authorization"]), (None, &json!("full")));
    // What their tests send where there is none.
    for query in ["", "?token=", "?token=undefined"] {
        assert_eq!(upgrade(to, &format!("/d/plan/ws/plan{query}")).await, 101);
    }
    let reader = ask("/doc/plan/auth", &json!({ "authorization": "read-only" })).await.json();
    let reader = reader["token"].as_str().expect("a token");
    assert_eq!(submit(to, "plan", reader, writes("no")).await.status, 403);
    assert_eq!(submit(to, "plan", "", writes("yes")).await.status, 200);
    let named = ask("/doc/plan/auth", &json!({ "userId": "ada" })).await.json();
    assert!(named["token"].is_string(), "{named}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_open_to_everyone_vouches_for_nobody() {
    let server = Server::start_with(|config| config.allow_anonymous = true).await;
    let to = server.address();
    let ask = async |body: &Value| Request::new("POST", "/doc/plan/auth").json(body).send(to).await;
    let made = Request::new("POST", "/doc/new").json(&json!({ "docId": "plan" })).send(to).await;
    assert_eq!(made.status, 200);
    assert!(ask(&json!({})).await.json().get("token").is_none());
    assert_eq!(ask(&json!({ "userId": "ada" })).await.status, 401);
    assert_eq!(ask(&json!({ "authorization": "read-only" })).await.status, 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_update_changes_nothing() {
    let server = Server::start_with(closed).await;
    let to = server.address();
    make(to, "plan").await;
    let full = token(to, "plan", &json!({})).await;
    let large = vec![0; 65 << 10];
    let gap = b"\x01\x01\x09\x01\x84\x09\x00\x01b\x00".to_vec();
    let bodies = [(b"x".to_vec(), 400), (Vec::new(), 400), (large, 413), (gap, 409)];
    for (body, status) in bodies {
        let answer = submit(to, "plan", &full, body).await;
        assert_eq!(answer.status, status, "{}", answer.text());
    }
    assert_eq!(read(to, "plan", &full).await.body, [0, 0]);
    let long = json!({ "docId": "x".repeat(17 << 10) });
    assert_eq!(post(to, "/doc/new", BACKEND, &long).await.status, 413);
    let made = submit(to, "fresh", BACKEND, writes("words")).await;
    assert_eq!(made.status, 200, "an update makes its document");
    assert_eq!(text_in(&read(to, "fresh", BACKEND).await.body), "words");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_families_reach_one_document() {
    let server = Server::start_with(closed).await;
    let to = server.address();
    make(to, "plan").await;
    submit(to, "plan", BACKEND, writes("words")).await;
    let file = Request::new("GET", "/v1/vaults/default/files/plan").token(BACKEND).send(to).await;
    assert_eq!(file.text(), "words");
    for target in ["plan", "d/plan/ws/plan", "v1/vaults/default/docs/plan"] {
        let url = format!("ws://{to}/{target}?token={BACKEND}");
        let mut socket = Socket::open(&url).await.expect("it opens");
        socket.send([0, 0, 1, 0]).await.expect("sent");
        let answer = socket.hear_until(SOON, |frame| frame.starts_with(&[0, 1])).await;
        let answer = answer.expect("an answer");
        assert!(answer.windows(5).any(|part| part == b"words"), "{target}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn probes_are_answered_in_their_words() {
    let server = Server::start_with(closed).await;
    let to = server.address();
    let ready = Request::new("GET", "/ready").send(to).await;
    assert_eq!((ready.status, ready.json()), (200, json!({ "ok": true })));
    for method in ["GET", "POST"] {
        let store = Request::new(method, "/check_store?z=1").token(BACKEND).send(to).await;
        assert_eq!((store.status, store.json()), (200, json!({ "ok": true })));
    }
}
