//! The smallest y-websocket server that a replica can be tried against: one document for all rooms.

use std::sync::Arc;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use parking_lot::Mutex;
use sheaf_protocol::frame::{self, Message};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use tokio::task::JoinSet;
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Message as Frame, http};
use yrs::updates::decoder::Decode;
use yrs::updates::encoder::Encode;
use yrs::{Doc, GetString, ReadTxn, StateVector, Transact, Update};

/// How the server behaves towards new connections.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    Plain,
    NoEcho,
    Refuse,
    Nonsense,
    Silent,
}

pub(super) struct Relay {
    port: u16,
    shared: Arc<Shared>,
    _accepting: JoinSet<()>,
}

struct Shared {
    manner: Mutex<Manner>,
    doc: Mutex<Doc>,
    rooms: Mutex<Vec<String>>,
    presence: Mutex<Vec<Vec<u8>>>,
    /// Frames for everyone but the sender; a close code ends all connections.
    said: broadcast::Sender<(u64, Said)>,
}

#[derive(Clone)]
enum Said {
    Frame(Vec<u8>),
    Close(u16),
}

impl Relay {
    pub(super) async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            manner: Mutex::new(manner),
            doc: Mutex::new(Doc::new()),
            rooms: Mutex::default(),
            presence: Mutex::default(),
            said: broadcast::Sender::new(10_000),
        });
        let mut accepting = JoinSet::new();
        let all = Arc::clone(&shared);
        accepting.spawn(async move {
            let mut connections = JoinSet::new();
            for number in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                let shared = Arc::clone(&all);
                connections.spawn(async move {
                    serve(stream, number, shared).await;
                });
            }
        });
        Self { port, shared, _accepting: accepting }
    }

    pub(super) fn url(&self) -> String {
        format!("ws://127.0.0.1:{}/", self.port)
    }

    pub(super) fn set_manner(&self, manner: Manner) {
        *self.shared.manner.lock() = manner;
    }

    pub(super) fn forget(&self) {
        *self.shared.doc.lock() = Doc::new();
    }

    pub(super) fn cut(&self, code: u16) {
        let _ = self.shared.said.send((u64::MAX, Said::Close(code)));
    }

    pub(super) fn text(&self) -> String {
        let doc = self.shared.doc.lock();
        let text = doc.get_or_insert_text("content");
        text.get_string(&doc.transact())
    }

    /// The distinct paths that were asked for.
    pub(super) fn rooms(&self) -> Vec<String> {
        let mut rooms = self.shared.rooms.lock().clone();
        rooms.dedup();
        rooms
    }
}

async fn serve(stream: TcpStream, number: u64, shared: Arc<Shared>) -> Option<()> {
    let manner = *shared.manner.lock();
    #[expect(clippy::result_large_err, reason = "the signature is tungstenite's")]
    let look = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
        shared.rooms.lock().push(request.uri().path().to_owned());
        if manner == Manner::Refuse {
            let mut refusal = ErrorResponse::new(None);
            *refusal.status_mut() = http::StatusCode::UNAUTHORIZED;
            return Err(refusal);
        }
        Ok(response)
    };
    let mut socket = accept_hdr_async(stream, look).await.ok()?;
    let mut said = shared.said.subscribe();
    if manner == Manner::Silent {
        tokio::time::timeout(Duration::from_secs(60), std::future::pending::<()>()).await.ok()?;
    }
    let mut opening = Vec::new();
    let vector = shared.doc.lock().transact().state_vector().encode_v1();
    frame::write_step1(&mut opening, &vector);
    if manner == Manner::Nonsense {
        opening = vec![0, 2, 3, 1, 1, 1];
    }
    socket.send(Frame::binary(opening)).await.ok()?;
    let present = shared.presence.lock().clone();
    for presence in present {
        socket.send(Frame::binary(presence)).await.ok()?;
    }
    loop {
        tokio::select! {
            read = socket.next() => {
                let Frame::Binary(bytes) = read?.ok()? else { continue };
                for answer in answers(&shared, number, &bytes, manner) {
                    socket.send(Frame::binary(answer)).await.ok()?;
                }
            }
            heard = said.recv() => match heard.ok()? {
                (from, _) if from == number => {}
                (_, Said::Frame(bytes)) => socket.send(Frame::binary(bytes)).await.ok()?,
                (_, Said::Close(code)) => {
                    let close = CloseFrame { code: code.into(), reason: "test".into() };
                    socket.close(Some(close)).await.ok()?;
                    while socket.next().await.is_some_and(|read| read.is_ok()) {}
                    return None;
                }
            },
        }
    }
}

fn answers(shared: &Shared, number: u64, bytes: &[u8], manner: Manner) -> Vec<Vec<u8>> {
    let mut answers = Vec::new();
    for message in frame::messages(bytes) {
        let mut out = Vec::new();
        match message.unwrap() {
            Message::Step1(vector) => {
                let vector = StateVector::decode_v1(vector).unwrap();
                let missing = shared.doc.lock().transact().encode_diff_v1(&vector);
                frame::write_step2(&mut out, &missing);
            }
            Message::Step2(update) | Message::Update(update) => {
                let decoded = Update::decode_v1(update).unwrap();
                shared.doc.lock().transact_mut().apply_update(decoded).unwrap();
                let mut all = Vec::new();
                frame::write_update(&mut all, update);
                let _ = shared.said.send((number, Said::Frame(all)));
            }
            Message::Awareness(_) => {
                shared.presence.lock().push(bytes.to_vec());
                let _ = shared.said.send((number, Said::Frame(bytes.to_vec())));
            }
            Message::Echo(payload) if manner != Manner::NoEcho => {
                frame::write_echo(&mut out, payload);
            }
            _ => {}
        }
        if !out.is_empty() {
            answers.push(out);
        }
    }
    answers
}
