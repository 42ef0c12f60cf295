//! The public face: a replica of one document that connects, syncs and reconnects by itself.
//!
//! All methods are cheap and may be called from any thread; those that wait take a deadline.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;
use yrs::{StateVector, TextRef, TransactionMut};

use crate::backoff::Backoff;
use crate::error::{ApplyError, EditError, Stop, WaitError};
use crate::link;
use crate::state::State;

/// Called for every update that arrived over the link, after it was applied, in order of arrival.
///
/// It runs on the link's task: it must not block.
pub type Hook = Arc<dyn Fn(Arrival, &[u8]) + Send + Sync>;

/// How an update came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// In the answer to our question after connecting (SyncStep2).
    Sync,
    /// Live (Update).
    Update,
}

/// Where and as whom to connect.
#[derive(Clone)]
pub struct Options {
    /// The server, `ws://host:port` with an optional path prefix; a room follows it after a `/`.
    pub url: String,
    /// The document's name, as typed; it is percent-encoded on the way.
    pub room: String,
    /// Sent as `Authorization: Bearer`.
    pub token: Option<String>,
    /// Yjs client id. 32 bits, because older servers lose the edits of longer ones. Never use one
    /// twice: two replicas with one id corrupt each other's text.
    pub client_id: u32,
    /// What others see of this replica; `None` joins unseen.
    pub presence: Option<Value>,
    /// Name of the root text.
    pub root: String,
    /// Waits between connection attempts.
    pub backoff: Backoff,
    /// Seeds the jitter of the waits.
    pub seed: u64,
    /// A connection without any frame for this long is taken for dead; stock y-websocket's 30 s.
    pub silence_max: Duration,
    /// Told of every update that arrives.
    pub on_update: Option<Hook>,
}

impl Options {
    /// A replica with a random client id, unseen, without a token.
    pub fn new(url: impl Into<String>, room: impl Into<String>) -> Self {
        let seed: u64 = rand::random();
        Self {
            url: url.into(),
            room: room.into(),
            token: None,
            client_id: (seed >> 32) as u32,
            presence: None,
            root: "content".to_owned(),
            backoff: Backoff::default(),
            seed,
            silence_max: Duration::from_secs(30),
            on_update: None,
        }
    }
}

/// What the link is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// Trying to connect, or waiting to try again.
    Connecting,
    /// The socket stands; the server's state has not arrived yet.
    Open,
    /// The server's state arrived; edits flow.
    Synced,
    /// Disconnected on request.
    Offline,
    /// Will not connect again.
    Stopped(Stop),
}

impl fmt::Display for Status {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connecting => out.write_str("connecting"),
            Self::Open => out.write_str("open"),
            Self::Synced => out.write_str("synced"),
            Self::Offline => out.write_str("offline"),
            Self::Stopped(stop) => write!(out, "stopped: {stop}"),
        }
    }
}

/// Traffic of a replica over all its connections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections that stood.
    pub connects: u64,
    /// WebSocket data frames received.
    pub frames_in: u64,
    /// Their payload bytes.
    pub bytes_in: u64,
    /// Updates among them, SyncStep2 included.
    pub updates_in: u64,
    /// WebSocket data frames sent.
    pub frames_out: u64,
    /// Their payload bytes.
    pub bytes_out: u64,
}

/// One replica of one document. Dropping it cuts the connection.
pub struct Replica {
    state: Arc<State>,
    /// Whether the link should be up.
    is_wanted: watch::Sender<bool>,
    /// Ends with the replica.
    _link: JoinSet<()>,
}

