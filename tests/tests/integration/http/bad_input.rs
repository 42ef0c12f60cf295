//! What the interface says to names, bodies and headers that nobody should send.

use serde_json::{Value, json};
use sheaf_tests::http::Request;
use sheaf_tests::server::Server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Client;

/// Names that no file may be given, as they stand in a request's path.
const BAD_NAMES: [&str; 49] = [
    "..",
    "%2e%2e",
    "../x",
    "a/../b",
    "a/%2e%2e/b",
    "..%2fx",
    "a%2fb",
    "a%2Fb%2Fc",
    "%2fetc/passwd",
    "/etc/passwd",
    "a//b",
    "a/",
    ".",
    "./a",
    "a/./b",
    "%5cserver%5cshare",
    "a%5cb",
    "..%5cx",
    "c:x",
    "C%3A%5Cx",
    "a%00b",
    "%00",
    "a%0ab",
    "a%0d%0ab",
    "a%1bb",
    "a%7fb",
    "con",
    "CON",
    "nul.txt",
    "Aux",
    "com1",
    "LPT9.md",
    "dir/prn",
    "a.",
    "a%20",
    "dir./x",
    "dir%20/x",
    "a%3Fb",
    "a%2Ab",
    "a%22b",
    "%3Cscript%3E",
    "a%7Cb",
    "e%CC%81.md",
    "%E2%84%AB.md",
    "a%E2%80%AEb.md",
    "a%E2%80%8Bb%E2%80%8F",
    "con%2emd",
    "a%C2%85b",
    "COM%C2%B9",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_name_is_looked_up_exactly_and_never_made() {
    let server = Server::start().await;
    let notes = Client::new(&server);
    notes.written("b", "another file").await;
    let mut wrong = Vec::new();
    for name in BAD_NAMES {
        let put = notes.put(name, "text").await;
        if put.status != 400 || put.code() != "invalid_path" {
            wrong.push(format!("PUT {name}: {} {}", put.status, put.text()));
        }
        let update = notes.ask("POST", &format!("/update/{name}")).await;
        if update.status != 400 {
            wrong.push(format!("POST update {name}: {} {}", update.status, update.text()));
        }
        for method in ["GET", "DELETE"] {
            let answer = notes.send(notes.file(method, name)).await;
            if answer.status != 404 || answer.code() != "not_found" {
                wrong.push(format!("{method} {name}: {} {}", answer.status, answer.text()));
            }
        }
        let moved = notes.ask("POST", &format!("/files/b?move={name}")).await;
        // In a query an escaped slash is a slash.
        let is_path = ["a%2fb", "a%2Fb%2Fc"].contains(&name);
        if moved.status != if is_path { 200 } else { 400 } {
            wrong.push(format!("move to {name}: {} {}", moved.status, moved.text()));
        }
        if is_path {
            let back = notes.ask("POST", &format!("/files/{name}?move=b")).await;
            assert_eq!(back.status, 200, "{}", back.text());
        }
    }
    let listed = notes.ask("GET", "/files").await.json();
    assert_eq!(listed["files"].as_array().map(Vec::len), Some(1), "{listed}");
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_that_a_disk_would_confuse_are_told_from_each_other() {
    let server = Server::start().await;
    let notes = Client::new(&server);
    notes.written("Caf%C3%A9/Notes.md", "first").await;
    for alias in ["caf%C3%A9/notes.md", "CAF%C3%89/NOTES.MD", "Caf%C3%A9/notes.md"] {
        let answer = notes.put(alias, "second").await;
        assert_eq!((answer.status, answer.code().as_str()), (409, "path_taken"), "{alias}");
        assert_eq!(answer.json()["details"]["path"], "Café/Notes.md");
        assert_eq!(notes.get(alias).await.status, 404, "lookups are exact");
    }
    let nfd = notes.put("Cafe%CC%81/Notes.md", "second").await;
    assert_eq!(nfd.code(), "invalid_path");
    assert_eq!(notes.get("Caf%C3%A9/Notes.md").await.text(), "first");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_of_five_thousand_characters_is_refused_in_words() {
    let server = Server::start().await;
    let notes = Client::new(&server);
    let long = "x".repeat(5000);
    for method in ["GET", "HEAD", "PUT", "PATCH", "POST", "DELETE"] {
        let answer = notes.send(notes.file(method, &long)).await;
        assert_eq!(answer.status, 400, "{method}");
        if method != "HEAD" {
            assert_eq!(answer.code(), "invalid_path", "{method}");
        }
    }
    for rest in ["update", "awareness"] {
        assert_eq!(notes.ask("GET", &format!("/{rest}/{long}")).await.code(), "invalid_path");
    }
    let to = format!("/files/b?move={long}");
    notes.written("b", "text").await;
    assert_eq!(notes.ask("POST", &to).await.code(), "invalid_path");
    let parts = format!("{}/x", "d/".repeat(600));
    assert_eq!(notes.put(&parts, "x").await.code(), "invalid_path");
    assert_eq!(notes.put(&"p".repeat(256), "x").await.code(), "invalid_path");
    assert_eq!(notes.put(&"p".repeat(255), "x").await.status, 201);
    let vault = Request::new("PUT", &format!("/v1/vaults/{long}")).send(server.address()).await;
    assert_eq!((vault.status, vault.code().as_str()), (400, "invalid_path"));
    for bad in ["..", "a%2fb", "a%00", "%20", "%C3%A9"] {
        let target = format!("/v1/vaults/{bad}");
        let made = Request::new("PUT", &target).send(server.address()).await;
        assert_eq!((made.status, made.code().as_str()), (400, "invalid_path"), "{bad}");
        let read = Request::new("GET", &target).send(server.address()).await;
        assert_eq!(read.code(), "not_found", "{bad}");
    }
    assert_eq!(notes.put("%ff%fe", "x").await.code(), "invalid_path");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_method_that_a_path_does_not_have_is_told_which_it_has() {
    let server = Server::start().await;
    let to = server.address();
    for (target, allowed) in [
        ("/v1/vaults", "HEAD, GET"),
        ("/v1/vaults/notes", "HEAD, GET, PUT, DELETE"),
        ("/v1/vaults/notes/files", "HEAD, GET"),
        ("/v1/vaults/notes/files/a/b.md", "HEAD, GET, PUT, PATCH, POST, DELETE"),
        ("/v1/vaults/notes/update/a.md", "HEAD, GET, POST"),
        ("/v1/vaults/notes/awareness/a.md", "HEAD, GET"),
        ("/v1/vaults/notes/changes", "HEAD, GET, POST"),
        ("/v1/vaults/notes/sessions", "HEAD, GET"),
        ("/v1/sessions", "HEAD, GET"),
        ("/v1/status", "HEAD, GET"),
        ("/v1/sessions/7", "DELETE"),
        ("/v1/tickets", "POST"),
        ("/openapi.json", "HEAD, GET"),
        ("/healthz", "HEAD, GET"),
        ("/metrics", "HEAD, GET"),
    ] {
        for method in ["GET", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"] {
            if allowed.split(", ").any(|known| known == method) {
                continue;
            }
            let answer = Request::new(method, target).send(to).await;
            assert_eq!(answer.status, 405, "{method} {target}: {}", answer.text());
            assert_eq!(answer.code(), "method_not_allowed");
            assert_eq!(answer.header("allow"), allowed, "{target}");
        }
    }
    for target in [
        "/v1",
        "/v1/",
        "/v1/vaults/",
        "/v1/vaults/notes/",
        "/v1/nothing",
        "/v1/vaults/notes/nothing/x",
        "/v1/sessions/7/x",
        "/v2/vaults",
    ] {
        let answer = Request::new("GET", target).send(to).await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"), "{target}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_and_waits_have_the_bounds_that_are_told() {
    let server = Server::start_with(|config| {
        config.limits.page_items_max = 3;
        config.limits.wait_s_max = 1;
        config.limits.text_bytes_max = 2048;
    })
    .await;
    let notes = Client::new(&server);
    for name in ["a", "b", "c", "d"] {
        assert_eq!(notes.put(name, "text").await.status, 201);
    }
    let limits = notes.ask("GET", "").await.json()["limits"].clone();
    let told = ["page_items", "wait_s", "document_bytes", "file_bytes", "frame_bytes"]
        .map(|bound| limits[bound].as_u64().expect("a bound"));
    assert_eq!(told, [3, 1, 2048, 512 << 20, 16 << 20]);
    let listed = |answer: &Value, what: &str| answer[what].as_array().expect("a list").len();
    for (target, what) in [
        ("/files", "files"),
        ("/changes", "changes"),
        ("/files/a?versions=1", "versions"),
        ("/activity", "versions"),
    ] {
        let with = |limit: &str| {
            format!("{target}{}{limit}", if target.contains('?') { '&' } else { '?' })
        };
        let all = notes.ask("GET", target).await.json();
        assert!(listed(&all, what) <= 3, "{target}: {all}");
        assert_eq!(notes.ask("GET", &with("limit=3")).await.status, 200, "{target}");
        let over = notes.ask("GET", &with("limit=4")).await;
        assert_eq!((over.status, over.code().as_str()), (400, "malformed"), "{target}");
        assert_eq!(over.json()["details"]["parameter"], "limit");
    }
    let over = notes.ask("GET", "/changes?wait=2").await;
    assert_eq!((over.status, &over.json()["details"]["parameter"]), (400, &json!("wait")));
    // A wait ends at its time, with nothing to tell and the place that it began at.
    let end = notes.ask("GET", "").await.json()["cursor"].clone();
    let end = end.as_str().expect("a cursor");
    let time = async || notes.send(Request::new("GET", "/v1/time")).await.json();
    let begun = time().await["server_time_ms"].as_u64().expect("a time");
    let none = notes.ask("GET", &format!("/changes?since={end}&wait=1")).await.json();
    let ended = time().await["server_time_ms"].as_u64().expect("a time");
    assert!(ended >= begun + 1000, "{none}");
    assert_eq!(none, json!({ "changes": [], "cursor": end, "more": false }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_time_is_told_to_anybody() {
    let server = Server::start_with(super::with_root).await;
    let time = Request::new("GET", "/v1/time").send(server.address()).await;
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_millis();
    let told = time.json()["server_time_ms"].as_u64().expect("a time");
    assert!(time.status == 200 && told.abs_diff(since as u64) < 60_000, "{}", time.text());
    assert_eq!(time.json()["clock_drift_ms"], 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_is_too_large_is_refused_before_it_is_read() {
    let server = Server::start_with(|config| config.limits.text_bytes_max = 64 << 10).await;
    let notes = Client::new(&server);
    let mut stream = TcpStream::connect(server.address()).await.expect("it listens");
    let head = "PUT /v1/vaults/notes/files/big.md HTTP/1.1\r\nHost: localhost\r\n\
                Content-Length: 99999999999\r\nConnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    // Not a byte of the body was sent, and the answer comes all the same.
    tokio::time::timeout(super::SOON, stream.read_to_string(&mut answer))
        .await
        .expect("in time")
        .expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("\"file_too_large\""), "{answer}");

    let chunked = "PUT /v1/vaults/notes/files/big.md HTTP/1.1\r\nHost: localhost\r\n\
                   Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
    let mut stream = TcpStream::connect(server.address()).await.expect("it listens");
    stream.write_all(chunked.as_bytes()).await.expect("sent");
    let chunk = format!("8000\r\n{}\r\n", "x".repeat(0x8000));
    for _ in 0..4 {
        // It may have closed by now.
        let _ = stream.write_all(chunk.as_bytes()).await;
    }
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(super::SOON, stream.read_to_end(&mut answer)).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert_eq!(notes.get("big.md").await.status, 404);
    let fits = notes.put("big.md", &"x".repeat(32 << 10)).await;
    assert_eq!(fits.status, 201, "{}", fits.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_is_not_what_it_should_be_is_told_where() {
    let server = Server::start().await;
    let notes = Client::new(&server);
    let latin = notes.file("PUT", "a.md").header("Content-Type", "text/plain");
    let latin = latin.body(b"caf\xe9".to_vec());
    let answer = notes.send(latin).await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "malformed"));
    assert_eq!(answer.json()["details"]["at"], 3);
    let forgotten = notes.send(notes.file("PUT", "a.md")).await;
    assert_eq!((forgotten.status, forgotten.code().as_str()), (400, "malformed"));
    let charset = notes.file("PUT", "a.md").header("Content-Type", "text/plain; charset=latin1");
    assert_eq!(notes.send(charset.body("x")).await.status, 415);
    for (coding, status) in [("br", 415), ("gzip, gzip", 415), ("gzip", 400), ("zstd", 400)] {
        let packed = notes.file("PUT", "a.md").header("Content-Encoding", coding).body("x");
        assert_eq!(notes.send(packed).await.status, status, "{coding}");
    }
    assert_eq!(notes.get("a.md").await.status, 404);

    let tag = notes.written("a.md", "text").await;
    for (bad, line) in [
        ("", 1),
        ("{", 1),
        ("null", 1),
        ("[]", 1),
        ("{}", 1),
        ("{\n  \"unit\": \"utf8\",\n}", 3),
        ("{\"unit\":\"utf9\",\"edits\":[]}", 1),
        ("{\"unit\":\"utf8\"}", 1),
        ("{\"unit\":\"utf8\",\"edits\":{}}", 1),
        ("{\"unit\":\"utf8\",\"edits\":[],\"x\":1}", 1),
        ("{\"unit\":\"utf8\",\"edits\":[{\"op\":\"insert\",\"at\":-1,\"text\":\"\"}]}", 1),
        ("{\"unit\":\"utf8\",\"edits\":[{\"op\":\"insert\",\"at\":1.5,\"text\":\"\"}]}", 1),
        ("{\"unit\":\"utf8\",\"edits\":[{\"op\":\"insert\",\"at\":0}]}", 1),
        ("{\"unit\":\"utf8\",\"edits\":[{\"op\":\"erase\",\"at\":0}]}", 1),
        ("{\"unit\":\"utf8\",\"edits\":[{\"op\":\"delete\",\"at\":0,\"len\":1,\"y\":2}]}", 1),
        ("{\"unit\":\"utf8\",\"edits\":[]} trailing", 1),
        ("{\"unit\":\"utf8\",\"edits\":[\"\\ud800\"]}", 1),
    ] {
        let patch = notes.file("PATCH", "a.md").header("If-Match", &tag).body(bad);
        let answer = notes.send(patch).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "malformed"), "{bad}");
        assert_eq!(answer.json()["details"]["line"], line, "{bad}: {}", answer.text());
    }
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let patch = notes.file("PATCH", "a.md").header("If-Match", &tag).body(deep);
    assert_eq!(notes.send(patch).await.status, 400);
    for bad in ["", "\0", "\u{1}\u{1}", "not an update"] {
        let post = Request::new("POST", "/v1/vaults/notes/update/a.md").body(bad);
        assert_eq!(notes.send(post).await.code(), "malformed", "{bad:?}");
    }
    for bad in [
        "{\"vault\":\"a b\",\"role\":\"read\",\"valid_s\":1}",
        "{\"vault\":\"a\",\"role\":\"owner\",\"valid_s\":1}",
        "{\"vault\":\"a\",\"role\":\"read\",\"valid_s\":-1}",
        "{\"vault\":\"a\",\"role\":\"read\",\"valid_s\":0}",
        "{\"vault\":\"a\",\"role\":\"read\",\"valid_s\":99999999999}",
        "{\"vault\":1,\"role\":\"read\",\"valid_s\":1}",
    ] {
        let post = Request::new("POST", "/v1/tickets").body(bad).send(server.address()).await;
        assert_eq!(post.status, 400, "{bad}: {}", post.text());
    }
    assert_eq!(notes.get("a.md").await.text(), "text");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_and_queries_that_make_no_sense_are_refused() {
    let server = Server::start().await;
    let notes = Client::new(&server);
    notes.written("a.md", "text").await;
    for bad in ["a", "\"a", "W/a", "w/\"a\"", "\"a\" \"b\"", "", ",", "*,\"a\"", "\"a\"b"] {
        for name in ["If-Match", "If-None-Match"] {
            for method in ["GET", "PUT"] {
                let answer = notes.send(notes.file(method, "a.md").header(name, bad)).await;
                assert_eq!(
                    (answer.status, answer.code().as_str()),
                    (400, "malformed"),
                    "{name} {bad}"
                );
            }
        }
    }
    for target in [
        "/files?limit=0",
        "/files?limit=1001",
        "/files?limit=x",
        "/files?limit=-1",
        "/files?limit=",
        "/files?limit=1&limit=2",
        "/files?unknown=1",
        "/files?prefix=%ff",
        "/files/a.md?roots=2",
        "/files/a.md?meta=yes",
        "/changes?since=x",
        "/changes?since=1",
        "/changes?since=-1.0",
        "/changes?since=1.2.3.4",
        "/changes?since=99999999999999999999.0",
        "/changes?since=",
        "/changes?wait=x",
        "/changes?wait=56",
        "/changes?limit=0",
        "/update/a.md?sv=%21",
        "/update/a.md?sv=AA%2F%2F%2Fw",
        "/update/a.md?sv=AQ",
        "/awareness/a.md?x=1",
        "?x=1",
        "/sessions?x",
    ] {
        let answer = notes.ask("GET", target).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "malformed"), "{target}");
    }
    for id in ["x", "-1", "1.0", "99999999999999999999", "%31x"] {
        let kick = Request::new("DELETE", &format!("/v1/sessions/{id}"));
        assert_eq!(notes.send(kick).await.code(), "not_found", "{id}");
    }
    let two = notes.file("PUT", "a.md").header("Content-Length", "3").body("longer");
    let mut stream = two.open(server.address()).await;
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    let hosts =
        notes.file("GET", "a.md").header("Host", "localhost").header("Host", "evil.example");
    assert_eq!(notes.send(hosts).await.status, 403);
    let event = notes.file("GET", "a.md").header("Last-Event-ID", "x");
    assert_eq!(notes.send(event).await.status, 200, "it means something to the feed alone");
    assert_eq!(notes.get("a.md").await.text(), "text");
}
