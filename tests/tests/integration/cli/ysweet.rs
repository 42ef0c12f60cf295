//! `sheaf ysweet` and `sheaf token ysweet`: a server started as Y-Sweet's is, and its keys.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use serde_json::json;
use sheaf_tests::http::Request;
use sheaf_tests::process::binary;

use super::{arg, private_file, sheaf};

/// A process that goes with its test.
struct Serving(Child, SocketAddr);

impl Drop for Serving {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts `sheaf ysweet serve` on a free port.
fn serve(arguments: &[&str], environment: &[(&str, &str)]) -> Serving {
    let mut command = Command::new(binary().expect("the binary"));
    command.args(["ysweet", "serve", "--port", "0"]).args(arguments);
    for (name, _) in std::env::vars_os() {
        if ["SHEAF_", "Y_SWEET_", "PORT"].iter().any(|it| name.to_string_lossy().starts_with(it)) {
            command.env_remove(name);
        }
    }
    command.envs(environment.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("it starts");
    let mut line = String::new();
    let out = child.stdout.take().expect("piped");
    BufReader::new(out).read_line(&mut line).expect("a line");
    let address = line.trim().trim_start_matches("http://").trim_end_matches('/');
    let address = address.parse().unwrap_or_else(|_| panic!("no address: {line}"));
    Serving(child, address)
}

async fn make(to: SocketAddr, token: &str) -> u16 {
    let request = Request::new("POST", "/doc/new").token(token);
    request.json(&json!({ "docId": "plan" })).send(to).await.status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_is_started_by_their_flags_and_let_into_by_the_token_of_its_key() {
    let made = sheaf(&["ysweet", "gen-auth", "--json"]).ends_with(0).json();
    let key = made["private_key"].as_str().expect("a key");
    let token = made["server_token"].as_str().expect("a token");
    assert_eq!(made.as_object().expect("an object").len(), 2);
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data = dir.path().join("data");
    let flags = ["--host", "127.0.0.1", "--auth", key, "--prod", arg(&data)];
    let serving = serve(&flags, &[]);
    assert_eq!(make(serving.1, token).await, 200);
    assert_eq!(make(serving.1, key).await, 401);
    assert_eq!(make(serving.1, "undefined").await, 401);
    let ready = Request::new("GET", "/ready").send(serving.1).await;
    assert_eq!(ready.json(), json!({ "ok": true }));
    let asked = Request::new("POST", "/doc/plan/auth").token(token).json(&json!({}));
    let client = asked.send(serving.1).await.json();
    let client = client["token"].as_str().expect("a token").to_owned();
    drop(serving);

    // Started again, with the key out of sight, old tokens are good.
    let environment = [("Y_SWEET_AUTH", key), ("Y_SWEET_STORE", arg(&data))];
    let serving = serve(&["--url-prefix", "https://a.example"], &environment);
    let read = Request::new("GET", "/d/plan/as-update").token(&client).send(serving.1).await;
    assert_eq!(read.body, [0, 0]);
    let asked = Request::new("POST", "/doc/plan/auth").token(token).json(&json!({}));
    assert_eq!(asked.send(serving.1).await.json()["url"], "wss://a.example/d/plan/ws");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_key_it_is_open_to_its_own_machine() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let serving = serve(&[arg(&dir.path().join("data"))], &[]);
    assert_eq!(make(serving.1, "undefined").await, 200);
    let data = dir.path().join("other");
    let open = ["ysweet", "serve", "--host", "0.0.0.0", "--port", "0", arg(&data)];
    let refused = sheaf(&open).ends_with(2);
    assert!(refused.err.contains("--allow-anonymous"), "{}", refused.err);
}

#[test]
fn what_it_cannot_be_started_with_is_told() {
    for (arguments, word) in [
        (&["serve"][..], "DIR"),
        (&["serve", "s3://bucket/prefix"], "no directory"),
        (&["serve", "--auth", "short", "data"], "gen-auth"),
        (&["serve", "--url-prefix", "a.example", "data"], "https://"),
        (&["convert-from-update"], "unrecognized"),
    ] {
        let run = sheaf(&[&["ysweet"], arguments].concat()).ends_with(2);
        assert!(run.err.contains(word), "{arguments:?}: {}", run.err);
    }
}

#[test]
fn gen_auth_tells_people_what_goes_where() {
    let one = sheaf(&["ysweet", "gen-auth"]).ends_with(0).out;
    assert!(one.contains("--auth") && one.contains("ys://"), "{one}");
    assert_ne!(one, sheaf(&["ysweet", "gen-auth"]).out);
}

#[test]
fn the_token_of_a_backend_is_printed_as_a_connection_string() {
    let here = sheaf(&["token", "ysweet"]).ends_with(0).out;
    let (string, rest) = here.split_once('\n').expect("lines");
    let token = string.strip_prefix("ys://").and_then(|it| it.strip_suffix("@127.0.0.1:1234"));
    assert_eq!(token.map(str::len), Some(43), "{string}");
    assert!(!rest.contains(token.expect("there")), "it is shown once");
    let lines = &rest[rest.find("[[users]]").expect("lines for the configuration")..];
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = private_file(dir.path(), "sheaf.toml", lines);
    sheaf(&["config", "check", "--config", arg(&file)]).ends_with(0);
    let there = ["token", "ysweet", "--server", "https://a.example/sync/"];
    let there = sheaf(&there).ends_with(0).out;
    let string = there.lines().next().expect("a line");
    assert!(string.starts_with("yss://") && string.ends_with("@a.example/sync"), "{string}");
    sheaf(&["token", "ysweet", "--server", "a.example"]).ends_with(2);
}
