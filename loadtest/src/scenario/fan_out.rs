//! The fan-out scenario: one writer and many readers of one document.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use serde::Serialize;
use sheaf_client::replica::{Options, Replica};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use yrs::updates::decoder::Decode;
use yrs::{Doc, GetString, Transact, Update};

use crate::latency;
use crate::load::{Load, Shape};
use crate::outcome::{Check, Figure, Outcome, Sample};
use crate::progress::Progress;
use crate::reader::{self, Account};
use crate::series;
use crate::target::Target;
use crate::target::usage::{Usage, usage};
use crate::token::{ROOT, TOKEN_BYTES};
use crate::wire::Address;
use crate::writer;

/// How long connecting everybody, or a fresh client's join, may take.
const JOIN_TIME_MAX: Duration = Duration::from_secs(60);

/// One writer, many readers of one document.
///
/// Closed loop (`--window`): the writer keeps that many updates open; one is closed when every
/// reader has it. Open loop (`--rate`): the writer sends so many a second whatever happens, and
/// latency counts from when an update was due, so a server that stalls cannot hide it.
#[derive(Debug, Clone, Args, Serialize)]
pub(crate) struct Plan {
    /// The document; a fresh one if not given. It must be empty.
    #[arg(long, value_name = "NAME")]
    room: Option<String>,
    /// Readers, besides the writer.
    #[arg(long, default_value_t = 100, value_name = "COUNT")]
    readers: u32,
    /// Closed loop with so many updates open.
    #[arg(long, default_value_t = 16, value_name = "COUNT", conflicts_with = "rate")]
    window: u32,
    /// Open loop with so many updates a second.
    #[arg(long, value_name = "PER_SECOND")]
    rate: Option<f64>,
    /// Load before anything is measured.
    #[arg(long, default_value_t = 1.0, value_name = "SECONDS")]
    warm_up: f64,
    /// Load that is measured. With the warm-up at most an hour.
    #[arg(long, default_value_t = 5.0, value_name = "SECONDS")]
    seconds: f64,
    /// Readers whose documents are rebuilt from what they received, and compared.
    #[arg(long, default_value_t = 3, value_name = "COUNT")]
    rebuild: u32,
}

impl Plan {
    fn shape(&self) -> Shape {
        Shape {
            readers: self.readers,
            window: self.window,
            rate: self.rate,
            warm_up_s: self.warm_up,
            measured_s: self.seconds,
        }
    }
}

/// Readings at the two ends of the measured part.
struct Readings {
    at: Instant,
    deliveries: u64,
    server: Option<Usage>,
    rig: Usage,
}

impl Readings {
    fn take(target: &Target, load: &Load) -> anyhow::Result<Self> {
        Ok(Self {
            at: Instant::now(),
            deliveries: load.deliveries(),
            server: target.usage()?,
            rig: usage(None)?,
        })
    }
}

/// A load that was driven to its end.
struct Driven {
    /// The tokens, in order.
    text: String,
    sent: u32,
    readings: [Readings; 2],
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
    anyhow::ensure!(plan.readers > 0 && plan.window > 0, "there must be readers and a window");
    anyhow::ensure!(plan.rate.is_none_or(|rate| rate > 0.0), "a rate is more than 0");
    let seconds = plan.warm_up + plan.seconds;
    anyhow::ensure!((0.1..=3_600.0).contains(&seconds), "a load lasts 0.1 to 3,600 seconds");
    let fresh = || format!("loadtest-{:016x}", rand::random::<u64>());
    let room = plan.room.clone().unwrap_or_else(fresh);
    let address = Rc::new(Address::new(&target.url, &room)?);
    let load = Rc::new(Load::new(plan.shape()));
    progress.says("connecting");
    let mut readers = Readers::connect(plan, &address, &load).await?;
    load.begin();
    progress.runs(Duration::from_secs_f64(seconds));
    let samples = RefCell::default();
    let driven = tokio::select! {
        driven = drive(target, &address, &load) => driven?,
        never = series::record(target, progress, || load.deliveries(), &samples) => match never {},
    };
    let accounts = readers.end().await;
    progress.says("comparing");
    // A relay keeps nothing that it could show a newcomer.
    let joined = match target.is_floor {
        true => None,
        false => Some(join(&target.url, &room).await),
    };
    Ok(outcome(plan, target, &Ended { accounts, driven, joined, series: samples.take() }))
}

