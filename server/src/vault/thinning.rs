//! Thinning: versions go as they age, unless they have a name or a device has them.
//!
//! Job: once an hour, let `history` thin the versions of each file. Run by `app`. Never while a
//! version is being named, and never before the store knows of the last name.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use sheaf_protocol::ids::{DocKey, VaultNo};
use tokio_util::sync::CancellationToken;

use super::Vaults;
use crate::history::{self, Holds, Thinned};
use sheaf_ground::task;

/// How often versions are thinned.
const THIN_EVERY: Duration = Duration::from_secs(60 * 60);

impl Vaults {
    /// Thins the versions of all files once an hour, until the server stops.
    pub async fn run_thinning(self, stopping: CancellationToken) {
        let clock = self.shared().clock.clone();
        while stopping.run_until_cancelled(clock.sleep(THIN_EVERY)).await.is_some() {
            let gone = self.thin(&stopping).await;
            tracing::debug!(versions = gone, "versions were thinned");
        }
    }

    /// Thins the versions of all files; how many went.
    pub(crate) async fn thin(&self, stopping: &CancellationToken) -> u64 {
        let (mut gone, mut held) = (0, HashMap::new());
        for document in self.registry().store().documents() {
            let vault = document.key.vault;
            let held: &Vec<Holds> = held.entry(vault).or_insert_with(|| self.held_by(vault));
            while !stopping.is_cancelled() {
                let _work = self.shared().work.begin().await;
                let step = || self.thin_step(document.key, held);
                let Thinned { versions, has_more } = task::block(step);
                gone += versions;
                if !has_more {
                    break;
                }
            }
        }
        gone
    }

    /// What the devices of a vault have.
    fn held_by(&self, vault: VaultNo) -> Vec<Holds> {
        let Some(book) = self.inner.books.read().get(&vault).map(Arc::clone) else {
            return Vec::new();
        };
        let now_ms = self.shared().clock.now_ms();
        book.state().devices.held(&self.inner.terms.devices, now_ms).collect()
    }

    fn thin_step(&self, doc: DocKey, held: &[Holds]) -> Thinned {
        let (store, config) = (self.registry().store(), &self.inner.terms.versions);
        let named = self.inner.thinning.lock();
        // What was named a moment ago is to be seen there.
        let journal = &self.shared().journal;
        let end = journal.durable().max(*named);
        if journal.folded() < end && journal.wait_folded(end).is_err() {
            return Thinned::default();
        }
        let thinned = history::thin(store, doc, (config, held), self.shared().clock.now_ms());
        thinned.unwrap_or_else(|error| {
            tracing::warn!(%doc, %error, "versions were not thinned");
            Thinned::default()
        })
    }
}
