//! `labels`: names that people gave to versions. Key: vault, kind, document id, seq. Written by the
//! fold of a naming; a named version is never thinned.
//! Never holds an empty name: a row without one is deleted.

use std::sync::Arc;

use sheaf_protocol::ids::DocKey;
use sheaf_protocol::stamp::Stamp;

use super::Key;
use crate::store::codec::{Reader, put_text, put_text_option};

/// A name of a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The name.
    pub name: Arc<str>,
    /// When it was given.
    pub stamp: Stamp,
    /// By whom.
    pub author: Option<Arc<str>>,
}

/// The key of a version's name.
#[must_use]
pub fn key(doc: DocKey, seq: u64) -> Vec<u8> {
    super::doc_number(doc, Key::Labels, seq)
}

impl Label {
    /// stamp 16 bytes, author text or none, name text.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = self.stamp.to_bytes().to_vec();
        put_text_option(&mut out, self.author.as_deref());
        put_text(&mut out, &self.name);
        out
    }

    /// The inverse of `encode`.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let stamp = Stamp::from_bytes(reader.array()?);
        let author = reader.text_option()?.map(Arc::from);
        let name = Arc::from(reader.text()?);
        reader.is_empty().then_some(Self { name, stamp, author })
    }
}