/// All there is to tell of, when the load is over.
struct Ended {
    accounts: Vec<Rc<RefCell<Account>>>,
    driven: Driven,
    /// What a newcomer read, if one was asked; nothing in it if he could not join.
    joined: Option<Option<String>>,
    series: Vec<Sample>,
}

struct Readers {
    tasks: JoinSet<()>,
    accounts: Vec<Rc<RefCell<Account>>>,
}

impl Readers {
    /// Connects all of them and waits until each has the (empty) document.
    async fn connect(plan: &Plan, address: &Rc<Address>, load: &Rc<Load>) -> anyhow::Result<Self> {
        let mut readers = Self { tasks: JoinSet::new(), accounts: Vec::new() };
        let mut joined = Vec::new();
        for number in 0..plan.readers {
            let account = Rc::new(RefCell::new(Account::new(number < plan.rebuild)));
            let (ready, is_ready) = oneshot::channel();
            let reader =
                reader::run(Rc::clone(address), Rc::clone(&account), Rc::clone(load), ready);
            readers.tasks.spawn_local(reader);
            readers.accounts.push(account);
            joined.push(is_ready);
        }
        let all = futures::future::join_all(joined);
        let all =
            timeout(JOIN_TIME_MAX, all).await.context("the readers did not get in in time")?;
        let failed = all.iter().position(Result::is_err);
        if let Some(failed) = failed {
            let reason = readers.accounts[failed].borrow().failure.clone();
            anyhow::bail!("reader {failed}: {}", reason.unwrap_or_default());
        }
        Ok(readers)
    }

    async fn end(&mut self) -> Vec<Rc<RefCell<Account>>> {
        self.tasks.abort_all();
        while self.tasks.join_next().await.is_some() {}
        std::mem::take(&mut self.accounts)
    }
}

/// Writes for the whole time and takes readings where the measured part begins and ends.
async fn drive(target: &Target, address: &Address, load: &Load) -> anyhow::Result<Driven> {
    let [start, end] = load.measured();
    let readings = async {
        tokio::time::sleep_until(start).await;
        let first = Readings::take(target, load)?;
        tokio::time::sleep_until(end).await;
        Ok([first, Readings::take(target, load)?])
    };
    // 32 bits: servers built on older Yjs lose the edits of longer ids.
    let writing = writer::run(address, rand::random(), load);
    let (text, readings) = tokio::try_join!(writing, readings)?;
    let sent = (text.len() / TOKEN_BYTES) as u32;
    Ok(Driven { text, sent, readings })
}

/// What a client that comes when all is over reads.
async fn join(url: &str, room: &str) -> Option<String> {
    let replica = Replica::connect(Options { root: ROOT.to_owned(), ..Options::new(url, room) });
    replica.synced(JOIN_TIME_MAX).await.ok()?;
    Some(replica.text())
}

/// Builds the document that a reader was sent, and reads it.
fn rebuild(updates: &[Vec<u8>]) -> Option<String> {
    let doc = Doc::new();
    let text = doc.get_or_insert_text(ROOT);
    for update in updates {
        doc.transact_mut().apply_update(Update::decode_v1(update).ok()?).ok()?;
    }
    Some(text.get_string(&doc.transact()))
}

