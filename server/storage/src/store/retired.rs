//! What documents had a name before. Filled by the fold of deletions and moves, which keeps as many
//! as are remembered, and read by `document::registry`.
//! Never says that a document is gone: it may be back, or live under another name.

use sheaf_protocol::ids::{DocId, DocKey, VaultNo};

use super::engine::{Batch, Pair};
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
            let rows = self.retired.entry(retired::prefix(doc.vault, name)).or_default();
            rows.insert(retired::key(doc, name));
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
        let mut found = Vec::new();
        self.retired_rows(&retired::prefix(vault, name), |pairs| {
            for pair in &pairs {
                let Some(DocKey { doc, .. }) = retired::doc(&pair.0) else { continue };
                let clients = value::body(pair).ok().and_then(retired::decode).unwrap_or_default();
                found.push(Retired { doc, clients });
            }
            // A store that comes from before format 3 may have more.
            found.drain(..found.len().saturating_sub(EPOCHS_MAX));
        })?;
        Ok(found)
    }

    /// Removes what a window puts beyond those that are remembered.
    pub(super) fn trim_retired(&self, window: &mut Window) -> Result<(), Error> {
        for (prefix, mut rows) in std::mem::take(&mut window.retired) {
            self.retired_rows(&prefix, |pairs| rows.extend(pairs.into_iter().map(|(key, _)| key)))?;
            let surplus = rows.len().saturating_sub(EPOCHS_MAX);
            rows.into_iter().take(surplus).for_each(|key| window.batch.delete(key));
        }
        Ok(())
    }

    /// All rows of a name, some at a time, the oldest document's first.
    fn retired_rows(&self, prefix: &[u8], mut each: impl FnMut(Vec<Pair>)) -> Result<(), Error> {
        let mut from: Option<Vec<u8>> = None;
        loop {
            let pairs = self.engine().scan(prefix, from.as_deref(), SCAN_PAIRS)?;
            let Some((last, _)) = pairs.last() else { return Ok(()) };
            from = Some(last.clone());
            each(pairs);
        }
    }
}
