//! The task of one webhook: reads the feeds at its own pace, sends what is due, stores how far it
//! has come.
//!
//! Started by `Webhooks`, one for each hook, so that none waits for another. Never counts an event
//! as told before the receiver has said so, and never skips one in the store before it is told.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use parking_lot::Mutex;
use rand::rngs::StdRng;
use sheaf_protocol::ids::VaultName;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use tracing::field::Empty;

use super::client::Client;
use super::config::{EventType, From};
use super::feed::Feed;
use super::queue::{About, Job, Outcome, Queue, Verdict};
use super::watch::Post;
use crate::metrics::Metrics;
use crate::metrics::webhook::Outcome as Counted;
use crate::vault::{Change, Cursor, Error, Vault};
use sheaf_ground::task::{self, SPAN};
use sheaf_ground::time::{Clock, Moment};
use sheaf_storage::store::keys::hooks::Place;
use sheaf_storage::store::{self, Store};

/// Places are stored this long after they moved: a crash repeats what was told since.
const SAVE_AFTER: Duration = Duration::from_secs(1);
/// A feed or a store that fails is tried again after this long.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Changes read at once.
const PAGE_MAX: usize = 64;
/// How long a stop waits for deliveries under way; what is cut off is told again at the next start.
const STOP_TIME_MAX: Duration = Duration::from_secs(2);

/// Where a webhook stands, for metrics.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Standing {
    pub pending: usize,
    pub oldest_ms: Option<u64>,
    pub is_disabled: bool,
}

/// One webhook's task.
pub(super) struct Teller {
    post: Post,
    queue: Queue,
    client: Arc<Client>,
    feed: Arc<dyn Feed>,
    store: Store,
    clock: Clock,
    metrics: Arc<Metrics>,
    standing: Arc<Mutex<Standing>>,
    begun_ms: u64,
    /// Vaults whose feed is not read to its end.
    unread: BTreeSet<VaultName>,
    save_at: Option<Moment>,
    read_at: Option<Moment>,
    /// The receiver failed last time: said once, and again when it is back.
    is_failing: bool,
}

/// What all tellers share.
#[derive(Clone)]
pub(super) struct Parts {
    pub feed: Arc<dyn Feed>,
    pub store: Store,
    pub clock: Clock,
    pub metrics: Arc<Metrics>,
}

impl Teller {
    /// Goes on where the stored places are. A webhook that was never here gets places now: at the
    /// end of every feed, or at its start.
    pub(super) fn new(
        post: Post,
        client: Arc<Client>,
        parts: Parts,
        jitter: StdRng,
        standing: Arc<Mutex<Standing>>,
    ) -> Result<Teller, store::Error> {
        let Parts { feed, store, clock, metrics } = parts;
        let kept = store.hook(post.id)?;
        let now_ms = clock.now_ms();
        let mut teller = Teller {
            queue: Queue::new(&post.hook, jitter),
            post,
            client,
            feed,
            store,
            clock,
            metrics,
            standing,
            begun_ms: kept.begun_ms.unwrap_or(now_ms),
            unread: BTreeSet::new(),
            save_at: None,
            read_at: None,
            is_failing: false,
        };
        for (vault, place) in kept.places {
            teller.restore(&vault, &place);
        }
        for (stamp, body) in kept.events {
            teller.queue.push_session(stamp, body.into());
        }
        if kept.begun_ms.is_none() {
            teller.queue.begun(now_ms);
        }
        for vault in teller.feed.list() {
            if teller.is_told_of(&vault.name) {
                teller.follow(&vault);
                teller.unread.insert(vault.name);
            }
        }
        // Before anything can change: from here on nothing is missed.
        if teller.queue.is_unsaved() {
            teller.store.put_hook(teller.post.id, &teller.queue.news())?;
            teller.queue.saved();
        }
        teller.show();
        Ok(teller)
    }

