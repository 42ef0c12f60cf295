//! Every metric of the server, with its unit and its help text.
//!
//! `app` makes one [`Metrics`] and shares it; parts hold the handles they count on, so the hot path
//! pays one relaxed atomic add. `http::metrics` renders them. Never labels with ids, names,
//! addresses or anything else a client chooses: labels would grow without bound and leak content.

pub mod blob;
pub mod http;
pub mod listen;
pub mod webhook;

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use sheaf_protocol::error::Code;
use sheaf_storage::journal::meters::Meters;

/// A gauge of an unsigned 64-bit value, such as a journal position.
pub type Level = Gauge<u64, AtomicU64>;

mod vault;

pub use vault::Vault;

/// All metrics, by the part that counts them.
#[derive(Debug)]
pub struct Metrics {
    /// Sockets and messages.
    pub relay: Relay,
    /// Connections that did not come to a request, and the certificate.
    pub listen: listen::Listen,
    /// Documents and what is submitted to them.
    pub document: Document,
    /// The journal and its folding into the store.
    pub journal: Journal,
    /// Vaults, their files and their feeds.
    pub vault: Vault,
    /// Bytes by their hash.
    pub blob: blob::Blob,
    /// Requests by route.
    pub http: http::Http,
    /// Webhooks.
    pub webhook: webhook::Webhook,
    /// HTTP requests answered, by status.
    http_requests: Family<Status, Counter>,
    /// Panics caught by `task::Group`.
    pub task_panics: Counter,
    /// 1 while `/readyz` says yes.
    pub ready: Gauge,
    registry: Registry,
}

/// Metrics of `relay`.
#[derive(Debug)]
pub struct Relay {
    /// TCP connections open now, WebSockets among them.
    pub connections: Gauge,
    /// The cap on `connections`.
    pub connections_max: Gauge,
    /// Sessions open now.
    pub sessions: Gauge,
    /// Sessions ever opened.
    pub sessions_opened: Counter,
    /// Sessions brought up to date by a state-vector difference after lagging.
    pub resyncs: Counter,
    /// Bytes of messages that are read and not yet applied.
    pub permit_bytes: Level,
    refused: [Counter; Code::ALL.len()],
    messages: [[Counter; MessageKind::ALL.len()]; 2],
    bytes: [Counter; 2],
}

/// Metrics of `document`.
#[derive(Debug)]
pub struct Document {
    /// Documents in memory.
    pub loaded: Gauge,
    /// Estimated memory of all documents in memory.
    pub bytes: Level,
    /// Documents ever brought into memory.
    pub loads: Counter,
    /// Documents ever dropped from memory because they were idle or the budget was short.
    pub unloads: Counter,
    /// Time to bring a document into memory.
    pub load_seconds: Histogram,
    /// Time to accept the updates of one read, journal write included; not every one is timed.
    pub apply_seconds: Histogram,
    /// Presence entries held.
    pub awareness_entries: Gauge,
    /// Updates kept aside because yrs panicked on them.
    pub quarantined: Counter,
    /// Frames that stood on something missing.
    pub gaps: Counter,
    /// Checkpoints made.
    pub checkpoints: Counter,
    updates: [Counter; Outcome::ALL.len()],
}

/// Metrics of `journal`.
#[derive(Debug)]
pub struct Journal {
    /// End of what is written: it survives the death of the process.
    pub written_position: Level,
    /// End of what is synced: it survives the loss of power.
    pub durable_position: Level,
    /// End of what the store holds durably.
    pub folded_position: Level,
    /// What the journal counts of itself.
    pub meters: Meters,
    /// 1 once the journal went read-only.
    pub read_only: Gauge,
}

/// The way of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From a client.
    In,
    /// To a client.
    Out,
}

/// The kinds of protocol message that are counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// Sync step 1.
    Step1,
    /// Sync step 2.
    Step2,
    /// An update.
    Update,
    /// Presence.
    Awareness,
    /// A question for all presence.
    QueryAwareness,
    /// Authentication refused.
    Auth,
    /// Message 102, the durability echo.
    Echo,
}

