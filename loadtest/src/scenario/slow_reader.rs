//! The slow reader scenario: one reader stalls while a lot flows, and what that costs the server
//! and the others.

mod overwriting;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use hdrhistogram::Histogram;
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};

use crate::bot::dialect::Heard;
use crate::bot::{self, Bot, replica};
use crate::latency;
use crate::outcome::{Check, Figure, Latency, Outcome};
use crate::progress::Progress;
use crate::target::Target;
use crate::target::usage::sample;
use overwriting::{CHUNK, LIVE, Writer};

/// How long the stalled reader may take to have everything, once it reads again.
const CATCH_UP_MAX: Duration = Duration::from_secs(30);

/// Time for a server to come to rest.
const SETTLE: Duration = Duration::from_millis(500);

/// Between two looks at the server's memory.
const LOOK: Duration = Duration::from_millis(50);

/// One reader stalls while a lot flows.
///
/// A writer overwrites a text of at most a mebibyte at a steady rate, and readers follow. First all
/// of them read; then the same again with one more that reads nothing, until all is written.
/// Memory is compared with what it was before that reader stalled. Latency is that of the others
/// meanwhile.
#[derive(Debug, Clone, Args, Serialize)]
pub(crate) struct Plan {
    /// Readers that do not stall.
    #[arg(long, default_value_t = 2, value_name = "COUNT")]
    readers: u32,
    /// What is written while one stalls, and before that.
    #[arg(long, default_value_t = 600, value_name = "MB")]
    megabytes: u32,
    /// Updates a second, of 64 KiB each.
    #[arg(long, default_value_t = 400.0, value_name = "PER_SECOND")]
    rate: f64,
}

/// What the readers of one part have in common.
struct Flow {
    writer: RefCell<Writer>,
    took_us: RefCell<Histogram<u64>>,
    failure: RefCell<Option<String>>,
    /// The least that a reader has.
    received: Vec<Cell<u64>>,
}

/// Runs the scenario.
///
/// # Errors
/// When the plan makes no sense, or the server cannot be reached or breaks off.
pub(crate) async fn run(
    plan: &Plan,
    target: &Target,
    progress: &Progress,
) -> anyhow::Result<Outcome> {
    anyhow::ensure!(plan.readers > 0 && plan.megabytes > 0, "somebody must read something");
    anyhow::ensure!((1.0..=100_000.0).contains(&plan.rate), "a rate is 1 to 100,000 a second");
    let seconds = plan.updates() as f64 / plan.rate;
    let start = Instant::now();
    progress.says("nobody stalls");
    progress.runs(Duration::from_secs_f64(2.0 * seconds));
    let before = Part::run(plan, target, false).await.context("while nobody stalled")?;
    progress.says("one stalls");
    let stalled = Part::run(plan, target, true).await.context("while one stalled")?;
    let mut outcome = Outcome {
        scenario: "slow-reader".to_owned(),
        load: format!("{} MB, {} readers and one stalled", plan.megabytes, plan.readers),
        settings: serde_json::to_value(plan)?,
        server: target.server(),
        round: 1,
        order: 1,
        measured_s: start.elapsed().as_secs_f64(),
        figures: stalled.figures(&before),
        latency: stalled.latency,
        series: Vec::new(),
        checks: Vec::new(),
        warnings: before.failure.into_iter().chain(stalled.failure).collect(),
    };
    let woken = stalled.woken.context("there was one")?;
    outcome.checks.push(Check::new("the stalled reader lost nothing", woken.is_whole, woken.note));
    let is_whole = before.is_whole && stalled.is_whole;
    let note = if is_whole { "all updates" } else { "some updates are missing" };
    outcome.checks.push(Check::new("the others got everything", is_whole, note));
    Ok(outcome)
}

impl Plan {
    fn updates(&self) -> u64 {
        u64::from(self.megabytes) * 1_000_000 / CHUNK as u64
    }
}

/// What one part came to.
struct Part {
    latency: Option<Latency>,
    /// The server's memory, if it can be read: at the beginning, the most meanwhile, the most after
    /// the reader woke.
    resident_bytes: Option<[u64; 3]>,
    woken: Option<Woken>,
    is_whole: bool,
    failure: Option<String>,
}

