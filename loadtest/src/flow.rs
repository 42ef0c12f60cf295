//! Flows of stamped edits: documents with a writer and some readers each, in a closed loop with a
//! window or an open loop with a rate. What fan-out, saturate and big document have in common.

pub(crate) mod checks;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use futures::{StreamExt, TryStreamExt, stream};
use tokio::task::JoinSet;

use crate::bot::account::Account;
use crate::bot::dialect::{Heard, Room};
use crate::bot::{self, Bot, Joined};
use crate::crew::Crew;
use crate::crowd::Beside;
use crate::edits::token::{NUMBERS_MAX, Token};
use crate::edits::{Edits, Kind};
use crate::load::{Load, Span};
use crate::measure::measure;
use crate::outcome::{Figure, Outcome};
use crate::pace::Alarm;
use crate::progress::Progress;
use crate::target::Target;

/// What a flow is to be.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub(crate) scenario: &'static str,
    pub(crate) span: Span,
    pub(crate) documents: u32,
    /// Of each document.
    pub(crate) readers: u32,
    pub(crate) pace: Pace,
    pub(crate) kind: Kind,
    /// Edits made beforehand, where they are.
    pub(crate) premade: usize,
    /// What a document holds at first: an update.
    pub(crate) seed: Option<Rc<Vec<u8>>>,
    /// Replicas that are built from what readers received, and compared.
    pub(crate) rebuild: u32,
    /// What else is open.
    pub(crate) beside: Beside,
    /// The first part of the documents' names; a fresh one if not given.
    pub(crate) room: Option<String>,
}

/// When edits are sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Pace {
    /// Closed loop: so many may be open; one is closed when every reader has it.
    Window(u32),
    /// Open loop: so many a second for each document, whatever happens.
    Rate(f64),
}

/// One document while it is edited.
struct Document {
    room: String,
    load: Rc<Load>,
    edits: Edits,
    pace: Pace,
    readers: u32,
    writer: RefCell<Bot>,
    /// Of the task that reads what the server tells the writer, and sends what the socket did not
    /// take at once.
    waker: Cell<Option<Waker>>,
    /// How many readers have each edit that is still open, in order of number.
    open: RefCell<VecDeque<u32>>,
    /// The number of the first of them.
    open_from: Cell<u32>,
    /// When each edit was due.
    dues_us: RefCell<Vec<u64>>,
    update: RefCell<Vec<u8>>,
    accounts: Vec<RefCell<Account>>,
}

/// Drives a flow on one server.
pub(crate) async fn run(
    shape: &Shape,
    target: &Target,
    progress: &Progress,
    crew: &Crew,
) -> anyhow::Result<Outcome> {
    shape.span.check()?;
    anyhow::ensure!(shape.documents > 0 && shape.readers > 0, "there must be somebody");
    match shape.pace {
        Pace::Window(open) => anyhow::ensure!((1..=4_096).contains(&open), "a window is 1 to 4096"),
        Pace::Rate(rate) => anyhow::ensure!(rate > 0.0 && rate <= 1e6, "a rate is up to 1,000,000"),
    }
    progress.says("connecting");
    let load = Rc::new(Load::new(shape.span));
    let edits = Edits::new(shape.kind, shape.premade, rand::random());
    let mut documents = Vec::new();
    let mut tasks = JoinSet::new();
    for idler in shape.beside.open(target).await? {
        tasks.spawn_local(stay(Rc::clone(&load), idler.bot));
    }
    for (document, readers) in connect(shape, target, &load, &edits).await? {
        let document = Rc::new(document);
        for (number, bot) in readers.into_iter().enumerate() {
            tasks.spawn_local(read(Rc::clone(&document), number, bot));
        }
        tasks.spawn_local(tend(Rc::clone(&document)));
        documents.push(document);
    }
    let documents = Rc::new(documents);
    crew.begin()?;
    load.begin(); // the pacers' clock, too
    tasks.spawn_local(drive(Rc::clone(&documents), shape.pace));
    let is_settled = || documents.iter().all(|document| document.open.borrow().is_empty());
    let mut measured = measure(target, progress, &load, shape.span, is_settled).await?;
    tasks.abort_all();
    while tasks.join_next().await.is_some() {}
    let frames = documents.iter().flat_map(|document| &document.accounts);
    let frames: u64 = frames.map(|account| account.borrow().frames).sum();
    let mut checks = checks::checks(shape, target, &documents).await;
    crew.gather(target, &load, &mut measured, &mut checks)?;
    let mut outcome = measured.outcome(shape.scenario, target, &load);
    let joined = load.deliveries() as f64 / frames as f64;
    outcome.figures.push(Figure::neither("deliveries per frame", "", joined));
    if edits.late() > 0 {
        let late = format!("{} edits had to be made while the clock ran", edits.late());
        outcome.warnings.push(late);
    }
    outcome.checks = checks;
    Ok(outcome)
}

