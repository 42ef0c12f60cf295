//! What a request may hold, outlive and learn: faults that were found, one test for each.

use serde_json::{Value, json};
use sheaf_ground::task::Group;
use sheaf_server::auth::callback::CallbackConfig;
use sheaf_server::auth::role::Role;
use sheaf_server::config::Config;
use sheaf_tests::http::{Answer, Request};
use sheaf_tests::server::Server;
use sheaf_tests::socket::Socket;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{Client, ROOT, SOON, these, user, with_root};

const ADA: &str = "the-token-of-ada-12345";
/// Known to the callback alone.
const EVE: &str = "the-token-of-eve-12345";

/// With an admin, and Ada who may write in one vault.
fn with_ada(config: &mut Config) {
    with_root(config);
    config.users.push(user("ada", ADA, these(&["notes"]), Role::Write));
}

/// With an admin, and Ada who may write in one folder.
fn with_folder(config: &mut Config) {
    with_ada(config);
    let ada = config.users.last_mut().expect("there she is");
    ada.paths = Some(vec!["shared/".to_owned().try_into().expect("a prefix")]);
}

async fn put(server: &Server, path: &str, token: &str) -> Answer {
    let target = format!("/v1/vaults/notes/files/{path}");
    Request::new("PUT", &target).token(token).body("text").send(server.address()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_is_refused_before_its_body_is_read() {
    let server = Server::start_with(with_root).await;
    let promised = || Request::new("POST", "/v1/tickets").header("Content-Length", "4000");
    let answer = promised().head(server.address()).await;
    assert_eq!((answer.status, answer.code().as_str()), (401, "unauthorised"));
    let wrong = promised().token("a-token-of-nobody-at-all").head(server.address()).await;
    assert_eq!(wrong.status, 401);
    let long = Request::new("POST", "/v1/tickets").token(ROOT).body(vec![b' '; 17 << 10]);
    let long = long.head(server.address()).await;
    assert_eq!((long.status, &long.json()["details"]["bytes_max"]), (413, &json!(16 << 10)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_outlives_its_grant_is_not_written() {
    let server = Server::start_with(with_ada).await;
    let made = put(&server, "a.md", ADA).await;
    assert_eq!(made.status, 201);
    let tag = made.header("etag").to_owned();
    let mut waiting = Vec::new();
    let edits = r#"{"unit":"utf16","edits":[]}"#;
    for (method, target, body) in
        [("PUT", "files/a.md", "no"), ("PATCH", "files/a.md", edits), ("POST", "update/a.md", "no")]
    {
        let request = Request::new(method, &format!("/v1/vaults/notes/{target}")).token(ADA);
        let request = request.header("If-Match", &tag).header("Expect", "100-continue");
        let request = request.header("Content-Length", &body.len().to_string());
        let mut stream = request.open(server.address()).await;
        let mut said = [0; 25];
        stream.read_exact(&mut said).await.expect("it is told to go on");
        assert!(said.starts_with(b"HTTP/1.1 100 "), "the body is waited for");
        waiting.push((stream, body));
    }
    let mut config = Config::clone(&server.app().config());
    config.users.retain(|user| &*user.name != "ada");
    server.app().reload(config).expect("it is taken");
    for (mut stream, body) in waiting {
        stream.write_all(body.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        let read = tokio::time::timeout(SOON, stream.read_to_string(&mut answer)).await;
        read.expect("in time").expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    }
    let read = Request::new("GET", "/v1/vaults/notes/files/a.md").token(ROOT);
    assert_eq!(read.send(server.address()).await.text(), "text");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_taken_path_is_named_only_to_who_may_read_it() {
    let server = Server::start_with(with_folder).await;
    assert_eq!(put(&server, "SHARED", ROOT).await.status, 201);
    let told = put(&server, "shared/a.md", ROOT).await;
    assert_eq!((told.status, &told.json()["details"]["path"]), (409, &json!("SHARED")));
    let veiled = put(&server, "shared/a.md", ADA).await;
    assert_eq!((veiled.status, veiled.code().as_str()), (409, "path_taken"));
    assert!(!veiled.text().contains("SHARED"), "{}", veiled.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_right_only_now_is_kept_by_nobody() {
    let server = Server::start().await;
    let notes = Client::new(&server);
    let tag = notes.written("a.md", "text").await;
    for target in ["", "/files", "/files/a.md?meta=1", "/awareness/a.md", "/changes", "/sessions"] {
        let answer = notes.ask("GET", target).await;
        assert_eq!((answer.status, answer.header("cache-control")), (200, "no-store"), "{target}");
    }
    let vaults = notes.send(Request::new("GET", "/v1/vaults")).await;
    assert_eq!((vaults.status, vaults.header("cache-control")), (200, "no-store"));

    let meta = |name, tag: &str| notes.file("GET", "a.md?meta=1").header(name, tag);
    assert_eq!(notes.send(meta("If-None-Match", &tag)).await.status, 304);
    assert_eq!(notes.send(meta("If-Match", &tag)).await.status, 200);
    assert_eq!(notes.send(meta("If-Match", "\"another-1\"")).await.status, 412);
}

/// A user system that knows Eve, who may read everything.
async fn callback(tasks: Group) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let each = tasks.clone();
    tasks.spawn("callback", async move {
        while let Ok((stream, _)) = listener.accept().await {
            each.spawn("decision", decide(stream));
        }
    });
    url
}

async fn decide(mut stream: TcpStream) {
    let mut asked = Vec::new();
    while !asked.ends_with(b"}") {
        if stream.read_buf(&mut asked).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let is_known = String::from_utf8_lossy(&asked).contains(EVE);
    let (status, body) = match is_known {
        true => ("200 OK", r#"{"user":"eve","role":"read"}"#),
        false => ("401 Unauthorized", ""),
    };
    let length = body.len();
    let answer =
        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
    // Whoever asked may have gone.
    let _ = stream.write_all(answer.as_bytes()).await;
}

async fn with_callback() -> Server {
    let server = Server::start_with(with_root).await;
    let mut config = Config::clone(&server.app().config());
    let tasks = Group::new(server.app().metrics().task_panics.clone());
    let url = callback(tasks).await;
    config.auth_callback = Some(CallbackConfig { url, ..Default::default() });
    server.app().reload(config).expect("it is taken");
    server
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ids_of_sessions_cannot_be_probed() {
    let server = with_callback().await;
    let url = format!("{}/v1/vaults/notes/docs/a.md?token={EVE}", server.url());
    assert_eq!(put(&server, "a.md", ROOT).await.status, 201);
    let _session = Socket::open(&url).await.expect("she may");
    let list = Request::new("GET", "/v1/sessions").token(ROOT).send(server.address()).await.json();
    let live = list["sessions"][0]["id"].as_u64().expect("a number");
    let close = async |id: u64, token: &str| {
        let request = Request::new("DELETE", &format!("/v1/sessions/{id}")).token(token);
        let answer = request.send(server.address()).await;
        (answer.status, answer.json())
    };
    for token in [EVE, "a-token-of-nobody-at-all"] {
        let known = close(live, token).await;
        assert!([401, 403].contains(&known.0), "{known:?}");
        assert_eq!(known, close(live + 1000, token).await, "{token}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listing_asks_about_a_bounded_number_of_vaults() {
    let server = with_callback().await;
    let make = async |number: usize| {
        let request = Request::new("PUT", &format!("/v1/vaults/v{number}")).token(ROOT);
        assert_eq!(request.send(server.address()).await.status, 201);
    };
    let list =
        async |token| Request::new("GET", "/v1/vaults").token(token).send(server.address()).await;
    make(0).await;
    make(1).await;
    let listed: Value = list(EVE).await.json();
    let names: Vec<_> = listed["vaults"].as_array().expect("vaults").iter().collect();
    assert!(names.iter().any(|vault| vault["name"] == "v1"), "{listed}");
    assert_eq!(list("a-token-of-nobody-at-all").await.status, 401);
    for number in 2..102 {
        make(number).await;
    }
    let refused = list(EVE).await;
    assert_eq!((refused.status, refused.code().as_str()), (503, "try_later"));
    assert_eq!(refused.json()["details"]["vaults_max"], 100);
    assert_eq!(list(ROOT).await.status, 200, "nobody need be asked");

    let feeds = async |count: usize, token| {
        let since: Vec<String> = (0..count).map(|number| format!("v{number}:0")).collect();
        let target = format!("/v1/changes?since={}", since.join(","));
        Request::new("GET", &target).token(token).send(server.address()).await
    };
    assert_eq!(feeds(100, EVE).await.status, 200);
    let refused = feeds(101, EVE).await;
    assert_eq!((refused.status, refused.code().as_str()), (413, "batch_too_large"));
    assert_eq!(refused.json()["details"]["max"], 100);
    assert_eq!(feeds(101, ROOT).await.status, 200, "nobody need be asked");
}
