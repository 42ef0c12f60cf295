//! Heads that are taken are those that hyper reads in the same way.

use std::convert::Infallible;

use http_body_util::Empty;
use hyper::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use proptest::prelude::*;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;

use super::*;

const PLAIN: &str = "GET /a%20b?token=x HTTP/1.1\r\nHost: localhost:1234\r\nUpgrade: WebSocket\r\n\
    Connection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nCookie: a=b\r\nCookie: c=d\r\n\r\n";

fn taken(bytes: &[u8]) -> Option<(Request<()>, usize)> {
    head(&Bytes::copy_from_slice(bytes)).ok().flatten()
}

/// The first request that hyper finds in these bytes.
async fn read_by_hyper(bytes: &[u8]) -> Option<Request<()>> {
    let (near, mut far) = UnixStream::pair().expect("a pair");
    far.write_all(bytes).await.expect("it fits");
    far.shutdown().await.expect("open");
    let first = Mutex::new(None);
    let service = service_fn(|request: Request<Incoming>| {
        first.lock().get_or_insert(request.map(drop));
        async { Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())) }
    });
    let connection = http1::Builder::new()
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(near), service);
    // It ends in whatever way it likes.
    let _ = connection.with_upgrades().await;
    first.into_inner()
}

fn is_alike(own: &Request<()>, other: &Request<()>) -> bool {
    (own.method(), own.uri(), own.version(), own.headers())
        == (other.method(), other.uri(), other.version(), other.headers())
}

#[test]
fn a_plain_upgrade_is_taken_with_all_it_says() {
    let bytes = [PLAIN.as_bytes(), b"\x82\x80"].concat();
    let (request, length) = taken(&bytes).expect("taken");
    assert_eq!(length, PLAIN.len());
    assert_eq!(request.uri().path(), "/a%20b");
    assert_eq!(request.uri().query(), Some("token=x"));
    let cookies: Vec<_> = request.headers().get_all(header::COOKIE).iter().collect();
    assert_eq!(cookies, ["a=b", "c=d"]);
}

#[test]
fn what_is_no_plain_upgrade_is_left_to_hyper() {
    for (from, to) in [
        ("GET", "POST"),
        ("HTTP/1.1", "HTTP/1.0"),
        ("HTTP/1.1", "HTTP/2.0"),
        ("WebSocket", "h2c"),
        ("Cookie: a", "Content-Length: 3"),
        ("Cookie: a", "Transfer-Encoding: a"),
        ("Cookie: a", "Expect: 100-continue"),
        ("Cookie: a", "Coo\u{1}kie: a"),
        ("Cookie: a", "Cookie : a"),
        ("Cookie: a", &"X: y\r\n".repeat(HEADERS_MAX)),
        ("/a", "a"),
    ] {
        let bytes = PLAIN.replacen(from, to, 1);
        assert_ne!(bytes, PLAIN);
        assert!(taken(bytes.as_bytes()).is_none(), "{bytes}");
    }
}

#[tokio::test]
async fn a_head_in_pieces_is_waited_for_and_a_long_one_is_not() {
    let (near, mut far) = UnixStream::pair().expect("a pair");
    let near = Stream::from(near);
    let (start, end) = PLAIN.split_at(100);
    let mut reading = Box::pin(first(&near));
    far.write_all(start.as_bytes()).await.expect("sent");
    assert!(futures::poll!(reading.as_mut()).is_pending());
    // It has polled before the second piece came, or it comes whole: both must do.
    far.write_all(end.as_bytes()).await.expect("sent");
    let First { read, upgrade } = reading.await.expect("open");
    assert_eq!((&*read, upgrade.expect("taken").1), (PLAIN.as_bytes(), PLAIN.len()));
    let long = PLAIN.replace("a=b", &"a".repeat(READ_BYTES));
    far.write_all(long.as_bytes()).await.expect("sent");
    let First { read, upgrade } = first(&near).await.expect("open");
    assert_eq!(*read, long.as_bytes()[..READ_BYTES]);
    assert!(upgrade.is_none());
    drop(far);
    let mut rest = vec![0; long.len()];
    let got = near.try_read(&mut rest).expect("the rest");
    assert_eq!(got, long.len() - READ_BYTES, "nothing is read past what is given on");
    assert!(first(&near).await.expect("ended").read.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    /// A plain head with bytes changed, put in and taken out.
    #[test]
    fn what_is_taken_hyper_reads_alike(
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0_u8..3, edge()), 0..4),
    ) {
        let mut bytes = PLAIN.as_bytes().to_vec();
        for (place, kind, byte) in changes {
            let at = place.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
        }
        if let Some((own, length)) = taken(&bytes) {
            prop_assert!(length <= bytes.len());
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let other = runtime.block_on(read_by_hyper(&bytes));
            prop_assert!(other.is_some_and(|other| is_alike(&own, &other)));
        }
    }

    #[test]
    fn nothing_that_is_sent_breaks_it(bytes in prop::collection::vec(edge(), 0..300)) {
        let _ = taken(&bytes);
    }
}

/// Bytes that mean something in a head, and any others.
fn edge() -> impl Strategy<Value = u8> {
    prop_oneof![prop::sample::select(&b"\r\n :/?#%,;\t\0GET1.\x7f\xff"[..]), any::<u8>()]
}
