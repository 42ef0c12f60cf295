//! Who is here now: every live session, and the leash that its grant holds it by.
//!
//! `upgrade` enters each session, the session polls its leash, `http` lists and kicks. A session
//! whose grant did not change is never woken. Never looks into a document.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::fmt;
use std::hash::Hash;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::task::AtomicWaker;
use parking_lot::Mutex;
use sheaf_protocol::error::{Code, Refusal};
use sheaf_protocol::ids::{Principal, VaultName};
use tokio::sync::broadcast;

use super::caller::Caller;
use super::role::{Grant, Role};

/// Events that a slow listener may be behind, before it is told that it missed some.
const EVENTS_MAX: usize = 1024;

/// Caps on live sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Of one principal; the anonymous one is not counted.
    pub per_principal_max: usize,
    /// In one vault.
    pub per_vault_max: usize,
    /// From one address; loopback is not counted.
    pub per_address_max: usize,
}

/// What is known about a session when it begins.
#[derive(Clone, Debug)]
pub struct SessionFacts {
    /// The vault it joins.
    pub vault: VaultName,
    /// The document's name.
    pub document: Arc<str>,
    /// The client's.
    pub address: IpAddr,
    /// The framing it speaks: `y-websocket`, …
    pub dialect: &'static str,
    /// What it may do.
    pub grant: Grant,
}

/// A live session, as an administrator sees it.
#[derive(Clone, Debug)]
pub struct Session {
    /// Counts sessions of this run from 1; never given twice.
    pub id: u64,
    /// The vault.
    pub vault: VaultName,
    /// The document's name.
    pub document: Arc<str>,
    /// On whose behalf.
    pub principal: Principal,
    /// What it may do now.
    pub role: Role,
    /// The client's address.
    pub address: IpAddr,
    /// The framing it speaks.
    pub dialect: &'static str,
    /// Since when, in milliseconds since 1970.
    pub since_ms: u64,
}

/// Somebody came or went.
#[derive(Clone, Debug)]
pub enum SessionEvent {
    /// A session was opened.
    Joined(Session),
    /// A session has ended.
    Left(Session),
}

/// A change that reaches a session: another role, or the end.
type Change = Result<Grant, Refusal>;

struct Entry {
    session: Session,
    /// What the session was last told; the role of `session` is that of its beginning.
    role: Mutex<Role>,
    /// None for a session that nobody can take anything from: in tests.
    caller: Option<Caller>,
    change: Mutex<Option<Change>>,
    waker: AtomicWaker,
}

impl Entry {
    fn shown(&self) -> Session {
        Session { role: *self.role.lock(), ..self.session.clone() }
    }

    fn tell(&self, change: Change) {
        if let Ok(grant) = &change {
            let mut role = self.role.lock();
            if *role == grant.role {
                return;
            }
            *role = grant.role;
        }
        *self.change.lock() = Some(change);
        self.waker.wake();
    }
}

#[derive(Default)]
struct Table {
    last: u64,
    sessions: HashMap<u64, Arc<Entry>>,
    per_principal: HashMap<Principal, usize>,
    per_vault: HashMap<VaultName, usize>,
    per_address: HashMap<IpAddr, usize>,
}

/// Every live session.
pub(super) struct Roster {
    table: Mutex<Table>,
    events: broadcast::Sender<SessionEvent>,
}

impl Default for Roster {
    fn default() -> Roster {
        Roster { table: Mutex::default(), events: broadcast::channel(EVENTS_MAX).0 }
    }
}

impl fmt::Debug for Roster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Roster").field("sessions", &self.table.lock().sessions.len()).finish()
    }
}

impl Roster {
    pub(super) fn enter(
        self: &Arc<Self>,
        caller: &Caller,
        facts: SessionFacts,
        caps: Caps,
        since_ms: u64,
    ) -> Result<Leash, Refusal> {
        let SessionFacts { vault, document, address, dialect, grant } = facts;
        let mut table = self.table.lock();
        table.check(&vault, &grant.principal, address, caps)?;
        table.last += 1;
        let Grant { principal, role } = grant;
        let id = table.last;
        let session = Session { id, vault, document, principal, role, address, dialect, since_ms };
        let entry = Arc::new(Entry {
            role: Mutex::new(role),
            caller: Some(caller.clone()),
            change: Mutex::default(),
            waker: AtomicWaker::new(),
            session,
        });
        table.count(&entry.session);
        table.sessions.insert(id, Arc::clone(&entry));
        drop(table);
        // Nobody need listen.
        let _ = self.events.send(SessionEvent::Joined(entry.shown()));
        Ok(Leash { entry, roster: Some(Arc::clone(self)), expiry: None })
    }

