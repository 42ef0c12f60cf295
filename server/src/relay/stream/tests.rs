//! TLS between two ends in this process: every byte arrives, nothing is left lying, and a full
//! socket is waited for.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::ring;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;

const SOON: Duration = Duration::from_secs(20);

/// A server's stream and its client.
async fn pair() -> (Stream, TlsStream<UnixStream>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let provider = Arc::new(ring::default_provider());
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("they fit");
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).expect("a certificate");
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let (near, far) = UnixStream::pair().expect("a pair");
    let name = ServerName::try_from("localhost").expect("a name");
    let connector = TlsConnector::from(Arc::new(client));
    let acceptor = TlsAcceptor::from(Arc::new(server));
    let (near, far) =
        tokio::join!(acceptor.accept(Stream::from(near)), connector.connect(name, far));
    let (socket, connection) = near.expect("hands are shaken").into_inner();
    (Stream::tls(socket, connection), far.expect("hands are shaken"))
}

async fn write_all(stream: &Stream, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match stream.try_write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                poll_fn(|cx| stream.poll_write_ready(cx)).await.expect("open");
            }
            Err(error) => panic!("{error}"),
        }
    }
    poll_fn(|cx| stream.poll_flush(cx)).await.expect("open");
}

async fn read_all(stream: &Stream, bytes: usize) -> Vec<u8> {
    let (mut all, mut buffer) = (Vec::new(), vec![0; 65_536]);
    while all.len() < bytes {
        match stream.try_read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => all.extend_from_slice(&buffer[..read]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                poll_fn(|cx| stream.poll_read_ready(cx)).await.expect("open");
            }
            Err(error) => panic!("{error}"),
        }
    }
    all
}

#[tokio::test]
async fn megabytes_pass_both_ways_at_once() {
    let (near, far) = pair().await;
    let sent: Vec<u8> = (0..3_000_000_u32).map(|at| (at % 251) as u8).collect();
    let (mut read, mut write) = tokio::io::split(far);
    let mut got = vec![0; sent.len()];
    let all = async {
        tokio::join!(
            write_all(&near, &sent),
            read_all(&near, sent.len()),
            read.read_exact(&mut got),
            async {
                write.write_all(&sent).await.expect("open");
                write.flush().await.expect("open");
            }
        )
    };
    let ((), heard, read, ()) = tokio::time::timeout(SOON, all).await.expect("no wake-up is lost");
    read.expect("all of it");
    assert!(heard == sent && got == sent);
}

#[tokio::test]
async fn what_a_full_socket_did_not_take_goes_out_by_flushing_alone() {
    let (near, mut far) = pair().await;
    let (chunk, mut taken) = (vec![7; 40_000], 0);
    loop {
        match near.try_write(&chunk) {
            Ok(written) => taken += written,
            Err(error) => break assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }
    assert!(near.has_unflushed(), "more was taken than the socket holds");
    assert!(taken < 2_000_000, "and not without bound: {taken}");
    let flushed = poll_fn(|cx| near.poll_flush(cx));
    let mut got = vec![0; taken];
    let both = async { tokio::join!(flushed, far.read_exact(&mut got)) };
    let (flushed, read) = tokio::time::timeout(SOON, both).await.expect("nothing is left lying");
    flushed.expect("open");
    read.expect("all of it");
    assert!(!near.has_unflushed());
}

#[tokio::test]
async fn a_dropped_stream_says_goodbye_and_a_cut_one_is_an_end() {
    let (near, mut far) = pair().await;
    drop(near);
    let read = far.read_to_end(&mut Vec::new()).await;
    assert_eq!(read.expect("an end in good order, not a cut"), 0);

    let (near, far) = pair().await;
    let (mut raw, _) = far.into_inner();
    raw.shutdown().await.expect("open");
    assert!(read_all(&near, 1).await.is_empty());
}

#[tokio::test]
async fn garbage_instead_of_a_record_is_an_error() {
    let (near, far) = pair().await;
    let (mut raw, _) = far.into_inner();
    raw.write_all(b"GET / HTTP/1.1\r\n\r\n").await.expect("sent");
    poll_fn(|cx| near.poll_read_ready(cx)).await.expect("something is there");
    let error = near.try_read(&mut [0; 64]).expect_err("no record");
    assert_eq!(error.kind(), ErrorKind::InvalidData);
}
