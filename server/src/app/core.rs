//! What lies below the edges, put together: the data directory, the documents, their sessions.
//!
//! Owned by `App`. Never accepts or answers anything: that is the edges' work.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use sheaf_protocol::control;
use sheaf_protocol::error::{Code, Refusal};
use tokio::sync::broadcast;
use tracing::field::Empty;

use crate::auth::SessionEvent;
use crate::blob::{self, Blobs};
use crate::config::{self, Config};
use crate::document::awareness;
use crate::document::handle::Shared;
use crate::document::ledger::Ledger;
use crate::document::registry::{self, Registry};
use crate::document::turns::Work;
use crate::http;
use crate::memory::Budget;
use crate::metrics::Metrics;
use crate::relay::pulse::Pulse;
use crate::relay::session::{self, Limits, Opened, Relay};
use crate::vault::{self, Vaults};
use crate::webhook::{self, Webhooks};
use sheaf_ground::task::{Group, SPAN, Shutdown};
use sheaf_ground::time::{Clock, Seed};
use sheaf_storage::journal::{self, Journal};
use sheaf_storage::store::{self, Store};

/// Time that settling gets at a stop, however long the sessions took.
const SETTLE_LEAST: Duration = Duration::from_secs(1);

/// Why what is kept could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] journal::Error),
    /// The blobs.
    #[error(transparent)]
    Blobs(#[from] blob::Error),
}

/// Everything that lives as long as the server and is not an edge.
pub(super) struct Core {
    sessions: Group,
    background: Group,
    /// Ends after the sessions: what they wrote last is settled.
    settling: Group,
    /// Outlives the sessions: their leaving is told, too.
    telling: Group,
    webhooks: Option<Webhooks>,
    store: Store,
    journal: Journal,
    relay: Arc<Relay>,
    /// Vaults, files, the feed.
    pub(super) vaults: Vaults,
    /// Bytes by their hash.
    pub(super) blobs: Blobs,
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core").field("sessions", &self.sessions.running()).finish_non_exhaustive()
    }
}

impl Core {
    /// Opens what is kept in `data_dir`: store, journal (folded before it returns), registry.
    /// Blocks the thread.
    pub(super) fn open(
        data_dir: &Path,
        config: &Config,
        clock: &Clock,
        seed: &Seed,
        metrics: &Arc<Metrics>,
    ) -> Result<Core, Error> {
        let store = Store::open(data_dir)?;
        let dir = store.journal_dir().expect("a store in a directory has one for its journal");
        let journal = journal::Config {
            meters: metrics.journal.meters.clone(),
            clock: clock.clone(),
            ..journal::Config::new(dir)
        };
        let (journal, report) = Journal::open(journal, store.clone())?;
        log_opened(&report, journal.durable());
        let ceiling = u32::try_from(store.presence_clock()).unwrap_or(u32::MAX / 2);
        let shared = Shared {
            journal: journal.clone(),
            clock: clock.clone(),
            metrics: Arc::clone(metrics),
            awareness: Arc::new(awareness::Clocks::above(ceiling)),
            live_bytes: Arc::default(),
            text_root: config.documents.text_root.as_str().into(),
            seed: *seed,
            ledger: Ledger::new(config.quota, metrics.vault.quota_refusals.clone()),
            work: Work::default(),
        };
        let blobs = open_blobs(data_dir, config, (clock, metrics))?;
        let registry = Registry::new(shared, store.clone(), documents(config, seed))?;
        let sessions = Group::new(metrics.task_panics.clone());
        let background = Group::new(metrics.task_panics.clone());
        let stopping = background.stopping().clone();
        background.spawn("housekeeping", registry.clone().housekeeping(stopping));
        let vaults = Vaults::keeping(registry.clone(), terms(config), Some(blobs.clone()))?;
        clear(&vaults, &blobs, &background);
        let settling = Group::new(metrics.task_panics.clone());
        settle(&vaults, &settling);
        let relay = Arc::new(Relay {
            registry,
            vaults: vaults.clone(),
            budget: Budget::new(config.limits.pending_bytes_max),
            limits: bounds(&config.limits),
            clock: clock.clone(),
            metrics: Arc::clone(metrics),
            pulse: Pulse::start(clock, &background, sessions.stopping()),
            announced: announced(config),
        });
        let telling = Group::new(metrics.task_panics.clone());
        let webhooks = None;
        Ok(Core {
            sessions,
            background,
            settling,
            telling,
            webhooks,
            store,
            journal,
            relay,
            vaults,
            blobs,
        })
    }

    /// Starts the webhooks, before anything happens that they are to be told. Blocks the thread.
    pub(super) fn start_webhooks(
        &mut self,
        hooks: Vec<webhook::config::Hook>,
        sessions: broadcast::Receiver<SessionEvent>,
        seed: Seed,
    ) -> Result<(), webhook::Error> {
        let basis = webhook::Basis {
            feed: Arc::new(self.vaults.clone()),
            sessions,
            store: self.store.clone(),
            clock: self.relay.clock.clone(),
            seed,
            metrics: Arc::clone(&self.relay.metrics),
        };
        self.webhooks = Some(Webhooks::start(hooks, basis, &self.telling)?);
        Ok(())
    }

    /// The memory for what is large and on its way.
    pub(super) fn memory(&self) -> Budget {
        self.relay.budget.clone()
    }

    /// Takes an opened WebSocket and starts its session.
    pub(super) fn accept(&self, opened: Opened) {
        let relay = Arc::clone(&self.relay);
        let span = tracing::trace_span!(
            target: SPAN,
            "session",
            dialect = opened.about.family().name(),
            close_code = Empty
        );
        session::accept(relay, opened, &self.sessions, span);
    }

