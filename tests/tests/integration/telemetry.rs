//! What the real process tells a collector of traces and writes as JSON lines, and what neither of
//! them ever learns.

use std::path::Path;
use std::time::Duration;

use sheaf_client::replica::{Options, Replica};
use sheaf_tests::eventually::eventually;
use sheaf_tests::http::Request;
use sheaf_tests::process::Process;
use sheaf_tests::receiver::Receiver;

/// How long a machine that is busy with other tests may take for anything.
const SOON: Duration = Duration::from_secs(60);
/// The name of a document, which no span and no line of the usual level may hold.
const PATH: &str = "diary-of-ada";
/// What a token looks like.
const TOKEN: &str = "correct-horse-battery-staple";

fn config(dir: &Path, text: &str) -> String {
    use std::os::unix::fs::PermissionsExt;
    let path = dir.join("sheaf.toml");
    std::fs::write(&path, text).expect("written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("ours");
    path.to_str().expect("a path of ours is text").to_owned()
}

/// Writes to the document over a socket and reads it over HTTP, with the token in the query.
async fn work(process: &Process, traceparent: &str) {
    let token = Some(TOKEN.to_owned());
    let replica = Replica::connect(Options { token, ..Options::new(process.url(), PATH) });
    replica.synced(SOON).await.expect("synced");
    replica.insert(0, "dear diary").expect("inserted");
    replica.durable(SOON).await.expect("durable");
    drop(replica);
    let target = format!("/v1/vaults/default/files/{PATH}?token={TOKEN}");
    let request = Request::new("GET", &target).header("traceparent", traceparent);
    let answer = request.send(process.address()).await;
    assert!(answer.status < 500, "{}", answer.text());
}

fn holds(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_gets_spans_and_neither_a_token_nor_a_path() {
    let collector = Receiver::start().expect("a port");
    let dir = tempfile::tempdir().expect("a folder");
    let text = format!(
        "[telemetry]\notlp_endpoint = \"{}\"\nservice_name = \"sheaf-under-test\"\n\
         [[users]]\nname = \"ada\"\ntoken = \"{TOKEN}\"\nrole = \"admin\"\n",
        collector.origin()
    );
    let config = config(dir.path(), &text);
    let data = dir.path().join("data");
    let mut process = Process::start_with(&data, &["--config", &config]).expect("it starts");
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    work(&process, &format!("00-{trace}-00f067aa0ba902b7-01")).await;
    // What was written is loaded by the next start alone.
    assert!(process.terminate().expect("it runs"), "it stops in order");
    process.restart().expect("it starts again");
    work(&process, "no traceparent").await;
    assert!(process.terminate().expect("it runs"), "it stops in order, with what is left sent");
    let got = collector.got();
    assert!(!got.is_empty() && got.iter().all(|one| one.path == "/v1/traces"));
    let all = got.iter().flat_map(|one| one.body.clone()).collect::<Vec<u8>>();
    for wanted in ["sheaf-under-test", "request", "session", "fold", "document load"] {
        assert!(holds(&all, wanted.as_bytes()), "no {wanted} in what the collector got");
    }
    for wanted in ["http.request.method", "http.response.status_code", "y-websocket"] {
        assert!(holds(&all, wanted.as_bytes()), "no {wanted} in what the collector got");
    }
    let id: Vec<u8> = (0..16)
        .map(|at| u8::from_str_radix(&trace[2 * at..2 * at + 2], 16).expect("hex"))
        .collect();
    assert!(holds(&all, &id), "the caller's trace goes on");
    for never in [PATH, TOKEN, "dear diary", "ada", "/v1/"] {
        assert!(!holds(&all, never.as_bytes()), "{never} went to the collector");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_away_holds_nothing_up() {
    let dir = tempfile::tempdir().expect("a folder");
    // A port that nobody listens on.
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr());
    let text = format!("[telemetry]\notlp_endpoint = \"http://{}\"\n", free.expect("a port"));
    let config = config(dir.path(), &text);
    let data = dir.path().join("data");
    let mut process = Process::start_with(&data, &["--config", &config]).expect("it starts");
    work(&process, "no traceparent").await;
    assert!(process.terminate().expect("it runs"), "it stops in order all the same");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json_logs_are_one_object_a_line_with_the_same_keys() {
    let dir = tempfile::tempdir().expect("a folder");
    let data = dir.path().join("data");
    let mut process =
        Process::start_with(&data, &["--log-format", "json", "--log", "debug,sheaf_span=trace"])
            .expect("it starts");
    work(&process, "no traceparent").await;
    process.terminate().expect("it runs");
    eventually("the last line", SOON, || process.said().contains("\"stopped\"")).await;
    let said = process.said();
    let lines: Vec<&str> = said.lines().filter(|line| !line.starts_with("http://")).collect();
    assert!(lines.len() >= 4, "{said}");
    for line in lines {
        let object: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        for key in ["timestamp", "level", "message", "target"] {
            assert!(object.get(key).is_some_and(|value| value.is_string()), "no {key}: {line}");
        }
        for key in ["fields", "span", "spans"] {
            assert!(!object.contains_key(key), "{key} changes with what runs: {line}");
        }
        assert!(!line.contains(TOKEN), "{line}");
    }
}
