//! What is handed to a webhook's task from outside: vaults whose feed has moved, session events
//! that are stored.
//!
//! Filled by `watch`, emptied by `teller`. Never holds more session events than the hook keeps.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use sheaf_protocol::ids::VaultName;
use sheaf_protocol::stamp::Stamp;
use tokio::sync::Notify;

/// One hook's inbox. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Inbox(Arc<Shared>);

#[derive(Default)]
struct Shared {
    news: Mutex<News>,
    came: Notify,
}

/// What came since the last look.
#[derive(Default)]
pub(super) struct News {
    /// Vaults whose feed has moved, or which came or went.
    pub vaults: BTreeSet<VaultName>,
    /// Session events, already stored.
    pub sessions: VecDeque<(Stamp, Bytes)>,
}

impl Inbox {
    pub(super) fn moved(&self, vault: &VaultName) {
        self.0.news.lock().vaults.insert(vault.clone());
        self.0.came.notify_one();
    }

    pub(super) fn happened(&self, events: impl IntoIterator<Item = (Stamp, Bytes)>) {
        self.0.news.lock().sessions.extend(events);
        self.0.came.notify_one();
    }

    pub(super) fn take(&self) -> News {
        std::mem::take(&mut *self.0.news.lock())
    }

    /// Waits until something came since the last look.
    pub(super) async fn came(&self) {
        self.0.came.notified().await;
    }
}