/// What became of the reader that stalled.
struct Woken {
    took: Duration,
    is_whole: bool,
    note: String,
}

impl Part {
    async fn run(plan: &Plan, target: &Target, has_stalled: bool) -> anyhow::Result<Self> {
        let room = format!("loadtest-{:016x}", rand::random::<u64>());
        let mut bot = bot::connect(target, &room).await?;
        bot.synced().await?;
        let flow = Rc::new(Flow {
            writer: RefCell::new(Writer::new(rand::random())),
            took_us: RefCell::new(latency::histogram()),
            failure: RefCell::default(),
            received: (0..plan.readers).map(|_| Cell::new(0)).collect(),
        });
        let mut tasks = JoinSet::new();
        for number in 0..plan.readers as usize {
            let mut reader = bot::connect(target, &room).await?;
            reader.synced().await?;
            tasks.spawn_local(follow(Rc::clone(&flow), number, reader));
        }
        let mut stalled = None;
        if has_stalled {
            let mut reader = bot::connect(target, &room).await?;
            stalled = Some((vec![reader.synced().await?], reader));
        }
        // The text as large as it gets, and everything warm, before memory is compared.
        let warm_up = 4 * LIVE;
        let warming = async {
            write(&flow, &mut bot, plan.rate, warm_up).await?;
            flow.settle().await;
            super::pause(SETTLE).await;
            anyhow::Ok(())
        };
        match &mut stalled {
            None => warming.await?,
            Some((updates, reader)) => tokio::select! {
                warmed = warming => warmed?,
                failed = collect(reader, updates) => return Err(failed),
            },
        }
        flow.took_us.borrow_mut().reset();
        let start = resident(target)?;
        let most = Cell::new(start);
        tokio::select! {
            written = write(&flow, &mut bot, plan.rate, warm_up + plan.updates()) => written?,
            looked = watch(target, &most) => looked?,
        }
        flow.settle().await;
        let while_stalled = most.get();
        let woken = match stalled {
            Some((updates, reader)) => Some(tokio::select! {
                woken = wake(&flow, &mut bot, updates, reader) => woken?,
                looked = watch(target, &most) => looked.map(|()| unreachable!("it has no end"))?,
            }),
            None => None,
        };
        tasks.abort_all();
        while tasks.join_next().await.is_some() {}
        let written = flow.writer.borrow().written();
        let resident_bytes = start.zip(while_stalled).zip(most.get());
        Ok(Self {
            latency: latency::summary(&flow.took_us.borrow()),
            resident_bytes: resident_bytes.map(|((start, stalled), woken)| [start, stalled, woken]),
            woken,
            is_whole: flow.received.iter().all(|received| received.get() == written),
            failure: flow.failure.take(),
        })
    }

    fn figures(&self, before: &Part) -> Vec<Figure> {
        let mut figures = Vec::new();
        let mib = |from: u64, to: u64| to.saturating_sub(from) as f64 / f64::from(1 << 20);
        if let Some([start, stalled, woken]) = self.resident_bytes {
            figures.push(Figure::less("memory growth while stalled", "MiB", mib(start, stalled)));
            figures.push(Figure::less("memory growth in all", "MiB", mib(start, woken)));
        }
        if let Some([start, most, _]) = before.resident_bytes {
            figures.push(Figure::neither("growth while nobody stalls", "MiB", mib(start, most)));
        }
        if let Some(Woken { took, .. }) = &self.woken {
            figures.push(Figure::less("caught up after", "ms", took.as_secs_f64() * 1e3));
        }
        if let (Some(stalled), Some(before)) = (&self.latency, &before.latency) {
            let ratio = stalled.p99_us as f64 / before.p99_us as f64;
            figures.push(Figure::neither(
                "p99 while nobody stalls",
                "ms",
                before.p99_us as f64 / 1e3,
            ));
            figures.push(Figure::less("p99, one stalled : nobody", "×", ratio));
        }
        figures
    }
}

impl Flow {
    /// Waits until all readers have what was written, or nothing comes any more.
    async fn settle(&self) {
        let written = self.writer.borrow().written();
        let is_done = || self.received.iter().all(|received| received.get() >= written);
        for _ in 0..200 {
            if is_done() {
                return;
            }
            super::pause(Duration::from_millis(10)).await;
        }
    }
}

