//! People at documents: each has a socket, types in a stretch of his own, moves his cursor and sees
//! what the others do. What typing, mixed and soak have in common.

pub(crate) mod checks;
pub(crate) mod log;

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use futures::{StreamExt, TryStreamExt, stream};
use tokio::task::JoinSet;

use crate::bot::account::Seen;
use crate::bot::dialect::Heard;
use crate::bot::{self, Bot, Joined};
use crate::edits::hand::Hand;
use crate::edits::trace::Trace;
use crate::edits::typist::Typist;
use crate::load::Load;
use crate::pace::Alarm;
use crate::target::Target;
use log::Log;

/// Who comes and what they do.
#[derive(Debug, Clone)]
pub(crate) struct Habits {
    pub(crate) documents: u32,
    /// Of each document.
    pub(crate) people: u32,
    /// Keys a second and person, pauses counted.
    pub(crate) keys: f64,
    /// Cursor moves a second and person.
    pub(crate) cursors: f64,
    /// What they type; made up if not given.
    pub(crate) trace: Option<Rc<Trace>>,
    /// Whether everybody has a whole replica.
    pub(crate) is_whole: bool,
    /// The first so many documents are rebuilt from what people received, and compared.
    pub(crate) rebuild: u32,
}

/// A document and the people at it.
pub(crate) struct Document {
    pub(crate) room: String,
    load: Rc<Load>,
    pub(crate) people: Vec<Person>,
    /// Cursor moves of others that were seen.
    pub(crate) cursors_seen: Cell<u64>,
    /// Of one update: author, key, when it was due. Kept for its memory.
    found: RefCell<Vec<(usize, u32, u64)>>,
}

/// One person.
pub(crate) struct Person {
    bot: RefCell<Bot>,
    /// Of the task that reads, and sends what the socket did not take at once.
    waker: Cell<Option<Waker>>,
    client: u32,
    pub(crate) hand: RefCell<Hand>,
    typist: RefCell<Typist>,
    awareness_clock: Cell<u32>,
    pub(crate) log: RefCell<Log>,
    /// What came from each of the others, in the order of `Document::people`.
    pub(crate) seen: RefCell<Vec<Seen>>,
    /// Everything that came, if this document is to be rebuilt.
    pub(crate) received: RefCell<Option<Vec<Vec<u8>>>>,
}

/// Opens all connections; when all of a document are there, everybody types his anchors.
pub(crate) async fn connect(
    habits: &Habits,
    target: &Target,
    load: &Rc<Load>,
) -> anyhow::Result<Vec<Rc<Document>>> {
    let name = bot::fresh_name();
    let opening = stream::iter(0..habits.documents).map(|number| {
        let (room, load) = (format!("{name}-{number}"), Rc::clone(load));
        async move {
            let mut people = Vec::new();
            for _ in 0..habits.people {
                people.push(sit_down(habits, target, &room, number < habits.rebuild).await?);
            }
            for person in &people {
                // A relay without documents shows them only to those who are there.
                if let Some(opening) = person.hand.borrow().opening() {
                    let mut bot = person.bot.borrow_mut();
                    bot.push_update(&opening);
                    bot.try_flush();
                }
            }
            let (cursors_seen, found) = (Cell::new(0), RefCell::default());
            anyhow::Ok(Rc::new(Document { room, load, people, cursors_seen, found }))
        }
    });
    opening.buffered(bot::OPENED_AT_ONCE).try_collect().await
}

async fn sit_down(
    habits: &Habits,
    target: &Target,
    room: &str,
    is_kept: bool,
) -> anyhow::Result<Person> {
    let seed: u64 = rand::random();
    let Joined { bot, answer, .. } = bot::join(bot::connect(target, room)).await?;
    // 32 bits: servers built on older Yjs lose the edits of longer ids.
    let client = (seed >> 32) as u32 | 1;
    let mut hand = if habits.is_whole { Hand::whole(client) } else { Hand::light(client) };
    hand.take(&answer);
    let opening = hand.opening();
    let typist = match &habits.trace {
        Some(trace) => Typist::of_trace(seed, habits.keys, Rc::clone(trace)),
        None => Typist::new(seed, habits.keys),
    };
    Ok(Person {
        bot: RefCell::new(bot),
        waker: Cell::new(None),
        client,
        hand: RefCell::new(hand),
        typist: RefCell::new(typist),
        awareness_clock: Cell::new(0),
        log: RefCell::new(Log::new(opening, is_kept)),
        seen: RefCell::new((0..habits.people).map(|_| Seen::default()).collect()),
        received: RefCell::new(is_kept.then(|| vec![answer])),
    })
}

/// Lets everybody read, and type from when the load begins until it is over.
pub(crate) fn start(documents: &Rc<Vec<Rc<Document>>>, habits: &Habits, tasks: &mut JoinSet<()>) {
    for document in documents.iter() {
        for number in 0..document.people.len() {
            tasks.spawn_local(read(Rc::clone(document), number));
        }
    }
    tasks.spawn_local(drive(Rc::clone(documents), habits.clone()));
}

