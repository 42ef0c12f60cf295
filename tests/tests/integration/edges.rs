//! The edges as an operator and an attacker meet them: who may connect, how long a request may
//! take, where the configuration comes from, how the process starts and ends.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use sheaf_protocol::frame;
use sheaf_server::app::{Ambient, App, Error};
use sheaf_server::auth::Role;
use sheaf_server::auth::users::UserConfig;
use sheaf_server::config::Config;
use sheaf_tests::eventually::eventually;
use sheaf_tests::process::{Process, binary};
use sheaf_tests::socket::Socket;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use yrs::{ReadTxn, StateVector, Text, Transact};

/// For what is local and should be immediate.
const SOON: Duration = Duration::from_secs(20);
const TOKEN: &str = "a token of twenty-eight bytes";

/// A server in this process, with its data.
struct Server {
    app: App,
    _data: TempDir,
}

impl Server {
    async fn start(change: impl FnOnce(&mut Config)) -> Server {
        let data = tempfile::tempdir().expect("a temporary directory");
        let mut config = config(data.path());
        change(&mut config);
        let app = App::start(config, Ambient::system()).await.expect("it starts");
        Server { app, _data: data }
    }

    fn address(&self) -> SocketAddr {
        self.app.addresses()[0]
    }

    /// Sends a request with these headers and returns the whole answer, head and body.
    async fn ask(&self, path: &str, headers: &[(&str, &str)]) -> String {
        let headers: String =
            headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let request = format!("GET {path} HTTP/1.1\r\nConnection: close\r\n{headers}\r\n");
        self.say(request.as_bytes()).await
    }

    /// The status of an upgrade request with these headers; 101 if it is granted.
    async fn upgrade(&self, path: &str, headers: &[(&str, &str)]) -> u16 {
        let headers: String =
            headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let request = format!(
            "GET {path} HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             {headers}\r\n"
        );
        let mut stream = TcpStream::connect(self.address()).await.expect("it listens");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut head = [0; 12];
        timeout(SOON, stream.read_exact(&mut head)).await.expect("in time").expect("an answer");
        status(&String::from_utf8_lossy(&head))
    }

    async fn say(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address()).await.expect("it listens");
        stream.write_all(bytes).await.expect("sent");
        let mut answer = String::new();
        let read = timeout(SOON, stream.read_to_string(&mut answer)).await;
        read.expect("closed in time").expect("text");
        answer
    }
}

fn config(data: &Path) -> Config {
    Config {
        listen: Some(vec![([127, 0, 0, 1], 0).into()]),
        data: Some(data.to_owned()),
        ..Config::default()
    }
}

fn ada() -> UserConfig {
    UserConfig::new("ada", TOKEN, Role::Write)
}

fn status(answer: &str) -> u16 {
    let digits = answer.split(' ').nth(1).and_then(|digits| digits.get(..3));
    digits.and_then(|digits| digits.parse().ok()).expect("an HTTP answer")
}