fn outcome(plan: &Plan, target: &Target, ended: &Ended) -> Outcome {
    let Ended { accounts, driven, series, .. } = ended;
    let [start, end] = &driven.readings;
    let mut all = latency::histogram();
    let mut warnings = Vec::new();
    for (number, account) in accounts.iter().enumerate() {
        let account = account.borrow();
        all.add(&account.latencies_us).expect("histograms of one kind");
        let failure = account.failure.iter().map(|reason| format!("reader {number}: {reason}"));
        warnings.extend(failure);
    }
    if start.deliveries == end.deliveries {
        warnings.push("nothing was delivered in the measured part".to_owned());
    }
    let load = match plan.rate {
        Some(rate) => format!("{} readers, {rate} updates/s", plan.readers),
        None => format!("{} readers, window {}", plan.readers, plan.window),
    };
    Outcome {
        scenario: "fan-out".to_owned(),
        load,
        settings: serde_json::to_value(plan).unwrap_or_default(),
        server: target.server(),
        round: 1,
        order: 1,
        measured_s: (end.at - start.at).as_secs_f64(),
        figures: figures(accounts, driven),
        latency: latency::summary(&all),
        series: series.clone(),
        checks: checks(ended),
        warnings,
    }
}

fn figures(accounts: &[Rc<RefCell<Account>>], driven: &Driven) -> Vec<Figure> {
    let [start, end] = &driven.readings;
    let seconds = (end.at - start.at).as_secs_f64();
    let deliveries = end.deliveries - start.deliveries;
    let sum = |count: fn(&Account) -> u64| -> f64 {
        accounts.iter().map(|account| count(&account.borrow())).sum::<u64>() as f64
    };
    let joined = sum(|account| account.received.into()) / sum(|account| account.frames);
    let mut figures = vec![
        Figure::more("delivered", "1/s", deliveries as f64 / seconds),
        Figure::neither("deliveries per frame", "", joined),
    ];
    if let Some((before, after)) = start.server.zip(end.server) {
        let cpu_s = after.cpu.saturating_sub(before.cpu).as_secs_f64();
        let mib = |usage: Usage| usage.resident_bytes as f64 / f64::from(1 << 20);
        figures.extend([
            Figure::less("CPU per delivery", "µs", cpu_s * 1e6 / deliveries as f64),
            Figure::neither("server CPU", "cores", cpu_s / seconds),
            Figure::less("server memory", "MiB", mib(after)),
            Figure::less("server memory growth", "MiB", mib(after) - mib(before)),
        ]);
    }
    let rig_s = end.rig.cpu.saturating_sub(start.rig.cpu).as_secs_f64();
    figures.push(Figure::neither("rig CPU", "cores", rig_s / seconds));
    figures
}

fn checks(ended: &Ended) -> Vec<Check> {
    let Ended { accounts, driven, joined, .. } = ended;
    let (mut lost, mut repeated, mut rebuilt, mut differing, mut failed) = (0, 0, 0, 0, 0);
    for account in accounts {
        let account = account.borrow();
        lost += u64::from(driven.sent - account.received.min(driven.sent));
        repeated += u64::from(account.repeated);
        failed += u32::from(account.failure.is_some());
        if let Some(updates) = &account.updates {
            rebuilt += 1;
            differing += u32::from(rebuild(updates).as_ref() != Some(&driven.text));
        }
    }
    let newcomer = match joined {
        None => (true, "not asked of a relay"),
        Some(text) if text.as_ref() == Some(&driven.text) => (true, "equal"),
        Some(None) => (false, "could not join"),
        Some(Some(_)) => (false, "differs"),
    };
    let sent = u64::from(driven.sent) * accounts.len() as u64;
    vec![
        Check::new("no reader breaks off", failed == 0, format!("{failed} did")),
        Check::new("nothing lost", lost == 0, format!("{lost} of {sent} lost")),
        // Harmless to a replica, but work for it.
        Check::new("repeats", true, format!("{repeated} came twice")),
        Check::new("replicas equal", differing == 0, format!("{differing} of {rebuilt} differ")),
        Check::new("newcomer equal", newcomer.0, newcomer.1),
    ]
}
