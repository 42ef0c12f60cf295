//! Real sockets on loopback: upgrades, time-outs, caps, stopping.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures::{SinkExt, StreamExt};
use hyper::Response as HttpResponse;
use prometheus_client::metrics::counter::Counter;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use warp::Reply;

use super::*;
use crate::auth::Caller;
use crate::relay::session::{About, Opened};
use crate::relay::upgrade::{self, Answer, Upgrade};
use crate::relay::websocket::{Assembler, Parsed, Received, parse, write_binary};
use sheaf_ground::task::Shutdown;
use sheaf_protocol::error::Refusal;
use sheaf_protocol::ids::Principal;

const MINUTE: Duration = Duration::from_secs(60);

struct Running {
    address: SocketAddr,
    tasks: Group,
    clock: Clock,
    metrics: Arc<Metrics>,
}

impl Running {
    fn url(&self, path: &str) -> String {
        format!("ws://{}/{path}", self.address)
    }

    /// Waits for a condition that is true soon, or fails the test.
    async fn until(&self, what: &str, mut is_true: impl FnMut() -> bool) {
        let polls = async {
            while !is_true() {
                tokio::task::yield_now().await;
            }
        };
        self.clock.deadline(MINUTE, polls).await.expect(what);
    }
}

fn config() -> Config {
    Config {
        listen: vec![([127, 0, 0, 1], 0).into()],
        admin_listen: Vec::new(),
        is_ipv6_optional: false,
        openness: Openness::Machine,
        unix_mode: 0o660,
        trusted_proxies: Vec::new(),
        tls: None,
        connections_max: 100,
        connections_per_address_max: 100,
        header_time_max: Duration::from_secs(30),
    }
}

/// Opens sockets, and answers every other request with "plain".
struct Plain {
    upgrade: Upgrade,
}

impl Service for Plain {
    fn answer(self: Arc<Self>, mut request: Request<Incoming>) -> BoxFuture<'static, Response> {
        Box::pin(async move {
            if !upgrade::is_wanted(request.headers()) {
                return "plain".into_response();
            }
            request.extensions_mut().insert(Caller::anyone());
            match self.upgrade.answer(&mut request).await {
                Ok(response) => response.map(|()| "").into_response(),
                Err(refusal) => refused(refusal),
            }
        })
    }

    fn open(
        self: Arc<Self>,
        mut request: Request<()>,
    ) -> BoxFuture<'static, Result<Opening, Response>> {
        Box::pin(async move {
            request.extensions_mut().insert(Caller::anyone());
            match self.upgrade.open(&request).await {
                Ok(Answer::Opens(opening)) => Ok(opening),
                Ok(Answer::Other(response)) => Err(response.map(|()| "").into_response()),
                Err(refusal) => Err(refused(refusal)),
            }
        })
    }
}

fn refused(refusal: Refusal) -> Response {
    let mut response = HttpResponse::new(refusal.code.name());
    let status = refusal.code.http_status();
    *response.status_mut() = status.try_into().expect("a legal status");
    response.into_response()
}

/// A server that gives sockets to `accept` and answers every other request with "plain".
fn start(config: Config, accept: impl Fn(Opened) + Send + Sync + 'static) -> Running {
    let metrics = Arc::new(Metrics::new());
    let tasks = Group::new(Counter::default());
    let clock = Clock::system();
    let upgrade = Upgrade::new(Arc::new(accept), tasks.clone(), Vec::new());
    let service = Arc::new(Plain { upgrade });
    let listener = Listener::bind(config).expect("loopback has free ports");
    let address = tcp(&listener);
    listener.serve(service, clock.clone(), Arc::clone(&metrics), &tasks);
    Running { address, tasks, clock, metrics }
}

fn tcp(listener: &Listener) -> SocketAddr {
    match &listener.doors()[0].place {
        Place::Tcp(address) => *address,
        Place::Unix(path) => panic!("{} is no TCP address", path.display()),
    }
}

async fn open(url: String) -> WebSocketStream<MaybeTlsStream<TcpStream>> {
    connect_async(url).await.expect("the server answers 101").0
}