impl Replica {
    /// Makes a replica and lets it connect in the background.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn connect(options: Options) -> Self {
        Self::start(options, true)
    }

    /// Makes a replica that stays offline until [`Replica::reconnect`].
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn offline(options: Options) -> Self {
        Self::start(options, false)
    }

    fn start(options: Options, is_wanted: bool) -> Self {
        let state = Arc::new(State::new(&options));
        let (is_wanted, wanted) = watch::channel(is_wanted);
        let mut link = JoinSet::new();
        link.spawn(link::run(Arc::clone(&state), options, wanted));
        Self { state, is_wanted, _link: link }
    }

    /// This replica's Yjs client id.
    pub fn client_id(&self) -> u32 {
        self.state.client_id()
    }

    /// The text.
    pub fn text(&self) -> String {
        self.state.text()
    }

    /// Its length in UTF-16 units.
    pub fn text_len(&self) -> u32 {
        self.state.text_len()
    }

    /// What this replica holds, as Yjs clocks by client.
    pub fn state_vector(&self) -> StateVector {
        self.state.state_vector()
    }

    /// The whole document as one v1 update.
    pub fn encode(&self) -> Vec<u8> {
        self.state.encode()
    }

    /// Inserts text at an offset in UTF-16 units.
    ///
    /// # Errors
    /// When the offset is outside the text or inside a character; nothing changes then.
    pub fn insert(&self, at: u32, text: &str) -> Result<(), EditError> {
        self.state.splice(at, 0, text)
    }

    /// Removes `len` UTF-16 units at `at`.
    ///
    /// # Errors
    /// When the range is outside the text or cuts a character; nothing changes then.
    pub fn delete(&self, at: u32, len: u32) -> Result<(), EditError> {
        self.state.splice(at, len, "")
    }

    /// Removes `len` UTF-16 units at `at` and inserts text there, in one transaction.
    ///
    /// # Errors
    /// When the range is outside the text or cuts a character; nothing changes then.
    pub fn replace(&self, at: u32, len: u32, text: &str) -> Result<(), EditError> {
        self.state.splice(at, len, text)
    }

    /// Any edit, in one transaction, sent as one update. Offsets are UTF-16 units and not checked.
    ///
    /// Do not call other methods of this replica inside: they wait for the transaction to end.
    pub fn edit<R>(&self, edit: impl FnOnce(&mut TransactionMut<'_>, &TextRef) -> R) -> R {
        self.state.edit(edit)
    }

    /// Takes in a v1 update that came by another way, and sends it on.
    ///
    /// # Errors
    /// When the bytes are malformed or the document refuses them.
    pub fn apply(&self, update: &[u8]) -> Result<(), ApplyError> {
        self.state.apply(update)
    }

    /// Who is here, by client id, this replica included.
    pub fn presence(&self) -> BTreeMap<u64, Value> {
        self.state.presence()
    }

    /// Changes what others see of this replica; `None` hides it.
    pub fn set_presence(&self, presence: Option<Value>) {
        self.state.set_presence(presence);
    }

    /// Cuts the connection and stays offline. Edits are kept and go out after
    /// [`Replica::reconnect`].
    pub fn disconnect(&self) {
        self.is_wanted.send_replace(false);
    }

    /// Connects again after [`Replica::disconnect`]. No effect on a stopped replica.
    pub fn reconnect(&self) {
        self.is_wanted.send_replace(true);
    }

    /// What the link is doing, to read or to watch.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.state.status()
    }

    /// Traffic so far.
    pub fn counters(&self) -> Counters {
        self.state.counters()
    }

    /// Waits until the condition holds; it is tried again after every change of text, presence or
    /// link.
    ///
    /// # Errors
    /// When the deadline passes, or the replica stops for good.
    pub async fn wait(
        &self,
        mut condition: impl FnMut(&Self) -> bool,
        within: Duration,
    ) -> Result<(), WaitError> {
        let mut changes = self.state.changes();
        let status = self.state.status();
        let reached = async {
            loop {
                changes.borrow_and_update();
                if condition(self) {
                    return Ok(());
                }
                if let Status::Stopped(stop) = &*status.borrow() {
                    return Err(WaitError::Stopped(stop.clone()));
                }
                if changes.changed().await.is_err() {
                    std::future::pending::<()>().await; // the sender lives as long as `self`
                }
            }
        };
        tokio::time::timeout(within, reached).await.unwrap_or_else(|_| {
            Err(WaitError::Deadline { within, status: status.borrow().to_string() })
        })
    }

    /// Waits until the server's state has arrived on the present connection.
    ///
    /// # Errors
    /// When the deadline passes, or the replica stops for good.
    pub async fn synced(&self, within: Duration) -> Result<(), WaitError> {
        let status = self.state.status();
        self.wait(|_| *status.borrow() == Status::Synced, within).await
    }

    /// Waits until the server says that every edit made here before this call is on its disk,
    /// reconnecting as often as needed.
    ///
    /// # Errors
    /// When the deadline passes (a server that does not know message 102 never answers), or the
    /// replica stops.
    pub async fn durable(&self, within: Duration) -> Result<(), WaitError> {
        let number = self.state.ask_echo();
        self.wait(|replica| replica.state.has_echo(number), within).await
    }
}

#[cfg(test)]
mod tests;
