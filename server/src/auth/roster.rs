//! Who is here now: every live session, and the leash that its grant holds it by.
//!
//! `upgrade` enters each session, the session polls its leash, `http` lists and kicks. A session
//! whose grant did not change is never woken. Never looks into a document.

mod released;

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::fmt;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use futures::task::AtomicWaker;
use parking_lot::Mutex;
use sheaf_protocol::error::{Code, Refusal};
use sheaf_protocol::ids::{Principal, VaultName};
use tokio::sync::broadcast;

pub use self::released::Released;
use super::caller::{Caller, Known};
use super::rate;
use super::role::{Grant, Role};
use sheaf_ground::time::Clock;

/// Events that a slow listener may be behind, before it is told that it missed some.
const EVENTS_MAX: usize = 1024;

/// Caps on live sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Of one principal; the anonymous one is not counted.
    pub per_principal_max: usize,
    /// In one vault.
    pub per_vault_max: usize,
    /// From one address (IPv6: one /64); loopback is not counted.
    pub per_address_max: usize,
}

impl Default for Caps {
    fn default() -> Caps {
        Caps { per_principal_max: 1_000, per_vault_max: 10_000, per_address_max: 256 }
    }
}

/// What is known about a session when it begins.
#[derive(Clone, Debug)]
pub struct SessionFacts {
    /// The vault it joins.
    pub vault: VaultName,
    /// The document's name; empty for a session about the whole vault.
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
    /// The document's name; empty for a session about the whole vault.
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

/// Somebody came to a document or left it. Readers of the feed join nothing: of them there is no
/// event.
#[derive(Clone, Debug)]
pub enum SessionEvent {
    /// A session was opened.
    Joined(Session),
    /// A session has ended.
    Left(Session),
}

/// A change that reaches a session: another role, or the end.
type Change = Result<Grant, Refusal>;

/// What a session was told. Under one lock, so that of two changes the later one stays.
struct Told {
    /// As last said; the role of the [`Session`] is that of its beginning.
    role: Role,
    /// Not yet heard. Few ever are: an entry is part of what an idle session costs.
    change: Option<Box<Change>>,
    /// It was told to end: nothing after that counts.
    is_over: bool,
}

struct Entry {
    session: Session,
    told: Mutex<Told>,
    /// None for a session that nobody can take anything from: in tests.
    caller: Option<Caller>,
    /// The callback is another one: it must be asked.
    is_doubtful: AtomicBool,
    waker: AtomicWaker,
}

impl Entry {
    fn new(session: Session, caller: Option<Caller>) -> Entry {
        Entry {
            told: Mutex::new(Told { role: session.role, change: None, is_over: false }),
            caller,
            is_doubtful: AtomicBool::new(false),
            waker: AtomicWaker::new(),
            session,
        }
    }

    fn shown(&self) -> Session {
        Session { role: self.told.lock().role, ..self.session.clone() }
    }

    /// By the rules of now, if they tell without asking anybody.
    fn known(&self) -> Option<Result<Known, Refusal>> {
        self.caller.as_ref()?.known(&self.session.vault, &self.session.document)
    }

    fn tell(&self, change: Change) {
        self.told.lock().take(change, &self.waker);
    }