    pub(super) fn sessions(&self) -> Vec<Session> {
        let mut all: Vec<_> = self.entries().iter().map(|entry| entry.shown()).collect();
        all.sort_unstable_by_key(|session| session.id);
        all
    }

    pub(super) fn kick(&self, id: u64) -> bool {
        let entry = self.table.lock().sessions.get(&id).cloned();
        let what = "an administrator has ended this session";
        entry.is_some_and(|entry| {
            entry.tell(Err(Refusal { code: Code::Forbidden, at: 0, what }));
            true
        })
    }

    pub(super) fn events(&self) -> broadcast::Receiver<SessionEvent> {
        self.events.subscribe()
    }

    fn entries(&self) -> Vec<Arc<Entry>> {
        self.table.lock().sessions.values().cloned().collect()
    }

    fn leave(&self, entry: &Entry) {
        let mut table = self.table.lock();
        if table.sessions.remove(&entry.session.id).is_some() {
            table.uncount(&entry.session);
            drop(table);
            let _ = self.events.send(SessionEvent::Left(entry.shown()));
        }
    }
}

impl Table {
    fn check(
        &self,
        vault: &VaultName,
        principal: &Principal,
        address: IpAddr,
        caps: Caps,
    ) -> Result<(), Refusal> {
        let too_many = |what| Err(Refusal { code: Code::TooMany, at: 0, what });
        let count = |n: Option<&usize>| n.copied().unwrap_or(0);
        let is_named = principal.name().is_some();
        if is_named && count(self.per_principal.get(principal)) >= caps.per_principal_max {
            return too_many("too many sessions of this user");
        }
        if count(self.per_vault.get(vault)) >= caps.per_vault_max {
            return too_many("too many sessions in this vault");
        }
        if count(self.per_address.get(&address)) >= caps.per_address_max {
            return too_many("too many sessions from this address");
        }
        Ok(())
    }

    fn count(&mut self, session: &Session) {
        *self.per_principal.entry(session.principal.clone()).or_default() += 1;
        *self.per_vault.entry(session.vault.clone()).or_default() += 1;
        if !session.address.is_loopback() {
            *self.per_address.entry(session.address).or_default() += 1;
        }
    }

    fn uncount(&mut self, session: &Session) {
        take_one(&mut self.per_principal, session.principal.clone());
        take_one(&mut self.per_vault, session.vault.clone());
        take_one(&mut self.per_address, session.address);
    }
}

fn take_one<K: Eq + Hash>(counts: &mut HashMap<K, usize>, key: K) {
    if let Slot::Occupied(mut slot) = counts.entry(key) {
        *slot.get_mut() -= 1;
        if *slot.get() == 0 {
            slot.remove();
        }
    }
}

type Timer = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Follows a grant while its session lives; leaving is dropping it.
pub struct Leash {
    entry: Arc<Entry>,
    roster: Option<Arc<Roster>>,
    expiry: Option<Timer>,
}

impl fmt::Debug for Leash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leash").field("id", &self.entry.session.id).finish_non_exhaustive()
    }
}

impl Leash {
    /// A leash that nobody pulls.
    #[cfg(test)]
    pub fn detached(grant: Grant) -> Leash {
        let session = Session {
            id: 0,
            vault: VaultName::default(),
            document: Arc::from(""),
            principal: grant.principal,
            role: grant.role,
            address: IpAddr::from([127, 0, 0, 1]),
            dialect: "y-websocket",
            since_ms: 0,
        };
        let entry = Entry {
            role: Mutex::new(grant.role),
            caller: None,
            change: Mutex::default(),
            waker: AtomicWaker::new(),
            session,
        };
        Leash { entry: Arc::new(entry), roster: None, expiry: None }
    }

    /// The session's number.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.entry.session.id
    }

    /// What the session may do now.
    #[must_use]
    pub fn grant(&self) -> Grant {
        Grant { principal: self.entry.session.principal.clone(), role: *self.entry.role.lock() }
    }

    /// Ready with the new grant when the role has changed, or with why the session must end.
    pub fn poll_change(&mut self, cx: &mut Context<'_>) -> Poll<Result<Grant, Refusal>> {
        self.entry.waker.register(cx.waker());
        match self.entry.change.lock().take() {
            Some(change) => Poll::Ready(change),
            None => Poll::Pending,
        }
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        if let Some(roster) = self.roster.take() {
            roster.leave(&self.entry);
        }
    }
}
