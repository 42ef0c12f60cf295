//! Forgetting deleted files: what every device knows to be deleted goes, with its history; and the
//! stamps of changes that no device tries again.
//!
//! Job: once an hour, find deletions that are old enough and that no device still has to hear of,
//! raise the horizon and let the store remove them. Run by `app`. Never removes a document that
//! came back, or one with a named version, and never before the horizon is in the journal.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use sheaf_protocol::ids::{DocId, DocKey};
use sheaf_storage::journal::payload::{Pruned, Retired};
use sheaf_storage::journal::{Kind, Record};
use sheaf_storage::store::Item;
use tokio_util::sync::CancellationToken;

use super::book::{Book, State, append};
use super::config::Devices as Config;
use super::past::is_derived;
use super::{Error, Vaults};
use crate::document::submission::Failure;
use sheaf_ground::task;

/// How often vaults are looked at.
const PRUNE_EVERY: Duration = Duration::from_secs(60 * 60);

/// Documents of one record: the fold removes their keys at once.
const BATCH: usize = 64;

/// Names of one record: some 64 KiB.
const NAMES_BATCH: usize = 512;

/// A deletion that may be forgotten.
struct Due {
    doc: DocId,
    seq: u64,
    path: Arc<str>,
    /// The row of its former name is to say these client ids.
    clients: Option<Vec<u64>>,
}

impl State {
    /// Deletions beyond `after` that may be forgotten, by seq.
    fn due(&self, config: &Config, now_ms: u64, after: u64) -> Vec<Due> {
        let held = self.devices.held(config, now_ms).map(|it| it.seq).min();
        let held = held.unwrap_or(self.visible_seq());
        let rows = self.shown_after(after).filter(|(seq, doc, item)| {
            let is_known = *seq <= held;
            item.is_deleted
                && config.is_over(item.updated.ms(), now_ms, is_known)
                && !self.is_busy(*doc)
        });
        let due = |(seq, doc, item): (u64, DocId, &Item)| Due {
            doc,
            seq,
            path: Arc::clone(&item.path),
            clients: None,
        };
        rows.take(BATCH).map(due).collect()
    }
}

impl Vaults {
    /// Forgets what may be forgotten once an hour, until the server stops.
    pub async fn run_pruning(self, stopping: CancellationToken) {
        let clock = self.shared().clock.clone();
        while stopping.run_until_cancelled(clock.sleep(PRUNE_EVERY)).await.is_some() {
            let gone = self.prune(&stopping).await;
            tracing::debug!(files = gone, "deleted files were forgotten");
        }
    }

    /// Forgets deleted files of all vaults; how many.
    pub(crate) async fn prune(&self, stopping: &CancellationToken) -> u64 {
        let mut gone = 0;
        let books: Vec<Arc<Book>> = self.inner.books.read().values().cloned().collect();
        for book in books.iter().filter(|book| book.account().is_live()) {
            match self.prune_vault(book, stopping).await {
                Ok(files) => gone += files,
                Err(error) => {
                    let vault = book.account().name();
                    tracing::warn!(%vault, %error, "deleted files were not forgotten");
                }
            }
        }
        gone
    }

    async fn prune_vault(&self, book: &Book, stopping: &CancellationToken) -> Result<u64, Error> {
        let (mut after, mut gone) = (0, 0);
        task::block(|| self.wait_stored())?;
        book.state().set_folded(self.shared().journal.folded());
        while !stopping.is_cancelled() {
            let _work = self.shared().work.begin().await;
            let now_ms = self.shared().clock.now_ms();
            let due = book.state().due(&self.inner.terms.devices, now_ms, after);
            let Some(last) = due.last() else { break };
            after = last.seq;
            let due = task::block(|| self.without_named(book, due))?;
            let (files, end) = self.forget(book, due, now_ms)?;
            self.durable(end).await?;
            gone += files;
        }
        self.forget_names(book, stopping).await?;
        self.forget_stamps(book, stopping).await?;
        self.shared().metrics.vault.pruned.inc_by(gone);
        Ok(gone)
    }

    /// Those that have no named version, with what their former names are to say. Blocks the
    /// thread.
    fn without_named(&self, book: &Book, due: Vec<Due>) -> Result<Vec<Due>, Error> {
        self.wait_stored()?;
        let (store, vault) = (self.registry().store(), book.account().number());
        let mut left = Vec::new();
        for mut one in due {
            let doc = DocKey { vault, doc: one.doc };
            if !store.labels(doc)?.is_empty() {
                continue;
            }
            // What is read from its log now cannot be read any more then.
            let rows = store.retired(vault, &one.path)?;
            if rows.iter().any(|row| row.doc == one.doc && row.clients.is_empty()) {
                let recalled = self.registry().recall(book.account(), one.doc);
                one.clients = Some(recalled.map(|it| it.clients()).unwrap_or_default());
            }
            left.push(one);
        }
        Ok(left)
    }

