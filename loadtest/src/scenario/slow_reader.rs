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
use tokio::time::{Instant, sleep_until, timeout};

use crate::bot::dialect::Heard;
use crate::bot::{self, Bot, Joined, replica};
use crate::latency;
use crate::outcome::{Check, Figure, Latency, Outcome, Sample};
use crate::progress::Progress;
use crate::series;
use crate::target::Target;
use overwriting::{CHUNK, LIVE, Writer};

/// How long the stalled reader may take to have everything, once it reads again.
const CATCH_UP_MAX: Duration = Duration::from_secs(30);

/// What is said of a reader that lacks nothing.
const WHOLE: &str = "whole";

/// Time for a server to come to rest.
const SETTLE: Duration = Duration::from_millis(500);

/// One reader stalls while a lot flows.
///
/// A writer overwrites a text of at most a mebibyte at a steady rate, and readers follow. After a
/// warm-up all of them read while half is written; then one more is there that reads nothing while
/// all is written, and then reads again; then all of them read the other half. Memory while it
/// stalls is compared with that before and after, so that what a server's memory does by itself in
/// that time is not counted. Latency is that of the others meanwhile.
#[derive(Debug, Clone, Args, Serialize)]
pub(crate) struct Plan {
    /// Readers that do not stall.
    #[arg(long, default_value_t = 2, value_name = "COUNT")]
    readers: u32,
    /// What is written while one stalls, and as much again while nobody does.
    #[arg(long, default_value_t = 600, value_name = "MB")]
    megabytes: u32,
    /// What is written before anything is measured: a server's caches fill meanwhile.
    #[arg(long, default_value_t = 200, value_name = "MB")]
    warm_up_megabytes: u32,
    /// Updates a second, of 64 KiB each. A server may end a reader that takes nothing for a minute:
    /// too slow a rate measures that.
    #[arg(long, default_value_t = 200.0, value_name = "PER_SECOND")]
    rate: f64,
}

/// What the readers have in common.
struct Flow {
    writer: RefCell<Writer>,
    took_us: RefCell<Histogram<u64>>,
    failure: RefCell<Option<String>>,
    /// The least that a reader has.
    received: Vec<Cell<u64>>,
    /// Readings, from the beginning.
    samples: RefCell<Vec<Sample>>,
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
    let updates = plan.warm_up() + 2 * plan.updates();
    anyhow::ensure!(updates < overwriting::UPDATES_MAX, "a writer has clocks for 2,000 MB");
    let flow = Rc::new(Flow {
        writer: RefCell::new(Writer::new(rand::random())),
        took_us: RefCell::new(latency::histogram()),
        failure: RefCell::default(),
        received: (0..plan.readers).map(|_| Cell::new(0)).collect(),
        samples: RefCell::default(),
    });
    let start = Instant::now();
    progress.runs(Duration::from_secs_f64(updates as f64 / plan.rate));
    let delivered = || flow.received.iter().map(Cell::get).sum();
    let parts = tokio::select! {
        parts = parts(plan, target, progress, &flow) => parts?,
        never = series::record(target, progress, delivered, &flow.samples) => match never {},
    };
    let written = flow.writer.borrow().written();
    let is_whole = flow.received.iter().all(|received| received.get() == written);
    let mut outcome = Outcome {
        load: format!("{} MB, {} readers and one stalled", plan.megabytes, plan.readers),
        settings: serde_json::to_value(plan)?,
        measured_s: start.elapsed().as_secs_f64(),
        figures: parts.figures(),
        latency: parts.stalled.latency,
        series: flow.samples.take(),
        warnings: flow.failure.take().into_iter().collect(),
        ..Outcome::new("slow-reader", target.server())
    };
    let Woken { is_whole: is_same, note, .. } = parts.woken;
    outcome.checks.push(Check::new("the stalled reader lost nothing", is_same, note));
    let note = if is_whole { "all updates" } else { "some updates are missing" };
    outcome.checks.push(Check::new("the others got everything", is_whole, note));
    Ok(outcome)
}

impl Plan {
    fn updates(&self) -> u64 {
        u64::from(self.megabytes) * 1_000_000 / CHUNK as u64
    }

    /// At least until the text is as large as it gets.
    fn warm_up(&self) -> u64 {
        (u64::from(self.warm_up_megabytes) * 1_000_000 / CHUNK as u64).max(4 * LIVE)
    }
}

/// What one part came to.
struct Part {
    latency: Option<Latency>,
    /// The server's memory, if it can be read: reading by reading, sorted.
    resident_bytes: Vec<u64>,
}

/// All parts.
struct Parts {
    /// Nobody stalls.
    before: Part,
    stalled: Part,
    /// From when it reads again until it has everything and a moment more.
    waking: Part,
    woken: Woken,
    /// Nobody stalls again.
    after: Part,
}

/// What became of the reader that stalled.
struct Woken {
    took: Duration,
    is_whole: bool,
    note: String,
}

impl Part {
    /// What was read since the last part.
    fn end(flow: &Flow, first: &mut usize) -> Self {
        let samples = flow.samples.borrow();
        let read = samples[(*first).min(samples.len())..].iter();
        let mut resident_bytes: Vec<u64> =
            read.filter_map(|sample| sample.resident_bytes).collect();
        resident_bytes.sort_unstable();
        *first = samples.len();
        let latency = latency::summary(&flow.took_us.borrow());
        flow.took_us.borrow_mut().reset();
        Self { latency, resident_bytes }
    }

