//! An HTTP client that says exactly what it is told: no path is tidied, no header added but `Host`.
//!
//! One connection a request, closed by the server; a stream is read as long as the test likes.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// For what is local and should be immediate.
const SOON: Duration = Duration::from_secs(30);

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// Without its chunks' frames.
    pub body: Vec<u8>,
}

impl Answer {
    /// The first header of this name, or nothing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.text()))
    }

    /// The code of an error, in the one shape.
    ///
    /// # Panics
    /// When the body has another.
    pub fn code(&self) -> String {
        let body = self.json();
        let keys: Vec<&String> = body.as_object().expect("an object").keys().collect();
        assert_eq!(keys.len(), 4, "{body}");
        assert!(body["message"].is_string() && body["retryable"].is_boolean(), "{body}");
        assert!(body["details"].is_object(), "{body}");
        body["code"].as_str().expect("a word").to_owned()
    }
}

/// A request on its way.
#[derive(Clone, Debug)]
pub struct Request {
    head: String,
    body: Vec<u8>,
}

impl Request {
    /// A request for a target that is sent as it is.
    pub fn new(method: &str, target: &str) -> Request {
        Request { head: format!("{method} {target} HTTP/1.1\r\n"), body: Vec::new() }
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Request {
        self.head += &format!("{name}: {value}\r\n");
        self
    }

    /// With a bearer token.
    #[must_use]
    pub fn token(self, token: &str) -> Request {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    /// With a body, whose length is announced.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Request {
        self.body = body.into();
        let length = self.body.len().to_string();
        self.header("Content-Length", &length)
    }

    /// With JSON as body.
    #[must_use]
    pub fn json(self, body: &Value) -> Request {
        self.header("Content-Type", "application/json").body(body.to_string())
    }

    /// Sends it and reads the whole answer.
    ///
    /// # Panics
    /// When there is none in time.
    pub async fn send(self, to: SocketAddr) -> Answer {
        let mut stream = self.open(to).await;
        let mut bytes = Vec::new();
        timeout(SOON, stream.read_to_end(&mut bytes)).await.expect("in time").expect("an answer");
        parse(&bytes)
    }

    /// Sends it to a server that may go away meanwhile; none if there is no whole answer.
    ///
    /// # Panics
    /// When nothing comes in time.
    pub async fn attempt(self, to: SocketAddr) -> Option<Answer> {
        let mut stream = TcpStream::connect(to).await.ok()?;
        stream.write_all(&self.bytes(to)).await.ok()?;
        let mut bytes = Vec::new();
        timeout(SOON, stream.read_to_end(&mut bytes)).await.expect("in time").ok()?;
        bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
        let answer = parse(&bytes);
        let length = answer.header("content-length").parse().unwrap_or(0);
        (answer.body.len() >= length).then_some(answer)
    }

    /// Sends it and reads the head of the answer alone, as that of an upgrade.
    ///
    /// # Panics
    /// When there is none in time.
    pub async fn head(self, to: SocketAddr) -> Answer {
        let mut stream = self.open(to).await;
        let mut bytes = Vec::new();
        while !bytes.windows(4).any(|four| four == b"\r\n\r\n") {
            let read = timeout(SOON, stream.read_buf(&mut bytes)).await.expect("in time");
            assert!(read.expect("an answer") > 0, "a whole head");
        }
        let mut answer = parse(&bytes);
        let length = answer.header("content-length").parse().unwrap_or(0);
        while answer.body.len() < length {
            let read = timeout(SOON, stream.read_buf(&mut answer.body)).await.expect("in time");
            assert!(read.expect("a body") > 0, "a whole body");
        }
        answer
    }

    /// Sends it and hands over the socket, for answers that do not end.
    ///
    /// # Panics
    /// When the server does not listen.
    pub async fn open(self, to: SocketAddr) -> TcpStream {
        let mut stream = TcpStream::connect(to).await.expect("it listens");
        stream.write_all(self.whole_head(to).as_bytes()).await.expect("sent");
        // A server that refuses by the head alone may close before it has read the body.
        let _ = stream.write_all(&self.body).await;
        stream
    }

    /// The bytes of it, for a connection that was made before.
    pub fn bytes(&self, to: SocketAddr) -> Vec<u8> {
        [self.whole_head(to).as_bytes(), &self.body].concat()
    }

    fn whole_head(&self, to: SocketAddr) -> String {
        let close =
            if self.head.contains("\r\nConnection: ") { "" } else { "Connection: close\r\n" };
        let host = if self.head.contains("\r\nHost: ") {
            String::new()
        } else {
            format!("Host: {to}\r\n")
        };
        format!("{}{host}{close}\r\n", self.head)
    }
}

fn parse(bytes: &[u8]) -> Answer {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a whole head");
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status line");
    let status = status.parse().expect("a number");
    let header = |line: &str| {
        let (name, value) = line.split_once(':').expect("a header");
        (name.to_ascii_lowercase(), value.trim().to_owned())
    };
    let headers: Vec<(String, String)> = lines.map(header).collect();
    let mut answer = Answer { status, headers, body: bytes[end + 4..].to_vec() };
    if answer.header("transfer-encoding") == "chunked" {
        answer.body = unchunked(&answer.body);
    }
    answer
}

fn unchunked(mut left: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = left.windows(2).position(|two| two == b"\r\n") {
        let size = String::from_utf8_lossy(&left[..end]).into_owned();
        let size = usize::from_str_radix(size.trim(), 16).expect("a chunk's size");
        let rest = &left[end + 2..];
        body.extend_from_slice(&rest[..size.min(rest.len())]);
        left = rest.get(size + 2..).unwrap_or_default();
    }
    body
}

/// A stream of server-sent events.
pub struct Events {
    stream: TcpStream,
    /// What has come and is no whole event yet, frames of chunks taken out.
    left: String,
    raw: Vec<u8>,
    /// The status and headers.
    pub head: String,
}

/// One event: its id, its name and its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The place behind it.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its data.
    pub data: String,
}

