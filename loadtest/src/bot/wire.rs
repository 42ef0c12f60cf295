//! A WebSocket as light as it can be: the rig shares a machine with the server that it measures.
//!
//! Only what a load needs: the upgrade, binary frames, pings. Frames are masked with a zero key,
//! which the protocol allows and which costs nothing.

use std::net::Ipv4Addr;

use anyhow::{Context as _, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, lookup_host};

/// A server that answers more has misunderstood.
const HEAD_BYTES_MAX: usize = 16 << 10;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// Where to connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// With a port.
    pub(crate) host: String,
    /// Begins with `/`; may end with a query.
    pub(crate) path: String,
    /// Where to connect from; the system's choice if not given.
    pub(crate) source: Option<Ipv4Addr>,
}

impl Address {
    /// Reads `ws://host:port/prefix`. The path has no slash at its end, but where it is only that.
    pub(crate) fn new(url: &str) -> anyhow::Result<Self> {
        let rest =
            url.strip_prefix("ws://").with_context(|| format!("{url} is no ws:// address"))?;
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let host = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
        Ok(Self { host, path: format!("/{}", path.trim_end_matches('/')), source: None })
    }

    /// A name that needs no escaping, under this address.
    pub(crate) fn under(&self, name: &str) -> Self {
        let prefix = self.path.trim_end_matches('/');
        Self { path: format!("{prefix}/{name}"), ..self.clone() }
    }
}

/// The server does not let a client in.
#[derive(Debug, thiserror::Error)]
#[error("the server refused: {line}")]
pub(crate) struct Refused {
    /// The first line of its answer.
    line: String,
}

impl Refused {
    /// It would let one in that comes later.
    pub(crate) fn is_for_now(&self) -> bool {
        self.line.starts_with("HTTP/1.1 429") || self.line.starts_with("HTTP/1.1 503")
    }
}

/// Connects and upgrades. Returns what came behind the answer already.
pub(crate) async fn upgrade(address: &Address) -> anyhow::Result<(TcpStream, Vec<u8>)> {
    let Address { host, path, source } = address;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: c2hlYWYtbG9hZHRlc3QtMQ==\r\n\r\n"
    );
    let stream = connect(host, *source).await.with_context(|| format!("connecting to {host}"))?;
    let (stream, mut head, end) = ask(stream, &request).await?;
    if !head.starts_with(b"HTTP/1.1 101") {
        return Err(Refused { line: first_line(&head) }.into());
    }
    let pending = head.split_off(end);
    Ok((stream, pending))
}

/// Posts JSON and reads the body of the answer.
pub(crate) async fn post(host: &str, path: &str, body: &str) -> anyhow::Result<Vec<u8>> {
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let stream = connect(host, None).await.with_context(|| format!("connecting to {host}"))?;
    let (mut stream, mut answer, end) = ask(stream, &request).await?;
    if !answer.starts_with(b"HTTP/1.1 200") {
        bail!("the server refused {path}: {}", first_line(&answer));
    }
    stream.read_to_end(&mut answer).await?;
    Ok(answer.split_off(end))
}

async fn connect(host: &str, source: Option<Ipv4Addr>) -> anyhow::Result<TcpStream> {
    let Some(source) = source else { return Ok(TcpStream::connect(host).await?) };
    let address = lookup_host(host).await?.find(|address| address.is_ipv4());
    let socket = TcpSocket::new_v4()?;
    socket.bind((source, 0).into())?;
    Ok(socket.connect(address.context("no IPv4 address")?).await?)
}

/// Sends a request and reads until its answer's head is whole. Returns where that ends.
async fn ask(mut stream: TcpStream, request: &str) -> anyhow::Result<(TcpStream, Vec<u8>, usize)> {
    stream.set_nodelay(true)?;
    stream.write_all(request.as_bytes()).await?;
    let mut bytes = Vec::new();
    loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            return Ok((stream, bytes, at + 4));
        }
        if bytes.len() > HEAD_BYTES_MAX || stream.read_buf(&mut bytes).await? == 0 {
            bail!("the server did not answer");
        }
    }
}

fn first_line(head: &[u8]) -> String {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    String::from_utf8_lossy(line).into_owned()
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

/// Bytes of which the frames are not whole yet.
#[derive(Default)]
pub(crate) struct Frames {
    rest: Vec<u8>,
}

impl Frames {
    /// Begins with what came already.
    pub(crate) fn new(rest: Vec<u8>) -> Self {
        Self { rest }
    }

    /// Hands on every frame that is whole with these bytes.
    pub(crate) fn take(
        &mut self,
        bytes: &[u8],
        mut take: impl FnMut(Frame<'_>),
    ) -> anyhow::Result<()> {
        if self.rest.is_empty() {
            let read = cut(bytes, &mut take)?;
            self.rest.extend_from_slice(&bytes[read..]);
        } else {
            self.rest.extend_from_slice(bytes);
            let read = cut(&self.rest, &mut take)?;
            self.rest.drain(..read);
        }
        if self.rest.is_empty() && self.rest.capacity() > HEAD_BYTES_MAX {
            self.rest = Vec::new(); // one large frame, seldom two
        }
        Ok(())
    }
}

/// Hands on the whole frames; returns where the rest begins.
fn cut(bytes: &[u8], take: &mut impl FnMut(Frame<'_>)) -> anyhow::Result<usize> {
    let mut at = 0;
    while let Some((frame, len)) = first(&bytes[at..])? {
        take(frame);
        at += len;
    }
    Ok(at)
}

/// The first frame, if it is whole, and its length with its header.
fn first(bytes: &[u8]) -> anyhow::Result<Option<(Frame<'_>, usize)>> {
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
    let frame = match first & 0x0f {
        BINARY => Frame::Binary(payload),
        PING => Frame::Ping(payload),
        CLOSE => Frame::Close(payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code))),
        _ => Frame::Other,
    };
    Ok(Some((frame, header + len)))
}

/// Appends a binary frame's header; its payload must follow.
pub(crate) fn binary_head(out: &mut Vec<u8>, payload_len: usize) {
    head(out, BINARY, payload_len);
}

/// Appends a binary frame.
pub(crate) fn binary(out: &mut Vec<u8>, payload: &[u8]) {
    head(out, BINARY, payload.len());
    out.extend_from_slice(payload);
}

/// Appends the answer to a ping.
pub(crate) fn pong(out: &mut Vec<u8>, payload: &[u8]) {
    head(out, PONG, payload.len());
    out.extend_from_slice(payload);
}

fn head(out: &mut Vec<u8>, opcode: u8, len: usize) {
    out.push(0x80 | opcode);
    match len {
        0..126 => out.push(0x80 | len as u8),
        126..=0xffff => {
            out.push(0x80 | 126);
            out.extend((len as u16).to_be_bytes());
        }
        _ => {
            out.push(0x80 | 127);
            out.extend((len as u64).to_be_bytes());
        }
    }
    out.extend([0; 4]);
}

#[cfg(test)]
mod tests;
