//! Every endpoint by every kind of caller, on a vault that exists and on one that does not.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;

use serde_json::json;
use sheaf_server::auth::role::Role;
use sheaf_server::blob::Hash;
use sheaf_server::config::Config;
use sheaf_tests::http::{Answer, Request};
use sheaf_tests::server::Server;

use super::{ROOT, these, user, with_root};

const EXISTS: &str = "papers";
const MISSING: &str = "ghosts";
const BLOB: &[u8] = b"bytes";

/// Who asks: the columns. `ticket` is good for one other document of the same vaults.
const CALLERS: [&str; 9] =
    ["none", "bad", "read", "write", "admin", "other", "ticket", "other-admin", "root"];

/// Method, target and, by caller, the statuses on a vault that exists and on one that does not.
/// `{v}` is the vault; what comes after a blank is the body's kind.
const ROWS: [(&str, &str, &str); 50] = [
    ("GET /v1/time", "200 200 200 200 200 200 200 200 200", "200 200 200 200 200 200 200 200 200"),
    (
        "POST /v1/vaults/{v}/changes push",
        "401 401 200 200 200 403 403 403 200",
        "401 401 404 200 200 403 403 403 200",
    ),
    (
        "GET /v1/vaults",
        "401 401 200 200 200 200 200 200 200",
        "401 401 200 200 200 200 200 200 200",
    ),
    (
        "GET /v1/vaults/{v}",
        "401 401 200 200 200 403 403 403 200",
        "401 401 404 404 404 403 403 403 404",
    ),
    (
        "PUT /v1/vaults/{v}",
        "401 401 403 403 200 403 403 403 200",
        "401 401 403 403 201 403 403 403 201",
    ),
    (
        "DELETE /v1/vaults/{v}",
        "401 401 403 403 204 403 403 403 204",
        "401 401 403 403 404 403 403 403 404",
    ),
    (
        "GET /v1/vaults/{v}/files",
        "401 401 200 200 200 403 403 403 200",
        "401 401 404 404 404 403 403 403 404",
    ),
    (
        "GET /v1/vaults/{v}/files?prefix=a/",
        "401 401 200 200 200 403 403 403 200",
        "401 401 404 404 404 403 403 403 404",
    ),
    (
        "GET /v1/vaults/{v}/activity",
        "401 401 200 200 200 403 403 403 200",
        "401 401 404 404 404 403 403 403 404",
    ),
    (
        "GET /v1/vaults/{v}/files/f.md",
        "401 401 200 200 200 403 403 403 200",
        "401 401 404 404 404 403 403 403 404",
    ),
    (
        "GET /v1/vaults/{v}/files/f.md?meta=1",
        "401 401 200 200 200 403 403 403 200",
        "401 401 404 404 404 403 403 403 404",
    ),
    (
        "GET /v1/vaults/{v}/files/f.md?roots=1",
        "401 401 200 200 200 403 403 403 200",
        "401 401 404 404 404 403 403 403 404",
    ),
    (
        "GET /v1/vaults/{v}/files/f.md?versions=1",
        "401 401 200 200 200 403 403 403 200",
        "401 401 404 404 404 403 403 403 404",
    ),
    (
        "GET /v1/vaults/{v}/files/f.md?at=999999",
        "401 401 404 404 404 403 403 403 404",
        "401 401 404 404 404 403 403 403 404",
    ),
    (
        "POST /v1/vaults/{v}/files/f.md?restore=999999",
        "401 401 403 404 404 403 403 403 404",
        "401 401 403 404 404 403 403 403 404",
    ),
    (
        "HEAD /v1/vaults/{v}/files/f.md",
        "401 401 200 200 200 403 403 403 200",
        "401 401 404 404 404 403 403 403 404",
    ),
    (
        "PUT /v1/vaults/{v}/files/f.md text",
        "401 401 403 200 200 403 403 403 200",
        "401 401 403 201 201 403 403 403 201",
    ),
    (
        "PATCH /v1/vaults/{v}/files/f.md edits",
        "401 401 403 412 412 403 403 403 412",
        "401 401 403 404 404 403 403 403 404",
    ),
    (
        "POST /v1/vaults/{v}/files/f.md?move=g.md",
        "401 401 403 200 200 403 403 403 200",
        "401 401 403 404 404 403 403 403 404",
    ),
    (
        "DELETE /v1/vaults/{v}/files/f.md",
        "401 401 403 204 204 403 403 403 204",
        "401 401 403 404 404 403 403 403 404",
    ),
    (
        "POST /v1/vaults/{v}/files/d/?move=e/",
        "401 401 403 200 200 403 403 403 200",
        "401 401 403 404 404 403 403 403 404",
    ),
    (
        "DELETE /v1/vaults/{v}/files/d/",
        "401 401 403 200 200 403 403 403 200",
        "401 401 403 404 404 403 403 403 404",
    ),
    (
        "GET /v1/changes?since={v}:0",
        "401 401 200 200 200 200 200 200 200",
        "401 401 200 200 200 200 200 200 200",
    ),
    (
        "GET /v1/vaults/{v}/update/f.md",
        "401 401 200 200 200 403 403 403 200",
        "401 401 404 404 404 403 403 403 404",
    ),
    (
        "POST /v1/vaults/{v}/update/f.md update",
        "401 401 403 200 200 403 403 403 200",
        "401 401 403 201 201 403 403 403 201",
    ),
    (
        "GET /v1/vaults/{v}/awareness/f.md",
        "401 401 200 200 200 403 403 403 200",
        "401 401 404 404 404 403 403 403 404",
    ),
    (
        "POST /v1/vaults/{v}/blobs want",
        "401 401 403 200 200 403 403 403 200",
        "401 401 403 404 404 403 403 403 404",
    ),
    (
        "GET /v1/vaults/{v}/blobs/BLOB",
        "401 401 200 200 200 403 403 403 200",
        "401 401 404 404 404 403 403 403 404",
    ),
    (
        "HEAD /v1/vaults/{v}/blobs/BLOB",
        "401 401 200 200 200 403 403 403 200",
        "401 401 404 404 404 403 403 403 404",
    ),
    (
        "PUT /v1/vaults/{v}/blobs/BLOB blob",
        "401 401 403 200 200 403 403 403 200",
        "401 401 403 404 404 403 403 403 404",
    ),
    (
        "POST /v1/vaults/{v}/blobs/BLOB list",
        "401 401 403 409 409 403 403 403 409",
        "401 401 403 404 404 403 403 403 404",
    ),
    (
        "GET /v1/vaults/{v}/changes",
        "401 401 200 200 200 403 403 403 200",
        "401 401 404 404 404 403 403 403 404",
    ),
    (
        "GET /v1/vaults/{v}/devices",
        "401 401 200 200 200 403 403 403 200",
        "401 401 404 404 404 403 403 403 404",
    ),
    (
        "PATCH /v1/vaults/{v}/devices/b57a77385cbd4067 doc",
        "401 401 403 404 404 403 403 403 404",
        "401 401 403 404 404 403 403 403 404",
    ),
    (
        "DELETE /v1/vaults/{v}/devices/b57a77385cbd4067",
        "401 401 403 404 404 403 403 403 404",
        "401 401 403 404 404 403 403 403 404",
    ),
    (
        "POST /v1/vaults/{v}/ack ack",
        "401 401 410 410 410 403 403 403 410",
        "401 401 404 404 404 403 403 403 404",
    ),
    (
        "GET /v1/vaults/{v}/sessions",
        "401 401 403 403 200 403 403 403 200",
        "401 401 403 403 404 403 403 403 404",
    ),
    (
        "GET /v1/sessions",
        "401 401 403 403 403 403 403 403 200",
        "401 401 403 403 403 403 403 403 200",
    ),
    (
        "GET /v1/status",
        "401 401 403 403 403 403 403 403 200",
        "401 401 403 403 403 403 403 403 200",
    ),
    (
        "DELETE /v1/sessions/12345",
        "401 401 403 403 403 403 403 403 404",
        "401 401 403 403 403 403 403 403 404",
    ),
    (
        "POST /v1/tickets ticket",
        "401 401 201 201 201 403 403 403 201",
        "401 401 201 201 201 403 403 403 201",
    ),
    (
        "GET /v1/vaults/{v}/docs/f.md upgrade",
        "401 401 101 101 101 403 403 403 101",
        "401 401 101 101 101 403 403 403 101",
    ),
    // Of the vault `default`, in which only root may do anything.
    (
        "POST /check_store",
        "401 401 403 403 403 403 403 403 200",
        "401 401 403 403 403 403 403 403 200",
    ),
    (
        "POST /doc/new doc",
        "401 401 403 403 403 403 403 403 200",
        "401 401 403 403 403 403 403 403 200",
    ),
    (
        "POST /doc/{v}/auth doc",
        "401 401 403 403 403 403 403 403 200",
        "401 401 403 403 403 403 403 403 404",
    ),
    (
        "GET /d/{v}/as-update",
        "401 401 403 403 403 403 403 403 200",
        "401 401 403 403 403 403 403 403 404",
    ),
    (
        "POST /d/{v}/update update",
        "401 401 403 403 403 403 403 403 200",
        "401 401 403 403 403 403 403 403 200",
    ),
    (
        "GET /d/{v}/ws/{v} upgrade",
        "401 401 403 403 403 403 403 403 101",
        "401 401 403 403 403 403 403 403 101",
    ),
    ("GET /ready", "200 200 200 200 200 200 200 200 200", "200 200 200 200 200 200 200 200 200"),
    (
        "GET /openapi.json",
        "200 200 200 200 200 200 200 200 200",
        "200 200 200 200 200 200 200 200 200",
    ),
];

