//! What documents had a name before. Filled by the fold of deletions and moves, read by
//! `document::registry`.
//! Never says that a document is gone: it may be back, or live under another name.

use sheaf_protocol::ids::{DocId, DocKey, VaultNo};

use super::engine::Batch;
use super::keys::retired;
use super::window::Window;
use super::{Error, Store, value};

/// Documents of one name that are remembered; of more, the latest.
const EPOCHS_MAX: usize = 64;

/// Pairs read by one engine call.
const SCAN_PAIRS: usize = 256;

/// A document that had a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retired {
    /// Which.
    pub doc: DocId,
    /// Client ids of its history; none where they are to be read from its log.
    pub clients: Vec<u64>,
}

/// Puts a row.
pub(super) fn put(
    batch: &mut Batch,
    (doc, name): (DocKey, &str),
    clients: &[u64],
) -> Result<(), Error> {
    let mut bytes = Vec::new();
    retired::encode(&mut bytes, clients);
    value::put_one(batch, &retired::key(doc, name), &bytes)
}

impl Window {
    /// Takes the history of a document whose name is free.
    ///
    /// # Errors
    /// `TooLarge` for more client ids than a row can hold.
    pub fn retired(
        &mut self,
        doc: DocKey,
        position: u64,
        (name, clients): (&str, &[u64]),
    ) -> Result<(), Error> {
        if position >= self.engine_from {
            put(&mut self.batch, (doc, name), clients)?;
        }
        Ok(())
    }
}

impl Store {
    /// The latest documents that had this name, oldest first. A row that is damaged counts as one
    /// without client ids.
    ///
    /// # Errors
    /// What the engine reports.
    pub fn retired(&self, vault: VaultNo, name: &str) -> Result<Vec<Retired>, Error> {
        let prefix = retired::prefix(vault, name);
        let mut found = Vec::new();
        let mut from: Option<Vec<u8>> = None;
        loop {
            let pairs = self.engine().scan(&prefix, from.as_deref(), SCAN_PAIRS)?;
            for pair in &pairs {
                let Some(DocKey { doc, .. }) = retired::doc(&pair.0) else { continue };
                let clients = value::body(pair).ok().and_then(retired::decode).unwrap_or_default();
                found.push(Retired { doc, clients });
            }
            found.drain(..found.len().saturating_sub(EPOCHS_MAX));
            match pairs.into_iter().next_back() {
                Some((key, _)) => from = Some(key),
                None => return Ok(found),
            }
        }
    }
}
