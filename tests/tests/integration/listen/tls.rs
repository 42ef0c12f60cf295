//! TLS end to end: pages, sessions, versions, and a certificate that changes under them.

use std::fs;
use std::sync::Arc;

use futures::{SinkExt, StreamExt};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use sheaf_protocol::frame;
use sheaf_server::relay::tls;
use sheaf_tests::eventually::eventually;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::*;

/// Writes a certificate and its key, and returns the certificate.
fn certify(dir: &Path) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("made");
    fs::write(dir.join("server.crt"), made.cert.pem()).expect("written");
    fs::write(dir.join("server.key"), made.signing_key.serialize_pem()).expect("written");
    made.cert.der().clone()
}

fn files(dir: &Path) -> tls::Config {
    tls::Config { cert_file: dir.join("server.crt"), key_file: dir.join("server.key") }
}

async fn with_tls() -> (Server, CertificateDer<'static>) {
    let mut certificate = None;
    let server = Server::start(|config, dir| {
        certificate = Some(certify(dir));
        config.tls = Some(files(dir));
        config.limits.header_timeout_s = 1;
    })
    .await;
    (server, certificate.expect("made at the start"))
}

struct Client {
    versions: &'static [&'static SupportedProtocolVersion],
    protocols: &'static [&'static str],
}

const USUAL: Client = Client { versions: &[&TLS13, &TLS12], protocols: &["http/1.1"] };
const NEW: Client = Client { versions: &[&TLS13], ..USUAL };
const OLD: Client = Client { versions: &[&TLS12], ..USUAL };

impl Client {
    async fn connect(
        &self,
        server: &Server,
        certificate: &CertificateDer<'static>,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).expect("a certificate");
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(self.versions)
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let protocols = self.protocols.iter().map(|name| name.as_bytes().to_vec());
        config.alpn_protocols = protocols.collect();
        let name = ServerName::try_from("localhost").expect("a name");
        TlsConnector::from(Arc::new(config)).connect(name, server.connect().await).await
    }
}

type Socket = WebSocketStream<TlsStream<TcpStream>>;

async fn open(server: &Server, certificate: &CertificateDer<'static>) -> Socket {
    let stream = USUAL.connect(server, certificate).await.expect("hands are shaken");
    client_async("wss://localhost/room", stream).await.expect("101").0
}

async fn send(socket: &mut Socket, write: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = Vec::new();
    write(&mut bytes);
    socket.send(Message::binary(bytes)).await.expect("sent");
}