impl MessageKind {
    const ALL: [(MessageKind, &'static str); 7] = [
        (MessageKind::Step1, "step1"),
        (MessageKind::Step2, "step2"),
        (MessageKind::Update, "update"),
        (MessageKind::Awareness, "awareness"),
        (MessageKind::QueryAwareness, "query_awareness"),
        (MessageKind::Auth, "auth"),
        (MessageKind::Echo, "echo"),
    ];

    /// Each kind once.
    pub fn every() -> impl Iterator<Item = MessageKind> {
        MessageKind::ALL.into_iter().map(|(kind, _)| kind)
    }
}

/// What became of a submitted update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It changed the document.
    Changed,
    /// The document held all of it.
    NothingNew,
    /// It was refused.
    Refused,
}

impl Outcome {
    const ALL: [(Outcome, &'static str); 3] = [
        (Outcome::Changed, "changed"),
        (Outcome::NothingNew, "nothing_new"),
        (Outcome::Refused, "refused"),
    ];
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refused {
    code: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Message {
    direction: &'static str,
    r#type: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Way {
    direction: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Merged {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Status {
    status: u16,
}

const WAYS: [&str; 2] = ["in", "out"];

impl Relay {
    /// One more refusal with this code.
    pub fn refuse(&self, code: Code) {
        let at = Code::ALL.iter().position(|known| *known == code);
        self.refused[at.expect("ALL holds every code")].inc();
    }

    /// The counter of messages of one kind and way; sessions keep a clone or a reference.
    #[must_use]
    pub fn messages(&self, direction: Direction, kind: MessageKind) -> &Counter {
        &self.messages[direction as usize][kind as usize]
    }

    /// The counter of WebSocket bytes of one way, frame headers included.
    #[must_use]
    pub fn bytes(&self, direction: Direction) -> &Counter {
        &self.bytes[direction as usize]
    }
}

impl Document {
    /// The counter of updates with one outcome.
    #[must_use]
    pub fn updates(&self, outcome: Outcome) -> &Counter {
        &self.updates[outcome as usize]
    }
}

impl Metrics {
    /// A fresh set; every metric starts at zero and is exported from the start.
    #[must_use]
    pub fn new() -> Metrics {
        let mut names = Names(Registry::with_prefix("sheaf"));
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        names.add("build", "The running build", build);
        let http_requests = Family::default();
        names.add("http_requests", "HTTP requests answered, by status", http_requests.clone());
        Metrics {
            relay: relay(&mut names),
            listen: listen::Listen::new(&mut names),
            document: document(&mut names),
            journal: journal(&mut names),
            vault: Vault::new(&mut names),
            blob: blob::Blob::new(&mut names),
            http: http::Http::new(&mut names),
            webhook: webhook::webhook(&mut names),
            http_requests,
            task_panics: names.counter("task_panics", "Panics caught in a task, which was ended"),
            ready: names.gauge("ready", "1 while writes can be made durable"),
            registry: names.0,
        }
    }

    /// One more HTTP answer with this status.
    pub fn answer(&self, status: u16) {
        self.http_requests.get_or_create(&Status { status }).inc();
    }

    /// All metrics as OpenMetrics text, version 1.0.0.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        text::encode(&mut text, &self.registry).expect("writing to a String cannot fail");
        text
    }
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics::new()
    }
}

fn relay(names: &mut Names) -> Relay {
    let refused = Family::<Refused, Counter>::default();
    names.add("refused", "Sessions and requests refused, by code", refused.clone());
    let messages = Family::<Message, Counter>::default();
    names.add("messages", "Protocol messages, by direction and type", messages.clone());
    let bytes = Family::<Way, Counter>::default();
    let help = "WebSocket bytes, by direction, frame headers included";
    names.0.register_with_unit("socket", help, Unit::Bytes, bytes.clone());
    let per_kind = |direction| {
        MessageKind::ALL
            .map(|(_, r#type)| messages.get_or_create_owned(&Message { direction, r#type }))
    };
    Relay {
        connections: names.gauge("connections", "TCP connections open now"),
        connections_max: names.gauge("connections_max", "The cap on connections"),
        sessions: names.gauge("sessions", "Sessions open now"),
        sessions_opened: names.counter("sessions_opened", "Sessions ever opened"),
        resyncs: names.counter("resyncs", "Lagging sessions brought up to date by a difference"),
        permit_bytes: names.level("permit", "Bytes of messages read and not yet applied"),
        refused: Code::ALL.map(|code| refused.get_or_create_owned(&Refused { code: code.name() })),
        messages: WAYS.map(per_kind),
        bytes: WAYS.map(|direction| bytes.get_or_create_owned(&Way { direction })),
    }
}

fn document(names: &mut Names) -> Document {
    let updates = Family::<Merged, Counter>::default();
    names.add("updates", "Updates submitted to documents, by outcome", updates.clone());
    Document {
        loaded: names.gauge("documents_loaded", "Documents in memory"),
        bytes: names.level("document", "Estimated memory of all documents in memory"),
        loads: names.counter("document_loads", "Documents brought into memory"),
        unloads: names.counter("document_unloads", "Documents dropped from memory when idle"),
        load_seconds: names.seconds("document_load", "Time to bring a document into memory"),
        apply_seconds: names.seconds(
            "update_apply",
            "Time to accept and write the updates of one read; about one in 8 is timed",
        ),
        awareness_entries: names.gauge("awareness_entries", "Presence entries held"),
        quarantined: names.counter("quarantined", "Updates kept aside after a panic"),
        gaps: names.counter("gaps", "Frames that stood on something missing"),
        checkpoints: names.counter("checkpoints", "Checkpoints made"),
        updates: Outcome::ALL.map(|(_, outcome)| updates.get_or_create_owned(&Merged { outcome })),
    }
}

fn journal(names: &mut Names) -> Journal {
    let positions = "End of the journal that";
    let position = |names: &mut Names, name: &str, what: &str| {
        names.level(&format!("journal_{name}_position"), &format!("{positions} {what}"))
    };
    Journal {
        written_position: position(names, "written", "is written: it survives the process"),
        durable_position: position(names, "durable", "is synced: it survives power loss"),
        folded_position: position(names, "folded", "the store holds durably"),
        meters: Meters {
            records: names.counter("journal_records", "Journal records appended"),
            fsyncs: names.counter("fsyncs", "Group syncs of the journal"),
            fsync_failures: names.counter("fsync_failures", "Group syncs that failed"),
            fsync_seconds: names.seconds("fsync", "Time of one group sync of the journal"),
            append_seconds: names
                .seconds("append", "Time of an append, lock and write; one in 8 is timed"),
            fold_seconds: names.seconds("fold", "Time of one fold into the store"),
            fold_failures: names.counter("fold_failures", "Folds that failed, to be tried again"),
            append_failures: names
                .counter("append_failures", "Appends that failed and were cut back"),
        },
        read_only: names.gauge("journal_read_only", "1 once the journal went read-only"),
    }
}

/// Registers a metric and hands back its handle in one step, so that none can be forgotten.
struct Names(Registry);

impl Names {
    fn add(&mut self, name: &str, help: &str, metric: impl prometheus_client::registry::Metric) {
        self.0.register(name, help, metric);
    }

    fn counter(&mut self, name: &str, help: &str) -> Counter {
        let counter = Counter::default();
        self.0.register(name, help, counter.clone());
        counter
    }

    fn gauge(&mut self, name: &str, help: &str) -> Gauge {
        let gauge = Gauge::default();
        self.0.register(name, help, gauge.clone());
        gauge
    }

    /// A gauge in bytes; the exported name ends in `_bytes`.
    fn level(&mut self, name: &str, help: &str) -> Level {
        let level = Level::default();
        self.0.register_with_unit(name, help, Unit::Bytes, level.clone());
        level
    }

    /// From 10 µs, a short append, to 10 s, a disk in trouble; the name ends in `_seconds`.
    fn seconds(&mut self, name: &str, help: &str) -> Histogram {
        let histogram = Histogram::new(exponential_buckets(10e-6, 4.0, 11));
        self.0.register_with_unit(name, help, Unit::Seconds, histogram.clone());
        histogram
    }
}

#[cfg(test)]
mod tests;
