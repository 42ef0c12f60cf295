//! Webhooks: what happens to documents and sessions, posted to the URLs of the configuration.
//!
//! `app` starts them with the vaults and the session events. They are readers like any other: of
//! the feed by cursor, of session events through a stored outbox. Never loses an event of a
//! document and never lets one receiver wait for another; what was told may be told again after a
//! crash, with the same id.

mod client;
pub mod config;
mod event;
pub mod feed;
mod inbox;
mod lane;
mod queue;
pub mod sign;
mod teller;
mod watch;

use std::sync::Arc;

use parking_lot::Mutex;
use rand::Rng;
use sheaf_protocol::stamp::StampClock;
use tokio::sync::broadcast;

use self::client::Client;
use self::config::Hook;
use self::feed::Feed;
use self::inbox::Inbox;
use self::teller::{Parts, Standing, Teller};
use self::watch::{Post, Sessions};
use crate::auth::SessionEvent;
use crate::metrics::Metrics;
use sheaf_ground::task::Group;
use sheaf_ground::time::{Clock, Seed};
use sheaf_storage::store::keys::hooks::HookId;
use sheaf_storage::store::{self, Store};

/// Why webhooks cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What is kept of them cannot be read or written.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// Connections cannot be made, for lack of root certificates most likely.
    #[error("webhook {hook}: cannot prepare connections: {source}")]
    Client {
        /// Which.
        hook: String,
        /// Why.
        source: reqwest::Error,
    },
}

/// What webhooks are built on.
pub struct Basis {
    /// The vaults.
    pub feed: Arc<dyn Feed>,
    /// Who comes and goes.
    pub sessions: broadcast::Receiver<SessionEvent>,
    /// Where places and outboxes are kept.
    pub store: Store,
    /// The time.
    pub clock: Clock,
    /// For the jitter of retries and the ids of events.
    pub seed: Seed,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

/// The running webhooks.
pub struct Webhooks {
    standings: Vec<Arc<Mutex<Standing>>>,
    clock: Clock,
}

impl Webhooks {
    /// Starts a task for each webhook in `group`, which must be stopped after the last session has
    /// ended. What is kept of webhooks that are not configured any more is removed. Blocks the
    /// thread.
    ///
    /// # Errors
    /// See [`Error`]; then nothing was started.
    pub fn start(hooks: Vec<Hook>, basis: Basis, group: &Group) -> Result<Webhooks, Error> {
        let Basis { feed, sessions, store, clock, seed, metrics } = basis;
        let post = |hook: Hook| {
            let id = id_of(&hook.name);
            Post { hook: Arc::new(hook), id, inbox: Inbox::default() }
        };
        let posts: Arc<[Post]> = hooks.into_iter().map(post).collect();
        for id in store.hooks()? {
            if !posts.iter().any(|post| post.id == id) {
                tracing::info!("a webhook is not configured any more: forgetting its place");
                store.delete_hook(id)?;
            }
        }
        let parts = Parts {
            feed: Arc::clone(&feed),
            store: store.clone(),
            clock: clock.clone(),
            metrics: Arc::clone(&metrics),
        };
        let mut tellers = Vec::new();
        let mut standings = Vec::new();
        for post in posts.iter() {
            let client = Client::new(Arc::clone(&post.hook), clock.clone());
            let hook = &post.hook.label;
            let client = client.map_err(|source| Error::Client { hook: hook.clone(), source })?;
            let standing = Arc::new(Mutex::new(Standing::default()));
            standings.push(Arc::clone(&standing));
            let jitter = seed.generator(&format!("webhook {}", post.hook.name));
            let (post, client) = (post.clone(), Arc::new(client));
            tellers.push(Teller::new(post, client, parts.clone(), jitter, standing)?);
        }
        for teller in tellers {
            group.spawn("webhook", teller.run(group.stopping().clone()));
        }
        if posts.iter().any(|post| post.hook.wants_documents()) {
            let stopping = group.stopping().clone();
            let watching = watch::vaults(feed, Arc::clone(&posts), clock.clone(), stopping);
            group.spawn("webhook feeds", watching);
        }
        if posts.iter().any(|post| post.hook.wants_sessions()) {
            let stamps = StampClock::new(seed.generator("webhook events").next_u64());
            let clock = clock.clone();
            let sessions = Sessions { events: sessions, posts, store, clock, metrics, stamps };
            group.spawn("webhook sessions", sessions.run(group.stopping().clone()));
        }
        Ok(Webhooks { standings, clock })
    }

    /// Brings the gauges up to date.
    pub fn refresh(&self, metrics: &Metrics) {
        let now_ms = self.clock.now_ms();
        let (mut pending, mut lag_ms, mut disabled) = (0, 0, 0);
        for standing in &self.standings {
            let standing = *standing.lock();
            pending += standing.pending;
            let age_ms = standing.oldest_ms.map_or(0, |oldest_ms| now_ms.saturating_sub(oldest_ms));
            lag_ms = age_ms.max(lag_ms);
            disabled += i64::from(standing.is_disabled);
        }
        let webhook = &metrics.webhook;
        webhook.pending.set(pending as i64);
        webhook.lag_seconds.set(lag_ms as f64 / 1000.0);
        webhook.disabled.set(disabled);
    }
}

impl std::fmt::Debug for Webhooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhooks").field("hooks", &self.standings.len()).finish_non_exhaustive()
    }
}

fn id_of(name: &str) -> HookId {
    let digest = blake3::hash(name.as_bytes());
    HookId(*digest.as_bytes().first_chunk().expect("a digest has 32 bytes"))
}

#[cfg(test)]
mod tests;
