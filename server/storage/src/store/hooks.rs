//! What webhooks keep: their places in the feeds and their outboxes. Called by `webhook` alone.
//! Never goes through the journal: nothing here is a change of a document, and what a crash takes
//! back is told again.

use sheaf_protocol::ids::{DocId, VaultName};
use sheaf_protocol::stamp::Stamp;

use super::engine::Batch;
use super::keys::hooks::{self, HookId, Place, What};
use super::{Error, Store, value};

/// What is kept of one hook.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hook {
    /// When it began, in milliseconds since 1970; `None` for one that never ran.
    pub begun_ms: Option<u64>,
    /// Its places in the feeds.
    pub places: Vec<(VaultName, Place)>,
    /// Its outbox, oldest first.
    pub events: Vec<(Stamp, Vec<u8>)>,
}

/// What changed of one hook.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HookNews {
    /// When it began.
    pub begun_ms: Option<u64>,
    /// Places; `None` for a vault that is no more.
    pub places: Vec<(VaultName, Option<Place>)>,
    /// Events that came to the outbox.
    pub events: Vec<(Stamp, Vec<u8>)>,
    /// Events that left it.
    pub gone: Vec<Stamp>,
    /// Documents that it was told of for the first time.
    pub told: Vec<(VaultName, DocId)>,
    /// Documents that it was told are gone.
    pub forgotten: Vec<(VaultName, DocId)>,
}

impl HookNews {
    /// Whether nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Records read by one engine call.
const SCAN_RECORDS: usize = 512;

impl Store {
    /// The hooks of which something is kept.
    ///
    /// # Errors
    /// `Corrupt`; what the engine reports.
    pub fn hooks(&self) -> Result<Vec<HookId>, Error> {
        let mut all: Vec<HookId> = Vec::new();
        let prefix = hooks::prefix_of_all();
        loop {
            let from = all.last().map(|hook| hooks::end(*hook));
            let Some((key, _)) = self.engine().scan(&prefix, from.as_deref(), 1)?.pop() else {
                break;
            };
            all.push(hooks::decode_key(&key).ok_or_else(|| Error::corrupt(&key, "webhook"))?.0);
        }
        Ok(all)
    }

    /// Everything that is kept of a hook.
    ///
    /// # Errors
    /// `Corrupt`; what the engine reports.
    pub fn hook(&self, hook: HookId) -> Result<Hook, Error> {
        let mut kept = Hook::default();
        for prefix in hooks::prefixes_of_few(hook) {
            self.each_of_hooks(&prefix, |key, what| {
                let bytes = value::get_one(self.engine(), key)?.unwrap_or_default();
                match what {
                    What::Begun => kept.begun_ms = bytes.try_into().ok().map(u64::from_le_bytes),
                    What::Place(vault) => {
                        let place = Place::decode(&bytes);
                        let place = place.ok_or_else(|| Error::corrupt(key, "place of a hook"))?;
                        kept.places.push((vault, place));
                    }
                    What::Event(stamp) => kept.events.push((stamp, bytes)),
                    What::Told(..) => {}
                }
                Ok(())
            })?;
        }
        Ok(kept)
    }

    /// Whether a hook was told of a document.
    ///
    /// # Errors
    /// `Corrupt`; what the engine reports.
    pub fn has_hook_told(
        &self,
        hook: HookId,
        vault: &VaultName,
        doc: DocId,
    ) -> Result<bool, Error> {
        let key = hooks::key(hook, &What::Told(vault.clone(), doc));
        Ok(value::get_one(self.engine(), &key)?.is_some())
    }

    /// Keeps what changed of a hook, all or nothing; on disk when it returns.
    ///
    /// # Errors
    /// `TooLarge` for an event over `value::CHUNK_BYTES_MAX`; what the engine reports.
    pub fn put_hook(&self, hook: HookId, news: &HookNews) -> Result<(), Error> {
        let mut batch = Batch::default();
        let key = |what: &What| hooks::key(hook, what);
        if let Some(begun_ms) = news.begun_ms {
            value::put_one(&mut batch, &key(&What::Begun), &begun_ms.to_le_bytes())?;
        }
        for (vault, place) in &news.places {
            let key = key(&What::Place(vault.clone()));
            match place {
                Some(place) => value::put_one(&mut batch, &key, &place.encode())?,
                None => {
                    batch.delete(key);
                    let told = hooks::prefix_of_told(hook, vault);
                    self.each_of_hooks(&told, |key, _| {
                        batch.delete(key);
                        Ok(())
                    })?;
                }
            }
        }
        for (vault, doc) in &news.told {
            value::put_one(&mut batch, &key(&What::Told(vault.clone(), *doc)), &[])?;
        }
        for (vault, doc) in &news.forgotten {
            batch.delete(key(&What::Told(vault.clone(), *doc)));
        }
        for (stamp, event) in &news.events {
            value::put_one(&mut batch, &key(&What::Event(*stamp)), event)?;
        }
        for stamp in &news.gone {
            batch.delete(key(&What::Event(*stamp)));
        }
        self.engine().apply(&batch)?;
        self.engine().sync()
    }

    /// Forgets a hook.
    ///
    /// # Errors
    /// `Corrupt`; what the engine reports.
    pub fn delete_hook(&self, hook: HookId) -> Result<(), Error> {
        let mut batch = Batch::default();
        self.each_of_hooks(&hooks::prefix(hook), |key, _| {
            batch.delete(key);
            Ok(())
        })?;
        self.engine().apply(&batch)?;
        self.engine().sync()
    }

    fn each_of_hooks(
        &self,
        prefix: &[u8],
        mut visit: impl FnMut(&[u8], What) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut from: Option<Vec<u8>> = None;
        loop {
            let pairs = self.engine().scan(prefix, from.as_deref(), SCAN_RECORDS)?;
            for (key, _) in &pairs {
                let what = hooks::decode_key(key);
                visit(key, what.ok_or_else(|| Error::corrupt(key, "webhook"))?.1)?;
            }
            match pairs.into_iter().next_back() {
                Some((key, _)) => from = Some(key),
                None => return Ok(()),
            }
        }
    }
}

#[cfg(test)]
mod tests;
