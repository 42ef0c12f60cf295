//! A receiver on loopback that answers as it is told and remembers what it got.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use sheaf_ground::task::Group;

/// How it answers from now on.
#[derive(Clone, Copy, Debug)]
pub(super) enum Answer {
    /// With this status and no body.
    Status(u16),
    /// Never.
    Silence,
    /// With a redirect to itself.
    Redirect,
    /// With 200 and a body that never ends.
    Endless,
}

/// What it got.
#[derive(Clone, Debug)]
pub(super) struct Got {
    pub headers: HashMap<String, String>,
    pub body: serde_json::Value,
}

impl Got {
    pub(super) fn id(&self) -> &str {
        &self.headers["webhook-id"]
    }

    pub(super) fn kind(&self) -> &str {
        self.body["type"].as_str().expect("a type")
    }

    pub(super) fn path(&self) -> &str {
        self.body["document"]["path"].as_str().expect("a path")
    }
}

pub(super) struct Receiver {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    group: Group,
}

struct Shared {
    answer: Mutex<Answer>,
    got: watch::Sender<Vec<Got>>,
}

impl Receiver {
    pub(super) async fn start() -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let answer = Mutex::new(Answer::Status(200));
        let shared = Arc::new(Shared { answer, got: watch::channel(Vec::new()).0 });
        let group = Group::new(Counter::default());
        let serving = {
            let (shared, group) = (Arc::clone(&shared), group.clone());
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let shared = Arc::clone(&shared);
                    group.spawn("connection", async move {
                        let _ = serve(stream, &shared).await;
                    });
                }
            }
        };
        group.spawn("receiver", serving);
        Receiver { address, shared, group }
    }

    pub(super) fn answer(&self, answer: Answer) {
        *self.shared.answer.lock() = answer;
    }

    pub(super) fn got(&self) -> Vec<Got> {
        self.shared.got.borrow().clone()
    }

    pub(super) fn watch(&self) -> watch::Receiver<Vec<Got>> {
        self.shared.got.subscribe()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.group.stop();
    }
}

async fn serve(mut stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    loop {
        let (head_end, length) = loop {
            if let Some(found) = head(&bytes) {
                break found;
            }
            if stream.read_buf(&mut bytes).await? == 0 {
                return Ok(());
            }
        };
        while bytes.len() < head_end + length {
            if stream.read_buf(&mut bytes).await? == 0 {
                return Ok(());
            }
        }
        let rest = bytes.split_off(head_end + length);
        let headers = headers(&bytes[..head_end]);
        let body = serde_json::from_slice(&bytes[head_end..]).expect("a delivery is JSON");
        bytes = rest;
        shared.got.send_modify(|got| got.push(Got { headers, body }));
        let answer = *shared.answer.lock();
        let said = match answer {
            Answer::Status(status) => format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n"),
            Answer::Redirect => {
                "HTTP/1.1 307 X\r\nlocation: /\r\ncontent-length: 0\r\n\r\n".to_owned()
            }
            Answer::Silence => return std::future::pending().await,
            Answer::Endless => {
                stream.write_all(b"HTTP/1.1 200 X\r\n\r\n").await?;
                loop {
                    stream.write_all(&[b'x'; 1024]).await?;
                }
            }
        };
        stream.write_all(said.as_bytes()).await?;
    }
}

/// Where the head ends and how long the body is.
fn head(bytes: &[u8]) -> Option<(usize, usize)> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let length = headers(&bytes[..end]).get("content-length")?.parse().ok()?;
    Some((end, length))
}

fn headers(head: &[u8]) -> HashMap<String, String> {
    let text = String::from_utf8_lossy(head);
    let pairs = text.lines().skip(1).filter_map(|line| line.split_once(':'));
    pairs.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect()
}
