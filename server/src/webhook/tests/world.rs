//! Vaults that move as they are told, a clock, a store that can crash, and webhooks on top.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use sheaf_protocol::ids::{DocId, Principal, VaultName};
use sheaf_protocol::stamp::Stamp;
use tokio::sync::{broadcast, watch};
use tokio::time::timeout;

use super::super::config::{Hook, HookConfig, Text};
use super::super::feed::Feed;
use super::super::{Basis, Webhooks};
use super::receiver::{Got, Receiver};
use crate::auth::{Role, Session, SessionEvent};
use crate::crypto;
use crate::metrics::Metrics;
use crate::vault::{Change, Changes, Cursor, Error, File, Kind, Vault};
use sheaf_ground::task::{Group, Shutdown};
use sheaf_ground::time::{Clock, Hand, Seed};
use sheaf_storage::store::Store;
use sheaf_storage::store::memory::Memory;
use sheaf_storage::store::witness::Witness;

/// Real time, on a machine that is busy with other tests.
const DEADLINE: Duration = Duration::from_secs(20);
/// Real time that must bring nothing new before the test's clock goes on.
const QUIET: Duration = Duration::from_millis(15);

/// Vaults in memory.
#[derive(Default)]
pub(super) struct Fake {
    vaults: Mutex<BTreeMap<VaultName, Made>>,
    epochs: Mutex<u64>,
}

struct Made {
    vault: Vault,
    items: BTreeMap<DocId, Change>,
    moved: watch::Sender<u64>,
}

impl Fake {
    pub(super) fn make(&self, name: &str, created_ms: u64) {
        let name: VaultName = name.parse().expect("a vault's name");
        let mut epochs = self.epochs.lock();
        *epochs += 1;
        let vault = Vault {
            name: name.clone(),
            epoch: *epochs,
            created_ms,
            files: 0,
            bytes: 0,
            seq: 0,
            horizon: 0,
        };
        let moved = watch::channel(0).0;
        self.vaults.lock().insert(name, Made { vault, items: BTreeMap::new(), moved });
    }

    pub(super) fn drop_vault(&self, name: &str) {
        self.vaults.lock().remove(&name.parse().expect("a vault's name"));
    }

    fn put(&self, name: &str, number: u64, now_ms: u64, is_deleted: bool) {
        let mut vaults = self.vaults.lock();
        let made = vaults.get_mut(&name.parse().expect("a vault's name")).expect("it was made");
        made.vault.seq += 1;
        let seq = made.vault.seq;
        let id = DocId(Stamp::new(number, 0, 1));
        let before = made.items.get(&id);
        let file = File {
            id,
            path: number.to_string().into(),
            n: before.map_or(1, |before| before.file.n + 1),
            seq,
            kind: Kind::Text,
            size: 1,
            hash: None,
            created_ms: before.map_or(now_ms, |before| before.file.created_ms),
            updated: Stamp::new(now_ms, 0, 1),
            by: None,
            device: 0,
            from: None,
            is_deleted,
        };
        made.items.insert(id, Change { seq, file });
        made.moved.send_replace(seq);
    }
}

impl Feed for Fake {
    fn list(&self) -> Vec<Vault> {
        self.vaults.lock().values().map(|made| made.vault.clone()).collect()
    }

    fn get(&self, name: &VaultName) -> Option<Vault> {
        self.vaults.lock().get(name).map(|made| made.vault.clone())
    }

    fn changes(&self, name: &VaultName, since: Cursor, limit: usize) -> Result<Changes, Error> {
        let vaults = self.vaults.lock();
        let made = vaults.get(name).ok_or(Error::NoVault)?;
        let epoch = made.vault.epoch;
        if since != Cursor::default() && since.epoch != epoch {
            return Err(Error::CursorExpired { epoch, horizon: 0, seq: made.vault.seq });
        }
        let later = made.items.values().filter(|change| change.seq > since.seq);
        let mut items: Vec<_> =
            later.filter(|change| since.seq > 0 || !change.file.is_deleted).cloned().collect();
        items.sort_by_key(|change| change.seq);
        let has_more = items.len() > limit;
        items.truncate(limit);
        let last = items.last().map_or(made.vault.seq, |change| change.seq);
        let seq = if has_more { last } else { made.vault.seq };
        Ok(Changes { items, cursor: Cursor::at(epoch, seq), listing: None, has_more })
    }

    fn watch(&self, name: &VaultName) -> Result<watch::Receiver<u64>, Error> {
        let vaults = self.vaults.lock();
        Ok(vaults.get(name).ok_or(Error::NoVault)?.moved.subscribe())
    }
}

/// Everything around webhooks.
pub(super) struct World {
    pub feed: Arc<Fake>,
    pub receiver: Receiver,
    pub metrics: Arc<Metrics>,
    pub clock: Clock,
    pub hand: Hand,
    memory: Arc<Memory>,
    sessions: broadcast::Sender<SessionEvent>,
    group: Group,
    webhooks: Option<Webhooks>,
    sessions_seen: u64,
}