/// What somebody does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Act {
    Key,
    Cursor,
}

/// Everybody's next act in the order of time, due whatever happens: an open loop.
async fn drive(documents: Rc<Vec<Rc<Document>>>, habits: Habits) {
    let Ok(alarm) = Alarm::new() else { return };
    let mut due = BinaryHeap::new();
    for (at, document) in documents.iter().enumerate() {
        for (number, person) in document.people.iter().enumerate() {
            let mut typist = person.typist.borrow_mut();
            if habits.keys > 0.0 {
                due.push(Reverse((typist.wait_us(), at, number, Act::Key)));
            }
            if habits.cursors > 0.0 {
                due.push(Reverse((typist.next_us(habits.cursors), at, number, Act::Cursor)));
            }
        }
    }
    while let Some(Reverse((due_us, at, number, act))) = due.pop() {
        let document = &documents[at];
        if document.load.is_over_at(due_us) {
            return;
        }
        alarm.until(document.load.instant(due_us)).await;
        let person = &document.people[number];
        let next_us = match act {
            Act::Key => {
                person.type_key(due_us);
                person.typist.borrow_mut().wait_us()
            }
            Act::Cursor => {
                person.move_cursor();
                person.typist.borrow_mut().next_us(habits.cursors)
            }
        };
        due.push(Reverse((due_us + next_us, at, number, act)));
    }
}

/// Reads what a person is told, until the load ends.
async fn read(document: Rc<Document>, number: usize) {
    let person = &document.people[number];
    let reading = poll_fn(|cx| {
        person.waker.set(Some(cx.waker().clone()));
        let mut bot = person.bot.borrow_mut();
        loop {
            let mut now_us = None;
            let listened = bot.poll_listen(cx, |heard| match heard {
                Heard::Update(update) | Heard::Step2(update) => {
                    let now_us = *now_us.get_or_insert_with(|| document.load.now_us());
                    document.see(number, update, now_us);
                }
                Heard::Awareness(entries) if entries.len() > 1 => {
                    document.cursors_seen.set(document.cursors_seen.get() + u64::from(entries[0]));
                }
                _ => {}
            });
            match listened {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(reason)) => return Poll::Ready(reason),
                Poll::Pending => return Poll::Pending,
            }
        }
    });
    let reason = reading.await;
    document.load.fail(&format!("{}, person {number}", document.room), &reason);
}

impl Document {
    /// A person is told of an update, which may be several joined ones.
    fn see(&self, number: usize, update: &[u8], now_us: u64) {
        let reader = &self.people[number];
        if let Some(received) = &mut *reader.received.borrow_mut() {
            received.push(update.to_vec());
        }
        reader.hand.borrow_mut().take(update);
        let mut found = self.found.borrow_mut();
        log::keys(update, |client, range| {
            let author = self.people.iter().position(|person| u64::from(person.client) == client);
            if let Some(author) = author
                && author != number
            {
                let log = self.people[author].log.borrow();
                found.extend(log.find(range).map(|(key, due_us)| (author, key, due_us)));
            }
        });
        found.sort_unstable(); // joined updates have their deletions at their end
        let mut seen = reader.seen.borrow_mut();
        for (author, key, due_us) in found.drain(..) {
            if seen[author].enter(key) {
                self.load.delivered(due_us, now_us);
            }
        }
    }

    /// Whether everybody has seen everything.
    pub(crate) fn is_settled(&self) -> bool {
        self.people.iter().enumerate().all(|(author, person)| {
            let sent = person.log.borrow().sent();
            let others = self.people.iter().enumerate().filter(|(reader, _)| *reader != author);
            others.map(|(_, reader)| reader.seen.borrow()[author].received()).all(|got| got >= sent)
        })
    }
}

impl Person {
    fn type_key(&self, due_us: u64) {
        let (mut hand, mut bot) = (self.hand.borrow_mut(), self.bot.borrow_mut());
        let mut update = Vec::with_capacity(64);
        let patches = self.typist.borrow_mut().key(hand.len());
        let Some(mark) = hand.apply(&patches, &mut update) else { return };
        bot.push_update(&update);
        self.log.borrow_mut().push(mark, due_us, update);
        self.send(&mut bot);
    }

    fn move_cursor(&self) {
        let clock = self.awareness_clock.get() + 1;
        self.awareness_clock.set(clock);
        let entry = log::awareness(self.client, clock, self.hand.borrow().cursor());
        let mut bot = self.bot.borrow_mut();
        bot.push_awareness(&entry);
        self.send(&mut bot);
    }

    fn send(&self, bot: &mut Bot) {
        bot.try_flush();
        if bot.unsent() > 0
            && let Some(waker) = self.waker.take()
        {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests;
