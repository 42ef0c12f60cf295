//! What happens, passed on to every webhook: feeds that move, sessions that come and go.
//!
//! Two tasks, started by `Webhooks`. A session's event is handed on only once it is stored. Never
//! reads a feed: each webhook does at its own pace.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use sheaf_protocol::ids::VaultName;
use sheaf_protocol::stamp::{Stamp, StampClock};
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;

use super::config::Hook;
use super::event;
use super::feed::Feed;
use super::inbox::Inbox;
use crate::auth::SessionEvent;
use crate::metrics::Metrics;
use sheaf_ground::task;
use sheaf_ground::time::Clock;
use sheaf_storage::store::keys::hooks::HookId;
use sheaf_storage::store::value::CHUNK_BYTES_MAX;
use sheaf_storage::store::{HookNews, Store};

/// How often vaults that were not there before are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Session events stored by one sync.
const BATCH_MAX: usize = 256;

/// Where a webhook's news go.
#[derive(Clone)]
pub(super) struct Post {
    pub hook: Arc<Hook>,
    pub id: HookId,
    pub inbox: Inbox,
}

/// Tells every webhook which vaults' feeds have moved.
pub(super) async fn vaults(
    feed: Arc<dyn Feed>,
    posts: Arc<[Post]>,
    clock: Clock,
    stopping: CancellationToken,
) {
    let announce = |name: &VaultName| {
        for post in posts.iter().filter(|post| post.hook.vaults.covers(name)) {
            post.inbox.moved(name);
        }
    };
    let mut known: BTreeMap<VaultName, u64> = BTreeMap::new();
    let mut moves = FuturesUnordered::new();
    loop {
        for vault in feed.list() {
            if known.get(&vault.name) == Some(&vault.epoch) {
                continue;
            }
            if let Ok(seq) = feed.watch(&vault.name) {
                moves.push(next_move(vault.name.clone(), vault.epoch, seq));
                announce(&vault.name);
                known.insert(vault.name, vault.epoch);
            }
        }
        let mut look = std::pin::pin!(clock.sleep(LOOK_EVERY));
        loop {
            tokio::select! {
                () = stopping.cancelled() => return,
                () = &mut look => break,
                Some((name, epoch, seq)) = moves.next() => {
                    announce(&name);
                    match seq {
                        Some(seq) => moves.push(next_move(name, epoch, seq)),
                        None if known.get(&name) == Some(&epoch) => drop(known.remove(&name)),
                        None => {}
                    }
                }
            }
        }
    }
}

/// Waits until a vault's feed moves; without a receiver the vault is gone.
async fn next_move(
    name: VaultName,
    epoch: u64,
    mut seq: watch::Receiver<u64>,
) -> (VaultName, u64, Option<watch::Receiver<u64>>) {
    let is_there = seq.changed().await.is_ok();
    (name, epoch, is_there.then_some(seq))
}

/// Stores and passes on what happens to sessions.
pub(super) struct Sessions {
    pub events: broadcast::Receiver<SessionEvent>,
    pub posts: Arc<[Post]>,
    pub store: Store,
    pub clock: Clock,
    pub metrics: Arc<Metrics>,
    pub stamps: StampClock,
}

impl Sessions {
    /// Runs until it is told to stop, which must be after the last session has ended: what happened
    /// until then is stored before it returns.
    pub(super) async fn run(mut self, stopping: CancellationToken) {
        loop {
            let first = tokio::select! {
                biased;
                first = self.events.recv() => first,
                () = stopping.cancelled() => return,
            };
            let mut batch = Vec::new();
            match first {
                Ok(event) => batch.push(event),
                Err(RecvError::Lagged(missed)) => self.missed(missed),
                Err(RecvError::Closed) => return stopping.cancelled().await,
            }
            while batch.len() < BATCH_MAX {
                match self.events.try_recv() {
                    Ok(event) => batch.push(event),
                    Err(TryRecvError::Lagged(missed)) => self.missed(missed),
                    Err(TryRecvError::Empty | TryRecvError::Closed) => break,
                }
            }
            self.pass_on(&batch);
        }
    }

    fn pass_on(&mut self, batch: &[SessionEvent]) {
        let now_ms = self.clock.now_ms();
        let stamped: Vec<(Stamp, &SessionEvent)> =
            batch.iter().map(|event| (self.stamps.tick(now_ms), event)).collect();
        for post in self.posts.iter() {
            let is_wanted = |event: &SessionEvent| {
                let vault = &event::session_of(event).vault;
                post.hook.wants(event::type_of_session(event)) && post.hook.vaults.covers(vault)
            };
            let wanted = stamped.iter().filter(|(_, event)| is_wanted(event));
            let bodies = wanted.map(|(stamp, event)| {
                let body = event::of_session(*stamp, event).body;
                (*stamp, body)
            });
            let (events, too_long): (Vec<_>, Vec<(Stamp, Bytes)>) =
                bodies.partition(|(_, body)| body.len() <= CHUNK_BYTES_MAX);
            self.drop_events(too_long.len() as u64, "a name in it is too long to be stored");
            if events.is_empty() {
                continue;
            }
            let stored = events.iter().map(|(stamp, body)| (*stamp, body.to_vec())).collect();
            let news = HookNews { events: stored, ..HookNews::default() };
            match task::block(|| self.store.put_hook(post.id, &news)) {
                Ok(()) => post.inbox.happened(events),
                Err(error) => {
                    let webhook = &post.hook.label;
                    tracing::error!(webhook, %error, "session events could not be stored");
                    self.drop_events(events.len() as u64, "the store failed");
                }
            }
        }
    }

    fn missed(&self, events: u64) {
        self.drop_events(events, "more happened at once than could be stored");
    }

    fn drop_events(&self, events: u64, why: &'static str) {
        if events > 0 {
            self.metrics.webhook.session_events_dropped.inc_by(events);
            tracing::warn!(events, why, "session events are not told to webhooks");
        }
    }
}
