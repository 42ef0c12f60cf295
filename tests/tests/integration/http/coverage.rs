//! Every status that the description promises is met once, and no other ever comes.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use sheaf_server::auth::role::Role;
use sheaf_server::blob::Hash;
use sheaf_server::config::Config;
use sheaf_tests::http::Request;
use sheaf_tests::server::Server;
use yrs::{Doc, Map, ReadTxn, StateVector, Transact};

use super::access_matrix::keep;
use super::{ROOT, these, user, with_root};

const READER: &str = "the-token-of-the-reader-1";

/// Statuses that need a broken disk, a full server or a slow peer: tested where those are.
const NOT_HERE: [&str; 5] = ["408", "429", "500", "503", "507"];

fn configure(config: &mut Config) {
    with_root(config);
    config.users.push(user("reader", READER, these(&["v"]), Role::Read));
    config.vaults.auto_create = false;
    config.limits.message_bytes_max = 64 << 10;
    config.limits.text_bytes_max = 64 << 10;
    config.limits.file_bytes_max = 2 << 20;
}

/// A request by root: method and target, then what differs from a plain one.
struct Step(&'static str, &'static str, Vec<(&'static str, String)>, Vec<u8>);

fn step(method: &'static str, target: &'static str) -> Step {
    Step(method, target, Vec::new(), Vec::new())
}

impl Step {
    fn with(mut self, name: &'static str, value: impl Into<String>) -> Step {
        self.2.push((name, value.into()));
        self
    }

    fn body(mut self, body: impl Into<Vec<u8>>) -> Step {
        self.3 = body.into();
        self
    }
}

/// A document whose content is a map.
fn map_update() -> Vec<u8> {
    let doc = Doc::with_client_id(1);
    let map = doc.get_or_insert_map("tasks");
    map.insert(&mut doc.transact_mut(), "a", 1);
    doc.transact().encode_diff_v1(&StateVector::default())
}

fn ticket(valid_s: i64) -> String {
    json!({ "vault": "v", "role": "read", "valid_s": valid_s }).to_string()
}

const FILE: &str = "/v1/vaults/v/files/a.md";
const NO_BLOB: &str =
    "/v1/vaults/x/blobs/0000000000000000000000000000000000000000000000000000000000000000";
/// Of `bytes`.
const BLOB: &str =
    "/v1/vaults/v/blobs/277089d91c0bdf4f2e6862ba7e4a07605119431f5d13f726dd352b06f1b206a9";
const EDITS: &str = "{\"unit\":\"utf8\",\"edits\":[]}";
/// Block 1 of client 9, whose block 0 nobody has.
const GAP: &[u8] = b"\x01\x01\x09\x01\x84\x09\x00\x01b\x00";
/// An update whose only block is of a kind that does not exist here: a YXmlHook.
const HOOK: &[u8] = b"\x01\x01\x01\x00\x07\x01\x01x\x05\x04hook\x00";

fn reading() -> Vec<Step> {
    let stale = "\"00000000000000000000000000-1\"";
    vec![
        step("GET", "/v1/vaults"),
        step("GET", "/v1/vaults?x=1"),
        step("PUT", "/v1/vaults/ghost/files/a.md").body("x"),
        step("POST", "/v1/vaults/ghost/update/a.md").body(b"\x00\x00".to_vec()),
        step("PUT", "/v1/vaults/v"),
        step("PUT", "/v1/vaults/v"),
        step("PUT", "/v1/vaults/a%20b"),
        step("GET", "/v1/vaults/v"),
        step("GET", "/v1/vaults/v?x=1"),
        step("GET", "/v1/vaults/ghost"),
        step("PUT", FILE).body("text"),
        step("PUT", FILE).body("other text"),
        step("PUT", FILE).with("Sheaf-Base", "-1").body("text"),
        step("PUT", "/v1/vaults/v/files/bytes").body(b"\xff".to_vec()),
        step("PUT", FILE).with("If-None-Match", "*").body("x"),
        step("PUT", FILE).with("Content-Encoding", "br").body("x"),
        step("PUT", FILE).body("x".repeat(100 << 10)),
        step("POST", "/v1/vaults/v/update/m").body(map_update()),
        step("PUT", "/v1/vaults/v/files/m").body("text"),
        step("GET", "/v1/vaults/v/files"),
        step("GET", "/v1/vaults/v/files?limit=0"),
        step("GET", "/v1/vaults/ghost/files"),
        step("GET", FILE),
        step("GET", "/v1/vaults/v/files/a.md?versions=1"),
        step("GET", "/v1/vaults/v/activity"),
        step("GET", "/v1/vaults/v/activity?limit=0"),
        step("GET", "/v1/vaults/ghost/activity"),
        step("GET", FILE).with("If-None-Match", "*"),
        step("GET", FILE).with("If-Match", stale),
        step("GET", "/v1/vaults/v/files/a.md?roots=7"),
        step("GET", "/v1/vaults/v/files/none"),
        step("GET", "/v1/vaults/v/files/m"),
        step("HEAD", FILE),
        step("HEAD", FILE).with("If-None-Match", "*"),
        step("HEAD", FILE).with("If-Match", stale),
        step("HEAD", "/v1/vaults/v/files/a.md?roots=7"),
        step("HEAD", "/v1/vaults/v/files/none"),
        step("HEAD", "/v1/vaults/v/files/m"),
        step("GET", "/v1/vaults/v/update/a.md"),
        step("GET", "/v1/vaults/v/update/a.md").with("If-None-Match", "*"),
        step("GET", "/v1/vaults/v/update/a.md").with("If-Match", stale),
        step("GET", "/v1/vaults/v/update/a.md?sv=!"),
        step("GET", "/v1/vaults/v/update/none"),
        step("GET", "/v1/vaults/v/awareness/a.md"),
        step("GET", "/v1/vaults/v/awareness/a.md?x=1"),
        step("GET", "/v1/vaults/v/awareness/none"),
        step("GET", "/v1/vaults/v/changes"),
        step("GET", "/v1/vaults/v/changes?since=x"),
        step("GET", "/v1/vaults/v/changes?since=1.99"),
        step("GET", "/v1/vaults/ghost/changes"),
        step("POST", "/v1/vaults/v/changes").body("{\"items\":[]}"),
        step("POST", "/v1/vaults/v/changes").body("{}"),
        step("POST", "/v1/vaults/v/changes").body(" ".repeat(100 << 10)),
        step("POST", "/v1/vaults/v/changes").with("Content-Encoding", "br").body("{}"),
        step("POST", "/v1/vaults/ghost/changes").body("{\"items\":[]}"),
        step("GET", "/v1/time"),
        step("GET", "/v1/time?x=1"),
        step("GET", "/v1/changes"),
        step("GET", "/v1/changes?since=v:1.99,ghost:0"),
        step("GET", "/v1/changes?since=v"),
        step("GET", every_vault()),
    ]
}

/// More vaults than one request may name.
fn every_vault() -> &'static str {
    let names: Vec<String> = (0..1_001).map(|vault| format!("v{vault}:0")).collect();
    format!("/v1/changes?since={}", names.join(",")).leak()
}

fn writing() -> Vec<Step> {
    let stale = "\"00000000000000000000000000-1\"";
    let patch = || step("PATCH", FILE).with("If-Match", stale);
    vec![
        step("PATCH", FILE).with("If-Match", "current").body(EDITS),
        patch().body(EDITS),
        patch().body("{"),
        step("PATCH", FILE).body(EDITS),
        patch().with("Content-Encoding", "br").body(EDITS),
        patch().body(" ".repeat(5 << 20)),
        step("PATCH", "/v1/vaults/v/files/none").with("If-Match", stale).body(EDITS),
        step("PATCH", "/v1/vaults/v/files/m")
            .with("If-Match", "current")
            .body("{\"unit\":\"utf8\",\"edits\":[{\"op\":\"insert\",\"at\":0,\"text\":\"x\"}]}"),
        step("POST", "/v1/vaults/v/update/a.md").body(b"\x00\x00".to_vec()),
        step("POST", "/v1/vaults/v/update/a.md").body("x"),
        step("POST", "/v1/vaults/v/update/a.md").with("If-Match", stale).body(b"\x00\x00".to_vec()),
        step("POST", "/v1/vaults/v/update/a.md").body(GAP),
        step("POST", "/v1/vaults/v/update/a.md").body(HOOK),
        step("POST", "/v1/vaults/v/update/a.md").body("x".repeat(100 << 10)),
        step("POST", "/v1/vaults/v/files/a.md?move=m"),
        step("POST", "/v1/vaults/v/files/a.md?move=con"),
        step("POST", "/v1/vaults/v/files/a.md?move=b.md").with("If-Match", stale),
        step("POST", "/v1/vaults/v/files/a.md?move=b.md"),
        step("POST", "/v1/vaults/v/files/a.md?move=b.md"),
        step("DELETE", "/v1/vaults/v/files/b.md").with("If-Match", stale),
        step("DELETE", "/v1/vaults/v/files/b.md?x=1"),
        step("DELETE", "/v1/vaults/v/files/b.md").with("Sheaf-Base", "0"),
        step("PUT", "/v1/vaults/v/files/d/1.md").body("x"),
        step("POST", "/v1/vaults/v/files/d/?move=e/"),
        step("DELETE", "/v1/vaults/v/files/e/"),
        step("DELETE", "/v1/vaults/v/files/b.md"),
        step("DELETE", "/v1/vaults/v/files/b.md"),
        step("GET", "/v1/sessions"),
        step("GET", "/v1/sessions?x=1"),
        step("GET", "/v1/vaults/v/sessions"),
        step("GET", "/v1/vaults/v/sessions?x=1"),
        step("GET", "/v1/vaults/ghost/sessions"),
        step("DELETE", "/v1/sessions/999"),
        step("DELETE", "/v1/sessions/current"),
        step("DELETE", "/v1/sessions/999?x=1"),
        step("POST", "/v1/tickets").body(ticket(60)),
        step("POST", "/v1/tickets").body(ticket(-1)),
        step("POST", "/v1/tickets").with("Content-Encoding", "br").body(ticket(60)),
        step("POST", "/v1/tickets").body(" ".repeat(5 << 20)),
        step("DELETE", "/v1/vaults/v?x=1"),
        step("DELETE", "/v1/vaults/v"),
        step("DELETE", "/v1/vaults/v"),
    ]
}

/// A step that is not root's.
const BY_READER: &str = "By-Reader";

fn devices() -> Vec<Step> {
    const DEVICE: &str = "/v1/vaults/v/devices/b57a77385cbd4067";
    let ack = |device: &str, version: u64| {
        let body = json!({ "device": device, "version": version });
        step("POST", "/v1/vaults/v/ack").body(body.to_string())
    };
    let theirs = "0000000000000007";
    let long = json!({ "name": "x".repeat(300) }).to_string();
    vec![
        ack("b57a77385cbd4067", 0),
        ack("b57a77385cbd4067", 999),
        ack("7", 0),
        ack(theirs, 0).with(BY_READER, "1"),
        ack(theirs, 0),
        step("POST", "/v1/vaults/v/ack").body(" ".repeat(5 << 10)),
        step("POST", "/v1/vaults/v/ack").with("Content-Encoding", "br").body("{}"),
        step("POST", "/v1/vaults/ghost/ack")
            .body("{\"device\":\"b57a77385cbd4067\",\"version\":0}"),
        step("GET", "/v1/vaults/v/changes").with("Sheaf-Device", theirs),
        step("POST", "/v1/vaults/v/changes").with("Sheaf-Device", theirs).body("{\"items\":[]}"),
        step("GET", "/v1/vaults/v/devices"),
        step("GET", "/v1/vaults/v/devices?x=1"),
        step("GET", "/v1/vaults/ghost/devices"),
        step("PATCH", DEVICE).body("{\"name\":\"laptop\"}"),
        step("PATCH", DEVICE).body("{"),
        step("PATCH", DEVICE).body(long),
        step("PATCH", DEVICE).with("Content-Encoding", "br").body("{}"),
        step("PATCH", "/v1/vaults/v/devices/7").body("{}"),
        step("DELETE", "/v1/vaults/v/devices/b57a77385cbd4067?x=1"),
        step("DELETE", DEVICE),
        step("DELETE", DEVICE),
    ]
}

fn blobs() -> Vec<Step> {
    let ghost = BLOB.replace("/v/", "/ghost/").leak();
    let none = BLOB.replace("277", "000").leak();
    let put = || step("PUT", BLOB);
    let large = || step("PUT", none).with("Content-Range", "bytes 0-4/3000000").body("bytes");
    let chunk = vec![0; 1 << 20];
    let list = |hash: &str, count: usize| {
        let chunk = json!({ "hash": hash, "size": 1 << 20 });
        json!({ "chunks": vec![chunk; count] }).to_string()
    };
    let here = Hash::of(&chunk).to_string();
    let blob = |bytes: &[u8]| &*format!("/v1/vaults/v/blobs/{}", Hash::of(bytes)).leak();
    let mut steps = vec![
        step("POST", "/v1/vaults/v/blobs").body("{\"want\":[]}"),
        step("POST", "/v1/vaults/v/blobs").body("{\"want\":[\"x\"]}"),
        step("POST", "/v1/vaults/ghost/blobs").body("{\"want\":[]}"),
        step("POST", "/v1/vaults/v/blobs").body(" ".repeat(1 << 20)),
        step("POST", "/v1/vaults/v/blobs").with("Content-Encoding", "br").body("{}"),
        put().body("bytes"),
        put().body("bytes"),
        put().body("other"),
        put().with("Content-Range", "bytes 5-9/10").body("bytes"),
        put().with("Content-Range", "bytes 0-4/10").body("bytes"),
        put().with("Content-Range", "x").body("bytes"),
        large(),
        put().with("Content-Encoding", "br").body("bytes"),
        step("PUT", ghost).body("bytes"),
    ];
    for method in ["GET", "HEAD"] {
        steps.extend([
            step(method, BLOB),
            step(method, BLOB).with("If-None-Match", "*"),
            step(method, BLOB).with("If-Match", "\"x\""),
            step(method, none),
            step(method, ghost),
            step(method, "/v1/vaults/v/blobs/x"),
        ]);
    }
    steps.extend([
        step("GET", BLOB).with("Range", "bytes=0-1"),
        step("GET", BLOB).with("Range", "bytes=5-"),
        step("POST", BLOB).body(list(&"0".repeat(64), 2)),
        step("PUT", blob(&chunk)).body(chunk.clone()),
        step("POST", BLOB).body(list(&here, 2)),
        step("POST", blob(&[0; 2 << 20])).body(list(&here, 2)),
        step("POST", blob(&[0; 2 << 20])).body(list(&here, 2)),
        step("POST", BLOB).body(list(&here, 3)),
        step("POST", BLOB).body("{"),
        step("POST", BLOB).with("Content-Encoding", "br").body("{}"),
        step("POST", ghost).body(list(&here, 2)),
    ]);
    steps
}

/// What Y-Sweet's SDKs ask, in the vault `default`.
fn ysweet() -> Vec<Step> {
    let mut steps = vec![
        step("POST", "/doc/new").body("{}"),
        step("POST", "/d/plan/update").body(b"\x00\x00".to_vec()),
        step("POST", "/doc/plan/update").body(b"\x00\x00".to_vec()),
        step("PUT", "/v1/vaults/default"),
        step("POST", "/doc/new").body("{\"docId\":\"plan\"}"),
        step("POST", "/doc/new").body("{"),
        step("POST", "/doc/new").body(" ".repeat(5 << 20)),
        step("POST", "/doc/new").with("Content-Encoding", "br").body("{}"),
        step("POST", "/doc/plan/auth").body("{}"),
        step("POST", "/doc/none/auth").body("{}"),
        step("POST", "/doc/plan/auth").body("{\"validForSeconds\":0}"),
        step("POST", "/doc/plan/auth").body(" ".repeat(5 << 20)),
        step("POST", "/doc/plan/auth").with("Content-Encoding", "br").body("{}"),
    ];
    for (check, read, submit) in [
        ("POST", "/d/plan/as-update", "/d/plan/update"),
        ("GET", "/doc/plan/as-update", "/doc/plan/update"),
    ] {
        steps.extend([
            step(check, "/check_store?z=1"),
            step(check, "/check_store?x=1"),
            step("GET", read),
            step("POST", submit).body(b"\x00\x00".to_vec()),
            step("POST", submit).body("x"),
            step("POST", submit).body(GAP),
            step("POST", submit).body(HOOK),
            step("POST", submit).body("x".repeat(100 << 10)),
        ]);
    }
    steps.extend([
        step("GET", "/d/none/as-update"),
        step("GET", "/doc/none/as-update"),
        step("GET", "/d/a.b/as-update"),
        step("GET", "/doc/a.b/as-update"),
    ]);
    steps
}

/// What root cannot be refused.
fn refused() -> Vec<(&'static str, &'static str, &'static str)> {
    let every = [
        ("GET", "/v1/vaults", ""),
        ("GET", "/v1/vaults/x", ""),
        ("PUT", "/v1/vaults/x", ""),
        ("DELETE", "/v1/vaults/x", ""),
        ("GET", "/v1/vaults/x/files", ""),
        ("GET", "/v1/vaults/x/activity", ""),
        ("GET", "/v1/changes", ""),
        ("GET", "/v1/vaults/x/files/a", ""),
        ("HEAD", "/v1/vaults/x/files/a", ""),
        ("PUT", "/v1/vaults/x/files/a", "text"),
        ("PATCH", "/v1/vaults/x/files/a", EDITS),
        ("POST", "/v1/vaults/x/files/a?move=b", ""),
        ("DELETE", "/v1/vaults/x/files/a", ""),
        ("GET", "/v1/vaults/x/update/a", ""),
        ("POST", "/v1/vaults/x/update/a", "x"),
        ("GET", "/v1/vaults/x/awareness/a", ""),
        ("POST", "/v1/vaults/x/blobs", "{\"want\":[]}"),
        ("GET", NO_BLOB, ""),
        ("HEAD", NO_BLOB, ""),
        ("PUT", NO_BLOB, ""),
        ("POST", NO_BLOB, "{}"),
        ("GET", "/v1/vaults/x/changes", ""),
        ("POST", "/v1/vaults/x/changes", "{\"items\":[]}"),
        ("GET", "/v1/vaults/x/devices", ""),
        ("PATCH", "/v1/vaults/x/devices/b57a77385cbd4067", "{}"),
        ("DELETE", "/v1/vaults/x/devices/b57a77385cbd4067", ""),
        ("POST", "/v1/vaults/x/ack", "{}"),
        ("GET", "/v1/vaults/x/sessions", ""),
        ("GET", "/v1/sessions", ""),
        ("GET", "/v1/status", ""),
        ("DELETE", "/v1/sessions/1", ""),
        ("POST", "/v1/tickets", "{\"vault\":\"x\",\"role\":\"read\",\"valid_s\":1}"),
        ("POST", "/check_store", ""),
        ("GET", "/check_store", ""),
        ("POST", "/doc/new", "{}"),
        ("POST", "/doc/x/auth", "{}"),
        ("GET", "/d/x/as-update", ""),
        ("POST", "/d/x/update", "x"),
        ("GET", "/doc/x/as-update", ""),
        ("POST", "/doc/x/update", "x"),
    ];
    every.to_vec()
}

/// Statuses by operation.
type Seen = BTreeMap<String, BTreeSet<String>>;

fn note(seen: &mut Seen, description: &Value, request: (&str, &str), status: u16) {
    let path = request.1.split('?').next().expect("a path");
    let fits = |pattern: &&String| {
        let (own, theirs): (Vec<_>, Vec<_>) =
            (path.split('/').collect(), pattern.split('/').collect());
        let is_rest = theirs.last() == Some(&"{path}") && own.len() > theirs.len();
        (is_rest || own.len() == theirs.len())
            && own.iter().zip(&theirs).all(|(own, theirs)| own == theirs || theirs.starts_with('{'))
    };
    let paths = description["paths"].as_object().expect("paths");
    let pattern = paths.keys().find(fits).unwrap_or_else(|| panic!("{path} is described"));
    let operation = format!("{} {pattern}", request.0);
    seen.entry(operation).or_default().insert(status.to_string());
}

async fn run(server: &Server, description: &Value) -> Seen {
    let to = server.address();
    let mut seen = Seen::new();
    let steps = [reading(), devices(), blobs(), writing(), ysweet()];
    for Step(method, target, headers, body) in steps.into_iter().flatten() {
        let token = if headers.iter().any(|(name, _)| *name == BY_READER) { READER } else { ROOT };
        let mut request = Request::new(method, &target.replace("current", "1")).token(token);
        for (name, value) in headers {
            let value = if value == "current" {
                let current = Request::new("HEAD", target).header("If-None-Match", "*").token(ROOT);
                current.send(to).await.header("etag").to_owned()
            } else {
                value
            };
            request = request.header(name, &value);
        }
        let answer = if target.ends_with("/current") {
            let socket = format!("{}/v1/vaults/v/docs/a.md?token={ROOT}", server.url());
            let _socket = sheaf_tests::socket::Socket::open(&socket).await.expect("it connects");
            let sessions = Request::new("GET", "/v1/sessions").token(ROOT).send(to).await.json();
            let id = &sessions["sessions"][0]["id"];
            Request::new(method, &format!("/v1/sessions/{id}")).token(ROOT).send(to).await
        } else {
            request.body(body).send(to).await
        };
        note(&mut seen, description, (method, target), answer.status);
    }
    let status = Request::new("GET", "/v1/status?x=1").token(ROOT).send(to).await;
    note(&mut seen, description, ("GET", "/v1/status"), status.status);
    let status = Request::new("GET", "/v1/status").token(ROOT).send(to).await;
    note(&mut seen, description, ("GET", "/v1/status"), status.status);
    for (method, target, body) in refused() {
        for token in ["", READER] {
            let mut request = Request::new(method, target).body(body);
            if !token.is_empty() {
                request = request.token(token);
            }
            note(&mut seen, description, (method, target), request.send(to).await.status);
        }
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_status_that_is_described_is_met_and_no_other() {
    let server = Server::start_with(configure).await;
    let description = Request::new("GET", "/openapi.json").send(server.address()).await.json();
    let mut seen = run(&server, &description).await;
    // A list of vaults is empty for whoever may see none of them.
    // As the changes of all of them are; of one that is named it is told in the answer.
    for list in ["GET /v1/vaults", "GET /v1/changes"] {
        seen.entry(list.to_owned()).or_default().insert("403".to_owned());
    }
    // Who asks for the time is not asked who that is.
    for status in ["401", "403"] {
        seen.entry("GET /v1/time".to_owned()).or_default().insert(status.to_owned());
    }
    // Of more files than one change may be about; `vault::tree` tests that.
    for method in ["POST", "DELETE"] {
        let operation = format!("{method} /v1/vaults/{{vault}}/files/{{path}}");
        seen.entry(operation).or_default().insert("413".to_owned());
    }
    let mut table =
        format!("{:<46} statuses met (not met here: {})\n", "operation", NOT_HERE.join(" "));
    let mut wrong = Vec::new();
    let (mut operations, mut pairs) = (0, 0);
    for (path, item) in description["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let name = format!("{} {path}", method.to_uppercase());
            let met = seen.remove(&name).unwrap_or_default();
            let described: BTreeSet<String> =
                operation["responses"].as_object().expect("responses").keys().cloned().collect();
            let expected: BTreeSet<String> =
                described.iter().filter(|it| !NOT_HERE.contains(&it.as_str())).cloned().collect();
            if met != expected {
                wrong.push(format!("{name}: met {met:?}, described {expected:?}"));
            }
            operations += 1;
            pairs += met.len();
            let met: Vec<String> = met.into_iter().collect();
            table += &format!("{name:<46} {}\n", met.join(" "));
        }
    }
    table += &format!("{operations} operations, {pairs} pairs of operation and status\n");
    keep("http-statuses.txt", &table);
    assert!(wrong.is_empty(), "\n{}\n\n{table}", wrong.join("\n"));
}