    /// The memory in MiB below which this share of the readings was.
    fn memory_mib(&self, share: f64) -> Option<f64> {
        let last = self.resident_bytes.len().checked_sub(1)?;
        let bytes = self.resident_bytes[(last as f64 * share).round() as usize];
        Some(bytes as f64 / f64::from(1 << 20))
    }

    fn p99_us(&self) -> Option<f64> {
        self.latency.as_ref().map(|latency| latency.p99_us as f64)
    }
}

/// One part after the other, in one document.
async fn parts(
    plan: &Plan,
    target: &Target,
    progress: &Progress,
    flow: &Rc<Flow>,
) -> anyhow::Result<Parts> {
    let room = bot::fresh_name();
    let Joined { mut bot, .. } = bot::join(bot::connect(target, &room)).await?;
    let mut tasks = JoinSet::new();
    for number in 0..plan.readers as usize {
        let reader = bot::join(bot::connect(target, &room)).await?.bot;
        tasks.spawn_local(follow(Rc::clone(flow), number, reader));
    }
    let mut until = plan.warm_up();
    write(flow, &mut bot, plan.rate, until).await?;
    let mut first = 0;
    Part::end(flow, &mut first);
    progress.says("nobody stalls");
    until += plan.updates() / 2;
    write(flow, &mut bot, plan.rate, until).await.context("while nobody stalled")?;
    // What is still under way would reach the reader that comes now, and be counted as missed.
    flow.settle().await;
    let before = Part::end(flow, &mut first);

    progress.says("one stalls");
    let Joined { bot: reader, answer, .. } = bot::join(bot::connect(target, &room)).await?;
    let first_answer = Some(answer).filter(|_| !target.is_floor);
    until += plan.updates();
    write(flow, &mut bot, plan.rate, until).await.context("while one stalled")?;
    flow.settle().await;
    let stalled = Part::end(flow, &mut first);
    let woken = wake(flow, &mut bot, (first_answer, plan.updates()), reader).await?;
    super::pause(SETTLE).await;
    let waking = Part::end(flow, &mut first);

    progress.says("nobody stalls");
    until += plan.updates() - plan.updates() / 2;
    write(flow, &mut bot, plan.rate, until).await.context("when it was gone")?;
    flow.settle().await;
    let after = Part::end(flow, &mut first);
    tasks.abort_all();
    while tasks.join_next().await.is_some() {}
    Ok(Parts { before, stalled, waking, woken, after })
}

impl Parts {
    fn figures(&self) -> Vec<Figure> {
        let mut figures = Vec::new();
        let mean = |part: fn(&Part) -> Option<f64>| {
            part(&self.before).zip(part(&self.after)).map(|(a, b)| a.midpoint(b))
        };
        let (median, most) =
            (|part: &Part| part.memory_mib(0.5), |part: &Part| part.memory_mib(1.0));
        if let (Some(nobody), Some(stalled)) = (mean(median), median(&self.stalled)) {
            let growth = (stalled - nobody).max(0.0);
            figures.push(Figure::less("memory growth while stalled", "MiB", growth));
            figures.push(Figure::neither("memory while nobody stalls", "MiB", nobody));
        }
        if let (Some(before), Some(after)) = (median(&self.before), median(&self.after)) {
            figures.push(Figure::neither("its drift meanwhile", "MiB", after - before));
        }
        if let (Some(stalled), Some(waking)) = (most(&self.stalled), most(&self.waking)) {
            let growth = (waking - stalled).max(0.0);
            figures.push(Figure::less("memory growth when it wakes", "MiB", growth));
        }
        figures.push(Figure::less("caught up after", "ms", self.woken.took.as_secs_f64() * 1e3));
        if let (Some(nobody), Some(stalled)) = (mean(Part::p99_us), self.stalled.p99_us()) {
            figures.push(Figure::neither("p99 while nobody stalls", "ms", nobody / 1e3));
            figures.push(Figure::less("p99, one stalled : nobody", "×", stalled / nobody));
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

/// The reader reads again, until it has everything, and is compared: with the text, if it was shown
/// what had been written before; with a relay, which keeps nothing, by the count of what it missed.
async fn wake(
    flow: &Flow,
    writer: &mut Bot,
    (first_answer, missed): (Option<Vec<u8>>, u64),
    mut reader: Bot,
) -> anyhow::Result<Woken> {
    let is_relay = first_answer.is_none();
    let mut updates: Vec<Vec<u8>> = first_answer.into_iter().collect();
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
    let text = || replica::rebuild(&updates);
    let note = match failure {
        Some(failure) => failure,
        None if is_relay && updates.len() as u64 == missed => WHOLE.to_owned(),
        None if is_relay => format!("{} of {missed} updates came", updates.len()),
        None if text().as_deref() == Some(&*flow.writer.borrow().text()) => WHOLE.to_owned(),
        None => "its text differs".to_owned(),
    };
    Ok(Woken { took, is_whole: note == WHOLE, note })
}

/// Reads what the server tells, until it ends.
async fn drain(bot: &mut Bot) -> anyhow::Error {
    loop {
        if let Err(reason) = bot.listen(|_| {}).await {
            return reason;
        }
    }
}

#[cfg(test)]
mod tests;