/// A webhook to the receiver, told of everything.
pub(super) fn hook(receiver: &Receiver) -> HookConfig {
    HookConfig {
        url: format!("http://{}/in", receiver.address),
        secret: Some(Text("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned())),
        ..HookConfig::default()
    }
}

impl World {
    /// With one vault, `default`, made at second 1,000.
    pub(super) async fn new() -> World {
        crypto::choose();
        let (clock, hand) = Clock::test(2_000_000);
        let feed = Arc::new(Fake::default());
        feed.make("default", 1_000_000);
        World {
            feed,
            receiver: Receiver::start().await,
            metrics: Arc::new(Metrics::new()),
            clock,
            hand,
            memory: Arc::new(Memory::new()),
            sessions: broadcast::channel(64).0,
            group: Group::new(Counter::default()),
            webhooks: None,
            sessions_seen: 0,
        }
    }

    pub(super) fn start(&mut self, hooks: &[HookConfig]) {
        let hooks = Hook::all(hooks).expect("the hooks are right");
        let memory = Arc::clone(&self.memory);
        let store = Store::new(memory, Witness::in_memory()).expect("a store in memory opens");
        let basis = Basis {
            feed: Arc::clone(&self.feed) as _,
            sessions: self.sessions.subscribe(),
            store,
            clock: self.clock.clone(),
            seed: Seed::fixed(1),
            metrics: Arc::clone(&self.metrics),
        };
        self.group = Group::new(Counter::default());
        self.webhooks = Some(Webhooks::start(hooks, basis, &self.group).expect("they start"));
        // So that what is made from now on is younger than they.
        self.hand.advance(Duration::from_millis(1));
    }

    /// Stops in order.
    pub(super) async fn stop(&mut self) {
        let system = Clock::system();
        let mut stopping = std::pin::pin!(self.group.shutdown(&system, DEADLINE));
        // Deliveries under way are waited for on the test's clock.
        let stopped = loop {
            match timeout(QUIET, &mut stopping).await {
                Ok(stopped) => break stopped,
                Err(_) => self.hand.advance(Duration::from_secs(1)),
            }
        };
        assert_eq!(stopped, Shutdown::Complete);
    }

    /// The power goes: what the store had not synced is gone.
    pub(super) fn crash(&mut self) {
        let left = Arc::new(self.memory.crashed(0));
        self.memory = left;
        self.group.stop();
    }

    /// A document is written, and there if it was not.
    pub(super) fn write(&self, vault: &str, number: u64) {
        self.feed.put(vault, number, self.clock.now_ms(), false);
    }

    /// A document is deleted.
    pub(super) fn delete(&self, vault: &str, number: u64) {
        self.feed.put(vault, number, self.clock.now_ms(), true);
    }

    /// Somebody comes, or goes.
    pub(super) fn session(&mut self, vault: &str, is_joined: bool) {
        self.sessions_seen += 1;
        let session = Session {
            id: self.sessions_seen,
            vault: vault.parse().expect("a vault's name"),
            document: "a".into(),
            principal: Principal::Anonymous,
            role: Role::Read,
            address: [127, 0, 0, 1].into(),
            dialect: "y-websocket",
            since_ms: self.clock.now_ms(),
        };
        let event =
            if is_joined { SessionEvent::Joined(session) } else { SessionEvent::Left(session) };
        self.sessions.send(event).expect("the webhooks listen");
    }

    /// Lets time pass until the receiver got so many deliveries in all.
    pub(super) async fn got(&self, count: usize) -> Vec<Got> {
        self.until(&format!("{count} deliveries"), |got| got.len() >= count).await
    }

    /// Lets time pass until what the receiver got is as wanted.
    pub(super) async fn until(&self, what: &str, wanted: impl Fn(&[Got]) -> bool) -> Vec<Got> {
        let mut got = self.receiver.watch();
        let waiting = async {
            while timeout(QUIET, got.wait_for(|got| wanted(got))).await.is_err() {
                self.hand.advance(Duration::from_millis(500));
            }
        };
        let is_there = timeout(DEADLINE, waiting).await.is_ok();
        assert!(is_there, "{what}: not in time, but {:#?}", self.receiver.got());
        self.receiver.got()
    }

    /// Lets time pass, a second at each step.
    pub(super) async fn pass(&self, seconds: u64) {
        let mut got = self.receiver.watch();
        for _ in 0..seconds {
            got.mark_unchanged();
            let _ = timeout(QUIET, got.changed()).await;
            self.hand.advance(Duration::from_secs(1));
        }
        let _ = timeout(QUIET, got.changed()).await;
    }

    /// A metric's value, as exported.
    pub(super) fn metric(&self, name: &str) -> f64 {
        self.webhooks.as_ref().expect("started").refresh(&self.metrics);
        let text = self.metrics.text();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in\n{text}")).parse().expect("a number")
    }
}
