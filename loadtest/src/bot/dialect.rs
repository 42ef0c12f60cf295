//! A document as one dialect calls it: what opens it, how an update is framed, what a frame says.

use std::net::Ipv4Addr;
use std::rc::Rc;

use anyhow::Context as _;
use serde::Deserialize;
use sheaf_protocol::frame::{self, Message};
use sheaf_protocol::varint::{Reader, write_text, write_uint};

use super::wire::{self, Address};
use crate::outcome::Dialect;
use crate::target::Target;

pub(crate) const EMPTY_STATE_VECTOR: &[u8] = &[0];
const EMPTY_UPDATE: &[u8] = &[0, 0];
/// Hocuspocus' own messages; the others are those of y-websocket.
const AUTH: u64 = 2;
const CLOSE: u64 = 7;
const SYNC_STATUS: u64 = 8;
const PING: u64 = 9;
const PONG: u8 = 10;

/// A document of a server.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    dialect: Dialect,
    address: Address,
    name: String,
    /// Stands before every message: Hocuspocus names the document in each frame.
    prefix: Rc<[u8]>,
}

/// What a frame said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard<'a> {
    /// The server's answer to what we lack.
    Step2(&'a [u8]),
    Update(&'a [u8]),
    Awareness(&'a [u8]),
    /// The server has stored what we sent: the next update (Hocuspocus), or everything up to the
    /// version in these bytes (Y-Sweet).
    Ack(&'a [u8]),
    Refused(&'a str),
    Ping(&'a [u8]),
    /// The code, 1005 without one.
    Closed(u16),
    /// Whatever a load does not need.
    Other,
}

impl Room {
    /// A document by its name, of letters, digits, `-` and `_`.
    pub(crate) fn new(target: &Target, name: &str) -> anyhow::Result<Self> {
        Self::at(&target.url, target.dialect, name)
    }

    /// As [`Room::new`], by the server's address.
    pub(crate) fn at(url: &str, dialect: Dialect, name: &str) -> anyhow::Result<Self> {
        let address = Address::new(url)?;
        let (mut prefix, mut path) = (Vec::new(), address.clone());
        match dialect {
            Dialect::YWebsocket => path = address.under(name),
            Dialect::Hocuspocus => write_text(&mut prefix, name),
            Dialect::YSweet => {}
        }
        let name = name.to_owned();
        Ok(Self { dialect, address: path, name, prefix: prefix.into() })
    }

    /// The same, from this address of ours.
    pub(crate) fn from(mut self, source: Option<Ipv4Addr>) -> Self {
        self.address.source = source;
        self
    }

    /// Where its socket is opened. Y-Sweet is asked for it over HTTP, by every client.
    pub(crate) async fn socket(&self) -> anyhow::Result<Address> {
        #[derive(Deserialize)]
        struct Token {
            url: String,
            #[serde(rename = "docId")]
            id: String,
            token: Option<String>,
        }
        if self.dialect != Dialect::YSweet {
            return Ok(self.address.clone());
        }
        let Address { host, .. } = &self.address;
        let body = serde_json::json!({ "docId": self.name }).to_string();
        wire::post(host, &self.address.under("doc/new").path, &body).await?;
        let path = self.address.under(&format!("doc/{}/auth", self.name)).path;
        let answer = wire::post(host, &path, "{}").await?;
        let token: Token = json(&answer).context("the answer to a Y-Sweet client's request")?;
        let mut socket = Address::new(&token.url)?.under(&token.id);
        socket.source = self.address.source;
        if let Some(token) = token.token {
            socket.path += &format!("?token={token}");
        }
        Ok(socket)
    }

    /// Appends the frames that open the document, for a client with this state vector, which has
    /// nothing that the server lacks.
    pub(crate) fn write_opening(&self, vector: &[u8], out: &mut Vec<u8>) {
        if self.dialect == Dialect::Hocuspocus {
            let mut auth = vec![AUTH as u8, 0];
            write_text(&mut auth, "");
            write_text(&mut auth, "4.8.0"); // as the stock provider, which then understands pings
            self.write(&auth, out);
        }
        self.write_step1(vector, out);
        if self.dialect == Dialect::YSweet {
            self.write_version(0, out);
        }
        let mut message = Vec::new();
        // Before it is asked for: it is the same, and needs no turn of its own.
        frame::write_step2(&mut message, EMPTY_UPDATE);
        self.write(&message, out);
    }

    /// Appends the question of a client that holds nothing.
    pub(crate) fn write_question(&self, out: &mut Vec<u8>) {
        self.write_step1(EMPTY_STATE_VECTOR, out);
    }

    fn write_step1(&self, vector: &[u8], out: &mut Vec<u8>) {
        let mut message = Vec::new();
        frame::write_step1(&mut message, vector);
        self.write(&message, out);
    }

    /// Appends an update.
    pub(crate) fn write_update(&self, update: &[u8], out: &mut Vec<u8>) {
        let mut head = [0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let mut len = 2;
        let mut rest = update.len();
        loop {
            head[len] = (rest & 0x7f) as u8;
            rest >>= 7;
            len += 1;
            if rest == 0 {
                break;
            }
            head[len - 1] |= 0x80;
        }
        wire::binary_head(out, self.prefix.len() + len + update.len());
        out.extend_from_slice(&self.prefix);
        out.extend_from_slice(&head[..len]);
        out.extend_from_slice(update);
    }

    /// Appends an awareness message.
    pub(crate) fn write_awareness(&self, awareness: &[u8], out: &mut Vec<u8>) {
        let mut message = Vec::with_capacity(awareness.len() + 4);
        frame::write_awareness(&mut message, awareness);
        self.write(&message, out);
    }

    /// Appends the question whether everything up to this version is stored (message 102), which
    /// Y-Sweet answers, and Sheaf to y-websocket clients; to Hocuspocus nothing, it tells unasked.
    pub(crate) fn write_version(&self, version: u64, out: &mut Vec<u8>) {
        if self.dialect != Dialect::Hocuspocus {
            let mut payload = Vec::new();
            write_uint(&mut payload, version);
            self.write(&[&[102, payload.len() as u8], &payload[..]].concat(), out);
        }
    }

    /// Whether the server closes clients that only listen.
    pub(crate) fn wants_signs_of_life(&self) -> bool {
        self.dialect == Dialect::Hocuspocus
    }

    /// Appends the answer to a keep-alive of Hocuspocus.
    pub(crate) fn write_pong(out: &mut Vec<u8>) {
        wire::binary(out, &[PONG]);
    }

    fn write(&self, message: &[u8], out: &mut Vec<u8>) {
        wire::binary_head(out, self.prefix.len() + message.len());
        out.extend_from_slice(&self.prefix);
        out.extend_from_slice(message);
    }

    /// Reads a frame.
    pub(crate) fn read<'a>(&self, payload: &'a [u8]) -> Heard<'a> {
        let message = match self.dialect {
            Dialect::YWebsocket | Dialect::YSweet => payload,
            Dialect::Hocuspocus => match payload.strip_prefix(&*self.prefix) {
                Some(message) => match hocuspocus(message) {
                    Some(heard) => return heard,
                    None => message,
                },
                None if payload == [PING as u8] => return Heard::Ping(&[]),
                None => return Heard::Other,
            },
        };
        match frame::messages(message).next() {
            Some(Ok(Message::Step2(update))) => Heard::Step2(update),
            Some(Ok(Message::Update(update))) => Heard::Update(update),
            Some(Ok(Message::Awareness(entries))) => Heard::Awareness(entries),
            Some(Ok(Message::Echo(version))) => Heard::Ack(version),
            Some(Ok(Message::AuthDenied(reason))) => Heard::Refused(reason),
            _ => Heard::Other,
        }
    }
}

/// A message that only Hocuspocus has.
fn hocuspocus(message: &[u8]) -> Option<Heard<'_>> {
    let mut reader = Reader::new(message);
    match reader.uint().ok()? {
        AUTH if reader.uint().ok()? == 1 => Some(Heard::Refused(reader.text().unwrap_or(""))),
        AUTH => Some(Heard::Other),
        CLOSE => Some(Heard::Refused(reader.text().unwrap_or(""))),
        SYNC_STATUS if reader.rest() == [1] => Some(Heard::Ack(&[])),
        SYNC_STATUS => Some(Heard::Refused("an update was refused")),
        PING => Some(Heard::Ping(&[])),
        _ => None,
    }
}

/// The JSON object in a body, which may be chunked.
fn json<T: for<'a> Deserialize<'a>>(body: &[u8]) -> Option<T> {
    let start = body.iter().position(|byte| *byte == b'{')?;
    let end = body.iter().rposition(|byte| *byte == b'}')?;
    serde_json::from_slice(body.get(start..=end)?).ok()
}

#[cfg(test)]
mod tests;