/// Sends every binary message back, until the client leaves. The smallest session there is.
async fn echo(mut opened: Opened) {
    let mut buf = std::mem::take(&mut opened.leftover);
    let mut assembler = Assembler::new(1 << 20);
    let mut out = std::mem::take(&mut opened.greeting);
    opened.stream.write_all(&out).await.expect("the client reads");
    out.clear();
    loop {
        match parse(&mut buf, 1 << 20).expect("a legal frame") {
            Parsed::Incomplete { .. } => {
                if opened.stream.read_buf(&mut buf).await.unwrap_or(0) == 0 {
                    return;
                }
            }
            Parsed::Frame(frame, _) => {
                let consumed = frame.consumed;
                match assembler.push(frame).expect("a legal message") {
                    Received::Message(message) => write_binary(&message, &mut out),
                    Received::Close(_) => return,
                    _ => {}
                }
                buf.drain(..consumed);
                opened.stream.write_all(&out).await.expect("the client reads");
                out.clear();
            }
        }
    }
}

fn echoing() -> impl Fn(Opened) + Send + Sync + 'static {
    let tasks = Group::new(Counter::default());
    move |opened| tasks.spawn("echo", echo(opened))
}

#[tokio::test]
async fn a_stock_client_opens_a_socket_and_gets_its_messages_back() {
    let running = start(config(), echoing());
    let mut socket = open(running.url("room")).await;
    for size in [0, 1, 125, 126, 65_535, 65_536, 300_000] {
        let message = Message::from(vec![7_u8; size]);
        socket.send(message.clone()).await.expect("sent");
        assert_eq!(socket.next().await.expect("open").expect("a frame"), message);
    }
}

#[tokio::test]
async fn what_an_upgrade_opens_is_named_by_its_path() {
    let (told, mut hear) = mpsc::channel(1);
    let running = start(config(), move |opened| {
        let sent = opened.stream.try_write(&opened.greeting).expect("it is open");
        assert_eq!(sent, opened.greeting.len());
        told.try_send(opened).expect("one socket is opened");
    });
    let socket = open(running.url("v1/vaults/team/docs/a%20b")).await;
    let opened = hear.recv().await.expect("accepted");
    let About::Document { name, leash, .. } = &opened.about else { panic!("it names one") };
    assert_eq!((name.vault.as_str(), &*name.document), ("team", "a b"));
    assert_eq!(leash.grant().principal, Principal::Anonymous);
    let Stream::Tcp(tcp) = &opened.stream else { panic!("it came by TCP") };
    assert!(tcp.nodelay().expect("an open socket"));
    assert_eq!(opened.leftover.capacity(), 0);
    drop(socket);
}

#[tokio::test]
async fn frames_sent_right_behind_the_request_are_not_lost() {
    let running = start(config(), echoing());
    let mut stream = TcpStream::connect(running.address).await.expect("listening");
    let mut bytes = b"GET /room HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        .to_vec();
    bytes.extend([0x82, 0x82, 0, 0, 0, 0, b'h', b'i']);
    stream.write_all(&bytes).await.expect("sent");
    let mut answer = Vec::new();
    while !answer.ends_with(b"\x82\x02hi") {
        let read = running.clock.deadline(MINUTE, stream.read_buf(&mut answer)).await;
        assert_ne!(read.expect("in time").expect("open"), 0, "{answer:?}");
    }
    assert!(answer.starts_with(b"HTTP/1.1 101 "));
}