    /// Forgets these, as far as they are still as they were; how many, and the end of the record.
    fn forget(&self, book: &Book, due: Vec<Due>, now_ms: u64) -> Result<(u64, u64), Failure> {
        let mut state = book.state();
        if state.is_gone() {
            return Ok((0, 0));
        }
        // A device may have come, or an edit brought one back.
        let (Some(first), Some(last)) = (due.first(), due.last()) else { return Ok((0, 0)) };
        let (first, last) = (first.seq, last.seq);
        let still = state.due(&self.inner.terms.devices, now_ms, first - 1);
        let still: HashSet<(DocId, u64)> =
            still.into_iter().filter(|it| it.seq <= last).map(|it| (it.doc, it.seq)).collect();
        let is_still = |one: &Due| {
            let is_live = book.account().path_of(one.doc).is_some();
            still.contains(&(one.doc, one.seq)) && !is_live
        };
        let due: Vec<Due> = due.into_iter().filter(is_still).collect();
        let Some(horizon) = due.iter().map(|one| one.seq).max() else { return Ok((0, 0)) };
        let horizon = horizon.max(state.horizon);
        let mut pruned = Pruned { horizon, ..Pruned::default() };
        let (nil, stamp) = (book.nil(), self.registry().stamp());
        let mut rows = Vec::new();
        for Due { doc, seq, path, clients } in &due {
            pruned.documents.push((*doc, *seq));
            match clients.as_deref() {
                None => {}
                Some([]) => pruned.names.push((*doc, path.to_string())),
                Some(clients) => {
                    let (name, clients) = (path.to_string(), clients.to_vec());
                    let mut payload = Vec::new();
                    Retired { name, clients }.encode(&mut payload);
                    rows.push((DocKey { doc: *doc, ..nil }, payload));
                }
            }
        }
        let mut payload = Vec::new();
        pruned.encode(&mut payload);
        let record = |doc, kind, payload| Record { doc, n: 0, kind, stamp, author: None, payload };
        let rows = rows.iter().map(|(doc, payload)| record(*doc, Kind::Retired, &payload[..]));
        let records: Vec<_> = rows.chain([record(nil, Kind::Pruned, &payload)]).collect();
        let end = append(self.registry(), &records)?.end;
        state.horizon = horizon;
        for one in &due {
            if let Some(item) = state.forget(one.doc, end) {
                book.account().discharge_buried(item.bytes);
            }
        }
        Ok((due.len() as u64, end))
    }

    /// Forgets what stamped changes came to that nobody tries again.
    async fn forget_stamps(&self, book: &Book, stopping: &CancellationToken) -> Result<(), Error> {
        let now_ms = self.shared().clock.now_ms();
        let before_ms = self.inner.terms.devices.stale_before_ms(now_ms);
        let (store, vault, mut after) = (self.registry().store(), book.account().number(), None);
        while !stopping.is_cancelled() {
            let _work = self.shared().work.begin().await;
            let (_, last) = task::block(|| store.forget_stamped(vault, before_ms, after))?;
            if last.is_none() {
                break;
            }
            after = last;
        }
        Ok(())
    }

    /// Forgets former names of documents that are forgotten or elsewhere, beyond those that are
    /// remembered.
    async fn forget_names(&self, book: &Book, stopping: &CancellationToken) -> Result<(), Error> {
        let max = usize::try_from(self.inner.terms.devices.former_names_max).unwrap_or(usize::MAX);
        let store = self.registry().store();
        let mut names = task::block(|| {
            self.wait_stored()?;
            Ok::<_, Error>(store.former_names(book.account().number())?)
        })?;
        {
            let state = book.state();
            let is_kept = |name: &str, doc: DocId| match state.current(doc) {
                // One that was moved has left this name for good: it counts.
                Some(item) => is_derived(&item.path, name, doc),
                None => book.account().path_of(doc).is_some(),
            };
            names.retain(|(name, doc)| !is_kept(name, *doc));
        }
        names.sort_by_key(|(_, doc)| *doc);
        names.truncate(names.len().saturating_sub(max));
        for names in names.chunks(NAMES_BATCH) {
            if stopping.is_cancelled() {
                break;
            }
            let end = {
                let state = book.state();
                if state.is_gone() {
                    break;
                }
                let names = names.iter().map(|(name, doc)| (*doc, name.clone())).collect();
                let mut payload = Vec::new();
                Pruned { horizon: state.horizon, documents: Vec::new(), names }
                    .encode(&mut payload);
                let (doc, kind, stamp) = (book.nil(), Kind::Pruned, self.registry().stamp());
                let record = Record { doc, n: 0, kind, stamp, author: None, payload: &payload };
                append(self.registry(), &[record])?.end
            };
            self.durable(end).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