/// Writes, at the rate, until so many updates are written in all.
async fn write(flow: &Flow, bot: &mut Bot, rate: f64, until: u64) -> anyhow::Result<()> {
    let (first, start) = (flow.writer.borrow().written(), Instant::now());
    let mut update = Vec::new();
    for number in first..until {
        let due = start + Duration::from_secs_f64((number - first) as f64 / rate);
        while Instant::now() < due {
            tokio::select! {
                () = sleep_until(due) => {}
                listened = bot.listen(|_| {}) => listened?,
            }
        }
        flow.writer.borrow_mut().write(due, &mut update);
        bot.push_update(&update);
        bot.flush().await?;
    }
    Ok(())
}

/// Reads as a reader that does not stall.
async fn follow(flow: Rc<Flow>, number: usize, mut bot: Bot) {
    loop {
        let listened = bot.listen(|heard| {
            let (Heard::Update(update) | Heard::Step2(update)) = heard else { return };
            let received = &flow.received[number];
            let writer = flow.writer.borrow();
            let end = writer.end_of(update).unwrap_or(received.get()).max(received.get());
            let now = Instant::now();
            for due in writer.dues(received.get(), end) {
                let took_us = now.saturating_duration_since(due).as_micros() as u64;
                flow.took_us.borrow_mut().saturating_record(took_us);
            }
            received.set(end);
        });
        if let Err(reason) = listened.await {
            flow.failure.borrow_mut().get_or_insert_with(|| format!("reader {number}: {reason:#}"));
            return;
        }
    }
}

/// The reader reads again, until it has everything, and is compared.
async fn wake(
    flow: &Flow,
    writer: &mut Bot,
    mut updates: Vec<Vec<u8>>,
    mut reader: Bot,
) -> anyhow::Result<Woken> {
    let start = Instant::now();
    let written = flow.writer.borrow().written();
    let mut end = 0;
    let reading = async {
        while end < written {
            reader
                .listen(|heard| {
                    if let Heard::Update(update) | Heard::Step2(update) = heard {
                        let reached = flow.writer.borrow().end_of(update);
                        end = end.max(reached.unwrap_or_default());
                        updates.push(update.to_vec());
                    }
                })
                .await?;
        }
        anyhow::Ok(())
    };
    let read = tokio::select! {
        read = timeout(CATCH_UP_MAX, reading) => read,
        // The writer's socket must not fill up with what the server tells it.
        failed = drain(writer) => Ok(Err(failed)),
    };
    let took = start.elapsed();
    let failure = match read {
        Ok(Ok(())) => None,
        Ok(Err(reason)) => Some(format!("it ended: {reason:#}")),
        Err(_) => Some(format!("it had {end} of {written} updates in the end")),
    };
    let note = failure.unwrap_or_else(|| {
        let is_same = replica::rebuild(&updates).as_deref() == Some(&*flow.writer.borrow().text());
        if is_same { "whole".to_owned() } else { "its text differs".to_owned() }
    });
    Ok(Woken { took, is_whole: note == "whole", note })
}

/// Reads and keeps what the server tells, until it ends.
async fn collect(bot: &mut Bot, updates: &mut Vec<Vec<u8>>) -> anyhow::Error {
    loop {
        let listened = bot.listen(|heard| {
            if let Heard::Update(update) | Heard::Step2(update) = heard {
                updates.push(update.to_vec());
            }
        });
        if let Err(reason) = listened.await {
            return reason;
        }
    }
}

/// Reads what the server tells, until it ends.
async fn drain(bot: &mut Bot) -> anyhow::Error {
    loop {
        if let Err(reason) = bot.listen(|_| {}).await {
            return reason;
        }
    }
}

fn resident(target: &Target) -> anyhow::Result<Option<u64>> {
    let usage = target.pid().map(|pid| sample(Some(pid))).transpose()?;
    Ok(usage.map(|usage| usage.resident_bytes))
}

/// Keeps the most memory that is seen; has no end.
async fn watch(target: &Target, most: &Cell<Option<u64>>) -> anyhow::Result<()> {
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        look.tick().await;
        most.set(most.get().max(resident(target)?));
    }
}

#[cfg(test)]
mod tests;