    /// Tells what the rules of now say, or `otherwise` where somebody else must. They are looked at
    /// under the lock: who comes later has looked later. False if there is nothing to tell.
    fn judge(&self, otherwise: Option<Change>) -> bool {
        let mut told = self.told.lock();
        let known = self.known().map(|known| known.map(|known| known.grant));
        let Some(change) = known.or(otherwise) else { return false };
        told.take(change, &self.waker);
        true
    }
}

impl Told {
    fn take(&mut self, change: Change, waker: &AtomicWaker) {
        if self.is_over {
            return;
        }
        match &change {
            Ok(grant) if grant.role == self.role => return,
            Ok(grant) => self.role = grant.role,
            Err(_) => self.is_over = true,
        }
        self.change = Some(Box::new(change));
        waker.wake();
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
        clock: &Clock,
    ) -> Result<Leash, Refusal> {
        let SessionFacts { vault, document, address, dialect, grant } = facts;
        let mut table = self.table.lock();
        table.check(&vault, &grant.principal, address, caps)?;
        table.last += 1;
        let Grant { principal, role } = grant;
        let id = table.last;
        let since_ms = clock.now_ms();
        let session = Session { id, vault, document, principal, role, address, dialect, since_ms };
        let entry = Arc::new(Entry::new(session, Some(caller.clone())));
        table.count(&entry.session);
        table.sessions.insert(id, Arc::clone(&entry));
        drop(table);
        let roster = Some(Arc::clone(self));
        let mut leash = Leash { entry, roster: None, pull: None };
        // By the rules of now: a reload that came before we were in the table has missed us.
        leash.follow(caller.clone(), clock.clone()).inspect_err(|_| self.leave(&leash.entry))?;
        leash.roster = roster;
        self.announce(&leash.entry, SessionEvent::Joined);
        Ok(leash)
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

    /// Holds every session against new rules. Those whose grant did not change are not woken.
    pub(super) fn review(&self, is_other_callback: bool) {
        for entry in self.entries() {
            if !entry.judge(None) && is_other_callback {
                entry.is_doubtful.store(true, Ordering::Release);
                entry.waker.wake();
            }
        }
    }

    fn entries(&self) -> Vec<Arc<Entry>> {
        self.table.lock().sessions.values().cloned().collect()
    }

    fn leave(&self, entry: &Entry) {
        let mut table = self.table.lock();
        if table.sessions.remove(&entry.session.id).is_some() {
            table.uncount(&entry.session);
            drop(table);
            self.announce(entry, SessionEvent::Left);
        }
    }

    fn announce(&self, entry: &Entry, event: fn(Session) -> SessionEvent) {
        if !entry.session.document.is_empty() {
            // Nobody need listen.
            let _ = self.events.send(event(entry.shown()));
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
        let network = rate::network(address);
        if network.is_some_and(|it| count(self.per_address.get(&it)) >= caps.per_address_max) {
            return too_many("too many sessions from this address");
        }
        Ok(())
    }

    fn count(&mut self, session: &Session) {
        *self.per_principal.entry(session.principal.clone()).or_default() += 1;
        *self.per_vault.entry(session.vault.clone()).or_default() += 1;
        if let Some(network) = rate::network(session.address) {
            *self.per_address.entry(network).or_default() += 1;
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

/// What pulls at a leash by itself: a token that ends, or that somebody must be asked about.
struct Pull {
    caller: Caller,
    clock: Clock,
    last: Known,
    step: Step,
}

enum Step {
    Wait(BoxFuture<'static, ()>),
    Ask(BoxFuture<'static, Result<Known, Refusal>>),
    /// Nothing to wait for.
    Rest,
}

impl Pull {
    fn ask(&mut self, entry: &Entry) {
        let Session { vault, document, .. } = &entry.session;
        let (vault, document) = (vault.clone(), Arc::clone(document));
        self.step =
            Step::Ask(self.caller.clone().follow(vault, document, self.last.clone()).boxed());
    }

    fn wait(&mut self) {
        let Some(again_ms) = self.last.again_ms else {
            self.step = Step::Rest;
            return;
        };
        let clock = self.clock.clone();
        // One millisecond more: what ends at a time is over after it.
        let time = Duration::from_millis(again_ms.saturating_sub(clock.now_ms()) + 1);
        self.step = Step::Wait(async move { clock.sleep(time).await }.boxed());
    }

    /// Ready when an answer has come.
    fn poll(&mut self, cx: &mut Context<'_>, entry: &Entry) -> Poll<Result<Grant, Refusal>> {
        loop {
            match &mut self.step {
                Step::Rest => return Poll::Pending,
                Step::Wait(wait) => {
                    ready!(wait.poll_unpin(cx));
                    self.ask(entry);
                }
                Step::Ask(ask) => {
                    let answer = ready!(ask.poll_unpin(cx));
                    self.step = Step::Rest;
                    self.last = answer?;
                    self.wait();
                    return Poll::Ready(Ok(self.last.grant.clone()));
                }
            }
        }
    }
}

/// Follows a grant while its session lives; leaving is dropping it.
pub struct Leash {
    entry: Arc<Entry>,
    roster: Option<Arc<Roster>>,
    /// None for a token that nothing but a reload can end: most of them.
    pull: Option<Box<Pull>>,
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
        Leash { entry: Arc::new(Entry::new(session, None)), roster: None, pull: None }
    }

    /// The session's number.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.entry.session.id
    }

    /// What the session may do now.
    #[must_use]
    pub fn grant(&self) -> Grant {
        Grant { principal: self.entry.session.principal.clone(), role: self.entry.told.lock().role }
    }

    /// Ready with the new grant when the role has changed, or with why the session must end.
    pub fn poll_change(&mut self, cx: &mut Context<'_>) -> Poll<Result<Grant, Refusal>> {
        let entry = &self.entry;
        entry.waker.register(cx.waker());
        if let Some(pull) = &mut self.pull {
            if entry.is_doubtful.swap(false, Ordering::AcqRel) {
                pull.ask(entry);
            }
            while let Poll::Ready(answer) = pull.poll(cx, entry) {
                let is_over = answer.is_err();
                entry.judge(Some(answer));
                if is_over {
                    break;
                }
            }
        }
        match entry.told.lock().change.take() {
            Some(change) => Poll::Ready(*change),
            None => Poll::Pending,
        }
    }

    fn follow(&mut self, caller: Caller, clock: Clock) -> Result<(), Refusal> {
        let grant = self.grant();
        let (last, must_ask) = {
            let mut told = self.entry.told.lock();
            let known = match self.entry.known() {
                Some(known) => (known?, false),
                None => (Known { grant, expires_ms: None, again_ms: None }, true),
            };
            told.role = known.0.grant.role;
            // A reload that found us in the table already has said no more than this.
            told.change.take_if(|change| change.is_ok());
            known
        };
        if must_ask || last.again_ms.is_some() {
            let mut pull = Box::new(Pull { caller, clock, last, step: Step::Rest });
            if must_ask {
                pull.ask(&self.entry);
            } else {
                pull.wait();
            }
            self.pull = Some(pull);
        }
        Ok(())
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        if let Some(roster) = self.roster.take() {
            roster.leave(&self.entry);
        }
    }
}

#[cfg(test)]
mod tests;