fn configure(config: &mut Config) {
    with_root(config);
    // The table takes ten thousand requests, as fast as they are answered.
    config.limits.rate_requests_per_address_per_s = 100_000;
    config.limits.rate_requests_per_user_per_s = 100_000;
    let here = these(&[EXISTS, MISSING]);
    let elsewhere = these(&["elsewhere"]);
    config.users.extend([
        user("reader", "the-token-of-the-reader-1", here.clone(), Role::Read),
        user("writer", "the-token-of-the-writer-1", here.clone(), Role::Write),
        user("keeper", "the-token-of-the-keeper-1", here, Role::Admin),
        user("other", "the-token-of-the-other-11", elsewhere.clone(), Role::Write),
        user("boss", "the-token-of-the-boss-111", elsewhere, Role::Admin),
    ]);
}

fn request(row: &str, vault: &str) -> Request {
    let mut words = row.split(' ');
    let method = words.next().expect("a method");
    let target = words.next().expect("a target").replace("{v}", vault);
    let target = target.replace("BLOB", &Hash::of(BLOB).to_string());
    let request = Request::new(method, &target);
    match words.next() {
        None => request,
        Some("text") => request.body("some text\n"),
        Some("edits") => {
            let edits = json!({ "unit": "utf16", "edits": [] });
            request.header("If-Match", "\"another-1\"").json(&edits)
        }
        // `a` by client 1 in the root `content`.
        Some("update") => request
            .header("Content-Type", "application/octet-stream")
            .body(b"\x01\x01\x01\x00\x04\x01\x07content\x01a\x00".to_vec()),
        Some("push") => request.json(&json!({ "items": [] })),
        Some("want") => request.json(&json!({ "want": [] })),
        Some("blob") => request.body(BLOB),
        Some("list") => {
            let chunk = json!({ "hash": "0".repeat(64), "size": 1 << 20 });
            request.json(&json!({ "chunks": [chunk, chunk] }))
        }
        // Of a life that the vault never had, or it would be one of the callers' from then on.
        Some("ack") => request.json(&json!({ "device": "b57a77385cbd4067", "cursor": "1.1" })),
        Some("doc") => request.json(&json!({})),
        Some("ticket") => request.json(&json!({ "vault": vault, "role": "read", "valid_s": 60 })),
        Some("upgrade") => request
            .header("Upgrade", "websocket")
            .header("Connection", "Upgrade")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        Some(kind) => panic!("{kind}"),
    }
}

