//! What is typed: updates made by hand from a model of the text, because a CRDT in the rig would
//! cost more than the server that is measured.

pub(crate) mod hand;
pub(crate) mod history;
pub(crate) mod scattered;
pub(crate) mod text;
pub(crate) mod token;
pub(crate) mod trace;
pub(crate) mod typist;

use std::cell::RefCell;
use std::rc::Rc;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use sheaf_protocol::varint::{write_text, write_uint};

use scattered::Stream;
use token::{ROOT, TOKEN_BYTES, Token};

pub(crate) const STRING: u8 = 4;
pub(crate) const HAS_RIGHT_ORIGIN: u8 = 0x40;
pub(crate) const HAS_ORIGIN: u8 = 0x80;

/// How edits follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// One author appends, each edit to the one before: what a server can join best.
    Chained,
    /// Several authors at random places, a third of the edits with a deletion: nothing to join.
    Scattered,
}

impl Kind {
    /// What it adds to a load's description.
    pub(crate) fn note(self) -> &'static str {
        match self {
            Self::Chained => "",
            Self::Scattered => ", scattered edits",
        }
    }
}

/// The edits of one document, one after the other.
#[derive(Debug, Clone)]
pub(crate) enum Edits {
    Chained { client: u32 },
    Scattered(Rc<RefCell<Stream>>),
}

impl Edits {
    /// Edits for any number of documents; those that scatter are made here, beforehand.
    pub(crate) fn new(kind: Kind, premade: usize, seed: u64) -> Self {
        match kind {
            // 32 bits: servers built on older Yjs lose the edits of longer ids.
            Kind::Chained => Self::Chained { client: (seed >> 32) as u32 | 1 },
            Kind::Scattered => {
                let mut stream = Stream::new(seed);
                stream.extend_to(premade);
                Self::Scattered(Rc::new(RefCell::new(stream)))
            }
        }
    }

    /// What the document holds before the first edit, if anything.
    pub(crate) fn base(&self) -> Option<Vec<u8>> {
        match self {
            Self::Chained { .. } => None,
            Self::Scattered(stream) => Some(stream.borrow().base().to_vec()),
        }
    }

    /// Appends the update that types this token; `token.number` says which edit it is.
    pub(crate) fn write(&self, token: Token, out: &mut Vec<u8>) {
        match self {
            Self::Chained { client } => append(*client, token, out),
            Self::Scattered(stream) => stream.borrow_mut().write(token, out),
        }
    }

    /// How many edits had to be made while the clock ran, at the rig's cost.
    pub(crate) fn late(&self) -> usize {
        match self {
            Self::Chained { .. } => 0,
            Self::Scattered(stream) => stream.borrow().late(),
        }
    }
}

/// The Yjs update that appends this token to the text that `client` alone has typed so far.
fn append(client: u32, token: Token, out: &mut Vec<u8>) {
    let clock = u64::from(token.number) * TOKEN_BYTES as u64;
    out.extend([1, 1]); // one client, one block
    write_uint(out, u64::from(client));
    write_uint(out, clock);
    if clock == 0 {
        out.extend([STRING, 1]);
        write_text(out, ROOT);
    } else {
        out.push(STRING | HAS_ORIGIN);
        write_uint(out, u64::from(client));
        write_uint(out, clock - 1);
    }
    out.push(TOKEN_BYTES as u8);
    out.extend(token.bytes());
    out.push(0); // nothing deleted
}

#[cfg(test)]
mod tests;
