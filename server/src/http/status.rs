//! `/v1/status`: how the server is doing, in one answer.
//!
//! For `sheaf status` and whoever has no Prometheus. Counters only ever rise while the process
//! lives, so that two answers give rates. Never names a document, a vault or a person.

use std::fs;
use std::path::{Path, PathBuf};

use hyper::http::{Method, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use warp::Reply;
use warp::reply::with_header;

use super::ask::Ask;
use super::error::Error;
use super::route::Route;
use super::{NO_STORE, State};
use crate::metrics::{Direction, MessageKind, Metrics, Outcome};
use sheaf_ground::task;
use sheaf_ground::time::{Clock, Moment};

/// How the server is doing.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// Of the running build.
    pub version: String,
    /// When it started, in Unix milliseconds.
    pub started_ms: u64,
    /// Milliseconds since then.
    pub uptime_ms: u64,
    /// Whether writes can be made durable.
    pub ready: bool,
    /// Why not.
    pub not_ready: Option<String>,
    /// Who is connected.
    pub sessions: Sessions,
    /// What is in memory.
    pub documents: Documents,
    /// What goes over the sockets, since the start.
    pub traffic: Traffic,
    /// The journal and its fold into the store.
    pub journal: Journal,
    /// Where it is kept.
    pub disk: Disk,
    /// Of the process.
    pub memory: Memory,
}

/// Who is connected.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Sessions {
    /// WebSockets now.
    pub open: u64,
    /// WebSockets ever.
    pub opened_total: u64,
    /// TCP connections now.
    pub connections: u64,
    /// Their cap.
    pub connections_max: u64,
}

/// What is in memory.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Documents {
    /// Documents in memory now.
    pub loaded: u64,
    /// Their estimated size.
    pub bytes: u64,
    /// The bound of that size.
    pub bytes_max: u64,
    /// Documents ever brought into memory.
    pub loads_total: u64,
    /// Client ids shown as present.
    pub present: u64,
}

/// What goes over the sockets, since the start.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Traffic {
    /// WebSocket bytes from clients.
    pub bytes_in_total: u64,
    /// WebSocket bytes to clients.
    pub bytes_out_total: u64,
    /// Protocol messages from clients.
    pub messages_in_total: u64,
    /// Protocol messages to clients.
    pub messages_out_total: u64,
    /// Updates that changed a document.
    pub updates_total: u64,
}

/// The journal and its fold into the store. Positions are bytes since the first record.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Journal {
    /// End of what is written.
    pub written: u64,
    /// End of what is synced; `written − durable` is what power loss would take now.
    pub durable: u64,
    /// End of what the store has; `durable − folded` is what a start would fold.
    pub folded: u64,
    /// Records since the start.
    pub records_total: u64,
    /// Whether it takes no more writes.
    pub is_read_only: bool,
}

/// Where it is kept.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Disk {
    /// Bytes of the files in the data directory.
    pub data_bytes: u64,
    /// Bytes that its file system has left for us.
    pub free_bytes: Option<u64>,
    /// Bytes of its file system.
    pub total_bytes: Option<u64>,
}

/// Of the process.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Memory {
    /// Resident, where the system tells.
    pub resident_bytes: Option<u64>,
}

/// What an answer needs besides the metrics.
#[derive(Clone, Debug)]
pub struct About {
    clock: Clock,
    started: Moment,
    started_ms: u64,
    data_dir: PathBuf,
    documents_bytes_max: u64,
}

impl About {
    /// A server that starts now.
    #[must_use]
    pub fn new(clock: &Clock, data_dir: &Path, documents_bytes_max: u64) -> About {
        About {
            started: clock.now(),
            started_ms: clock.now_ms(),
            clock: clock.clone(),
            data_dir: data_dir.to_owned(),
            documents_bytes_max,
        }
    }
}

/// The route of this file.
pub fn routes() -> Vec<Route> {
    vec![Route::at("/v1/status", "status").on_admin(Method::GET, show)]
}

/// Tells how the server is doing, to an admin of all vaults.
#[utoipa::path(
    get,
    path = "/v1/status",
    tag = "server",
    operation_id = "readStatus",
    responses((status = 200, description = "How it is doing", body = Status))
)]
async fn show(state: State, ask: Ask) -> Result<impl Reply, Error> {
    ask.caller.server_admin().await?;
    ask.query(&[])?;
    state.health.refresh(&state.metrics);
    let not_ready = state.health.check_ready().err().map(|refusal| refusal.what);
    let status = task::block(|| Status::now(&state.about, &state.metrics, not_ready));
    Ok(with_header(warp::reply::json(&status), header::CACHE_CONTROL, NO_STORE))
}

impl Status {
    /// As it is now; `metrics` have just been refreshed. Reads the data directory: blocks.
    #[must_use]
    pub fn now(about: &About, metrics: &Metrics, not_ready: Option<&str>) -> Status {
        let Metrics { relay, document, journal, .. } = metrics;
        let messages = |way| MessageKind::every().map(|kind| relay.messages(way, kind).get()).sum();
        let uptime = about.clock.now().since(about.started);
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_ms: about.started_ms,
            uptime_ms: uptime.as_millis() as u64,
            ready: not_ready.is_none(),
            not_ready: not_ready.map(str::to_owned),
            sessions: Sessions {
                open: count(relay.sessions.get()),
                opened_total: relay.sessions_opened.get(),
                connections: count(relay.connections.get()),
                connections_max: count(relay.connections_max.get()),
            },
            documents: Documents {
                loaded: count(document.loaded.get()),
                bytes: document.bytes.get(),
                bytes_max: about.documents_bytes_max,
                loads_total: document.loads.get(),
                present: count(document.awareness_entries.get()),
            },
            traffic: Traffic {
                bytes_in_total: relay.bytes(Direction::In).get(),
                bytes_out_total: relay.bytes(Direction::Out).get(),
                messages_in_total: messages(Direction::In),
                messages_out_total: messages(Direction::Out),
                updates_total: document.updates(Outcome::Changed).get(),
            },
            journal: Journal {
                written: journal.written_position.get(),
                durable: journal.durable_position.get(),
                folded: journal.folded_position.get(),
                records_total: journal.meters.records.get(),
                is_read_only: journal.read_only.get() != 0,
            },
            disk: disk(&about.data_dir),
            memory: Memory { resident_bytes: resident_bytes() },
        }
    }
}

/// A gauge is signed; what it counts is not.
fn count(gauge: i64) -> u64 {
    u64::try_from(gauge).unwrap_or(0)
}

fn disk(dir: &Path) -> Disk {
    let system = rustix::fs::statvfs(dir).ok();
    Disk {
        data_bytes: bytes_below(dir, 4),
        free_bytes: system.as_ref().map(|it| it.f_bavail.saturating_mul(it.f_frsize)),
        total_bytes: system.as_ref().map(|it| it.f_blocks.saturating_mul(it.f_frsize)),
    }
}

/// Bytes of all files below a folder; a file that goes meanwhile is left out. Ours is a few files
/// in three folders; `depth` keeps a strange one from costing much.
fn bytes_below(dir: &Path, depth: usize) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let bytes = entries.map(|entry| match entry.metadata() {
        Ok(found) if found.is_dir() && depth > 0 => bytes_below(&entry.path(), depth - 1),
        Ok(found) if found.is_file() => found.len(),
        _ => 0,
    });
    bytes.sum()
}

/// `VmRSS` of `/proc/self/status`, where there is one.
fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kib << 10)
}