/// The vault that exists has one file, the other is not there.
async fn arrange(to: SocketAddr) {
    let root = |method, target: &str| Request::new(method, target).token(ROOT);
    for (name, may_be) in [(EXISTS, [200, 201]), ("elsewhere", [200, 201])] {
        let answer = root("PUT", &format!("/v1/vaults/{name}")).send(to).await;
        assert!(may_be.contains(&answer.status), "{}", answer.text());
    }
    let file = format!("/v1/vaults/{EXISTS}/files");
    let made = root("PUT", &format!("{file}/f.md")).body("text\n").send(to).await;
    assert!([200, 201].contains(&made.status), "{}", made.text());
    let made = root("PUT", &format!("{file}/d/1.md")).body("text\n").send(to).await;
    assert!([200, 201].contains(&made.status), "{}", made.text());
    let gone = root("DELETE", &format!("{file}/e/")).send(to).await;
    assert!([200, 404].contains(&gone.status), "{}", gone.text());
    let gone = root("DELETE", &format!("{file}/g.md")).send(to).await;
    assert!([204, 404].contains(&gone.status), "{}", gone.text());
    let blob = format!("/v1/vaults/{EXISTS}/blobs/{}", Hash::of(BLOB));
    let made = root("PUT", &blob).body(BLOB).send(to).await;
    assert!([200, 201].contains(&made.status), "{}", made.text());
    let gone = root("DELETE", &format!("/v1/vaults/{MISSING}")).send(to).await;
    assert!([204, 404].contains(&gone.status), "{}", gone.text());
    // For Y-Sweet's routes, a document of each name or none.
    let made = root("POST", "/doc/new").json(&json!({ "docId": EXISTS })).send(to).await;
    assert_eq!(made.status, 200, "{}", made.text());
    let gone = root("DELETE", &format!("/v1/vaults/default/files/{MISSING}")).send(to).await;
    assert!([204, 404].contains(&gone.status), "{}", gone.text());
}

