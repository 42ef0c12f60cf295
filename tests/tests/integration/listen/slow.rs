//! Peers that are slow, silent or too many, against a real process with the limits it has by
//! default.

use std::time::Instant;

use sheaf_client::replica::{Options, Replica};
use sheaf_tests::process::Process;

use super::*;

const HALF_OPEN: usize = 2_000;
const ROUNDS: usize = 9;
/// What the issue of the doors allows.
const HONEST_MS_MAX: u128 = 200;

/// Connections that say nothing, and as many that stop in the middle of a head.
async fn flood(address: SocketAddr) -> Vec<TcpStream> {
    let mut held = Vec::new();
    for at in 0..HALF_OPEN {
        let mut stream = TcpStream::connect(address).await.expect("the backlog is long");
        if at % 2 == 0 {
            stream.write_all(b"GET /room HTTP/1.1\r\nHost: loc").await.expect("sent");
        }
        held.push(stream);
    }
    held
}

/// Milliseconds for a page, and for a session from its connection to its document.
async fn honest(process: &Process, round: usize) -> (u128, u128) {
    let start = now();
    let stream = TcpStream::connect(process.address()).await.expect("it listens");
    assert_eq!(status(&say(stream, &request("GET", "/healthz", HOST)).await), 200);
    let page = start.elapsed().as_millis();
    let start = now();
    let id = u32::try_from(round).expect("small") + 1;
    let replica = Replica::connect(Options {
        client_id: id,
        ..Options::new(process.url(), format!("honest/{round}"))
    });
    replica.synced(SOON).await.expect("it syncs");
    (page, start.elapsed().as_millis())
}

#[expect(clippy::disallowed_methods, reason = "what is measured is the time a user waits")]
fn now() -> Instant {
    Instant::now()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_half_open_connections_do_not_slow_an_honest_one() {
    let data = TempDir::new().expect("a folder");
    let process = Process::start(data.path()).expect("it starts");
    let held = flood(process.address()).await;
    let (mut pages, mut sessions) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let (page, session) = honest(&process, round).await;
        pages.push(page);
        sessions.push(session);
    }
    pages.sort_unstable();
    sessions.sort_unstable();
    let (page, session) = (pages[ROUNDS / 2], sessions[ROUNDS / 2]);
    println!(
        "with {HALF_OPEN} half-open connections: a page in {page} ms (worst {}), a session in \
         {session} ms (worst {})",
        pages[ROUNDS - 1],
        sessions[ROUNDS - 1]
    );
    assert!(page < HONEST_MS_MAX && session < HONEST_MS_MAX, "{page} ms, {session} ms");
    // And they do not stand for ever.
    for mut stream in held {
        let mut rest = Vec::new();
        let _ = timeout(SOON, stream.read_to_end(&mut rest)).await.expect("cut in time");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_asks_nothing_more_is_closed() {
    let server = Server::start(|config, _| config.limits.header_timeout_s = 1).await;
    let text = format!("GET /healthz HTTP/1.1\r\n{HOST}\r\n");
    let answer = say(server.connect().await, &text).await;
    assert_eq!(status(&answer), 200, "answered, and after a while closed: {answer}");
}