/// The body of an error, checked to be in the one shape.
fn error_code(answer: &str) -> String {
    let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
    let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
    assert!(body["message"].is_string() && body["retryable"].is_boolean(), "{body}");
    assert!(body["details"].is_object(), "{body}");
    body["code"].as_str().expect("a code").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_rebound_to_loopback_gets_nothing() {
    let server = Server::start(|_| {}).await;
    for path in ["/", "/metrics", "/healthz", "/v1/vaults"] {
        let answer = server.ask(path, &[("Host", "evil.example:1234")]).await;
        assert_eq!(status(&answer), 403, "{path}");
        assert_eq!(error_code(&answer), "forbidden");
    }
    let rebound = [("Host", "evil.example"), ("Origin", "http://evil.example")];
    assert_eq!(server.upgrade("/room", &rebound).await, 403);
    assert_eq!(server.upgrade("/room", &[("Host", "localhost")]).await, 101);
    assert_eq!(status(&server.ask("/metrics", &[("Host", "[::1]:1234")]).await), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_from_elsewhere_gets_403_before_the_upgrade() {
    let server = Server::start(|config| {
        config.origins = vec!["https://app.example".to_owned()];
    })
    .await;
    let from = |origin| [("Host", "127.0.0.1:1234"), ("Origin", origin)];
    for evil in ["https://evil.example", "null", "https://app.example.evil.example"] {
        assert_eq!(server.upgrade("/room", &from(evil)).await, 403, "{evil}");
        assert_eq!(status(&server.ask("/", &from(evil)).await), 403, "{evil}");
    }
    for known in ["http://127.0.0.1:1234", "http://localhost:5173", "https://app.example"] {
        assert_eq!(server.upgrade("/room", &from(known)).await, 101, "{known}");
    }
    let counted = "sheaf_refused_total{code=\"forbidden\"} 6";
    assert!(server.app.metrics().text().contains(counted));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_may_not_publish_a_server_that_is_open_on_loopback() {
    let server = Server::start(|_| {}).await;
    for header in ["Forwarded", "X-Forwarded-For", "X-Forwarded-Proto"] {
        let headers = [("Host", "localhost"), (header, "203.0.113.7")];
        assert_eq!(server.upgrade("/room", &headers).await, 403, "{header}");
        assert_eq!(status(&server.ask("/", &headers).await), 403, "{header}");
    }
    let guarded = Server::start(|config| config.users = vec![ada()]).await;
    let headers = [("Host", "localhost"), ("X-Forwarded-For", "203.0.113.7")];
    assert_eq!(status(&guarded.ask("/", &headers).await), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_users_a_session_needs_a_token() {
    let server = Server::start(|config| config.users = vec![ada()]).await;
    let host = ("Host", "localhost");
    let bearer = format!("Bearer {TOKEN}");
    assert_eq!(server.upgrade("/room", &[host]).await, 401);
    assert_eq!(server.upgrade("/room?token=wrong", &[host]).await, 401);
    assert_eq!(server.upgrade("/room", &[host, ("Authorization", &bearer)]).await, 101);
    let query = format!("/room?token={}", TOKEN.replace(' ', "%20"));
    assert_eq!(server.upgrade(&query, &[host]).await, 101);
    let elsewhere = [("Host", "any.example"), ("Origin", "https://other.example")];
    assert_eq!(server.upgrade(&query, &elsewhere).await, 101, "a valid token may come from any");
    assert_eq!(server.upgrade("/room?token=wrong", &elsewhere).await, 403);
    assert_eq!(status(&server.ask("/healthz", &[host]).await), 200, "pages need none");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_path_that_is_no_document_gets_404() {
    let server = Server::start(|_| {}).await;
    let host = [("Host", "localhost")];
    for path in ["/v1/anything", "/v1/vaults/x/files/y", "/v1/vaults/a%2Fb/docs/c"] {
        assert_eq!(server.upgrade(path, &host).await, 404, "{path}");
    }
    assert_eq!(server.upgrade("/", &host).await, 101, "its frames will name one");
    assert_eq!(server.upgrade("/healthz", &host).await, 101, "a room may have any name");
    assert_eq!(server.upgrade(&format!("/{}", "x".repeat(1025)), &host).await, 413);
    assert_eq!(error_code(&server.ask("/no/such/page", &host).await), "not_found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_slow_requests_do_not_keep_an_honest_one_out() {
    let server = Server::start(|config| {
        config.limits.connections_max = 200;
        config.limits.header_timeout_s = 1;
    })
    .await;
    let mut slow = Vec::new();
    for _ in 0..200 {
        let mut stream = TcpStream::connect(server.address()).await.expect("it listens");
        stream.write_all(b"GET /room HTTP/1.1\r\nHost: loc").await.expect("sent");
        slow.push(stream);
    }
    let metrics = server.app.metrics();
    let open = &metrics.relay.connections;
    eventually("all places are taken", SOON, || open.get() == 200).await;
    let host = [("Host", "localhost")];
    assert_eq!(status(&server.ask("/healthz", &host).await), 200, "an operator still gets in");
    assert_eq!(server.upgrade("/room", &host).await, 503);
    eventually("the slow ones are cut off", SOON, || open.get() == 0).await;
    assert_eq!(server.upgrade("/room", &host).await, 101);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_instead_of_a_request_is_answered_and_closed() {
    let server = Server::start(|_| {}).await;
    let long = format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "x".repeat(70_000));
    let many = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "a: b\r\n".repeat(200));
    for bytes in
        [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc".as_slice(), long.as_bytes(), many.as_bytes()]
    {
        let mut stream = TcpStream::connect(server.address()).await.expect("it listens");
        // The server may hang up before it has all.
        let _ = stream.write_all(bytes).await;
        let mut answer = Vec::new();
        let _ = timeout(SOON, stream.read_to_end(&mut answer)).await.expect("closed in time");
        assert!(!answer.starts_with(b"HTTP/1.1 2"), "{}", String::from_utf8_lossy(&answer));
    }
    assert_eq!(status(&server.ask("/healthz", &[("Host", "localhost")]).await), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_refuses_to_start_open_to_the_network() {
    let start = async |change: fn(&mut Config)| {
        let data = tempfile::tempdir().expect("a temporary directory");
        let mut config = config(data.path());
        config.listen = Some(vec![([0, 0, 0, 0], 0).into()]);
        change(&mut config);
        App::start(config, Ambient::system()).await.map(drop)
    };
    let error = start(|_| {}).await.expect_err("nobody said it may be open");
    assert!(matches!(error, Error::Auth(_)));
    assert!(error.to_string().contains("--allow-anonymous"), "{error}");
    start(|config| config.allow_anonymous = true).await.expect("somebody said so");
    start(|config| config.users = vec![ada()]).await.expect("it is not open");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_says_whether_it_is_ready() {
    let server = Server::start(|_| {}).await;
    let host = [("Host", "localhost")];
    assert_eq!(status(&server.ask("/readyz", &host).await), 200);
    assert!(server.ask("/metrics", &host).await.contains("sheaf_ready 1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_closes_what_is_idle_and_frees_the_address() {
    let server = Server::start(|_| {}).await;
    let address = server.address();
    let mut idle = TcpStream::connect(address).await.expect("it listens");
    let Server { app, _data } = server;
    timeout(SOON, app.stop()).await.expect("within its own time");
    let mut rest = Vec::new();
    // Reset or closed: gone in either case.
    let _ = timeout(SOON, idle.read_to_end(&mut rest)).await.expect("closed");
    let mut again = config(_data.path());
    again.listen = Some(vec![address.into()]);
    let app = App::start(again, Ambient::system()).await.expect("the address is free again");
    assert_eq!(app.addresses(), [address]);
}

/// `sheaf serve` with these arguments and variables, to its end. For runs that must fail.
fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(binary().expect("the binary"));
    command.arg("serve").args(arguments).envs(environment.iter().copied());
    command.stdin(Stdio::null()).output().expect("it runs")
}

#[test]
fn a_wrong_start_ends_with_code_2_and_says_what_to_do() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let file = data.path().join("sheaf.toml");
    std::fs::write(&file, "lisen = \"127.0.0.1:0\"\n").expect("written");
    let file = file.to_str().expect("text");
    for (arguments, environment, wanted) in [
        (&["--listen", "0.0.0.0:0"][..], &[][..], "--allow-anonymous"),
        (&["--config", file], &[], "lisen"),
        (&[], &[("SHEAF_CONFIG", file)], "lisen"),
        (&[], &[("SHEAF_LIMITS__CONNECTIONS_MAX", "none")], "limits.connections_max"),
        (&["--listen", "nowhere"], &[], "--listen"),
        (&["--log", "info,=nonsense=="], &[], "log.level"),
    ] {
        let output = run(arguments, environment);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?} {environment:?}: {said}");
        assert!(said.contains(wanted), "{wanted} is not in {said}");
        assert!(output.stdout.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_process_takes_flags_over_environment_over_file() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let file = data.path().join("sheaf.toml");
    let text = "allow_anonymous = true\nlisten = \"0.0.0.0:0\"\n[limits]\nconnections_max = 7\n";
    std::fs::write(&file, text).expect("written");
    let file = file.to_str().expect("text");
    // `Process` gives --listen 127.0.0.1:0, which wins over the file's.
    let process = Process::start_with(data.path(), &["--config", file]).expect("it starts");
    let mut stream = TcpStream::connect(process.address()).await.expect("it listens");
    let request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("text");
    assert!(answer.contains("sheaf_connections_max 7"), "{answer}");
}

#[test]
fn a_signal_ends_the_process_in_good_order() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let mut process = Process::start(data.path()).expect("it starts");
    assert!(process.terminate().expect("running"), "{}", process.said());
    process.restart().expect("address and data are free again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn running_out_of_descriptors_is_survived() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let mut child = with_few_descriptors(data.path());
    let address = printed_address(&mut child);
    let mut held = Vec::new();
    for _ in 0..200 {
        // The kernel completes the handshake, whether or not the server can accept.
        held.push(TcpStream::connect(address).await.expect("the backlog is long"));
    }
    drop(held);
    let request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    stream.write_all(request).await.expect("sent");
    let mut answer = String::new();
    let read = timeout(SOON, stream.read_to_string(&mut answer)).await;
    read.expect("it accepts again").expect("text");
    assert_eq!(status(&answer), 200);
    child.kill().expect("it still runs");
    child.wait().expect("it ends");
}

/// The server under a hard limit of descriptors that it cannot raise.
fn with_few_descriptors(data: &Path) -> Child {
    let script = "ulimit -n 96 && exec \"$0\" serve --listen 127.0.0.1:0 --data \"$1\"";
    let mut command = Command::new("sh");
    command.args(["-c", script]).arg(binary().expect("the binary")).arg(data);
    command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("a shell")
}

fn printed_address(child: &mut Child) -> SocketAddr {
    let mut line = String::new();
    let pipe = child.stdout.as_mut().expect("piped");
    BufReader::new(pipe).read_line(&mut line).expect("text");
    let address = line.strip_prefix("http://").and_then(|rest| rest.strip_suffix("/\n"));
    address.expect("the address to open").parse().expect("an address")
}

/// A command for operators, on the data of a stopped server.
fn operate(command: &str, data: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let mut process = Command::new(binary().expect("the binary"));
    process.arg(command).arg("--data").arg(data).args(arguments);
    let output = process.stdin(Stdio::null()).output().expect("it runs");
    (output.status.code(), String::from_utf8(output.stdout).expect("text"))
}

/// Writes a document and waits until it is durable.
async fn write_document(process: &Process, room: &str) {
    let doc = yrs::Doc::new();
    let text = doc.get_or_insert_text("content");
    text.insert(&mut doc.transact_mut(), 0, "a secret thought");
    let update = doc.transact().encode_state_as_update_v1(&StateVector::default());
    let mut bytes = Vec::new();
    frame::write_update(&mut bytes, &update);
    let mut socket = Socket::open(&format!("{}/{room}", process.url())).await.expect("open");
    socket.send(bytes).await.expect("sent");
    let mut echo = Vec::new();
    frame::write_echo(&mut echo, b"durable?");
    socket.send(echo.clone()).await.expect("sent");
    let acknowledged = |heard: &[u8]| heard == echo;
    socket.hear_until(SOON, acknowledged).await.expect("acknowledged when durable");
    socket.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_can_verify_and_dump_what_a_stopped_server_keeps() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let mut process = Process::start(data.path()).expect("it starts");
    write_document(&process, "plans/spring.md").await;
    let (code, _) = operate("verify", data.path(), &[]);
    assert_eq!(code, Some(1), "not beside a running server");
    assert!(process.terminate().expect("running"), "{}", process.said());

    let (code, said) = operate("verify", data.path(), &[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("1 documents") && said.contains("all is well"), "{said}");
    let (code, said) = operate("verify", data.path(), &["--json"]);
    let report: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!((code, &report["clean"]), (Some(0), &true.into()), "{said}");

    let (code, said) = operate("dump", data.path(), &["--doc", "plans/spring.md", "--json"]);
    assert_eq!(code, Some(0), "{said}");
    let lines: Vec<serde_json::Value> =
        said.lines().map(|line| serde_json::from_str(line).expect("JSON lines")).collect();
    let document = lines.iter().find(|line| line["line"] == "document").expect("the document");
    assert_eq!(document["name"], "plans/spring.md");
    assert!(!said.contains("secret thought"), "content is never shown");
    let (_, said) = operate("dump", data.path(), &["--vault", "elsewhere"]);
    assert!(!said.contains("spring"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_makes_verify_end_with_code_3() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let mut process = Process::start(data.path()).expect("it starts");
    write_document(&process, "plans/spring.md").await;
    process.terminate().expect("running");
    let store = data.path().join("store/db");
    let mut bytes = std::fs::read(&store).expect("sled's file");
    // All of it: which bytes matter to sled is its own affair.
    bytes.iter_mut().for_each(|byte| *byte ^= 0x55);
    std::fs::write(&store, bytes).expect("written");
    let (code, said) = operate("verify", data.path(), &[]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("DAMAGED"), "{said}");
}
