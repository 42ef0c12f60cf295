//! One visit: somebody opens a document, types or reads for a while, and goes.

use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::VecDeque;
use std::rc::Rc;

use super::day::{Day, Door, Place};
use crate::bot::dialect::Heard;
use crate::bot::{self, Bot, Joined};
use crate::edits::text::{Patch, Text};
use crate::edits::typist::Typist;
use crate::pace::Alarm;
use crate::people::log::{self, Log};

/// Cursor moves a second of somebody who only reads.
const CURSORS: f64 = 0.3;
/// A client that lost its connection sends again what may not have arrived; so many updates are all
/// of the last seconds.
const SENT_AGAIN: usize = 64;

/// Somebody who is there.
struct Visitor {
    day: Rc<Day>,
    place: usize,
    bot: Bot,
    client: u32,
    text: Text,
    typist: Typist,
    log: Rc<RefCell<Log>>,
    recent: VecDeque<Vec<u8>>,
    /// When he came.
    since_us: u64,
    /// The last key seen of each author.
    seen: HashMap<u64, u32>,
    awareness_clock: u32,
}

/// A visit of a document: where, for how long, whether to type.
pub(super) async fn visit(day: Rc<Day>, door: Rc<Door>, what: (usize, u64, bool)) {
    if let Err(reason) = stay(Rc::clone(&day), &door, what).await {
        day.load.fail(&format!("a visitor of document {}", what.0), &reason);
    }
    day.present.set(day.present.get() - 1);
}

async fn stay(
    day: Rc<Day>,
    door: &Door,
    (place, stay_us, types): (usize, u64, bool),
) -> anyhow::Result<()> {
    let seed: u64 = rand::random();
    // 32 bits: servers built on older Yjs lose the edits of longer ids.
    let client = (seed >> 32) as u32 | 1;
    let bot = join(&day, door, &day.places[place]).await?;
    let text = Text::new(client);
    let opening = text.opening();
    let log = Rc::new(RefCell::new(Log::new(None, false)));
    let mut visitor = Visitor {
        place,
        bot,
        client,
        text,
        typist: Typist::new(seed, day.keys),
        log,
        recent: VecDeque::new(),
        since_us: day.load.now_us(),
        seen: HashMap::new(),
        awareness_clock: 0,
        day,
    };
    if types {
        visitor.enter();
        visitor.send(opening);
    }
    visitor.move_cursor();
    visitor.live(door, stay_us, types).await?;
    visitor.leave().await
}

/// Opens the document and measures how long that takes.
async fn join(day: &Day, door: &Door, place: &Place) -> anyhow::Result<Bot> {
    let joining = bot::join(bot::connect_to(door.room(&place.room)?));
    let Joined { bot, answer, took_us } = joining.await?;
    day.joins_us.borrow_mut().saturating_record(took_us);
    let is_empty = answer.len() <= 2;
    day.empty_joins.set(day.empty_joins.get() + u64::from(is_empty));
    Ok(bot)
}

impl Visitor {
    /// From now on his keys are known.
    fn enter(&self) {
        let mut logs = self.day.places[self.place].logs.borrow_mut();
        logs.insert(u64::from(self.client), Rc::clone(&self.log));
    }

    /// Types or reads until it is time to go.
    async fn live(&mut self, door: &Door, stay_us: u64, types: bool) -> anyhow::Result<()> {
        let (alarm, mut storm) = (Alarm::new()?, self.day.storm.subscribe());
        storm.mark_unchanged();
        let end_us = self.day.load.now_us() + stay_us;
        let mut due_us = self.day.load.now_us() + self.wait_us(types);
        loop {
            let is_over = due_us >= end_us || self.day.load.is_over_at(due_us);
            let next_us = if is_over { end_us.min(self.day.end_us()) } else { due_us };
            let mut received = Vec::new();
            let (day, place) = (Rc::clone(&self.day), self.place);
            tokio::select! {
                () = alarm.until(day.load.instant(next_us)) => {
                    if is_over {
                        return Ok(());
                    }
                    self.act(due_us, types);
                    due_us += self.wait_us(types);
                }
                listened = self.bot.listen(|heard| {
                    if let Heard::Update(update) = heard {
                        received.push(update.to_vec());
                    }
                }) => {
                    listened?;
                    let now_us = day.load.now_us();
                    for update in received {
                        self.see(&day.places[place], &update, now_us);
                    }
                }
                _ = storm.changed() => self.come_back(door).await?,
            }
        }
    }

    fn wait_us(&mut self, types: bool) -> u64 {
        if types { self.typist.wait_us() } else { self.typist.next_us(CURSORS) }
    }

    fn act(&mut self, due_us: u64, types: bool) {
        if !types {
            return self.move_cursor();
        }
        let patches = if self.day.is_paste_due.take() {
            let inserted = "pasted ".repeat(self.day.paste_bytes / 7);
            vec![Patch { at: self.text.len(), deleted: 0, inserted }]
        } else {
            self.typist.key(self.text.len())
        };
        let mut update = Vec::with_capacity(64);
        if let Some(mark) = self.text.apply(&patches, &mut update) {
            self.log.borrow_mut().push(mark, due_us, Vec::new());
            self.send(update);
            self.move_cursor(); // as editors do with every key
        }
    }

    fn send(&mut self, update: Vec<u8>) {
        self.bot.push_update(&update);
        self.bot.try_flush();
        self.day.places[self.place].typed.borrow_mut().push(update.clone());
        self.recent.push_back(update);
        if self.recent.len() > SENT_AGAIN {
            self.recent.pop_front();
        }
    }

    fn move_cursor(&mut self) {
        self.awareness_clock += 1;
        let entry = log::awareness(self.client, self.awareness_clock, self.text.cursor());
        self.bot.push_awareness(&entry);
        self.bot.try_flush();
    }

    fn see(&mut self, place: &Place, update: &[u8], now_us: u64) {
        let logs = place.logs.borrow();
        log::keys(update, |client, range| {
            let Some(log) = logs.get(&client) else { return };
            for (key, due_us) in log.borrow().find(range) {
                // What is sent again after a storm is no news to who came later.
                let is_new = match self.seen.get(&client) {
                    Some(last) => key > *last,
                    None => due_us >= self.since_us,
                };
                if is_new && client != u64::from(self.client) {
                    self.seen.insert(client, key);
                    self.day.load.delivered(due_us, now_us);
                }
            }
        });
    }

    /// The connection is lost: opens another one and sends what may have been lost with it.
    async fn come_back(&mut self, door: &Door) -> anyhow::Result<()> {
        let day = Rc::clone(&self.day);
        self.bot = join(&day, door, &day.places[self.place]).await?;
        for update in &self.recent {
            self.bot.push_update(update);
        }
        self.move_cursor();
        day.back.set(day.back.get() + 1);
        day.back_us.set(day.load.now_us());
        Ok(())
    }

    /// Says goodbye and waits until everything has arrived: who just closes his socket may reset
    /// the connection with what is under way on it.
    async fn leave(&mut self) -> anyhow::Result<()> {
        self.bot.push_awareness(&log::absence(self.client, self.awareness_clock + 1));
        self.bot.push_question();
        self.bot.flush().await?;
        self.bot.synced().await?;
        Ok(())
    }
}
