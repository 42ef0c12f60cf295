//! A WebSocket as light as it can be: the rig shares a machine with the server that it measures.
//!
//! Only what a load needs: the upgrade, binary frames, answers to pings. Frames are masked with a
//! zero key, which the protocol allows and which costs nothing.

use anyhow::{Context, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

const READ_BYTES: usize = 16 << 10;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// Where to connect.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    host: String,
    /// Begins with `/`.
    path: String,
}

impl Address {
    /// Reads `ws://host:port/prefix` and appends a room that needs no escaping.
    pub(crate) fn new(url: &str, room: &str) -> anyhow::Result<Self> {
        let rest =
            url.strip_prefix("ws://").with_context(|| format!("{url} is no ws:// address"))?;
        let (host, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = prefix.trim_end_matches('/');
        let host = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
        let slash = if prefix.is_empty() { "" } else { "/" };
        Ok(Self { host, path: format!("/{prefix}{slash}{room}") })
    }
}

/// Connects and upgrades.
pub(crate) async fn connect(address: &Address) -> anyhow::Result<(Receiver, Sender)> {
    let Address { host, path } = address;
    let mut stream =
        TcpStream::connect(host).await.with_context(|| format!("connecting to {host}"))?;
    stream.set_nodelay(true)?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: c2hlYWYtbG9hZHRlc3QtMQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut bytes).await? == 0 || bytes.len() > READ_BYTES {
            bail!("the server did not answer the upgrade");
        }
    };
    if !bytes.starts_with(b"HTTP/1.1 101") {
        let line = bytes.split(|byte| *byte == b'\r').next().unwrap_or_default();
        bail!("the server refused: {}", String::from_utf8_lossy(line));
    }
    let pending = bytes.split_off(end);
    let (from, to) = stream.into_split();
    Ok((Receiver { from, frames: Frames { bytes: pending, start: 0 } }, Sender { to }))
}

/// The reading half.
pub(crate) struct Receiver {
    from: OwnedReadHalf,
    frames: Frames,
}

/// What a frame holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame<'a> {
    Binary(&'a [u8]),
    Ping(&'a [u8]),
    /// The code, 1005 without one.
    Close(u16),
    Other,
}

impl Receiver {
    /// Waits until there is something to read, then hands on every whole frame there is, with one
    /// read of the socket. Returns false at the end of the connection.
    pub(crate) async fn receive(
        &mut self,
        mut take: impl FnMut(Frame<'_>),
    ) -> anyhow::Result<bool> {
        while let Some(frame) = self.frames.next()? {
            take(frame);
        }
        let is_open = self.frames.fill(&mut self.from).await? > 0;
        while let Some(frame) = self.frames.next()? {
            take(frame);
        }
        Ok(is_open)
    }
}

/// Bytes that came, cut into frames.
struct Frames {
    bytes: Vec<u8>,
    start: usize,
}

impl Frames {
    async fn fill(&mut self, from: &mut OwnedReadHalf) -> std::io::Result<usize> {
        self.bytes.drain(..self.start);
        self.start = 0;
        self.bytes.reserve(READ_BYTES);
        from.read_buf(&mut self.bytes).await
    }

    fn next(&mut self) -> anyhow::Result<Option<Frame<'_>>> {
        let bytes = &self.bytes[self.start..];
        let [first, second, rest @ ..] = bytes else { return Ok(None) };
        let (len, header) = match second & 0x7f {
            126 if rest.len() >= 2 => (usize::from(u16::from_be_bytes([rest[0], rest[1]])), 4),
            127 if rest.len() >= 8 => {
                let len: [u8; 8] = rest[..8].try_into().context("eight bytes")?;
                (usize::try_from(u64::from_be_bytes(len))?, 10)
            }
            126 | 127 => return Ok(None),
            len => (usize::from(len), 2),
        };
        if second & 0x80 != 0 || first & 0x80 == 0 {
            bail!("the server sent a masked or fragmented frame, which this rig does not read");
        }
        let Some(payload) = bytes.get(header..header + len) else { return Ok(None) };
        let opcode = first & 0x0f;
        self.start += header + len;
        Ok(Some(match opcode {
            BINARY => Frame::Binary(payload),
            PING => Frame::Ping(payload),
            CLOSE => {
                Frame::Close(payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code)))
            }
            _ => Frame::Other,
        }))
    }
}

/// The writing half.
pub(crate) struct Sender {
    to: OwnedWriteHalf,
}

impl Sender {
    /// Sends what [`binary`] and [`pong`] made.
    pub(crate) async fn send(&mut self, frames: &[u8]) -> anyhow::Result<()> {
        self.to.write_all(frames).await.context("the server closed the connection")
    }
}

/// Appends a binary frame.
pub(crate) fn binary(out: &mut Vec<u8>, payload: &[u8]) {
    frame(out, BINARY, payload);
}

/// Appends the answer to a ping.
pub(crate) fn pong(out: &mut Vec<u8>, payload: &[u8]) {
    frame(out, PONG, payload);
}

fn frame(out: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    out.push(0x80 | opcode);
    match payload.len() {
        len @ 0..126 => out.push(0x80 | len as u8),
        len @ 126..=0xffff => {
            out.push(0x80 | 126);
            out.extend((len as u16).to_be_bytes());
        }
        len => {
            out.push(0x80 | 127);
            out.extend((len as u64).to_be_bytes());
        }
    }
    out.extend([0; 4]);
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests;