/// A token of each caller for one vault.
async fn token(caller: &str, vault: &str, to: SocketAddr) -> Option<String> {
    let configured = match caller {
        "none" => return None,
        "bad" => "a-token-that-nobody-has-1",
        "read" => "the-token-of-the-reader-1",
        "write" => "the-token-of-the-writer-1",
        "admin" => "the-token-of-the-keeper-1",
        "other" => "the-token-of-the-other-11",
        "other-admin" => "the-token-of-the-boss-111",
        "root" => ROOT,
        _ => {
            let body =
                json!({ "vault": vault, "path": "other.md", "role": "write", "valid_s": 60 });
            let asked = Request::new("POST", "/v1/tickets").token("the-token-of-the-writer-1");
            let ticket = asked.json(&body).send(to).await.json();
            return Some(ticket["token"].as_str().expect("a token").to_owned());
        }
    };
    Some(configured.to_owned())
}

async fn ask(row: &str, caller: &str, vault: &str, to: SocketAddr) -> Answer {
    arrange(to).await;
    let token = token(caller, vault, to).await;
    let request = request(row, vault);
    let request = match token {
        Some(token) => request.token(&token),
        None => request,
    };
    if row.ends_with("upgrade") {
        return request.head(to).await;
    }
    request.send(to).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everyone_gets_exactly_what_the_table_says_and_nobody_learns_what_exists() {
    let server = Server::start_with(configure).await;
    let to = server.address();
    let mut matrix = format!("{:<46} vault    {}\n", "endpoint", CALLERS.join("  "));
    let mut wrong = Vec::new();
    for (row, on_existing, on_missing) in ROWS {
        let mut lines =
            [("exists", row), ("missing", "")].map(|(vault, row)| format!("{row:<46} {vault:<8}"));
        for (place, caller) in CALLERS.iter().enumerate() {
            let mut answers = Vec::new();
            for (line, (vault, wanted)) in
                lines.iter_mut().zip([(EXISTS, on_existing), (MISSING, on_missing)])
            {
                let answer = ask(row, caller, vault, to).await;
                let wanted = wanted.split(' ').nth(place).expect("a status a caller");
                if answer.status.to_string() != wanted {
                    let text = answer.text();
                    wrong.push(format!(
                        "{row} on {vault} by {caller}: {}, not {wanted}: {text}",
                        answer.status
                    ));
                }
                write!(line, " {:<width$}", answer.status, width = caller.len() + 1)
                    .expect("a String takes it");
                answers.push(answer);
            }
            let is_refused = |answer: &Answer| [401, 403].contains(&answer.status);
            if answers.iter().any(is_refused) && shown(&answers[0]) != shown(&answers[1]) {
                wrong.push(format!("{row} tells {caller} which vault exists: {answers:?}"));
            }
        }
        lines.iter().for_each(|line| matrix += &format!("{}\n", line.trim_end()));
    }
    keep("access-matrix.txt", &matrix);
    assert!(wrong.is_empty(), "\n{}\n\n{matrix}", wrong.join("\n"));
}

/// All that an answer shows, but the time.
fn shown(answer: &Answer) -> (u16, Vec<(String, String)>, String) {
    let headers = answer.headers.iter().filter(|(name, _)| name != "date").cloned().collect();
    (answer.status, headers, answer.text())
}

/// Keeps a table for whoever reads the results of a run.
pub(super) fn keep(name: &str, table: &str) {
    let out = Path::new(env!("CARGO_MANIFEST_DIR")).join("interop/out");
    std::fs::create_dir_all(&out).expect("a folder for results");
    std::fs::write(out.join(name), table).expect("written");
}