    /// Tells until it is stopped, then stores how far it came.
    pub(super) async fn run(mut self, stopping: CancellationToken) {
        let client = Arc::clone(&self.client);
        let mut in_flight = FuturesUnordered::new();
        loop {
            self.take_news();
            self.read();
            let now = self.clock.now();
            while let Some(job) = self.queue.take(now) {
                in_flight.push(send(Arc::clone(&client), job));
            }
            self.save_when_due();
            self.show();
            let next = [self.queue.next(now), self.save_at, self.read_at];
            let next = next.into_iter().flatten().min();
            let clock = self.clock.clone();
            let wait = async move {
                match next {
                    Some(moment) => clock.sleep_until(moment).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = stopping.cancelled() => break,
                Some((job, outcome)) = in_flight.next() => self.done(&job, outcome),
                () = self.post.inbox.came() => {}
                () = wait => {}
            }
        }
        let clock = self.clock.clone();
        let finish = async {
            while let Some((job, outcome)) = in_flight.next().await {
                self.done(&job, outcome);
            }
        };
        if clock.deadline(STOP_TIME_MAX, finish).await.is_err() {
            let webhook = &self.post.hook.label;
            tracing::info!(webhook, "deliveries under way were cut off; they will be repeated");
        }
        self.save();
    }

    fn is_told_of(&self, vault: &VaultName) -> bool {
        self.post.hook.wants_documents() && self.post.hook.vaults.covers(vault)
    }

    fn restore(&mut self, vault: &VaultName, place: &Place) {
        let now = self.clock.now();
        if !self.is_told_of(vault) {
            // The configuration leaves the vault out now. Should it come back, it is a new one.
            self.queue.begin(vault, place, false, now);
            self.queue.end(vault);
            return;
        }
        self.queue.begin(vault, place, false, now);
        let lost = self.queue.lane(vault).map(|lane| lane.lost()).unwrap_or_default();
        for seq in lost {
            let since = Cursor::at(place.epoch, seq.saturating_sub(1));
            let found = self.feed.changes(vault, since, 1).map(|page| page.items);
            if let Some(change) = found.ok().and_then(|items| items.into_iter().next()) {
                self.queue.recall(vault, change);
            }
        }
    }

    fn take_news(&mut self) {
        let news = self.post.inbox.take();
        for vault in news.vaults {
            if self.is_told_of(&vault) {
                self.unread.insert(vault);
            }
        }
        let mut dropped = 0;
        for (stamp, body) in news.sessions {
            dropped += self.queue.push_session(stamp, body);
        }
        if dropped > 0 {
            self.metrics.webhook.session_events_dropped.inc_by(dropped);
            let webhook = &self.post.hook.label;
            tracing::warn!(webhook, dropped, "session events dropped: the receiver is behind");
        }
    }

    fn read(&mut self) {
        if self.read_at.is_some_and(|moment| moment > self.clock.now()) {
            return;
        }
        self.read_at = None;
        let unread = std::mem::take(&mut self.unread);
        for vault in unread {
            if !task::block(|| self.read_vault(&vault)) {
                self.unread.insert(vault);
            }
        }
    }

    /// Reads a vault's feed as far as there is room. Says whether that was to its end.
    fn read_vault(&mut self, name: &VaultName) -> bool {
        let Some(vault) = self.feed.get(name) else {
            self.queue.end(name);
            return true;
        };
        self.follow(&vault);
        loop {
            let room = self.queue.room(name).min(PAGE_MAX);
            let Some(lane) = self.queue.lane(name).filter(|_| room > 0) else { return false };
            let (since, known_until_ms) = (lane.since(), lane.known_until_ms);
            match self.feed.changes(name, since, room) {
                Ok(page) => {
                    let changes = self.mark_new(name, page.items, known_until_ms);
                    self.queue.read(name, changes, page.cursor, self.clock.now());
                    if !page.has_more {
                        self.queue.drop_lost(name);
                        return true;
                    }
                }
                Err(Error::NoVault) => {
                    self.queue.end(name);
                    return true;
                }
                // Pruned away while the hook was not there: everything that is left is read.
                Err(Error::CursorExpired { .. }) if since.seq > 0 => {
                    let place = Place { epoch: vault.epoch, known_until_ms, ..Place::default() };
                    self.queue.begin(name, &place, true, self.clock.now());
                }
                Err(error) => {
                    let webhook = &self.post.hook.label;
                    tracing::warn!(webhook, %error, "a feed could not be read; trying again");
                    self.read_at = Some(self.clock.now() + RETRY_AFTER);
                    return false;
                }
            }
        }
    }

    /// Makes sure there is a place in this vault, of this epoch.
    fn follow(&mut self, vault: &Vault) {
        let is_other_epoch = match self.queue.lane(&vault.name) {
            Some(lane) if lane.epoch == vault.epoch => return,
            Some(_) => true,
            None => false,
        };
        if is_other_epoch {
            self.queue.end(&vault.name);
        }
        let is_younger = vault.created_ms > self.begun_ms;
        let epoch = vault.epoch;
        let place = if is_other_epoch || is_younger || self.post.hook.from == From::Start {
            Place { epoch, ..Place::default() }
        } else {
            let known_until_ms = self.clock.now_ms();
            Place { epoch, seq: vault.seq, known_until_ms, open: Vec::new() }
        };
        self.queue.begin(&vault.name, &place, true, self.clock.now());
    }

    fn mark_new(
        &self,
        vault: &VaultName,
        changes: Vec<Change>,
        known_until_ms: u64,
    ) -> Vec<(Change, bool)> {
        let tells_new = self.post.hook.wants(EventType::Created);
        let is_new = |change: &Change| {
            let doc = change.file.id;
            tells_new
                && change.file.created_ms > known_until_ms
                && !self.queue.has_just_told(vault, doc)
                // A store that cannot say has told it once: another "created" does less harm.
                && !self.store.has_hook_told(self.post.id, vault, doc).unwrap_or(false)
        };
        let mark = |change: Change| {
            let is_new = is_new(&change);
            (change, is_new)
        };
        changes.into_iter().map(mark).collect()
    }

    fn done(&mut self, job: &Job, outcome: Outcome) {
        let (now, now_ms) = (self.clock.now(), self.clock.now_ms());
        let verdict = self.queue.done(job, outcome, now, now_ms);
        let metrics = &self.metrics.webhook;
        let webhook = &self.post.hook.label;
        if job.is_retry {
            metrics.retries.inc();
        }
        metrics.deliveries(match verdict {
            Verdict::Told => Counted::Delivered,
            Verdict::Again => Counted::Failed,
            Verdict::Dead => Counted::Dead,
            Verdict::Kept => Counted::Gone,
        });
        if verdict == Verdict::Dead {
            let doc = match &job.about {
                About::Document(_, doc) => Some(tracing::field::display(doc)),
                About::Session(_) => None,
            };
            tracing::error!(webhook, doc, id = job.event.id, "event given up: tried for too long");
        }
        match outcome {
            Outcome::Gone => {
                let what = "webhook disabled until the next start: its receiver answers 410";
                tracing::error!(webhook, "{what}");
            }
            Outcome::Failed(_) if !self.is_failing => {
                self.is_failing = true;
                tracing::warn!(webhook, id = job.event.id, "a delivery failed; trying again");
            }
            Outcome::Taken if self.is_failing => {
                self.is_failing = false;
                tracing::info!(webhook, "deliveries are taken again");
            }
            _ => {}
        }
    }

    fn save_when_due(&mut self) {
        let now = self.clock.now();
        match self.save_at {
            Some(moment) if moment <= now => self.save(),
            None if self.queue.is_unsaved() => self.save_at = Some(now + SAVE_AFTER),
            _ => {}
        }
    }

    fn save(&mut self) {
        self.save_at = None;
        if !self.queue.is_unsaved() {
            return;
        }
        match task::block(|| self.store.put_hook(self.post.id, &self.queue.news())) {
            Ok(()) => self.queue.saved(),
            Err(error) => {
                let webhook = &self.post.hook.label;
                tracing::error!(webhook, %error, "a webhook's place could not be stored");
                self.save_at = Some(self.clock.now() + RETRY_AFTER);
            }
        }
    }

    fn show(&self) {
        *self.standing.lock() = Standing {
            pending: self.queue.pending(),
            oldest_ms: self.queue.oldest_ms(),
            is_disabled: self.queue.is_disabled(),
        };
    }
}

async fn send(client: Arc<Client>, job: Job) -> (Job, Outcome) {
    let span = tracing::trace_span!(
        target: SPAN,
        "webhook delivery",
        "otel.kind" = "client",
        is_retry = job.is_retry,
        outcome = Empty
    );
    let outcome = client.send(&job.event).instrument(span.clone()).await;
    span.record(
        "outcome",
        match outcome {
            Outcome::Taken => "taken",
            Outcome::Gone => "gone",
            Outcome::Failed(_) => "failed",
        },
    );
    (job, outcome)
}

#[cfg(test)]
mod tests;