    /// Tells sessions to drain and close with 1012, and waits for them and for the housekeeping.
    pub(super) async fn drain(&self, clock: &Clock, time: Duration) -> Shutdown {
        self.background.stop();
        let by = clock.now() + time;
        let drained = self.sessions.shutdown(clock, time).await;
        self.background.shutdown(clock, by.since(clock.now())).await;
        let left = by.since(clock.now()).max(SETTLE_LEAST);
        if let Shutdown::Left(_) = self.settling.shutdown(clock, left).await {
            tracing::warn!("not every body settled: the next start goes on");
        }
        // The last: what left the sessions until now is stored before it ends.
        let left = by.since(clock.now()).max(SETTLE_LEAST);
        self.telling.shutdown(clock, left).await;
        drained
    }

    /// Tells everything to end, without waiting.
    pub(super) fn stop(&self) {
        self.sessions.stop();
        self.background.stop();
        self.settling.stop();
        self.telling.stop();
    }

    /// Makes durable what is written. After it nothing may be submitted.
    pub(super) fn close(&self) {
        self.stop();
        if let Err(error) = self.journal.close() {
            tracing::error!(%error, "the journal was not closed cleanly");
        }
    }
}

impl http::Health for Core {
    fn check_ready(&self) -> Result<(), Refusal> {
        if self.sessions.stopping().is_cancelled() {
            return Err(Refusal { code: Code::Restart, at: 0, what: "the server is stopping" });
        }
        if !self.journal.is_writable() {
            let what = "writes cannot be made durable";
            return Err(Refusal { code: Code::Unavailable, at: 0, what });
        }
        Ok(())
    }

    fn refresh(&self, metrics: &Metrics) {
        let journal = &metrics.journal;
        journal.written_position.set(self.journal.written());
        journal.durable_position.set(self.journal.durable());
        journal.folded_position.set(self.journal.folded());
        journal.read_only.set(i64::from(!self.journal.is_writable()));
        self.vaults.refresh();
        metrics.relay.permit_bytes.set(self.relay.budget.used() as u64);
        if let Some(webhooks) = &self.webhooks {
            webhooks.refresh(metrics);
        }
    }
}

/// The bounds of sessions.
fn bounds(limits: &config::limits::Limits) -> Limits {
    Limits {
        message_bytes_max: limits.message_bytes_max,
        auth_time_max: Duration::from_secs(limits.auth_timeout_s),
        ping_idle: Duration::from_secs(limits.ping_idle_s),
        session_idle: Duration::from_secs(limits.session_idle_s),
    }
}

/// What documents are bound by.
fn documents(config: &Config, seed: &Seed) -> registry::Config {
    registry::Config {
        unload_idle: Duration::from_secs(config.limits.unload_idle_s),
        documents_bytes_max: usize::try_from(config.limits.documents_bytes_max)
            .unwrap_or(usize::MAX),
        device: seed.generator("device").next_u64(),
        clock_drift_ms: config.limits.clock_drift_ms,
        auto_create: config.vaults.auto_create,
    }
}

/// The bounds that clients are told.
pub(super) fn announced(config: &Config) -> control::Limits {
    let limits = &config.limits;
    control::Limits {
        frame_bytes: limits.message_bytes_max as u64,
        document_bytes: limits.text_bytes_max as u64,
        file_bytes: limits.file_bytes_max,
        page_items: limits.page_items_max,
        wait_s: limits.wait_s_max,
        clock_drift_ms: limits.clock_drift_ms,
        ..control::Limits::default()
    }
}

/// Tells what opening the journal found.
fn open_blobs(
    data_dir: &Path,
    config: &Config,
    (clock, metrics): (&Clock, &Metrics),
) -> Result<Blobs, blob::Error> {
    let file_bytes_max = config.limits.file_bytes_max;
    let blobs = blob::Config::new(data_dir.join(blob::DIR), file_bytes_max, clock.clone());
    Blobs::open(blob::Config { meters: metrics.blob.clone(), ..blobs })
}

/// How long what was is kept.
fn terms(config: &Config) -> vault::Terms {
    vault::Terms { versions: config.versions, devices: config.devices }
}

/// Gives seqs to bodies, and writes down what devices have acknowledged: also what the sessions
/// that end last did.
fn settle(vaults: &Vaults, settling: &Group) {
    settling.spawn("devices", vaults.clone().run_devices(settling.stopping().clone()));
    settling.spawn("settling", vaults.clone().run(settling.stopping().clone()));
}

/// Takes away versions that are old, deleted files that every device knows of, and bytes that no
/// version refers to.
fn clear(vaults: &Vaults, blobs: &Blobs, background: &Group) {
    let stopping = background.stopping().clone();
    let sweeping = blobs.clone().housekeeping(Arc::new(vaults.clone()), stopping.clone());
    background.spawn("sweeping", sweeping);
    background.spawn("thinning", vaults.clone().run_thinning(stopping.clone()));
    background.spawn("pruning", vaults.clone().run_pruning(stopping));
}

fn log_opened(report: &journal::Report, position: u64) {
    if let Some(cut) = report.cut {
        tracing::warn!(
            position = cut.position,
            bytes = cut.bytes,
            "the journal's torn tail was cut: it was never acknowledged"
        );
    }
    for stray in &report.strays {
        tracing::warn!(
            doc = %stray.doc,
            name = stray.name,
            position = stray.position,
            what = %stray,
            "an entry does not follow the one before it"
        );
    }
    tracing::info!(records = report.records, position, "journal folded");
}
