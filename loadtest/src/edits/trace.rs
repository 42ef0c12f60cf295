//! Recorded editing sessions: the JSON of github.com/josephg/editing-traces, gzipped or not, and a
//! made-up one for those who have none.

use std::io::Read;
use std::path::Path;

use anyhow::Context;
use flate2::read::GzDecoder;
use serde::Deserialize;
use yrs::updates::decoder::Decode;
use yrs::{Doc, GetString, ReadTxn, StateVector, Transact, Update};

use super::text::{Patch, Text, in_plane};
use super::token::ROOT;
use super::typist::Typist;
use crate::bot::replica::UPDATES_AT_ONCE;

const GZIP: [u8; 2] = [0x1f, 0x8b];

/// What one person typed, in order.
#[derive(Debug, Clone)]
pub(crate) struct Trace {
    /// Each with its patches, which apply one after the other.
    pub(crate) txns: Vec<Vec<Patch>>,
    /// What there is at the end.
    pub(crate) end: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    #[serde(default)]
    kind: Option<String>,
    #[serde(default)]
    start_content: String,
    end_content: String,
    txns: Vec<Txn>,
}

#[derive(Deserialize)]
struct Txn {
    patches: Vec<(u32, u32, String)>,
}

impl Trace {
    /// Reads a sequential trace. Letters outside the basic plane are replaced.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let bytes = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
        Self::parse(&bytes).with_context(|| format!("{} is no trace", path.display()))
    }

    fn parse(bytes: &[u8]) -> anyhow::Result<Self> {
        let file: File = if bytes.starts_with(&GZIP) {
            let mut text = Vec::new();
            GzDecoder::new(bytes).read_to_end(&mut text)?;
            serde_json::from_slice(&text)?
        } else {
            serde_json::from_slice(bytes)?
        };
        anyhow::ensure!(
            file.kind.as_deref() != Some("concurrent"),
            "it has several authors; the rig types what one person typed"
        );
        let start = Txn { patches: vec![(0, 0, file.start_content)] };
        let start = (!start.patches[0].2.is_empty()).then_some(start);
        let patch = |(at, deleted, text): (u32, u32, String)| Patch {
            at,
            deleted,
            inserted: text.chars().map(in_plane).collect(),
        };
        let all = start.into_iter().chain(file.txns);
        let txns = all.map(|txn| txn.patches.into_iter().map(patch).collect()).collect();
        Ok(Self { txns, end: file.end_content.chars().map(in_plane).collect() })
    }

    /// So many keys of a made-up person.
    pub(crate) fn made_up(seed: u64, keys: usize) -> Self {
        let (mut typist, mut text) = (Typist::new(seed, 1.0), Text::new(1));
        let mut plain: Vec<char> = Vec::new();
        let mut txns = Vec::with_capacity(keys);
        while txns.len() < keys {
            let patches = typist.key(text.len());
            text.apply(&patches, &mut Vec::new());
            for patch in &patches {
                let at = (patch.at as usize).min(plain.len());
                let end = (at + patch.deleted as usize).min(plain.len());
                plain.splice(at..end, patch.inserted.chars());
            }
            txns.push(patches);
        }
        Self { txns, end: plain.into_iter().collect() }
    }

    /// The whole document as one update, as a server would store it, with all its history.
    pub(crate) fn state(&self, client: u32) -> anyhow::Result<Vec<u8>> {
        let doc = Doc::new();
        let root = doc.get_or_insert_text(ROOT);
        let mut text = Text::new(client);
        doc.transact_mut().apply_update(Update::decode_v1(&text.opening())?)?;
        let mut update = Vec::new();
        for txns in self.txns.chunks(UPDATES_AT_ONCE) {
            let mut txn = doc.transact_mut();
            for patches in txns {
                update.clear();
                if text.apply(patches, &mut update).is_some() {
                    txn.apply_update(Update::decode_v1(&update)?)?;
                }
            }
        }
        let read = root.get_string(&doc.transact());
        let is_sound = read.get(1..read.len() - 1) == Some(&self.end);
        anyhow::ensure!(is_sound, "the trace does not end as it says");
        Ok(doc.transact().encode_state_as_update_v1(&StateVector::default()))
    }
}

#[cfg(test)]
mod tests;
