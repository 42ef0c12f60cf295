//! `marks`: the versions of a file. Key: vault, kind, document id, seq. Written by the fold of
//! every commit to the feed, read when somebody asks for history, deleted when versions are
//! thinned.
//! Never holds a body: what it names is rebuilt from the log.

use std::sync::Arc;

use sheaf_protocol::ids::DocKey;

use super::Key;
use super::items::Item;
use crate::store::codec::{Reader, put_text_option, put_varint};

/// A file as it was at a seq.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The seq of the version before it; 0 for none. Where that is not there any more, versions
    /// between were thinned.
    pub prev_seq: u64,
    /// The item then.
    pub item: Item,
    /// How it came about.
    pub made: Made,
}

/// How a version came about, besides what its item says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Made {
    /// Who wrote in it, each once, the latest last; `None` is nobody in particular.
    pub authors: Vec<Option<Arc<str>>>,
    /// The seq of the version whose body it is again; 0 if it is none's.
    pub restored: u64,
    /// It lost against another of the same base, or was merged with it.
    pub is_conflict: bool,
    /// When it was written by the client's own clock, in Unix milliseconds, if the client said.
    pub client_ms: Option<u64>,
    /// When the server took it in, in Unix milliseconds, where the item has the client's stamp.
    pub taken_ms: Option<u64>,
}

/// Bits of the flags.
const CONFLICT: u8 = 1;
const CLIENT_MS: u8 = 2;
const TAKEN_MS: u8 = 4;

/// Authors that one version names; of more the latest.
const AUTHORS_MAX: usize = 64;

/// The key of a version.
#[must_use]
pub fn key(doc: DocKey, seq: u64) -> Vec<u8> {
    super::doc_number(doc, Key::Marks, seq)
}

impl Made {
    /// flags u8 (1: conflict, 2: a client's time, 4: when it was taken in), restored varint, the
    /// times as varints, those that there are, author count varint, authors (text or none).
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let conflict = if self.is_conflict { CONFLICT } else { 0 };
        let client_ms = self.client_ms.map_or(0, |_| CLIENT_MS);
        let taken_ms = self.taken_ms.map_or(0, |_| TAKEN_MS);
        out.push(conflict | client_ms | taken_ms);
        put_varint(out, self.restored);
        self.client_ms.iter().chain(&self.taken_ms).for_each(|ms| put_varint(out, *ms));
        let authors = &self.authors[self.authors.len().saturating_sub(AUTHORS_MAX)..];
        put_varint(out, authors.len() as u64);
        authors.iter().for_each(|author| put_text_option(out, author.as_deref()));
    }

    /// The inverse of `encode`.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let flags = reader.u8()?;
        if flags & !(CONFLICT | CLIENT_MS | TAKEN_MS) != 0 {
            return None;
        }
        let restored = reader.varint()?;
        let mut time = |flag| match flags & flag {
            0 => Some(None),
            _ => reader.varint().map(Some),
        };
        let (client_ms, taken_ms) = (time(CLIENT_MS)?, time(TAKEN_MS)?);
        let count = reader.varint()?;
        let mut authors = Vec::new();
        for _ in 0..count {
            authors.push(reader.text_option()?.map(Arc::from));
        }
        Some(Self { authors, restored, is_conflict: flags & CONFLICT != 0, client_ms, taken_ms })
    }
}

impl Version {
    /// When the server had it, in Unix milliseconds: by this its age goes.
    #[must_use]
    pub fn taken_ms(&self) -> u64 {
        self.made.taken_ms.unwrap_or(self.item.updated.ms())
    }

    /// previous seq varint, how it was made, then the item.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(128);
        put_varint(&mut out, self.prev_seq);
        self.made.encode(&mut out);
        out.extend_from_slice(&self.item.encode());
        out
    }

    /// The inverse of `encode`.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let (prev_seq, made) = (reader.varint()?, Made::read(&mut reader)?);
        let item = Item::read(&mut reader)?;
        reader.is_empty().then_some(Self { prev_seq, item, made })
    }
}