#[tokio::test]
async fn a_refused_upgrade_leaves_the_connection_to_further_requests() {
    let running = start(config(), echoing());
    let mut stream = TcpStream::connect(running.address).await.expect("listening");
    let upgrade = |version: u8| {
        format!(
            "GET /room HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
            Connection: Upgrade\r\nSec-WebSocket-Version: {version}\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
    };
    let plain = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned();
    for (request, status, end) in [
        (upgrade(12), "426", "\r\n\r\n"),
        (plain, "200", "plain"),
        (upgrade(13), "101", "\r\n\r\n"),
    ] {
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = Vec::new();
        while !answer.ends_with(end.as_bytes()) {
            let read = running.clock.deadline(MINUTE, stream.read_buf(&mut answer)).await;
            assert_ne!(read.expect("in time").expect("open"), 0, "{answer:?}");
        }
        let answer = String::from_utf8(answer).expect("text");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
    // The last came through hyper; its socket is a session's all the same.
    stream.write_all(&[0x82, 0x82, 0, 0, 0, 0, b'h', b'i']).await.expect("sent");
    let mut echo = [0; 4];
    stream.read_exact(&mut echo).await.expect("echoed");
    assert_eq!(echo, *b"\x82\x02hi");
}

#[tokio::test]
async fn a_head_that_does_not_arrive_in_time_ends_the_connection() {
    let short = Config { header_time_max: Duration::from_millis(50), ..config() };
    let running = start(short, echoing());
    for beginning in ["", "GET /room HTTP/1.1\r\nHost: loc"] {
        let mut stream = TcpStream::connect(running.address).await.expect("listening");
        stream.write_all(beginning.as_bytes()).await.expect("sent");
        let mut answer = Vec::new();
        let read = running.clock.deadline(MINUTE, stream.read_to_end(&mut answer)).await;
        read.expect("the server hangs up").expect("without an error");
    }
    let open = &running.metrics.relay.connections;
    running.until("all places are free again", || open.get() == 0).await;
}

#[tokio::test]
async fn over_the_cap_an_upgrade_gets_503_and_pages_still_answer() {
    let running = start(Config { connections_max: 1, ..config() }, echoing());
    let first = open(running.url("room")).await;
    let Err(WsError::Http(response)) = connect_async(running.url("room")).await else {
        panic!("the second upgrade should be refused")
    };
    assert_eq!(response.status().as_u16(), 503);
    let mut stream = TcpStream::connect(running.address).await.expect("listening");
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("closed after one answer");
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("plain"), "{answer}");
    drop(first);
    let open_now = &running.metrics.relay.connections;
    running.until("the place is free again", || open_now.get() == 0).await;
    drop(open(running.url("room")).await);
}

#[tokio::test]
async fn a_taken_port_is_an_error_that_says_what_to_do() {
    let first = Listener::bind(config()).expect("loopback has free ports");
    let taken = Config { listen: vec![tcp(&first).into()], ..config() };
    let error = Listener::bind(taken).expect_err("taken").to_string();
    assert!(error.contains("--listen"), "{error}");
    let nothing = Config { listen: Vec::new(), ..config() };
    assert!(matches!(Listener::bind(nothing), Err(Error::NoAddress)));
}

#[tokio::test]
async fn a_missing_ipv6_is_tolerated_only_where_it_is_optional() {
    // The documentation prefix is on no machine, as loopback is not where IPv6 is off.
    let missing = ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], 0).into();
    let listen = vec![([127, 0, 0, 1], 0).into(), missing];
    let optional = Config { listen: listen.clone(), is_ipv6_optional: true, ..config() };
    assert_eq!(Listener::bind(optional).expect("IPv4 is there").doors().len(), 1);
    assert!(Listener::bind(Config { listen, ..config() }).is_err());
    let here = ([0, 0, 0, 0, 0, 0, 0, 1], 0).into();
    let Ok(held) = Listener::bind(Config { listen: vec![here], ..config() }) else { return };
    let taken = Config { listen: vec![tcp(&held).into()], is_ipv6_optional: true, ..config() };
    assert!(matches!(Listener::bind(taken), Err(Error::Bind { .. })), "taken is not missing");
}

#[tokio::test]
async fn stopping_closes_idle_connections_and_lets_sessions_be() {
    let opened = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&opened);
    let echo = echoing();
    let running = start(config(), move |socket| {
        count.fetch_add(1, Ordering::SeqCst);
        echo(socket);
    });
    let mut socket = open(running.url("room")).await;
    let mut idle = TcpStream::connect(running.address).await.expect("listening");
    idle.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("sent");
    let mut answer = vec![0; 12];
    idle.read_exact(&mut answer).await.expect("answered");
    assert_eq!(running.tasks.shutdown(&running.clock, MINUTE).await, Shutdown::Complete);
    idle.read_to_end(&mut answer).await.expect("closed in good order");
    assert!(TcpStream::connect(running.address).await.is_err(), "nobody listens now");
    let message = Message::from(vec![1, 2, 3]);
    socket.send(message.clone()).await.expect("sessions end by their own group");
    assert_eq!(socket.next().await.expect("open").expect("a frame"), message);
    assert_eq!(opened.load(Ordering::SeqCst), 1);
}