/// The next frame of this kind.
async fn hear(socket: &mut Socket, start: &[u8]) -> Vec<u8> {
    let hearing = async {
        loop {
            let message = socket.next().await.expect("open").expect("a frame").into_data();
            if message.starts_with(start) {
                return message.to_vec();
            }
        }
    };
    timeout(SOON, hearing).await.expect("in time")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_and_sessions_come_over_tls() {
    let (server, certificate) = with_tls().await;
    for client in [NEW, OLD] {
        let stream = client.connect(&server, &certificate).await.expect("hands are shaken");
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
        assert_eq!(status(&say(stream, &request("GET", "/healthz", HOST)).await), 200);
    }
    let mut writer = open(&server, &certificate).await;
    let mut reader = open(&server, &certificate).await;
    send(&mut reader, |out| frame::write_step1(out, &[0])).await;
    hear(&mut reader, &[0, 1]).await;
    // Over many records, and more than sockets hold.
    let doc = yrs::Doc::with_client_id(7);
    let text = "all work and no play ".repeat(100_000);
    let update = {
        use yrs::{ReadTxn, Text, Transact, WriteTxn};
        let mut txn = doc.transact_mut();
        let root = txn.get_or_insert_text("content");
        root.push(&mut txn, &text);
        txn.encode_state_as_update_v1(&yrs::StateVector::default())
    };
    send(&mut writer, |out| frame::write_update(out, &update)).await;
    let relayed = hear(&mut reader, &[0, 2]).await;
    assert!(relayed.len() > text.len(), "it arrives whole");
    send(&mut writer, |out| frame::write_echo(out, b"durable?")).await;
    let mut echo = Vec::new();
    frame::write_echo(&mut echo, b"durable?");
    hear(&mut writer, &echo).await;
    let mut newcomer = open(&server, &certificate).await;
    send(&mut newcomer, |out| frame::write_step1(out, &[0])).await;
    assert!(hear(&mut newcomer, &[0, 1]).await.len() > text.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_tls_or_another_protocol_gets_nothing() {
    let (server, certificate) = with_tls().await;
    let h2 = Client { protocols: &["h2"], ..USUAL };
    h2.connect(&server, &certificate).await.expect_err("nothing of HTTP/2 is spoken");
    let plain = server.ask("GET", "/healthz", HOST).await;
    assert!(!plain.contains("HTTP/1.1"), "{plain}");
    let none = Client { protocols: &[], ..USUAL };
    none.connect(&server, &certificate).await.expect("ALPN is not a must");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_that_does_not_come_is_not_waited_for() {
    let (server, _) = with_tls().await;
    let open_now = &server.app.metrics().relay.connections;
    for beginning in ["", "\u{16}\u{3}\u{1}\u{2}"] {
        let answer = say(server.connect().await, beginning).await;
        assert_eq!(answer, "", "cut after the time for a head");
    }
    eventually("all places are free again", SOON, || open_now.get() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_certificate_is_for_new_connections_and_a_broken_one_for_none() {
    let (server, old) = with_tls().await;
    let mut held = open(&server, &old).await;
    let reload = || server.app.reload(Config::clone(&server.app.config()));
    fs::write(server.dir.path().join("server.key"), "torn").expect("written");
    reload().expect("the rest is taken");
    USUAL.connect(&server, &old).await.expect("the old one goes on");

    let new = certify(server.dir.path());
    reload().expect("they fit");
    USUAL.connect(&server, &new).await.expect("the new one is there");
    USUAL.connect(&server, &old).await.expect_err("the old one is gone");
    send(&mut held, |out| frame::write_step1(out, &[0])).await;
    hear(&mut held, &[0, 1]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_without_a_usable_certificate_says_what_is_wrong() {
    let dir = TempDir::new().expect("a folder");
    let missing = |config: &mut Config, dir: &Path| config.tls = Some(files(dir));
    let error = start(dir.path(), missing).await.expect_err("no such file").to_string();
    assert!(error.contains("tls.cert_file") && error.contains("server.crt"), "{error}");
    let no_tls = |config: &mut Config, _: &Path| {
        config.listen = Some(vec!["127.0.0.1:0 tls".parse().expect("an address")]);
    };
    let error = start(dir.path(), no_tls).await.expect_err("no certificate").to_string();
    assert!(error.contains("tls.cert_file"), "{error}");
    // TLS keeps listeners out, not strangers.
    certify(dir.path());
    let open = |config: &mut Config, dir: &Path| {
        missing(config, dir);
        config.listen = Some(vec![([0, 0, 0, 0], 0).into()]);
    };
    let error = start(dir.path(), open).await.expect_err("open to the network").to_string();
    assert!(error.contains("--allow-anonymous"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_keep_to_tls() {
    let (server, certificate) = with_tls().await;
    let ask = async |path: &str, body: &str| {
        let stream = USUAL.connect(&server, &certificate).await.expect("hands are shaken");
        let length = format!("{HOST}Content-Length: {}\r\n", body.len());
        say(stream, &(request("POST", path, &length) + body)).await
    };
    assert_eq!(status(&ask("/doc/new", "{\"docId\":\"plan\"}").await), 200);
    let told = ask("/doc/plan/auth", "{}").await;
    assert!(told.contains("\"url\":\"wss://localhost/d/plan/ws\""), "{told}");
    assert!(told.contains("\"baseUrl\":\"https://localhost/d/plan\""), "{told}");
}