impl Events {
    /// Opens a stream.
    ///
    /// # Panics
    /// When it does not begin in time.
    pub async fn open(request: Request, to: SocketAddr) -> Events {
        let stream = request.header("Accept", "text/event-stream").open(to).await;
        let (left, raw, head) = (String::new(), Vec::new(), String::new());
        let mut events = Events { stream, left, raw, head };
        while events.head.is_empty() {
            assert!(events.read().await, "a whole head");
            let end = events.raw.windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(end) = end {
                events.head = String::from_utf8_lossy(&events.raw[..end]).into_owned();
                events.raw.drain(..end + 4);
            }
        }
        events.unchunk();
        events
    }

    /// The next event; none when the stream has ended.
    ///
    /// # Panics
    /// When none comes in time.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            while let Some((block, rest)) = self.left.split_once("\n\n") {
                let field = |name: &str| {
                    let mut lines = block.lines().filter_map(|line| line.strip_prefix(name));
                    lines.next().unwrap_or_default().trim().to_owned()
                };
                let (id, name, data) = (field("id:"), field("event:"), field("data:"));
                self.left = rest.to_owned();
                if !name.is_empty() {
                    return Some(Event { id, name, data });
                }
            }
            if !self.read().await {
                return None;
            }
            self.unchunk();
        }
    }

    async fn read(&mut self) -> bool {
        let read = timeout(SOON, self.stream.read_buf(&mut self.raw)).await.expect("in time");
        read.is_ok_and(|bytes| bytes > 0)
    }

    fn unchunk(&mut self) {
        while let Some(end) = self.raw.windows(2).position(|two| two == b"\r\n") {
            let size = String::from_utf8_lossy(&self.raw[..end]).into_owned();
            let size = usize::from_str_radix(size.trim(), 16).expect("a chunk's size");
            if self.raw.len() < end + 4 + size {
                return;
            }
            let chunk = self.raw[end + 2..end + 2 + size].to_vec();
            self.left += &String::from_utf8(chunk).expect("events are text");
            self.raw.drain(..end + 4 + size);
        }
    }
}