/// Opens all connections. A writer comes first and alone: what it seeds, a relay remembers.
async fn connect(
    shape: &Shape,
    target: &Target,
    load: &Rc<Load>,
    edits: &Edits,
) -> anyhow::Result<Vec<(Document, Vec<Bot>)>> {
    let name = shape.room.clone();
    let name = name.unwrap_or_else(bot::fresh_name);
    let opening = stream::iter(0..shape.documents).map(|number| {
        let room = if shape.documents == 1 { name.clone() } else { format!("{name}-{number}") };
        let (load, edits) = (Rc::clone(load), edits.clone());
        async move {
            let place = Room::new(target, &room)?;
            let connect = || bot::join(bot::connect_when_let(place.clone()));
            let Joined { bot: mut writer, .. } = connect().await?;
            for update in edits.base().iter().chain(shape.seed.as_deref()) {
                writer.put(update).await?;
            }
            let readers: Vec<Joined> = stream::iter(0..shape.readers)
                .map(|_| connect())
                .buffered(bot::OPENED_AT_ONCE)
                .try_collect()
                .await?;
            let is_kept = |reader: usize| number as usize + reader < shape.rebuild as usize;
            let mut accounts = Vec::new();
            let mut bots = Vec::new();
            for (reader, Joined { bot, answer, .. }) in readers.into_iter().enumerate() {
                let mut account = Account::new(is_kept(reader));
                account.take(&answer, |_| {});
                accounts.push(RefCell::new(account));
                bots.push(bot);
            }
            let document = Document {
                room,
                load,
                edits,
                pace: shape.pace,
                readers: shape.readers,
                writer: RefCell::new(writer),
                waker: Cell::new(None),
                open: RefCell::default(),
                open_from: Cell::new(0),
                dues_us: RefCell::default(),
                update: RefCell::default(),
                accounts,
            };
            anyhow::Ok((document, bots))
        }
    });
    opening.buffered(bot::OPENED_AT_ONCE).try_collect().await
}

/// Reads what a connection beside the load is told, which keeps it alive.
async fn stay(load: Rc<Load>, mut bot: Bot) {
    loop {
        if let Err(reason) = bot.listen(|_| {}).await {
            return load.fail("beside", &reason);
        }
    }
}

/// Sends what no delivery triggers: the first edits of a closed loop, all those of an open one.
async fn drive(documents: Rc<Vec<Rc<Document>>>, pace: Pace) {
    let Pace::Rate(rate) = pace else {
        for document in documents.iter() {
            document.pump();
        }
        return;
    };
    let Ok(alarm) = Alarm::new() else { return };
    let count = documents.len() as f64;
    for number in 0_u64.. {
        // One document after the other, at equal distances.
        let document = &documents[(number % documents.len() as u64) as usize];
        let due_us = (number as f64 * 1e6 / (rate * count)) as u64;
        let load = &document.load;
        if load.is_over_at(due_us) {
            return;
        }
        alarm.until(load.instant(due_us)).await;
        document.send(std::iter::once(due_us));
    }
}

/// Reads what the server tells a reader, until the load ends.
async fn read(document: Rc<Document>, number: usize, mut bot: Bot) {
    let load = &document.load;
    loop {
        let mut now_us = None;
        let listened = bot.listen(|heard| {
            if let Heard::Update(update) | Heard::Step2(update) = heard {
                let now_us = *now_us.get_or_insert_with(|| load.now_us());
                let mut account = document.accounts[number].borrow_mut();
                account.take(update, |token| {
                    load.delivered(token.due_us, now_us);
                    document.close(token.number);
                });
            }
        });
        if let Err(reason) = listened.await {
            return load.fail(&format!("{}, reader {number}", document.room), &reason);
        }
        document.pump();
    }
}

/// Reads what the server tells the writer, and sends what its socket did not take at once.
async fn tend(document: Rc<Document>) {
    let tending = poll_fn(|cx| {
        document.waker.set(Some(cx.waker().clone()));
        let mut writer = document.writer.borrow_mut();
        loop {
            match writer.poll_listen(cx, |_| {}) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(reason)) => return Poll::Ready(reason),
                Poll::Pending => return Poll::Pending,
            }
        }
    });
    let reason = tending.await;
    document.load.fail(&format!("{}, writer", document.room), &reason);
}

impl Document {
    fn sent(&self) -> u32 {
        self.dues_us.borrow().len() as u32
    }

    /// In a closed loop: sends as many edits as may be open.
    fn pump(&self) {
        let Pace::Window(window) = self.pace else { return };
        let free = window.saturating_sub(self.open.borrow().len() as u32);
        if free == 0 {
            return;
        }
        let now_us = self.load.now_us();
        if !self.load.is_over_at(now_us) {
            self.send((0..free).map(|_| now_us));
        }
    }

    /// Sends an edit for each of these due times, with one write.
    fn send(&self, dues_us: impl Iterator<Item = u64>) {
        // Borrowed by `tend` only while it is polled, which this thread does not do now.
        let mut writer = self.writer.borrow_mut();
        let mut update = self.update.borrow_mut();
        for due_us in dues_us {
            let number = self.sent();
            if number >= NUMBERS_MAX {
                break;
            }
            update.clear();
            self.edits.write(Token { number, due_us }, &mut update);
            writer.push_update(&update);
            self.dues_us.borrow_mut().push(due_us);
            self.open.borrow_mut().push_back(0);
        }
        writer.try_flush();
        if writer.unsent() > 0
            && let Some(waker) = self.waker.take()
        {
            waker.wake();
        }
    }

    /// A reader has it. Edits are closed in order, when all readers have them.
    fn close(&self, number: u32) {
        let mut open = self.open.borrow_mut();
        let Some(at) = number.checked_sub(self.open_from.get()) else { return };
        if let Some(count) = open.get_mut(at as usize) {
            *count += 1;
        }
        while open.front().is_some_and(|count| *count >= self.readers) {
            open.pop_front();
            self.open_from.set(self.open_from.get() + 1);
        }
    }

    /// The updates that were sent, the base first.
    fn updates(&self, seed: Option<&Vec<u8>>) -> Vec<Vec<u8>> {
        let mut updates: Vec<Vec<u8>> = self.edits.base().into_iter().collect();
        updates.extend(seed.cloned());
        for (number, due_us) in (0..).zip(&*self.dues_us.borrow()) {
            let mut update = Vec::new();
            self.edits.write(Token { number, due_us: *due_us }, &mut update);
            updates.push(update);
        }
        updates
    }
}

#[cfg(test)]
mod tests;
